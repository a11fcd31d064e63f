//! The program `cf-node`: its command line, and nothing else.

use std::process::ExitCode;

use cf_node::members;
use clap::{Parser, Subcommand};

/// clusterdrop's node agent
#[derive(Parser)]
#[command(name = "cf-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the members of this node's cluster
    Members(members::command::ListArgs),
    /// Take part in the gossip, and nothing else
    #[command(hide = true)]
    Gossip(members::command::GossipArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Members(args) => members::command::list(&args),
        Command::Gossip(args) => members::command::gossip(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cf-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}
