//! From a course to its effects: one arm a course.

use super::choose::Course;
use super::draft::Draft;
use super::row::{Chosen, CreateAsk, Row};
use super::{Plan, compose, finish, start};
use crate::facts::{Facts, Setback};
use crate::ledger::Phase;
use crate::message::Message;

/// Spells a course out.
pub fn plan(facts: &Facts<'_>, row: Row, course: Course, chosen: &Chosen<'_>) -> Plan {
    let mut draft = Draft::new(facts, chosen);
    if row.create == CreateAsk::Own {
        start::own(&mut draft);
    }
    carry(&mut draft, course);
    draft.remove_left_over();
    Plan { row, course, effects: draft.effects, look_again: draft.look_again, left_for_watch: false, mails_in_doubt: draft.mails_in_doubt }
}

fn carry(d: &mut Draft<'_>, course: Course) {
    let facts = d.facts;
    match course {
        Course::Rest => {
            if d.has_news() {
                d.write_ledger();
            }
        }
        Course::Tidy => finish::tidy(d),
        Course::Crowded => finish::crowded(d),
        Course::Refuse => start::refuse_broken(d),
        Course::Occupied => start::occupied(d),
        Course::Differ => start::differ(d),
        Course::Leftover => start::leftover(d),
        Course::Withdraw => start::withdraw(d),
        Course::Overtake => finish::refuse_delete(d, &Message::Overtaken { cluster: compose::name(facts) }),
        Course::NoSuch => {
            let message = compose::no_such(facts, d.entry.tied.as_ref());
            finish::answer_deletes(d, &message);
        }
        Course::Receipt => finish::answer_deletes(d, &compose::receipt(facts)),
        Course::Start => start::start(d),
        Course::Resume => start::resume(d),
        Course::Follow => start::follow(d),
        Course::Join => start::join(d),
        Course::Announce => start::announce(d),
        Course::Readdress => start::readdress(d),
        Course::Explain => start::explain(d),
        Course::Lost if matches!(d.entry.phase, Phase::Creating { .. }) => start::lost_while_making(d),
        Course::Lost => finish::lost(d),
        Course::Clear => finish::clear(d),
        Course::Cleared => finish::cleared(d),
        Course::Recover => start::recover(d),
        Course::Reap => finish::reap(d),
        Course::Unwish => finish::unwish(d),
        Course::Remove => finish::remove(d),
        Course::Finish => finish::finish(d),
        Course::TellStuck => finish::tell_stuck(d),
        Course::Vanished => start::lost_while_making(d),
        Course::Declined => start::declined(d, &why(facts)),
        Course::Undeletable => finish::undeletable(d, &why(facts)),
        // The table never leads there.
        Course::Nodes => {}
    }
}

/// The words of the call that was refused.
fn why(facts: &Facts<'_>) -> String {
    match &facts.setback {
        Some(Setback::Create(fault) | Setback::Delete(fault)) => fault.why.clone(),
        None => String::new(),
    }
}
