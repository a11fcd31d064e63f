//! What Auto Scaling tells of machines for compute nodes. It is beside the table: it changes nothing but what is told of a cluster
//! that lives, and no other part of a decision hangs on it.

use super::draft::Draft;
use super::{Course, Plan, row};
use crate::facts::Facts;
use crate::ledger::{NodeNews, Phase};
use crate::say::states;
use crate::stack::StackState;
use crate::status::State;

/// Notes the news, and tells them beside the login address. Older news than the last, and the same again, change nothing.
pub fn plan(facts: &Facts<'_>, news: &NodeNews) -> Plan {
    let (row, chosen) = row::read(facts);
    let mut draft = Draft::new(facts, &chosen);
    let lives = matches!(draft.entry.phase, Phase::Creating { .. } | Phase::Ready)
        && facts.stack().is_some_and(|s| matches!(s.status.state(), StackState::Making | StackState::Standing | StackState::Changing));
    let known = draft.entry.nodes.as_ref();
    let is_new = known.is_none_or(|known| known.at <= news.at && known.failure != news.failure);
    // Machines that come are no news unless others did not.
    let says_something = news.failure.is_some() || known.is_some();
    if lives && is_new && says_something {
        draft.entry.nodes = Some(news.clone());
        draft.write_ledger();
        if let (Phase::Ready, Some(login)) = (draft.entry.phase, facts.login()) {
            let message = states::ready(facts, login, draft.entry.nodes.as_ref());
            draft.status(State::Ready, message, None);
        }
    }
    Plan { row, course: Course::Nodes, effects: draft.effects, look_again: false, left_for_watch: false, mails_in_doubt: 0 }
}
