//! Our own command line, as an administrator runs it, against the emulator.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use cf_local::emulator::REGION;
use cf_local::{CLI_PATH, children};

/// What a run of it came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// Runs `clusterdrop ARGUMENTS` to its end.
pub fn clusterdrop(endpoint: &str, arguments: &[&str]) -> Result<Ran> {
    run(command()?.args(arguments).env("AWS_ENDPOINT_URL", endpoint).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
}

/// Runs it where nobody has signed in.
pub fn clusterdrop_signed_out(endpoint: &str, arguments: &[&str]) -> Result<Ran> {
    run(command()?.args(arguments).env("AWS_ENDPOINT_URL", endpoint).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"))
}

fn command() -> Result<Command> {
    let program = std::env::var_os(CLI_PATH).map(PathBuf::from);
    let mut command = Command::new(program.context("these tests need the command line: run them with `cargo xtask test`")?);
    command
        .env("AWS_REGION", REGION)
        // Nothing of the developer's own: no profiles, and no role of the machine.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN");
    Ok(command)
}

fn run(command: &mut Command) -> Result<Ran> {
    let output = children::output(command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}
