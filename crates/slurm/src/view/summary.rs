//! What a user is shown of nodes and jobs. [`Summary::report`] is what the login node reports of it for `.cf-status`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cf_core::node_name::NodeName;

use super::Jobs;
use crate::host_list::Nodes;
use crate::scaling::{NodeFacts, Power};

/// Nodes and jobs of a cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The nodes that run.
    pub running: BTreeSet<NodeName>,
    /// Those that start.
    pub starting: BTreeSet<NodeName>,
    /// Those that run and do not answer.
    pub silent: BTreeSet<NodeName>,
    /// Those that take no job, by the reason.
    pub down: BTreeMap<String, BTreeSet<NodeName>>,
    /// The jobs that are not over.
    pub jobs: Jobs,
}

impl Summary {
    /// Sorts the nodes. One that is off and may be used is in no list: nobody needs it now.
    pub fn new(nodes: &BTreeMap<NodeName, NodeFacts>, jobs: Jobs) -> Self {
        let mut summary = Self { jobs, ..Self::default() };
        for (node, facts) in nodes {
            let nodes = match (facts.ours().or(facts.reason.as_deref()), facts.power) {
                (Some(reason), _) => summary.down.entry(reason.to_owned()).or_default(),
                (None, Power::On) => &mut summary.running,
                (None, Power::Starting) => &mut summary.starting,
                (None, Power::Silent) => &mut summary.silent,
                (None, Power::Off | Power::Stopping) => continue,
            };
            nodes.insert(*node);
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Jobs { waiting, starting, running, .. } = self.jobs;
        write!(f, "Jobs: {running} running, {starting} starting, {waiting} waiting")?;
        let lists = [("running", &self.running), ("starting", &self.starting), ("not answering", &self.silent)];
        for (word, nodes) in lists.into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
            write!(f, "\nNodes {word}: {} ({})", nodes.len(), Nodes(nodes))?;
        }
        for (reason, nodes) in &self.down {
            write!(f, "\nNodes down: {} ({}): {reason}", nodes.len(), Nodes(nodes))?;
        }
        Ok(())
    }
}
