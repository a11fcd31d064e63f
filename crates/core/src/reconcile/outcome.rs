//! How a pass ended, and what it has done: counted once the ledger says so, not when it was planned.

use crate::decide::{Action, Plan};
use crate::effect::Effect;
use crate::fault::Fault;
use crate::ledger::Phase;
use crate::snapshot::Snapshot;

/// How a pass ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Every plan, in order, also one that was broken off. As it prints, it is the log line.
    pub plans: Vec<Plan>,
    /// What was done of them.
    pub counts: Counts,
    /// Mails that SES would not take, in its words.
    pub mails_lost: Vec<String>,
    /// Lists of a stack that could not be read; the pass went on without them.
    pub lists_unread: Vec<String>,
    /// Seconds from the acceptance of a create to its address, where that was given now.
    pub ready_seconds: Option<i64>,
    /// Whether the first snapshot did not show the file that the event named.
    pub is_without_upload: bool,
    /// Conflicts of this pass: writes of other passes, and files replaced while observing.
    pub conflicts: usize,
    /// Whether it was left to the sweep, because of too many conflicts or rounds, or because its time was over.
    pub is_handed_over: bool,
    /// Objects beside nodes' reports that were ignored, in the last look.
    pub reports_ignored: usize,
    /// The fault that ended it, where one did: its event is given back.
    pub fault: Option<Fault>,
}

/// What passes have done. An accepted create is counted by the pass that wrote it on the ledger, all else by the pass whose
/// write of the ledger closed it. A repeated or concurrent
/// pass fails that conditional write and counts nothing; if its response is lost, the action is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Creates that were accepted.
    pub started: usize,
    /// Creations whose users have their address.
    pub ready: usize,
    /// Creations that ended without one, whatever the reason.
    pub failed: usize,
    /// Clusters that are gone, by a delete or by other means.
    pub gone: usize,
    /// Removals that failed.
    pub stuck: usize,
    /// Uploads that were refused.
    pub refused: usize,
    /// Mails that an earlier pass claimed and may have died before it sent them, while this one has closed what they report.
    pub mails_in_doubt: usize,
}

impl Outcome {
    /// The actions taken, in order.
    pub fn actions(&self) -> impl Iterator<Item = Action> {
        self.plans.iter().map(|plan| plan.action)
    }

    /// Whether something was left on the ledger for cf-watch.
    pub fn left_for_watch(&self) -> bool {
        self.plans.iter().any(|plan| plan.left_for_watch)
    }

    /// Takes down a plan of which the first `done` effects were carried out.
    pub(super) fn note(&mut self, snapshot: &Snapshot<'_>, plan: Plan, done: usize) {
        let was = snapshot.entry();
        let was_making = matches!(was.phase, Phase::Creating { .. });
        let is_write = |effect: &Effect| matches!(effect, Effect::WriteLedger { .. });
        // A create is accepted by the first write of its plan; all else is closed by the last.
        let accepts = plan.action == Action::Start && plan.effects[..done].iter().any(is_write);
        self.counts.started += usize::from(accepts);
        if plan.effects.iter().rposition(is_write).is_some_and(|last| last < done) {
            self.counts.add(plan.action, was.phase);
            self.counts.mails_in_doubt += plan.mails_in_doubt;
            // Who asks again for what is there has not waited.
            if let (true, Action::Announce, Some(accepted)) = (was_making, plan.action, &was.accepted) {
                self.ready_seconds = Some(snapshot.now.as_second() - accepted.at.as_second());
            }
        }
        self.plans.push(plan);
    }
}

impl Counts {
    /// An action whose plan was closed, in this phase. By the action, because some have nobody left who could be answered.
    fn add(&mut self, action: Action, was: Phase) {
        let was_making = matches!(was, Phase::Creating { .. });
        match action {
            // Reported again to who asks again, it is nothing new.
            Action::Announce => self.ready += usize::from(was_making),
            Action::AnnounceNoLogin => self.failed += usize::from(was_making),
            Action::ReportRollback | Action::ReportFailure => self.failed += usize::from(was != Phase::Failing),
            Action::ReportDeclined | Action::ReportLostCreation | Action::FailOccupied | Action::FailBlocked => self.failed += 1,
            Action::FailUndeletable => (self.failed, self.stuck) = (self.failed + 1, self.stuck + 1),
            Action::ReportDeleted | Action::ReportDeletedByOthers => self.gone += 1,
            Action::ReportStuck | Action::ReportUndeletable | Action::KeepUndeletable => self.stuck += 1,
            Action::RefuseInvalid
            | Action::RefuseTooMany
            | Action::RefuseOccupied
            | Action::RefuseDiffering
            | Action::RefuseLeftover
            | Action::RefusePlanned => self.refused += 1,
            Action::Wait
            | Action::RemoveSettled
            | Action::AnswerAside
            | Action::AnswerSupersededCreate
            | Action::AnswerSupersededDelete
            | Action::AnswerNoSuch
            | Action::AnswerGone
            | Action::Start
            | Action::Resume
            | Action::FollowCreation
            | Action::FollowDelete
            | Action::Join
            | Action::JoinDelete
            | Action::Recover
            | Action::Readdress
            | Action::WithdrawAddress
            | Action::DeleteFailedStack
            | Action::AwaitRollback
            | Action::CloseFailed
            | Action::DeleteLateStack
            | Action::CancelStart
            | Action::Delete
            | Action::DeleteLater
            | Action::DeleteAgain
            | Action::NoteNodes
            | Action::NoteReports => {}
        }
    }
}
