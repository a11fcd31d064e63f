//! What is shown: counts, failures, stories, and the rate of plain lives.
#![expect(clippy::cast_precision_loss, reason = "counts that are shown, far below 2^52")]

use std::time::Instant;

use cf_sim::simulate::{Report, RunSettings, Tally, plain, tally};
use console::style;

/// Which sizes the table has.
pub fn counts(tally: &Tally, seconds: f64) {
    let per_run = |n: u64| n as f64 / tally.runs.max(1) as f64;
    println!("\n{} runs in {seconds:.1} s ({:.0} a second)", tally.runs, tally.runs as f64 / seconds);
    println!("  {} stacks made, {} files dropped, {} passes", tally.lives, tally.uploads, tally.passes);
    println!("  {} runs with several users or an upload replaced or withdrawn ({:.0} %)", tally.shared, 100.0 * per_run(tally.shared));
    println!("  {} faults, {:.1} a run", tally.faults(), per_run(tally.faults()));
    for (kind, count) in tally.by_kind() {
        println!("    {count:>10}  {}", kind.word());
    }
    let (possible, missed) = (tally::possible().len(), tally.missed());
    println!(
        "  {} of the {possible} situations that can exist were met: rows of the table, and what triage answers",
        possible - missed.len()
    );
    let odd = tally.impossible();
    println!("  {} more were met, which only a look that lags can show", odd.len());
    for situation in odd.iter().take(5) {
        println!("    {situation}");
    }
    for situation in missed.iter().take(5) {
        println!("    not met: {situation}");
    }
    let [none, one, two] = tally.sweeps;
    println!("  after the faults, with nothing else moving: no sweep was needed in {none} runs, one in {one}, two in {two}");
}

/// The seeds that failed.
pub fn failures(failed: &[(u64, String)]) {
    println!("\n{} {} runs went wrong:", style("✗").red(), failed.len());
    for (seed, what) in failed {
        println!("  --seed {seed}: {what}");
    }
}

/// One run as a log.
pub fn log(setting: &RunSettings<'_>, report: &Report) {
    let start = setting.start.map(|start| format!(", which begins with: {start}")).unwrap_or_default();
    let (lines, faults) = (report.lines - setting.left_out.len(), report.injected.len());
    println!("\nSeed {}{start}\n({lines} of {} steps, {faults} faults; seconds since the start)\n", setting.seed, report.lines);
    for line in &report.log {
        println!("{line}");
    }
    for wrong in &report.findings {
        println!("\n{} {wrong}", style("✗").red());
    }
    if report.findings.is_empty() {
        println!("\n{} nothing went wrong", style("✓").green());
    }
}

/// How many plain lives one core simulates in a second: created, ready, deleted, gone, with nothing going wrong.
pub fn rate() {
    const LIVES: usize = 20_000;
    let begun = Instant::now();
    let lived = (0..LIVES as u64).filter(|seed| plain::life(*seed)).count();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{lived} of {LIVES} plain lives in {seconds:.2} s on one core: {:.0} a second", lived as f64 / seconds);
}
