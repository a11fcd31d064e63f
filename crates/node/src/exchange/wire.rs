//! What the coordinator and the participants of an exchange send each other, and the identities of what runs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::node::NodeName;

/// The most bytes of a script's standard output that are kept, and of its standard error: the last ones.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of all outputs of one run, as JSON: a report fits into a request of the link.
pub const OUTPUTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// SHA-256, in hexadecimal, over parts of which each counts with its length: no two lists of parts are the same bytes.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A step as it is declared, with the bytes of its scripts and its input values. Another declaration has another id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigId(pub String);

/// What all nodes have exported in a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MapId(pub String);

impl fmt::Display for ConfigId {
    /// The first digits, as people compare them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// A round of a coordinator: rounds of one epoch are numbered in the order in which they open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoundId {
    /// The coordinator's own random id. One that has lost its state has another.
    pub epoch: String,
    /// From 1 on, over all steps.
    pub number: u64,
}

/// The two halves of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// Writes outputs.
    Export,
    /// Gets everybody's outputs.
    Populate,
}

/// What may run only once on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// `<profile>/<step>`.
    pub step: String,
    /// Which script.
    pub phase: Phase,
    /// The step's configuration.
    pub config: ConfigId,
    /// The map of a populate.
    pub map: Option<MapId>,
}

/// A step's outputs: the content of each node's file, by output and node; `None` where a node wrote none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeMap(pub BTreeMap<String, BTreeMap<NodeName, Option<String>>>);

impl ExchangeMap {
    /// Its identity.
    pub fn id(&self) -> MapId {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (output, nodes) in &self.0 {
            parts.push(output.clone().into_bytes());
            parts.push(nodes.len().to_be_bytes().to_vec());
            for (node, content) in nodes {
                parts.push(node.to_string().into_bytes());
                parts.push(content.as_ref().map_or_else(Vec::new, |content| format!("={content}").into_bytes()));
            }
        }
        MapId(digest(parts.iter().map(Vec::as_slice)))
    }
}

/// The value of an output's environment variable: a JSON object by rank, in the order of ranks, null where a node wrote nothing
/// (the form in which Heat gives it: `{"0": "10.0.0.1 a\n", "1": null}`).
pub fn by_rank(nodes: &BTreeMap<NodeName, Option<String>>) -> String {
    let text = |content: &Option<String>| serde_json::Value::from(content.clone()).to_string();
    let entries: Vec<String> = nodes.iter().map(|(node, content)| format!("\"{}\": {}", node.rank(), text(content))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum End {
    /// The script ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than it may, and was ended.
    TimedOut,
    /// The agent or the node ended while it ran.
    Interrupted,
    /// It could not be started.
    NotRun {
        /// What stood in the way.
        why: String,
    },
    /// It ended with 0, but an output cannot be used.
    BadOutput {
        /// Which output, and what is wrong with it.
        why: String,
    },
}

impl End {
    /// As a shell shows it: 128 and the signal, 124 for the time limit; `None` where the script has no end of its own.
    pub fn status_code(&self) -> Option<i32> {
        match self {
            Self::Exited { code } => Some(*code),
            Self::Killed { signal } => Some(128 + signal),
            Self::TimedOut => Some(124),
            Self::BadOutput { .. } => Some(0),
            Self::Interrupted | Self::NotRun { .. } => None,
        }
    }
}

/// What a run left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// How it ended.
    pub end: End,
    /// The last [`TEXT_BYTES_MAX`] bytes that it printed.
    pub stdout: String,
    /// The last [`TEXT_BYTES_MAX`] bytes of its errors.
    pub stderr: String,
    /// The declared outputs that it wrote, verbatim.
    pub outputs: BTreeMap<String, String>,
}

impl RunResult {
    /// A run without output.
    pub fn ended(end: End) -> Self {
        Self { end, stdout: String::new(), stderr: String::new(), outputs: BTreeMap::new() }
    }
}

/// A result, for the round in which it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The round.
    pub round: RoundId,
    /// What ran.
    pub run: Run,
    /// What it left.
    pub result: RunResult,
}

/// What a participant asks the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Who asks.
    pub node: NodeName,
    /// The machine behind the name: another one after a node was replaced.
    pub instance: String,
    /// The steps of its profiles, and their configurations.
    pub holds: BTreeMap<String, ConfigId>,
    /// A result that the coordinator has not acknowledged yet. One at a time, so that a request has a bound.
    pub report: Option<Report>,
    /// What this machine has started of what nobody waits for: it need not be asked again.
    pub ran: Vec<Run>,
    /// Whether the answer may wait for news.
    pub wait: bool,
}

/// What a node is asked to run. A node that has a result of that run already reports it instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The round that asks.
    pub round: RoundId,
    /// What to run.
    pub run: Run,
    /// The script's time, in milliseconds: what is left of the step's.
    pub limit_ms: u64,
    /// The map of a populate.
    pub map: Option<ExchangeMap>,
    /// Whether the coordinator waits for the result.
    pub report: bool,
}

/// Why a node takes no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// No node of this name is expected now.
    NotExpected,
    /// Another machine has this name now.
    Replaced,
    /// The coordinator's disk takes no state; it answers again when it does.
    Unsaved,
}

/// The coordinator's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The report that came in the poll was taken, or is of no use any more: it need not be sent again.
    pub acknowledged: Option<(RoundId, Run)>,
    /// What to run, in this order.
    pub tasks: Vec<Task>,
    /// The step that waits for this node holds another configuration than the node does: it should look at its profiles again.
    pub stale: bool,
    /// Set where the node takes no part.
    pub refused: Option<Refusal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(rank: u32) -> NodeName {
        NodeName::compute(rank).unwrap_or(NodeName::LOGIN)
    }

    #[test]
    fn a_map_is_json_by_rank_with_each_final_line_break() {
        let nodes: BTreeMap<_, _> =
            [(10, None), (0, Some("10.0.0.1 a\n")), (2, Some("\"é\\"))].map(|(rank, text)| (node(rank), text.map(str::to_owned))).into();
        let text = by_rank(&nodes);
        assert_eq!(text, r#"{"0": "10.0.0.1 a\n", "2": "\"é\\", "10": null}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["0"], "10.0.0.1 a\n");
        assert_eq!(by_rank(&BTreeMap::new()), "{}");
    }

    #[test]
    fn maps_that_differ_in_anything_have_different_ids() {
        let map = |entries: &[(&str, u32, Option<&str>)]| {
            let mut map = ExchangeMap::default();
            for (output, rank, text) in entries {
                map.0.entry((*output).to_owned()).or_default().insert(node(*rank), text.map(str::to_owned));
            }
            map.id()
        };
        let ids = [
            map(&[]),
            map(&[("a", 0, None)]),
            map(&[("a", 0, Some(""))]),
            map(&[("a", 0, Some("x"))]),
            map(&[("a", 1, Some("x"))]),
            map(&[("b", 0, Some("x"))]),
            map(&[("a", 0, Some("x")), ("a", 1, None)]),
            map(&[("a", 0, Some("x")), ("b", 1, None)]),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(map(&[("a", 0, Some("x")), ("a", 1, None)]), map(&[("a", 1, None), ("a", 0, Some("x"))]));
    }
}
