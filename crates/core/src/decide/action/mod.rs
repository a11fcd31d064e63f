//! What each action does: one function an action, which builds its effects.

mod announce;
mod create;
mod delete;
mod end;
mod fail;
mod follow;
mod nodes;
mod recover;
mod refuse;
mod stuck;

pub use nodes::note_nodes;
pub use recover::own;

use super::builder::Builder;
use super::table::Action;
use super::triage::Triage;

/// Builds the effects of an answer that triage has found.
pub fn answer(b: &mut Builder<'_>, triage: &Triage<'_>) -> Option<Action> {
    Some(match triage {
        Triage::Settled(uploads) => refuse::remove_settled(b, uploads),
        Triage::Aside(upload, message) => refuse::aside(b, upload, message),
        Triage::Invalid { create, problems } => refuse::invalid(b, create, problems),
        Triage::TooMany(upload) => refuse::too_many(b, upload),
        Triage::CreateSuperseded { create, delete } => refuse::withdraw(b, create, *delete),
        Triage::DeleteSuperseded(delete) => refuse::overtake(b, delete),
        Triage::Contenders(_) => return None,
    })
}

/// Builds the effects of an action of the table.
pub fn build(b: &mut Builder<'_>, action: Action) {
    match action {
        Action::Wait => follow::wait(b),
        Action::AnswerSupersededCreate => refuse::withdraw_contender(b),
        Action::AnswerSupersededDelete => refuse::overtake_contender(b),
        Action::RefuseOccupied => refuse::occupied(b),
        Action::RefuseDiffering => refuse::differing(b),
        Action::RefuseLeftover => refuse::leftover(b),
        Action::RefusePlanned => refuse::planned(b),
        Action::AnswerNoSuch => end::answer_no_such(b),
        Action::AnswerGone => end::answer_gone(b),
        Action::Start => create::start(b),
        Action::Resume => create::resume(b),
        Action::FollowCreation => follow::follow_creation(b),
        Action::FollowDelete => follow::follow_removal(b),
        Action::Join => follow::join(b),
        Action::JoinDelete => follow::join_removal(b),
        Action::Recover => recover::recover(b),
        Action::Announce => announce::announce(b),
        Action::AnnounceNoLogin => announce::announce_no_login(b),
        Action::Readdress => announce::readdress(b),
        Action::WithdrawAddress => announce::withdraw_address(b),
        Action::ReportRollback => fail::report_rollback(b),
        Action::ReportFailure => fail::report_failure(b),
        Action::ReportDeclined => fail::report_declined(b),
        Action::ReportLostCreation => fail::report_lost_creation(b),
        Action::FailOccupied => fail::fail_occupied(b),
        Action::FailBlocked => fail::fail_blocked(b),
        Action::FailUndeletable => fail::fail_undeletable(b),
        Action::ReportDeletedByOthers => end::lost(b),
        Action::DeleteFailedStack => delete::clear(b),
        Action::AwaitRollback => delete::clear_later(b),
        Action::CloseFailed => end::cleared(b),
        Action::DeleteLateStack => delete::reap(b),
        Action::CancelStart => delete::cancel_start(b),
        Action::Delete => delete::remove(b),
        Action::DeleteLater => delete::remove_later(b),
        Action::DeleteAgain => delete::remove_again(b),
        Action::ReportDeleted => end::finish(b),
        Action::ReportStuck => stuck::report_stuck(b),
        Action::ReportUndeletable => stuck::report_undeletable(b),
        Action::KeepUndeletable => stuck::keep_undeletable(b),
        // Triage's and the nodes' own: the table never leads there.
        Action::RemoveSettled | Action::AnswerAside | Action::RefuseInvalid | Action::RefuseTooMany | Action::NoteNodes => {}
    }
}
