//! One pass's way to the world: every call takes its time, and may be lost, throttled, answered too late or not at all; and
//! the function may die before or after it.

use std::any::Any;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::names::Cluster;
use cf_core::observe::RunQuery;
use cf_core::observe::query::{ListEvents, ListFolder, ListStacks, ReadLedger, ReadReport, StackById, StackByName};
use cf_core::request::ETag;
use jiff::SignedDuration;

use super::context::{Function, LateCall, RunContext};
use super::dice::under;
use super::fault_plan::FaultKind;
use crate::calls::Lookup;
use crate::touch::Asked;

/// One pass of one function.
pub struct Caller<'s, 'b> {
    /// Where it acts.
    pub context: &'s RunContext<'b>,
    /// Which of the running functions it belongs to.
    pub task: usize,
    /// Which function that is.
    pub function: Function,
    /// The cluster that it is about; none for what is no request, and for the sweep itself.
    pub cluster: Option<Cluster>,
    /// Whether a node's report woke it.
    pub is_of_reports: bool,
    key: u64,
    /// How many reports the look in hand has read.
    reports: AtomicUsize,
    calls: AtomicU64,
    round_began_at: AtomicI64,
    /// When the look in hand saw the files of each of the cluster's places.
    listed: Mutex<Vec<(String, i64)>>,
    held: Mutex<Vec<Effect>>,
}

/// The SDK gives a call up after so many milliseconds (cf-aws, client).
const GIVEN_UP_AFTER: i64 = 10_000;
/// A call that was given up, or whose caller has died, arrives at the latest so many milliseconds after it was sent.
const ON_ITS_WAY_MAX: u64 = 30_000;

fn transient(why: &str) -> Fault {
    Fault::new(Kind::Retry, Call::Unnamed, why)
}

impl<'s, 'b> Caller<'s, 'b> {
    /// A pass; `key` tells its dice apart from all others'.
    pub fn new(context: &'s RunContext<'b>, task: usize, function: Function, cluster: Option<Cluster>, key: u64) -> Self {
        let (calls, round_began_at) = (AtomicU64::new(0), AtomicI64::new(0));
        let (listed, held, reports) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicUsize::new(0));
        Self { context, task, function, cluster, is_of_reports: false, key, reports, calls, round_began_at, listed, held }
    }

    fn call(&self) -> u64 {
        under(self.key, self.calls.fetch_add(1, Ordering::Relaxed))
    }

    async fn wait(&self, milliseconds: i64) {
        let until = self.context.inner().now + milliseconds;
        self.context.until(until, self.task).await;
    }

    fn below(&self, call: u64, part: u64, most: u64) -> i64 {
        i64::try_from(self.context.dice.below(under(call, part), most)).unwrap_or(0)
    }

    /// When the look in hand saw the files that an answer is written beside.
    fn listed_at(&self, effect: &Effect) -> Option<i64> {
        let Effect::WriteAnswer { key, .. } = effect else { return None };
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.iter().find(|(stem, _)| key.strip_prefix(stem.as_str()).is_some_and(|rest| !rest.contains('/'))).map(|(_, at)| *at)
    }

    async fn die(&self) {
        self.context.log(|| format!("{} dies", self.function.name()));
        self.context.inner().has_died = true;
        std::future::pending::<()>().await;
    }

    /// The way to AWS: an error where the call does not arrive.
    async fn go(&self, call: u64, what: &(impl Fn() -> String + Sync)) -> Result<(), Fault> {
        if self.context.injects(FaultKind::DiedBefore, call) {
            self.die().await;
        }
        self.wait(3 + self.below(call, 1, 25)).await;
        if self.context.injects(FaultKind::Slow, call) {
            self.wait(500 + self.below(call, 2, 8_000)).await;
        }
        let lost = [
            (FaultKind::CallLost, "the connection broke"),
            (FaultKind::Throttled, "Throttling: Rate exceeded"),
            (FaultKind::ServerError, "500 InternalError"),
        ];
        for (kind, why) in lost {
            if self.context.injects(kind, call) {
                self.context.log(|| format!("{}: {} -> {why}", self.function.name(), what()));
                return Err(transient(why));
            }
        }
        Ok(())
    }

    /// The way back.
    async fn come_back(&self, call: u64, what: &(impl Fn() -> String + Sync)) -> Result<(), Fault> {
        if self.context.injects(FaultKind::DiedAfter, call) {
            self.die().await;
        }
        if self.context.injects(FaultKind::AnswerLost, call) {
            self.context.log(|| format!("{}: the answer to \"{}\" is lost", self.function.name(), what()));
            return Err(transient("no answer came"));
        }
        Ok(())
    }

    async fn do_one(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let call = self.call();
        let what = || effect.to_string();
        let round_began_at = self.round_began_at.load(Ordering::Relaxed);
        {
            let state = self.context.world.state();
            let times = (round_began_at, self.listed_at(effect).unwrap_or(round_began_at));
            let mut inner = self.context.inner();
            inner.oracle.check_effect(effect, self.cluster.as_ref(), times, &state, &self.context.world.settings);
            if self.is_of_reports {
                inner.oracle.check_report_pass(effect, &state);
            }
        }
        let mut flight = CallInFlight::begin(self, effect, call, round_began_at);
        if let Err(fault) = self.go(call, &what).await {
            flight.end();
            return Err(fault);
        }
        if self.context.injects(FaultKind::CallTimedOut, call) {
            self.context.log(|| format!("{}: \"{}\" gets no answer in time", self.function.name(), what()));
            flight.late_call();
            self.wait(GIVEN_UP_AFTER).await;
            return Err(transient("timed out"));
        }
        flight.end();
        let done = self.context.apply_at_aws(effect, call, round_began_at);
        self.context.log(|| match &done {
            Ok(_) => format!("{}: {effect}", self.function.name()),
            Err(fault) => format!("{}: {effect} -> {fault}", self.function.name()),
        });
        self.come_back(call, &what).await?;
        done
    }
}

/// A call on its way. Where its function dies meanwhile, it may arrive all the same.
struct CallInFlight<'h, 's, 'b> {
    caller: &'h Caller<'s, 'b>,
    effect: Option<&'h Effect>,
    call: u64,
    round_began_at: i64,
    sent: i64,
}

impl<'h, 's, 'b> CallInFlight<'h, 's, 'b> {
    fn begin(caller: &'h Caller<'s, 'b>, effect: &'h Effect, call: u64, round_began_at: i64) -> Self {
        let mut inner = caller.context.inner();
        if let Effect::CreateStack(_) = effect {
            caller.cluster.iter().for_each(|cluster| inner.oracle.begin_flight(cluster, call));
        }
        Self { caller, effect: Some(effect), call, round_began_at, sent: inner.now }
    }

    /// It has arrived, or never will.
    fn end(&mut self) {
        if let (Some(Effect::CreateStack(_)), Some(cluster)) = (self.effect.take(), &self.caller.cluster) {
            self.caller.context.inner().oracle.end_flight(cluster, self.call);
        }
    }

    /// Nobody waits for it any more.
    fn late_call(&mut self) {
        let Some(effect) = self.effect.take() else { return };
        let context = self.caller.context;
        let delay = i64::try_from(context.dice.below(under(self.call, 3), ON_ITS_WAY_MAX)).unwrap_or(0);
        let mut inner = context.inner();
        let at = (self.sent + delay).max(inner.now + 1);
        let cluster = self.caller.cluster.clone();
        inner.late_calls.push(LateCall { at, effect: effect.clone(), cluster, call: self.call, round_began_at: self.round_began_at });
    }
}

impl Drop for CallInFlight<'_, '_, '_> {
    fn drop(&mut self) {
        let arrives = self.caller.context.dice.below(under(self.call, 4), 2) == 0;
        if arrives && self.caller.context.inner().now > self.sent {
            self.late_call();
        }
        self.end();
    }
}

impl<Q: Lookup> RunQuery<Q> for Caller<'_, '_> {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        let seen = self.see(query.clone()).await;
        if let Err(fault) = &seen {
            if let Some(events) = (&query as &dyn Any).downcast_ref::<ListEvents>() {
                self.context.inner().oracle.unread.insert(events.stack.clone());
            }
            if self.context.bug.is_some_and(|bug| bug.gives_back(&query, fault)) {
                self.die().await;
            }
        }
        seen
    }
}

impl Caller<'_, '_> {
    async fn see<Q: Lookup>(&self, query: Q) -> Result<Q::Output, Fault> {
        let (call, kind) = (self.call(), Asked::of(&query));
        if kind.is::<ReadLedger>() {
            // Every look begins with it.
            self.round_began_at.store(self.context.inner().now, Ordering::Relaxed);
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.reports.store(0, Ordering::Relaxed);
        }
        if kind.is::<ReadReport>() {
            let read = self.reports.fetch_add(1, Ordering::Relaxed) + 1;
            let state = self.context.world.state();
            self.context.inner().oracle.check_reads(read, self.cluster.as_ref(), &state, &self.context.world.settings);
        }
        let what = || format!("{query:?}");
        self.go(call, &what).await?;
        let is_stack = kind.is::<StackByName>() || kind.is::<StackById>() || kind.is::<ListStacks>();
        let is_blind = kind.is::<StackByName>() && self.context.injects(FaultKind::StackNotVisible, call);
        // Whatever else lies there takes up the page.
        let is_long = kind.is::<ListFolder>() && self.context.injects(FaultKind::ListingTruncated, call);
        let is_stale = is_stack && self.context.injects(FaultKind::StackStatusStale, call);
        // For seconds after a change DescribeStacks may show what was (facts: read-after-write).
        let lag = match (is_blind, is_stale) {
            (true, _) => 8_000,
            (false, true) => 200 + self.below(call, 5, 5_000),
            (false, false) => 0,
        };
        let mut answer = {
            let mut state = self.context.world.state();
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
            let now = self.context.inner().now;
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).push((kind.touches, now));
        }
        self.come_back(call, &what).await?;
        if let Some(bug) = self.context.bug {
            bug.sees(&query, &mut answer, self.context.clock());
        }
        Ok(answer)
    }
}

impl Execute for Caller<'_, '_> {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let Some(bug) = self.context.bug else { return self.do_one(effect).await };
        let instead = {
            let state = self.context.world.state();
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
