//! The simulated world of an exchange: one coordinator, up to twenty machines, a bad network, and the oracle.

mod coordinating;
mod inputs;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cf_node::exchange::coordinator::{self, Coordinator};
use cf_node::exchange::declaration::{MissingOutput, Output, Signal, Step};
use cf_node::exchange::participant::{self, Participant, Then};
use cf_node::exchange::round::{RoundState, Rules};
use cf_node::exchange::wire::{Answer, ConfigId, End, Phase, Poll, RunResult, Task};
use cf_node::node::NodeName;
use inputs::{Dice, name, rules, step};
use oracle::Oracle;

/// A bug that a test plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    BarrierOneShort,
    RecordedAfterRun,
    ExpiresLate,
    ExpiresEarly,
    LateResultCounts,
}

pub const GRACE_MS: u64 = 3_000;
const TIMEOUT_SECONDS: u64 = 20;
const CHAOS_ENDS_MS: u64 = 80_000;
const WORLD_ENDS_MS: u64 = 600_000;

/// After so long without an open round nothing more comes: whatever was lost has been asked for again.
const QUIET_MS: u64 = 30_000;

#[derive(Debug, Clone)]
enum What {
    /// A node's process asks, if it is still this one.
    Asks(NodeName, u64, Poll),
    /// A request arrives at the coordinator.
    Arrives(NodeName, Poll),
    /// An answer arrives at a node.
    Answers(NodeName, Answer),
    /// A node's process gives up waiting for the answer to this poll.
    GivesUp(NodeName, u64),
    /// A script ends.
    Ends(NodeName, u64, Task, RunResult),
    /// A node's process starts again, from its machine's disk.
    NodeStarts(NodeName),
    /// A new machine takes a node's name.
    NewMachine(NodeName),
    NodeCrashes(NodeName),
    CoordinatorCrashes,
    CoordinatorStarts,
    Tick,
    Expected(BTreeSet<NodeName>),
    OtherProfile,
}

/// A machine with a disk and at most one process.
struct Machine {
    number: u64,
    disk: Option<String>,
    process: Option<Participant>,
    /// Counts the process's moves: what was meant for an earlier one is no more.
    moves: u64,
    /// Whether the process waits for an answer.
    waits: bool,
    running: bool,
}

pub struct World {
    dice: Dice,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), What>,
    sequence: u64,
    bug: Option<Bug>,
    plan: Vec<Step>,
    version: u64,
    expected: BTreeSet<NodeName>,
    machines: BTreeMap<NodeName, Machine>,
    machines_made: u64,
    disk: Option<String>,
    coordinator: Option<Coordinator>,
    coordinator_started_ms: u64,
    loss: u64,
    failing: u64,
    oracle: Oracle,
    pub complete: usize,
    pub failed: usize,
    pub scripts: usize,
    pub crashes: usize,
    pub late_results: usize,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let nodes = if dice.percent(15) { 10 + dice.below(11) } else { 2 + dice.below(6) };
        let signal = if dice.percent(15) { Signal::None } else { Signal::Wait };
        let plan = [step("first", 0, Signal::Wait), step("second", 0, signal), step("third", 0, Signal::Wait)];
        let steps = usize::try_from(1 + dice.below(3)).unwrap_or(1);
        let mut world = Self {
            now_ms: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            bug,
            plan: plan[..steps].to_vec(),
            version: 0,
            expected: (0..nodes).map(name).collect(),
            machines: BTreeMap::new(),
            machines_made: 0,
            disk: None,
            coordinator: None,
            coordinator_started_ms: 0,
            loss: dice.below(30),
            failing: if dice.percent(25) { 4 } else { 0 },
            oracle: Oracle::default(),
            complete: 0,
            failed: 0,
            scripts: 0,
            crashes: 0,
            late_results: 0,
            dice,
        };
        world.at(0, What::CoordinatorStarts);
        for rank in 0..nodes {
            let silent = world.dice.percent(3);
            if !silent {
                let begins = world.dice.below(5_000);
                world.at(begins, What::NewMachine(name(rank)));
            }
        }
        world.trouble(nodes);
        world
    }

    /// What goes wrong, and when.
    fn trouble(&mut self, nodes: u64) {
        let mut expected = self.expected.clone();
        for _ in 0..self.dice.below(6) {
            let when = self.dice.below(CHAOS_ENDS_MS);
            let node = name(self.dice.below(nodes));
            match self.dice.below(6) {
                0 => self.at(when, What::CoordinatorCrashes),
                1 | 2 => self.at(when, What::NodeCrashes(node)),
                3 => self.at(when, What::NewMachine(node)),
                4 => {
                    // A late joiner; or one that goes.
                    let joiner = name(nodes + self.dice.below(3));
                    if self.dice.percent(60) {
                        expected.insert(joiner);
                        self.at(when, What::NewMachine(joiner));
                    } else if node != NodeName::LOGIN {
                        expected.remove(&node);
                    }
                    self.at(when + 500, What::Expected(expected.clone()));
                }
                _ => self.at(when, What::OtherProfile),
            }
        }
    }

    fn at(&mut self, when_ms: u64, what: What) {
        self.sequence += 1;
        self.queue.insert((when_ms, self.sequence), what);
    }

    fn after(&mut self, delay_ms: u64, what: What) {
        self.at(self.now_ms + delay_ms, what);
    }

    /// Runs to the end. An error names the rule that was broken.
    pub fn run(&mut self) -> Result<(), String> {
        let mut quiet_since = 0;
        while let Some(((when, _), what)) = self.queue.pop_first() {
            if when > WORLD_ENDS_MS {
                break;
            }
            self.now_ms = when;
            if when > CHAOS_ENDS_MS {
                self.loss = 0;
            }
            self.happen(what).map_err(|broken| format!("at {when} ms: {broken}"))?;
            let open = self.coordinator.as_ref().is_none_or(|coordinator| coordinator.open().is_some());
            if when < CHAOS_ENDS_MS || open {
                quiet_since = when;
            } else if when > quiet_since + QUIET_MS {
                break;
            }
        }
        self.late_results = self.oracle.late_results;
        let Some(coordinator) = &self.coordinator else { return Err("the coordinator did not come back".to_owned()) };
        for round in coordinator.steps().values().flat_map(|rounds| &rounds.rounds) {
            match round.state {
                RoundState::Complete => self.complete += 1,
                _ => self.failed += 1,
            }
        }
        let machines = self.machines.iter().map(|(node, machine)| (*node, machine.number)).collect();
        self.oracle.at_the_end(coordinator, &self.plan, &self.expected, &machines)
    }

    fn happen(&mut self, what: What) -> Result<(), String> {
        match what {
            What::NewMachine(node) => {
                self.machines_made += 1;
                let number = self.machines_made;
                self.machines
                    .insert(node, Machine { number, disk: None, process: None, moves: number * 1_000_000, waits: false, running: false });
                self.start(node)
            }
            What::NodeStarts(node) if self.machines.get(&node).is_some_and(|machine| machine.process.is_none()) => self.start(node),
            What::NodeStarts(_) => Ok(()),
            What::NodeCrashes(node) => {
                self.crash(node);
                Ok(())
            }
            What::Asks(node, moves, poll) => {
                if self.machines.get(&node).is_some_and(|machine| machine.process.is_some() && machine.moves == moves) {
                    self.send(&What::Arrives(node, poll));
                    let patience = 4_000;
                    self.after(patience, What::GivesUp(node, moves));
                }
                Ok(())
            }
            What::GivesUp(node, moves) if self.machines.get(&node).is_some_and(|machine| machine.waits && machine.moves == moves) => {
                self.participant(node, participant::Event::NoAnswer)
            }
            What::GivesUp(..) => Ok(()),
            What::Arrives(node, poll) => self.asked(node, poll),
            What::Answers(node, answer) if self.machines.get(&node).is_some_and(|machine| machine.waits) => {
                // An answer that waited for news comes later; here a node without tasks asks again after a while.
                self.participant(node, participant::Event::Answer(answer))
            }
            What::Answers(..) => Ok(()),
            What::Ends(node, moves, task, result) => {
                let alive = self.machines.get(&node).is_some_and(|machine| machine.running && machine.moves == moves);
                if !alive {
                    return Ok(());
                }
                self.oracle.script_ended(node, &task, &result);
                if self.bug == Some(Bug::RecordedAfterRun) {
                    self.write(node);
                }
                self.participant(node, participant::Event::Ended(result))
            }
            What::CoordinatorCrashes => {
                self.coordinator_crashes();
                Ok(())
            }
            What::CoordinatorStarts => self.coordinator_starts(),
            What::Tick => self.decide(&coordinator::Event::Tick).map(|_| ()),
            What::Expected(expected) => {
                self.expected.clone_from(&expected);
                self.decide(&coordinator::Event::Expected(expected)).map(|_| ())
            }
            What::OtherProfile => {
                self.version += 1;
                let at = usize::try_from(self.dice.below(self.plan.len() as u64)).unwrap_or(0);
                self.plan[at] = step(&self.plan[at].name.clone(), self.version, self.plan[at].signal);
                self.decide(&coordinator::Event::Plan(self.plan.clone())).map(|_| ())
            }
        }
    }

    // --- the nodes

    fn start(&mut self, node: NodeName) -> Result<(), String> {
        let Some(machine) = self.machines.get_mut(&node) else { return Ok(()) };
        let process = match &machine.disk {
            Some(disk) => serde_json::from_str(disk).map_err(|error| error.to_string())?,
            None => Participant::new(node, format!("machine-{}", machine.number)),
        };
        machine.process = Some(process);
        self.participant(node, participant::Event::Start)
    }

    fn crash(&mut self, node: NodeName) {
        let comes_back = self.dice.below(20_000);
        if let Some(machine) = self.machines.get_mut(&node) {
            self.crashes += 1;
            machine.process = None;
            machine.running = false;
            machine.waits = false;
            machine.moves += 1;
            self.after(comes_back, What::NodeStarts(node));
        }
    }

    fn write(&mut self, node: NodeName) {
        if let Some(machine) = self.machines.get_mut(&node) {
            machine.disk = machine.process.as_ref().map(|process| serde_json::to_string(process).expect("a state is JSON"));
        }
    }

    fn crash_now(&mut self) -> bool {
        self.now_ms < CHAOS_ENDS_MS && self.dice.below(1_000) < 6
    }

    /// One turn of a node's loop, with its crash points.
    fn participant(&mut self, node: NodeName, event: participant::Event) -> Result<(), String> {
        let empty = matches!(&event, participant::Event::Answer(answer) if answer.tasks.is_empty() && answer.acknowledged.is_none());
        let Some(machine) = self.machines.get_mut(&node) else { return Ok(()) };
        let Some(process) = machine.process.as_mut() else { return Ok(()) };
        machine.moves += 1;
        let decision = process.handle(event);
        (machine.waits, machine.running) = (false, false);
        let (number, instance, moves) = (machine.number, process.instance.clone(), machine.moves);
        if self.crash_now() {
            self.crash(node);
            return Ok(());
        }
        let late = self.bug == Some(Bug::RecordedAfterRun) && matches!(decision.then, Then::Run { .. });
        if decision.save && !late {
            self.write(node);
        }
        if self.crash_now() {
            self.crash(node);
            return Ok(());
        }
        match decision.then {
            Then::Run { task, .. } => {
                self.scripts += 1;
                self.oracle.script_begins(node, number, &task, self.now_ms)?;
                if let Some(machine) = self.machines.get_mut(&node) {
                    machine.running = true;
                }
                let (lasts, result) = self.script(number, &task);
                self.after(lasts, What::Ends(node, moves, task, result));
            }
            Then::Poll { after_ms, report, ran, wait } => {
                if let Some(machine) = self.machines.get_mut(&node) {
                    machine.waits = true;
                }
                let holds = self.plan.iter().map(|step| (step.key.clone(), step.config.clone())).collect();
                let poll = Poll { node, instance, holds, report, ran, wait };
                self.after(after_ms + if empty { 2_000 } else { 0 }, What::Asks(node, moves, poll));
            }
        }
        Ok(())
    }

    /// How long a script lasts, and what it leaves.
    fn script(&mut self, machine: u64, task: &Task) -> (u64, RunResult) {
        let chaos = self.now_ms < CHAOS_ENDS_MS;
        let lasts = if chaos && self.dice.percent(2) { 60_000 } else { self.dice.below(3_000) };
        if lasts > task.limit_ms {
            return (task.limit_ms, RunResult::ended(End::TimedOut));
        }
        let code = i32::from(chaos && self.dice.percent(self.failing));
        let mut result = RunResult::ended(End::Exited { code });
        if task.run.phase == Phase::Export && !self.dice.percent(5) {
            result.outputs.insert("o".to_owned(), format!("machine {machine} of {}\n", task.run.config.0));
        }
        (lasts, result)
    }

    // --- the network

    fn send(&mut self, what: &What) {
        for _ in 0..if self.dice.percent(self.loss / 2) { 2 } else { 1 } {
            if self.dice.percent(self.loss) {
                continue;
            }
            let delay = if self.dice.percent(self.loss / 2) { self.dice.below(8_000) } else { self.dice.below(40) };
            self.after(delay, what.clone());
        }
    }

    // --- the coordinator
}
