//! From what Slurm shows to what the login node reports of it.

use std::collections::BTreeSet;
use std::fmt;

use cf_core::node_name::NodeName;
use cf_core::node_report::{ENTRIES_MAX, JobsReport, NodesReport, NodesState, SchedulerReport};

use super::Summary;
use crate::config::PARTITION;
use crate::host_list::Nodes;

/// Entries beside those of nodes that are down: each other state has one.
const UP_ENTRIES_MAX: usize = 3;

impl Summary {
    /// What is reported of it, with these notes ([`crate::scaling::Note`] prints one), within the limits of [`SchedulerReport`]. Where
    /// nodes are down for more reasons than fit, those with the most nodes are listed, and the nodes of the others together.
    pub fn report(&self, notes: impl IntoIterator<Item = impl fmt::Display>) -> SchedulerReport {
        let up = [(NodesState::Running, &self.running), (NodesState::Starting, &self.starting), (NodesState::Silent, &self.silent)];
        let up = up.into_iter().filter(|(_, nodes)| !nodes.is_empty()).map(|(state, nodes)| entry(state, nodes, String::new()));
        let report = SchedulerReport {
            partition: PARTITION.to_owned(),
            nodes: up.chain(self.down()).collect(),
            jobs: JobsReport { running: self.jobs.running, starting: self.jobs.starting, waiting: self.jobs.waiting },
            notes: notes.into_iter().map(|note| note.to_string()).collect(),
        };
        report.bounded()
    }

    fn down(&self) -> Vec<NodesReport> {
        let mut down: Vec<_> = self.down.iter().collect();
        // The order of reasons decides between equals, so that the same nodes give the same report.
        down.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
        let room = ENTRIES_MAX - UP_ENTRIES_MAX;
        let others = if down.len() > room { down.split_off(room - 1) } else { Vec::new() };
        let mut entries: Vec<_> = down.iter().map(|(reason, nodes)| entry(NodesState::Down, nodes, (*reason).clone())).collect();
        if !others.is_empty() {
            let nodes = others.iter().flat_map(|(_, nodes)| nodes.iter().copied()).collect();
            entries.push(entry(NodesState::Down, &nodes, format!("{} other reasons (sinfo -R lists them)", others.len())));
        }
        entries
    }
}

fn entry(state: NodesState, nodes: &BTreeSet<NodeName>, reason: String) -> NodesReport {
    NodesReport { state, count: u32::try_from(nodes.len()).unwrap_or(u32::MAX), nodes: Nodes(nodes).to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use crate::scaling::{Failure, Note, Trouble};
    use crate::view::Jobs;

    fn names(ranks: impl IntoIterator<Item = u32>) -> BTreeSet<NodeName> {
        ranks.into_iter().map(NodeName::of_rank).collect()
    }

    const NONE: [Note; 0] = [];

    #[test]
    fn a_portal_reads_the_nodes_by_state_the_jobs_and_the_notes() {
        let summary = Summary {
            running: names([9, 10]),
            starting: names([11]),
            down: [("spot had no capacity".to_owned(), names([1, 2, 4]))].into(),
            jobs: Jobs { running: 3, starting: 1, waiting: 2, ..Jobs::default() },
            ..Summary::default()
        };
        let failure = Failure::new(Group::Spot, Trouble::NoCapacity, "There is no Spot capacity");
        let report = summary.report([Note::Fallback { nodes: 2, failure }]);
        let json = serde_json::json!({
            "partition": "compute",
            "nodes": [
                {"state": "running", "count": 2, "nodes": "compute-[9-10]"},
                {"state": "starting", "count": 1, "nodes": "compute-11"},
                {"state": "down", "count": 3, "nodes": "compute-[1-2,4]", "reason": "spot had no capacity"},
            ],
            "jobs": {"running": 3, "starting": 1, "waiting": 2},
            "notes": ["2 nodes on demand, because spot had no capacity"],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), json);
        assert_eq!(serde_json::from_value::<SchedulerReport>(json).unwrap(), report);
    }

    #[test]
    fn a_cluster_that_nobody_uses_reports_its_partition_and_zeros() {
        let json = serde_json::to_string(&Summary::default().report(NONE)).unwrap();
        assert_eq!(json, r#"{"partition":"compute","nodes":[],"jobs":{"running":0,"starting":0,"waiting":0},"notes":[]}"#);
    }

    #[test]
    fn of_more_reasons_than_fit_those_with_the_most_nodes_are_listed_and_no_node_is_lost() {
        // Reason N has N nodes.
        let with = |reasons: u32| {
            let mut next = 0;
            let mut of = |count| {
                next += count;
                names(next - count + 1..=next)
            };
            let down = (1..=reasons).map(|count| (format!("reason {count:02}"), of(count))).collect();
            Summary { running: names([901]), starting: names([902]), silent: names([903]), down, ..Summary::default() }
        };
        let fits = with(9).report(NONE);
        assert_eq!((fits.nodes.len(), fits.nodes[3].reason.as_str(), fits.nodes[11].reason.as_str()), (12, "reason 09", "reason 01"));
        let cut = with(10).report(NONE);
        assert_eq!((cut.nodes.len(), cut.nodes[10].reason.as_str(), cut.nodes[10].count), (12, "reason 03", 3));
        let others = &cut.nodes[11];
        assert_eq!((others.nodes.as_str(), others.count), ("compute-[1-3]", 3), "those of the reasons 1 and 2");
        assert_eq!(others.reason, "2 other reasons (sinfo -R lists them)");
        assert_eq!(cut.count(NodesState::Down), 55);
    }
}
