//! `cargo xtask simulate`: seeds on all cores, a rate, counts, and the log of the first run that fails.

mod crowd;
mod record;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use cf_sim::simulate::{RunSettings, run, shrink, tally};
use clap::Parser;

/// Worlds are made and dropped ten thousand times a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "cargo xtask simulate", about = "Simulates whole lives of clusters, with everything that can go wrong")]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// The first seed; alone, it is the only one, and its log is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Print the log of that seed as it is, without leaving anything out
    #[arg(long)]
    whole: bool,
    /// Measure how many plain lives of a cluster one core simulates in a second
    #[arg(long)]
    rate: bool,
    /// Write what every seed did to a file, to compare another build with it
    #[arg(long)]
    record: Option<PathBuf>,
    /// Compare what every seed does with what another build has recorded there
    #[arg(long, conflicts_with = "record")]
    compare: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let is_one = arguments.seed.is_some() && !std::env::args().any(|a| a.starts_with("--seeds"));
    if arguments.rate {
        show::rate();
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(seed), true) = (arguments.seed, is_one) {
        return Ok(show_log(seed, arguments.whole));
    }
    if let Some(file) = arguments.record {
        record::record(&file, arguments.seed.unwrap_or(1), arguments.seeds)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = arguments.compare {
        let is_same = record::compare(&file)?;
        return Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let ended = crowd::simulate(arguments.seed.unwrap_or(1), arguments.seeds)?;
    show::counts(&ended.tally, ended.seconds);
    if ended.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    show::failures(&ended.failed);
    Ok(show_log(ended.failed[0].0, false))
}

/// Prints one seed's log; of a failing one, the least that still fails.
fn show_log(seed: u64, whole: bool) -> ExitCode {
    let setting = RunSettings { keeps_log: true, ..tally::setting(seed) };
    let report = run(&setting);
    if report.findings.is_empty() || whole {
        show::log(&setting, &report);
    } else {
        let least = shrink(&setting);
        show::log(&least, &run(&least));
    }
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
