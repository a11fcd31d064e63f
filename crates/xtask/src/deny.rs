//! cargo-deny over the libraries: their licences, what is banned, where they come from, and their known vulnerabilities; and
//! cargo-machete: those that a crate names and does not use.

use std::process::Command;

use anyhow::{Context, Result};
use cf_local::tools::Tool;
use cf_local::{SKIPPED, children, root};

use crate::transcript::Transcript;

pub fn run(out: &Transcript) -> Result<()> {
    let hard = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    out.show(deny().args(hard), &format!("cargo deny {}", hard.join(" ")))?;
    advisories(out)
}

/// Every library that a `Cargo.toml` names is one that its crate uses.
pub fn unused(out: &Transcript) -> Result<()> {
    // Without `CARGO`: a cargo-machete that finds it, and no package's variables, takes itself for started by cargo and
    // expects its own name as the first argument.
    out.show(Command::new(Tool::Machete.program("cargo-machete")).env_remove("CARGO").current_dir(root()), "cargo machete")
}

fn deny() -> Command {
    let mut command = Command::new(Tool::Checks.program("cargo-deny"));
    command.current_dir(root());
    command
}

/// What is known against the versions that we use, where the list of it is within reach. Where it is not, nobody shall
/// think that it was asked.
fn advisories(out: &Transcript) -> Result<()> {
    let fetched = children::output(deny().args(["fetch", "db"])).context("cargo-deny could not be started")?;
    if fetched.status.success() {
        return out.show(deny().args(["check", "--hide-inclusion-graph", "advisories"]), "cargo deny check advisories");
    }
    let said = String::from_utf8_lossy(&fetched.stderr);
    out.say(&format!("  {}", said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("cargo-deny does not say why")));
    out.say(&format!(
        "{SKIPPED}the known vulnerabilities of our libraries, for the RustSec database could not be fetched. \
         What to do: run `cargo xtask test deny` on a machine that reaches github.com."
    ));
    Ok(())
}
