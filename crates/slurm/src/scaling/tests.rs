//! Stories of scaling, a pass at a time, on facts made by hand. What happens in any order is in `simulation`.

mod frozen;
mod readings;

use std::collections::BTreeSet;
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;

use super::*;
use crate::group::{Group, Sizes};

const NO_CAPACITY: &str =
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity. Launching EC2 instance failed.";

/// A cluster, its clock, and what a reading would show.
struct Story {
    now: Timestamp,
    policy: Policy,
    book: Book,
    facts: Facts,
    again: Option<Duration>,
}

impl Story {
    fn new(maximum: u32, spot: u32, on_demand: u32) -> Self {
        let sizes = Sizes { maximum, spot, on_demand };
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        let groups = Group::ALL.map(|group| (group, GroupFacts::default())).into();
        let nodes = sizes.all_nodes().map(|node| (node, NodeFacts::default())).collect();
        let policy = Policy { sizes, initial: 0, fixed: false, frozen: false, rules: Rules::default() };
        Self { now, policy, book: Book::default(), facts: Facts { at: now, groups, nodes }, again: None }
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn group(&mut self, group: Group) -> &mut GroupFacts {
        self.facts.groups.get_mut(&group).unwrap()
    }

    fn slurm(&mut self, numbers: impl IntoIterator<Item = u32>, power: Power) -> &mut Self {
        for number in numbers {
            self.facts.nodes.get_mut(&NodeName::of_rank(number)).unwrap().power = power;
        }
        self
    }

    fn resume(&mut self, numbers: impl IntoIterator<Item = u32> + Clone) -> Vec<String> {
        self.slurm(numbers.clone(), Power::Starting);
        self.book.resume(&numbers.into_iter().map(NodeName::of_rank).collect(), &self.policy, self.now);
        self.pass()
    }

    fn fails(&mut self, group: Group, id: &str, message: &str) {
        let (id, message, began) = (id.to_owned(), message.to_owned(), self.now);
        self.group(group).activities.push(Activity { id, began, status: ActivityStatus::Failed, message, machine: None });
    }

    /// A machine is launched and asks.
    fn comes(&mut self, group: Group, id: &str) -> Answer {
        self.group(group).machines.insert(id.to_owned(), Life::Lives);
        self.book.ask(id, group, &self.policy, self.now)
    }

    /// A second later: a reading, the decision, and the simple part of its effects.
    fn pass(&mut self) -> Vec<String> {
        self.later(1);
        self.facts.at = self.now;
        let decision = pass(&self.book, &self.facts, &self.policy, self.now);
        self.book = serde_json::from_str(&serde_json::to_string(&decision.book).unwrap()).unwrap();
        assert_eq!(self.book, decision.book, "the book is what its JSON says");
        self.again = decision.again;
        for effect in &decision.effects {
            self.happens(effect);
        }
        decision.effects.iter().map(ToString::to_string).collect()
    }

    fn happens(&mut self, effect: &Effect) {
        let mut reason = |nodes: &[NodeName], reason: Option<String>| {
            for node in nodes {
                self.facts.nodes.get_mut(node).unwrap().reason.clone_from(&reason);
            }
        };
        match effect {
            Effect::Close { nodes, why } | Effect::Drain { nodes, why } => reason(nodes, Some(format!("{OURS}{why}"))),
            Effect::Open { nodes } | Effect::Reset { nodes } => reason(nodes, None),
            Effect::SetDesired { group, desired } => self.group(*group).desired = *desired,
            Effect::End { group, machine } => {
                let of = self.group(*group);
                of.machines.insert(machine.clone(), Life::Ends);
                of.desired = of.desired.saturating_sub(1);
            }
            Effect::Requeue { .. } | Effect::PowerUp { .. } | Effect::Report(_) => {}
        }
        if let Effect::Reset { nodes } = effect {
            self.slurm(nodes.iter().map(|node| node.rank()), Power::Off);
        }
    }
}

fn node(number: u32) -> Answer {
    Answer::Node(NodeName::of_rank(number))
}

#[test]
fn what_slurm_wants_is_what_the_group_is_asked_for_in_one_call() {
    let mut story = Story::new(100, 100, 100);
    assert_eq!(story.resume(1..=99), ["set the desired capacity of spot to 99"]);
    assert_eq!(story.again, Some(Duration::from_secs(1)));
    assert_eq!(story.pass(), [""; 0], "nothing is asked for twice");
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1));
    assert_eq!(story.comes(Group::Spot, "i-b"), node(2));
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1), "the same machine is the same node");
    assert_eq!(story.comes(Group::OnDemand, "i-c"), Answer::TooLate, "no node on demand is wanted");
    assert_eq!(story.pass(), ["end i-c (on demand)"]);
}

#[test]
fn a_launch_that_fails_is_taken_back_and_reported_and_slurm_gets_the_nodes_on_demand() {
    let mut story = Story::new(4, 3, 2);
    story.resume(1..=2);
    story.comes(Group::Spot, "i-a");
    story.fails(Group::Spot, "a-1", NO_CAPACITY);
    let effects = story.pass();
    assert_eq!(
        effects,
        [
            "set the desired capacity of spot to 1",
            "set compute-2 down: spot had no capacity",
            "set compute-3 down: not tried for a while, because spot had no capacity",
            "report: compute-2: spot had no capacity",
        ]
    );
    assert_eq!(story.pass(), [""; 0], "a failed launch counts once");
    assert_eq!(story.resume([4]), ["set the desired capacity of on demand to 1"]);
    assert_eq!(story.book.fallback(story.policy.sizes).unwrap().to_string(), "1 node on demand, because spot had no capacity");
    // Five minutes later spot is tried again.
    assert_eq!(story.later(5 * 60 - 4).pass(), [""; 0]);
    assert_eq!(story.pass(), ["open compute-3", "reset compute-2"]);
    story.slurm([1], Power::On).pass();
    assert_eq!(story.book.fallback(story.policy.sizes), None, "spot gives machines again");
}

#[test]
fn after_three_failures_of_one_kind_in_a_row_it_rests_for_longer_and_says_so() {
    let mut story = Story::new(2, 2, 0);
    for (round, message) in ["Max spot instance count exceeded.", NO_CAPACITY, NO_CAPACITY].into_iter().enumerate() {
        story.resume([1]);
        story.fails(Group::Spot, &format!("a-{round}"), message);
        assert!(!story.pass().iter().any(|effect| effect.contains("is not tried for 15 minutes")), "round {round}");
        story.later(5 * 60).pass();
    }
    story.resume([1]);
    story.fails(Group::Spot, "a-4", NO_CAPACITY);
    let effects = story.pass();
    let until = story.now + Duration::from_mins(15);
    assert_eq!(
        effects.last().unwrap(),
        &format!("report: spot is not tried for 15 minutes, until {until:.0}: spot had no capacity 3 times in a row")
    );
    assert_eq!(story.pass(), [""; 0]);
    assert_eq!(story.later(15 * 60 - 3).pass(), [""; 0]);
    assert!(story.again.unwrap() <= Duration::from_secs(2), "{:?}", story.again);
    assert_eq!(story.later(1).pass(), ["open compute-2", "reset compute-1"]);
}

#[test]
fn a_launch_that_failed_before_the_request_is_not_its() {
    let mut story = Story::new(2, 2, 0);
    story.fails(Group::Spot, "a-1", NO_CAPACITY);
    story.later(1);
    assert_eq!(story.resume([1]), ["set the desired capacity of spot to 1"]);
    story.later(10);
    assert_eq!(story.pass(), [""; 0]);
}

#[test]
fn a_machine_that_is_launched_is_not_given_up_because_another_was_not() {
    let mut story = Story::new(3, 3, 0);
    story.resume(1..=3);
    story.group(Group::Spot).machines.insert("i-a".into(), Life::Lives);
    story.fails(Group::Spot, "a-1", NO_CAPACITY);
    assert_eq!(story.pass()[..2], ["set the desired capacity of spot to 1", "set compute-[2-3] down: spot had no capacity"]);
    assert_eq!(story.comes(Group::Spot, "i-a"), node(1));
}

#[test]
fn a_launch_that_goes_on_counts_until_its_machine_is_there() {
    let mut story = Story::new(3, 3, 0);
    story.resume(1..=3);
    story.comes(Group::Spot, "i-a");
    for (id, machine) in [("a-1", Some("i-a")), ("a-2", Some("i-b"))] {
        let (id, machine, began) = (id.to_owned(), machine.map(str::to_owned), story.now);
        story.group(Group::Spot).activities.push(Activity { id, began, status: ActivityStatus::Runs, message: String::new(), machine });
    }
    story.fails(Group::Spot, "a-3", NO_CAPACITY);
    assert_eq!(story.pass()[..2], ["set the desired capacity of spot to 2", "set compute-3 down: spot had no capacity"]);
}

#[test]
fn the_sum_of_both_groups_never_passes_the_maximum() {
    let mut story = Story::new(3, 3, 3);
    assert_eq!(story.resume(1..=2), ["set the desired capacity of spot to 2"]);
    assert_eq!(
        story.resume(4..=6),
        ["set the desired capacity of on demand to 1", "set compute-[3,5-6] down: the cluster has its maximum of 3 nodes"]
    );
    story.slurm([5, 6], Power::Off);
    story.comes(Group::Spot, "i-a");
    story.book.suspend(&BTreeSet::from([NodeName::of_rank(1)]), story.now);
    story.slurm([1], Power::Stopping);
    assert_eq!(story.pass(), ["end i-a (spot)", "open compute-[3,5-6]"]);
}

#[test]
fn a_group_that_cannot_be_read_may_have_all_that_it_may_have() {
    let mut story = Story::new(3, 2, 2);
    let spot = story.facts.groups.remove(&Group::Spot).unwrap();
    assert_eq!(story.resume(3..=4), ["set the desired capacity of on demand to 1"], "two may be spot's");
    story.facts.groups.insert(Group::Spot, spot);
    assert_eq!(story.pass(), ["set the desired capacity of on demand to 2"]);
}

#[test]
fn a_node_that_slurm_gives_back_ends_by_its_id_and_a_machine_that_comes_after_it_too() {
    let mut story = Story::new(2, 2, 0);
    story.resume(1..=2);
    story.comes(Group::Spot, "i-a");
    story.book.suspend(&BTreeSet::from([NodeName::of_rank(1), NodeName::of_rank(2)]), story.now);
    story.slurm(1..=2, Power::Stopping);
    story.group(Group::Spot).machines.insert("i-b".into(), Life::Lives);
    assert_eq!(story.pass(), ["end i-a (spot)"], "the capacity is the end's alone to change");
    assert_eq!(story.pass(), [""; 0], "i-b lives, so nothing is lowered below it");
    assert_eq!(story.comes(Group::Spot, "i-b"), Answer::TooLate);
    assert_eq!(story.pass(), ["end i-b (spot)"]);
    assert_eq!(story.group(Group::Spot).desired, 0);
    story.pass();
    assert_eq!(story.pass(), [""; 0]);
    assert_eq!(story.again, None, "nothing is awaited, so nothing is asked");
}

#[test]
fn capacity_that_nobody_wants_any_more_is_withdrawn_before_a_machine_fills_it() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    story.book.suspend(&BTreeSet::from([NodeName::of_rank(1)]), story.now);
    assert_eq!(story.slurm([1], Power::Off).pass(), ["set the desired capacity of spot to 0"]);
}

#[test]
fn a_node_that_never_registers_is_ended_at_its_bound_and_no_moment_earlier() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    story.comes(Group::Spot, "i-a");
    assert_eq!(story.later(15 * 60 - 2).pass(), [""; 0]);
    assert_eq!(
        story.pass(),
        [
            "end i-a (spot)",
            "set compute-1 down: the node did not register with Slurm in time (spot)",
            "set compute-2 down: not tried for a while, because the node did not register with Slurm in time (spot)",
            "report: compute-1: the node did not register with Slurm in time (spot)",
        ]
    );
}

#[test]
fn a_machine_that_never_asks_and_a_launch_that_never_comes_are_given_up() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    story.group(Group::Spot).machines.insert("i-a".into(), Life::Lives);
    story.pass();
    assert_eq!(story.later(8 * 60 - 2).pass(), [""; 0]);
    assert_eq!(
        story.pass()[..2],
        ["end i-a (spot)", "set compute-1 down: the machine started and never reported to the login node (spot)"]
    );
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    assert_eq!(story.later(5 * 60 - 3).pass(), [""; 0]);
    assert_eq!(story.pass()[..2], ["set the desired capacity of spot to 0", "set compute-1 down: no machine was launched in time (spot)"]);
}

#[test]
fn a_spot_node_that_ec2_takes_back_is_drained_its_jobs_start_elsewhere_and_its_replacement_gets_its_name() {
    let mut story = Story::new(2, 2, 0);
    story.resume([1]);
    story.comes(Group::Spot, "i-a");
    story.slurm([1], Power::On).pass();
    assert_eq!(story.book.interrupted("i-a"), Some(NodeName::of_rank(1)));
    assert_eq!(story.book.interrupted("i-none"), None);
    assert_eq!(
        story.pass(),
        [
            "drain compute-1: EC2 takes this spot machine back within two minutes",
            "report: compute-1: EC2 takes this spot machine back; its jobs start again elsewhere",
            "requeue the jobs on compute-1",
        ]
    );
    story.group(Group::Spot).machines.clear();
    assert_eq!(story.later(120).pass(), ["report: compute-1 lost its machine; its group replaces it if Slurm still wants the node"]);
    assert_eq!(story.comes(Group::Spot, "i-b"), node(1));
    assert_eq!(story.pass(), ["open compute-1"]);
}

#[test]
fn initial_nodes_start_once_and_a_fixed_size_stays() {
    let mut story = Story::new(3, 2, 3);
    story.policy.initial = 3;
    assert_eq!(story.pass(), ["power up compute-[1-3]"]);
    assert_eq!(story.pass(), ["power up compute-[1-3]"], "until Slurm shows that it has heard");
    story.resume(1..=3);
    for (group, id) in [(Group::Spot, "i-a"), (Group::Spot, "i-b"), (Group::OnDemand, "i-c")] {
        story.comes(group, id);
    }
    story.slurm(1..=3, Power::On).pass();
    story.book.suspend(&BTreeSet::from([NodeName::of_rank(1)]), story.now);
    let initial = story.slurm([1], Power::Off).pass();
    assert!(!initial.iter().any(|effect| effect.starts_with("power up")), "a start is no floor: {initial:?}");

    story.policy.fixed = true;
    assert!(story.pass().contains(&"power up compute-1".to_owned()));
}

#[test]
fn initial_nodes_that_do_not_come_are_not_started_hours_later() {
    let mut story = Story::new(1, 1, 0);
    story.policy.initial = 1;
    story.pass();
    assert_eq!(story.later(30 * 60 - 2).pass(), ["power up compute-1"]);
    assert_eq!(story.pass(), [""; 0]);
}

#[test]
fn what_is_awaited_is_read_less_and_less_often_up_to_half_a_minute() {
    let mut story = Story::new(1, 1, 0);
    story.resume([1]);
    let mut waits = vec![story.again.unwrap().as_secs()];
    for _ in 0..6 {
        story.pass();
        waits.push(story.again.unwrap().as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    story.comes(Group::Spot, "i-a");
    story.pass();
    assert_eq!(story.again, Some(Duration::from_secs(2)), "something has happened");
}

#[test]
fn a_book_that_was_lost_is_written_anew_by_the_members() {
    let mut story = Story::new(2, 2, 0);
    story.group(Group::Spot).machines.insert("i-a".into(), Life::Lives);
    story.group(Group::Spot).desired = 1;
    story.slurm([2], Power::On);
    story.book.adopt("i-a", NodeName::of_rank(2), &story.policy, story.now);
    assert_eq!(story.pass(), [""; 0]);
    assert_eq!(story.comes(Group::Spot, "i-a"), node(2));
    story.book.adopt("i-a", NodeName::of_rank(1), &story.policy, story.now);
    assert_eq!(story.comes(Group::Spot, "i-a"), node(2), "one that knows better is not changed");
}

#[test]
fn effects_on_slurm_are_calls_of_scontrol() {
    let nodes = vec![NodeName::of_rank(2), NodeName::of_rank(1)];
    let close = Effect::Close { nodes: nodes.clone(), why: Closed::Full { maximum: 4 } };
    let reason = "Reason=clusterdrop: the cluster has its maximum of 4 nodes";
    assert_eq!(close.scontrol().unwrap(), ["update", "NodeName=compute-[1-2]", "State=DOWN", reason]);
    assert_eq!(Effect::Open { nodes: nodes.clone() }.scontrol().unwrap(), ["update", "NodeName=compute-[1-2]", "State=RESUME"]);
    assert_eq!(Effect::Requeue { nodes }.scontrol(), None);
}
