//! What a run has found, on the screen.

use console::style;

use crate::figures::{Spread, paired, short, spread};
use crate::run::{Condition, Found, Sample};
use crate::subject::{CREATE, HELLO, IDLE, PYTHON, SWEEP};

const ORDER: [&str; 5] = [HELLO, CREATE, IDLE, SWEEP, PYTHON];

/// Prints all of it.
pub fn print(found: &Found) {
    println!("\n  Medians of {} fresh processes each, in turns; least and most in brackets. Milliseconds and MiB.", found.turns);
    for condition in &found.conditions {
        one(condition, found.held_by);
    }
    println!("\n  {}", style("Size in MB, instructions in millions").bold());
    for (name, (program, zip)) in &found.sizes {
        println!("  {name:<10} program {program:>5.2}   zip {zip:>5.2}");
    }
    for name in ORDER {
        if let Some(i) = found.instructions.get(name) {
            println!("  {name:<10} init {:>8}   first {:>8}   warm {:>8}", short(i.init), short(i.first), short(i.warm));
        }
    }
    aims(found);
}

fn one(condition: &Condition, held_by: &str) {
    println!("\n  {}", style(&condition.name).bold());
    if let Some(share) = condition.share {
        println!(
            "  held by {held_by}: a process that only counts had {:.1} % of a processor; {:.1} % was meant",
            share * 1e2,
            crate::share::SHARE * 1e2
        );
    }
    println!("  {:<10} {:>22} {:>22} {:>22} {:>20} {:>14}", "", "init", "first", "warm", "peak memory", "calls, rounds");
    for name in ORDER {
        let Some(samples) = condition.samples.get(name) else { continue };
        let cell = |of: fn(&Sample) -> f64| spread(&column(samples, of)).map_or_else(String::new, show);
        let last = samples.last().map_or_else(String::new, |s| format!("{}, {}", s.calls, s.rounds));
        let cells = [cell(|s| s.init), cell(|s| s.first), cell(|s| s.warm), cell(|s| s.memory)];
        println!("  {name:<10} {:>22} {:>22} {:>22} {:>20} {last:>14}", cells[0], cells[1], cells[2], cells[3]);
    }
}

fn show(spread: Spread) -> String {
    format!("{} ({}–{})", short(spread.median), short(spread.min), short(spread.max))
}

fn column(samples: &[Sample], of: fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(of).collect()
}

/// One line of the aims.
struct Aim {
    what: &'static str,
    is: Option<Spread>,
    /// At most this, or, where `least`, at least.
    bound: f64,
    least: bool,
}

fn aims(found: &Found) {
    println!("\n  {}", style("The aims: paired ratios, medians").bold());
    for aim in list(found) {
        let Some(is) = aim.is else { continue };
        let met = if aim.least { is.median >= aim.bound } else { is.median <= aim.bound };
        let mark = if met { style("met").green() } else { style("missed").red() };
        println!("  {:<58} {} {:<5} {:>22}  {mark}", aim.what, if aim.least { "≥" } else { "≤" }, short(aim.bound), show(is));
    }
}

fn list(found: &Found) -> Vec<Aim> {
    let ratio = |nth: usize, above: &str, below: &str, of: fn(&Sample) -> f64| {
        let samples = &found.conditions.get(nth)?.samples;
        paired(&column(samples.get(above)?, of), &column(samples.get(below)?, of))
    };
    let path = |nth: usize, of: fn(&Sample) -> f64, path: fn(&Sample) -> f64| {
        let samples = found.conditions.get(nth)?.samples.get(CREATE)?;
        paired(&column(samples, of), &column(samples, path))
    };
    // Against 20 ms a round as they were meant: what the stub and a busy machine add counts against the function.
    let meant = |nth: usize, of: fn(&Sample) -> f64| {
        let condition = found.conditions.get(nth)?;
        let samples = condition.samples.get(CREATE)?;
        #[expect(clippy::cast_precision_loss, reason = "some rounds of some milliseconds")]
        let paths: Vec<f64> = samples.iter().map(|s| (s.rounds as u64 * condition.latency) as f64).collect();
        paired(&column(samples, of), &paths)
    };
    let counted = |of: fn(&crate::instructions::Instructions) -> f64| spread(&[of(found.instructions.get(CREATE)?)]);
    let zip = found.sizes.values().map(|(_, zip)| *zip).fold(0.0, f64::max);
    let aim = |what, is, bound, least| Aim { what, is, bound, least };
    vec![
        aim("warm ÷ critical path as the stub clocked it, 20 ms a call", path(1, |s| s.warm, |s| s.warm_path), 1.06, false),
        aim("first ÷ critical path, connections opened in init", path(1, |s| s.first, |s| s.first_path), 1.10, false),
        aim("first ÷ critical path, at 128 MB's share", path(2, |s| s.first, |s| s.first_path), 1.5, false),
        aim("warm ÷ 20 ms a round", meant(1, |s| s.warm), 1.06, false),
        aim("first ÷ 20 ms a round", meant(1, |s| s.first), 1.10, false),
        aim("first ÷ 20 ms a round, at 128 MB's share", meant(2, |s| s.first), 1.5, false),
        aim("Python's first ÷ ours, at 128 MB's share", ratio(2, PYTHON, CREATE, |s| s.first), 20.0, true),
        aim("Python's init and first ÷ ours, at 128 MB's share", ratio(2, PYTHON, CREATE, |s| s.init + s.first), 20.0, true),
        aim("init ÷ hello's, as it ships", ratio(0, CREATE, HELLO, |s| s.init), 2.2, false),
        aim("Python's init ÷ ours, as it ships", ratio(0, PYTHON, CREATE, |s| s.init), 50.0, true),
        aim("init ÷ hello's, no connections opened", ratio(0, IDLE, HELLO, |s| s.init), 2.2, false),
        aim("Python's init ÷ ours, no connections opened", ratio(0, PYTHON, IDLE, |s| s.init), 50.0, true),
        aim("peak memory ÷ hello's", ratio(0, CREATE, HELLO, |s| s.memory), 3.4, false),
        aim("Python's peak memory ÷ ours", ratio(0, PYTHON, CREATE, |s| s.memory), 6.0, true),
        aim("instructions of init, millions", counted(|i| i.init), 15.0, false),
        aim("instructions of the first event, millions", counted(|i| i.first), 12.0, false),
        aim("instructions of a warm event, millions", counted(|i| i.warm), 2.5, false),
        aim("largest zip, MB", spread(&[zip]), 4.0, false),
    ]
}
