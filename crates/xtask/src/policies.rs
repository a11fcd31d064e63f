//! The policies put to the question, without AWS: the decision table, what each part of a policy is needed for, what the
//! plans of `decide` do; and, after the end-to-end tests, every call that the functions made. See tests/iam/README.md.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_e2e::emulator::Emulator;
use cf_e2e::record;
use cf_e2e::root;
use cf_e2e::stand::Stand;

use crate::test::show;

/// What needs no recorded calls.
pub fn run() -> Result<()> {
    for script in ["table.mjs", "need.mjs", "shape.mjs", "effects.mjs"] {
        node(script, &[])?;
    }
    Ok(())
}

fn node(script: &str, files: &[String]) -> Result<()> {
    let script = format!("tests/iam/{script}");
    show(Command::new("node").arg(&script).args(files), &format!("node {script} {}", files.join(" ")))
}

/// Throws away what earlier runs have recorded.
pub fn forget() -> Result<()> {
    let folder = record::folder();
    if folder.exists() { fs::remove_dir_all(&folder).with_context(|| folder.display().to_string()) } else { Ok(()) }
}

/// Keeps the calls of the functions of one deployment.
pub fn record(emulator: &Emulator, name: &str) -> Result<()> {
    let stand = tokio::runtime::Handle::current().block_on(Stand::at(&emulator.url()))?;
    record::save(&stand, name)
}

/// Puts all that was recorded to the policies.
pub fn recorded() -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(record::folder()).context("the end-to-end tests record the calls")? {
        files.push(entry?.path().strip_prefix(root())?.display().to_string());
    }
    files.sort();
    if files.is_empty() {
        bail!("no call was recorded");
    }
    node("calls.mjs", &files)
}
