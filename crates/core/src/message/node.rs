//! Why a login node failed, in the words of its user's answer. The code is what its signal carries, or its report; the report is
//! hostile, and was cut where it was read (`node_report.rs`).

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
            // The outcome names the exit code already, where the agent puts it into words.
            let code = exit_code.filter(|code| !outcome.contains(&code.to_string())).map(|code| format!(" (exit code {code})"));
            let lines = if last_lines.is_empty() { "." } else { ". Its last lines:" };
            details.push(format!("The script {script} (profile {profile}, event {event}) {outcome}{}{lines}", code.unwrap_or_default()));
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
    if message.is_empty() { sentence.to_owned() } else { format!("{sentence} ({message})") }
}

/// What happened.
const fn sentence(code: FailureCode) -> &'static str {
    match code {
        FailureCode::SettingsUnreadable => "its settings, which the cluster's template gives it, cannot be read",
        FailureCode::AgentRefused => "its agent could not be fetched, or is not the one that the cluster's template names",
        FailureCode::AccountRefused => "the account of your login name could not be made on it",
        FailureCode::SecretUnreadable => "it could not read the cluster's secret",
        FailureCode::ProfileUnreadable => "it could not fetch your profile, the scripts in configure.d",
        FailureCode::ProfileHasNoScripts => "your profile has nothing to run, so that nobody could log in",
        FailureCode::ScriptFailed => "a script failed, and its profile says that a node on which it fails is not to be used",
        FailureCode::NoUsableSshKey => "no script wrote an SSH public key that you could log in with",
        FailureCode::NoConfiguration => "it was not configured in time",
        FailureCode::ExchangeFailed => "the nodes could not exchange what a step of your profile needs",
        FailureCode::AgentFailed => "its agent ended before the node was ready",
    }
}

/// What to do about it.
const fn next(code: FailureCode) -> &'static str {
    match code {
        FailureCode::SettingsUnreadable | FailureCode::AgentRefused | FailureCode::SecretUnreadable | FailureCode::AgentFailed => {
            "upload the file again; tell the administrator if it fails again"
        }
        FailureCode::AccountRefused => "tell the administrator: the machine image refuses the name",
        FailureCode::ProfileUnreadable => {
            "upload the file again; ask the administrator whether nodes may read your profile if it fails again"
        }
        FailureCode::ProfileHasNoScripts => "ask the administrator for a script in your configure.d folder, then upload the file again",
        FailureCode::ScriptFailed => "correct the script (`cf-node try` runs it on your own machine), then upload the file again",
        FailureCode::NoUsableSshKey => {
            "let a script of your configure.d folder write your public key to ~/.ssh/authorized_keys, then upload the file again"
        }
        FailureCode::NoConfiguration => "upload the file again; look for scripts that take very long if it fails again",
        FailureCode::ExchangeFailed => "correct the scripts of the step (export.d and populate.d), then upload the file again",
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
                        The script 10-emacs.sh (profile alice, event configure) ended with exit code 3. Its last lines:\n    \
                        | E: no such package\n    | gave up\n  \
                        The script 20-vim.sh (profile alice, event configure) ended with exit code 3.\n  2 more failed.\n  \
                        What to do: correct the script";
        assert!(text.starts_with(expected), "{text}");
    }
}
