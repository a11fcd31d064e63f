//! What a node is: its role, its name, and where its files lie.

use std::path::{Path, PathBuf};

pub use cf_core::node_name::{NodeName, NodeNameError};
use serde::{Deserialize, Serialize};

/// What a node is in its cluster. Scripts get the word as an argument: the Alces customiser's (facts B.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// The login node.
    Master,
    /// A compute node.
    Slave,
}

impl Role {
    /// The role of the node of this name.
    pub fn of(node: NodeName) -> Self {
        if node == NodeName::LOGIN { Self::Master } else { Self::Slave }
    }
}

/// Where a node's files lie: below `/`, or below a folder of a test or of `cf-node try`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A layout below this folder.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The agent's own state, only root's.
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/clusterdrop")
    }

    /// The profiles as they were fetched last: a folder each, in the order of the events.
    pub fn profiles(&self) -> PathBuf {
        self.state().join("profiles")
    }

    /// A file for each script that runs ([`crate::run::notes`]).
    pub fn runs(&self) -> PathBuf {
        self.state().join("runs")
    }

    /// A file for each other member, which member scripts get by its path.
    pub fn members(&self) -> PathBuf {
        self.state().join("members")
    }

    /// The log that the founding document promises.
    pub fn instance_log(&self) -> PathBuf {
        self.root.join("var/log/clusterware/instance.log")
    }

    /// What the template tells the node.
    pub fn settings(&self) -> PathBuf {
        self.root.join("etc/clusterdrop/node.json")
    }

    /// The table of hosts.
    pub fn hosts(&self) -> PathBuf {
        self.root.join("etc/hosts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_node_is_the_master_and_the_others_are_slaves() {
        assert_eq!(Role::of(NodeName::LOGIN), Role::Master);
        assert_eq!(NodeName::compute(1).map(Role::of), Some(Role::Slave));
    }
}
