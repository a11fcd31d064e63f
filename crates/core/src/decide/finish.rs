//! The courses of a delete, and of stacks that go: remove, finish, stuck, lost, cleared.

use std::collections::BTreeSet;

use super::compose;
use super::draft::Draft;
use super::row::is_in_the_way;
use crate::effect::Effect;
use crate::key::{Answer, UploadKey, Verb};
use crate::ledger::{End, MailKind, Open, Phase};
use crate::message::{Message, News, Problem, StateText};
use crate::request::RequestId;
use crate::stack::StackState;
use crate::status::State;

/// The delete at hand is the one that the work is done for.
fn join_deletes(d: &mut Draft<'_>) {
    for upload in d.facts.uploads.iter().filter(|u| u.key.verb == Verb::Delete) {
        if !d.entry.has_answered(&upload.request) {
            d.join(upload);
        }
    }
}

/// A create that a delete took back is answered and removed, before its stack is.
fn withdraw_joined(d: &mut Draft<'_>) {
    for open in d.joined(Verb::Create) {
        give_up(d, &open);
        d.settle(&open.request);
    }
}

fn give_up(d: &mut Draft<'_>, open: &Open) {
    let upload = d.facts.uploads.iter().find(|u| u.request == open.request);
    let tied = upload.and_then(|upload| d.tie(upload));
    d.answer(&open.key, &compose::withdrawn(d.facts, tied.as_ref()));
    if tied.is_some() {
        d.entry.tied = tied;
    }
}

fn delete_stack(d: &mut Draft<'_>) {
    if let Some(stack) = d.facts.stack() {
        d.effects.push(Effect::DeleteStack { id: stack.id.clone() });
    }
}

pub fn remove(d: &mut Draft<'_>) {
    join_deletes(d);
    d.drop_unheard();
    let deleting = match d.entry.phase {
        Phase::Deleting { since } => Phase::Deleting { since },
        _ => Phase::Deleting { since: d.facts.now },
    };
    // A stack whose last removal failed looks the same before our attempt and after one that failed again. So the phase
    // moves only once CloudFormation has taken the call: from then on, what failed is told.
    let state = d.facts.stack().map(|s| s.status.state());
    let is_second_attempt = state == Some(StackState::Stuck);
    d.entry.phase = if is_second_attempt { Phase::Stuck } else { deleting };
    d.write_ledger();
    for open in d.joined(Verb::Delete) {
        // Old answers go when a new request is accepted; `.cf-created` stays true until the cluster is gone.
        d.remove_answers(&open.key, &[Answer::Created]);
    }
    withdraw_joined(d);
    // An operation in progress must end first; its last event brings us back.
    if matches!(state, Some(StackState::Making | StackState::Standing | StackState::Failed | StackState::Stuck | StackState::Planned)) {
        delete_stack(d);
    }
    d.status(State::Deleting, compose::deleting(d.facts), None);
    if is_second_attempt {
        d.entry.phase = deleting;
        d.close();
        d.look_again = false;
    } else {
        d.close_settled();
    }
}

pub fn unwish(d: &mut Draft<'_>) {
    join_deletes(d);
    d.drop_unheard();
    d.entry.phase = Phase::Unwanted { since: d.facts.now };
    d.write_ledger();
    for open in d.joined(Verb::Delete) {
        d.remove_answers(&open.key, &[Answer::Created]);
    }
    withdraw_joined(d);
    d.status(State::Deleting, StateText::DeletingAfterStart, None);
    d.close_settled();
}

pub fn finish(d: &mut Draft<'_>) {
    join_deletes(d);
    let gone = d.facts.now;
    let deletes = d.joined(Verb::Delete);
    let news: Vec<&RequestId> = deletes.iter().map(|o| &o.request).collect();
    // One removal is one piece of news, however many asked for it.
    let claimed = news.first().is_some_and(|request| d.claim(request, MailKind::Gone));
    d.write_ledger();
    let message = compose::deleted(d.facts, gone);
    for open in &deletes {
        d.answer(&open.key, &message);
    }
    d.answer_warned(&message);
    // A create that the last pass did not get to take back. Where the receipt stands beside it, that is its answer too.
    let creates = d.joined(Verb::Create);
    for open in creates.iter().filter(|create| !deletes.iter().any(|delete| delete.key.folder == create.key.folder)) {
        give_up(d, open);
    }
    d.forget_created();
    d.status(State::Deleted, StateText::Deleted, None);
    if claimed {
        d.mail(News::Gone);
    }
    for open in deletes.iter().chain(&creates) {
        d.settle(&open.request);
    }
    d.entry.phase = Phase::Gone { at: gone, end: End::Deleted };
    d.close();
}

pub fn lost(d: &mut Draft<'_>) {
    let Some(accepted) = d.entry.accepted.clone() else {
        // A stack that was recovered from nothing has nobody to be told.
        return cleared(d);
    };
    let claimed = d.claim(&accepted.request, MailKind::Gone);
    // Whoever asked again for what is not there any more has asked for a new one.
    d.part_from(Verb::Create);
    d.write_ledger();
    let joined = d.joined(Verb::Create);
    // An entry that was recovered from its stack may have another upload's place for its answers.
    let elsewhere = joined.iter().map(|o| &o.key).filter(|key| **key != accepted.key);
    let text = compose::removed(d.facts, d.facts.now);
    for key in elsewhere.chain([&accepted.key]) {
        d.answer(key, &text);
    }
    d.answer_warned(&text);
    d.forget_created();
    d.status(State::Deleted, StateText::Removed, None);
    if claimed {
        d.mail(News::Removed);
    }
    for open in &joined {
        d.settle(&open.request);
    }
    d.entry.phase = Phase::Gone { at: d.facts.now, end: End::Removed };
    d.close();
}

pub fn clear(d: &mut Draft<'_>) {
    d.entry.phase = Phase::Failing;
    d.write_ledger();
    if d.facts.stack().is_some_and(|s| s.status.state() == StackState::Failed) {
        delete_stack(d);
    }
}

pub fn cleared(d: &mut Draft<'_>) {
    let end = if d.entry.phase == Phase::Failing { End::Failed } else { End::Removed };
    if !d.entry.announced.is_empty() {
        d.write_ledger();
        d.forget_created();
    }
    d.entry.warned.clear();
    d.entry.phase = Phase::Gone { at: d.facts.now, end };
    d.close();
}

/// A stack that arrived after its cluster was given up: nobody waits for it, and it costs money.
pub fn reap(d: &mut Draft<'_>) {
    d.write_ledger();
    delete_stack(d);
}

/// The request that a removal was tried for; where nobody asked for it, the one that the cluster was made for.
fn whom_it_concerns(d: &Draft<'_>, deletes: &[Open]) -> Option<RequestId> {
    deletes.first().map(|o| o.request.clone()).or_else(|| d.entry.accepted.as_ref().map(|a| a.request.clone()))
}

/// Tells that a removal failed: beside the deletes that asked for it, beside the accepted create, whose state file leads its
/// reader there, and wherever it was told that parts are being removed. Where the cluster stands as it did, only who asked hears.
fn tell_failed_removal(d: &mut Draft<'_>, deletes: &[Open], stands: bool, message: &Message) {
    let mut keys: Vec<UploadKey> = deletes.iter().map(|o| o.key.clone()).collect();
    if !stands || deletes.is_empty() {
        keys.extend(d.entry.warned.iter().cloned());
        keys.extend(d.entry.accepted.iter().map(|a| a.key.clone()));
    }
    let mut told = BTreeSet::new();
    keys.retain(|key| told.insert(key.folder.clone()));
    for key in keys {
        d.answer(&key, message);
        if !stands {
            d.entry.note_warned(&key);
        }
    }
}

pub fn tell_stuck(d: &mut Draft<'_>) {
    let deletes = d.joined(Verb::Delete);
    let claimed = whom_it_concerns(d, &deletes).is_some_and(|request| d.claim(&request, MailKind::Stuck));
    d.part_from(Verb::Create);
    d.write_ledger();
    let message = compose::stuck(d.facts);
    tell_failed_removal(d, &deletes, false, &message);
    // The node whose address it gives may be gone already.
    d.forget_created();
    d.status(State::Failed, StateText::Stuck, None);
    if claimed {
        d.mail(compose::stuck_news(d.facts, &message));
    }
    for open in &deletes {
        d.settle(&open.request);
    }
    d.entry.phase = Phase::Stuck;
    d.close();
}

pub fn undeletable(d: &mut Draft<'_>, why: &str) {
    // It is an earlier request's, and nobody asked for its removal: what stands is not what the accepted create is for.
    if d.facts.stack().is_some_and(|s| is_in_the_way(&d.entry, s)) {
        super::start::occupied(d);
        // What stands is written back into the ledger, so that it is seen.
        d.look_again = true;
        return;
    }
    let deletes = d.joined(Verb::Delete);
    let claimed = whom_it_concerns(d, &deletes).is_some_and(|request| d.claim(&request, MailKind::Stuck));
    d.write_ledger();
    let message = compose::undeletable(d.facts, why);
    let stands = d.facts.stack().is_some_and(|s| s.status.state() == StackState::Standing);
    tell_failed_removal(d, &deletes, stands, &message);
    match d.facts.login() {
        Some(login) if stands => d.status(State::Ready, compose::ready(d.facts, login, d.entry.nodes.as_ref()), None),
        _ => d.status(State::Failed, StateText::Stuck, None),
    }
    if claimed {
        d.mail(compose::stuck_news(d.facts, &message));
    }
    for open in &deletes {
        d.settle(&open.request);
    }
    d.entry.phase = if stands { Phase::Ready } else { Phase::Stuck };
    d.close();
    // A create that waited for its end is to hear what stands in its place.
    d.look_again |= !d.joined(Verb::Create).is_empty();
}

/// A request that already has its answer, and an upload that outlived it.
pub fn tidy(d: &mut Draft<'_>) {
    for upload in [d.chosen.create, d.chosen.delete].into_iter().flatten() {
        if d.entry.has_answered(&upload.request) {
            d.effects.push(Effect::RemoveUpload { key: upload.key.to_string(), etag: upload.etag.clone() });
            d.look_again = d.facts.uploads.len() > 1;
        }
    }
}

/// A delete that is one too many.
pub fn crowded(d: &mut Draft<'_>) {
    let Some(upload) = d.chosen.delete else { return };
    let problem = Problem::Crowded { key: upload.key.clone() };
    refuse_delete(d, &Message::NotRemoved { cluster: compose::name(d.facts), problem });
}

/// A delete that changes nothing, while others may wait for their end.
pub fn refuse_delete(d: &mut Draft<'_>, message: &Message) {
    let Some(upload) = d.chosen.delete else { return };
    d.write_ledger();
    d.answer_and_settle(upload, message);
    d.close();
}

/// Deletes of what is not there: all are answered, for none of them has anything to wait for.
pub fn answer_deletes(d: &mut Draft<'_>, message: &Message) {
    let owed = d.owed(Verb::Delete, d.chosen.delete);
    if let Some(upload) = d.chosen.delete {
        let wish = d.facts.wish(&d.entry, upload);
        d.entry.note_wish(Verb::Delete, &wish);
    }
    d.write_ledger();
    for open in &owed {
        d.answer(&open.key, message);
        d.settle(&open.request);
    }
    d.close();
}
