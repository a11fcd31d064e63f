//! Saying what is being done, and how long it took.

use std::time::{Duration, Instant};

use anyhow::Result;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};

/// A step that takes a while: shown while it runs, and how long it took.
pub async fn step<T: Send + 'static>(what: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let begun = Instant::now();
    let bar = ProgressBar::new_spinner();
    if let Ok(look) = ProgressStyle::with_template("  {spinner} {msg} {elapsed}") {
        bar.set_style(look);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    if bar.is_hidden() {
        println!("  … {what}");
    }
    let done = tokio::task::spawn_blocking(work).await?;
    bar.finish_and_clear();
    match &done {
        Ok(_) => println!("  {} {what} {}", style("✓").green(), style(format!("({:.1} s)", begun.elapsed().as_secs_f64())).dim()),
        Err(_) => println!("  {} {what}", style("✗").red()),
    }
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
