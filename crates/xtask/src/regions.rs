//! `templates/regions.txt`: which of the offered EC2 types each Region lacks, as the pinned linter's list has it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use cf_local::root;
use cf_local::tools::{self, Tool};

use crate::transcript::Transcript;

/// Writes the table anew.
pub fn run() -> Result<()> {
    Tool::Sam.install(&|what| println!("{what}"))?;
    fs::write(path(), current()?)?;
    println!("templates/regions.txt was written.");
    Ok(())
}

/// Fails where the table is not what follows from the linter's list and from templates/cluster.yaml.
pub fn check(out: &Transcript) -> Result<()> {
    let (committed, current) = (fs::read_to_string(path())?, current()?);
    if committed == current {
        out.say(&format!("  {} Regions, as the linter knows them", current.lines().filter(|line| !line.starts_with('#')).count()));
        return Ok(());
    }
    let lines = |of: &str, other: &str, sign: &str| -> String {
        of.lines().filter(|line| other.lines().all(|o| o != *line)).map(|line| format!("\n  {sign} {line}")).collect()
    };
    bail!(
        "templates/regions.txt is out of date: run `cargo xtask regions`{}{}",
        lines(&committed, &current, "-"),
        lines(&current, &committed, "+")
    )
}

fn path() -> PathBuf {
    root().join("templates/regions.txt")
}

fn current() -> Result<String> {
    let mut python = Command::new(Tool::Sam.program("python"));
    python.arg(root().join("tools/regions.py")).arg(root().join("templates/cluster.yaml"));
    tools::run(&mut python, "listing the types by Region", "does cfn-lint still keep them where tools/regions.py looks?")
}
