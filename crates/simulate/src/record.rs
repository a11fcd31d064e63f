//! Two builds compared: the older one records what it did from each seed, the newer one runs the same seeds. From one seed both see
//! the same world for as long as they do the same, so the first effect that differs is a decision that differs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use cf_sim::simulate::dice::named;
use cf_sim::simulate::{RunSettings, run, tally};

/// What a seed did: of each effect its kind, and a hash of all of it that is the same in every build.
fn traced(seed: u64) -> Vec<String> {
    let report = run(&RunSettings { traces: true, ..tally::setting(seed) });
    report.trace.iter().map(|line| format!("{}:{:016x}", line.split(' ').next().unwrap_or_default(), named(line))).collect()
}

/// Runs a piece of work for every seed, on all cores.
fn each(seeds: impl Iterator<Item = u64> + Send, work: impl Fn(u64) + Sync) {
    let seeds = Mutex::new(seeds);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(seed) = next else { return };
                    work(seed);
                }
            });
        }
    });
}

/// Writes a line for each seed: the seed, then its effects.
pub fn record(file: &Path, first: u64, count: u64) -> Result<()> {
    let out = Mutex::new(BufWriter::new(File::create(file).with_context(|| file.display().to_string())?));
    let lost = AtomicU64::new(0);
    each(first..first + count, |seed| {
        let effects = traced(seed);
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        if writeln!(out, "{seed} {}", effects.join(" ")).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    });
    out.into_inner().unwrap_or_else(PoisonError::into_inner).flush()?;
    anyhow::ensure!(lost.into_inner() == 0, "{} could not be written", file.display());
    println!("{count} seeds from {first} on are recorded in {}", file.display());
    Ok(())
}

/// The first effect of a seed in which the builds differ.
fn difference(old: &str, seed: u64) -> Option<(usize, String)> {
    let (old, new): (Vec<&str>, _) = (old.split(' ').filter(|e| !e.is_empty()).collect(), traced(seed));
    let nth = (0..old.len().max(new.len())).find(|&nth| old.get(nth).copied() != new.get(nth).map(String::as_str))?;
    let kind = |effect: Option<&str>| effect.map_or("nothing", |e| e.split(':').next().unwrap_or_default()).to_owned();
    Some((nth, format!("was {}, is {}", kind(old.get(nth).copied()), kind(new.get(nth).map(String::as_str)))))
}

/// Compares every recorded seed; whether all are the same. Prints the differences by kind, each with its first seeds.
pub fn compare(file: &Path) -> Result<bool> {
    let lines = BufReader::new(File::open(file).with_context(|| file.display().to_string())?).lines();
    let recorded: BTreeMap<u64, String> = lines
        .map(|line| {
            let line = line?;
            let (seed, effects) = line.split_once(' ').unwrap_or((&line, ""));
            Ok((seed.parse().with_context(|| format!("{} is no record", file.display()))?, effects.to_owned()))
        })
        .collect::<Result<_>>()?;
    let differing: Mutex<BTreeMap<String, Vec<(u64, usize)>>> = Mutex::default();
    each(recorded.keys().copied(), |seed| {
        if let Some((nth, what)) = difference(&recorded[&seed], seed) {
            differing.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default().push((seed, nth));
        }
    });
    let differing = differing.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count: usize = differing.values().map(Vec::len).sum();
    println!("{} seeds compared, {count} differ", recorded.len());
    for (what, mut seeds) in differing {
        seeds.sort_unstable();
        let first: Vec<String> = seeds.iter().take(5).map(|(seed, nth)| format!("--seed {seed} at effect {nth}")).collect();
        println!("  {:>6}  {what}: {}", seeds.len(), first.join(", "));
    }
    Ok(count == 0)
}
