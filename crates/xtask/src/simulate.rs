//! The simulator, built in its own profile: as quick as what ships, with every check left in.

use std::process::Command;

use anyhow::Result;

use crate::ours::on_screen;
use crate::transcript::Transcript;

/// So many lives that each row of the table is begun at once.
const SEEDS: u32 = 20_000;

/// As many as find what is rare, in the minutes that a deep run has for it.
const SEEDS_DEEP: u32 = 60_000;

/// Runs it with these options.
pub fn run(options: &[String]) -> Result<()> {
    on_screen(command().args(options), "the simulator")
}

/// What every test run simulates: the same seeds each time.
pub fn check(out: &Transcript) -> Result<()> {
    seeds(out, SEEDS)
}

/// What a deep test run simulates.
pub fn check_deep(out: &Transcript) -> Result<()> {
    seeds(out, SEEDS_DEEP)
}

fn seeds(out: &Transcript, seeds: u32) -> Result<()> {
    let seeds = seeds.to_string();
    out.show(command().args(["--seeds", &seeds]), &format!("cargo run --profile simulate --package cf-simulate -- --seeds {seeds}"))
}

fn command() -> Command {
    let mut command = Command::new("cargo");
    command.args(["run", "--profile", "simulate", "--package", "cf-simulate", "--"]);
    command
}
