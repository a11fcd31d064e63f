//! Programs of the workspace that xtask starts, for it links neither the SDK nor the domain itself.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_local::{children, root};

/// Those that the tests need.
pub const FOR_TESTS: [&str; 4] = ["cf-bench", "cf-e2e", "cf-sync", "clusterdrop"];

/// A command to build programs. Packages that are built together share their features: with the whole workspace named here as
/// wherever tests are built, nothing is compiled twice.
pub fn build(names: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(["build", "--workspace"]).args(names.iter().flat_map(|name| ["--bin", name]));
    command
}

/// One of them as it was built last.
pub fn built(name: &str) -> PathBuf {
    root().join("target").join("debug").join(name)
}

/// Builds one, and runs it to its end on the screen.
pub fn run(name: &str, arguments: &[String]) -> Result<()> {
    // Cargo says nothing where nothing is to be compiled but how long that took.
    on_screen(&mut build(&[name]), "cargo build")?;
    on_screen(Command::new(built(name)).args(arguments), name)
}

/// Runs a command to its end, with its output on the screen.
pub fn on_screen(command: &mut Command, what: &str) -> Result<()> {
    let status = children::status(command.current_dir(root())).with_context(|| format!("{what} could not be started"))?;
    if status.success() { Ok(()) } else { bail!("{what} ended with {status}") }
}
