//! What Auto Scaling reports of instances for compute nodes. It is beside the table: it changes nothing but the status file of a
//! cluster that lives, and no other part of a decision depends on it.

use super::super::builder::Builder;
use super::super::compose;
use crate::ledger::{NodeNews, Phase};
use crate::stack::StackState;
use crate::status::State;

/// News that say nothing new are noted so far apart.
const NOTED_SECONDS: i64 = 60;

/// Notes the news, and reports them beside the login address. Older news than the last, and the same again, change nothing.
pub fn note_nodes(b: &mut Builder<'_>, news: &NodeNews) {
    let lives = matches!(b.entry.phase, Phase::Creating { .. } | Phase::Ready)
        && b.snapshot
            .stack()
            .is_some_and(|s| matches!(s.status.state(), StackState::Creating | StackState::Available | StackState::Changing));
    // Events are late and out of order now and then; one of an earlier cluster of the name is not of this one.
    let is_of_this_life = b.entry.accepted.as_ref().is_some_and(|accepted| accepted.at <= news.at);
    let known = b.entry.nodes.as_ref();
    let is_later = known.is_none_or(|known| known.at <= news.at);
    let says_something = known.map_or(news.failure.is_some(), |known| known.failure != news.failure);
    // The time is noted though it says nothing new, so that older news do not take its place; of instances that come one after the
    // other, once a minute.
    let is_worth_noting = known.is_none_or(|known| says_something || news.at.as_second() - known.at.as_second() >= NOTED_SECONDS);
    if !(lives && is_of_this_life && is_later && is_worth_noting) {
        return;
    }
    b.entry.nodes = Some(news.clone());
    b.write_ledger();
    if says_something && let (Phase::Ready, Some(login)) = (b.entry.phase, b.snapshot.login()) {
        let message = compose::ready(b.snapshot, login, b.entry.nodes.as_ref());
        b.status(State::Ready, message, None);
    }
}
