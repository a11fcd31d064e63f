//! What each action does: one function an action, of the same name, which builds its effects.

mod announce;
mod create;
mod delete;
mod end;
mod fail;
mod follow;
mod nodes;
mod recover;
mod refuse;
mod reports;
mod stuck;

pub use nodes::note_nodes;
pub use recover::own;
pub use reports::note_reports;

use super::builder::Builder;
use super::table::Action;
use super::triage::Triage;

/// Builds the effects of an answer that triage has found.
pub fn answer(b: &mut Builder<'_>, triage: &Triage<'_>) -> Option<Action> {
    Some(match triage {
        Triage::Settled(uploads) => refuse::remove_settled(b, uploads),
        Triage::Aside(upload, message) => refuse::answer_aside(b, upload, message),
        Triage::Invalid { create, problems } => refuse::refuse_invalid(b, create, problems),
        Triage::TooMany(upload) => refuse::refuse_too_many(b, upload),
        Triage::CreateSuperseded { create, delete } => refuse::answer_superseded_create(b, create, *delete),
        Triage::DeleteSuperseded(delete) => refuse::answer_superseded_delete(b, delete),
        Triage::Contenders(_) => return None,
    })
}

/// Builds the effects of an action of the table.
pub fn build(b: &mut Builder<'_>, action: Action) {
    match action {
        Action::Wait => follow::wait(b),
        Action::AnswerSupersededCreate => refuse::answer_superseded_create_at_hand(b),
        Action::AnswerSupersededDelete => refuse::answer_superseded_delete_at_hand(b),
        Action::RefuseOccupied => refuse::refuse_occupied(b),
        Action::RefuseDiffering => refuse::refuse_differing(b),
        Action::RefuseLeftover => refuse::refuse_leftover(b),
        Action::RefusePlanned => refuse::refuse_planned(b),
        Action::AnswerNoSuch => end::answer_no_such(b),
        Action::AnswerGone => end::answer_gone(b),
        Action::Start => create::start(b),
        Action::Resume => create::resume(b),
        Action::FollowCreation => follow::follow_creation(b),
        Action::FollowDelete => follow::follow_delete(b),
        Action::Join => follow::join(b),
        Action::JoinDelete => follow::join_delete(b),
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
        Action::ReportDeletedByOthers => end::report_deleted_by_others(b),
        Action::DeleteFailedStack => delete::delete_failed_stack(b),
        Action::AwaitRollback => delete::await_rollback(b),
        Action::CloseFailed => end::close_failed(b),
        Action::DeleteLateStack => delete::delete_late_stack(b),
        Action::CancelStart => delete::cancel_start(b),
        Action::Delete => delete::delete(b),
        Action::DeleteLater => delete::delete_later(b),
        Action::DeleteAgain => delete::delete_again(b),
        Action::ReportDeleted => end::report_deleted(b),
        Action::ReportStuck => stuck::report_stuck(b),
        Action::ReportUndeletable => stuck::report_undeletable(b),
        Action::KeepUndeletable => stuck::keep_undeletable(b),
        // Triage's own, and Auto Scaling's news: the table never leads there.
        Action::RemoveSettled | Action::AnswerAside | Action::RefuseInvalid | Action::RefuseTooMany => {}
        Action::NoteNodes => {}
        Action::NoteReports => reports::show_owed_reports(b),
    }
}
