//! The program `cf-node`: its command line, and nothing else.

use std::process::ExitCode;

use cf_node::try_out;
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
    /// Run the scripts of one event of a profile on this machine, in a copy of its folder, before it goes to S3
    #[command(after_help = "Exit status: 0 if all scripts did well, 1 if one failed, 2 for a wrong use.")]
    Try(try_out::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Try(options) => ExitCode::from(try_out::run(&options).await),
    }
}
