//! Composes what a node reports of itself from what is known of it, within the limits of [`NodeReport`]. Pure; [`crate::reporter`]
//! writes it.

use std::net::IpAddr;

use cf_core::node_report::{BYTES_MAX, FailedScript, FailureCode, NodeReport, NodeState, SchedulerReport, TEXT_CHARS_MAX};
use jiff::Timestamp;

use crate::failures::Failures;

/// The most problems that are kept for a report, of which the message shows what fits.
const PROBLEMS_MAX: usize = 20;

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Where it is in its life.
    pub state: NodeState,
    /// Why it failed, and in a sentence.
    pub failure: Option<(FailureCode, String)>,
    /// Its EC2 id.
    pub instance: String,
    /// Its private address.
    pub address: Option<IpAddr>,
    /// Its public SSH host keys.
    pub host_keys: Vec<String>,
    /// What failed in the exchange: on the login node in the steps' last rounds.
    pub exchange: Vec<FailedScript>,
    /// Scripts of the exchange that failed on this node, and for which nobody waits.
    pub exchange_here: Vec<FailedScript>,
    /// The scripts of events that failed.
    pub failures: Failures,
    /// What Slurm shows, on a login node that runs it (`cf_slurm::view::Summary::report`).
    pub scheduler: Option<SchedulerReport>,
    /// What else the user ought to know ([`Contents::problem`]).
    pub problems: Vec<String>,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            state: NodeState::Starting,
            failure: None,
            instance: String::new(),
            address: None,
            host_keys: Vec::new(),
            exchange: Vec::new(),
            exchange_here: Vec::new(),
            failures: Failures::default(),
            scheduler: None,
            problems: Vec::new(),
        }
    }
}

impl Contents {
    /// Adds what the user ought to know. The same is added once, and nothing when there is enough.
    pub fn problem(&mut self, text: &str) {
        if self.problems.len() < PROBLEMS_MAX && !self.problems.iter().any(|known| known == text) {
            self.problems.push(text.to_owned());
        }
    }

    /// Takes a problem back that is none any more.
    pub fn solved(&mut self, text: &str) {
        self.problems.retain(|known| known != text);
    }

    /// The report.
    pub fn report(&self, now: Timestamp) -> NodeReport {
        let sentences = self.failure.iter().map(|(_, sentence)| sentence).chain(&self.problems);
        let report = NodeReport {
            state: self.state,
            failure: self.failure.as_ref().map(|(code, _)| *code),
            message: sentences.map(String::as_str).collect::<Vec<_>>().join("; "),
            instance: self.instance.clone(),
            address: self.address,
            host_keys: self.host_keys.clone(),
            // The exchange's first: they are few, and the last thing that others would look for in a log.
            scripts: self.exchange.iter().chain(&self.exchange_here).chain(self.failures.scripts()).cloned().collect(),
            more_scripts: self.failures.more(),
            scheduler: self.scheduler.clone(),
            updated: now,
        };
        report.bounded()
    }
}

/// The report's bytes, at most [`BYTES_MAX`]. Where it is too long, the last scripts lose their output, then the last scripts go and
/// are counted: the first that failed matter most.
pub fn encode(mut report: NodeReport) -> Vec<u8> {
    loop {
        let bytes = serde_json::to_vec(&report).unwrap_or_default();
        if bytes.len() <= BYTES_MAX {
            return bytes;
        }
        if let Some(script) = report.scripts.iter_mut().rev().find(|script| !script.last_lines.is_empty()) {
            script.last_lines.clear();
        } else if report.scripts.pop().is_some() {
            report.more_scripts = report.more_scripts.saturating_add(1);
        } else {
            // Only its message, keys and what Slurm shows are left, which are bounded far below.
            report.host_keys.clear();
            report.message = report.message.chars().take(TEXT_CHARS_MAX).collect();
            return serde_json::to_vec(&report).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use cf_core::node_report::{LINES_MAX, SCRIPTS_MAX};

    use super::*;
    use crate::event::Event;
    use crate::failures::Entry;
    use crate::hooks::{EventReport, ScriptReport};
    use crate::run::Outcome;

    fn failing(count: usize, line: &str) -> Failures {
        let script = |nth| ScriptReport {
            profile: "alice".to_owned(),
            script: format!("{nth}"),
            outcome: Outcome::Exit(3),
            milliseconds: 1,
            notes: Vec::new(),
            last_lines: vec![line.to_owned(); LINES_MAX],
        };
        let report =
            EventReport { event: Event::Configure, scripts: (0..count).map(script).collect(), problems: vec![], node_failed: false };
        let mut failures = Failures::default();
        failures.record(&Entry::from(&report));
        failures
    }

    #[test]
    fn a_report_has_the_failure_first_then_the_problems_and_each_once() {
        let mut contents = Contents { failure: Some((FailureCode::ScriptFailed, "alice/a failed".to_owned())), ..Contents::default() };
        for text in ["no network", "no network", "a profile is missing"] {
            contents.problem(text);
        }
        assert_eq!(contents.report(Timestamp::UNIX_EPOCH).message, "alice/a failed; no network; a profile is missing");
        contents.solved("no network");
        assert_eq!(contents.report(Timestamp::UNIX_EPOCH).message, "alice/a failed; a profile is missing");
    }

    #[test]
    fn what_slurm_shows_is_in_the_report_and_stays_where_scripts_must_go() {
        let scheduler = SchedulerReport { partition: "compute".to_owned(), notes: vec!["n".repeat(400)], ..SchedulerReport::default() };
        let contents =
            Contents { scheduler: Some(scheduler), failures: failing(SCRIPTS_MAX, &"\u{1F600}".repeat(400)), ..Contents::default() };
        let read = NodeReport::parse(&encode(contents.report(Timestamp::UNIX_EPOCH))).unwrap();
        let shown = read.scheduler.unwrap();
        assert_eq!((shown.partition.as_str(), shown.notes[0].chars().count()), ("compute", TEXT_CHARS_MAX));
        assert!(read.scripts.last().is_none_or(|script| script.last_lines.is_empty()), "its room was needed");
    }

    #[test]
    fn a_report_is_within_its_bytes_whatever_scripts_print_and_keeps_the_first_failures() {
        for line in ["é".repeat(400), "\"".repeat(400), "😀".repeat(400)] {
            let contents = Contents { failures: failing(SCRIPTS_MAX + 7, &line), ..Contents::default() };
            let bytes = encode(contents.report(Timestamp::UNIX_EPOCH));
            assert!(bytes.len() <= BYTES_MAX, "{}", bytes.len());
            let read = NodeReport::parse(&bytes).unwrap();
            assert_eq!(read.scripts[0].last_lines.len(), LINES_MAX, "the first keeps its lines");
            assert_eq!(read.scripts.len() as u64 + read.more_scripts, SCRIPTS_MAX as u64 + 7);
        }
        let few = Contents { failures: failing(2, "x"), ..Contents::default() };
        let read: Vec<FailedScript> = NodeReport::parse(&encode(few.report(Timestamp::UNIX_EPOCH))).unwrap().scripts;
        assert_eq!((read.len(), read[1].last_lines.len(), read[1].exit_code), (2, LINES_MAX, Some(3)));
    }
}
