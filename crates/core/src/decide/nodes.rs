//! What Auto Scaling tells of machines for compute nodes. It is beside the table: it changes nothing but what is told of a cluster
//! that lives, and no other part of a decision hangs on it.

use super::draft::Draft;
use super::{Course, Plan, compose, row};
use crate::facts::Facts;
use crate::ledger::{NodeNews, Phase};
use crate::stack::StackState;
use crate::status::State;

/// News that say nothing new are noted so far apart.
const NOTED_SECONDS: i64 = 60;

/// Notes the news, and tells them beside the login address. Older news than the last, and the same again, change nothing.
pub fn plan(facts: &Facts<'_>, news: &NodeNews) -> Plan {
    let (row, chosen) = row::read(facts);
    let mut draft = Draft::new(facts, &chosen);
    let lives = matches!(draft.entry.phase, Phase::Creating { .. } | Phase::Ready)
        && facts.stack().is_some_and(|s| matches!(s.status.state(), StackState::Making | StackState::Standing | StackState::Changing));
    // Events are late and out of order now and then; one of an earlier cluster of the name is not of this one.
    let is_of_this_life = draft.entry.accepted.as_ref().is_some_and(|accepted| accepted.at <= news.at);
    let known = draft.entry.nodes.as_ref();
    let is_later = known.is_none_or(|known| known.at <= news.at);
    let says_something = known.map_or(news.failure.is_some(), |known| known.failure != news.failure);
    // The time is noted though it says nothing new, so that older news do not take its place; of machines that come one after the
    // other, once a minute.
    let is_worth_noting = known.is_none_or(|known| says_something || news.at.as_second() - known.at.as_second() >= NOTED_SECONDS);
    if lives && is_of_this_life && is_later && is_worth_noting {
        draft.entry.nodes = Some(news.clone());
        draft.write_ledger();
        if says_something && let (Phase::Ready, Some(login)) = (draft.entry.phase, facts.login()) {
            let message = compose::ready(facts, login, draft.entry.nodes.as_ref());
            draft.status(State::Ready, message, None);
        }
    }
    Plan { row, course: Course::Nodes, effects: draft.effects, look_again: false, left_for_watch: false, mails_in_doubt: 0 }
}
