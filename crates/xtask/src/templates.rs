//! The linters over both templates, and over `template.yaml` once more as SAM makes it.
//!
//! Of a SAM template, cfn-lint takes every name that begins as a function's does for one that SAM will make, even a typo.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cf_local::emulator::REGION;
use cf_local::root;
use cf_local::tools::{Tool, path_with};

use crate::rules;
use crate::transcript::Transcript;

pub fn run(out: &Transcript) -> Result<()> {
    let plain = ["templates/cluster.yaml", "template.yaml"];
    out.show(tool("cfn-lint").args(plain), &format!("cfn-lint {}", plain.join(" ")))?;
    let translated = rules::translate(&root().join("template.yaml"), "template.json")?;
    out.show(&mut lint_translated(&translated), &format!("cfn-lint {}", translated.display()))?;
    out.show(tool("sam").args(["validate", "--lint"]), "sam validate --lint")
}

/// Without W1020: `cargo xtask sync` puts IAM's own variables under `Fn::Sub` too.
fn lint_translated(template: &Path) -> Command {
    let mut command = tool("cfn-lint");
    command.args(["--ignore-checks", "W1020", "--"]).arg(template);
    command
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(Tool::Sam.program(name));
    command.current_dir(root()).env("PATH", path_with(&[Tool::Sam])).env("AWS_DEFAULT_REGION", REGION).env("SAM_CLI_TELEMETRY", "0");
    command
}
