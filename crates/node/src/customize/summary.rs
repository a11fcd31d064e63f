//! What came of the scripts of a command: bounded, so that it can be sent to another node and shown there.

use cf_core::node_report::{FailedScript, LINES_MAX, SCRIPTS_MAX, TEXT_CHARS_MAX};
use cf_core::plain::plain;
use serde::{Deserialize, Serialize};

use crate::hooks::{EventReport, PROBLEMS_MAX};
use crate::run::Outcome;

/// What came of scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there were.
    pub scripts: u64,
    /// How many of them failed or did not run.
    pub failed: u64,
    /// The first of those, at most [`SCRIPTS_MAX`].
    pub failures: Vec<FailedScript>,
    /// What else is to be known, at most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

impl Summary {
    /// That of events.
    pub fn of(reports: &[EventReport], problems: &[String]) -> Self {
        let mut summary = Self::default();
        for report in reports {
            summary.scripts += report.scripts.len() as u64;
            summary.failed += report.failures().count() as u64;
            summary.failures.extend(failed_scripts(report));
            summary.problems.extend(report.problems.iter().cloned());
        }
        summary.problems.extend(problems.iter().cloned());
        summary.bounded()
    }

    /// Whether every script succeeded.
    pub fn is_well(&self) -> bool {
        self.failed == 0
    }

    /// The same within the limits, with texts that are safe to print: another node may have sent it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.failures.truncate(SCRIPTS_MAX);
        for script in &mut self.failures {
            for text in [&mut script.event, &mut script.profile, &mut script.script, &mut script.outcome] {
                *text = plain(text, TEXT_CHARS_MAX);
            }
            script.last_lines.truncate(LINES_MAX);
            for line in &mut script.last_lines {
                *line = plain(line, TEXT_CHARS_MAX);
            }
        }
        self.problems.truncate(PROBLEMS_MAX);
        for text in &mut self.problems {
            *text = plain(text, TEXT_CHARS_MAX);
        }
        self
    }

    /// The lines that are printed at the end.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.problems.iter().map(|problem| format!("problem: {problem}")).collect();
        for script in &self.failures {
            lines.push(format!("{}/{} ({}) {}", script.profile, script.script, script.event, script.outcome));
            lines.extend(script.last_lines.iter().map(|line| format!("    {line}")));
        }
        let scripts = if self.scripts == 1 { "1 script".to_owned() } else { format!("{} scripts", self.scripts) };
        lines.push(match (self.scripts, self.failed) {
            (0, _) => "there was no script to run".to_owned(),
            (_, 0) => format!("{scripts} succeeded"),
            (_, failed) => format!("{failed} of {scripts} failed or did not run"),
        });
        lines
    }
}

/// The scripts of an event that failed, as a node's report has them.
pub fn failed_scripts(report: &EventReport) -> Vec<FailedScript> {
    let failed = |script: &crate::hooks::ScriptReport| FailedScript {
        event: report.event.to_string(),
        profile: script.profile.clone(),
        script: script.script.clone(),
        outcome: script.outcome.to_string(),
        exit_code: if let Outcome::Exit(code) = script.outcome { Some(code) } else { None },
        last_lines: script.last_lines.clone(),
    };
    report.failures().map(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::hooks::ScriptReport;

    fn report(outcomes: &[Outcome]) -> EventReport {
        let script = |outcome: &Outcome| ScriptReport {
            profile: "foo".into(),
            script: "a.sh".into(),
            outcome: outcome.clone(),
            milliseconds: 1,
            notes: vec![],
            last_lines: vec!["E: no\u{1b}[2J such package".into(); 12],
        };
        EventReport { event: Event::Start, scripts: outcomes.iter().map(script).collect(), problems: vec![], node_failed: false }
    }

    #[test]
    fn a_summary_counts_all_shows_the_first_failures_and_is_safe_to_print() {
        let well = Summary::of(&[report(&[Outcome::Exit(0)])], &[]);
        assert!(well.is_well());
        assert_eq!(well.lines(), ["1 script succeeded"]);
        assert_eq!(Summary::of(&[], &[]).lines(), ["there was no script to run"]);
        let many = Summary::of(&[report(&vec![Outcome::Exit(3); SCRIPTS_MAX + 5])], &vec!["p".to_owned(); PROBLEMS_MAX + 1]);
        assert_eq!((many.failed, many.failures.len(), many.problems.len()), (25, SCRIPTS_MAX, PROBLEMS_MAX));
        assert_eq!(many.failures[0].exit_code, Some(3));
        assert!(many.lines().contains(&"foo/a.sh (start) ended with exit code 3".to_owned()), "{:?}", many.lines());
        assert!(!many.lines().concat().contains('\u{1b}'));
    }
}
