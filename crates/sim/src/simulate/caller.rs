//! One pass's way to the world: every call takes its time, and may be lost, throttled, answered too late or not at all; and
//! the function may die before or after it.

use std::any::Any;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::{Fault, Kind};
use cf_core::names::Cluster;
use cf_core::observe::Answers;
use cf_core::observe::query::{ListEvents, ListFolder, ListStacks, ReadLedger, StackById, StackByName};
use cf_core::request::ETag;
use jiff::SignedDuration;

use super::dice::under;
use super::fault_plan::FaultKind;
use super::stage::{Function, Orphan, Stage};
use crate::calls::Lookup;
use crate::touch::Asked;

/// One pass of one function.
pub struct Caller<'s, 'b> {
    /// Where it acts.
    pub stage: &'s Stage<'b>,
    /// Which of the running functions it belongs to.
    pub task: usize,
    /// Which function that is.
    pub function: Function,
    /// The cluster that it is about; none for what is no request, and for the sweep itself.
    pub cluster: Option<Cluster>,
    key: u64,
    calls: AtomicU64,
    looked_at: AtomicI64,
    /// When the look in hand saw the files of each of the cluster's places.
    listed: Mutex<Vec<(String, i64)>>,
    held: Mutex<Vec<Effect>>,
}

/// The SDK gives a call up after so many milliseconds (cf-aws, client).
const GIVEN_UP_AFTER: i64 = 10_000;
/// A call that was given up, or whose caller has died, arrives at the latest so many milliseconds after it was sent.
const ON_ITS_WAY_MAX: u64 = 30_000;

fn transient(why: &str) -> Fault {
    Fault::new(Kind::Retry, "the call", why)
}

impl<'s, 'b> Caller<'s, 'b> {
    /// A pass; `key` tells its dice apart from all others'.
    pub const fn new(stage: &'s Stage<'b>, task: usize, function: Function, cluster: Option<Cluster>, key: u64) -> Self {
        let (calls, looked_at) = (AtomicU64::new(0), AtomicI64::new(0));
        Self { stage, task, function, cluster, key, calls, looked_at, listed: Mutex::new(Vec::new()), held: Mutex::new(Vec::new()) }
    }

    fn call(&self) -> u64 {
        under(self.key, self.calls.fetch_add(1, Ordering::Relaxed))
    }

    async fn wait(&self, milliseconds: i64) {
        let until = self.stage.inner().now + milliseconds;
        self.stage.until(until, self.task).await;
    }

    fn below(&self, call: u64, part: u64, most: u64) -> i64 {
        i64::try_from(self.stage.dice.below(under(call, part), most)).unwrap_or(0)
    }

    /// When the look in hand saw the files that an answer is written beside.
    fn listed_at(&self, effect: &Effect) -> Option<i64> {
        let Effect::WriteAnswer { key, .. } = effect else { return None };
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.iter().find(|(stem, _)| key.strip_prefix(stem.as_str()).is_some_and(|rest| !rest.contains('/'))).map(|(_, at)| *at)
    }

    async fn die(&self) {
        self.stage.tell(|| format!("{} dies", self.function.name()));
        self.stage.inner().has_died = true;
        std::future::pending::<()>().await;
    }

    /// The way to AWS: an error where the call does not arrive.
    async fn go(&self, call: u64, what: &(impl Fn() -> String + Sync)) -> Result<(), Fault> {
        if self.stage.strikes(FaultKind::DiedBefore, call) {
            self.die().await;
        }
        self.wait(3 + self.below(call, 1, 25)).await;
        if self.stage.strikes(FaultKind::Slow, call) {
            self.wait(500 + self.below(call, 2, 8_000)).await;
        }
        let lost = [
            (FaultKind::CallLost, "the connection broke"),
            (FaultKind::Throttled, "Throttling: Rate exceeded"),
            (FaultKind::ServerError, "500 InternalError"),
        ];
        for (kind, why) in lost {
            if self.stage.strikes(kind, call) {
                self.stage.tell(|| format!("{}: {} -> {why}", self.function.name(), what()));
                return Err(transient(why));
            }
        }
        Ok(())
    }

    /// The way back.
    async fn come_back(&self, call: u64, what: &(impl Fn() -> String + Sync)) -> Result<(), Fault> {
        if self.stage.strikes(FaultKind::DiedAfter, call) {
            self.die().await;
        }
        if self.stage.strikes(FaultKind::AnswerLost, call) {
            self.stage.tell(|| format!("{}: the answer to \"{}\" is lost", self.function.name(), what()));
            return Err(transient("no answer came"));
        }
        Ok(())
    }

    async fn do_one(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let call = self.call();
        let what = || effect.to_string();
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        {
            let state = self.stage.world.state();
            let times = (looked_at, self.listed_at(effect).unwrap_or(looked_at));
            self.stage.inner().oracle.says(effect, self.cluster.as_ref(), times, &state, &self.stage.world.settings);
        }
        let mut flight = Flight::begin(self, effect, call, looked_at);
        if let Err(fault) = self.go(call, &what).await {
            flight.end();
            return Err(fault);
        }
        if self.stage.strikes(FaultKind::GaveUp, call) {
            self.stage.tell(|| format!("{}: \"{}\" gets no answer in time", self.function.name(), what()));
            flight.orphan();
            self.wait(GIVEN_UP_AFTER).await;
            return Err(transient("timed out"));
        }
        flight.end();
        let done = self.stage.land(effect, call, looked_at);
        self.stage.tell(|| match &done {
            Ok(_) => format!("{}: {effect}", self.function.name()),
            Err(fault) => format!("{}: {effect} -> {fault}", self.function.name()),
        });
        self.come_back(call, &what).await?;
        done
    }
}

/// A call on its way. Where its function dies meanwhile, it may arrive all the same.
struct Flight<'h, 's, 'b> {
    caller: &'h Caller<'s, 'b>,
    effect: Option<&'h Effect>,
    call: u64,
    looked_at: i64,
    sent: i64,
}

impl<'h, 's, 'b> Flight<'h, 's, 'b> {
    fn begin(caller: &'h Caller<'s, 'b>, effect: &'h Effect, call: u64, looked_at: i64) -> Self {
        let mut inner = caller.stage.inner();
        if let Effect::CreateStack(_) = effect {
            caller.cluster.iter().for_each(|cluster| inner.oracle.begin_flight(cluster, call));
        }
        Self { caller, effect: Some(effect), call, looked_at, sent: inner.now }
    }

    /// It has arrived, or never will.
    fn end(&mut self) {
        if let (Some(Effect::CreateStack(_)), Some(cluster)) = (self.effect.take(), &self.caller.cluster) {
            self.caller.stage.inner().oracle.end_flight(cluster, self.call);
        }
    }

    /// Nobody waits for it any more.
    fn orphan(&mut self) {
        let Some(effect) = self.effect.take() else { return };
        let stage = self.caller.stage;
        let delay = i64::try_from(stage.dice.below(under(self.call, 3), ON_ITS_WAY_MAX)).unwrap_or(0);
        let mut inner = stage.inner();
        let at = (self.sent + delay).max(inner.now + 1);
        let cluster = self.caller.cluster.clone();
        inner.orphans.push(Orphan { at, effect: effect.clone(), cluster, call: self.call, looked_at: self.looked_at });
    }
}

impl Drop for Flight<'_, '_, '_> {
    fn drop(&mut self) {
        let arrives = self.caller.stage.dice.below(under(self.call, 4), 2) == 0;
        if arrives && self.caller.stage.inner().now > self.sent {
            self.orphan();
        }
        self.end();
    }
}

impl<Q: Lookup> Answers<Q> for Caller<'_, '_> {
    async fn ask(&self, query: Q) -> Result<Q::Answer, Fault> {
        let seen = self.see(query.clone()).await;
        if let Err(fault) = &seen {
            if let Some(events) = (&query as &dyn Any).downcast_ref::<ListEvents>() {
                self.stage.inner().oracle.unread.insert(events.stack.clone());
            }
            if self.stage.bug.is_some_and(|bug| bug.gives_back(&query, fault)) {
                self.die().await;
            }
        }
        seen
    }
}

impl Caller<'_, '_> {
    async fn see<Q: Lookup>(&self, query: Q) -> Result<Q::Answer, Fault> {
        let (call, kind) = (self.call(), Asked::of(&query));
        if kind.is::<ReadLedger>() {
            // Every look begins with it.
            self.looked_at.store(self.stage.inner().now, Ordering::Relaxed);
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let what = || format!("{query:?}");
        self.go(call, &what).await?;
        let is_stack = kind.is::<StackByName>() || kind.is::<StackById>() || kind.is::<ListStacks>();
        let is_blind = kind.is::<StackByName>() && self.stage.strikes(FaultKind::LookBlind, call);
        // Whatever else lies there takes up the page.
        let is_long = kind.is::<ListFolder>() && self.stage.strikes(FaultKind::ListingLong, call);
        let is_stale = is_stack && self.stage.strikes(FaultKind::LookStale, call);
        // For seconds after a change DescribeStacks may show what was (facts: read-after-write).
        let lag = match (is_blind, is_stale) {
            (true, _) => 8_000,
            (false, true) => 200 + self.below(call, 5, 5_000),
            (false, false) => 0,
        };
        let mut answer = {
            let mut state = self.stage.world.state();
            state.lag = SignedDuration::from_millis(lag);
            let pages = state.pages;
            if is_long {
                state.pages.files = 1;
            }
            let answer = query.clone().look_up(&mut state);
            (state.lag, state.pages) = (SignedDuration::ZERO, pages);
            answer
        }?;
        if kind.is::<ListFolder>() {
            let now = self.stage.inner().now;
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).push((kind.touches, now));
        }
        self.come_back(call, &what).await?;
        if let Some(bug) = self.stage.bug {
            bug.sees(&query, &mut answer, self.stage.clock());
        }
        Ok(answer)
    }
}

impl Execute for Caller<'_, '_> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let Some(bug) = self.stage.bug else { return self.do_one(effect).await };
        let instead = {
            let state = self.stage.world.state();
            bug.does(effect, &state, &mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let mut done = Ok(None);
        for one in &instead {
            let ended = self.do_one(one).await;
            if std::mem::discriminant(one) == std::mem::discriminant(effect) || ended.is_err() {
                done = ended;
            }
            if done.is_err() {
                break;
            }
        }
        done
    }
}
