//! What nodes report. It is beside the table, and changes the status file alone: no phase, no ledger, no mail, and not the state that
//! the file shows. What has become of the cluster is its stack's to say.

use super::super::builder::Builder;
use super::super::compose;
use super::super::state::{self, PhaseKind};
use crate::message::StateText;
use crate::stack::StackState;
use crate::status::State;

/// Shows the reports where the status file shows a cluster that is being made, or is ready. Every other write of it shows them, too.
pub fn note_reports(b: &mut Builder<'_>) {
    let snapshot = b.snapshot;
    let (Some(_), Some(stack)) = (snapshot.reports.read(), snapshot.stack()) else { return };
    match (state::phase(snapshot, &b.entry), stack.status.state(), snapshot.login()) {
        (PhaseKind::Creating, StackState::Creating | StackState::Changing, _) => {
            // Where the list of parts cannot be read, the last figure stays.
            let shown = snapshot.status_file.as_ref().and_then(|shown| shown.progress);
            let progress = snapshot.progress.or(shown);
            b.reported_status(State::Creating, StateText::Creating(progress), progress);
        }
        (PhaseKind::Ready, StackState::Available | StackState::Changing, Some(login)) => {
            let message = compose::ready(snapshot, login, b.entry.nodes.as_ref());
            b.reported_status(State::Ready, message, None);
        }
        // Another pass is about to report the login address, and may have read the reports before this one was written.
        (PhaseKind::Creating | PhaseKind::Moved, StackState::Available, Some(_)) => b.comes_too_early = true,
        _ => {}
    }
}
