//! From what was seen to what to do: pure and total. No clock, no environment, no randomness, no waiting.
//!
//! A look is read into a [`Row`] (create × delete × phase × stack), the table in [`choose`](mod@choose) names the one
//! [`Course`] for it, and [`build`](mod@build) spells the course out as effects. One course at a time: where more than
//! one upload wants something, the plan ends in another look.

pub mod build;
pub mod choose;
mod compose;
mod draft;
mod finish;
mod nodes;
pub mod row;
mod start;

use std::fmt;

pub use choose::{Course, choose};
pub use row::Row;

use crate::effect::Effect;
use crate::facts::{Facts, StackSeen};
use crate::ledger::NodeNews;
use crate::site::Powers;

/// What to do, in order; a failed effect stops the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The row of the table that was met, for the log.
    pub row: Row,
    /// Why these effects.
    pub course: Course,
    /// What to do.
    pub effects: Vec<Effect>,
    /// Whether to look again at once: more uploads wait, or the course has a second step.
    pub look_again: bool,
    /// What this function may not do was cut off; cf-watch finds it on the ledger.
    pub left_for_watch: bool,
    /// Mails that were claimed by an earlier pass, which may have died before it sent them.
    pub mails_in_doubt: usize,
}

/// Decides. Total over everything that can be seen.
pub fn decide(facts: &Facts<'_>) -> Plan {
    let (row, chosen) = row::read(facts);
    build::plan(facts, row, course_of(facts, row), &chosen).within(facts.site.powers)
}

/// Decides what to tell of machines for compute nodes.
pub fn decide_nodes(facts: &Facts<'_>, news: &NodeNews) -> Plan {
    nodes::plan(facts, news).within(facts.site.powers)
}

/// The course that these facts lead to, so that only what it needs is read on top of them.
pub fn course(facts: &Facts<'_>) -> Course {
    course_of(facts, row::read(facts).0)
}

fn course_of(facts: &Facts<'_>, row: Row) -> Course {
    match &facts.setback {
        // AWS may say that a token was used before while the stack that it has made lives. So that counts only where no stack
        // is seen; one that is seen decides.
        Some(setback) if setback.is_spent() && facts.stack != StackSeen::Absent => choose(&row),
        Some(setback) => choose::after(setback),
        None => choose(&row),
    }
}

impl Plan {
    /// The plan as far as a function may go. What comes after the first forbidden effect is left on the ledger.
    fn within(mut self, powers: Powers) -> Self {
        let forbidden = |effect: &Effect| match effect {
            Effect::CreateStack(_) => !powers.create,
            Effect::DeleteStack { .. } => !powers.delete,
            Effect::WriteLedger { .. }
            | Effect::WriteStatus { .. }
            | Effect::WriteAnswer { .. }
            | Effect::RemoveAnswer { .. }
            | Effect::RemoveUpload { .. }
            | Effect::SendMail(_)
            | Effect::WriteSeen(_)
            | Effect::WriteFirstHour { .. }
            | Effect::WriteProbe => false,
        };
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
        write!(f, "{} -> {:?}", self.row, self.course)?;
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
