//! What the login node reports of Slurm: its nodes by their state, its jobs in figures, and what the user ought to know of both.
//!
//! It is part of the login node's report, and as hostile as the rest of it. Where its limits are passed, the first entries and notes stay.

use serde::{Deserialize, Serialize};

use super::TEXT_CHARS_MAX;
use crate::plain::plain;

/// Entries of nodes in one report: three states of nodes that may be used, and the reasons of others.
pub const ENTRIES_MAX: usize = 12;

/// Notes in one report.
pub const NOTES_MAX: usize = 5;

/// What Slurm shows at one moment. A field that a later version adds is ignored by an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerReport {
    /// The partition that jobs are submitted to.
    pub partition: String,
    /// The nodes that run, start or cannot be used, at most [`ENTRIES_MAX`] entries. One that is off and may be used is in none.
    #[serde(default)]
    pub nodes: Vec<NodesReport>,
    /// The jobs that are not over.
    #[serde(default)]
    pub jobs: JobsReport,
    /// What the user ought to know, a sentence each without its full stop, at most [`NOTES_MAX`].
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Nodes that are in one state, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesReport {
    /// Their state.
    pub state: NodesState,
    /// How many.
    pub count: u32,
    /// Which, as Slurm writes it: `compute-[1-3,7]`. A list longer than [`TEXT_CHARS_MAX`] is cut, with `…` where something is missing.
    #[serde(default)]
    pub nodes: String,
    /// Why they are down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The state of a node, as a user of Slurm cares for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NodesState {
    /// It has registered and answers.
    Running,
    /// Slurm has asked for it.
    Starting,
    /// It had registered and does not answer.
    Silent,
    /// It takes no job: [`NodesReport::reason`].
    Down,
}

/// The jobs that are not over, in figures. Each task of an array that waits is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsReport {
    /// Those that run.
    #[serde(default)]
    pub running: u32,
    /// Those whose nodes start.
    #[serde(default)]
    pub starting: u32,
    /// Those that have no nodes yet.
    #[serde(default)]
    pub waiting: u32,
}

impl SchedulerReport {
    /// The same within the limits, with texts that are fit to be shown.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.partition = plain(&self.partition, TEXT_CHARS_MAX);
        // A list keeps the room of what was in it.
        self.nodes.truncate(ENTRIES_MAX);
        self.nodes.shrink_to_fit();
        self.notes.truncate(NOTES_MAX);
        self.notes.shrink_to_fit();
        let of_nodes = self.nodes.iter_mut().flat_map(|entry| [&mut entry.nodes, &mut entry.reason]);
        for text in of_nodes.chain(&mut self.notes) {
            *text = plain(text, TEXT_CHARS_MAX);
        }
        self
    }

    /// What of it fits so many bytes of JSON, as a status file writes it: of the longer list, nodes or notes, the last go first.
    #[must_use]
    pub fn within(mut self, bytes: usize) -> Self {
        while bytes_of(&self) > bytes && !(self.nodes.is_empty() && self.notes.is_empty()) {
            if bytes_of(&self.nodes) > bytes_of(&self.notes) {
                self.nodes.pop();
            } else {
                self.notes.pop();
            }
        }
        self
    }

    /// How many nodes are in this state.
    pub fn count(&self, state: NodesState) -> u32 {
        self.nodes.iter().filter(|entry| entry.state == state).fold(0, |sum, entry| sum.saturating_add(entry.count))
    }
}

fn bytes_of(value: &impl Serialize) -> usize {
    serde_json::to_string_pretty(value).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_report::{BYTES_MAX, NodeReport, NodeState};
    use crate::testing;

    /// As it is read in the login node's report.
    fn read(scheduler: &str) -> Option<SchedulerReport> {
        let text = format!(r#"{{"state":"ready","updated":"2026-11-21T09:00:00Z","scheduler":{scheduler}}}"#);
        NodeReport::parse(text.as_bytes()).ok()?.scheduler
    }

    #[test]
    fn it_is_read_as_it_was_written_and_what_is_missing_is_nothing() {
        let written = testing::scheduler_report();
        assert_eq!(read(&serde_json::to_string(&written).unwrap()).unwrap(), written);
        let least = read(r#"{"partition": "compute", "later": [1], "jobs": {"running": 1}}"#).unwrap();
        assert_eq!((least.jobs.running, least.jobs.waiting, least.nodes.len(), least.notes.len()), (1, 0, 0, 0));
        assert_eq!(NodeReport::parse(br#"{"state":"ready","updated":"2026-11-21T09:00:00Z"}"#).unwrap().scheduler, None);
    }

    #[test]
    fn so_many_entries_and_notes_are_kept_the_first_ones() {
        let with = |entries: usize, notes: usize| {
            let entry = |nth: usize| format!(r#"{{"state":"down","count":1,"nodes":"compute-{nth}","reason":"r"}}"#);
            let entries: Vec<_> = (1..=entries).map(entry).collect();
            let notes: Vec<_> = (1..=notes).map(|nth| format!("\"note {nth}\"")).collect();
            read(&format!(r#"{{"partition":"compute","nodes":[{}],"notes":[{}]}}"#, entries.join(","), notes.join(","))).unwrap()
        };
        let all = with(ENTRIES_MAX, NOTES_MAX);
        assert_eq!((all.nodes.len(), all.notes.len()), (ENTRIES_MAX, NOTES_MAX));
        assert_eq!(with(ENTRIES_MAX + 1, NOTES_MAX + 1), all);
        let crowd = with(600, 600);
        assert_eq!((&crowd, crowd.nodes.capacity(), crowd.notes.capacity()), (&all, ENTRIES_MAX, NOTES_MAX));
    }

    #[test]
    fn each_text_is_plain_and_cut() {
        let long = |count: usize| "a".repeat(count);
        let with = |text: String| {
            let entry = NodesReport { state: NodesState::Down, count: u32::MAX, nodes: text.clone(), reason: text.clone() };
            let one = SchedulerReport { partition: text.clone(), nodes: vec![entry], notes: vec![text], ..SchedulerReport::default() };
            let read = read(&serde_json::to_string(&one).unwrap()).unwrap();
            [read.partition, read.nodes[0].nodes.clone(), read.nodes[0].reason.clone(), read.notes[0].clone()]
        };
        assert_eq!(with("\u{1b}[31mroot\r\n\u{202e}was here.".into()), ["root was here"; 4]);
        assert_eq!(with(long(TEXT_CHARS_MAX)), [long(TEXT_CHARS_MAX).as_str(); 4]);
        assert!(with(long(TEXT_CHARS_MAX + 1)).iter().all(|text| text.chars().count() == TEXT_CHARS_MAX && text.contains('…')));
    }

    /// An agent never writes one; what a user writes by hand costs their own file what the login node reports.
    #[test]
    fn a_number_that_is_none_makes_it_no_report() {
        for count in ["-1", "4294967296", "1.5", "\"1\"", "null", "1e99"] {
            assert_eq!(read(&format!(r#"{{"partition":"p","nodes":[{{"state":"running","count":{count}}}]}}"#)), None, "{count}");
        }
        let most = r#"{"state":"running","count":4294967295}"#;
        let read = read(&format!(r#"{{"partition":"p","nodes":[{most},{most}]}}"#)).unwrap();
        assert_eq!((read.count(NodesState::Running), read.count(NodesState::Down)), (u32::MAX, 0));
    }

    #[test]
    fn the_largest_one_fits_a_report_beside_all_that_is_not_scripts() {
        let wide = "\u{1F600}".repeat(TEXT_CHARS_MAX);
        let entry = NodesReport { state: NodesState::Starting, count: u32::MAX, nodes: wide.clone(), reason: wide.clone() };
        let jobs = JobsReport { running: u32::MAX, starting: u32::MAX, waiting: u32::MAX };
        let scheduler =
            SchedulerReport { partition: wide.clone(), nodes: vec![entry; ENTRIES_MAX], jobs, notes: vec![wide.clone(); NOTES_MAX] };
        let host_keys = vec![format!("ssh-rsa {}", "A".repeat(1192)); crate::node_report::HOST_KEYS_MAX];
        let report = NodeReport { message: wide.clone(), instance: wide, host_keys, ..testing::node_report(NodeState::Failed) };
        let report = NodeReport { scheduler: Some(scheduler), ..report }.bounded();
        let bytes = serde_json::to_vec(&report).unwrap();
        assert!(bytes.len() <= BYTES_MAX, "{} bytes", bytes.len());
        assert_eq!(NodeReport::parse(&bytes).unwrap(), report);
    }
}
