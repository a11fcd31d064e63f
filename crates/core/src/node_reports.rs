//! What the nodes of one cluster report, taken together, and what of it a status file shows.
//!
//! Reports are hostile ([`crate::node_report`]): a node is known by the key of its report, never by what the report holds, and what is
//! shown has limits of its own, however many nodes report however much.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::Fault;
use crate::node_name::NodeName;
use crate::node_report::{self, FailedScript, FailureCode, InstanceId, NodeReport, NodeState, SchedulerReport};

/// A status file gives the words of so many nodes: the reasons of those that failed, then the notes of others. The state of every node
/// is shown.
pub const FAILED_NODES_MAX: usize = 10;

/// A status file shows so many scripts that failed.
pub const SCRIPTS_SHOWN_MAX: usize = 20;

/// These scripts, with what they printed, have at most so many bytes of JSON together. A status file is read back up to 64 KiB
/// ([`crate::body::BODY_BYTES_MAX`]), and the rest of one needs less than 50.
pub const SCRIPTS_BYTES_MAX: usize = 12 * 1024;

/// What Slurm shows has at most so many bytes of JSON. A cluster with nodes in every state and a few reasons needs a quarter of that.
pub const SCHEDULER_BYTES_MAX: usize = 6 * 1024;

/// Compute nodes of one cluster whose reports are read, whatever its template allows: a page of a listing has a thousand names, and a
/// node may have a folder beside its report.
pub const NODES_MAX: u32 = 499;

/// A node. It is read and printed as its name: `login1` or `compute-N`, and of a machine without a number `compute-` and its EC2 id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportedNode {
    /// By its number.
    Numbered(NodeName),
    /// A machine that the login node has given no number, by its EC2 id.
    Unnumbered(InstanceId),
}

/// The login node.
pub const LOGIN: ReportedNode = ReportedNode::Numbered(NodeName::LOGIN);

impl ReportedNode {
    /// The node of this rank.
    pub const fn numbered(rank: u32) -> Self {
        Self::Numbered(NodeName::of_rank(rank))
    }

    /// The node of this name, if it is one.
    pub fn read(name: &str) -> Option<Self> {
        name.parse().ok().map(Self::Numbered).or_else(|| node_report::unnumbered(name).map(Self::Unnumbered))
    }

    /// Whether its number is above this one.
    pub const fn is_above(self, most: u32) -> bool {
        matches!(self, Self::Numbered(name) if name.rank() > most)
    }
}

impl fmt::Display for ReportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(name) => name.fmt(f),
            Self::Unnumbered(instance) => f.write_str(&instance.node()),
        }
    }
}

impl Serialize for ReportedNode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReportedNode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::read(&name).ok_or_else(|| de::Error::custom("no node has this name"))
    }
}

/// The reports of one life of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeReports {
    /// What each node reports.
    pub by_node: BTreeMap<ReportedNode, NodeReport>,
    /// Objects beside them that count for nothing: of no node of this cluster, older than it, too long, unreadable.
    pub ignored: usize,
}

impl NodeReports {
    /// Takes one more report, of a node that comes after those that are there. Scripts that no status file shows are only counted:
    /// hundreds of nodes that report whatever fits are not to fill a function's memory.
    pub fn add(&mut self, node: ReportedNode, mut report: NodeReport) {
        let kept: usize = self.by_node.values().map(|report| report.scripts.len()).sum();
        let room = if is_here(node, &report) { SCRIPTS_SHOWN_MAX.saturating_sub(kept) } else { 0 };
        let more = report.scripts.len().saturating_sub(room);
        report.more_scripts = report.more_scripts.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        report.scripts.truncate(room);
        report.scripts.shrink_to_fit();
        if node != LOGIN {
            report.host_keys = Vec::new();
            report.scheduler = None;
        }
        self.by_node.insert(node, report);
    }
}

/// Whether the node is part of the cluster: a compute node that ended as it was meant to is none any more.
fn is_here(node: ReportedNode, report: &NodeReport) -> bool {
    node == LOGIN || report.state != NodeState::Leaving
}

/// What a look found of the nodes' reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObservedReports {
    /// Nothing was asked: nothing that this function may do shows them.
    #[default]
    NotRead,
    /// They could not be read.
    Unread(Fault),
    /// These.
    Read(NodeReports),
}

impl ObservedReports {
    /// The reports, where they were read.
    pub const fn read(&self) -> Option<&NodeReports> {
        if let Self::Read(reports) = self { Some(reports) } else { None }
    }
}

/// A node that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedNode {
    /// Which.
    pub node: ReportedNode,
    /// Why, in a sentence.
    pub reason: String,
}

/// What a node that has not failed lets its user know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNote {
    /// Which node.
    pub node: ReportedNode,
    /// What, in a sentence.
    pub note: String,
}

/// A script that failed, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOfNode {
    /// On which node.
    pub node: ReportedNode,
    /// The script.
    #[serde(flatten)]
    pub script: FailedScript,
}

/// What a status file shows of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesShown {
    /// The state of each node, the login node first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<ReportedNode, String>,
    /// Nodes that failed, and why: the first [`FAILED_NODES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_nodes: Vec<FailedNode>,
    /// What others let their user know: with the failed nodes at most [`FAILED_NODES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_notes: Vec<NodeNote>,
    /// Scripts that failed: the first [`SCRIPTS_SHOWN_MAX`] that fit [`SCRIPTS_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_scripts: Vec<ScriptOfNode>,
    /// How many more failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_failed_scripts: u64,
    /// The login node's SSH host keys, as lines for a known_hosts file: `<address> <type> <key>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<String>,
    /// What the login node reports of Slurm, of a cluster that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl NodesShown {
    /// What is shown of the reports; `reason` puts a failure into words. `login` is the address among the stack's outputs, the only
    /// one that is shown: a node's own word for it is not taken.
    pub fn of(reports: &NodeReports, login: Option<&str>, reason: impl Fn(FailureCode, &str) -> String) -> Self {
        let here = || reports.by_node.iter().filter(|(node, report)| is_here(**node, report));
        let failed = here().filter(|(_, report)| report.state == NodeState::Failed);
        let reason_of = |report: &NodeReport| match report.failure {
            Some(code) => reason(code, &report.message),
            None if report.message.is_empty() => "it gave no reason".to_owned(),
            None => report.message.clone(),
        };
        let login_node = reports.by_node.get(&LOGIN);
        let host_keys = login_node.map(|report| report.host_keys.as_slice()).unwrap_or_default();
        // What it reported before it ends is old; it reports anew when it is up again.
        let scheduler = login_node.filter(|report| report.state != NodeState::Leaving).and_then(|report| report.scheduler.clone());
        let mut shown = Self {
            nodes: here().map(|(node, report)| (*node, report.state.to_string())).collect(),
            failed_nodes: failed
                .take(FAILED_NODES_MAX)
                .map(|(node, report)| FailedNode { node: *node, reason: reason_of(report) })
                .collect(),
            known_hosts: login.map(|login| host_keys.iter().map(|key| format!("{login} {key}")).collect()).unwrap_or_default(),
            scheduler: scheduler.map(|scheduler| scheduler.within(SCHEDULER_BYTES_MAX)),
            ..Self::default()
        };
        let with_news = here().filter(|(_, report)| report.state != NodeState::Failed && !report.message.is_empty());
        let notes = with_news.map(|(node, report)| NodeNote { node: *node, note: report.message.clone() });
        shown.node_notes = notes.take(FAILED_NODES_MAX - shown.failed_nodes.len()).collect();
        let mut bytes = 0;
        for (node, report) in here() {
            for script in &report.scripts {
                let script = ScriptOfNode { node: *node, script: script.clone() };
                bytes += serde_json::to_string_pretty(&script).map_or(SCRIPTS_BYTES_MAX, |text| text.len());
                if shown.failed_scripts.len() < SCRIPTS_SHOWN_MAX && bytes <= SCRIPTS_BYTES_MAX {
                    shown.failed_scripts.push(script);
                } else {
                    shown.more_failed_scripts = shown.more_failed_scripts.saturating_add(1);
                }
            }
            shown.more_failed_scripts = shown.more_failed_scripts.saturating_add(report.more_scripts);
        }
        shown
    }

    /// What stays of it where the reports cannot be read: host keys of another address than `login` go.
    #[must_use]
    pub fn kept(&self, login: Option<&str>) -> Self {
        let is_of_login = |line: &&String| login.is_some_and(|login| line.strip_prefix(login).is_some_and(|rest| rest.starts_with(' ')));
        Self { known_hosts: self.known_hosts.iter().filter(is_of_login).cloned().collect(), ..self.clone() }
    }

    /// Whether somebody waits for it who reads `before`: for a failure, or for the first word of Slurm after the address.
    pub fn is_awaited_after(&self, before: &Self) -> bool {
        self.shows_another_failure_than(before) || (self.scheduler.is_some() && before.scheduler.is_none())
    }

    /// Whether it shows a failure that `before` does not.
    pub fn shows_another_failure_than(&self, before: &Self) -> bool {
        self.failed_nodes.iter().any(|node| !before.failed_nodes.contains(node))
            || self.node_notes.iter().any(|note| !before.node_notes.contains(note))
            || self.failed_scripts.iter().any(|script| !before.failed_scripts.contains(script))
    }
}

#[cfg(test)]
#[path = "node_reports_tests.rs"]
mod tests;
