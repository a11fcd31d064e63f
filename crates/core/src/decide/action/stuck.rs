//! Removals that failed.

use std::collections::BTreeSet;

use super::super::builder::Builder;
use super::super::compose;
use super::fail::why;
use crate::key::{UploadKey, Verb};
use crate::ledger::{MailKind, Open, Phase};
use crate::message::{Message, StateText};
use crate::request::RequestId;
use crate::status::State;

/// The request that the mail is about: the first delete's; where no delete asked, the accepted create's.
fn mail_request(b: &Builder<'_>, deletes: &[Open]) -> Option<RequestId> {
    deletes.first().map(|o| o.request.clone()).or_else(|| b.entry.accepted.as_ref().map(|a| a.request.clone()))
}

/// Answers that a delete failed, once in each folder: beside each delete; and, unless the cluster is as it was and a delete asked,
/// beside the accepted create, whose status file names this answer, and wherever `.cf-failed` reports what is left.
fn answer_failed_delete(b: &mut Builder<'_>, deletes: &[Open], stands: bool, message: &Message) {
    let mut keys: Vec<UploadKey> = deletes.iter().map(|o| o.key.clone()).collect();
    if !stands || deletes.is_empty() {
        keys.extend(b.entry.remains_reported.iter().cloned());
        keys.extend(b.entry.accepted.iter().map(|a| a.key.clone()));
    }
    let mut folders = BTreeSet::new();
    keys.retain(|key| folders.insert(key.folder.clone()));
    for key in keys {
        b.answer(&key, message);
        if !stands {
            b.entry.note_remains_reported(&key);
        }
    }
}

pub fn report_stuck(b: &mut Builder<'_>) {
    let deletes = b.joined(Verb::Delete);
    let claimed = mail_request(b, &deletes).is_some_and(|request| b.claim(&request, MailKind::Stuck));
    b.unjoin(Verb::Create);
    b.write_ledger();
    let message = compose::stuck(b.snapshot);
    answer_failed_delete(b, &deletes, false, &message);
    // The node whose address it gives may be gone already.
    b.remove_created_answers();
    b.status(State::Failed, StateText::Stuck, None);
    if claimed {
        b.mail(compose::stuck_news(b.snapshot, &message));
    }
    for open in &deletes {
        b.settle(&open.request);
    }
    b.entry.phase = Phase::Stuck;
    b.close();
}

/// CloudFormation refused to delete the stack.
pub fn report_undeletable(b: &mut Builder<'_>) {
    undeletable(b, Phase::Stuck);
}

/// The same, while the cluster stands as it did.
pub fn keep_undeletable(b: &mut Builder<'_>) {
    undeletable(b, Phase::Ready);
}

fn undeletable(b: &mut Builder<'_>, next: Phase) {
    let stands = next == Phase::Ready;
    let deletes = b.joined(Verb::Delete);
    let claimed = mail_request(b, &deletes).is_some_and(|request| b.claim(&request, MailKind::Stuck));
    b.write_ledger();
    let message = compose::undeletable(b.snapshot, why(b.snapshot.refusal.as_ref()));
    answer_failed_delete(b, &deletes, stands, &message);
    match b.snapshot.login() {
        Some(login) if stands => b.status(State::Ready, compose::ready(b.snapshot, login, b.entry.nodes.as_ref()), None),
        _ => b.status(State::Failed, StateText::Stuck, None),
    }
    if claimed {
        b.mail(compose::stuck_news(b.snapshot, &message));
    }
    for open in &deletes {
        b.settle(&open.request);
    }
    b.entry.phase = next;
    b.close();
    // A create that waited for its end is to hear what stands in its place.
    b.look_again |= !b.joined(Verb::Create).is_empty();
}
