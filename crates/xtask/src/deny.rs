//! cargo-deny over the libraries: their licences, what is banned, where they come from, and what is known against them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_e2e::tools::{self, Tool};
use cf_e2e::{children, root};
use serde_json::Value;

use crate::test::{left_out, show};

pub fn run() -> Result<()> {
    prove()?;
    let hard = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    show(deny().args(hard), &format!("cargo deny {}", hard.join(" ")))?;
    advisories()
}

fn deny() -> Command {
    let mut command = Command::new(Tool::Checks.program("cargo-deny"));
    command.current_dir(root());
    command
}

/// What is known against the versions that we use, where the list of it is within reach. Where it is not, nobody shall
/// think that it was asked.
fn advisories() -> Result<()> {
    let fetched = children::output(deny().args(["fetch", "db"])).context("cargo-deny could not be started")?;
    if fetched.status.success() {
        return show(deny().args(["check", "--hide-inclusion-graph", "advisories"]), "cargo deny check advisories");
    }
    let said = String::from_utf8_lossy(&fetched.stderr);
    println!("  {}", said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("cargo-deny does not say why"));
    let warning = "ADVISORIES WERE NOT CHECKED: the RustSec database could not be fetched. \
                   What to do: run `cargo xtask test deny` on a machine that reaches github.com.";
    println!("  {warning}");
    left_out(warning);
    Ok(())
}

/// Puts deny.toml to a made-up project with everything that it forbids. What is not found there would not be found here.
fn prove() -> Result<()> {
    let banned = banned()?;
    let manifest = bad_project(&root().join("target/deny"), &banned)?;
    let mut command = deny();
    command.args(["--format", "json", "--config"]).arg(root().join("deny.toml")).arg("--manifest-path").arg(manifest);
    command.args(["check", "licenses", "bans", "sources"]);
    let said = children::output(&mut command).context("cargo-deny could not be started")?;
    let found: BTreeSet<(String, String)> = String::from_utf8_lossy(&said.stderr).lines().filter_map(complaint).collect();
    let fixed = [
        ("rejected", "agpl"),
        ("rejected", "gpl"),
        ("unlicensed", "none"),
        ("wildcard", "bad-project"),
        ("source-not-allowed", "from-git"),
    ];
    let wanted = fixed.into_iter().chain(banned.iter().map(|name| ("banned", name.as_str())));
    let missed: Vec<String> =
        wanted.filter(|(code, name)| !found.contains(&((*code).to_owned(), (*name).to_owned()))).map(|(c, n)| format!("{c} {n}")).collect();
    if !missed.is_empty() {
        bail!("deny.toml lets pass what it should not: {} (tried on target/deny, which is made for that)", missed.join(", "));
    }
    Ok(())
}

/// A line of cargo-deny's JSON: which check found which library wanting.
fn complaint(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    let name = fields["graphs"][0]["Krate"]["name"].as_str()?;
    (fields["severity"] == "error").then(|| (fields["code"].as_str().unwrap_or_default().to_owned(), name.to_owned()))
}

/// The names that deny.toml bans.
fn banned() -> Result<Vec<String>> {
    let content = fs::read_to_string(root().join("deny.toml"))?;
    Ok(content.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"').map(str::to_owned)).collect())
}

/// Writes a project whose libraries are all wrong, and returns its manifest.
fn bad_project(folder: &Path, banned: &[String]) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let wrong = [("agpl", "license = \"AGPL-3.0-only\""), ("gpl", "license = \"GPL-3.0-only\""), ("none", "")];
    let mut dependencies = String::from("[workspace]\n[dependencies]\n");
    for (name, licence) in wrong.into_iter().chain(banned.iter().map(|name| (name.as_str(), "license = \"MIT\""))) {
        library(&folder.join(name), name, licence)?;
        dependencies += &format!("{name} = {{ path = \"{name}\" }}\n");
    }
    let git = folder.join("from-git");
    library(&git, "from-git", "license = \"MIT\"")?;
    for arguments in
        ["init --quiet", "add .", "-c user.name=nobody -c user.email=nobody -c commit.gpgsign=false commit --quiet --message=bad"]
    {
        tools::run(Command::new("git").args(arguments.split(' ')).current_dir(&git), "git", "is git installed?")?;
    }
    dependencies += &format!("from-git = {{ git = \"file://{}\" }}\n", git.display());
    library(folder, "bad-project", &format!("license = \"MIT\"\n{dependencies}"))?;
    Ok(folder.join("Cargo.toml"))
}

fn library(folder: &Path, name: &str, rest: &str) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}\n"))?;
    Ok(())
}
