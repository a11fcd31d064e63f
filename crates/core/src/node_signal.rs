//! What CloudFormation's words show of a node's signal. SignalResource carries an id and no reason, and the id is in the words: a node
//! that gives up signals the code of its failure.

use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::node_report::FailureCode;

/// A signal of failure with its id, as CloudFormation words it.
static FAILURE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^Received FAILURE signal with UniqueId ([a-z-]{1,64})\.?$").expect("it is tried by the tests"));

/// The words where a signal did not come in time, or too few came.
static MISSING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:Failed to receive \d+ resource signal\(s\)|Received \d+ SUCCESS signal\(s\) out of \d+)")
        .expect("it is tried by the tests")
});

/// Ids that the boot script of earlier templates signals and that are no code of an agent.
const OF_BOOT_SCRIPTS: [(&str, FailureCode); 1] = [("login-name-is-taken", FailureCode::AccountRefused)];

/// What became of a node's signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It gave up, for this reason.
    Failure(FailureCode),
    /// It did not come.
    Missing,
}

impl Signal {
    /// Reads CloudFormation's reason for the failure of a resource; `None` where it is about no signal, or its id is no code.
    pub fn read(reason: &str) -> Option<Self> {
        let reason = reason.trim();
        if MISSING.is_match(reason) {
            return Some(Self::Missing);
        }
        let id = FAILURE.captures(reason)?.get(1)?.as_str();
        let earlier = OF_BOOT_SCRIPTS.iter().find(|(known, _)| *known == id).map(|(_, code)| *code);
        earlier.or_else(|| FailureCode::from_str(id).ok()).map(Self::Failure)
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn the_id_of_a_signal_is_read_where_it_is_a_code() {
        let read = |id: &str| Signal::read(&format!("Received FAILURE signal with UniqueId {id}"));
        for code in FailureCode::VARIANTS {
            assert_eq!(read(&code.to_string()), Some(Signal::Failure(*code)));
        }
        // What the boot script of earlier templates signals: it is in the stacks that are being made while a deployment is upgraded.
        for (id, code) in [
            ("login-name-is-taken", FailureCode::AccountRefused),
            ("account-refused", FailureCode::AccountRefused),
            ("profile-unreadable", FailureCode::ProfileUnreadable),
            ("profile-has-no-scripts", FailureCode::ProfileHasNoScripts),
            ("no-usable-ssh-key", FailureCode::NoUsableSshKey),
        ] {
            assert_eq!(read(id), Some(Signal::Failure(code)), "{id}");
        }
        for id in ["i-0123456789abcdef0", "script-failed-twice", "", "script-failed\nor not", "SCRIPT-FAILED"] {
            assert_eq!(read(id), None, "{id}");
        }
    }

    #[test]
    fn a_signal_that_did_not_come_is_known_by_cloudformations_words() {
        for words in [
            "Failed to receive 1 resource signal(s) within the specified duration",
            "Failed to receive 1 resource signal(s) for the current batch.  Each resource signal timeout is counted as a FAILURE.",
            "Received 0 SUCCESS signal(s) out of 1. Unable to satisfy 100% MinSuccessfulInstancesPercent requirement",
        ] {
            assert_eq!(Signal::read(words), Some(Signal::Missing), "{words}");
        }
        for words in ["Resource creation cancelled", "The script Received FAILURE signal with UniqueId script-failed", ""] {
            assert_eq!(Signal::read(words), None, "{words}");
        }
    }
}
