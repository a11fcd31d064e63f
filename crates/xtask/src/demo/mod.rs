//! The main job, before one's eyes: the binaries, template and policies that go to AWS, on a local AWS.
//!
//! [`life`] is one cluster from upload to receipt; [`nodes`] is what its nodes do among themselves. [`alice`] is a user, [`cluster`] the
//! nodes that run on this machine, [`profile`] what they run. [`bed`] is a whole cluster on machines of the test bed.

mod alice;
mod bed;
mod cluster;
mod life;
mod nodes;
mod profile;

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use cf_bed::Base;
use cf_local::deploy::{self, CUSTOMIZER_BUCKET, USER_BUCKET};
use cf_local::emulator::{Emulator, Pace, REGION};
use cf_local::tools::Tool;
use cf_local::wait;

use crate::chore::{headline, show, step};
use alice::Alice;

/// How long anything may take to come: many times what it takes on a quiet machine.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// What is shown, and how.
#[derive(Debug, Clone, Copy, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Options {
    /// Show the nodes: five of them meet, run a profile, exchange addresses, lose one, and report what failed
    #[arg(long)]
    nodes: bool,
    /// Show a whole cluster on machines of a test bed (as root): a job starts from zero nodes
    #[arg(long, conflicts_with = "nodes")]
    cluster: bool,
    /// Leave it running at the end, to be tried with the plain AWS CLI
    #[arg(long)]
    keep: bool,
    /// The port of the local AWS; 0 is any free one
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Take tools and programs as they were built: for `cargo xtask test`
    #[arg(long, hide = true)]
    built: bool,
}

pub fn run(options: Options) -> Result<()> {
    if options.cluster {
        cf_bed::possible()?;
    }
    headline("clusterdrop on this machine");
    println!("  Nothing leaves it: AWS is played by an emulator on 127.0.0.1, and ends with this command.\n");
    if !options.built {
        install_and_compile()?;
    }
    let port = Some(options.port).filter(|port| *port > 0);
    let base = if options.cluster { Some(step("the machines' Debian, for the test bed", || Base::prepare(&|_| {}))?) } else { None };
    let pace = if options.nodes { nodes::PACE } else { Pace::DEMO };
    let emulator = step("starting the local AWS", || Emulator::start(port, pace))?;
    let url = emulator.url();
    if !options.built {
        step("sam build: the functions and the nodes' agent, as they were compiled", deploy::build)?;
    }
    step("sam deploy: template.yaml as it is", || {
        deploy::verify_sender(&url)?;
        deploy::deploy(&url, &[])
    })?;
    let alice = Alice::at(&url);
    match base {
        Some(base) => bed::show(&alice, &base, options.keep, &emulator),
        None if options.nodes => nodes::show(&alice, options.keep, &emulator),
        None => life::show(&alice, options.keep, &emulator),
    }
}

/// Compiling takes the longest, so it begins as soon as its own tool is there, and the others are installed meanwhile.
fn install_and_compile() -> Result<()> {
    let install = |tool: Tool| step(&format!("tools: {}, pinned", tool.contents()), || tool.install(&|_| {}));
    thread::scope(|scope| {
        let others = scope.spawn(move || install(Tool::Emulator).and_then(|()| install(Tool::Sam)));
        install(Tool::CargoLambda)?;
        step("the functions and the nodes' agent, in Rust (the first time takes minutes)", deploy::compile)?;
        others.join().map_err(|_| anyhow!("installing the tools panicked"))?
    })
}

/// Gives Alice a profile; without one there is no cluster.
fn give_profile(alice: &Alice, files: &[(&str, &str)]) -> Result<()> {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    step(&format!("the administrator gives alice a profile, s3://{CUSTOMIZER_BUCKET}/customizer/alice/: {}", names.join(" ")), || {
        files.iter().try_for_each(|(name, content)| alice.aws.put(CUSTOMIZER_BUCKET, &format!("customizer/alice/{name}"), content))
    })
}

/// Waits until `seen` gives something.
fn until<T>(what: &str, seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait::until(what, WAIT_MAX, seen)
}

/// Until Ctrl-C ends us. `more` are other commands to try.
fn leave_running(emulator: &Emulator, more: &[String]) -> ! {
    headline("It is running. Try it with the plain AWS CLI, in another terminal in this folder:");
    let aws = ".tools/emulator/bin/aws";
    println!();
    show(&format!(
        "export AWS_ENDPOINT_URL={} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION={REGION}\n\
         {aws} s3 ls s3://{USER_BUCKET}/home/alice/\n\
         {aws} s3 cp s3://{USER_BUCKET}/home/alice/mycluster.cf-status -\n\
         echo | {aws} s3 cp - s3://{USER_BUCKET}/home/alice/mycluster.cf-delete",
        emulator.url()
    ));
    show(&more.join("\n"));
    println!("\n  Ctrl-C ends it.");
    loop {
        thread::park();
    }
}
