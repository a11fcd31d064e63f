//! What people read of an exchange: each step's rounds, what each node's scripts left, and the map.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::exchange::agent::state_folder;
use crate::exchange::coordinator::Coordinator;
use crate::exchange::declaration::Mistake;
use crate::exchange::participant::{Participant, Record};
use crate::exchange::round::{Round, RoundState, Rounds};
use crate::exchange::wire::{End, Phase, RunResult, by_rank};
use crate::node::{Layout, NodeName};
use crate::state_file::{self, StateError};

/// The exchange as a node knows it: on the login node all steps, on every node its own runs. Nodes are named by their ranks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Why the profiles' steps cannot be run.
    pub mistakes: Vec<String>,
    /// The steps that have had a round, in the order of their last rounds.
    pub steps: Vec<StepStatus>,
    /// This node's own runs.
    pub own: Vec<OwnRun>,
}

/// A step.
#[derive(Debug, Clone, Serialize)]
pub struct StepStatus {
    /// `<profile>/<step>`.
    pub step: String,
    /// The last map: output, rank, content.
    pub outputs: BTreeMap<String, BTreeMap<u32, Option<String>>>,
    /// The rounds that are kept, the last one at the end.
    pub rounds: Vec<RoundStatus>,
}

/// A round.
#[derive(Debug, Clone, Serialize)]
pub struct RoundStatus {
    /// Its number.
    pub number: u64,
    /// `exporting`, `populating`, `complete` or `failed`.
    pub state: &'static str,
    /// Why it failed.
    pub reason: Option<String>,
    /// The nodes that take part.
    pub members: Vec<NodeName>,
    /// The exports.
    pub export: Group,
    /// The populates.
    pub populate: Group,
}

/// What a group of runs left, by rank, under Heat's names.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Group {
    /// Exit codes; null where a script did not end by itself.
    pub deploy_status_codes: BTreeMap<u32, Option<i32>>,
    /// The last of what was printed.
    pub deploy_stdouts: BTreeMap<u32, String>,
    /// The last of the errors.
    pub deploy_stderrs: BTreeMap<u32, String>,
    /// How each ended.
    pub ends: BTreeMap<u32, End>,
}

/// A run on this node.
#[derive(Debug, Clone, Serialize)]
pub struct OwnRun {
    /// `<profile>/<step>`.
    pub step: String,
    /// Which script.
    pub phase: Phase,
    /// The step's configuration.
    pub config: String,
    /// The round that asked for it last.
    pub round: u64,
    /// What it left; null while it runs.
    pub result: Option<RunResult>,
    /// Whether the coordinator has yet to get it.
    pub owed: bool,
}

/// Reads the state on this node's disk.
pub fn read(layout: &Layout) -> Result<Status, StateError> {
    let folder = state_folder(layout);
    let mistakes: Vec<Mistake> = state_file::load(&folder.join("mistakes.json"))?.unwrap_or_default();
    let coordinator: Option<Coordinator> = state_file::load(&folder.join("coordinator.json"))?;
    let participant: Option<Participant> = state_file::load(&folder.join("participant.json"))?;
    let mut steps: Vec<StepStatus> =
        coordinator.iter().flat_map(Coordinator::steps).map(|(step, rounds)| step_status(step, rounds)).collect();
    steps.sort_by_key(|step| step.rounds.last().map(|round| round.number));
    let own = participant.iter().flat_map(Participant::records).map(own_run).collect();
    Ok(Status { mistakes: mistakes.iter().map(ToString::to_string).collect(), steps, own })
}

fn step_status(step: &str, rounds: &Rounds) -> StepStatus {
    let ranks = |nodes: &BTreeMap<NodeName, Option<String>>| nodes.iter().map(|(node, content)| (node.rank(), content.clone())).collect();
    let outputs = rounds.map.iter().flat_map(|map| &map.0).map(|(output, nodes)| (output.clone(), ranks(nodes))).collect();
    StepStatus { step: step.to_owned(), outputs, rounds: rounds.rounds.iter().map(round_status).collect() }
}

fn round_status(round: &Round) -> RoundStatus {
    let (state, reason) = match &round.state {
        RoundState::Exporting => ("exporting", None),
        RoundState::Populating => ("populating", None),
        RoundState::Complete => ("complete", None),
        RoundState::Failed { failure } => ("failed", Some(failure.to_string())),
    };
    let members = round.members.iter().copied().collect();
    RoundStatus { number: round.id.number, state, reason, members, export: group(&round.exports), populate: group(&round.populates) }
}

fn group(results: &BTreeMap<NodeName, RunResult>) -> Group {
    let mut group = Group::default();
    for (node, result) in results {
        let rank = node.rank();
        group.deploy_status_codes.insert(rank, result.end.status_code());
        group.deploy_stdouts.insert(rank, result.stdout.clone());
        group.deploy_stderrs.insert(rank, result.stderr.clone());
        group.ends.insert(rank, result.end.clone());
    }
    group
}

fn own_run(record: &Record) -> OwnRun {
    OwnRun {
        step: record.run.step.clone(),
        phase: record.run.phase,
        config: record.run.config.to_string(),
        round: record.round.number,
        result: record.result.clone(),
        owed: record.owed,
    }
}

/// The status as text: the last round of each step, node by node.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for mistake in &status.mistakes {
        let _ = writeln!(text, "mistake: {mistake}");
    }
    for step in &status.steps {
        let Some(round) = step.rounds.last() else { continue };
        let _ = writeln!(text, "step {}: {}, round {}, {} nodes", step.step, round.state, round.number, round.members.len());
        if let Some(reason) = &round.reason {
            let _ = writeln!(text, "  {}", shown(reason));
        }
        for node in &round.members {
            let code = |group: &Group| match group.ends.get(&node.rank()) {
                None => "-".to_owned(),
                Some(end) => end.status_code().map_or_else(|| "?".to_owned(), |code| code.to_string()),
            };
            let _ = writeln!(text, "  {:<14} export {:<4} populate {}", node.to_string(), code(&round.export), code(&round.populate));
        }
        for (output, ranks) in &step.outputs {
            let nodes =
                ranks.iter().map(|(rank, content)| (NodeName::compute(*rank).unwrap_or(NodeName::LOGIN), content.clone())).collect();
            let _ = writeln!(text, "  output {output}: {}", by_rank(&nodes));
        }
    }
    if status.steps.is_empty() {
        for run in &status.own {
            let end = run.result.as_ref().map_or_else(|| "runs".to_owned(), |result| format!("{:?}", result.end));
            let _ = writeln!(text, "step {}: {} of round {}: {end}", run.step, run.phase, run.round);
        }
    }
    if text.is_empty() { "no exchange step has had a round here\n".to_owned() } else { text }
}

/// On one line, and without what moves a terminal's cursor.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
