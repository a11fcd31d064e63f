//! What nodes report. It is beside the table, and changes the status file alone: no phase, no mail, and not the state that the file
//! shows. What has become of the cluster is its stack's to say.

use super::super::builder::Builder;
use super::super::compose;
use super::super::state::{self, PhaseKind};
use super::follow;
use crate::message::StateText;
use crate::stack::StackState;
use crate::status::State;

/// Shows the reports where the status file shows a cluster that is being made, or is ready. Every other write of it shows them, too.
pub fn note_reports(b: &mut Builder<'_>) {
    let snapshot = b.snapshot;
    let is_read = snapshot.reports.read().is_some();
    let stack = snapshot.stack().map(|stack| stack.status.state());
    match (state::phase(snapshot, &b.entry), stack, snapshot.login()) {
        (PhaseKind::Creating, Some(StackState::Creating | StackState::Changing), _) if is_read => {
            // Where the list of parts cannot be read, the last figure stays.
            let shown = snapshot.status_file.as_ref().and_then(|shown| shown.progress);
            let progress = snapshot.progress.or(shown);
            b.reported_status(State::Creating, StateText::Creating(progress), progress);
        }
        (PhaseKind::Ready, Some(StackState::Available | StackState::Changing), Some(login)) if is_read => {
            let message = compose::ready(snapshot, login, b.entry.nodes.as_ref());
            b.reported_status(State::Ready, message, None);
        }
        // Another pass is about to report the login address, and may have read the reports before this one was written.
        (PhaseKind::Creating | PhaseKind::Moved, Some(StackState::Available), Some(_)) => b.comes_too_early = true,
        // It was ready already: DescribeStacks shows what was seconds ago.
        (PhaseKind::Ready, Some(StackState::Creating), _) => b.comes_too_early = true,
        _ => {}
    }
}

/// Shows the reports that the ledger says are owed. It is cleared last: a pass that ends in between is repeated.
pub fn show_owed_reports(b: &mut Builder<'_>) {
    let snapshot = b.snapshot;
    let Some(login) = snapshot.login() else { return follow::wait(b) };
    let message = compose::ready(snapshot, login, b.entry.nodes.as_ref());
    b.status(State::Ready, message, None);
    b.write_ledger();
}
