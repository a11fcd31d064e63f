//! A round of a step: who takes part, what has come, where it stands; and the map of what all have exported.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::exchange::declaration::Step;
use crate::exchange::failure::{Failure, last};
use crate::exchange::wire::{ConfigId, ExchangeMap, MapId, Phase, Report, RoundId, Run, RunResult, by_rank};
use crate::node::NodeName;

/// The most bytes of a variable's value: Linux takes 131,072 bytes for `name=value` and its end (MAX_ARG_STRLEN).
pub const VALUE_BYTES_MAX: usize = 131_072 - 256;

/// The most bytes of all values of a map: all variables of a process together have a limit too (a quarter of the stack's, 2 MiB).
pub const MAP_BYTES_MAX: usize = 1024 * 1024;

/// What is kept of the texts of rounds that are no longer the last.
pub(super) const OLD_TEXT_BYTES_MAX: usize = 512;

/// The rounds of a step, the last at the end, and the map of the last that had one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    /// At most [`ROUNDS_KEPT`](super::coordinator::ROUNDS_KEPT).
    pub rounds: Vec<Round>,
    /// The map that the populate scripts got last.
    pub map: Option<ExchangeMap>,
}

/// A round of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Its identity.
    pub id: RoundId,
    /// The step's configuration.
    pub config: ConfigId,
    /// The membership's count when it opened.
    pub changes: u64,
    /// The nodes that were expected when it opened.
    pub members: BTreeSet<NodeName>,
    /// Where it stands.
    pub state: RoundState,
    /// When the open phase has failed, on the coordinator's clock.
    pub deadline_ms: u64,
    /// The map's identity, from the barrier on.
    pub map: Option<MapId>,
    /// The results of exports.
    pub exports: BTreeMap<NodeName, RunResult>,
    /// The results of populates.
    pub populates: BTreeMap<NodeName, RunResult>,
}

/// Where a round stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RoundState {
    /// Waits for exports.
    Exporting,
    /// Waits for populates.
    Populating,
    /// All is done.
    Complete,
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
    },
}

impl Round {
    /// The phase that is open.
    pub fn phase(&self) -> Option<Phase> {
        match self.state {
            RoundState::Exporting => Some(Phase::Export),
            RoundState::Populating => Some(Phase::Populate),
            RoundState::Complete | RoundState::Failed { .. } => None,
        }
    }

    /// The results of a phase.
    pub fn results(&self, phase: Phase) -> &BTreeMap<NodeName, RunResult> {
        match phase {
            Phase::Export => &self.exports,
            Phase::Populate => &self.populates,
        }
    }

    /// What a member runs in a phase.
    pub fn run(&self, step: &str, phase: Phase) -> Run {
        let map = if phase == Phase::Populate { self.map.clone() } else { None };
        Run { step: step.to_owned(), phase, config: self.config.clone(), map }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.state = RoundState::Failed { failure };
    }
}

/// The comparisons on which all rests, exchangeable so that a test can show that it notices a wrong one.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Whether these results are all that the round waits for.
    pub complete: fn(&BTreeSet<NodeName>, &BTreeMap<NodeName, RunResult>) -> bool,
    /// Whether the time (first: now) is over.
    pub expired: fn(u64, u64) -> bool,
    /// Whether a report is for this open round, and the first of its node.
    pub counts: fn(&Round, NodeName, &Report) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            complete: |members, results| members.iter().all(|node| results.contains_key(node)),
            expired: |now, deadline| now >= deadline,
            counts: |round, node, report| {
                round.phase().is_some_and(|phase| round.run(&report.run.step, phase) == report.run)
                    && report.round == round.id
                    && round.members.contains(&node)
                    && !round.results(report.run.phase).contains_key(&node)
            },
        }
    }
}

/// Each output that is no error, with the content of each member's file.
pub(super) fn map_of(step: &Step, round: &Round) -> ExchangeMap {
    let of = |name: &str, node: &NodeName| round.exports.get(node).and_then(|result| result.outputs.get(name)).cloned();
    let outputs = step.outputs.iter().filter(|output| !output.error);
    ExchangeMap(
        outputs.map(|output| (output.name.clone(), round.members.iter().map(|node| (*node, of(&output.name, node))).collect())).collect(),
    )
}

/// Whether the outputs so far fit into variables.
pub(super) fn fits(step: &Step, round: &Round) -> Result<(), Failure> {
    let mut sum = 0;
    for (output, nodes) in map_of(step, round).0 {
        let bytes = by_rank(&nodes).len();
        sum += bytes;
        if bytes > VALUE_BYTES_MAX {
            return Err(Failure::MapTooLarge { output, bytes, bytes_max: VALUE_BYTES_MAX });
        }
    }
    if sum > MAP_BYTES_MAX { Err(Failure::MapsTooLarge { bytes: sum, bytes_max: MAP_BYTES_MAX }) } else { Ok(()) }
}

/// Of a round that is no longer the last, codes and the ends of texts are kept.
pub(super) fn shorten(round: &mut Round) {
    for result in round.exports.values_mut().chain(round.populates.values_mut()) {
        result.stdout = last(&result.stdout, OLD_TEXT_BYTES_MAX);
        result.stderr = last(&result.stderr, OLD_TEXT_BYTES_MAX);
        result.outputs.clear();
    }
}
