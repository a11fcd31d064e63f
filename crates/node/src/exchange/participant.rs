//! A participant: what a node runs, and what it still has to report. Every node has one, the login node too.
//!
//! Pure: events in, one decision out. The state is data; where [`Decision::save`] is set it must be on the disk before
//! [`Decision::then`] is done, so that a script that has started is known to have, whatever happens then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exchange::wire::{Answer, End, Phase, Report, RoundId, Run, RunResult, Task};
use crate::node::NodeName;

/// The wait after a poll that found no coordinator, at first and at most, in milliseconds. The longest is well below the time of
/// grace in which a result still counts.
const RETRY_MS: (u64, u64) = (250, 4_000);

/// The wait where the coordinator gave nothing to do and did not hold the answer back, in milliseconds.
const IDLE_MS: u64 = 1_000;

/// The export results of a step that are kept, one for each configuration.
pub const EXPORTS_KEPT: usize = 32;

/// The state of a node's runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The node.
    pub node: NodeName,
    /// The machine: a random text, made with the state.
    pub instance: String,
    /// The exports of each step, the last configuration at the end.
    pub exports: BTreeMap<String, Vec<Record>>,
    /// The last populate of each step.
    pub populates: BTreeMap<String, Record>,
    #[serde(skip)]
    failed_polls: u32,
}

/// A run of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The round that asked for it last.
    pub round: RoundId,
    /// What ran.
    pub run: Run,
    /// `None` while it runs.
    pub result: Option<RunResult>,
    /// Whether a result must still be reported to this round.
    pub owed: bool,
    /// Whether nobody waits for the result.
    pub detached: bool,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The agent starts.
    Start,
    /// The coordinator answered.
    Answer(Answer),
    /// It did not.
    NoAnswer,
    /// The script that was started has ended.
    Ended(RunResult),
    /// The coordinator refuses this machine as one that was replaced, and the login node has given it the name again since: it is
    /// another machine of the name from now on, by this identity. What has run here has run.
    NamedAgain(String),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The state has changed: write it first.
    pub save: bool,
    /// Then do this, and come back with the event that it gives.
    pub then: Then,
}

/// What a node does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Run a script.
    Run {
        /// Which one.
        task: Task,
        /// Whether the step has run on this machine before, with another configuration or map.
        again: bool,
    },
    /// Ask the coordinator.
    Poll {
        /// So many milliseconds from now.
        after_ms: u64,
        /// With this result.
        report: Option<Report>,
        /// What was started of what nobody waits for.
        ran: Vec<Run>,
        /// Whether the answer may wait for news.
        wait: bool,
    },
}

impl Participant {
    /// One that has run nothing. `instance` is a random text.
    pub fn new(node: NodeName, instance: String) -> Self {
        Self { node, instance, exports: BTreeMap::new(), populates: BTreeMap::new(), failed_polls: 0 }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event) -> Decision {
        match event {
            Event::Start => {
                let interrupted = self.end_running(&RunResult::ended(End::Interrupted));
                self.poll(interrupted, 0)
            }
            Event::Ended(result) => {
                let ended = self.end_running(&result);
                self.poll(ended, 0)
            }
            Event::NoAnswer => {
                let wait = RETRY_MS.1.min(RETRY_MS.0 << self.failed_polls.min(8));
                self.failed_polls += 1;
                // Some hundred nodes do not all come back in the same moment.
                self.poll(false, wait + u64::from(self.node.rank() % 50) * 10)
            }
            Event::NamedAgain(instance) => {
                self.instance = instance;
                self.poll(true, 0)
            }
            Event::Answer(answer) => {
                self.failed_polls = 0;
                self.answered(answer)
            }
        }
    }

    /// The result of whatever is recorded as running.
    fn end_running(&mut self, result: &RunResult) -> bool {
        let mut changed = false;
        for record in self.records_mut().filter(|record| record.result.is_none()) {
            record.result = Some(result.clone());
            changed = true;
        }
        changed
    }

    fn answered(&mut self, answer: Answer) -> Decision {
        let mut save = false;
        if let Some((round, run)) = &answer.acknowledged {
            for record in self.records_mut().filter(|record| record.owed && record.round == *round && record.run == *run) {
                record.owed = false;
                save = true;
            }
        }
        for task in answer.tasks {
            if self.is_stale(&task) || !self.may_start(&task) {
                continue;
            }
            let Some(record) = self.find(&task.run) else {
                let again = self.exports.contains_key(&task.run.step) && task.run.phase == Phase::Export
                    || self.populates.contains_key(&task.run.step);
                self.start(&task);
                return Decision { save: true, then: Then::Run { task, again } };
            };
            if task.report && (record.round != task.round || !record.owed) {
                record.round = task.round;
                record.owed = true;
                save = true;
            }
        }
        let pause = answer.refused.is_some() || answer.stale;
        self.poll(save, if pause { IDLE_MS } else { 0 })
    }

    /// A task of an earlier round than the one that asked for this step last is an answer that came late.
    fn is_stale(&self, task: &Task) -> bool {
        let later = |record: &Record| {
            record.run.step == task.run.step && record.round.epoch == task.round.epoch && record.round.number > task.round.number
        };
        self.records().any(later)
    }

    /// Where nobody waits for results, a node still does not populate before its own export has ended well.
    fn may_start(&self, task: &Task) -> bool {
        if task.report || task.run.phase == Phase::Export {
            return true;
        }
        let ended_well = |record: &Record| record.result.as_ref().is_some_and(|result| result.end == (End::Exited { code: 0 }));
        let of_config = self.exports.get(&task.run.step).into_iter().flatten().find(|record| record.run.config == task.run.config);
        of_config.is_none_or(ended_well)
    }

    fn find(&mut self, run: &Run) -> Option<&mut Record> {
        match run.phase {
            Phase::Export => self.exports.get_mut(&run.step)?.iter_mut().find(|record| record.run == *run),
            Phase::Populate => self.populates.get_mut(&run.step).filter(|record| record.run == *run),
        }
    }

    fn start(&mut self, task: &Task) {
        let record = Record { round: task.round.clone(), run: task.run.clone(), result: None, owed: task.report, detached: !task.report };
        match task.run.phase {
            Phase::Populate => _ = self.populates.insert(task.run.step.clone(), record),
            Phase::Export => {
                let exports = self.exports.entry(task.run.step.clone()).or_default();
                exports.push(record);
                let over = exports.len().saturating_sub(EXPORTS_KEPT);
                exports.drain(..over);
            }
        }
    }

    /// Asks: at once with a result, else when the wait is over.
    fn poll(&self, save: bool, after_ms: u64) -> Decision {
        let owes = |record: &Record| {
            let result = record.result.clone().filter(|_| record.owed)?;
            Some(Report { round: record.round.clone(), run: record.run.clone(), result })
        };
        let report = self.records().find_map(owes);
        let wait = report.is_none();
        let last_of_each = self.exports.values().filter_map(|records| records.last()).chain(self.populates.values());
        let ran = last_of_each.filter(|record| record.detached).map(|record| record.run.clone()).collect();
        Decision { save, then: Then::Poll { after_ms, report, ran, wait } }
    }

    /// All runs that are recorded.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.exports.values().flatten().chain(self.populates.values())
    }

    fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.exports.values_mut().flatten().chain(self.populates.values_mut())
    }
}

#[cfg(test)]
#[path = "participant_tests.rs"]
mod tests;
