//! The name of a node, by its number.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a node in its cluster: `login1`, or `compute-N` with N from 1. It is the host name and Slurm's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(u32);

/// A text that is no node's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNameError(String);

impl fmt::Display for NodeNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a node: login1, or compute-1 and so on", self.0)
    }
}

impl std::error::Error for NodeNameError {}

impl NodeName {
    /// The login node.
    pub const LOGIN: Self = Self(0);

    /// The compute node with this number, from 1 on; `None` for 0.
    pub fn compute(number: u32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The node of this rank.
    pub const fn of_rank(rank: u32) -> Self {
        Self(rank)
    }

    /// Its rank among the nodes: 0 for the login node, then the compute node's number (decision: exchange keys are ranks).
    pub const fn rank(self) -> u32 {
        self.0
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
    }
}
