//! The tests, step by step, side by side where they do not disturb each other. The first step that fails ends the run.

mod bed;
mod compiled;
mod deployments;
mod schedule;
mod steps;

use std::fs;

use anyhow::Result;
use cf_local::{recorded, root};
use console::style;

use schedule::Ended;

/// Runs the steps that are wanted.
pub fn run(wanted: Option<&str>, deep: bool) -> Result<()> {
    let chosen = steps::chosen(wanted, deep)?;
    // What an earlier run has left is not what this one comes to.
    for folder in [recorded(), root().join("target/wire")] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    let ended = schedule::run(&chosen)?;
    summary(&ended);
    Ok(())
}

/// The slowest first: where there is time to be saved.
fn summary(ended: &Ended) {
    println!();
    for (name, seconds) in &ended.seconds {
        println!("  {seconds:>7.1} s  {name}");
    }
    println!("\nAll passed in {:.0} s.", ended.all_seconds);
    for what in &ended.skipped {
        println!("{}", style(what).yellow().bold());
    }
}
