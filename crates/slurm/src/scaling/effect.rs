//! All that scaling may do to the world, as one enum. It prints as the log line and the dry run.

use std::fmt;

use cf_core::node_name::NodeName;

use super::words::{Closed, Note, OURS};
use crate::group::Group;
use crate::host_list;

/// An act. Each may happen twice without harm. They are carried out in their order; where one fails, the rest waits for the next pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `TerminateInstanceInAutoScalingGroup` with decrement.
    End {
        /// The machine's group.
        group: Group,
        /// Its id.
        machine: String,
    },
    /// `SetDesiredCapacity`, without cooldown.
    SetDesired {
        /// Which group.
        group: Group,
        /// How many machines.
        desired: u32,
    },
    /// Slurm: the nodes are down, their jobs start elsewhere.
    Close {
        /// Which.
        nodes: Vec<NodeName>,
        /// Why.
        why: Closed,
    },
    /// Slurm: the nodes get no new job.
    Drain {
        /// Which.
        nodes: Vec<NodeName>,
        /// Why.
        why: Closed,
    },
    /// Slurm: the jobs that run on the nodes start elsewhere (`squeue` names them, `scontrol requeue`).
    Requeue {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// Slurm: the nodes, which are closed by us, may be used again.
    Open {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// Slurm: the nodes, which it believes to be starting or on and which have no machine, are off again and may be used.
    Reset {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// Slurm: the nodes are to start though no job needs them. Slurm calls `resume` for them.
    PowerUp {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The user is told.
    Report(Note),
}

impl Effect {
    /// The arguments of `scontrol`, where one call of it is the effect. [`Self::Requeue`] needs the jobs' ids.
    pub fn scontrol(&self) -> Option<Vec<String>> {
        let (nodes, state, why) = match self {
            Self::Close { nodes, why } => (nodes, "DOWN", Some(why)),
            Self::Drain { nodes, why } => (nodes, "DRAIN", Some(why)),
            Self::Open { nodes } => (nodes, "RESUME", None),
            Self::Reset { nodes } => (nodes, "POWER_DOWN_FORCE", None),
            Self::PowerUp { nodes } => (nodes, "POWER_UP", None),
            Self::End { .. } | Self::SetDesired { .. } | Self::Requeue { .. } | Self::Report(_) => return None,
        };
        let mut arguments = vec!["update".to_owned(), format!("NodeName={}", list(nodes)), format!("State={state}")];
        arguments.extend(why.map(|why| format!("Reason={OURS}{why}")));
        Some(arguments)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End { group, machine } => write!(f, "end {machine} ({group})"),
            Self::SetDesired { group, desired } => write!(f, "set the desired capacity of {group} to {desired}"),
            Self::Close { nodes, why } => write!(f, "set {} down: {why}", list(nodes)),
            Self::Drain { nodes, why } => write!(f, "drain {}: {why}", list(nodes)),
            Self::Requeue { nodes } => write!(f, "requeue the jobs on {}", list(nodes)),
            Self::Open { nodes } => write!(f, "open {}", list(nodes)),
            Self::Reset { nodes } => write!(f, "reset {}", list(nodes)),
            Self::PowerUp { nodes } => write!(f, "power up {}", list(nodes)),
            Self::Report(note) => write!(f, "report: {note}"),
        }
    }
}

fn list(nodes: &[NodeName]) -> String {
    host_list::of_nodes(nodes.iter().copied())
}
