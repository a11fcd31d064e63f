//! From what was seen to what to do: pure and total. No clock, no environment, no randomness, no waiting.
//!
//! [`mod@triage`] sorts the uploads and answers those that can change nothing. What is left competes to decide what happens to
//! the cluster: with phase and stack it is a [`Row`], the [`table`] names the one [`Action`] for it, and `action` builds its
//! effects. One action at a time: where more than one upload wants something, the plan ends in another round.

mod action;
mod builder;
mod change;
mod compose;
pub mod state;
pub mod table;
pub mod triage;

use std::fmt;

use builder::Builder;
pub use change::Change;
pub use state::{Row, Situation};
pub use table::{Action, choose};
use triage::{Create, Triage, triage};

use crate::effect::Effect;
use crate::ledger::{Entry, NodeNews};
use crate::settings::Function;
use crate::snapshot::{ObservedStack, Refusal, Snapshot};

/// What to do, in order; a failed effect stops the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the snapshot comes to: a row of the table, or what triage found.
    pub situation: Situation,
    /// Why these effects.
    pub action: Action,
    /// What the ledger's entry becomes.
    pub change: Change,
    /// What to do.
    pub effects: Vec<Effect>,
    /// Whether to look again at once: more uploads wait, or the action has a second step.
    pub look_again: bool,
    /// What this function may not do was cut off; cf-watch finds it on the ledger.
    pub left_for_watch: bool,
    /// Mails that were claimed by an earlier pass, which may have died before it sent them.
    pub mails_in_doubt: usize,
    /// Whether what the nodes report is to be shown, and was shown so short a time ago that it waits.
    pub comes_too_early: bool,
}

/// Decides. Total over everything that can be seen.
pub fn decide(snapshot: &Snapshot<'_>) -> Plan {
    let triage = triage(snapshot);
    plan(snapshot, &triage, |b| {
        if let Triage::Contenders(contenders) = &triage
            && matches!(contenders.create, Create::Own(_))
        {
            action::own(b);
        }
        let answered = refusal(snapshot).is_none().then(|| action::answer(b, &triage)).flatten();
        let action = answered.unwrap_or_else(|| or_reports(b, action_of(snapshot, &triage)));
        if answered.is_none() {
            action::build(b, action);
        }
        b.remove_left_over();
        action
    })
}

/// Decides what to report of instances for compute nodes.
pub fn decide_nodes(snapshot: &Snapshot<'_>, news: &NodeNews) -> Plan {
    plan(snapshot, &triage(snapshot), |b| {
        action::note_nodes(b, news);
        Action::NoteNodes
    })
}

/// Decides what to show of the nodes' reports. The plan holds a status file, or nothing.
pub fn decide_reports(snapshot: &Snapshot<'_>) -> Plan {
    plan(snapshot, &triage(snapshot), |b| {
        action::note_reports(b);
        Action::NoteReports
    })
}

fn plan(snapshot: &Snapshot<'_>, triage: &Triage<'_>, build: impl FnOnce(&mut Builder<'_>) -> Action) -> Plan {
    let mut b = Builder::new(snapshot, triage);
    let action = build(&mut b);
    let Builder { effects, look_again, mails_in_doubt, comes_too_early, .. } = b;
    let situation = Situation::of(snapshot, triage);
    let change = Change::default();
    let plan = Plan { situation, action, change, effects, look_again, left_for_watch: false, mails_in_doubt, comes_too_early };
    let plan = plan.within(snapshot.settings.function);
    Plan { change: Change::between(&snapshot.entry(), plan.entry(snapshot).as_ref()), ..plan }
}

fn action_of(snapshot: &Snapshot<'_>, triage: &Triage<'_>) -> Action {
    if let Some(refusal) = refusal(snapshot) {
        return table::after(refusal, state::phase(snapshot, &snapshot.entry()), state::stack(snapshot));
    }
    Situation::of(snapshot, triage).row().map_or(Action::Wait, |row| choose(&row))
}

/// Where nothing else is to be done, what the nodes report is shown, if a pass that could not read it has left it out.
fn or_reports(b: &Builder<'_>, action: Action) -> Action {
    if action == Action::Wait && b.entry.reports_owed && b.snapshot.reports.read().is_some() { Action::NoteReports } else { action }
}

/// The refused call that decides. AWS may say that a token was used before while the stack that it has made lives. So that counts
/// only where no stack is seen; one that is seen decides.
fn refusal<'f>(snapshot: &'f Snapshot<'_>) -> Option<&'f Refusal> {
    snapshot.refusal.as_ref().filter(|refusal| !refusal.is_token_used() || snapshot.stack == ObservedStack::Absent)
}

impl Plan {
    /// The entry that the plan leaves in the ledger; `None` where it writes none.
    fn entry(&self, snapshot: &Snapshot<'_>) -> Option<Entry> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::WriteLedger { ledger, .. } => Some(ledger.entry(&snapshot.cluster.name)),
            _ => None,
        })
    }

    /// The plan as far as a function may go. What comes after the first forbidden effect is left on the ledger.
    fn within(mut self, function: Function) -> Self {
        let forbidden = |effect: &Effect| effect.right().is_some_and(|right| !function.may(right));
        if let Some(first) = self.effects.iter().position(forbidden) {
            self.effects.truncate(first);
            self.look_again = false;
            self.left_for_watch = true;
        }
        self
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {:?}\n  ledger: {}", self.situation, self.action, self.change)?;
        for effect in &self.effects {
            write!(f, "\n  {effect}")?;
        }
        if self.look_again {
            write!(f, "\n  then look again")?;
        }
        if self.left_for_watch {
            write!(f, "\n  the rest is left for cf-watch")?;
        }
        Ok(())
    }
}
