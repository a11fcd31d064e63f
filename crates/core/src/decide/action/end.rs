//! The end of a cluster, and deletes of what is not there.

use super::super::builder::Builder;
use super::super::compose;
use super::delete::{answer_one_superseded_create, join_deletes};
use crate::key::Verb;
use crate::ledger::{End, MailKind, Phase};
use crate::message::{Message, News, StateText};
use crate::request::RequestId;
use crate::status::State;

pub fn report_deleted(b: &mut Builder<'_>) {
    join_deletes(b);
    let gone = b.snapshot.now;
    let deletes = b.joined(Verb::Delete);
    let news: Vec<&RequestId> = deletes.iter().map(|o| &o.request).collect();
    // One removal is one piece of news, however many asked for it.
    let claimed = news.first().is_some_and(|request| b.claim(request, MailKind::Gone));
    b.write_ledger();
    let message = compose::deleted(b.snapshot, gone);
    for open in &deletes {
        b.answer(&open.key, &message);
    }
    b.answer_where_remains_were_reported(&message);
    // Superseded creates that no pass has answered yet. Where the receipt is beside one, that is its answer too.
    let creates = b.joined(Verb::Create);
    for open in creates.iter().filter(|create| !deletes.iter().any(|delete| delete.key.folder == create.key.folder)) {
        answer_one_superseded_create(b, open);
    }
    b.remove_created_answers();
    b.status(State::Deleted, StateText::Deleted, None);
    if claimed {
        b.mail(News::Gone);
    }
    for open in deletes.iter().chain(&creates) {
        b.settle(&open.request);
    }
    b.entry.phase = Phase::Gone { at: gone, end: End::Deleted };
    b.close();
}

pub fn report_deleted_by_others(b: &mut Builder<'_>) {
    let Some(accepted) = b.entry.accepted.clone() else {
        // For a stack that was recovered from nothing there is nobody to answer.
        return close_failed(b);
    };
    let claimed = b.claim(&accepted.request, MailKind::Gone);
    // Whoever asked again for what is not there any more has asked for a new one.
    b.unjoin(Verb::Create);
    b.write_ledger();
    let joined = b.joined(Verb::Create);
    // An entry that was recovered from its stack may have another upload's place for its answers.
    let elsewhere = joined.iter().map(|o| &o.key).filter(|key| **key != accepted.key);
    let text = compose::removed(b.snapshot, b.snapshot.now);
    for key in elsewhere.chain([&accepted.key]) {
        b.answer(key, &text);
    }
    b.answer_where_remains_were_reported(&text);
    b.remove_created_answers();
    b.status(State::Deleted, StateText::Removed, None);
    if claimed {
        b.mail(News::Removed);
    }
    for open in &joined {
        b.settle(&open.request);
    }
    b.entry.phase = Phase::Gone { at: b.snapshot.now, end: End::Removed };
    b.close();
}

pub fn close_failed(b: &mut Builder<'_>) {
    let end = if b.entry.phase == Phase::Failing { End::Failed } else { End::Removed };
    if !b.entry.announced.is_empty() {
        b.write_ledger();
        b.remove_created_answers();
    }
    b.entry.remains_reported.clear();
    b.entry.phase = Phase::Gone { at: b.snapshot.now, end };
    b.close();
}

pub fn answer_no_such(b: &mut Builder<'_>) {
    let message = compose::no_such(b.snapshot, b.entry.tied.as_ref());
    answer_deletes(b, &message);
}

pub fn answer_gone(b: &mut Builder<'_>) {
    answer_deletes(b, &compose::receipt(b.snapshot));
}

/// Deletes of what is not there: all are answered, for none of them has anything to wait for.
fn answer_deletes(b: &mut Builder<'_>, message: &Message) {
    let owed = b.owed(Verb::Delete, b.delete);
    if let Some(upload) = b.delete {
        let request_time = b.snapshot.request_time(&b.entry, upload);
        b.entry.note_request_time(Verb::Delete, &request_time);
    }
    b.write_ledger();
    for open in &owed {
        b.answer(&open.key, message);
        b.settle(&open.request);
    }
    b.close();
}
