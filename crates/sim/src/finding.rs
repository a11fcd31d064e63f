//! What was found wrong: its kind, by which tests judge, and a sentence for people.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A pass over one cluster touches what is another's.
    AnothersTouched,
    /// A stack that is not ours is to be deleted.
    ForeignDeleted,
    /// A stack is to be made without its tags.
    TagsMissing,
    /// A stack is to be made, and no ledger says that its request was accepted.
    NotAccepted,
    /// An answer says what is not true.
    UntrueAnswer(&'static str),
    /// A mail is sent that was not claimed.
    MailNotClaimed,
    /// A failed stack is deleted before its upload has its answer and is removed.
    FailedStackFirst,
    /// An upload is removed before its answer stands.
    UploadFirst,
    /// A status file goes back to a passing state.
    StateWentBack,
    /// A cluster lives twice.
    LivesTwice,
    /// At rest, an upload has no answer.
    NeverAnswered,
    /// At rest, an address stands that is not true.
    UntrueAddress,
    /// At rest, a ledger cannot be read.
    LedgerUnreadable,
    /// At rest, an entry still owes an answer.
    StillOwes,
    /// At rest, ledger and stack, or ledger and status file, do not fit.
    LedgerUntrue,
    /// The world does not come to rest.
    Restless,
    /// At rest, the last request was not carried out, and the answer says that it was.
    LastRequestNotCarriedOut,
    /// A create of one second with a delete has no answer of its own.
    TieUnanswered,
    /// A status file shows of nodes what none of this life's nodes has reported.
    UntrueReport,
    /// A node's report leads to more than a line in a status file, or to too many of them.
    ReportActed,
    /// A look reads more reports than the cluster may have nodes.
    ReportsUnbounded,
    /// At rest, a status file does not show what the nodes report.
    ReportNotShown,
}

/// Something that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// What it is.
    pub what: String,
}

impl Finding {
    /// A finding.
    pub fn new(kind: FindingKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}
