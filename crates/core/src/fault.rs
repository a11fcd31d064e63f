//! What can go wrong with a call, sorted by what a pass does about it.

use std::fmt;

/// What a pass does about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It may not happen again: the pass ends, and its event is given back, to be tried again.
    Retry,
    /// The same call will be refused again. Where it starts or deletes a stack, or reads a user's file, the next decision tells the
    /// user; a pass that cannot go on without it ends, and its event is given back, so that it ends in the failure queue and
    /// not in silence.
    Rejected,
    /// Something was changed since it was observed: observe again.
    Conflict,
    /// The operation's token was used before: by an earlier life of this stack's name, which has gone since, or by the stack
    /// that is there. The next snapshot shows which.
    TokenUsed,
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
