//! Saying what is being done, and how long it took. Steps may run side by side.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Result;
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The steps that run, one line each.
static STEPS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A step that takes a while: shown while it runs, and how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    watched(what, work, |done, took| match done {
        Ok(_) => println!("  {} {what} {}", style("✓").green(), style(format!("({took:.1} s)")).dim()),
        Err(_) => println!("  {} {what}", style("✗").red()),
    })
}

/// Shows a step while it runs; `tell` says what it came to, and in how many seconds.
pub fn watched<T>(what: &str, work: impl FnOnce() -> Result<T>, tell: impl FnOnce(&Result<T>, f64)) -> Result<T> {
    let begun = Instant::now();
    let bar = STEPS.add(ProgressBar::new_spinner());
    if let Ok(look) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
        bar.set_style(look);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    if bar.is_hidden() {
        println!("  … {what}");
    }
    let done = work();
    bar.finish_and_clear();
    STEPS.remove(&bar);
    // The lines of the steps beside this one would be drawn into what is told.
    STEPS.suspend(|| tell(&done, begun.elapsed().as_secs_f64()));
    done
}

/// A headline.
pub fn headline(text: &str) {
    println!("\n{}", style(text).bold());
}

/// A text as it stands in a file, set off from the rest.
pub fn show(text: &str) {
    for line in text.lines() {
        println!("    {}", style(line).cyan());
    }
}
