//! Progress of what CloudFormation does, and uploads that share in it.

use super::super::builder::Builder;
use super::super::compose;
use super::recover;
use crate::message::StateText;
use crate::status::State;

/// Notes the uploads that wait for their turn.
pub fn wait(b: &mut Builder<'_>) {
    if b.is_entry_changed() {
        b.write_ledger();
    }
}

/// Where the list of parts cannot be read, the last figure stays.
pub fn follow_creation(b: &mut Builder<'_>) {
    if b.is_entry_changed() {
        b.write_ledger();
    }
    if b.snapshot.progress.is_some() || !b.shows(State::Creating) {
        b.status(State::Creating, StateText::Creating(b.snapshot.progress), b.snapshot.progress);
    }
}

/// "deleting" may follow a final state, so a slow pass must not report it after another has reported how the removal ended: the
/// ledger's condition stops it. Progress cannot follow a final state, and needs no such stop.
pub fn follow_delete(b: &mut Builder<'_>) {
    if b.is_entry_changed() || !b.shows(State::Deleting) {
        b.write_ledger();
    }
    b.status(State::Deleting, compose::deleting(b.snapshot), None);
}

/// Lets a create share in the cluster that is there or on its way.
pub fn join(b: &mut Builder<'_>) {
    if let Some(upload) = b.create {
        b.join(upload);
    }
    recover::note_stack(b);
    b.write_ledger();
    b.look_again = true;
}

/// Lets a delete share in the delete that is under way.
pub fn join_delete(b: &mut Builder<'_>) {
    if let Some(upload) = b.delete {
        b.join(upload);
    }
    b.write_ledger();
    b.look_again = true;
}
