//! One run, from its seed to its end: a queue of things that happen, each at its time, until nothing moves any more.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cf_core::effect::Effect;
use cf_core::fault::Fault;
use cf_core::key::Verb;
use cf_core::reconcile::{Outcome, Wake};
use cf_core::testing;

use super::agenda::{Agenda, Happening};
use super::bug::Bug;
use super::dice::{Dice, under};
use super::fault_plan::{FaultKind, FaultPlan};
use super::oracle::{End, Oracle};
use super::run_settings::{Report, RunSettings};
use super::script::{Line, Script, USERS};
use super::stage::{Function, Inner, Orphan, Stage, timeout};
use super::steps;
use super::travel::{Delivery, Queue, handle};
use crate::build;
use crate::cloud::{Cloud, Event};
use crate::finding::{Finding, Harm};
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
    let calm_at = last + 60_000 + i64::try_from(dice.below(under(7, 7), 600_000)).unwrap_or(0);
    let inner = Inner {
        now: 0,
        quiet_until: setting.quiet_until,
        calm_at: if setting.is_calm { 0 } else { calm_at },
        fault_plan: FaultPlan::new(setting.seed, setting.skipped_faults.clone(), &setting.rates),
        wakes: Vec::new(),
        orphans: Vec::new(),
        has_died: false,
        oracle: Oracle::new(setting.start.is_some()),
        story: setting.tells.then(Vec::new),
        trace: setting.traces.then(Vec::new),
    };
    let stage = Stage::new(world, dice, setting.bug, inner);
    let mut run = Run::new(&stage, script);
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
    cloud.world.state().is_recording = false;
    cloud.world.wait(30);
    (cloud.world, events)
}

/// A run under way.
pub(super) struct Run<'s, 'b> {
    pub(super) stage: &'s Stage<'b>,
    script: &'s Script,
    agenda: Agenda,
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
    fn new(stage: &'s Stage<'b>, script: &'s Script) -> Self {
        Self {
            stage,
            script,
            agenda: Agenda::default(),
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
            self.at(self.script.lines[nth].at, Happening::Step(nth));
        }
        if self.stage.bug.is_none_or(Bug::sweeps) {
            self.at(SWEEP, Happening::Tick(1));
        }
        {
            let state = self.stage.world.state();
            let keys: Vec<String> = state.store.list(Bucket::User, "").map(|(key, _)| key.clone()).collect();
            let mut inner = self.stage.inner();
            keys.iter().filter(|k| Verb::ALL.iter().any(|v| k.ends_with(v.suffix()))).for_each(|k| inner.oracle.put(k, None, &state));
        }
        for (nth, event) in events.into_iter().enumerate() {
            let key = under(0xE0, nth as u64);
            match event {
                Event::Upload(at) => self.tell_of_upload(at, key),
                Event::Stack(id) => self.emit(Wake::Stack(id), Function::Watch, Queue::Lambda, key),
                Event::Sweep => self.emit(Wake::Sweep, Function::Watch, Queue::Lambda, key),
            }
        }
        self.stage.world.state().stacks.turned.clear();
        let stacks = self.stage.world.state().stacks.all().len();
        (0..stacks).for_each(|nth| self.set_in_motion(nth));
    }

    pub(super) fn at(&mut self, at: i64, what: Happening) {
        self.agenda.at(at, what);
    }

    pub(super) fn now(&self) -> i64 {
        self.stage.inner().now
    }

    pub(super) fn below(&self, key: u64, most: u64) -> i64 {
        i64::try_from(self.stage.dice.below(key, most)).unwrap_or(0)
    }

    fn go(&mut self) {
        while let Some((at, what)) = self.agenda.next() {
            self.stage.set_clock(at);
            self.stage.inner().oracle.set_clock(at);
            match what {
                Happening::Step(nth) => {
                    let Line { step, .. } = self.script.lines[nth].clone();
                    steps::carry_out(self, &step, under(0xD0, nth as u64));
                }
                Happening::Arrive(delivery) => self.arrive(*delivery),
                Happening::Wake(task, waker) => {
                    waker.wake();
                    self.poll(task);
                }
                Happening::Deadline(task) => self.time_out(task),
                Happening::Move(nth, from) => self.move_stack(nth, from),
                Happening::Land(orphan) => self.land(&orphan),
                Happening::Tick(nth) => self.tick(nth),
            }
            self.take_up();
            if self.is_over || !self.stage.inner().oracle.wrongs.is_empty() {
                return;
            }
        }
    }

    /// What the last happening has set in motion.
    fn take_up(&mut self) {
        let (wakes, orphans) = {
            let mut inner = self.stage.inner();
            (std::mem::take(&mut inner.wakes), std::mem::take(&mut inner.orphans))
        };
        for (at, task, waker) in wakes {
            self.at(at, Happening::Wake(task, waker));
        }
        for orphan in orphans {
            self.at(orphan.at, Happening::Land(Box::new(orphan)));
        }
        let turned = std::mem::take(&mut self.stage.world.state().stacks.turned);
        for nth in &turned {
            self.tell_of_stack(*nth);
        }
        if !turned.is_empty() {
            self.stage.inner().oracle.watch_stacks(&self.stage.world.state(), &self.stage.world.settings);
        }
    }

    // ---- events

    /// S3 tells of an upload: at least once, so its event may be late and doubled, never lost.
    pub(super) fn tell_of_upload(&mut self, at: String, key: u64) {
        let verb = Verb::ALL.into_iter().find(|verb| at.ends_with(verb.suffix()));
        let to = verb.map_or(Function::Create, |verb| verb.spec().function);
        self.emit(Wake::Upload(at), to, Queue::Lambda, key);
    }

    pub(super) fn emit(&mut self, work: Wake, to: Function, queue: Queue, key: u64) {
        let stage = self.stage;
        if matches!(work, Wake::Stack(_)) && stage.strikes(FaultKind::EventLost, key) {
            stage.tell(|| "EventBridge loses an event of a stack".into());
            return;
        }
        let mut wait = 30 + self.below(under(key, 1), 1_500) + if queue == Queue::Progress { 10_000 } else { 0 };
        if stage.strikes(FaultKind::EventLate, key) {
            wait += match stage.dice.below(under(key, 2), 10) {
                0..=6 => self.below(under(key, 3), 60_000),
                7..=8 => self.below(under(key, 3), 600_000),
                _ => self.below(under(key, 3), 3_600_000),
            };
        }
        let at = self.now() + wait;
        if stage.strikes(FaultKind::EventDoubled, key) {
            let again = Delivery { work: work.clone(), to, queue, tries: 0, key: under(key, 77) };
            self.expect(at + self.below(under(key, 4), 120_000), again);
        }
        self.expect(at, Delivery { work, to, queue, tries: 0, key });
    }

    fn expect(&mut self, at: i64, delivery: Delivery) {
        self.arriving += 1;
        self.at(at, Happening::Arrive(Box::new(delivery)));
    }

    fn arrive(&mut self, mut delivery: Delivery) {
        self.arriving -= 1;
        if self.stage.strikes(FaultKind::HeldBack, delivery.key) {
            delivery.key = under(delivery.key, 5);
            let at = self.now() + 1_000 + self.below(under(delivery.key, 6), 300_000);
            self.expect(at, delivery);
            return;
        }
        let (task, stage) = (self.tasks.len(), self.stage);
        stage.tell(|| format!("{} wakes for {}", delivery.to.name(), delivery.told()));
        let running: Running<'s> = Box::pin(handle(stage, task, delivery.clone()));
        self.at(self.now() + timeout(delivery.to), Happening::Deadline(task));
        self.tasks.push(Some(Task { running, delivery }));
        self.running += 1;
        self.poll(task);
    }

    // ---- functions

    fn poll(&mut self, nth: usize) {
        let Some(task) = self.tasks.get_mut(nth).and_then(Option::as_mut) else { return };
        let polled = task.running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let has_died = std::mem::take(&mut self.stage.inner().has_died);
        match polled {
            Poll::Pending if !has_died => {}
            Poll::Pending => self.end(nth, Err("it died".to_owned())),
            Poll::Ready(ended) => self.end(nth, ended.map_err(|fault| fault.to_string())),
        }
    }

    fn time_out(&mut self, nth: usize) {
        if self.tasks[nth].is_some() {
            self.end(nth, Err("Lambda ended it: its time was over".to_owned()));
        }
    }

    fn end(&mut self, nth: usize, ended: Result<Vec<Outcome>, String>) {
        let Some(Task { running, delivery }) = self.tasks[nth].take() else { return };
        drop(running);
        self.running -= 1;
        match ended {
            Ok(outcomes) => {
                self.report.passes += outcomes.len();
                self.report.situations.extend(outcomes.iter().flat_map(|o| o.plans.iter().map(|plan| plan.situation)));
                for plan in outcomes.iter().flat_map(|o| &o.plans) {
                    self.stage.tell(|| format!("  {} had decided: {} -> {:?}", delivery.to.name(), plan.situation, plan.action));
                }
            }
            Err(why) => {
                self.stage.tell(|| format!("{} fails ({}): {why}", delivery.to.name(), delivery.told()));
                let now = self.now();
                match delivery.clone().again() {
                    Some((wait, again)) => self.expect(now + wait, again),
                    None => self.parked.push(delivery),
                }
            }
        }
    }

    fn land(&mut self, Orphan { effect, cluster, call, looked_at, .. }: &Orphan) {
        let done = self.stage.land(effect, *call, *looked_at);
        self.stage.tell(|| format!("(arrives late) {effect}{}", done.err().map(|f| format!(" -> {f}")).unwrap_or_default()));
        if let (Effect::CreateStack(_), Some(cluster)) = (effect, cluster) {
            self.stage.inner().oracle.end_flight(cluster, *call);
        }
    }

    // ---- the clock

    fn tick(&mut self, nth: u64) {
        let now = self.now();
        let is_calm = now >= self.stage.inner().calm_at;
        if is_calm {
            // An administrator looks at the alarm, and redrives.
            for mut delivery in std::mem::take(&mut self.parked) {
                delivery = Delivery { tries: 0, queue: Queue::Failures, to: Function::Watch, key: under(delivery.key, 99), ..delivery };
                self.expect(now + 1, delivery);
            }
            if self.is_at_rest(nth) {
                self.is_over = true;
                return;
            }
        }
        let key = under(0x7C, nth);
        if self.stage.strikes(FaultKind::SweepMissed, key) {
            self.stage.tell(|| "a sweep does not come".into());
        } else {
            self.emit(Wake::Sweep, Function::Watch, Queue::Lambda, key);
        }
        self.at(now + SWEEP, Happening::Tick(nth + 1));
    }

    /// Asked before each sweep, once the faults are over.
    fn is_at_rest(&mut self, tick: u64) -> bool {
        let is_quiet = self.running == 0 && self.arriving == 0 && self.moving == 0;
        let owed = if is_quiet { self.complaints() } else { vec![Finding::new(Harm::Restless, "something still moves")] };
        let tale = || format!("before the sweep: {}", owed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        self.stage.tell(tale);
        if owed.is_empty() {
            return true;
        }
        self.report.sweeps = if is_quiet { self.report.sweeps + 1 } else { 0 };
        let is_too_long = self.report.sweeps > SWEEPS_MAX || tick > TICKS_MAX;
        if is_too_long {
            self.report.wrongs.extend(owed);
        }
        is_too_long
    }

    /// What is wrong in a world where nothing moves.
    fn complaints(&self) -> Vec<Finding> {
        let mut wrong = self.stage.world.complaints();
        let state = self.stage.world.state();
        wrong.extend(self.stage.inner().oracle.judge_wishes(&state, &self.stage.world.settings));
        wrong
    }

    fn report(mut self) -> Report {
        let mut inner = self.stage.inner();
        self.report.wrongs.splice(0..0, inner.oracle.wrongs.drain(..));
        if !self.is_over && self.report.wrongs.is_empty() {
            // Only where nothing sweeps.
            drop(inner);
            self.report.wrongs = self.complaints();
            inner = self.stage.inner();
        }
        self.report.uploads = inner.oracle.puts.len();
        self.report.struck = std::mem::take(&mut inner.fault_plan.struck);
        self.report.is_shared = self.script.users > 1 || inner.oracle.puts.iter().any(|p| matches!(p.end, End::Withdrawn { .. }));
        self.report.story = inner.story.take().unwrap_or_default();
        self.report.trace = inner.trace.take().unwrap_or_default();
        drop(inner);
        self.report
    }
}
