//! What a node is: its role, its name, and where its files lie.

use std::fmt;
use std::path::{Path, PathBuf};

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

/// The name of a node in its cluster: `login1`, or `compute-N` with N from 1. It is the host name and Slurm's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(u32);

/// A text that is no node's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a node: login1, or compute-1 and so on")]
pub struct NodeNameError(String);

impl NodeName {
    /// The login node.
    pub const LOGIN: Self = Self(0);

    /// The compute node with this number, from 1 on; `None` for 0.
    pub fn compute(number: u32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Its rank among the nodes: 0 for the login node, then the compute node's number (decision: exchange keys are ranks).
    pub fn rank(self) -> u32 {
        self.0
    }

    /// Its role.
    pub fn role(self) -> Role {
        if self == Self::LOGIN { Role::Master } else { Role::Slave }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LOGIN { f.write_str("login1") } else { write!(f, "compute-{}", self.0) }
    }
}

impl std::str::FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("compute-").filter(|n| n.bytes().all(|b| b.is_ascii_digit()) && !n.starts_with('0'));
        let name = if text == "login1" { Some(Self::LOGIN) } else { number.and_then(|n| n.parse().ok()).and_then(Self::compute) };
        name.ok_or_else(|| NodeNameError(text.to_owned()))
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.to_string()
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
    fn a_name_is_read_as_it_is_printed_and_nothing_else_is_one() {
        for text in ["login1", "compute-1", "compute-200", "compute-4294967295"] {
            assert_eq!(text.parse::<NodeName>().unwrap().to_string(), text);
        }
        for text in
            ["", "login", "login2", "compute-", "compute-0", "compute-01", "compute-+1", "compute-4294967296", "Compute-1", "compute-1 "]
        {
            assert!(text.parse::<NodeName>().is_err(), "{text}");
        }
        assert_eq!(NodeName::compute(0), None);
        assert_eq!(NodeName::LOGIN.role(), Role::Master);
        assert_eq!(NodeName::compute(1).unwrap().role(), Role::Slave);
    }
}
