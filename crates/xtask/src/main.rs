//! The chores of this project. `cargo xtask` alone lists them.

mod chore;
mod demo;
mod deny;
mod deployable;
#[cfg(test)]
mod documents_tests;
mod parameters;
mod partitions;
mod policies;
mod regions;
mod rules;
mod shell;
mod simulate;
mod smoke;
mod sync;
mod templates;
mod test;
mod threats;
mod verbs;

use std::process::ExitCode;

use cf_bench::How;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of clusterdrop", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Deploy to a local AWS, drop a file, get a cluster, drop another, and it is gone
    Demo {
        /// Leave it running at the end, to be tried with the plain AWS CLI
        #[arg(long)]
        keep: bool,
        /// The port of the local AWS
        #[arg(long, default_value_t = 4566)]
        port: u16,
    },
    /// Run every test there is: format, lints, documentation, unit, simulation, templates, end to end
    Test {
        /// Only the parts whose names contain this
        part: Option<String>,
    },
    /// Simulate whole lives of clusters, with everything that can go wrong; `-- --help` tells of its options
    Simulate {
        /// Passed on: --seeds N, --seed S, --whole, --rate
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure cold start, latency and memory beside a floor and a baseline: some minutes, on a quiet machine
    Bench {
        /// A few processes only, for a look
        #[arg(long)]
        quick: bool,
        /// What lies in target/release is measured as it is: to compare builds
        #[arg(long)]
        no_build: bool,
        /// So many fresh processes of each; with 0, only sizes and the functions' instructions are told
        #[arg(long)]
        turns: Option<usize>,
    },
    /// Write templates/regions.txt: which of the offered EC2 types each Region lacks, as the pinned linter knows it
    Regions,
    /// Print the commands of the smoke test against a real account, with what each must print
    Smoke {
        /// Print them; nothing is run
        #[arg(long)]
        plan: bool,
    },
    /// Write the generated text: in template.yaml the template's digest, the policies of iam/ and the types of nodes; in
    /// docs/users.md the table of parameters
    Sync,
}

#[tokio::main]
async fn main() -> ExitCode {
    let chore = Arguments::parse().chore;
    cf_e2e::scratch::sweep();
    let work = async {
        match chore {
            Chore::Demo { keep, port } => demo::run(keep, port).await,
            Chore::Test { part } => test::run(part.as_deref()).await,
            Chore::Simulate { options } => tokio::task::spawn_blocking(move || simulate::run(&options)).await?,
            Chore::Bench { quick, no_build, turns } => {
                let how = if quick { How::QUICK } else { How::FULL };
                cf_bench::run(How { build: !no_build, turns: turns.unwrap_or(how.turns), ..how }).await
            }
            Chore::Regions => tokio::task::spawn_blocking(regions::run).await?,
            Chore::Smoke { plan } => smoke::run(plan),
            Chore::Sync => sync::run(),
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = interrupted() => {
            cf_e2e::children::end_all();
            cf_e2e::scratch::remove_all();
            eprintln!("\nInterrupted; nothing is left running.");
            // Threads that waited for a child have nothing more to do.
            std::process::exit(130);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{} {error:#}", console::style("Stopped:").red().bold());
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C, or being ended by others.
async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} },
        // Without handlers the signals end us as they always do.
        _ => std::future::pending().await,
    }
}
