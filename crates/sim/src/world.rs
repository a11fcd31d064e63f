//! The world's state, its clock, and the one place where a fault is injected into a call.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock};

use cf_core::effect::Effect;
use cf_core::message::Mail;
use cf_core::request::ETag;
use cf_core::settings::Settings;
use cf_core::template::DEFAULT_TEXT;
use jiff::{SignedDuration, Timestamp};

use crate::cloudformation::Stacks;
use crate::finding::Finding;
use crate::s3::{Bucket, Store};
use crate::touch::Asked;

/// A call that loses: it fails before it did anything, or its answer is lost after it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultTiming {
    /// Nothing happened.
    Before,
    /// It happened, and its answer is lost.
    After,
}

/// Spoils one effect, counted from 0 since it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InjectedFault {
    /// Index of the effect, from 0.
    pub nth: usize,
    /// Before or after it happens.
    pub when: FaultTiming,
}

/// All that there is.
#[derive(Debug, Clone)]
pub struct State {
    /// Buckets.
    pub store: Store,
    /// Stacks.
    pub stacks: Stacks,
    /// Mails that SES took.
    pub mails: Vec<Mail>,
    /// Whether SES takes mails.
    pub mail_works: bool,
    /// The time.
    pub now: Timestamp,
    /// Effects performed or tried since the last spoil was set, in order, without what sweeps remember.
    pub effects: Vec<Effect>,
    /// Queries that were sent, in order.
    pub asked: Vec<Asked>,
    /// What to spoil.
    pub spoil: Option<InjectedFault>,
    /// Effects that had a fault injected.
    pub faulted_effects: Vec<Effect>,
    /// Uploads (key and version) that were there when an answer was written beside them.
    pub answered: BTreeSet<(String, ETag)>,
    /// What no function may ever do, and one did.
    pub findings: Vec<Finding>,
    /// How many of the next looks by name do not see a stack that is there (DescribeStacks lags behind CreateStack).
    pub hidden_lookups: usize,
    /// How far DescribeStacks lags behind what is.
    pub lag: SignedDuration,
    /// Whether removing an upload without a recorded answer is a finding. The simulator turns this off: its oracle checks it.
    pub checks_removals: bool,
    /// How long a page of a list is.
    pub pages: Pages,
    /// Whether what sweeps remember can neither be read nor written.
    pub cache_lost: bool,
    /// How often a sweep wrote down what it had seen, or tried to.
    pub remembered: usize,
}

/// How many items a page of a list has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// Keys in a bucket.
    pub keys: usize,
    /// A user's files in one folder.
    pub files: usize,
    /// Stacks.
    pub stacks: usize,
    /// Events of a stack.
    pub events: usize,
}

impl Pages {
    /// So short that every test pages.
    pub const SHORT: Self = Self { keys: 3, files: 1000, stacks: 3, events: 3 };
    /// AWS's. Keys: API reference, `ListObjectsV2`. Stacks: a page ends at 1 MB (API reference, `DescribeStacks`), where some
    /// 200 of ours would fit, and people have met pages of 100 (rebuy-de/aws-nuke #240, cfn-sphere #96): the shorter one.
    pub const AWS: Self = Self { keys: 1000, files: 1000, stacks: 100, events: 100 };
}

/// A world behind the domain's two traits.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
    /// The deployment in it.
    pub settings: Settings,
}

impl World {
    /// A fresh deployment: template published, buckets empty.
    pub fn new(settings: Settings) -> Self {
        // The template is large, and the same in all worlds: they share it.
        static FRESH: OnceLock<Store> = OnceLock::new();
        // A Saturday morning; any would do.
        let now = Timestamp::from_second(1_795_257_600).unwrap_or(Timestamp::UNIX_EPOCH);
        let fresh = FRESH.get_or_init(|| {
            let mut store = Store::default();
            store.versioned = true;
            store.put(Bucket::System, &settings.template.key(), DEFAULT_TEXT.as_bytes(), now);
            store
        });
        let state = State {
            store: fresh.clone(),
            stacks: Stacks::default(),
            mails: Vec::new(),
            mail_works: true,
            now,
            effects: Vec::new(),
            asked: Vec::new(),
            spoil: None,
            faulted_effects: Vec::new(),
            answered: BTreeSet::new(),
            findings: Vec::new(),
            hidden_lookups: 0,
            lag: SignedDuration::ZERO,
            checks_removals: true,
            pages: Pages::SHORT,
            cache_lost: false,
            remembered: 0,
        };
        Self { state: Mutex::new(state), settings }
    }

    /// The state, to look at or to change otherwise than a function does.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held has failed the test already; the state is still worth seeing.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Spoils the how-manieth effect from now on.
    pub fn inject_fault(&self, nth: usize, when: FaultTiming) {
        let mut state = self.state();
        state.effects.clear();
        state.spoil = Some(InjectedFault { nth, when });
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.state().now
    }

    /// Lets time pass.
    pub fn wait(&self, seconds: i64) {
        let mut state = self.state();
        state.now += SignedDuration::from_secs(seconds);
    }
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()), settings: self.settings.clone() }
    }
}
