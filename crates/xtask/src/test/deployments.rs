//! The steps that run on a local AWS. Each deployment has an emulator to itself, and they stand side by side.
//!
//! One emulator with an account for each would save nothing: it is one Python process, which one processor is too little for
//! already; its pace, its orders of faults and its logs are the whole process's, and the users' bucket has one name for all.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use cf_bed::Base;
use cf_local::emulator::{Emulator, Pace};
use cf_local::localemu::LocalEmu;
use cf_local::scratch::Scratch;
use cf_local::tools::Tool;
use cf_local::{CLI_PATH, EMULATOR_URLS, LOCALEMU_PORT, SKIPPED, deploy, root};

use super::compiled;
use crate::ours;
use crate::transcript::Transcript;

/// A deployment on an emulator of its own.
struct Deployment<'a> {
    out: &'a Transcript,
    emulator: Emulator,
}

impl<'a> Deployment<'a> {
    fn new(out: &'a Transcript, pace: Pace, overrides: &[&str]) -> Result<Self> {
        let emulator = Emulator::start(None, pace)?;
        let url = emulator.url();
        out.say(&format!("  sam deploy to {url} {}", overrides.join(" ")));
        deploy::verify_sender(&url)?;
        if overrides.contains(&"UserBucketMode=existing") {
            deploy::aws(&url, &["s3", "mb", &format!("s3://{}", deploy::USER_BUCKET)])?;
        }
        deploy::deploy(&url, overrides)?;
        if !overrides.contains(&"UserBucketMode=existing") {
            // Else the sweep would look, some minutes later, for the very uploads whose events tests have ordered to be lost.
            through_the_sdk(out, &["end-first-hour", &url])?;
        }
        Ok(Self { out, emulator })
    }

    /// Runs files of tests on it.
    fn on(&self, files: &[&str]) -> Result<()> {
        let (url, cli) = (self.emulator.url(), cli().display().to_string());
        compiled::end_to_end(self.out, files, &[(EMULATOR_URLS, &url), (CLI_PATH, &cli)])
    }

    /// Keeps the calls of its functions, and ends it.
    fn record(self, name: &str) -> Result<()> {
        through_the_sdk(self.out, &["record", &self.emulator.url(), name])
    }
}

/// What only the AWS SDK can ask.
fn through_the_sdk(out: &Transcript, arguments: &[&str]) -> Result<()> {
    out.show(Command::new(ours::built("cf-e2e")).args(arguments), &format!("cf-e2e {}", arguments.join(" ")))
}

/// The command line, as it was just built.
fn cli() -> PathBuf {
    ours::built("clusterdrop")
}

/// Most tests, and those that change what everybody gets, which run alone.
pub fn main(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &[])?;
    deployment.on(&["acceptance", "boot", "cases", "cli", "events", "faults", "replaced"])?;
    // Clusters of real agents, by themselves: passes of the tests before have the product's own bounds of time.
    deployment.on(&["customize"])?;
    deployment.on(&["own_template"])?;
    // These switch the bucket's trigger off and on.
    deployment.on(&["first_hour"])?;
    deployment.record("main")
}

/// What is counted must be nobody else's: no other test, and no sweep.
pub fn counted(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::COUNT, &[])?;
    deployment.on(&["calls"])?;
    deployment.record("calls")
}

pub fn direct(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &["Trigger=s3", "DefaultLoginInstanceType=t3.large"])?;
    deployment.on(&["direct"])?;
    deployment.on(&["first_hour"])?;
    deployment.record("direct")
}

/// Alarms are the whole deployment's: nobody else may set them off.
pub fn failure_queues(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &[])?;
    deployment.on(&["failure_queues"])?;
    deployment.record("failure-queues")
}

pub fn upgrade(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &[])?;
    deployment.on(&["upgrade"])?;
    deployment.record("upgrade")
}

/// The users' bucket was made by others, and is unversioned. One test after the other: it is one bucket.
pub fn existing_bucket(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &["UserBucketMode=existing"])?;
    deployment.on(&["redrive"])?;
    deployment.on(&["rescan"])?;
    // It gives the bucket back in the end; what comes after it needs the bucket adopted.
    deployment.on(&["adopt"])?;
    deploy::adopt(&deployment.emulator.url(), &cli())?;
    deployment.on(&["replaced"])?;
    deployment.record("existing-bucket")
}

pub fn adopted(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::TEST, &["UserBucketMode=existing", "Trigger=s3"])?;
    deployment.on(&["adopt"])?;
    deployment.record("adopt")
}

/// The demo of the nodes: it waits for everything that it shows, and ends with an error where something does not come. It is this program
/// once more, so that what it shows goes where this step's words go.
pub fn five_nodes(out: &Transcript) -> Result<()> {
    let mut demo = Command::new(env::current_exe()?);
    out.show(demo.args(["demo", "--nodes", "--built", "--port", "0"]), "cargo xtask demo --nodes")
}

/// Whole clusters on machines of a test bed. Where this machine refuses what a bed needs, the run ends with a line about it.
pub fn clusters(out: &Transcript) -> Result<()> {
    if let Err(why) = cf_bed::possible() {
        out.say(&format!("{SKIPPED}whether whole clusters form, with Slurm, from the upload to the deletion. {why:#}"));
        return Ok(());
    }
    Base::prepare(&|what| out.say(&format!("  {what}")))?;
    // A machine that really boots is not quicker where the clock is: the template's half an hour for it is three minutes here.
    let deployment = Deployment::new(out, Pace { clock: 0.1, ..Pace::TEST }, &[])?;
    compiled::on_clusters(out, &[(EMULATOR_URLS, &deployment.emulator.url())])
}

/// Many uploads at once: a hundred, or as many as `CLUSTERDROP_BURST` says (`200x5`: users, and files of each).
pub fn burst(out: &Transcript) -> Result<()> {
    Deployment::new(out, Pace::COUNT, &[])?.on(&["burst"])
}

/// A thousand.
pub fn burst_deep(out: &Transcript) -> Result<()> {
    let deployment = Deployment::new(out, Pace::COUNT, &[])?;
    compiled::end_to_end(out, &["burst"], &[(EMULATOR_URLS, &deployment.emulator.url()), ("CLUSTERDROP_BURST", "200x5")])
}

/// One request of each operation, as the functions' adapters make it.
pub fn wire(out: &Transcript) -> Result<()> {
    wire_spoiling(out, "operations")
}

/// Each request, also of operations that a path makes often.
pub fn wire_deep(out: &Transcript) -> Result<()> {
    wire_spoiling(out, "requests")
}

/// The adapters in the tests' own process: faults at the wire, and the contract. Each path has an emulator to itself that
/// nothing is deployed to: together they are too much for one.
fn wire_spoiling(out: &Transcript, what: &str) -> Result<()> {
    let emulators = (0..3).map(|_| Emulator::start(None, Pace::RUSH)).collect::<Result<Vec<_>>>()?;
    let urls = emulators.iter().map(Emulator::url).collect::<Vec<_>>().join(" ");
    compiled::end_to_end(out, &["wire", "contract"], &[(EMULATOR_URLS, &urls), ("CLUSTERDROP_WIRE", what)])?;
    for path in ["Create", "Failure", "Delete"] {
        let said =
            fs::read_to_string(root().join(format!("target/wire/{path}.txt"))).with_context(|| format!("nothing is said of {path}"))?;
        out.say(&format!("  {}", said.trim_end()));
    }
    Ok(())
}

/// The access tests, where IAM judges every call. They need LocalEmu, which nothing else does.
pub fn live(out: &Transcript) -> Result<()> {
    if !Tool::LocalEmu.is_possible() {
        out.say(&format!(
            "{SKIPPED}whether IAM enforces the policies live. LocalEmu needs Python 3.13 or newer, and there is none. Their table was asked."
        ));
        return Ok(());
    }
    Tool::LocalEmu.install(&|what| out.say(&format!("  {what}")))?;
    let localemu = LocalEmu::start()?;
    let port = localemu.port.to_string();
    through_the_sdk(out, &["deploy-to-localemu", &port])?;
    compiled::end_to_end(out, &["live_iam"], &[(LOCALEMU_PORT, &port)])?;
    // This one takes the bucket's policy away from everybody, so it runs alone.
    compiled::end_to_end(out, &["live_unguarded"], &[(LOCALEMU_PORT, &port)])
}

/// Everything else on the emulator stands on this.
pub fn selfcheck(out: &Transcript) -> Result<()> {
    let mut command = Command::new(Tool::Emulator.program("python"));
    let scratch = Scratch::new("selfcheck")?;
    command.args(["-m", "emulator.selfcheck"]).env("PYTHONPATH", root().join("tools")).env("TMPDIR", scratch.path());
    out.show(&mut command, "python -m emulator.selfcheck")
}
