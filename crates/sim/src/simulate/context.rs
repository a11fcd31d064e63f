//! What all passes of one run share: the world, its clock, the fault plan, what is known to be true, and the log.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cf_core::effect::Effect;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::names::Cluster;
use cf_core::request::ETag;
pub use cf_core::settings::Function;
use cf_core::settings::Settings;
use jiff::{SignedDuration, Timestamp};
use strum::VariantArray;

use super::bug::Bug;
use super::dice::{Dice, named, under};
use super::fault_plan::{FaultKind, FaultPlan};
use super::oracle::Oracle;
use super::reasons::REASONS;
use super::trace;
use crate::cloudformation::StackBehaviour;
use crate::world::World;

/// The timeout of a function, in milliseconds (template.yaml).
pub const fn timeout(function: Function) -> i64 {
    match function {
        Function::Create | Function::Delete => 30_000,
        Function::Watch => 120_000,
    }
}

/// An effect that is on its way although nobody waits for its answer any more.
pub struct LateCall {
    /// When it arrives, in milliseconds.
    pub at: i64,
    /// What it does.
    pub effect: Effect,
    /// For which cluster it was sent.
    pub cluster: Option<Cluster>,
    /// The call that sent it.
    pub call: u64,
    /// When the look began that led to it, in milliseconds.
    pub round_began_at: i64,
}

/// What changes in the course of a run.
pub struct Inner {
    /// Milliseconds since its start.
    pub now: i64,
    /// Until then nothing goes wrong yet.
    pub faults_from: i64,
    /// From then on nothing goes wrong any more.
    pub faults_until: i64,
    /// What goes wrong.
    pub fault_plan: FaultPlan,
    /// Passes that want to be woken, when, and how.
    pub wakes: Vec<(i64, usize, Waker)>,
    /// Effects without anybody who waits for them.
    pub late_calls: Vec<LateCall>,
    /// The pass that is running has died.
    pub has_died: bool,
    /// What is known to be true.
    pub oracle: Oracle,
    /// The log, where it is kept.
    pub log: Option<Vec<String>>,
    /// Every effect without its words, where that is asked for.
    pub trace: Option<Vec<String>>,
}

/// The context of one run.
pub struct RunContext<'b> {
    /// The world.
    pub world: World,
    settings: Vec<Settings>,
    /// What one seed's dice say.
    pub dice: Dice,
    /// A planted bug.
    pub bug: Option<&'b dyn Bug>,
    start: Timestamp,
    inner: Mutex<Inner>,
}

impl<'b> RunContext<'b> {
    /// A context around a world.
    pub fn new(world: World, dice: Dice, bug: Option<&'b dyn Bug>, inner: Inner) -> Self {
        let each = |function: &Function| Settings { function: *function, ..world.settings.clone() };
        let settings = Function::VARIANTS.iter().map(each).collect();
        let start = world.now();
        Self { world, settings, dice, bug, start, inner: Mutex::new(inner) }
    }

    /// The settings of a function.
    pub fn settings(&self, function: Function) -> &Settings {
        &self.settings[function as usize]
    }

    /// What changes.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the clock.
    pub fn set_clock(&self, now: i64) {
        self.inner().now = now;
        self.world.state().now = self.start + SignedDuration::from_millis(now);
    }

    /// The time as the functions read it, in whole seconds.
    pub fn clock(&self) -> Timestamp {
        let now = self.world.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Whether this kind of fault strikes at this place.
    pub fn injects(&self, kind: FaultKind, place: u64) -> bool {
        let mut inner = self.inner();
        (inner.faults_from..inner.faults_until).contains(&inner.now) && inner.fault_plan.injects(kind, place)
    }

    /// Adds a line to the log, if it is kept.
    pub fn log(&self, line: impl FnOnce() -> String) {
        let mut inner = self.inner();
        let now = inner.now;
        if let Some(log) = &mut inner.log {
            log.push(format!("{:>7}.{:03}  {}", now / 1000, now % 1000, line()));
        }
    }

    /// Waits until a time.
    pub const fn until<'s>(&'s self, until: i64, task: usize) -> Sleep<'s, 'b> {
        Sleep { context: self, until, task, has_asked: false }
    }

    /// An effect arrives at AWS; it comes of a round that began at `round_began_at`.
    pub fn apply_at_aws(&self, effect: &Effect, call: u64, round_began_at: i64) -> Result<Option<ETag>, Fault> {
        let done = self.apply_untraced(effect, call, round_began_at);
        let mut inner = self.inner();
        let now = inner.now;
        if let Some(trace) = &mut inner.trace {
            trace.push(trace::line(now, effect, &done));
        }
        done
    }

    fn apply_untraced(&self, effect: &Effect, call: u64, round_began_at: i64) -> Result<Option<ETag>, Fault> {
        let refused = self.refusal(effect, call);
        if let Some(fault) = refused {
            return Err(fault);
        }
        let mut state = self.world.state();
        self.inner().oracle.before_effect(effect, round_began_at, &state);
        if let Effect::CreateStack(new) = effect {
            let place = under(named(new.name.as_str()), state.stacks.all().len() as u64);
            let said = usize::try_from(self.dice.below(under(place, 6), REASONS.len() as u64)).unwrap_or(0);
            state.stacks.next_words = Some(REASONS[said].words.to_owned());
            state.stacks.next_is_unreadable = self.injects(FaultKind::ListUnreadable, place);
            state.stacks.next_behaviour = self.behaviour(place);
        }
        let done = state.apply(effect, &self.world.settings);
        if done.is_ok() {
            self.inner().oracle.after_effect(effect);
        }
        done
    }

    /// What AWS says instead of doing it.
    fn refusal(&self, effect: &Effect, call: u64) -> Option<Fault> {
        let is_conditional = matches!(effect, Effect::WriteLedger { .. } | Effect::WriteStatus { .. } | Effect::WriteAnswer { .. });
        if is_conditional && self.injects(FaultKind::Conflict, call) {
            return Some(Fault::new(Kind::Conflict, Call::PutObject, "409 ConditionalRequestConflict"));
        }
        match effect {
            Effect::CreateStack(_) if self.injects(FaultKind::LimitReached, call) => {
                Some(Fault::new(Kind::Rejected, Call::CreateStack, "LimitExceededException: Limit for stack has been exceeded"))
            }
            Effect::SendMail(_) if self.injects(FaultKind::MailRefused, call) => {
                Some(Fault::new(Kind::Retry, Call::SendEmail, "Throttling: Daily message quota exceeded"))
            }
            _ => None,
        }
    }

    fn behaviour(&self, place: u64) -> StackBehaviour {
        [
            (FaultKind::StackFails, StackBehaviour::Fails),
            (FaultKind::StackHangs, StackBehaviour::Hangs),
            (FaultKind::NoLogin, StackBehaviour::NoLogin),
            (FaultKind::DeleteFails, StackBehaviour::DeleteFails),
            (FaultKind::RollbackFails, StackBehaviour::RollbackFails),
        ]
        .into_iter()
        .find_map(|(kind, behaviour)| self.injects(kind, place).then_some(behaviour))
        .unwrap_or_default()
    }
}

/// A wait for a time on the virtual clock.
pub struct Sleep<'s, 'b> {
    context: &'s RunContext<'b>,
    until: i64,
    task: usize,
    has_asked: bool,
}

impl Future for Sleep<'_, '_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.context.inner();
        if inner.now >= self.until {
            return Poll::Ready(());
        }
        if !self.has_asked {
            inner.wakes.push((self.until, self.task, context.waker().clone()));
            drop(inner);
            self.has_asked = true;
        }
        Poll::Pending
    }
}
