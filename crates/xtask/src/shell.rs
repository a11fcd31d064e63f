//! ShellCheck over all shell of the project: what the nodes of a cluster start with, and every script that git knows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use cf_local::root;
use cf_local::tools::{self, Tool};

use crate::transcript::Transcript;

pub fn run(out: &Transcript) -> Result<()> {
    let mut scripts = node_scripts()?;
    scripts.extend(scripts_in_git()?);
    let names: Vec<String> = scripts.iter().filter_map(|s| s.strip_prefix(root()).ok()).map(|s| s.display().to_string()).collect();
    out.show(shellcheck().args(&scripts), &format!("shellcheck {}", names.join(" ")))
}

fn shellcheck() -> Command {
    // No configuration of whoever runs it.
    let mut command = Command::new(Tool::Checks.program("shellcheck"));
    command.arg("--norc");
    command
}

/// The scripts of the login node and of the compute nodes, as they arrive there.
fn node_scripts() -> Result<Vec<PathBuf>> {
    let folder = root().join("target/shell");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut python = Command::new(Tool::Sam.program("python"));
    python.args([root().join("tests/shell/nodes.py"), root().join("templates/cluster.yaml"), folder.clone()]);
    tools::run(&mut python, "taking the scripts out of templates/cluster.yaml", "does its UserData still join a list?")?;
    let scripts = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    if scripts.len() < 2 {
        bail!("templates/cluster.yaml has two kinds of nodes, but {} scripts", scripts.len());
    }
    Ok(scripts)
}

/// Files that git knows, and whose first line names a shell.
fn scripts_in_git() -> Result<Vec<PathBuf>> {
    let files = tools::run(Command::new("git").arg("ls-files").current_dir(root()), "git ls-files", "is this a clone?")?;
    let is_script =
        |path: &PathBuf| fs::read_to_string(path).is_ok_and(|s| s.starts_with("#!") && s.lines().next().is_some_and(|l| l.ends_with("sh")));
    Ok(files.lines().map(|file| root().join(file)).filter(is_script).collect())
}
