//! The world of boots: one machine that boots, reboots and loses its agent at any step, a configuration that comes or does not, scripts
//! that fail. What is remembered is a `Life` that goes through its JSON at each start.

use std::collections::BTreeSet;
use std::time::Duration;

use cf_core::node_report::FailureCode;
use cf_node::agent::decide::{Action, CRASHES_MAX, CRASHES_WITHIN, Exchange, Reached, STAGES, Snapshot, Verdict, decide};
use cf_node::agent::life::{Life, Signal};
use cf_node::event::Event;
use cf_node::node::Role;

use super::Dice;

/// A bug that a test plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    MarksBeforeRun,
    SignalsBeforeReport,
    CountsScripts,
    ForgetsFirstBoot,
    ForgetsSignal,
    ForgetsCrashes,
    CountsChosenEnds,
}

const FAIL_AFTER: Duration = Duration::from_mins(5);
const BOOTS: u64 = 3;

pub struct Boots {
    dice: Dice,
    bug: Option<Bug>,
    role: Role,
    /// The disk.
    life: Life,
    boot: u64,
    /// When the configuration comes in each boot, in seconds of searching; `None`: never.
    comes_after: Option<u64>,
    /// How the exchange stands, in this boot.
    exchange: Exchange,
    /// How Slurm stands as this agent knows it.
    scheduler: Slurm,
    /// What really happened in this boot.
    ended: BTreeSet<Event>,
    reported: Option<Verdict>,
    signals: Vec<Verdict>,
    taken: bool,
    was_configured_at_boot: bool,
    /// Since the machine started.
    uptime: Duration,
    /// When the agent ended in this boot without having chosen to.
    ends: Vec<Duration>,
    /// How often an agent ends between two steps, of a hundred.
    crash_percent: u64,
    pub ready: u64,
    pub failed: u64,
    pub crashes: u64,
    pub fails: u64,
    /// Boots that were given up.
    pub given_up: u64,
}

/// How Slurm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slurm {
    Unwanted,
    Down,
    Up,
}

/// An end of the agent, chosen or not, or a broken rule.
enum Stop {
    Crash,
    Chosen,
    Broken(String),
}

fn broken<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Broken(text.into()))
}

impl Boots {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut dice = Dice(seed);
        let role = if dice.percent(50) { Role::Master } else { Role::Slave };
        let crash_percent = if dice.percent(10) { 35 } else { 4 };
        Self {
            dice,
            bug,
            role,
            life: Life::default(),
            boot: 0,
            comes_after: None,
            exchange: Exchange::Settled,
            scheduler: Slurm::Unwanted,
            ended: BTreeSet::new(),
            reported: None,
            signals: Vec::new(),
            taken: false,
            was_configured_at_boot: false,
            uptime: Duration::ZERO,
            ends: Vec::new(),
            crash_percent,
            ready: 0,
            failed: 0,
            crashes: 0,
            fails: 0,
            given_up: 0,
        }
    }

    pub fn run(&mut self) -> Result<(), String> {
        for boot in 1..=BOOTS {
            self.boot = boot;
            self.comes_after = if self.dice.percent(70) { Some(self.dice.below(600)) } else { None };
            (self.ended, self.reported) = (BTreeSet::new(), None);
            self.scheduler = if self.dice.percent(50) { Slurm::Down } else { Slurm::Unwanted };
            self.exchange = if self.dice.percent(30) { Exchange::Pending } else { Exchange::Settled };
            (self.uptime, self.ends) = (Duration::ZERO, Vec::new());
            self.was_configured_at_boot = self.life.configured;
            self.boot_of_the_machine()?;
        }
        Ok(())
    }

    fn boot_of_the_machine(&mut self) -> Result<(), String> {
        for _ in 0..=2 * CRASHES_MAX {
            self.enter()?;
            match self.agent() {
                Ok(()) => return self.check_end(),
                Err(Stop::Crash) => {
                    self.crashes += 1;
                    self.ends.push(self.uptime);
                }
                Err(Stop::Chosen) => self.life.boot.running = self.bug == Some(Bug::CountsChosenEnds),
                Err(Stop::Broken(text)) => return Err(text),
            }
        }
        Ok(())
    }

    /// What `Life::begin` does with the disk.
    fn enter(&mut self) -> Result<(), String> {
        let disk = serde_json::to_string(&self.life).expect("a life is JSON");
        self.life = serde_json::from_str(&disk).expect("what was written is read");
        self.life.enter(&self.boot.to_string(), self.uptime);
        // Another agent finds out whether it runs.
        self.scheduler = if self.scheduler == Slurm::Unwanted { Slurm::Unwanted } else { Slurm::Down };
        match self.bug {
            Some(Bug::ForgetsFirstBoot) => self.life.boot.first = !self.life.configured,
            Some(Bug::ForgetsSignal) => self.life.signal = None,
            Some(Bug::ForgetsCrashes) => self.life.boot.crashed_at.clear(),
            _ => {}
        }
        let (counted, real) = (self.life.boot.crashes as usize, self.ends.len());
        if counted == real {
            Ok(())
        } else {
            Err(format!("the agent ended {real} times without having chosen to, and {counted} are counted"))
        }
    }

    fn may_crash(&mut self) -> Result<(), Stop> {
        if self.dice.percent(self.crash_percent) { Err(Stop::Crash) } else { Ok(()) }
    }

    /// Whether the agent has ended so often lately that one of the boot's scripts may be what ends it.
    fn ended_too_often(&self) -> bool {
        self.ends.iter().filter(|end| self.uptime.saturating_sub(**end) <= CRASHES_WITHIN).count() > CRASHES_MAX as usize
    }

    fn agent(&mut self) -> Result<(), Stop> {
        let (mut sought, mut in_scripts, mut key) = (Duration::ZERO, Duration::ZERO, None);
        let mut reached = if self.life.configured { Reached::Scripts } else { Reached::Nothing };
        self.signal()?;
        let gives_up = self.ended_too_often() && !self.life.boot.is_over();
        for _ in 0..200 {
            let counted = if self.bug == Some(Bug::CountsScripts) { sought + in_scripts } else { sought };
            let action = decide(&self.snapshot(counted, reached, key));
            self.may_crash()?;
            match action {
                Action::Run(event) => {
                    if gives_up {
                        return broken(format!("{event} runs, but it is perhaps what ended its agent again and again"));
                    }
                    self.check_run(event, reached == Reached::Configuration, sought)?;
                    let took = Duration::from_secs(self.dice.below(400));
                    (in_scripts, self.uptime) = (in_scripts + took, self.uptime + took);
                    self.run_event(event)?;
                }
                Action::Seek(within) => {
                    let step = Duration::from_secs(5 + self.dice.below(20));
                    let took = within.map_or(step, |within| step.min(within));
                    (sought, self.uptime) = (sought + took, self.uptime + took);
                    reached = match self.comes_after {
                        Some(after) if sought.as_secs() >= after => {
                            // Slurm has a time of its own.
                            sought = Duration::ZERO;
                            Reached::Configuration
                        }
                        Some(_) => Reached::Scripts,
                        None => reached,
                    };
                    if within.is_none() && self.comes_after.is_none() {
                        return Ok(());
                    }
                }
                Action::StartScheduler(within) => {
                    if reached < Reached::Configuration {
                        return broken("Slurm starts without a configuration");
                    }
                    let step = Duration::from_secs(1 + self.dice.below(60));
                    let took = within.map_or(step, |within| step.min(within));
                    (sought, self.uptime) = (sought + took, self.uptime + took);
                    if self.dice.percent(60) {
                        self.scheduler = Slurm::Up;
                    }
                }
                Action::AwaitExchange => {
                    self.exchange = if self.dice.percent(70) { Exchange::Settled } else { Exchange::Failed };
                }
                Action::CheckKey => key = Some(self.dice.percent(80)),
                Action::Conclude(verdict) => self.conclude(verdict)?,
                Action::Serve if reached < Reached::Configuration => return broken("the node serves without its configuration"),
                // It gets another name, once in a while.
                Action::Serve if self.dice.percent(5) => return Err(Stop::Chosen),
                Action::Serve => return Ok(()),
            }
        }
        broken("the boot never ends")
    }

    fn snapshot(&self, sought: Duration, reached: Reached, key: Option<bool>) -> Snapshot {
        let life = &self.life;
        Snapshot {
            role: self.role,
            first_boot: life.boot.first,
            crashes: life.boot.recent_crashes(),
            reached,
            obstacle: None,
            sought,
            fail_after: FAIL_AFTER,
            ran: life.boot.ran.clone(),
            script_failed: life.boot.failed_by.is_some(),
            own_scripts: life.boot.own_scripts,
            exchange: self.exchange,
            has_scheduler: self.scheduler != Slurm::Down,
            key,
            concluded: life.boot.concluded,
        }
    }

    fn check_run(&self, event: Event, configured: bool, sought: Duration) -> Result<(), Stop> {
        if self.life.boot.first == self.was_configured_at_boot {
            return broken(format!("{event} runs as if it were {} first boot", if self.life.boot.first { "the" } else { "no" }));
        }
        if self.ended.contains(&event) && self.life.boot.ran.contains(&event) {
            return broken(format!("{event} runs twice in a boot"));
        }
        if event == Event::Fail && (configured && self.scheduler != Slurm::Down || sought < FAIL_AFTER) {
            return broken(format!("fail runs too early, after {} s of searching", sought.as_secs()));
        }
        if event == Event::NodeStarted && self.role == Role::Master && self.life.boot.first && self.exchange != Exchange::Settled {
            return broken("node-started runs, but the exchange, which is part of being ready, has not ended well");
        }
        if STAGES.contains(&event) && !configured {
            return broken(format!("{event} runs without a configuration"));
        }
        let slurm_first = if self.role == Role::Master { Event::Configure } else { Event::NodeStarted };
        if event == slurm_first && self.scheduler == Slurm::Down {
            return broken(format!("{event} runs before Slurm"));
        }
        let before = [Event::Initialize].into_iter().chain(STAGES).take_while(|earlier| *earlier != event);
        if event != Event::Fail
            && let Some(missing) = before.into_iter().find(|earlier| !self.ended.contains(earlier))
        {
            return broken(format!("{event} runs, but {missing} never ran to its end in this boot"));
        }
        Ok(())
    }

    fn run_event(&mut self, event: Event) -> Result<(), Stop> {
        if self.bug == Some(Bug::MarksBeforeRun) {
            self.life.boot.ran.insert(event);
        }
        self.may_crash()?;
        self.ended.insert(event);
        self.fails += u64::from(event == Event::Fail);
        let failed = event != Event::Fail && self.dice.percent(3);
        self.may_crash()?;
        let boot = &mut self.life.boot;
        boot.ran.insert(event);
        if failed {
            boot.failed_by = Some("a script".to_owned());
        }
        if event == Event::Configure {
            self.life.configured = true;
            self.life.boot.own_scripts = usize::from(!self.dice.percent(5));
        }
        Ok(())
    }

    fn conclude(&mut self, verdict: Verdict) -> Result<(), Stop> {
        if verdict == Verdict::Ready && self.scheduler == Slurm::Down {
            return broken("the node is ready, but Slurm does not run");
        }
        if self.life.boot.concluded == Some(Verdict::Ready) {
            return broken(format!("a node that was ready is concluded as {verdict}"));
        }
        self.given_up += u64::from(verdict == Verdict::Failed(FailureCode::AgentFailed));
        self.life.boot.concluded = Some(verdict);
        if self.life.signal.is_none() {
            self.life.signal = Some(Signal::owed(verdict, "", &self.life.boot.id));
        }
        self.may_crash()?;
        if self.bug != Some(Bug::SignalsBeforeReport) {
            self.reported = Some(verdict);
        }
        self.signal()
    }

    /// What the task of signals does, at a start too: the report of a conclusion goes first.
    fn signal(&mut self) -> Result<(), Stop> {
        let Some(signal) = self.life.signal.clone().filter(|signal| !signal.taken) else { return Ok(()) };
        if self.bug != Some(Bug::SignalsBeforeReport) {
            self.reported = self.life.boot.concluded.or(self.reported);
        }
        if self.reported.is_none() && self.life.boot.concluded.is_some() {
            return broken("the signal is given before its report");
        }
        let first = self.signals.first().copied();
        if let Some(first) = first.filter(|first| *first != signal.verdict || self.taken) {
            return broken(format!("{first} was signalled, and {} is signalled again", signal.verdict));
        }
        self.signals.push(signal.verdict);
        self.may_crash()?;
        self.life.signal = Some(Signal { taken: true, ..signal });
        self.taken = true;
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), String> {
        let Some(verdict) = self.life.boot.concluded else { return Err("the boot ended without a conclusion".to_owned()) };
        match verdict {
            Verdict::Ready => {
                self.ready += 1;
                let missing = STAGES.iter().find(|event| !self.ended.contains(event));
                if let Some(missing) = missing {
                    return Err(format!("the node is ready, but {missing} never ran to its end"));
                }
            }
            Verdict::Failed(FailureCode::NoConfiguration) if self.life.boot.ran.contains(&Event::Fail) => self.failed += 1,
            Verdict::Failed(FailureCode::NoConfiguration) => return Err("the node failed without a run of fail".to_owned()),
            Verdict::Failed(FailureCode::SchedulerFailed) if !self.life.boot.ran.contains(&Event::Fail) => {
                return Err("the node failed for want of Slurm without a run of fail".to_owned());
            }
            Verdict::Failed(_) => self.failed += 1,
        }
        Ok(())
    }
}
