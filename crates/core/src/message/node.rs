//! Why a login node failed, for the answer to its user. The code is what its signal carries, or its report; the report is hostile, and
//! was cut where it was read (`node_report.rs`). What is the node's own text is in quotes or behind a bar: no reader, above all not the
//! administrator who gets the same by mail, is to take it for clusterdrop's.

use super::problem::Parts;
use crate::node_report::{FailedScript, FailureCode};

/// A login node that gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// Why.
    pub code: FailureCode,
    /// What its report adds in words; empty where there is no report, or it adds nothing.
    pub message: String,
    /// The scripts that failed there.
    pub scripts: Vec<FailedScript>,
    /// How many more failed.
    pub more_scripts: u64,
}

/// An answer shows so many scripts with what they printed.
const SCRIPTS_SHOWN_MAX: usize = 5;

impl NodeFailure {
    pub(super) fn parts(&self) -> Parts {
        let mut details = Vec::new();
        for script in self.scripts.iter().take(SCRIPTS_SHOWN_MAX) {
            let FailedScript { event, profile, script, outcome, exit_code, last_lines } = script;
            let [event, profile, script, outcome] = [event, profile, script, outcome].map(|text| quoted(text));
            // The outcome names the exit code already, where the agent puts it into words.
            let code = exit_code.filter(|code| !outcome.contains(&code.to_string())).map(|code| format!(" (exit code {code})"));
            let lines = if last_lines.is_empty() { "." } else { ". Its last lines:" };
            let code = code.unwrap_or_default();
            details.push(format!("The script {script} (profile {profile}, event {event}) is reported as {outcome}{code}{lines}"));
            details.extend(last_lines.iter().map(|line| format!("  | {line}")));
        }
        let more = u64::try_from(self.scripts.len().saturating_sub(SCRIPTS_SHOWN_MAX)).unwrap_or(u64::MAX);
        let more = more.saturating_add(self.more_scripts);
        if more > 0 {
            details.push(format!("{more} more failed."));
        }
        Parts::new("the login node", node_failure(self.code, &self.message), next(self.code)).detailed(details)
    }
}

/// A node's failure in a sentence: what its code means, and what its own words add.
pub fn node_failure(code: FailureCode, message: &str) -> String {
    let sentence = sentence(code);
    if message.is_empty() { sentence.to_owned() } else { format!("{sentence} (it reports {})", quoted(message)) }
}

/// A node's own text in quotes, with none that would end them.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "'"))
}

/// What happened.
const fn sentence(code: FailureCode) -> &'static str {
    match code {
        FailureCode::SettingsUnreadable => "its settings, which the cluster's template gives it, cannot be read",
        FailureCode::AgentRefused => {
            "the program that sets the node up could not be fetched, or is not the one that the cluster's template names"
        }
        FailureCode::AccountRefused => "the account of your login name could not be made on it",
        FailureCode::SecretUnreadable => "it could not read the cluster's secret",
        FailureCode::ProfileUnreadable => "it could not fetch your profile, the scripts in configure.d",
        FailureCode::ProfileHasNoScripts => "your profile has nothing to run, so that nobody could log in",
        FailureCode::ScriptFailed => "a script failed, and its profile says that a node on which it fails is not to be used",
        FailureCode::NoUsableSshKey => "no script wrote an SSH public key that you could log in with",
        FailureCode::NoConfiguration => "it was not configured in time",
        FailureCode::ExchangeFailed => "the nodes could not exchange what a step of your profile needs",
        FailureCode::AgentFailed => "the program that sets the node up ended before the node was ready",
        FailureCode::PackagesUnavailable => "the packages of the scheduler Slurm could not be fetched or installed",
        FailureCode::StorageFailed => "a disk or a shared folder could not be set up",
        FailureCode::SchedulerFailed => "the scheduler Slurm did not start",
    }
}

/// What to do about it.
const fn next(code: FailureCode) -> &'static str {
    match code {
        FailureCode::SettingsUnreadable
        | FailureCode::AgentRefused
        | FailureCode::SecretUnreadable
        | FailureCode::AgentFailed
        | FailureCode::StorageFailed
        | FailureCode::SchedulerFailed => "upload the file again; if it fails again, report it to the administrator",
        FailureCode::PackagesUnavailable => {
            "upload the file again in a quarter of an hour; if it fails again, ask the administrator whether nodes reach Debian's archive"
        }
        FailureCode::AccountRefused => "ask the administrator for another user name: the system of the nodes does not accept this one",
        FailureCode::ProfileUnreadable => {
            "upload the file again; if it fails again, ask the administrator whether nodes may read your profile"
        }
        FailureCode::ProfileHasNoScripts => "ask the administrator for a script in your configure.d folder, then upload the file again",
        FailureCode::ScriptFailed => "ask the administrator to correct the script in your profile, then upload the file again",
        FailureCode::NoUsableSshKey => "give the administrator your SSH public key for your profile, then upload the file again",
        FailureCode::NoConfiguration => {
            "upload the file again; if it fails again, ask the administrator which scripts of your profile take very long"
        }
        FailureCode::ExchangeFailed => {
            "ask the administrator to correct the scripts of the step in your profile (export.d and populate.d), then upload the file again"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantArray;

    use super::*;
    use crate::testing::failed_script as failed;

    #[test]
    fn every_code_has_a_sentence_of_its_own() {
        let sentences: BTreeSet<_> = FailureCode::VARIANTS.iter().map(|code| sentence(*code)).collect();
        assert_eq!(sentences.len(), FailureCode::VARIANTS.len());
    }

    #[test]
    fn an_answer_names_each_script_its_exit_code_and_its_last_lines() {
        let scripts = vec![failed("10-emacs.sh", &["E: no such package", "gave up"]), failed("20-vim.sh", &[])];
        let failure = NodeFailure { code: FailureCode::ScriptFailed, message: String::new(), scripts, more_scripts: 2 };
        let text = failure.parts().to_string();
        let expected = "the login node: a script failed, and its profile says that a node on which it fails is not to be used.\n  \
                        The script \"10-emacs.sh\" (profile \"alice\", event \"configure\") is reported as \"ended with exit code 3\". Its last lines:\n    \
                        | E: no such package\n    | gave up\n  \
                        The script \"20-vim.sh\" (profile \"alice\", event \"configure\") is reported as \"ended with exit code 3\".\n  2 more failed.\n  \
                        What to do: ask the administrator to correct the script";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn what_a_node_reports_stays_within_its_quotes() {
        let trap = "disk full\". Sign in at https://trap.example (\"";
        assert_eq!(
            node_failure(FailureCode::SecretUnreadable, trap),
            "it could not read the cluster's secret (it reports \"disk full'. Sign in at https://trap.example ('\")"
        );
        let script = crate::node_report::FailedScript { script: trap.into(), outcome: trap.into(), ..failed("x", &[]) };
        let failure = NodeFailure { code: FailureCode::ScriptFailed, message: String::new(), scripts: vec![script], more_scripts: 0 };
        let text = failure.parts().to_string();
        assert_eq!(text.matches('"').count(), 8, "{text}");
    }
}
