//! `scontrol --json show nodes`.

use std::collections::BTreeMap;

use cf_core::node_name::NodeName;
use serde::Deserialize;

use super::{ViewError, read};
use crate::scaling::{NodeFacts, Power};

#[derive(Debug, Deserialize)]
struct Shown {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    state: Vec<String>,
    #[serde(default)]
    reason: String,
}

/// The compute nodes, each with its power and why it is closed. Names that are no node's of a cluster are left out.
pub fn nodes(json: &[u8]) -> Result<BTreeMap<NodeName, NodeFacts>, ViewError> {
    let shown: Shown = read("scontrol show nodes", json)?;
    let known = |node: &Node| node.name.parse().ok().filter(|node| *node != NodeName::LOGIN);
    Ok(shown.nodes.iter().filter_map(|node| Some((known(node)?, node.facts()))).collect())
}

impl Node {
    fn facts(&self) -> NodeFacts {
        let is = |word: &str| self.state.iter().any(|state| state == word);
        // A node that is off is not responding too, and one that starts: what Slurm does about it comes first.
        let power = if is("POWER_DOWN") || is("POWERING_DOWN") {
            Power::Stopping
        } else if is("POWERED_DOWN") {
            Power::Off
        } else if is("POWER_UP") || is("POWERING_UP") {
            Power::Starting
        } else if is("NOT_RESPONDING") {
            Power::Silent
        } else {
            Power::On
        };
        // Slurm keeps the last reason of a node that is open again.
        let is_closed = ["DOWN", "DRAIN", "FAIL", "ERROR", "INVALID_REG"].into_iter().any(is);
        let reason = is_closed.then(|| if self.reason.is_empty() { "no reason is given".to_owned() } else { self.reason.clone() });
        NodeFacts { power, reason }
    }
}
