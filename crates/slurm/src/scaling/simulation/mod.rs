//! Lives of a cluster from a seed: a small Auto Scaling, a small Slurm, machines that come late, never, or die, and an agent that ends
//! between any two effects. What must hold at every moment is checked at every moment; once the faults end, every job must run, and
//! nothing may be left.

mod agent;
mod aws;
mod slurm;
mod world;

use world::{Flaw, Problem, World};

/// Seeds of a plain run: a tenth of a second each. `CLUSTERDROP_SCALING_SEEDS` asks for more.
const SEEDS: u64 = 100;

fn lives(flaw: Option<Flaw>, seeds: std::ops::Range<u64>) -> Result<(), (u64, Problem)> {
    seeds.into_iter().try_for_each(|seed| World::new(seed, flaw).live().map_err(|problem| (seed, problem)))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
fn whatever_fails_no_rule_is_broken_and_every_job_runs_in_the_end() {
    let seeds = std::env::var("CLUSTERDROP_SCALING_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let found = lives(None, 0..seeds);
    assert!(found.is_ok(), "seed {}: {}", found.as_ref().unwrap_err().0, found.as_ref().unwrap_err().1);
}

#[test]
fn a_flawed_agent_is_caught() {
    for flaw in Flaw::ALL {
        let caught = lives(Some(flaw), 0..SEEDS).err();
        let Some((seed, problem)) = caught else { panic!("{flaw:?} is not caught") };
        println!("{flaw:?}: seed {seed}: {}", problem.lines().next().unwrap_or_default());
    }
}

#[test]
fn where_nothing_can_be_had_for_good_all_nodes_are_down_with_a_reason_and_nothing_is_left_wanted() {
    for seed in 0..20 {
        World::new(seed, None).live_without_capacity().unwrap();
    }
}
