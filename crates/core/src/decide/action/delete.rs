//! Deleting a stack: because its user asked, because it failed, because it arrived too late.

use super::super::builder::Builder;
use super::super::compose;
use crate::effect::Effect;
use crate::key::{Answer, Verb};
use crate::ledger::{Open, Phase};
use crate::message::StateText;
use crate::status::State;

/// The delete at hand is the one that the work is done for.
pub fn join_deletes(b: &mut Builder<'_>) {
    for upload in b.snapshot.uploads.iter().filter(|u| u.key.verb == Verb::Delete) {
        if !b.entry.has_answered(&upload.request) {
            b.join(upload);
        }
    }
}

/// Answers the superseded creates and removes their uploads, before the stack is deleted.
fn answer_superseded_creates(b: &mut Builder<'_>) {
    for open in b.joined(Verb::Create) {
        answer_one_superseded_create(b, &open);
        b.settle(&open.request);
    }
}

/// Answers one superseded create.
pub fn answer_one_superseded_create(b: &mut Builder<'_>, open: &Open) {
    let upload = b.snapshot.uploads.iter().find(|u| u.request == open.request);
    let tied = upload.and_then(|upload| b.tie(upload, b.delete));
    b.answer(&open.key, &compose::withdrawn(b.snapshot, tied.as_ref()));
    if tied.is_some() {
        b.entry.tied = tied;
    }
}

fn delete_stack(b: &mut Builder<'_>) {
    if let Some(stack) = b.snapshot.stack() {
        b.effects.push(Effect::DeleteStack { id: stack.id.clone() });
    }
}

/// Accepts the deletes that are there. Old answers go when a new request is accepted; `.cf-created` stays true until the cluster
/// is gone. A superseded create is answered before its stack goes.
fn accept(b: &mut Builder<'_>, phase: Phase) {
    join_deletes(b);
    b.drop_creates_without_upload();
    b.entry.phase = phase;
    b.write_ledger();
    for open in b.joined(Verb::Delete) {
        b.remove_answers(&open.key, &[Answer::Created]);
    }
    answer_superseded_creates(b);
}

/// The phase of a delete, since it was accepted.
const fn deleting(b: &Builder<'_>) -> Phase {
    match b.entry.phase {
        Phase::Deleting { since } => Phase::Deleting { since },
        _ => Phase::Deleting { since: b.snapshot.now },
    }
}

pub fn delete(b: &mut Builder<'_>) {
    accept(b, deleting(b));
    delete_stack(b);
    b.status(State::Deleting, compose::deleting(b.snapshot), None);
    b.close_settled();
}

pub fn delete_later(b: &mut Builder<'_>) {
    accept(b, deleting(b));
    b.status(State::Deleting, compose::deleting(b.snapshot), None);
    b.close_settled();
}

/// A stack whose last removal failed looks the same before our attempt and after one that failed again. So the phase moves only
/// once CloudFormation has taken the call: from then on, what failed is reported.
pub fn delete_again(b: &mut Builder<'_>) {
    let deleting = deleting(b);
    accept(b, Phase::Stuck);
    delete_stack(b);
    b.status(State::Deleting, compose::deleting(b.snapshot), None);
    b.entry.phase = deleting;
    b.close();
    b.look_again = false;
}

/// The create is on its way, and no stack is to be seen that could be removed.
pub fn cancel_start(b: &mut Builder<'_>) {
    accept(b, Phase::Unwanted { since: b.snapshot.now });
    b.status(State::Deleting, StateText::DeletingAfterStart, None);
    b.close_settled();
}

pub fn delete_failed_stack(b: &mut Builder<'_>) {
    await_rollback(b);
    delete_stack(b);
}

pub fn await_rollback(b: &mut Builder<'_>) {
    b.entry.phase = Phase::Failing;
    b.write_ledger();
}

/// Nobody waits for it, and it costs money.
pub fn delete_late_stack(b: &mut Builder<'_>) {
    b.write_ledger();
    delete_stack(b);
}
