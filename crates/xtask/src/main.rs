//! The chores of this project. `cargo xtask` alone lists them.

mod checks;
mod chore;
mod demo;
mod deny;
mod deployable;
#[cfg(test)]
mod documents_tests;
mod named;
mod ours;
mod partitions;
mod policies;
mod regions;
mod rules;
mod shell;
mod simulate;
mod smoke;
mod templates;
mod test;
mod threats;
mod transcript;

use std::process::ExitCode;

use anyhow::Result;
use cf_local::interruption::{self, PATIENCE_WITH_GRANDCHILDREN};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of clusterdrop", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Deploy to a local AWS, drop a file, get a cluster, drop another, and it is gone
    Demo(demo::Options),
    /// Run the tests: format, lints, documentation, unit, simulation, templates, end to end
    Test {
        /// Only the steps whose names contain this, and what they need
        test_step: Option<String>,
        /// Also what takes long and finds little: live access tests, upgrade, every request spoiled, most seeds, instructions
        #[arg(long)]
        deep: bool,
    },
    /// Simulate whole lives of clusters, with everything that can go wrong; `-- --help` tells of its options
    Simulate {
        /// Passed on: --seeds N, --seed S, --whole, --rate
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Measure cold start, latency and memory beside a floor and a baseline: some minutes, on a quiet machine
    Bench {
        /// Passed on: --nodes for the node agent, --quick, --no-build, --turns N; `-- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
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

fn main() -> ExitCode {
    let chore = Arguments::parse().chore;
    cf_local::scratch::sweep();
    match run(chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{} {error:#}", console::style("Stopped:").red().bold());
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    interruption::watch(PATIENCE_WITH_GRANDCHILDREN, || eprintln!("\nInterrupted; nothing is left running."))?;
    match chore {
        Chore::Demo(options) => demo::run(options),
        Chore::Test { test_step, deep } => test::run(test_step.as_deref(), deep),
        Chore::Simulate { options } => simulate::run(&options),
        Chore::Bench { options } => ours::run("cf-bench", &[vec!["measure".to_owned()], options].concat()),
        Chore::Regions => regions::run(),
        Chore::Smoke { plan } => smoke::run(plan),
        Chore::Sync => ours::run("cf-sync", &[]),
    }
}
