//! A ledger that lags behind a stack of ours: what the stack shows is written into it.

use std::collections::BTreeMap;

use super::super::builder::Builder;
use crate::ledger::{Accepted, Phase};
use crate::stack::{Stack, StackState};

/// The create at hand is the one that the stack was made for, or shares in it; the ledger may have lost it.
pub fn own(b: &mut Builder<'_>) {
    let Some(upload) = b.create else { return };
    b.join(upload);
    if b.entry.accepted.is_none() {
        note_accepted(b);
    }
}

/// Writes a living stack of ours into a ledger that does not know it, or takes it for failed.
pub fn recover(b: &mut Builder<'_>) {
    if !knows_its_stack(b) {
        note_accepted(b);
    }
    note_phase(b);
    b.write_ledger();
    b.look_again = !b.snapshot.uploads.is_empty();
}

/// Makes the entry speak of the stack that is there; nothing changes where it does.
pub fn note_stack(b: &mut Builder<'_>) {
    if !knows_its_stack(b) {
        note_accepted(b);
        note_phase(b);
    }
}

/// Whether the entry speaks of the stack that is there, as one that lives.
fn knows_its_stack(b: &Builder<'_>) -> bool {
    let made_for = b.snapshot.stack().and_then(Stack::request);
    let accepted = b.entry.accepted.as_ref().map(|a| &a.request);
    !matches!(b.entry.phase, Phase::New | Phase::Gone { .. }) && accepted.is_some() && (made_for.is_none() || made_for.as_ref() == accepted)
}

/// What a living stack shows of the request that it was made for. The folder for its answers is the one of the create at
/// hand; without one, there is nobody to answer.
fn note_accepted(b: &mut Builder<'_>) {
    let Some(stack) = b.snapshot.stack() else { return };
    if b.entry.accepted.as_ref().is_some_and(|a| stack.request().as_ref() == Some(&a.request)) {
        return;
    }
    b.entry.reports_owed = false;
    let is_users = |name: &String| b.snapshot.settings.template.is_users(name);
    let parameters = stack.parameters.iter().filter(|(name, _)| is_users(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    b.entry.accepted = b.create.zip(stack.request()).map(|(upload, request)| Accepted {
        request,
        key: upload.key.clone(),
        at: b.snapshot.now,
        parameters,
        defaults: BTreeMap::new(),
    });
}

fn note_phase(b: &mut Builder<'_>) {
    let Some(stack) = b.snapshot.stack() else { return };
    b.entry.phase = match stack.status.state() {
        // Of one that has failed, or is removed before it was finished, its create is still to be answered.
        StackState::Creating | StackState::RollingBack | StackState::Failed | StackState::Deleting => {
            Phase::Creating { since: b.snapshot.now }
        }
        StackState::DeleteFailed => Phase::Stuck,
        // Nothing is made of it, so there is nothing to speak of.
        StackState::InReview => return,
        // That it is ready is reported to those who share in it, and to nobody else.
        StackState::Available | StackState::Changing | StackState::Deleted => Phase::Ready,
    };
}
