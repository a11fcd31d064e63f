//! The simulator, built in its own profile: as quick as what ships, with every check left in.

use std::process::Command;

use anyhow::Result;

use crate::test::show;

/// Runs it with these options.
pub fn run(options: &[String]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--profile", "simulate", "--package", "cf-simulate", "--"]).args(options);
    show(&mut command, &format!("cargo run --profile simulate --package cf-simulate -- {}", options.join(" ")))
}

/// What every test run simulates: the same seeds each time, so many that every row of the table is begun at three times.
pub fn check() -> Result<()> {
    run(&["--seeds".to_owned(), "50000".to_owned()])
}
