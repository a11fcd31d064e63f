//! The agent's decisions under seeded worlds: which machine is which node, and what a boot does next. Requests and answers are lost, late
//! or doubled; agents end between any two steps; machines come, go and reboot. An oracle looks at each step, and bugs are planted to
//! show that it sees them.

mod agent_world;

use agent_world::assignment::{self, Numbers};
use agent_world::boot::{self, Boots};

#[test]
fn no_rule_of_the_numbers_is_broken_in_five_hundred_worlds() {
    let mut totals = (0, 0, 0);
    for seed in 0..500 {
        let mut world = Numbers::new(seed, None);
        world.run().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        totals = (totals.0 + world.answered, totals.1 + world.replaced, totals.2 + world.crashes);
    }
    println!("{totals:?}");
    // The worlds hold what they are made for.
    assert!(totals.0 > 3_000 && totals.1 > 500 && totals.2 > 500, "{totals:?}");
}

fn numbers_see(bug: assignment::Bug, expected: &str) {
    let broken = (0..500).find_map(|seed| Numbers::new(seed, Some(bug)).run().err()).expect("the planted bug was not seen");
    assert!(broken.contains(expected), "{broken}");
}

#[test]
fn an_answer_before_the_disk_has_it_is_seen() {
    numbers_see(assignment::Bug::AnswersBeforeWrite, "was given away");
}

#[test]
fn a_book_that_a_crash_takes_is_seen() {
    numbers_see(assignment::Bug::ForgetsAtCrash, "was given away");
}

#[test]
fn a_number_that_is_taken_from_a_member_is_seen() {
    numbers_see(assignment::Bug::IgnoresMembers, "was given away");
}

#[test]
fn a_number_that_is_taken_a_moment_too_early_is_seen() {
    numbers_see(assignment::Bug::TakesEarly, "was given away");
}

#[test]
fn no_rule_of_the_boot_is_broken_in_a_thousand_lives() {
    let (mut totals, mut given_up) = ((0, 0, 0, 0), 0);
    for seed in 0..1_000 {
        let mut world = Boots::new(seed, None);
        world.run().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        totals = (totals.0 + world.ready, totals.1 + world.failed, totals.2 + world.crashes, totals.3 + world.fails);
        given_up += world.given_up;
    }
    println!("{totals:?} {given_up}");
    assert!(totals.0 > 500 && totals.1 > 100 && totals.2 > 1_000 && totals.3 > 100 && given_up > 30, "{totals:?} {given_up}");
}

fn boots_see(bug: boot::Bug, expected: &str) {
    let broken = (0..1_000).find_map(|seed| Boots::new(seed, Some(bug)).run().err()).expect("the planted bug was not seen");
    assert!(broken.contains(expected), "{broken}");
}

#[test]
fn a_mark_that_is_written_before_its_event_is_seen() {
    boots_see(boot::Bug::MarksBeforeRun, "never ran to its end");
}

#[test]
fn a_signal_before_the_report_is_seen() {
    boots_see(boot::Bug::SignalsBeforeReport, "before its report");
}

#[test]
fn a_search_whose_time_counts_scripts_is_seen() {
    boots_see(boot::Bug::CountsScripts, "too early");
}

#[test]
fn a_first_boot_that_a_restart_forgets_is_seen() {
    boots_see(boot::Bug::ForgetsFirstBoot, "first boot");
}

#[test]
fn a_second_signal_is_seen() {
    boots_see(boot::Bug::ForgetsSignal, "signalled again");
}

#[test]
fn ends_of_the_agent_that_are_forgotten_are_seen() {
    boots_see(boot::Bug::ForgetsCrashes, "what ended its agent again and again");
}

#[test]
fn an_end_that_the_agent_chose_and_that_is_counted_is_seen() {
    boots_see(boot::Bug::CountsChosenEnds, "are counted");
}
