//! Many seeds on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use cf_sim::simulate::{Tally, run, tally};
use indicatif::{ProgressBar, ProgressStyle};

/// What came of it.
pub struct Ended {
    /// Counts.
    pub tally: Tally,
    /// Seeds that failed, and why; the first few.
    pub failed: Vec<(u64, String)>,
    /// How long it took.
    pub seconds: f64,
}

/// Seeds that one core takes at a time.
const BATCH: u64 = 50;
/// After so many failures there is enough to look at.
const FAILURES_MAX: usize = 20;

/// Runs `count` seeds from `first` on.
pub fn simulate(first: u64, count: u64) -> Result<Ended> {
    let begun = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{count} seeds from {first} on, on {cores} cores");
    let bar = ProgressBar::new(count);
    bar.set_style(ProgressStyle::with_template("  {wide_bar} {pos}/{len} seeds, {per_sec}, {eta} left")?);
    let (next, shared) = (AtomicU64::new(first), Mutex::new((Tally::default(), Vec::new())));
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| work(&next, first + count, &bar, &shared));
        }
    });
    drop(std::panic::take_hook());
    bar.finish_and_clear();
    let (tally, mut failed) = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort();
    Ok(Ended { tally, failed, seconds: begun.elapsed().as_secs_f64() })
}

fn work(next: &AtomicU64, end: u64, bar: &ProgressBar, shared: &Mutex<(Tally, Vec<(u64, String)>)>) {
    loop {
        let from = next.fetch_add(BATCH, Ordering::Relaxed);
        if from >= end {
            return;
        }
        let to = end.min(from + BATCH);
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        for seed in from..to {
            match std::panic::catch_unwind(|| run(&tally::setting(seed))) {
                Ok(report) => {
                    tally.add(&report);
                    failed.extend(report.findings.first().map(|what| (seed, what.to_string())));
                }
                Err(_) => failed.push((seed, "it panicked".to_owned())),
            }
        }
        bar.inc(to - from);
        let mut shared = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.0.merge(&tally);
        shared.1.extend(failed);
        if shared.1.len() >= FAILURES_MAX {
            next.store(end, Ordering::Relaxed);
        }
    }
}
