//! What runs on this machine: pinned tools, the local AWSes, SAM against them; nodes of a cluster; processes that end with us, and
//! scratch that goes with them. It has no AWS SDK, so that `cargo xtask`, which stands on it, is built in seconds.

pub mod children;
pub mod deploy;
pub mod emulator;
pub mod emulator_client;
pub mod interruption;
pub mod localemu;
pub mod node;
pub mod scratch;
pub mod tools;
pub mod wait;

use std::path::{Path, PathBuf};

/// The environment variable that tells tests where the emulator is that was started for them; several, where they need several.
pub const EMULATOR_URLS: &str = "CLUSTERDROP_EMULATOR_URLS";

/// The environment variable that tells tests the port of the LocalEmu that was started for them.
pub const LOCALEMU_PORT: &str = "CLUSTERDROP_LOCALEMU_PORT";

/// The environment variable that tells tests where the command line is. Cargo knows it only within its own package.
pub const CLI_PATH: &str = "CLUSTERDROP_CLI_PATH";

/// How a line begins that says what could not be asked on this machine. `cargo xtask test` repeats such lines at its end.
pub const SKIPPED: &str = "SKIPPED: ";

/// The project's folder.
pub fn root() -> PathBuf {
    // This crate lies two below it.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}

/// The last lines of a text, for an error.
pub fn last_lines(text: &str) -> String {
    const LINES: usize = 12;
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(LINES)..].join("\n")
}

/// The last lines of a log, for an error. Of a log that is not there, nothing.
pub fn end_of_log(log: &Path) -> String {
    last_lines(&std::fs::read_to_string(log).unwrap_or_default())
}

/// Where the calls lie that the functions made in the end-to-end tests, one file for each deployment.
pub fn recorded() -> PathBuf {
    root().join("target/recorded")
}
