//! The yardstick: the functions' real binaries, each as a fresh process, under a small Lambda and against a stub of AWS;
//! beside them, in turns, a floor (a Lambda in Rust that does nothing) and a baseline (the original's calls in Python).
//!
//! Times are for people to look at, and only as ratios within one run. What can fail a build is counted: [`counts`].
//! `cargo xtask bench` and `cargo xtask test counts` run this program.

mod binaries;
mod counts;
mod figures;
mod instructions;
mod lambda;
mod libraries;
mod nodes;
mod run;
mod share;
mod start;
mod stub;
mod subject;
mod table;
mod valgrind;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser};

use run::RunOptions;

#[derive(Parser)]
enum Work {
    /// Measure cold start, latency and memory, beside a floor and a baseline
    Measure(Measure),
    /// Count what can be counted, and fail where it is not what it should be
    Counts {
        /// Build cf-create as it ships, for its size and its instructions too
        #[arg(long)]
        deep: bool,
    },
}

#[derive(Args)]
struct Measure {
    /// The node agent's figures instead of the functions'
    #[arg(long, conflicts_with = "turns")]
    nodes: bool,
    /// A few processes only, for a look
    #[arg(long)]
    quick: bool,
    /// What lies in target/release is measured as it is: to compare builds
    #[arg(long)]
    no_build: bool,
    /// So many fresh processes of each; with 0, only sizes and the functions' instructions are told
    #[arg(long)]
    turns: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    cf_local::interruption::watch(cf_local::interruption::PATIENCE, || ())?;
    match Work::parse() {
        Work::Counts { deep: false } => counts::check().await,
        Work::Counts { deep: true } => counts::check_deep().await,
        Work::Measure(Measure { nodes: true, quick, no_build, .. }) => {
            tokio::task::spawn_blocking(move || nodes::run(nodes::Options { quick, build: !no_build })).await?
        }
        Work::Measure(Measure { quick, no_build, turns, .. }) => {
            let how = if quick { RunOptions::QUICK } else { RunOptions::FULL };
            run::run(RunOptions { build: !no_build, turns: turns.unwrap_or(how.turns), ..how }).await
        }
    }
}

/// Where logs and results go.
fn folder() -> PathBuf {
    cf_local::root().join("target").join("bench")
}
