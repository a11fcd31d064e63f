//! What is to be done about a job: a pure decision over what S3 and this machine have of it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::claim::{Claim, Completed, Owner, Verdict};
use super::{JOB_BYTES_MAX, Upload};

/// A job of a machine that was replaced is given up when its time has passed, and so much more: clocks differ.
pub const MARGIN: Duration = Duration::from_mins(10);

/// What this machine wrote down when a job had ended, before it reported that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Which upload.
    pub upload: Upload,
    /// The process that ran it.
    pub run: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// All that is known of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is pending, with its bytes; nothing where only this machine knows of the job.
    pub pending: Option<(Upload, u64)>,
    /// Its claim.
    pub claim: Option<Claim>,
    /// This machine's journal.
    pub journal: Option<Journal>,
    /// Whether this process has sent a claim and has not begun the job: the answer was lost, and the claim may be there all the same.
    pub is_unbegun: bool,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is claimed, unless it has this process's claim, and run.
    Run(Upload),
    /// It is not run, for this reason, and is pending no more.
    Reject(String),
    /// Its results are stored, and its verdict written into the claim.
    Deliver(Verdict),
    /// Its verdict is written into the claim; there are no results.
    GiveUp(Completed),
    /// What the verdict says is shown to the user, and the job is pending no more.
    Conclude(Verdict),
    /// Another machine may be at it.
    Wait,
    /// What this machine has of it is removed.
    Forget,
}

/// Decides. `limit`: how long a job may run. The queue is this process's alone while it decides, so a claim of this very process
/// without a verdict is of a run that was broken off, or of one that was not begun.
pub fn decide(seen: &Seen, me: &Owner, limit: Duration, now: Timestamp) -> Action {
    let Some(claim) = &seen.claim else {
        return match &seen.pending {
            Some((_, bytes)) if *bytes > JOB_BYTES_MAX => Action::Reject(format!(
                "it has {bytes} bytes, and a job at most {JOB_BYTES_MAX}; put large data elsewhere, and its address here"
            )),
            Some((upload, _)) => Action::Run(upload.clone()),
            None => Action::Forget,
        };
    };
    match &claim.verdict {
        Some(verdict) if seen.pending.as_ref().is_none_or(|(upload, _)| *upload == claim.upload) => Action::Conclude(verdict.clone()),
        Some(verdict) => Action::Reject(used(verdict)),
        None if seen.is_unbegun && claim.owner == *me && is_of(seen.pending.as_ref(), claim) => Action::Run(claim.upload.clone()),
        None => unfinished(claim, seen.journal.as_ref(), me, limit, now),
    }
}

fn is_of(pending: Option<&(Upload, u64)>, claim: &Claim) -> bool {
    pending.is_some_and(|(upload, _)| *upload == claim.upload)
}

fn used(verdict: &Verdict) -> String {
    let before = match verdict {
        Verdict::Completed(completed) => format!("for a job that {}", completed.outcome),
        Verdict::Rejected(reason) => format!("for a job that was rejected ({reason})"),
    };
    format!("its id was used before, {before}; take another id, or remove that job by cf-node customize queue rm")
}

fn unfinished(claim: &Claim, journal: Option<&Journal>, me: &Owner, limit: Duration, now: Timestamp) -> Action {
    if let Some(journal) = journal.filter(|journal| journal.upload == claim.upload && journal.run == claim.owner.run) {
        return Action::Deliver(journal.verdict.clone());
    }
    // A clock that was set back shows no time at all, and one that jumped gives up a job of another machine too early: only where
    // two machines of one name live at once.
    let since = Duration::try_from(now.duration_since(claim.started)).unwrap_or_default();
    if claim.owner.instance == me.instance || since > limit + MARGIN { Action::GiveUp(Completed::crashed(claim)) } else { Action::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_hours(1);

    fn owner(instance: &str, run: &str) -> Owner {
        Owner { instance: instance.into(), run: run.into() }
    }

    fn upload(etag: &str) -> Upload {
        Upload { etag: etag.into(), modified: 7 }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn done() -> Verdict {
        Verdict::Completed(Completed { code: 0, outcome: "ended with exit code 0".into(), notes: vec![] })
    }

    fn decided(
        pending: Option<(&str, u64)>,
        claim: Option<(&str, Owner, Option<Verdict>)>,
        journal: Option<(&str, &str)>,
        minute: i64,
    ) -> Action {
        let claim = claim.map(|(etag, owner, verdict)| Claim { upload: upload(etag), owner, started: at(0), verdict });
        let journal = journal.map(|(etag, run)| Journal { upload: upload(etag), run: run.into(), verdict: done() });
        let pending = pending.map(|(etag, bytes)| (upload(etag), bytes));
        decide(&Seen { pending, claim, journal, is_unbegun: false }, &owner("i-1", "run-2"), LIMIT, at(minute))
    }

    #[test]
    fn a_new_job_is_run_unless_it_is_too_long() {
        assert_eq!(decided(Some(("a", JOB_BYTES_MAX)), None, None, 1), Action::Run(upload("a")));
        assert!(
            matches!(decided(Some(("a", JOB_BYTES_MAX + 1)), None, None, 1), Action::Reject(reason) if reason.contains("8388609 bytes"))
        );
        assert!(matches!(decided(Some(("a", 1 << 30)), None, None, 1), Action::Reject(_)), "a job of 1 GB");
        assert_eq!(decided(None, None, Some(("a", "run-1")), 1), Action::Forget);
    }

    #[test]
    fn a_claimed_job_is_never_run_again() {
        let claims = [owner("i-1", "run-1"), owner("i-1", "run-2"), owner("i-2", "run-9")];
        for claim in claims {
            for verdict in [None, Some(done()), Some(Verdict::Rejected("no".into()))] {
                for pending in [None, Some(("a", 1)), Some(("b", 1))] {
                    for journal in [None, Some(("a", "run-1")), Some(("b", "run-1"))] {
                        for minute in [-1000, 0, 70, 71, 1_000_000] {
                            let action = decided(pending, Some(("a", claim.clone(), verdict.clone())), journal, minute);
                            assert!(!matches!(action, Action::Run(_)), "{claim:?} {verdict:?} {pending:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_claim_whose_answer_was_lost_is_begun_by_its_own_process_for_its_own_upload_alone() {
        let of = |claimed: Owner, pending: Option<&str>| {
            let claim = Claim { upload: upload("a"), owner: claimed, started: at(0), verdict: None };
            let pending = pending.map(|etag| (upload(etag), 1));
            decide(&Seen { pending, claim: Some(claim), journal: None, is_unbegun: true }, &owner("i-1", "run-2"), LIMIT, at(1))
        };
        assert_eq!(of(owner("i-1", "run-2"), Some("a")), Action::Run(upload("a")));
        for (claimed, pending) in [("run-1", Some("a")), ("run-2", Some("b")), ("run-2", None)] {
            assert!(matches!(of(owner("i-1", claimed), pending), Action::GiveUp(_)), "{claimed} {pending:?}");
        }
        assert_eq!(of(owner("i-2", "run-2"), Some("a")), Action::Wait);
    }

    #[test]
    fn what_was_broken_off_is_given_up_at_once_here_and_in_time_elsewhere() {
        let is_given_up =
            |claim: Owner, minute| matches!(decided(Some(("a", 1)), Some(("a", claim, None)), None, minute), Action::GiveUp(_));
        assert!(is_given_up(owner("i-1", "run-1"), 0), "an earlier agent's");
        assert!(is_given_up(owner("i-1", "run-2"), 0), "this agent's, which was broken off");
        assert!(!is_given_up(owner("i-2", "run-9"), 70), "a machine that may live");
        assert!(is_given_up(owner("i-2", "run-9"), 71));
        assert!(!is_given_up(owner("i-2", "run-9"), -1000), "the clock was set back");
    }

    #[test]
    fn a_result_that_is_only_here_is_delivered_and_one_of_another_run_is_not() {
        let claim = ("a", owner("i-1", "run-1"), None);
        assert_eq!(decided(Some(("a", 1)), Some(claim.clone()), Some(("a", "run-1")), 1), Action::Deliver(done()));
        assert_eq!(decided(None, Some(claim.clone()), Some(("a", "run-1")), 1), Action::Deliver(done()));
        for other in [("b", "run-1"), ("a", "run-0")] {
            assert!(matches!(decided(Some(("a", 1)), Some(claim.clone()), Some(other), 1), Action::GiveUp(_)), "{other:?}");
        }
    }

    #[test]
    fn an_id_that_was_used_is_rejected_and_the_same_upload_is_concluded() {
        let claim = ("a", owner("i-1", "run-1"), Some(done()));
        assert_eq!(decided(Some(("a", 1)), Some(claim.clone()), None, 1), Action::Conclude(done()));
        assert!(
            matches!(decided(Some(("b", 1)), Some(claim), None, 1), Action::Reject(reason) if reason.starts_with("its id was used before"))
        );
    }
}
