//! Evaluates the policies with an IAM simulator, without AWS: the decision table, what each part of a policy is needed for, what the
//! plans of `decide` do; and, after the end-to-end tests, every call that the functions made. See tests/iam/README.md.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_local::{recorded, root};

use crate::transcript::Transcript;

/// What needs no recorded calls.
pub fn run(out: &Transcript) -> Result<()> {
    for script in ["table.mjs", "need.mjs", "shape.mjs", "effects.mjs"] {
        node(out, script, &[])?;
    }
    Ok(())
}

fn node(out: &Transcript, script: &str, files: &[String]) -> Result<()> {
    let script = format!("tests/iam/{script}");
    out.show(Command::new("node").arg(&script).args(files), &format!("node {script} {}", files.join(" ")))
}

/// Puts all that was recorded to the policies.
pub fn of_recorded_calls(out: &Transcript) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(recorded()).context("the end-to-end tests record the calls")? {
        files.push(entry?.path().strip_prefix(root())?.display().to_string());
    }
    files.sort();
    if files.is_empty() {
        bail!("no call was recorded");
    }
    node(out, "calls.mjs", &files)
}
