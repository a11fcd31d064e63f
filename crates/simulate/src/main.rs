//! `cargo xtask simulate`: seeds on all cores, a rate, counts, and the story of the first run that fails.

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
    /// The first seed; alone, it is the only one, and its story is told
    #[arg(long)]
    seed: Option<u64>,
    /// Tell the story of that seed as it is, without leaving anything out
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
        return Ok(tell(seed, arguments.whole));
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
    Ok(tell(ended.failed[0].0, false))
}

/// Tells one seed's story; of a failing one, the least that still fails.
fn tell(seed: u64, whole: bool) -> ExitCode {
    let setting = RunSettings { tells: true, ..tally::setting(seed) };
    let report = run(&setting);
    if report.wrongs.is_empty() || whole {
        show::story(&setting, &report);
    } else {
        let least = shrink(&setting);
        show::story(&least, &run(&least));
    }
    if report.wrongs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
