//! The runs.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::oracle::{broken, leaves};
use super::planted::{self, Bug};
use super::world::{CALM, Faults, LOSSY, WILD, World};
use crate::members::{Change, Member};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("CF_MEMBERS_SEEDS").ok().and_then(|count| count.parse().ok());
    0..wanted.unwrap_or(usual)
}

/// A cluster of so many nodes that know each other.
fn cluster(seed: u64, size: u32) -> World {
    let mut world = World::new(seed);
    for rank in 0..size {
        world.start(rank, World::address(rank), &[]);
        world.run(Duration::from_millis(20));
    }
    let took = world.run_until(seconds(300), World::agrees);
    assert!(took.is_some(), "seed {seed}: {size} nodes did not find each other");
    world
}

/// Members come and go, the network does its worst; then all is calm, and every living node lists exactly the living ones.
fn disturb(seed: u64, size: u32, faults: Faults) -> (World, Result<Duration, String>) {
    let mut world = cluster(seed, size);
    world.faults = faults;
    let mut moved: u32 = 0;
    for _ in 0..15 {
        let rank = world.random.random_range(1..size);
        let at = world.nodes.keys().copied().find(|at| rank_at(&world, *at) == Some(rank));
        match (at, world.random.random_range(0..10)) {
            (Some(at), 0..3) => world.kill(at),
            (Some(at), 3..5) => world.leave(at),
            // A reboot: dead for a moment or for longer, then the same name and address.
            (Some(at), 5..7) => {
                world.kill(at);
                let pause = world.random.random_range(0..12);
                world.run(seconds(pause));
                world.start(rank, at, &[]);
            }
            // The name goes to another machine.
            (None, _) => {
                moved += 1;
                world.start(rank, World::address(1_000 + moved), &[]);
            }
            // A partition, for up to a minute.
            (Some(_), 7) => {
                let ends: Vec<SocketAddr> = world.nodes.keys().copied().collect();
                for end in ends {
                    let cut_off = world.random.random_bool(0.4);
                    if let Some(node) = world.nodes.get_mut(&end) {
                        node.side = u8::from(cut_off);
                    }
                }
                let length = world.random.random_range(1..60);
                world.run(seconds(length));
                world.nodes.values_mut().for_each(|node| node.side = 0);
            }
            _ => {}
        }
        let pause = world.random.random_range(0..15);
        world.run(seconds(pause));
    }
    world.faults = CALM;
    // Replays and late ones of the bad time still come.
    world.run(seconds(60));
    let took = world.run_until(seconds(240), World::agrees);
    let problems = broken(&world);
    let result = match took {
        Some(took) if problems.is_empty() => Ok(took),
        Some(_) => Err(problems.join("\n")),
        None => Err(format!("the lists do not agree: {}", lists(&world))),
    };
    (world, result)
}

fn rank_at(world: &World, at: SocketAddr) -> Option<u32> {
    world.nodes.get(&at).map(|node| node.gossip.identity().name().rank())
}

fn lists(world: &World) -> String {
    let living = world.nodes.len();
    let wrong = world.nodes.values().filter(|node| node.gossip.members().count() != living);
    let shown: Vec<String> = wrong
        .take(5)
        .map(|node| format!("{} lists {} of {living}", node.gossip.identity().name(), node.gossip.members().count()))
        .collect();
    shown.join(", ")
}

#[test]
fn after_the_worst_every_living_node_lists_exactly_the_living_ones() {
    for seed in seeds(12) {
        let (world, result) = disturb(seed, 12, WILD);
        assert!(result.is_ok(), "seed {seed}: {}", result.unwrap_err());
        let refused = world.refusals();
        assert!(refused.len() >= 3, "seed {seed}: the faults were none: {refused:?}");
    }
}

#[test]
fn sixty_nodes_agree_after_the_worst() {
    let (_, result) = disturb(1, 60, WILD);
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

#[test]
#[ignore = "takes most of a minute of processor time"]
fn two_hundred_nodes_agree_after_the_worst() {
    let (_, result) = disturb(1, 200, WILD);
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

#[test]
fn a_window_that_accepts_replays_is_caught() {
    let caught =
        (0..3).filter(|seed| planted::with(Bug::ReplayAccepted, || disturb(*seed, 12, WILD).1).is_err_and(|told| told.contains("twice")));
    assert_eq!(caught.count(), 3);
}

#[test]
fn a_change_that_is_reported_twice_is_caught() {
    let caught =
        (0..3).filter(|seed| planted::with(Bug::ReportedTwice, || disturb(*seed, 12, LOSSY).1).is_err_and(|told| told.contains("twice")));
    assert_eq!(caught.count(), 3);
}

#[test]
fn generations_that_do_not_count_are_caught() {
    let caught = (0..2).filter(|seed| planted::with(Bug::GenerationIgnored, || disturb(*seed, 12, LOSSY).1).is_err());
    assert_eq!(caught.count(), 2);
}

#[test]
fn two_hundred_nodes_that_start_at_once_find_each_other() {
    let mut world = World::new(1);
    world.faults = LOSSY;
    for rank in 0..200 {
        world.start(rank, World::address(rank), &[]);
    }
    let took = world.run_until(seconds(300), World::agrees).expect("they find each other");
    println!("200 nodes that start at once list each other after {took:?}, with {} datagrams", world.delivered);
    assert!(took <= seconds(120));
    assert_eq!(broken(&world), [""; 0]);
    assert_eq!(leaves(&world), 0);
}

#[test]
fn a_node_that_joins_two_hundred_lists_all_of_them_within_seconds() {
    let mut world = cluster(8, 200);
    world.faults = LOSSY;
    // No news of old is on its way any more.
    world.run(seconds(60));
    world.start(200, World::address(200), &[]);
    let took = world.run_until(seconds(300), World::agrees).expect("the joiner lists all, and all list it");
    println!("a node that joins 200 lists all of them, and they list it, after {took:?}");
    assert!(took <= seconds(20), "{took:?}");
    let before = world.delivered;
    world.run(seconds(60));
    let each_second = (world.delivered - before) / 201 / 60;
    assert!(each_second < 20, "{each_second} datagrams to each node in a second, after all is learned");
}

#[test]
fn a_killed_node_is_known_on_all_of_fifty_within_ten_seconds_in_the_median() {
    let mut times: Vec<Duration> = seeds(20)
        .map(|seed| {
            let mut world = cluster(seed, 50);
            world.faults = LOSSY;
            let pause = world.random.random_range(0..5_000);
            world.run(Duration::from_millis(pause));
            world.kill(World::address(17));
            world.run_until(seconds(60), World::agrees).expect("the dead node leaves everywhere")
        })
        .collect();
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("a killed node is known on all of 50 after {median:?} (median of {}), {worst:?} at worst", times.len());
    assert!(median <= seconds(10), "{times:?}");
}

/// Runs a calm but lossy cluster, and gives the leaves that were reported.
fn false_leaves(seed: u64, size: u32, span: Duration) -> usize {
    let mut world = cluster(seed, size);
    world.faults = LOSSY;
    world.run(span);
    assert_eq!(broken(&world), [""; 0]);
    leaves(&world)
}

#[test]
fn no_false_leave_in_an_hour_at_one_percent_loss_with_fifty_nodes() {
    assert_eq!(false_leaves(2, 50, seconds(3_600)), 0);
}

#[test]
fn a_node_that_comes_back_before_it_was_missed_is_a_leave_and_a_join() {
    let mut world = cluster(3, 10);
    let begin = world.reports.len();
    world.kill(World::address(4));
    world.run(seconds(1));
    world.start(4, World::address(900), &[]);
    let took = world.run_until(seconds(10), World::agrees).expect("the new address is listed");
    assert!(took <= seconds(3), "{took:?}");
    let of_it: Vec<&Change> = world.reports[begin..].iter().filter(|r| r.by.rank() == 2).map(|r| &r.change).collect();
    let addresses: Vec<(bool, SocketAddr)> = of_it.iter().map(|c| (matches!(c, Change::Joined(_)), c.member().address())).collect();
    assert_eq!(addresses, [(false, World::address(4)), (true, World::address(900))]);
}

#[test]
fn a_node_whose_clock_is_behind_takes_its_name_when_its_old_self_is_known_dead() {
    let mut world = cluster(4, 10);
    world.kill(World::address(4));
    world.clock_behind = 100_000;
    world.start(4, World::address(900), &[]);
    let took = world.run_until(seconds(60), World::agrees);
    assert!(took.is_some_and(|took| took <= seconds(20)), "{took:?}");
    assert_eq!(broken(&world), [""; 0]);
}

#[test]
fn of_two_nodes_with_one_name_the_later_is_the_member_and_the_other_says_so_without_flapping() {
    let mut world = cluster(5, 10);
    world.start(4, World::address(900), &[]);
    world.run(seconds(20));
    let begin = world.reports.len();
    world.run(seconds(300));
    let flaps: Vec<_> = world.reports[begin..].iter().collect();
    assert!(flaps.is_empty(), "{flaps:?}");
    for node in world.nodes.iter().filter(|(at, _)| **at != World::address(4)) {
        let at = node.1.gossip.members().find(|member| member.name().rank() == 4).map(Member::address);
        assert_eq!(at, Some(World::address(900)), "as {} sees it", node.0);
    }
    let loser: Vec<_> = world.rivals.iter().map(|(_, by, rival)| (by.rank(), *rival)).collect();
    assert_eq!(loser, [(4, Some(World::address(900)))], "told once");
    // When the other leaves, the name is free again.
    world.kill(World::address(900));
    assert!(world.run_until(seconds(60), World::agrees).is_some(), "{}", lists(&world));
    assert_eq!(world.rivals.last().map(|(_, _, rival)| *rival), Some(None));
    assert_eq!(broken(&world), [""; 0]);
}

#[test]
fn a_partition_of_ten_minutes_heals_within_half_a_minute() {
    for seed in seeds(3) {
        let mut world = cluster(seed, 20);
        for (place, node) in world.nodes.values_mut().enumerate() {
            node.side = u8::from(place % 3 == 0);
        }
        world.run(seconds(600));
        assert!(world.agrees(), "seed {seed}: each side lists its own: {}", lists(&world));
        world.nodes.values_mut().for_each(|node| node.side = 0);
        let took = world.run_until(seconds(30), World::agrees);
        println!("seed {seed}: a partition of 20 nodes heals in {took:?}");
        assert!(took.is_some(), "seed {seed}: {}", lists(&world));
        assert_eq!(broken(&world), [""; 0]);
    }
}

#[test]
fn a_node_that_leaves_is_known_to_have_left_within_two_seconds() {
    let mut world = cluster(6, 50);
    world.leave(World::address(9));
    assert!(world.run_until(seconds(2), World::agrees).is_some(), "{}", lists(&world));
}

#[test]
fn a_login_node_that_restarts_without_seeds_is_found_by_the_others() {
    let mut world = cluster(7, 10);
    world.kill(World::address(0));
    world.run(seconds(2));
    world.start(0, World::address(0), &[]);
    assert!(world.run_until(seconds(10), World::agrees).is_some(), "{}", lists(&world));
    world.kill(World::address(0));
    world.run(seconds(60));
    world.start(0, World::address(0), &[]);
    assert!(world.run_until(seconds(60), World::agrees).is_some(), "{}", lists(&world));
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    let run = || {
        let (world, result) = disturb(11, 8, WILD);
        (world.delivered, world.reports.len(), result)
    };
    assert_eq!(run(), run());
}
