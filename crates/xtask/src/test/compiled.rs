//! The tests as programs. They are compiled once, in one configuration; which of them run, and when, is a matter of filters.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use cf_local::{children, root};

use crate::ours;
use crate::transcript::Transcript;

/// cargo-nextest where it is installed; plain `cargo test` runs the same tests, with less to look at.
static HAS_NEXTEST: LazyLock<bool> =
    LazyLock::new(|| Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success()));

/// Where nextest is told what was compiled. With it, it asks cargo nothing, whose lock some compiler beside the tests may hold.
fn list() -> PathBuf {
    root().join("target").join("test").join("binaries.json")
}

/// Compiles all tests, and the programs that they run, with the features that the whole workspace is built with.
pub fn make(out: &Transcript) -> Result<()> {
    out.show(&mut ours::build(&ours::FOR_TESTS), "cargo build --workspace --bin …")?;
    if *HAS_NEXTEST {
        compile_and_list(out)?;
    } else {
        out.show(Command::new("cargo").args(["test", "--workspace", "--no-run"]), "cargo test --workspace --no-run")?;
    }
    // By a feature that only tests ask for: minutes of every run.
    if out.text().matches("Compiling aws-sdk-s3 ").count() > 1 {
        bail!("the SDK was compiled for the programs, and once more for the tests: which development dependency brings it features?");
    }
    Ok(())
}

fn compile_and_list(out: &Transcript) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["nextest", "list", "--workspace", "--list-type", "binaries-only", "--message-format", "json"]);
    out.say("  $ cargo nextest list --workspace --list-type binaries-only");
    let listed = children::output_of(children::spawn(out.takes(command.current_dir(root()))?.stdout(Stdio::piped()))?)?;
    if !listed.status.success() {
        bail!("the tests do not compile: cargo nextest ended with {}", listed.status);
    }
    fs::create_dir_all(list().parent().context("it lies in a folder")?)?;
    Ok(fs::write(list(), listed.stdout)?)
}

/// All tests that need nothing but themselves.
pub fn unit(out: &Transcript) -> Result<()> {
    // CI=1: a snapshot that differs fails, and is not written anew.
    let quietly = [("CI", "1")];
    if *HAS_NEXTEST {
        return nextest(out, "default", "not ((package(cf-e2e) or package(cf-bed) or package(cf-bed-cloud)) and kind(test))", &quietly);
    }
    cargo(out, &["test", "--workspace", "--exclude", "cf-e2e", "--exclude", "cf-bed", "--exclude", "cf-bed-cloud"], &quietly)?;
    // The harness and the bed have their own beside them; those of other packages are run again, in no time.
    cargo(out, &["test", "--workspace", "--lib"], &quietly)
}

/// The tests on the test bed.
pub fn on_the_bed(out: &Transcript) -> Result<()> {
    if *HAS_NEXTEST {
        return nextest(out, "default", "package(cf-bed) and kind(test)", &[]);
    }
    // Plain cargo has no way to name a package's tests alone; these names are this package's only.
    cargo(out, &["test", "--workspace", "--no-fail-fast", "--test", "bed", "--test", "slurm"], &[])
}

/// The tests of whole clusters.
pub fn on_clusters(out: &Transcript, environment: &[(&str, &str)]) -> Result<()> {
    if *HAS_NEXTEST {
        return nextest(out, "e2e", "package(cf-bed-cloud) and kind(test)", environment);
    }
    // Several machines each: more of them at once than nextest's profile has would wait for the processors.
    let environment = [environment, &[("RUST_TEST_THREADS", "3")]].concat();
    cargo(out, &["test", "--workspace", "--no-fail-fast", "--test", "cluster"], &environment)
}

/// Files of the end-to-end tests.
pub fn end_to_end(out: &Transcript, files: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let environment = [environment, &[("RUST_BACKTRACE", "0")]].concat();
    if *HAS_NEXTEST {
        let binaries: Vec<String> = files.iter().map(|file| format!("binary(={file})")).collect();
        return nextest(out, "e2e", &format!("package(cf-e2e) and ({})", binaries.join(" or ")), &environment);
    }
    // Another package has tests under one of these names: they are run once more. They wait for the emulator most of the time, so
    // more of them than processors run side by side.
    let files: Vec<&str> = files.iter().flat_map(|file| ["--test", file]).collect();
    let environment = [&environment[..], &[("RUST_TEST_THREADS", "6")]].concat();
    cargo(out, &[&["test", "--no-fail-fast", "--workspace"], &files[..]].concat(), &environment)
}

fn nextest(out: &Transcript, profile: &str, filter: &str, environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["nextest", "run", "--profile", profile, "--binaries-metadata"]).arg(list()).args(["-E", filter]);
    out.show(command.envs(environment.iter().copied()), &format!("cargo nextest run --profile {profile} -E '{filter}'"))
}

fn cargo(out: &Transcript, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    out.show(Command::new("cargo").args(args).envs(environment.iter().copied()), &format!("cargo {}", args.join(" ")))
}
