//! Bugs that the simulation must catch. They exist in builds of the unit tests only.

use std::cell::Cell;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::members) enum Bug {
    /// The window accepts each number again.
    ReplayAccepted,
    /// No claim to a name beats another.
    GenerationIgnored,
    /// A change is reported twice.
    ReportedTwice,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this bug is planted on this thread.
pub(in crate::members) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Runs with a bug planted.
pub(in crate::members) fn with<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(bug));
    let result = run();
    PLANTED.set(None);
    result
}
