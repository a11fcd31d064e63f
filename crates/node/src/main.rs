//! The program `cf-node`: its command line, and nothing else.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use cf_node::scaling::command as scaling;
use cf_node::{agent, customize, exchange, install, members, proxy, publish, service, try_out};
use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "cf-node", version, about = "What every node of a clusterdrop cluster runs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this machine a node of its cluster, and keep it one: what systemd starts
    Boot(agent::command::BootArgs),
    /// Run the scripts of one event of a profile on this machine, in a copy of its folder, before it goes to S3
    #[command(after_help = "Exit status: 0 if all scripts succeeded, 1 if one failed, 2 for a wrong use.")]
    Try(try_out::Options),
    /// Put this program in its place on this node, and start it where systemd runs
    Install(install::Options),
    /// List the members of this node's cluster
    Members(members::command::ListArgs),
    /// The profiles of this node: list, apply, push, pull and trigger them, and the job queue
    Customize(customize::command::Options),
    /// All-to-all exchange: what nodes send each other before they are configured
    #[command(subcommand)]
    Exchange(exchange::command::Exchange),
    /// Services: programs that Slurm keeps running on a node until they are removed
    #[command(subcommand)]
    Service(service::command::Verb),
    /// Slurm's call for nodes: the login node's agent starts machines for them
    Resume(scaling::NodesArgs),
    /// Slurm's call to end nodes
    Suspend(scaling::NodesArgs),
    /// Slurm's word that nodes did not come in time
    ResumeFailed(scaling::NodesArgs),
    /// Whether nodes start and end as jobs need them, on the login node
    Autoscaling(scaling::AutoscalingArgs),
    /// Take part in the gossip, and nothing else
    #[command(hide = true)]
    Gossip(members::command::GossipArgs),
    /// Serve as a proxy to a port of this machine, and do nothing else
    #[command(hide = true)]
    Proxy(proxy::command::ProxyArgs),
}

fn main() -> ExitCode {
    if publish::is_function() {
        return in_runtime(async { publish::run().await.map(|()| ExitCode::SUCCESS).map_err(|error| anyhow!(error)) });
    }
    let done = match Arguments::parse().command {
        Command::Try(options) => return in_runtime(async { Ok(ExitCode::from(try_out::run(&options).await)) }),
        Command::Customize(options) => return in_runtime(async { Ok(customize::command::run(options).await) }),
        Command::Install(options) => return in_runtime(async { install::run(&options).await.map(|()| ExitCode::SUCCESS) }),
        Command::Exchange(command) => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            return in_runtime(async { exchange::command::run(command).await.map(|()| ExitCode::SUCCESS) });
        }
        Command::Proxy(args) => return call(proxy::command::run(args)),
        Command::Service(verb) => return in_runtime(service::command::run(verb)),
        Command::Resume(args) => return call(scaling::nodes(scaling::About::Resume, args)),
        Command::Suspend(args) => return call(scaling::nodes(scaling::About::Suspend, args)),
        Command::ResumeFailed(args) => return call(scaling::nodes(scaling::About::ResumeFailed, args)),
        Command::Autoscaling(args) => return call(scaling::autoscaling(args)),
        Command::Boot(args) => agent::command::run(args, async |settings, layout| Ok(agent::world::Aws::new(settings, layout).await)),
        Command::Members(args) => members::command::list(&args),
        Command::Gossip(args) => members::command::gossip(args),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

/// A command that succeeds with nothing to say: most are calls to this node's agent.
fn call(command: impl Future<Output = Result<()>>) -> ExitCode {
    in_runtime(async { command.await.map(|()| ExitCode::SUCCESS) })
}

/// Runs a command on one thread: a node has other work for its processors.
fn in_runtime(command: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ended(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(command)))
}

fn ended(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("cf-node: {error:#}");
        ExitCode::FAILURE
    })
}
