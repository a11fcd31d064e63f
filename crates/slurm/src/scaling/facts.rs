//! What a pass is told of the world: the groups as AWS describes them, and the nodes as Slurm shows them, read in one go.

use std::collections::BTreeMap;

use cf_core::node_name::NodeName;
use jiff::Timestamp;

use super::words::{Closed, OURS};
use crate::group::Group;

/// The reasons that Slurm gives by itself to nodes that do not come or do not answer (its `node_mgr.c`, `ping_nodes.c`, `power_save.c`).
const SLURMS: [&str; 2] = ["ResumeTimeout reached", "Not responding"];

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When the reading began. What the book learned since then counts more.
    pub at: Timestamp,
    /// The groups. One that could not be read is missing, and nothing is decided about it.
    pub groups: BTreeMap<Group, GroupFacts>,
    /// The compute nodes. A node that Slurm does not show is missing, and nothing is decided about it. They are read after the groups, so
    /// that a machine which registered and is gone shows both.
    pub nodes: BTreeMap<NodeName, NodeFacts>,
}

/// An Auto Scaling group (DescribeAutoScalingGroups, DescribeScalingActivities).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// Its desired capacity.
    pub desired: u32,
    /// Its machines by their ids.
    pub machines: BTreeMap<String, Life>,
    /// Its last activities that launch machines; one page is enough.
    pub activities: Vec<Activity>,
}

/// Where a machine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is launched or runs: `Pending`, `InService` and all that is not below.
    Lives,
    /// It ends: `Terminating…`, `Terminated`, `Detaching`.
    Ends,
}

/// A launch that a group tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// When it began, by AWS's clock. Nodes have Amazon's time.
    pub began: Timestamp,
    /// How it stands.
    pub status: ActivityStatus,
    /// Its StatusMessage.
    pub message: String,
    /// The machine that it launches, where its Description names one: [`launched`].
    pub machine: Option<String>,
}

/// The machine in an activity's Description, `Launching a new EC2 instance: i-4ba0837f` (the user guide's example); a launch that
/// failed has none, `Launching a new EC2 instance.  Status Reason: …`.
pub fn launched(description: &str) -> Option<&str> {
    let (_, machine) = description.split_once("Launching a new EC2 instance: ")?;
    machine.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().filter(|machine| machine.starts_with("i-"))
}

/// How an activity stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityStatus {
    /// It goes on.
    Runs,
    /// It launched a machine.
    Succeeded,
    /// It launched none: `Failed` and `Cancelled`.
    Failed,
}

/// A node as Slurm shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its power.
    pub power: Power,
    /// Why it is down or drained, where it is.
    pub reason: Option<String>,
}

/// What Slurm has done about a node's power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// It is not there, and Slurm does not want it.
    #[default]
    Off,
    /// Slurm has asked for it.
    Starting,
    /// It has registered and answers.
    On,
    /// It had registered and does not answer.
    Silent,
    /// Slurm has given it to be ended.
    Stopping,
}

impl NodeFacts {
    /// The reason that this agent gave, without its mark; `None` where the node is not down, or down by somebody else.
    pub fn ours(&self) -> Option<&str> {
        self.reason.as_deref()?.strip_prefix(OURS)
    }

    /// Whether it is down because its machine is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.ours() == Some(Closed::Lost.to_string().as_str())
    }

    /// Whether somebody else has set it down by hand.
    pub fn is_others(&self) -> bool {
        let begins = |reason: &str| reason.starts_with(OURS) || SLURMS.iter().any(|slurms| reason.starts_with(slurms));
        self.reason.as_deref().is_some_and(|reason| !begins(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_of_a_launch_is_read_from_its_description() {
        assert_eq!(launched("Launching a new EC2 instance: i-4ba0837f"), Some("i-4ba0837f"));
        assert_eq!(launched("Launching a new EC2 instance: i-4ba0837f.  Status Reason: x"), Some("i-4ba0837f"));
        assert_eq!(launched("Launching a new EC2 instance.  Status Reason: There is no Spot capacity"), None);
        assert_eq!(launched("Terminating EC2 instance: i-4ba0837f"), None);
    }

    #[test]
    fn a_reason_is_ours_slurms_or_somebody_elses() {
        let node = |reason: Option<&str>| NodeFacts { power: Power::Off, reason: reason.map(str::to_owned) };
        assert_eq!(node(Some("clusterdrop: x")).ours(), Some("x"));
        assert!(node(Some("disk")).is_others() && node(Some("disk")).ours().is_none());
        assert!(!node(Some("ResumeTimeout reached [slurm@2026-11-28T12:00:00]")).is_others());
        assert!(!node(None).is_others());
    }
}
