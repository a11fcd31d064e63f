//! What can go wrong between us and the world, sorted by what is to be done about it.

use std::fmt;

/// Retry, tell the user, or look again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It may pass: give the event back, it comes again.
    Transient,
    /// It will not pass: tell the user, and finish.
    Permanent,
    /// The world moved under us: observe again.
    Moved,
    /// The operation's token was used before: by an earlier life of this stack's name, which has gone since, or by the stack
    /// that is there. The next look tells which.
    Spent,
}

/// A call that did not do what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is to be done.
    pub kind: Kind,
    /// The call, in AWS's words: `s3:PutObject`.
    pub call: String,
    /// What stood in the way, in the words of whoever answered.
    pub why: String,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: Kind, call: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, call: call.into(), why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.call, self.kind, self.why)
    }
}

impl std::error::Error for Fault {}
