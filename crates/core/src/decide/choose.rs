//! The table: every row of (create × delete × phase × stack status) and the one course that it leads to.
//!
//! Read it by phase. Two questions come before the phases: is a request already answered or broken, and which of a
//! create and a delete came later? The committed snapshot `tests/snapshots/table.snap` prints the whole.

use super::row::{CreateAsk, DeleteAsk, PhaseKind, Row, StackKind};
use crate::facts::Setback;
use crate::stack::StackState as S;

/// What to do, in one word. [`super::build`] spells each out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Course {
    /// Nothing; at most note an upload that waits for its turn.
    Rest,
    /// Remove the upload of a request that has its answer.
    Tidy,
    /// Answer a create that breaks the rules.
    Refuse,
    /// Answer a delete that is one too many.
    Crowded,
    /// Answer a create whose name a stack bears that is not ours; alert the administrator.
    Occupied,
    /// Answer a create that asks for another cluster of a living one's name.
    Differ,
    /// Answer a create whose name is held by what could not be deleted.
    Leftover,
    /// Answer a create that a later delete took back.
    Withdraw,
    /// Answer a delete that a later create has overtaken.
    Overtake,
    /// Answer a delete of what never was.
    NoSuch,
    /// Answer a delete of what is gone already.
    Receipt,
    /// Accept a create and start its stack.
    Start,
    /// Start the stack of an accepted create again: its first attempt may have been lost.
    Resume,
    /// Tell how far it is, and wait for the next event.
    Follow,
    /// Let an upload share in the work in hand.
    Join,
    /// Tell that the cluster is ready.
    Announce,
    /// Tell that the login address has changed since.
    Readdress,
    /// Tell why it failed.
    Explain,
    /// Tell that the stack was removed by other means.
    Lost,
    /// Remove a failed stack, so that its name is free.
    Clear,
    /// The failed stack is gone: close the entry.
    Cleared,
    /// Write a living stack of ours back into a ledger that does not know it.
    Recover,
    /// Remove a stack that arrived after its cluster was given up.
    Reap,
    /// Mark a create that is on its way as unwanted.
    Unwish,
    /// Accept a delete and remove the stack, as soon as CloudFormation lets it go.
    Remove,
    /// Tell that it is gone.
    Finish,
    /// Tell that it could not be deleted, and what is left.
    TellStuck,
    /// `CloudFormation` would not start the stack: tell why.
    Declined,
    /// The stack was made, and removed again by somebody, before it was ever seen.
    Vanished,
    /// `CloudFormation` would not delete the stack: tell why.
    Undeletable,
    /// Tell that machines for compute nodes do not come, or that they do now. Beside the table.
    Nodes,
}

/// The course after a call that was refused for good.
pub const fn after(setback: &Setback) -> Course {
    match setback {
        Setback::Create(_) if setback.is_spent() => Course::Vanished,
        Setback::Create(_) => Course::Declined,
        Setback::Delete(_) => Course::Undeletable,
    }
}

/// What is asked, once settled, broken and contradicting uploads are out of the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Nothing,
    /// The create that the cluster was made for.
    Own,
    /// A new create: with nothing to compare, equal, or different.
    Fresh,
    Same,
    Other,
    /// A new delete.
    Delete,
}

/// The course for a row.
pub fn choose(row: &Row) -> Course {
    use {CreateAsk as C, DeleteAsk as D};
    if row.create == C::Settled || row.delete == D::Settled {
        return Course::Tidy;
    }
    if row.create == C::Broken {
        return Course::Refuse;
    }
    if row.create == C::Outlived {
        return Course::Withdraw;
    }
    if row.delete == D::Late {
        return Course::Overtake;
    }
    if row.delete == D::Surplus {
        return Course::Crowded;
    }
    let delete_is_under_way = matches!(row.phase, PhaseKind::Deleting | PhaseKind::Unwanted | PhaseKind::UnwantedLong);
    let ask = match (row.create, row.delete) {
        // A create that the cluster was not made for, and a later delete.
        (C::Fresh | C::Same | C::Other, D::Asked | D::Own) => return Course::Withdraw,
        (create, D::Overtaken) if !delete_is_under_way && !needs_room(create, row.phase, row.stack) => return Course::Overtake,
        (_, D::Asked | D::Overtaken) => Ask::Delete,
        // Accepted, but the phase that says so was not written yet, or not any more.
        (_, D::Own | D::OwnAwaited) if !delete_is_under_way => Ask::Delete,
        (C::Own, _) => Ask::Own,
        (C::Fresh, _) => Ask::Fresh,
        (C::Same, _) => Ask::Same,
        (C::Other, _) => Ask::Other,
        (C::None | C::Settled | C::Broken | C::Outlived, _) => Ask::Nothing,
    };
    match row.phase {
        PhaseKind::New => new(ask, row.stack),
        PhaseKind::Creating => creating(ask, row.stack),
        PhaseKind::Blocked => blocked(ask, row.stack),
        PhaseKind::Ready => ready(ask, row.stack),
        PhaseKind::Moved => moved(ask, row.stack),
        PhaseKind::Failing => failing(ask, row.stack),
        PhaseKind::Deleting => deleting(ask, row.stack),
        PhaseKind::Unwanted => unwanted(false, row.stack),
        PhaseKind::UnwantedLong => unwanted(true, row.stack),
        PhaseKind::Stuck => stuck(ask, row.stack),
        PhaseKind::Gone => gone(ask, row.stack),
    }
}

/// Whether a create can only come true after the delete that it overtakes: what stands is not what it asks for.
const fn needs_room(create: CreateAsk, phase: PhaseKind, stack: StackKind) -> bool {
    matches!(create, CreateAsk::Other) || matches!(phase, PhaseKind::Stuck) || matches!(stack.state(), Some(S::Stuck))
}

/// The ledger knows nothing. A stack of ours that is there nevertheless is taken as it is.
const fn new(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (None, Ask::Nothing) => Course::Rest,
        (None, Ask::Delete) => Course::NoSuch,
        (None, _) => Course::Occupied,
        (Some(S::Gone), Ask::Nothing) => Course::Rest,
        (Some(S::Gone), Ask::Delete) => Course::NoSuch,
        (Some(S::Gone), _) => Course::Start,
        (Some(_), Ask::Delete) => Course::Remove,
        // Its own create is still there, and is to hear how it ended.
        (Some(S::RollingBack | S::Failed | S::Leaving), Ask::Own) => Course::Join,
        (Some(S::RollingBack | S::Failed), _) => Course::Clear,
        // It goes by itself; whoever waits for its name is noted.
        (Some(S::Leaving), _) => Course::Rest,
        // Nobody's cluster yet.
        (Some(S::Planned), Ask::Nothing) => Course::Rest,
        (Some(S::Planned), _) => Course::Leftover,
        (Some(S::Stuck), Ask::Nothing) => Course::Recover,
        (Some(S::Stuck), _) => Course::Leftover,
        (Some(S::Making | S::Standing | S::Changing), Ask::Other) => Course::Differ,
        (Some(S::Making | S::Standing | S::Changing), Ask::Own | Ask::Same | Ask::Fresh) => Course::Join,
        (Some(S::Making | S::Standing | S::Changing), Ask::Nothing) => Course::Recover,
    }
}

/// A create was accepted; its stack may not be there yet.
const fn creating(ask: Ask, stack: StackKind) -> Course {
    match (stack, stack.state(), ask) {
        (StackKind::Absent, _, Ask::Delete) => Course::Unwish,
        (StackKind::Absent, ..) => Course::Resume,
        (_, None, _) => Course::Occupied,
        // The failure is told first, to whom it concerns; a delete then meets a cluster that has failed.
        (_, Some(S::RollingBack | S::Failed | S::Stuck), _) => Course::Explain,
        (_, Some(S::Gone), _) => Course::Lost,
        (_, Some(_), Ask::Delete) => Course::Remove,
        (_, Some(S::Planned), _) => Course::Occupied,
        (_, Some(S::Making | S::Standing | S::Changing), Ask::Fresh | Ask::Same) => Course::Join,
        (_, Some(S::Making | S::Standing | S::Changing), Ask::Other) => Course::Differ,
        (_, Some(S::Standing), Ask::Nothing | Ask::Own) => Course::Announce,
        (_, Some(S::Making | S::Changing), Ask::Nothing | Ask::Own) => Course::Follow,
        // Somebody removes it while it is being made; the event of its end comes.
        (_, Some(S::Leaving), _) => Course::Follow,
    }
}

/// A create was accepted, and an earlier request's stack, which had been given up, turned up under its name.
const fn blocked(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (_, Ask::Delete) => Course::Unwish,
        (Some(S::Making | S::Standing | S::Failed), _) => Course::Reap,
        (Some(S::Stuck | S::Planned) | None, _) => Course::Occupied,
        (Some(S::Changing | S::RollingBack | S::Leaving | S::Gone), _) => Course::Rest,
    }
}

/// The cluster stands and was answered.
const fn ready(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (None, Ask::Nothing) => Course::Rest,
        (None, Ask::Delete) => Course::NoSuch,
        (None, _) => Course::Occupied,
        (Some(S::Gone), Ask::Delete) => Course::Finish,
        (Some(S::Gone), _) => Course::Lost,
        (Some(_), Ask::Delete) => Course::Remove,
        (Some(S::Leaving), _) => Course::Follow,
        (Some(S::Stuck), _) => Course::TellStuck,
        (Some(S::RollingBack | S::Failed), _) => Course::Explain,
        (Some(S::Planned), Ask::Nothing | Ask::Own) => Course::Rest,
        (Some(S::Planned), _) => Course::Leftover,
        (Some(S::Standing), Ask::Own) => Course::Announce,
        (Some(S::Making | S::Changing | S::Standing), Ask::Other) => Course::Differ,
        (Some(S::Making | S::Changing | S::Standing), Ask::Fresh | Ask::Same) => Course::Join,
        (Some(S::Making | S::Changing | S::Standing), Ask::Nothing | Ask::Own) => Course::Rest,
    }
}

/// The cluster stands, and its login address is not the one that was told.
const fn moved(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (Some(S::Standing), Ask::Delete) => Course::Remove,
        // Whoever asks for something else has their turn at the next look, beside what is true by then.
        (Some(S::Standing), _) => Course::Readdress,
        _ => ready(ask, stack),
    }
}

/// The creation failed and that was told; the failed stack is to go.
const fn failing(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        // Told, but the last pass did not come to its end.
        (_, Ask::Own) => Course::Explain,
        (None, Ask::Nothing) => Course::Cleared,
        (None, Ask::Delete) => Course::NoSuch,
        (None, _) => Course::Occupied,
        (Some(S::Gone), Ask::Nothing) => Course::Cleared,
        (Some(S::Gone), Ask::Delete) => Course::Finish,
        (Some(S::Gone), _) => Course::Start,
        (Some(_), Ask::Delete) => Course::Remove,
        (Some(S::Failed), _) => Course::Clear,
        (Some(S::RollingBack | S::Leaving | S::Planned), _) => Course::Rest,
        (Some(S::Stuck), _) => Course::TellStuck,
        // An administrator mended it by hand.
        (Some(S::Making | S::Standing | S::Changing), _) => Course::Recover,
    }
}

/// A delete was accepted. A create that came later waits for its end.
const fn deleting(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (_, Ask::Delete) => Course::Join,
        (Some(S::Gone), _) => Course::Finish,
        // The call may have been lost, or had to wait for an operation to end.
        (Some(S::Making | S::Standing | S::Failed | S::Planned), _) => Course::Remove,
        (Some(S::Changing | S::RollingBack | S::Leaving), _) => Course::Follow,
        (Some(S::Stuck) | None, _) => Course::TellStuck,
    }
}

/// A delete was accepted when a create was on its way and no stack was to be seen.
const fn unwanted(long_ago: bool, stack: StackKind) -> Course {
    match (stack, stack.state()) {
        (StackKind::Absent, _) if !long_ago => Course::Rest,
        (StackKind::Absent, _) | (_, None | Some(S::Gone)) => Course::Finish,
        (_, Some(_)) => Course::Remove,
    }
}

/// The stack could not be deleted.
const fn stuck(ask: Ask, stack: StackKind) -> Course {
    match (stack.state(), ask) {
        (None, Ask::Nothing) => Course::Rest,
        (None, Ask::Delete) => Course::NoSuch,
        (None, _) => Course::Occupied,
        (Some(S::Gone), Ask::Delete) => Course::Finish,
        (Some(S::Gone), _) => Course::Lost,
        (Some(_), Ask::Delete) => Course::Remove,
        (Some(S::Stuck | S::Leaving | S::Failed | S::RollingBack | S::Planned), Ask::Nothing) => Course::Rest,
        (Some(S::Leaving), _) => Course::Rest,
        (Some(S::Stuck | S::Failed | S::RollingBack | S::Planned), _) => Course::Leftover,
        (Some(S::Making | S::Standing | S::Changing), _) => Course::Recover,
    }
}

/// It is over. A stack that is there all the same bears the request that was given up: it arrived late.
const fn gone(ask: Ask, stack: StackKind) -> Course {
    match (stack, stack.state(), ask) {
        (_, None | Some(S::Gone), Ask::Nothing) => Course::Rest,
        (_, Some(S::Gone) | None, Ask::Delete) => Course::Receipt,
        (_, None, _) => Course::Occupied,
        (_, Some(S::Gone), _) => Course::Start,
        (_, Some(_), Ask::Delete) => Course::Remove,
        (_, Some(S::Changing | S::RollingBack | S::Leaving), _) | (_, Some(S::Planned), Ask::Nothing) => Course::Rest,
        (_, Some(S::Planned), _) => Course::Leftover,
        (_, Some(S::Making | S::Standing | S::Failed), _) => Course::Reap,
        (_, Some(S::Stuck), _) => Course::TellStuck,
    }
}
