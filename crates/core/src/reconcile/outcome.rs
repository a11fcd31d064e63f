//! How a pass ended, and what it has done: counted by the messages that were written, not by what was planned.

use crate::decide::{Action, Plan};
use crate::effect::Effect;
use crate::fault::Fault;
use crate::ledger::Phase;
use crate::message::Message;
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
    /// Whether the file that the event named was not there any more, or never.
    pub is_without_upload: bool,
    /// How often another pass was quicker.
    pub moves: usize,
    /// Whether it was left to the sweep, because other passes were quicker each time.
    pub is_handed_over: bool,
    /// The fault that ended it, where one did: its event is given back.
    pub fault: Option<Fault>,
}

/// What passes have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that have started a stack.
    pub started: usize,
    /// Creations whose users have their address.
    pub ready: usize,
    /// Creations that ended without one, whatever the reason.
    pub failed: usize,
    /// Clusters whose users, or whose administrator, know that they are gone.
    pub gone: usize,
    /// Removals that failed.
    pub stuck: usize,
    /// Uploads that were answered without any change to a cluster.
    pub refused: usize,
    /// Mails that an earlier pass claimed and may have died before it sent them, while this one has closed what they tell of.
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
        let (was, is_whole) = (snapshot.entry(), done == plan.effects.len());
        let was_making = matches!(was.phase, Phase::Creating { .. });
        for effect in &plan.effects[..done] {
            self.counts.started += usize::from(matches!(effect, Effect::CreateStack(_)));
        }
        // One message that is written beside many uploads tells of one thing.
        let mut messages: Vec<&Message> = plan.effects[..done].iter().filter_map(message).collect();
        messages.sort_by_key(|message| message.name());
        messages.dedup_by_key(|message| message.name());
        for message in messages {
            self.counts.add(message, was_making, matches!(was.phase, Phase::Gone { .. }));
        }
        if is_whole {
            self.counts.mails_in_doubt += plan.mails_in_doubt;
        }
        // Who asks again for what is there has not waited.
        if let (true, true, Action::Announce, Some(accepted)) = (is_whole, was_making, plan.action, &was.accepted) {
            self.ready_seconds = Some(snapshot.now.as_second() - accepted.at.as_second());
        }
        self.plans.push(plan);
    }
}

const fn message(effect: &Effect) -> Option<&Message> {
    if let Effect::WriteAnswer { message, .. } = effect { Some(message) } else { None }
}

impl Counts {
    fn add(&mut self, message: &Message, was_making: bool, was_gone: bool) {
        match message {
            // Said again to who asks again, it tells of nothing new.
            Message::Created { .. } => self.ready += usize::from(was_making),
            Message::NoLogin { .. } => self.failed += usize::from(was_making),
            Message::Failed { .. } | Message::RemovedWhileMade { .. } | Message::Declined { .. } => self.failed += 1,
            // What has the name of an accepted create ends it; of another, nothing was begun.
            Message::Occupied { .. } | Message::Leftover { .. } | Message::Planned { .. } if was_making => self.failed += 1,
            Message::Deleted { .. } | Message::Removed { .. } => self.gone += usize::from(!was_gone),
            Message::Stuck { .. } | Message::Undeletable { .. } => self.stuck += 1,
            Message::Refused { .. }
            | Message::NotRemoved { .. }
            | Message::Differs { .. }
            | Message::Occupied { .. }
            | Message::Leftover { .. }
            | Message::Planned { .. } => self.refused += 1,
            Message::WrongKey(_)
            | Message::LookAlike(_)
            | Message::Withdrawn { .. }
            | Message::Overtaken { .. }
            | Message::NoSuchCluster { .. }
            | Message::ClearedAway { .. } => {}
        }
    }
}
