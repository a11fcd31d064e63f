//! A cluster whose size root has frozen.

use super::*;

#[test]
fn a_frozen_cluster_keeps_what_runs_starts_and_ends_nothing_and_closes_the_rest() {
    let mut story = Story::new(3, 3, 0);
    story.resume([1, 2]);
    story.comes(Group::Spot, "i-a");
    story.comes(Group::Spot, "i-b");
    story.slurm([1, 2], Power::On).pass();
    story.policy.frozen = true;
    let closed = "autoscaling is disabled; `cf-node autoscaling enable` on the login node enables it";
    assert_eq!(story.pass(), [format!("set compute-3 down: {closed}")]);
    assert_eq!(story.resume([3]), [""; 0], "what Slurm calls for is not started");
    story.slurm([3], Power::Off);
    // Slurm ends one that was idle when the size was frozen.
    let now = story.now;
    story.slurm([1], Power::Stopping).book.suspend(&BTreeSet::from([NodeName::of_rank(1)]), now);
    assert_eq!(story.pass(), [""; 0]);
    story.slurm([1], Power::Off);
    assert_eq!(story.pass(), [format!("set compute-1 down: {closed}")], "its machine stays");
    for _ in 0..3 {
        story.pass();
    }
    assert_eq!(story.again, None, "and nothing is awaited");
    story.policy.frozen = false;
    assert_eq!(story.pass(), ["end i-a (spot)", "open compute-[1,3]"]);
}

#[test]
fn a_frozen_cluster_withdraws_capacity_that_no_machine_fills_and_takes_a_replacement() {
    let mut story = Story::new(3, 3, 0);
    story.resume([1, 2]);
    story.comes(Group::Spot, "i-a");
    story.slurm([1], Power::On).pass();
    story.policy.frozen = true;
    story.fails(Group::Spot, "a-1", NO_CAPACITY);
    assert_eq!(story.pass()[0], "set the desired capacity of spot to 1");
    story.group(Group::Spot).machines.remove("i-a");
    story.slurm([1], Power::Silent).later(60).pass();
    assert_eq!(story.comes(Group::Spot, "i-b"), node(1), "its group has replaced the machine");
    story.slurm([1], Power::On);
    assert_eq!(story.pass(), [""; 0]);
}

#[test]
fn a_book_that_was_lost_while_the_size_was_frozen_takes_the_nodes_that_run() {
    let mut story = Story::new(3, 3, 0);
    story.policy.frozen = true;
    story.slurm([1], Power::On);
    story.book.adopt("i-a", NodeName::of_rank(1), &story.policy, story.now);
    story.group(Group::Spot).machines.insert("i-a".into(), Life::Lives);
    story.group(Group::Spot).desired = 1;
    assert_eq!(story.pass().len(), 1, "the others are closed");
    assert_eq!(story.book.wanted().collect::<Vec<_>>(), [NodeName::of_rank(1)]);
}
