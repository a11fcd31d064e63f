//! A creation that failed: reported once to all who share in it.

use super::super::builder::Builder;
use super::super::compose;
use crate::key::{Answer, Verb};
use crate::ledger::{End, MailKind, Phase};
use crate::message::{Message, News, StateText};
use crate::snapshot::Refusal;
use crate::status::State;

/// The creation failed, was refused, or the stack went while it was being made: answered once, by `message`, to all who share in it.
fn fail(b: &mut Builder<'_>, message: &Message, next: Phase) {
    let accepted = b.entry.accepted.clone().filter(|accepted| b.claim(&accepted.request, MailKind::Failed));
    b.write_ledger();
    let joined = b.joined(Verb::Create);
    for open in &joined {
        b.answer(&open.key, message);
        // Announced by a pass that died before it could note it, and not true any more.
        b.remove_answers(&open.key, &[Answer::Deleted, Answer::Failed]);
        if next == Phase::Failing {
            b.entry.note_remains_reported(&open.key);
        }
    }
    b.remove_created_answers();
    b.status(State::Failed, StateText::Failed, None);
    if let Some(accepted) = accepted {
        b.mail(compose::failed_news(b.snapshot, &accepted, message));
    }
    for open in &joined {
        b.settle(&open.request);
    }
    b.entry.phase = next;
    b.close();
}

pub fn report_rollback(b: &mut Builder<'_>) {
    fail(b, &compose::failed(b.snapshot), Phase::Failing);
}

/// A stack that has ended its rollback sends no further event: its removal is ours to start.
pub fn report_failure(b: &mut Builder<'_>) {
    report_rollback(b);
    b.look_again = true;
}

pub fn report_declined(b: &mut Builder<'_>) {
    let message = compose::declined(b.snapshot, why(b.snapshot.refusal.as_ref()));
    fail(b, &message, Phase::Gone { at: b.snapshot.now, end: End::Failed });
}

pub fn report_lost_creation(b: &mut Builder<'_>) {
    // Where it failed first, that is the reason, whoever removed what was left.
    let has_failed = b.snapshot.causes.of_creation().next().is_some();
    let message = if has_failed { compose::failed(b.snapshot) } else { Message::RemovedWhileMade { cluster: compose::name(b.snapshot) } };
    fail(b, &message, Phase::Gone { at: b.snapshot.now, end: End::Removed });
}

/// The words of the call that was refused.
pub fn why(refusal: Option<&Refusal>) -> &str {
    match refusal {
        Some(Refusal::Create(fault) | Refusal::Delete(fault)) => &fault.why,
        None => "",
    }
}

pub fn fail_occupied(b: &mut Builder<'_>) {
    let message = Message::Occupied { cluster: compose::name(b.snapshot) };
    fail_unmade(b, &message);
}

/// An earlier request's stack has the name, or a change set that nobody has executed.
pub fn fail_blocked(b: &mut Builder<'_>) {
    let message = compose::leftover(b.snapshot);
    fail_unmade(b, &message);
}

/// What has the name is written into the ledger by the next round, so that it is seen.
pub fn fail_undeletable(b: &mut Builder<'_>) {
    fail_blocked(b);
    b.look_again = true;
}

/// Nothing was made of an accepted create, because its name is taken; the administrator hears, too.
fn fail_unmade(b: &mut Builder<'_>, message: &Message) {
    let owed = b.owed(Verb::Create, b.create);
    let claimed = b.claim_occupied(&owed);
    b.write_ledger();
    for open in &owed {
        b.answer(&open.key, message);
    }
    b.status(State::Failed, StateText::Failed, None);
    if claimed {
        b.mail(News::Occupied);
    }
    for open in &owed {
        b.settle(&open.request);
    }
    b.entry.phase = Phase::Gone { at: b.snapshot.now, end: End::Failed };
    b.close();
}
