//! One run, from its seed to its end: a queue of things that happen, each at its time, until nothing moves any more.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cf_core::effect::Effect;
use cf_core::fault::{Call, Fault};
use cf_core::key::Verb;
use cf_core::reconcile::{Outcome, Wake};
use cf_core::testing;

use super::bug::Bug;
use super::context::{Function, Inner, LateCall, RunContext, timeout};
use super::delivery::{Delivery, Queue, handle};
use super::dice::{Dice, under};
use super::event_queue::{EventQueue, ScheduledEvent};
use super::fault_plan::{FaultKind, FaultPlan};
use super::oracle::{End, Oracle};
use super::run_settings::{Report, RunSettings};
use super::script::{Line, Script, USERS};
use super::{nodes, steps};
use crate::build;
use crate::cloud::{Cloud, Event};
use crate::finding::{Finding, FindingKind};
use crate::s3::Bucket;
use crate::world::World;

type Running<'s> = Pin<Box<dyn Future<Output = Result<Vec<Outcome>, Fault>> + 's>>;

struct Task<'s> {
    running: Running<'s>,
    delivery: Delivery,
}

/// Sweeps are five minutes apart.
const SWEEP: i64 = 300_000;
/// After the faults have ended, and while nothing else moves, so many sweeps must do.
const SWEEPS_MAX: usize = 2;
/// A run that is not at rest after so many sweeps never will be.
const TICKS_MAX: u64 = 400;

/// Runs a seed.
pub fn run(setting: &RunSettings<'_>) -> Report {
    run_script(setting, &Script::write(setting.seed))
}

/// Runs a script under a seed's fault plan.
pub(super) fn run_script(setting: &RunSettings<'_>, script: &Script) -> Report {
    let dice = Dice::new(setting.seed);
    let (world, events) = beginning(setting, script);
    let last = script.lines.iter().map(|line| line.at).max().unwrap_or(0);
    let faults_until = last + 60_000 + i64::try_from(dice.below(under(7, 7), 600_000)).unwrap_or(0);
    let inner = Inner {
        now: 0,
        faults_from: setting.faults_from,
        faults_until: if setting.without_faults { 0 } else { faults_until },
        fault_plan: FaultPlan::new(setting.seed, setting.skipped_faults.clone(), &setting.rates),
        wakes: Vec::new(),
        late_calls: Vec::new(),
        has_died: false,
        oracle: Oracle::new(setting.start.is_some()),
        log: setting.keeps_log.then(Vec::new),
        trace: setting.traces.then(Vec::new),
    };
    let context = RunContext::new(world, dice, setting.bug, inner);
    let mut run = Run::new(&context, script);
    run.begin(setting, events);
    run.go();
    run.report()
}

/// An empty deployment with everybody's profile, or the world of a start with the events that are on their way in it.
fn beginning(setting: &RunSettings<'_>, script: &Script) -> (World, Vec<Event>) {
    let (cloud, events) = match &setting.start {
        Some(start) => build::world(start, script.is_versioned),
        None => (Cloud::new(testing::settings()), Vec::new()),
    };
    let cloud = USERS.iter().fold(cloud, |cloud, user| cloud.with_profile(user));
    cloud.world.state().store.versioned = script.is_versioned;
    cloud.world.state().checks_removals = false;
    cloud.world.wait(30);
    (cloud.world, events)
}

/// A run under way.
pub(super) struct Run<'s, 'b> {
    pub(super) context: &'s RunContext<'b>,
    script: &'s Script,
    queue: EventQueue,
    tasks: Vec<Option<Task<'s>>>,
    /// Running functions, events on their way, and stacks in motion: while there are any, the world is not quiet.
    running: usize,
    arriving: usize,
    pub(super) moving: usize,
    parked: Vec<Delivery>,
    pub(super) report: Report,
    is_over: bool,
}

impl<'s, 'b> Run<'s, 'b> {
    fn new(context: &'s RunContext<'b>, script: &'s Script) -> Self {
        Self {
            context,
            script,
            queue: EventQueue::default(),
            tasks: Vec::new(),
            running: 0,
            arriving: 0,
            moving: 0,
            parked: Vec::new(),
            report: Report::default(),
            is_over: false,
        }
    }

    fn begin(&mut self, setting: &RunSettings<'_>, events: Vec<Event>) {
        self.report.lines = self.script.lines.len();
        for nth in (0..self.script.lines.len()).filter(|nth| !setting.left_out.contains(nth)) {
            self.at(self.script.lines[nth].at, ScheduledEvent::ScriptStep(nth));
        }
        if self.context.bug.is_none_or(Bug::sweeps) {
            self.at(SWEEP, ScheduledEvent::Sweep(1));
        }
        {
            let state = self.context.world.state();
            let keys: Vec<String> = state.store.list(Bucket::User, "").map(|(key, _)| key.clone()).collect();
            let mut inner = self.context.inner();
            keys.iter().filter(|k| Verb::ALL.iter().any(|v| k.ends_with(v.suffix()))).for_each(|k| inner.oracle.put(k, None, &state));
        }
        for (nth, event) in events.into_iter().enumerate() {
            let key = under(0xE0, nth as u64);
            match event {
                Event::Upload(at) => self.emit_upload_event(at, key),
                Event::Stack(id) => self.emit(Wake::Stack(id), Function::Watch, Queue::Lambda, key),
                Event::Report(at) => self.emit(Wake::Report(at), Function::Watch, Queue::Reports, key),
                Event::Sweep => self.emit(Wake::Sweep, Function::Watch, Queue::Lambda, key),
            }
        }
        self.context.world.state().stacks.turned.clear();
        let stacks = self.context.world.state().stacks.all().len();
        (0..stacks).for_each(|nth| self.schedule_transition(nth));
    }

    pub(super) fn at(&mut self, at: i64, what: ScheduledEvent) {
        self.queue.at(at, what);
    }

    pub(super) fn now(&self) -> i64 {
        self.context.inner().now
    }

    pub(super) fn below(&self, key: u64, most: u64) -> i64 {
        i64::try_from(self.context.dice.below(key, most)).unwrap_or(0)
    }

    fn go(&mut self) {
        while let Some((at, what)) = self.queue.next() {
            self.context.set_clock(at);
            self.context.inner().oracle.set_clock(at);
            match what {
                ScheduledEvent::ScriptStep(nth) => {
                    let Line { step, .. } = self.script.lines[nth].clone();
                    steps::carry_out(self, &step, under(0xD0, nth as u64));
                }
                ScheduledEvent::Delivery(delivery) => self.arrive(*delivery),
                ScheduledEvent::WakeTask(task, waker) => {
                    waker.wake();
                    self.poll(task);
                }
                ScheduledEvent::Timeout(task) => self.time_out(task),
                ScheduledEvent::StackTransition(nth, from) => self.move_stack(nth, from),
                ScheduledEvent::NodeWrites(nth, key) => nodes::write(self, nth, key),
                ScheduledEvent::LateCall(late_call) => self.apply_at_aws(&late_call),
                ScheduledEvent::Sweep(nth) => self.tick(nth),
            }
            self.schedule_pending();
            if self.is_over || !self.context.inner().oracle.findings.is_empty() {
                return;
            }
        }
    }

    /// What the last happening has set in motion.
    fn schedule_pending(&mut self) {
        let (wakes, late_calls) = {
            let mut inner = self.context.inner();
            (std::mem::take(&mut inner.wakes), std::mem::take(&mut inner.late_calls))
        };
        for (at, task, waker) in wakes {
            self.at(at, ScheduledEvent::WakeTask(task, waker));
        }
        for late_call in late_calls {
            self.at(late_call.at, ScheduledEvent::LateCall(Box::new(late_call)));
        }
        let turned = std::mem::take(&mut self.context.world.state().stacks.turned);
        for nth in &turned {
            self.emit_stack_event(*nth);
        }
        if !turned.is_empty() {
            self.context.inner().oracle.watch_stacks(&self.context.world.state(), &self.context.world.settings);
        }
    }

    // ---- events

    /// S3 reports an upload: at least once, so its event may be late and doubled, never lost.
    pub(super) fn emit_upload_event(&mut self, at: String, key: u64) {
        let verb = Verb::ALL.into_iter().find(|verb| at.ends_with(verb.suffix()));
        let to = verb.map_or(Function::Create, |verb| verb.spec().function);
        self.emit(Wake::Upload(at), to, Queue::Lambda, key);
    }

    pub(super) fn emit(&mut self, work: Wake, to: Function, queue: Queue, key: u64) {
        let context = self.context;
        if matches!(work, Wake::Stack(_)) && context.injects(FaultKind::EventLost, key) {
            context.log(|| "EventBridge loses an event of a stack".into());
            return;
        }
        let mut wait = 30 + self.below(under(key, 1), 1_500) + if matches!(queue, Queue::Progress | Queue::Reports) { 10_000 } else { 0 };
        if context.injects(FaultKind::EventLate, key) {
            wait += match context.dice.below(under(key, 2), 10) {
                0..=6 => self.below(under(key, 3), 60_000),
                7..=8 => self.below(under(key, 3), 600_000),
                _ => self.below(under(key, 3), 3_600_000),
            };
        }
        let at = self.now() + wait;
        if context.injects(FaultKind::EventDoubled, key) {
            let again = Delivery { work: work.clone(), to, queue, tries: 0, faults: 0, key: under(key, 77) };
            self.expect(at + self.below(under(key, 4), 120_000), again);
        }
        self.expect(at, Delivery { work, to, queue, tries: 0, faults: 0, key });
    }

    fn expect(&mut self, at: i64, delivery: Delivery) {
        self.arriving += 1;
        self.at(at, ScheduledEvent::Delivery(Box::new(delivery)));
    }

    fn arrive(&mut self, mut delivery: Delivery) {
        self.arriving -= 1;
        if self.context.injects(FaultKind::EventThrottled, delivery.key) {
            delivery.key = under(delivery.key, 5);
            let at = self.now() + 1_000 + self.below(under(delivery.key, 6), 300_000);
            self.expect(at, delivery);
            return;
        }
        let (task, context) = (self.tasks.len(), self.context);
        context.log(|| format!("{} wakes for {}", delivery.to.name(), delivery.shown()));
        let running: Running<'s> = Box::pin(handle(context, task, delivery.clone()));
        self.at(self.now() + timeout(delivery.to), ScheduledEvent::Timeout(task));
        self.tasks.push(Some(Task { running, delivery }));
        self.running += 1;
        self.poll(task);
    }

    // ---- functions

    fn poll(&mut self, nth: usize) {
        let Some(task) = self.tasks.get_mut(nth).and_then(Option::as_mut) else { return };
        let polled = task.running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let has_died = std::mem::take(&mut self.context.inner().has_died);
        match polled {
            Poll::Pending if !has_died => {}
            Poll::Pending => self.end(nth, Err(None)),
            Poll::Ready(ended) => self.end(nth, ended.map_err(Some)),
        }
    }

    fn time_out(&mut self, nth: usize) {
        if self.tasks[nth].is_some() {
            self.end(nth, Err(None));
        }
    }

    /// A function has ended; without a fault, because it died or its time was over.
    fn end(&mut self, nth: usize, ended: Result<Vec<Outcome>, Option<Fault>>) {
        let Some(Task { running, mut delivery }) = self.tasks[nth].take() else { return };
        drop(running);
        self.running -= 1;
        match ended {
            Ok(outcomes) => {
                self.report.passes += outcomes.len();
                self.report.situations.extend(outcomes.iter().flat_map(|o| o.plans.iter().map(|plan| plan.situation)));
                for plan in outcomes.iter().flat_map(|o| &o.plans) {
                    self.context.log(|| format!("  {} had decided: {} -> {:?}", delivery.to.name(), plan.situation, plan.action));
                }
            }
            Err(fault) => {
                let why = || fault.as_ref().map_or_else(|| "it died, or its time was over".to_owned(), ToString::to_string);
                self.context.log(|| format!("{} fails ({}): {}", delivery.to.name(), delivery.shown(), why()));
                delivery.faults += u64::from(fault.as_ref().is_none_or(|fault| fault.call != Call::Pass));
                let now = self.now();
                match (delivery.clone().again(), &delivery.work) {
                    (Some((wait, again)), _) => self.expect(now + wait, again),
                    // Nobody redrives it.
                    (None, Wake::Report(key)) if delivery.queue == Queue::Reports => nodes::give_up(self, key, delivery.faults),
                    (None, _) => self.parked.push(delivery),
                }
            }
        }
    }

    fn apply_at_aws(&mut self, LateCall { effect, cluster, call, round_began_at, .. }: &LateCall) {
        let done = self.context.apply_at_aws(effect, *call, *round_began_at);
        self.context.log(|| format!("(arrives late) {effect}{}", done.err().map(|f| format!(" -> {f}")).unwrap_or_default()));
        if let (Effect::CreateStack(_), Some(cluster)) = (effect, cluster) {
            self.context.inner().oracle.end_flight(cluster, *call);
        }
    }

    // ---- the clock

    fn tick(&mut self, nth: u64) {
        let now = self.now();
        let without_faults = now >= self.context.inner().faults_until;
        if without_faults {
            // An administrator looks at the alarm, and redrives.
            for mut delivery in std::mem::take(&mut self.parked) {
                delivery =
                    Delivery { tries: 0, faults: 0, queue: Queue::Failures, to: Function::Watch, key: under(delivery.key, 99), ..delivery };
                self.expect(now + 1, delivery);
            }
            if self.is_at_rest(nth) {
                self.is_over = true;
                return;
            }
        }
        let key = under(0x7C, nth);
        if self.context.injects(FaultKind::SweepMissed, key) {
            self.context.log(|| "a sweep does not come".into());
        } else {
            self.emit(Wake::Sweep, Function::Watch, Queue::Lambda, key);
        }
        self.at(now + SWEEP, ScheduledEvent::Sweep(nth + 1));
    }

    /// Asked before each sweep, once the faults are over.
    fn is_at_rest(&mut self, tick: u64) -> bool {
        let is_quiet = self.running == 0 && self.arriving == 0 && self.moving == 0;
        let owed = if is_quiet { self.findings_at_rest() } else { vec![Finding::new(FindingKind::Restless, "something still moves")] };
        let log = || format!("before the sweep: {}", owed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        self.context.log(log);
        if owed.is_empty() {
            return true;
        }
        self.report.sweeps = if is_quiet { self.report.sweeps + 1 } else { 0 };
        let is_too_long = self.report.sweeps > SWEEPS_MAX || tick > TICKS_MAX;
        if is_too_long {
            self.report.findings.extend(owed);
        }
        is_too_long
    }

    /// What is wrong in a world where nothing moves.
    fn findings_at_rest(&self) -> Vec<Finding> {
        let mut wrong = self.context.world.findings_at_rest();
        let state = self.context.world.state();
        wrong.extend(self.context.inner().oracle.check_last_requests(&state, &self.context.world.settings));
        wrong.extend(self.context.inner().oracle.check_reports_shown(&state, &self.context.world.settings));
        wrong
    }

    fn report(mut self) -> Report {
        let mut inner = self.context.inner();
        self.report.findings.splice(0..0, inner.oracle.findings.drain(..));
        if !self.is_over && self.report.findings.is_empty() {
            // Only where nothing sweeps.
            drop(inner);
            self.report.findings = self.findings_at_rest();
            inner = self.context.inner();
        }
        self.report.uploads = inner.oracle.puts.len();
        self.report.injected = std::mem::take(&mut inner.fault_plan.injected);
        self.report.is_shared = self.script.users > 1 || inner.oracle.puts.iter().any(|p| matches!(p.end, End::Withdrawn { .. }));
        self.report.log = inner.log.take().unwrap_or_default();
        self.report.trace = inner.trace.take().unwrap_or_default();
        drop(inner);
        self.report
    }
}
