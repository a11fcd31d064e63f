//! What was read of Slurm and of the machines against what was asked for meanwhile.

use super::*;

#[test]
fn a_node_that_somebody_has_set_down_by_hand_is_left_alone() {
    let mut story = Story::new(1, 2, 0);
    story.facts.nodes.get_mut(&NodeName::of_rank(2)).unwrap().reason = Some("alice: disk".into());
    assert_eq!(story.resume([1]), ["set the desired capacity of spot to 1"], "compute-2 is not closed a second time");
    story.slurm([1], Power::Off).later(1);
    assert_eq!(story.pass(), ["set the desired capacity of spot to 0"], "nor opened");
}

#[test]
fn a_call_that_nobody_heard_is_read_from_slurm() {
    let mut story = Story::new(2, 2, 0);
    assert_eq!(story.slurm([1], Power::Starting).pass(), ["set the desired capacity of spot to 1"]);
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1));
    assert_eq!(story.slurm([1], Power::Off).later(1).pass(), ["end i-a (spot)"]);
}

#[test]
fn a_reading_that_began_before_slurm_called_does_not_count_against_the_call() {
    let mut story = Story::new(2, 2, 0);
    story.later(1);
    let before = Facts { at: story.now, ..story.facts.clone() };
    story.later(1);
    story.book.resume(&BTreeSet::from([NodeName::of_rank(1)]), &story.policy, story.now);
    let decision = pass(&story.book, &before, &story.policy, story.now);
    assert_eq!(decision.effects, [Effect::SetDesired { group: Group::Spot, desired: 1 }]);
}

#[test]
fn a_machine_that_asked_after_the_reading_began_is_not_lost_by_it() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    story.later(1);
    let before = Facts { at: story.now, ..story.facts.clone() };
    story.later(1);
    story.comes(Group::Spot, "i-a");
    let decision = pass(&story.book, &before, &story.policy, story.now);
    assert_eq!(decision.effects, []);
    story.book = decision.book;
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1));
    assert_eq!(story.book.machines().count(), 1);
    let place = Place::Node { name: NodeName::of_rank(1), up: false, interrupted: false };
    assert_eq!(story.book.machines().next(), Some(("i-a", Group::Spot, &place)));
}

#[test]
fn machines_that_do_not_exist_take_no_name_for_long_and_do_not_fill_the_book() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    assert_eq!(story.book.ask("i-0", Group::Spot, &story.policy, story.now), node(1));
    for number in 1..10_000 {
        assert_eq!(story.book.ask(&format!("i-{number}"), Group::Spot, &story.policy, story.now), Answer::TooLate);
    }
    assert_eq!(story.book.machines().count(), 4_000);
    assert_eq!(story.pass(), ["report: compute-1 lost its machine; its group replaces it if Slurm still wants the node"]);
    assert_eq!(story.book.machines().count(), 0);
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1));
}

#[test]
fn a_node_whose_machine_is_gone_is_down_before_the_next_machine_is_it_so_that_its_jobs_start_again() {
    let mut story = Story::new(1, 1, 0);
    story.resume([1]);
    story.comes(Group::Spot, "i-a");
    story.slurm([1], Power::On).pass();
    // The group replaces it within seconds: Slurm has not missed the node, and believes that its jobs run.
    story.group(Group::Spot).machines.remove("i-a");
    let lost = "set compute-1 down: its machine is gone";
    assert!(story.later(1).pass().iter().any(|effect| effect == lost));
    assert_eq!(story.later(1).pass(), [""; 0], "Slurm shows it");
    assert_eq!(story.comes(Group::Spot, "i-b"), node(1));
    assert_eq!(story.later(1).pass(), [""; 0], "it is opened by its registration, not before");
    story.facts.nodes.get_mut(&NodeName::of_rank(1)).unwrap().reason = None;
    assert_eq!(story.later(1).pass(), [""; 0]);
    assert!(story.book.is_up(NodeName::of_rank(1)));
}

#[test]
fn a_machine_that_registers_and_is_gone_between_two_readings_is_lost_and_one_that_never_registered_is_not() {
    for (power, closes) in [(Power::On, true), (Power::Silent, true), (Power::Starting, false)] {
        let mut story = Story::new(1, 1, 0);
        story.resume([1]);
        story.comes(Group::Spot, "i-a");
        story.group(Group::Spot).machines.remove("i-a");
        let effects = story.slurm([1], power).later(1).pass();
        assert_eq!(effects.contains(&"set compute-1 down: its machine is gone".to_owned()), closes, "{power:?}: {effects:?}");
    }
}
