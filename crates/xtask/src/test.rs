//! Every test there is, part by part, quick ones first. The first part that fails ends it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cf_e2e::children;
use cf_e2e::cli::CLI;
use cf_e2e::deploy;
use cf_e2e::emulator::{Emulator, Pace};
use cf_e2e::live::{LIVE, Live};
use cf_e2e::localemu::LocalEmu;
use cf_e2e::root;
use cf_e2e::scratch::Scratch;
use cf_e2e::stand::{STAND, Stand};
use cf_e2e::tools::Tool;
use console::style;

use crate::chore::{headline, step};
use crate::{deny, deployable, partitions, policies, regions, rules, shell, simulate, sync, templates, threats};

/// A part: its name, the tools that it needs, and what it does.
struct Part {
    name: &'static str,
    tools: &'static [Tool],
    run: fn() -> Result<()>,
}

const PARTS: &[Part] = &[
    Part { name: "format", tools: &[], run: || cargo(&["fmt", "--all", "--check"], &[]) },
    Part { name: "sync: generated text is current", tools: &[], run: sync::check },
    Part { name: "threats: each has a test", tools: &[], run: threats::check },
    Part { name: "partitions: nothing holds in one only", tools: &[], run: partitions::check },
    Part { name: "shell", tools: &[Tool::Sam, Tool::Checks], run: shell::run },
    Part { name: "rules", tools: &[Tool::Sam, Tool::Guard], run: rules::run },
    Part { name: "deployable: what CloudFormation would refuse", tools: &[Tool::Sam], run: deployable::run },
    Part { name: "regions: the types that each has", tools: &[Tool::Sam], run: regions::check },
    Part { name: "policies", tools: &[Tool::Iam], run: policies::run },
    Part { name: "deny", tools: &[Tool::Checks], run: deny::run },
    Part { name: "lint", tools: &[], run: || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]) },
    Part { name: "counts: libraries, size, calls, instructions", tools: &[], run: counts },
    Part { name: "docs", tools: &[], run: || cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]) },
    Part { name: "unit, table, sweep and strict world", tools: &[], run: unit },
    Part { name: "simulate: lives of clusters, with everything that can go wrong", tools: &[], run: simulate::check },
    Part { name: "templates", tools: &[Tool::Sam], run: templates::run },
    Part { name: "live: IAM enforced", tools: &[Tool::Sam], run: live },
    Part { name: "emulator: what its launcher promises", tools: &[Tool::Emulator], run: emulator },
    Part { name: "wire: every request spoiled", tools: &[Tool::Emulator], run: wire },
    Part { name: "burst: uploads at once", tools: &[Tool::Emulator, Tool::Sam], run: burst },
    Part { name: "end to end", tools: &[Tool::Emulator, Tool::Sam, Tool::Iam], run: end_to_end },
];

pub async fn run(wanted: Option<&str>) -> Result<()> {
    let begun = Instant::now();
    let parts: Vec<&Part> = PARTS.iter().filter(|p| wanted.is_none_or(|w| p.name.contains(w))).collect();
    if parts.is_empty() {
        bail!("no part is called so; there are: {}", PARTS.iter().map(|p| p.name).collect::<Vec<_>>().join("; "));
    }
    for tool in Tool::ALL.into_iter().filter(|tool| parts.iter().any(|p| p.tools.contains(tool))) {
        step(&format!("tools: {}", tool.folder().display()), move || tool.install(&|_| {})).await?;
    }
    for part in parts {
        headline(part.name);
        let begun = Instant::now();
        let work = part.run;
        tokio::task::spawn_blocking(work).await?.with_context(|| format!("the part \"{}\" failed", part.name))?;
        println!("  {}: passed in {:.1} s", part.name, begun.elapsed().as_secs_f64());
    }
    println!("\nAll passed in {:.0} s.", begun.elapsed().as_secs_f64());
    for what in LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{}", style(what).yellow().bold());
    }
    Ok(())
}

/// What could not be asked, although everything that could be passed. It is said last, where it is read.
static LEFT_OUT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes that something was not asked.
pub fn left_out(what: &str) {
    LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
}

fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    show(Command::new("cargo").args(args).envs(environment.iter().copied()), &format!("cargo {}", args.join(" ")))
}

/// cargo-nextest where it is installed; plain `cargo test` runs the same tests, with less to look at.
fn has_nextest() -> bool {
    Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success())
}

/// Packages that are built together share their features: with the whole workspace named wherever tests are built, the SDK is
/// compiled for them once, and which tests are run is a matter of a filter.
fn unit() -> Result<()> {
    // CI=1: a snapshot that differs fails, and is not written anew.
    let quietly = [("CI", "1")];
    if has_nextest() {
        return cargo(&["nextest", "run", "--workspace", "-E", "not (package(cf-e2e) and kind(test))"], &quietly);
    }
    cargo(&["test", "--workspace", "--exclude", "cf-e2e"], &quietly)?;
    // The harness has its own beside them; those of other packages are run again, in no time.
    cargo(&["test", "--workspace", "--lib"], &quietly)
}

/// Runs a command with its output on the screen.
pub fn show(command: &mut Command, what: &str) -> Result<()> {
    println!("  $ {what}");
    let status = children::status(command.current_dir(root())).with_context(|| format!("{what} could not be started"))?;
    if status.success() { Ok(()) } else { bail!("{what} ended with {status}") }
}

/// What cold start and bill hang on, as far as it can be counted.
fn counts() -> Result<()> {
    for what in tokio::runtime::Handle::current().block_on(cf_bench::counts::check())? {
        println!("  {what}");
        left_out(&what);
    }
    Ok(())
}

/// Everything else on the emulator stands on this.
fn emulator() -> Result<()> {
    let mut command = Command::new(Tool::Emulator.program("python"));
    let scratch = Scratch::new("selfcheck")?;
    command.args(["-m", "emulator.selfcheck"]).env("PYTHONPATH", root().join("tools")).env("TMPDIR", scratch.path());
    show(&mut command, "python -m emulator.selfcheck")
}

fn end_to_end() -> Result<()> {
    println!("  sam build (the first time takes minutes)");
    deploy::build()?;
    // With the features that the whole workspace is built with: nothing is compiled twice.
    cargo(&["build", "--workspace", "--bin", "clusterdrop"], &[])?;
    policies::forget()?;
    let emulator = deployed(&[])?;
    on(&emulator, &["acceptance", "boot", "cases", "cli", "events", "faults", "replaced"])?;
    // This one changes what everybody gets, so it runs alone.
    on(&emulator, &["own_template"])?;
    // These switch the bucket's trigger off and on.
    on(&emulator, &["first_hour"])?;
    policies::record(&emulator, "main")?;
    drop(emulator);
    // What is counted must be nobody else's: no other test, and no sweep.
    recorded_on(&deployed_at(Pace::COUNT, &[])?, "calls")?;
    let emulator = deployed(&["Trigger=s3", "DefaultLoginInstanceType=t3.large"])?;
    on(&emulator, &["direct"])?;
    on(&emulator, &["first_hour"])?;
    policies::record(&emulator, "direct")?;
    drop(emulator);
    // Alarms are the whole deployment's: nobody else may set them off.
    recorded_on(&deployed(&[])?, "nets")?;
    recorded_on(&deployed(&[])?, "upgrade")?;
    beside_a_bucket()?;
    headline("end to end: the functions' calls against their policies");
    policies::recorded()
}

/// The adapters in the tests' own process: faults at the wire, and the contract. Each path has an emulator to itself that
/// nothing is deployed to: together they are too much for one.
fn wire() -> Result<()> {
    let reports = root().join("target").join("wire");
    // What an earlier run said is not what this one came to.
    if reports.exists() {
        fs::remove_dir_all(&reports)?;
    }
    let emulators = (0..3).map(|_| Emulator::start(None, Pace::RUSH)).collect::<Result<Vec<_>>>()?;
    let urls = emulators.iter().map(Emulator::url).collect::<Vec<_>>().join(" ");
    end_to_end_tests(&[(STAND, &urls)], &["wire", "contract"])?;
    for path in ["Create", "Failure", "Delete"] {
        let said = fs::read_to_string(reports.join(format!("{path}.txt"))).with_context(|| format!("nothing is said of {path}"))?;
        println!("  {said}");
    }
    Ok(())
}

/// Many uploads at once: a hundred, or as many as `CLUSTERDROP_BURST` says (`200x5`: users, and files of each).
fn burst() -> Result<()> {
    println!("  sam build (the first time takes minutes)");
    deploy::build()?;
    on(&deployed_at(Pace::COUNT, &[])?, &["burst"])
}

/// The access tests, where IAM judges every call. They need LocalEmu, which nothing else does.
fn live() -> Result<()> {
    if !Tool::LocalEmu.is_possible() {
        left_out(
            "IAM WAS NOT ENFORCED LIVE: LocalEmu needs Python 3.13 or newer, and there is none. Its policies were put to their table.",
        );
        return Ok(());
    }
    Tool::LocalEmu.install(&|what| println!("  {what}"))?;
    println!("  sam build (the first time takes minutes)");
    deploy::build()?;
    let localemu = LocalEmu::start()?;
    println!("  what LocalEmu takes of template.yaml, to port {}", localemu.port);
    tokio::runtime::Handle::current().block_on(Live::deploy(localemu.port))?;
    let port = localemu.port.to_string();
    end_to_end_tests(&[(LIVE, &port)], &["live_iam"])?;
    // This one takes the bucket's policy away from everybody, so it runs alone.
    end_to_end_tests(&[(LIVE, &port)], &["live_unguarded"])
}

/// Deployments that find their users' bucket made by others, and unversioned. One test after the other: it is one bucket.
fn beside_a_bucket() -> Result<()> {
    let emulator = deployed(&["UserBucketMode=existing"])?;
    on(&emulator, &["redrive"])?;
    on(&emulator, &["rescan"])?;
    // It gives the bucket back in the end; what comes after it needs the bucket adopted.
    on(&emulator, &["adopt"])?;
    deploy::adopt(&emulator.url(), &cli())?;
    on(&emulator, &["replaced"])?;
    policies::record(&emulator, "existing-bucket")?;
    drop(emulator);
    recorded_on(&deployed(&["UserBucketMode=existing", "Trigger=s3"])?, "adopt")
}

/// The command line, as it was just built.
fn cli() -> PathBuf {
    root().join("target").join("debug").join("clusterdrop")
}

fn recorded_on(emulator: &Emulator, file: &str) -> Result<()> {
    on(emulator, &[file])?;
    policies::record(emulator, file)
}

/// A fresh deployment on a fresh emulator.
fn deployed(overrides: &[&str]) -> Result<Emulator> {
    deployed_at(Pace::TEST, overrides)
}

fn deployed_at(pace: Pace, overrides: &[&str]) -> Result<Emulator> {
    let emulator = Emulator::start(None, pace)?;
    println!("  sam deploy to {} {}", emulator.url(), overrides.join(" "));
    deploy::verify_sender(&emulator.url())?;
    if overrides.contains(&"UserBucketMode=existing") {
        deploy::aws(&emulator.url(), &["s3", "mb", &format!("s3://{}", deploy::USER_BUCKET)])?;
    }
    deploy::deploy(&emulator.url(), overrides)?;
    if !overrides.contains(&"UserBucketMode=existing") {
        // Else the sweep would look, some minutes later, for the very uploads whose events tests have ordered to be lost.
        let work = async { Stand::at(&emulator.url()).await?.end_first_hour().await };
        tokio::runtime::Handle::current().block_on(work)?;
    }
    Ok(emulator)
}

fn on(emulator: &Emulator, files: &[&str]) -> Result<()> {
    let url = emulator.url();
    let cli = cli().display().to_string();
    end_to_end_tests(&[(STAND, url.as_str()), (CLI, cli.as_str())], files)
}

fn end_to_end_tests(environment: &[(&str, &str)], files: &[&str]) -> Result<()> {
    let environment = [environment, &[("RUST_BACKTRACE", "0")]].concat();
    // Another package has tests under one of these names: without nextest they are run once more.
    let ours = ["nextest", "run", "--profile", "e2e", "--workspace", "-E", "package(cf-e2e)"];
    let runner: &[&str] = if has_nextest() { &ours } else { &["test", "--no-fail-fast", "--workspace"] };
    let files: Vec<&str> = files.iter().flat_map(|file| ["--test", file]).collect();
    cargo(&[runner, &files].concat(), &environment)
}
