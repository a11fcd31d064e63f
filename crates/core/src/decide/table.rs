//! The table: every row of (create × delete × phase × stack status) and the one action that it leads to.
//!
//! Read it by phase. One question comes before the phases: which of a create and a delete came later? The committed snapshot
//! `tests/snapshots/table.snap` prints the whole.

use super::state::{CreateAsk, DeleteAsk, PhaseKind, Row, StackKind};
use crate::snapshot::Refusal;
use crate::stack::StackState as S;

/// What to do. Each is the whole decision on create, delete, phase and stack; its function in `action` builds the effects from what
/// else the snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray)]
pub enum Action {
    /// Nothing; at most note an upload that waits for its turn.
    Wait,
    /// Remove uploads whose requests have their answers.
    RemoveSettled,
    /// Answer an upload of a verb that changes nothing.
    AnswerAside,
    /// Answer a create that breaks the rules.
    RefuseInvalid,
    /// Answer an upload that is one too many.
    RefuseTooMany,
    /// Answer a create that a later delete supersedes.
    AnswerSupersededCreate,
    /// Answer a delete that a later create supersedes.
    AnswerSupersededDelete,
    /// Answer a create whose name a stack has that is not ours; report it to the administrator.
    RefuseOccupied,
    /// Answer a create that asks for another cluster of a living one's name.
    RefuseDiffering,
    /// Answer a create whose name is held by what could not be deleted.
    RefuseLeftover,
    /// Answer a create whose name is held by a change set that nobody has executed.
    RefusePlanned,
    /// Answer a delete of what never was.
    AnswerNoSuch,
    /// Answer a delete of what is gone already.
    AnswerGone,
    /// Accept a create and start its stack.
    Start,
    /// Start the stack of an accepted create again: its first attempt may have been lost.
    Resume,
    /// Report the progress of a creation, and wait for the next event.
    FollowCreation,
    /// Report that the stack is being deleted, and wait for the next event.
    FollowDelete,
    /// Let a create share in the cluster that is there or on its way, and write into the ledger what it does not know of it.
    Join,
    /// Let a delete share in the removal that is under way.
    JoinDelete,
    /// Write a living stack of ours into a ledger that does not know it, or takes it for failed.
    Recover,
    /// Report that the cluster is ready.
    Announce,
    /// Report that the stack is complete and has no login address.
    AnnounceNoLogin,
    /// Report that the login address has changed.
    Readdress,
    /// Report that the login address is gone.
    WithdrawAddress,
    /// Report why the creation failed, while its rollback goes on.
    ReportRollback,
    /// Report why the creation failed.
    ReportFailure,
    /// Report that CloudFormation refused to start the stack.
    ReportDeclined,
    /// Report that the stack was removed while it was being made, by other means than a delete.
    ReportLostCreation,
    /// Report that an accepted create met a stack that is not ours, also to the administrator.
    FailOccupied,
    /// Report that an accepted create met what is left of an earlier request, or a change set that nobody has executed.
    FailBlocked,
    /// The same, where CloudFormation refused to delete what is left.
    FailUndeletable,
    /// Report that the cluster was removed by other means than a delete.
    ReportDeletedByOthers,
    /// Remove a failed stack, so that its name is free.
    DeleteFailedStack,
    /// Wait until the rollback of a failed stack has ended.
    AwaitRollback,
    /// The failed stack is gone: close the entry.
    CloseFailed,
    /// Remove a stack that arrived after its cluster was given up.
    DeleteLateStack,
    /// Accept a delete whose create is on its way.
    CancelStart,
    /// Accept a delete and remove the stack.
    Delete,
    /// Accept a delete; the stack can be removed once the operation in progress has ended.
    DeleteLater,
    /// Accept a delete and remove what an earlier removal left.
    DeleteAgain,
    /// Report that the cluster is gone.
    ReportDeleted,
    /// Report that the stack could not be deleted, and what is left.
    ReportStuck,
    /// Report that CloudFormation refused to delete the stack.
    ReportUndeletable,
    /// The same, while the cluster stands as it did.
    KeepUndeletable,
    /// Report that instances for compute nodes cannot be launched, or can be again. Beside the table.
    NoteNodes,
    /// Show what the nodes report: because a report came, or in place of `Wait` where the ledger says that it is owed. Beside the table.
    NoteReports,
}

/// The action after a call that was refused for good.
pub fn after(refusal: &Refusal, phase: PhaseKind, stack: StackKind) -> Action {
    match refusal {
        Refusal::Create(_) if refusal.is_token_used() => Action::ReportLostCreation,
        Refusal::Create(_) => Action::ReportDeclined,
        // It is an earlier request's, and nobody asked for its removal: it is not what the accepted create is for.
        Refusal::Delete(_) if phase == PhaseKind::Blocked => Action::FailUndeletable,
        Refusal::Delete(_) if stack.state() == Some(S::Available) => Action::KeepUndeletable,
        Refusal::Delete(_) => Action::ReportUndeletable,
    }
}

/// What is asked, once a create and a delete that contradict each other are told apart.
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

/// The action for a row.
pub fn choose(row: &Row) -> Action {
    use {CreateAsk as C, DeleteAsk as D};
    let delete_is_under_way = matches!(row.phase, PhaseKind::Deleting | PhaseKind::Unwanted | PhaseKind::UnwantedLong);
    let ask = match (row.create, row.delete) {
        // A create that the cluster was not made for, and a later delete.
        (C::Fresh | C::Same | C::Other, D::Asked | D::Own) => return Action::AnswerSupersededCreate,
        (create, D::Superseded) if !delete_is_under_way && !needs_room(create, row.phase, row.stack) => {
            return Action::AnswerSupersededDelete;
        }
        (_, D::Asked | D::Superseded) => Ask::Delete,
        // Accepted, but the phase that says so was not written yet, or not any more.
        (_, D::Own | D::OwnAwaited) if !delete_is_under_way => Ask::Delete,
        (C::Own, _) => Ask::Own,
        (C::Fresh, _) => Ask::Fresh,
        (C::Same, _) => Ask::Same,
        (C::Other, _) => Ask::Other,
        (C::None, _) => Ask::Nothing,
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

/// Whether a create can only come true after the delete that it supersedes: what stands is not what it asks for.
const fn needs_room(create: CreateAsk, phase: PhaseKind, stack: StackKind) -> bool {
    matches!(create, CreateAsk::Other) || matches!(phase, PhaseKind::Stuck) || matches!(stack.state(), Some(S::DeleteFailed))
}

/// What a delete of a stack of ours leads to.
const fn removal(state: S) -> Action {
    match state {
        S::Creating | S::Available | S::Failed | S::InReview => Action::Delete,
        // An operation in progress must end first; its last event brings us back.
        S::Changing | S::RollingBack | S::Deleting => Action::DeleteLater,
        S::DeleteFailed => Action::DeleteAgain,
        S::Deleted => Action::ReportDeleted,
    }
}

/// What a failed creation leads to.
const fn failure(state: S) -> Action {
    // A stack that has ended its rollback sends no further event: its removal is ours to start.
    if matches!(state, S::RollingBack) { Action::ReportRollback } else { Action::ReportFailure }
}

/// What a stack that stands leads to, where its address is to be reported.
const fn announcement(stack: StackKind) -> Action {
    if matches!(stack, StackKind::WithoutLogin(_)) { Action::AnnounceNoLogin } else { Action::Announce }
}

/// The ledger knows nothing. A stack of ours that is there nevertheless is taken as it is.
const fn new(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (None | Some(S::Deleted), Ask::Nothing) => Action::Wait,
        (None | Some(S::Deleted), Ask::Delete) => Action::AnswerNoSuch,
        (None, _) => Action::RefuseOccupied,
        (Some(S::Deleted), _) => Action::Start,
        (Some(state), Ask::Delete) => removal(state),
        // Its own create is still there, and is to hear how it ended.
        (Some(S::RollingBack | S::Failed | S::Deleting), Ask::Own) => Action::Join,
        (Some(S::RollingBack), _) => Action::AwaitRollback,
        (Some(S::Failed), _) => Action::DeleteFailedStack,
        // It goes by itself; whoever waits for its name is noted.
        (Some(S::Deleting), _) => Action::Wait,
        // Nobody's cluster yet.
        (Some(S::InReview), Ask::Nothing) => Action::Wait,
        (Some(S::InReview), _) => Action::RefusePlanned,
        (Some(S::DeleteFailed), Ask::Nothing) => Action::Recover,
        (Some(S::DeleteFailed), _) => Action::RefuseLeftover,
        (Some(S::Creating | S::Available | S::Changing), Ask::Other) => Action::RefuseDiffering,
        (Some(S::Creating | S::Available | S::Changing), Ask::Own | Ask::Same | Ask::Fresh) => Action::Join,
        (Some(S::Creating | S::Available | S::Changing), Ask::Nothing) => Action::Recover,
    }
}

/// A create was accepted; its stack may not be there yet.
const fn creating(ask: Ask, stack: StackKind) -> Action {
    match (stack, stack.state(), ask) {
        (StackKind::Absent, _, Ask::Delete) => Action::CancelStart,
        (StackKind::Absent, ..) => Action::Resume,
        (_, None, _) => Action::FailOccupied,
        // The failure is reported first, to whom it concerns; a delete then meets a cluster that has failed.
        (_, Some(state @ (S::RollingBack | S::Failed | S::DeleteFailed)), _) => failure(state),
        (_, Some(S::Deleted), _) => Action::ReportLostCreation,
        (_, Some(state), Ask::Delete) => removal(state),
        (_, Some(S::InReview), _) => Action::FailBlocked,
        (_, Some(S::Creating | S::Available | S::Changing), Ask::Fresh | Ask::Same) => Action::Join,
        (_, Some(S::Creating | S::Available | S::Changing), Ask::Other) => Action::RefuseDiffering,
        (_, Some(S::Available), Ask::Nothing | Ask::Own) => announcement(stack),
        (_, Some(S::Creating | S::Changing), Ask::Nothing | Ask::Own) => Action::FollowCreation,
        // Somebody removes it while it is being made; the event of its end comes.
        (_, Some(S::Deleting), _) => Action::FollowDelete,
    }
}

/// A create was accepted, and an earlier request's stack, which had been given up, turned up under its name.
const fn blocked(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (_, Ask::Delete) => Action::CancelStart,
        (Some(S::Creating | S::Available | S::Failed), _) => Action::DeleteLateStack,
        (None, _) => Action::FailOccupied,
        (Some(S::DeleteFailed | S::InReview), _) => Action::FailBlocked,
        (Some(S::Changing | S::RollingBack | S::Deleting | S::Deleted), _) => Action::Wait,
    }
}

/// The cluster stands and was answered.
const fn ready(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (None, Ask::Nothing) => Action::Wait,
        (None, Ask::Delete) => Action::AnswerNoSuch,
        (None, _) => Action::FailOccupied,
        (Some(state), Ask::Delete) => removal(state),
        (Some(S::Deleted), _) => Action::ReportDeletedByOthers,
        (Some(S::Deleting), _) => Action::FollowDelete,
        (Some(S::DeleteFailed), _) => Action::ReportStuck,
        (Some(state @ (S::RollingBack | S::Failed)), _) => failure(state),
        (Some(S::InReview), Ask::Nothing | Ask::Own) => Action::Wait,
        (Some(S::InReview), _) => Action::RefusePlanned,
        (Some(S::Available), Ask::Own) => announcement(stack),
        (Some(S::Creating | S::Changing | S::Available), Ask::Other) => Action::RefuseDiffering,
        (Some(S::Creating | S::Changing | S::Available), Ask::Fresh | Ask::Same) => Action::Join,
        (Some(S::Creating | S::Changing | S::Available), Ask::Nothing | Ask::Own) => Action::Wait,
    }
}

/// The cluster stands, and its login address is not the one that was reported.
const fn moved(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (Some(S::Available), Ask::Delete) => Action::Delete,
        // Whoever asks for something else has their turn in the next round, beside what is true by then.
        (Some(S::Available), _) if matches!(stack, StackKind::WithoutLogin(_)) => Action::WithdrawAddress,
        (Some(S::Available), _) => Action::Readdress,
        _ => ready(ask, stack),
    }
}

/// The creation failed and that was reported; the failed stack is to go.
const fn failing(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        // Reported, but the last pass did not come to its end.
        (Some(state), Ask::Own) => failure(state),
        (None, Ask::Own) => Action::ReportFailure,
        (None | Some(S::Deleted), Ask::Nothing) => Action::CloseFailed,
        (None, Ask::Delete) => Action::AnswerNoSuch,
        (None, _) => Action::FailOccupied,
        (Some(state), Ask::Delete) => removal(state),
        (Some(S::Deleted), _) => Action::Start,
        (Some(S::Failed), _) => Action::DeleteFailedStack,
        (Some(S::RollingBack | S::Deleting | S::InReview), _) => Action::Wait,
        (Some(S::DeleteFailed), _) => Action::ReportStuck,
        // An administrator repaired it by hand.
        (Some(S::Creating | S::Available | S::Changing), _) => Action::Recover,
    }
}

/// A delete was accepted. A create that came later waits for its end.
const fn deleting(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (_, Ask::Delete) => Action::JoinDelete,
        // The call may have been lost, or had to wait for an operation to end.
        (Some(state @ (S::Creating | S::Available | S::Failed | S::InReview | S::Deleted)), _) => removal(state),
        (Some(S::Changing | S::RollingBack | S::Deleting), _) => Action::FollowDelete,
        (Some(S::DeleteFailed) | None, _) => Action::ReportStuck,
    }
}

/// A delete was accepted when a create was on its way and no stack was to be seen.
const fn unwanted(long_ago: bool, stack: StackKind) -> Action {
    match (stack, stack.state()) {
        (StackKind::Absent, _) if !long_ago => Action::Wait,
        (StackKind::Absent, _) | (_, None) => Action::ReportDeleted,
        (_, Some(state)) => removal(state),
    }
}

/// The stack could not be deleted.
const fn stuck(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (None, Ask::Nothing) => Action::Wait,
        (None, Ask::Delete) => Action::AnswerNoSuch,
        (None, _) => Action::FailOccupied,
        (Some(state), Ask::Delete) => removal(state),
        (Some(S::Deleted), _) => Action::ReportDeletedByOthers,
        (Some(S::DeleteFailed | S::Deleting | S::Failed | S::RollingBack | S::InReview), Ask::Nothing) | (Some(S::Deleting), _) => {
            Action::Wait
        }
        (Some(S::InReview), _) => Action::RefusePlanned,
        (Some(S::DeleteFailed | S::Failed | S::RollingBack), _) => Action::RefuseLeftover,
        (Some(S::Creating | S::Available | S::Changing), _) => Action::Recover,
    }
}

/// It is over. A stack that is there all the same was made for the request that was given up: it arrived late.
const fn gone(ask: Ask, stack: StackKind) -> Action {
    match (stack.state(), ask) {
        (None | Some(S::Deleted), Ask::Nothing) => Action::Wait,
        (None | Some(S::Deleted), Ask::Delete) => Action::AnswerGone,
        (None, _) => Action::RefuseOccupied,
        (Some(S::Deleted), _) => Action::Start,
        (Some(state), Ask::Delete) => removal(state),
        (Some(S::Changing | S::RollingBack | S::Deleting), _) | (Some(S::InReview), Ask::Nothing) => Action::Wait,
        (Some(S::InReview), _) => Action::RefusePlanned,
        (Some(S::Creating | S::Available | S::Failed), _) => Action::DeleteLateStack,
        (Some(S::DeleteFailed), _) => Action::ReportStuck,
    }
}
