//! The exchange's decisions under a seeded world: requests and answers that are lost, late or doubled, agents and machines that end
//! between any two steps, nodes that come, go, are replaced or stay silent. An oracle looks at each start of a script and at each
//! change of a round. Bugs are planted to show that it sees them.

mod exchange_world;

use exchange_world::{Bug, World};

/// Runs these seeds; the first that breaks a rule, and which.
fn run(seeds: std::ops::Range<u64>, bug: Option<Bug>) -> Result<Totals, String> {
    let mut totals = Totals::default();
    for seed in seeds {
        let mut world = World::new(seed, bug);
        world.run().map_err(|broken| format!("seed {seed}: {broken}"))?;
        totals.complete += world.complete;
        totals.failed += world.failed;
        totals.scripts += world.scripts;
        totals.crashes += world.crashes;
        totals.late_results += world.late_results;
    }
    Ok(totals)
}

#[derive(Debug, Default)]
struct Totals {
    complete: usize,
    failed: usize,
    scripts: usize,
    crashes: usize,
    late_results: usize,
}

#[test]
fn no_rule_is_broken_in_two_hundred_worlds() {
    let totals = run(0..200, None).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{totals:?}");
    // The worlds hold what they are made for.
    assert!(
        totals.complete > 200 && totals.failed > 100 && totals.scripts > 2_000 && totals.crashes > 500 && totals.late_results > 20,
        "{totals:?}"
    );
}

fn is_seen(bug: Bug, expected: &str) {
    let broken = run(0..200, Some(bug)).expect_err("the planted bug was not seen");
    assert!(broken.contains(expected), "{broken}");
}

#[test]
fn a_barrier_that_opens_one_node_early_is_seen() {
    is_seen(Bug::BarrierOneShort, "populate began before");
}

#[test]
fn a_start_that_is_recorded_after_the_run_is_seen() {
    is_seen(Bug::RecordedAfterRun, "ran twice");
}

#[test]
fn a_time_that_is_over_one_millisecond_late_is_seen() {
    is_seen(Bug::ExpiresLate, "is still open");
}

#[test]
fn a_time_that_is_over_too_early_is_seen() {
    is_seen(Bug::ExpiresEarly, "before its time");
}

#[test]
fn a_late_result_that_counts_is_seen() {
    is_seen(Bug::LateResultCounts, "of another round");
}
