//! Whether CloudFormation takes the templates, whatever their parameters are, and what a refused deletion leaves at work:
//! `tests/rules/deployable`. Its own tests plant each fault that it is there for, and come first.

use std::env;
use std::process::Command;

use anyhow::Result;
use cf_local::root;
use cf_local::tools::Tool;

use crate::rules;
use crate::transcript::Transcript;

pub fn run(out: &Transcript) -> Result<()> {
    let tests = ["-m", "unittest", "discover", "-t", "tests/rules", "-s", "tests/rules/deployable/tests"];
    out.show(python()?.args(tests), &format!("python {}", tests.join(" ")))?;
    let deployment = rules::translate(&root().join("template.yaml"), "template.json")?;
    let cluster = root().join("templates/cluster.yaml");
    out.show(
        python()?.args(["-m", "deployable"]).args([&deployment, &cluster]),
        "python -m deployable template.yaml templates/cluster.yaml",
    )
}

/// What the check shares with the emulator lies in `tools`.
fn python() -> Result<Command> {
    let mut command = Command::new(Tool::Sam.program("python"));
    let path = env::join_paths([root().join("tools"), root().join("tests/rules")])?;
    command.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
