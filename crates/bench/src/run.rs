//! One run of the yardstick: every condition, every subject, in turns.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use cf_local::tools::Tool;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::binaries::{self, FUNCTIONS};
use crate::counts::LATENCY_MILLISECONDS;
use crate::figures::spread;
use crate::instructions::{self, Instructions};
use crate::lambda::Function;
use crate::share::Share;
use crate::stub::{Stub, calls};
use crate::subject::{PYTHON, Subject};
use crate::valgrind::Valgrind;
use crate::{folder, table};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Fresh processes of each subject, under each condition.
    pub turns: usize,
    /// Whether instructions are counted too: minutes, for Python.
    pub instructions: bool,
    /// Whether the programs are built first, or measured as they lie in target/release.
    pub build: bool,
}

impl RunOptions {
    /// What a figure in the documentation comes from.
    pub const FULL: Self = Self { turns: 20, instructions: true, build: true };
    /// For a look.
    pub const QUICK: Self = Self { turns: 3, instructions: false, build: true };
}

/// What one process took.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// From its start to its first question for an event, in milliseconds.
    pub init: f64,
    /// From the first event to its answer.
    pub first: f64,
    /// The median of the events after it.
    pub warm: f64,
    /// The most memory that it held, in MiB.
    pub memory: f64,
    /// What the critical path of the first event took in the stub.
    pub first_path: f64,
    /// And that of the warm ones.
    pub warm_path: f64,
    /// How many rounds of calls a warm event took, one after the other.
    pub rounds: usize,
    /// How many calls a warm event took.
    pub calls: usize,
}

/// Under which conditions.
#[derive(Debug, Clone, Serialize)]
pub struct Condition {
    /// As the table calls it.
    pub name: String,
    /// How long AWS takes for an answer, in milliseconds.
    pub latency: u64,
    /// The share of a processor that it has, where it is held; as measured.
    pub share: Option<f64>,
    /// Of each subject, turn by turn.
    pub samples: BTreeMap<&'static str, Vec<Sample>>,
}

/// All that a run has found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// How often.
    pub turns: usize,
    /// How the processor was held.
    pub held_by: &'static str,
    /// The times.
    pub conditions: Vec<Condition>,
    /// Program and zip in MB.
    pub sizes: BTreeMap<&'static str, (f64, f64)>,
    /// Instructions; empty where they were not counted.
    pub instructions: BTreeMap<&'static str, Instructions>,
}

/// A warm invocation is seen so often in each process.
const WARM: usize = 9;

/// Builds, installs, measures, prints, and writes `target/bench/result.json`.
pub async fn run(how: RunOptions) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        if how.build {
            binaries::build_functions()?;
            binaries::build("cf-hello")?;
        }
        Tool::Bench.install(&|what| println!("  {what}"))
    })
    .await??;
    fs::create_dir_all(folder())?;
    let stub = Stub::start(&folder()).await?;
    let subjects = Subject::all(&stub, &folder())?;
    let share = Share::find();
    let held = share.calibrate()?;
    let conditions = [("AWS at once", 0, None), ("AWS after 20 ms", 20, None), ("AWS after 20 ms, 128 MB's share", 20, Some(held))];
    let bar = ProgressBar::new((conditions.len() * how.turns * subjects.len()) as u64);
    bar.set_style(ProgressStyle::with_template("  {bar:30.cyan/dim} {pos:>3}/{len} {msg}, {eta} left")?);
    let mut found =
        Found { turns: how.turns, held_by: share.by(), conditions: Vec::new(), sizes: BTreeMap::new(), instructions: BTreeMap::new() };
    for (name, latency, held) in conditions {
        stub.set_latency(latency);
        let mut condition = Condition { name: name.to_owned(), latency, share: held, samples: BTreeMap::new() };
        for turn in 0..how.turns {
            for place in 0..subjects.len() {
                // Nobody always comes after the same other.
                let subject = &subjects[(place + turn) % subjects.len()];
                bar.set_message(format!("{name}: {}", subject.name));
                let sample = measure(&stub, subject, held.map(|_| &share)).await?;
                condition.samples.entry(subject.name).or_default().push(sample);
                bar.inc(1);
            }
        }
        found.conditions.push(condition);
    }
    bar.finish_and_clear();
    for name in FUNCTIONS {
        found.sizes.insert(name, binaries::sizes(name)?);
    }
    // What took minutes is kept, whatever happens to the counting.
    let path = folder().join("result.json");
    fs::write(&path, serde_json::to_string_pretty(&found)?)?;
    stub.set_latency(LATENCY_MILLISECONDS);
    if how.instructions {
        count(&subjects, &mut found).await;
        fs::write(&path, serde_json::to_string_pretty(&found)?)?;
    }
    table::print(&found);
    println!("\n  All of it: {}", path.display());
    Ok(())
}

async fn count(subjects: &[Subject], found: &mut Found) {
    let valgrind = match Valgrind::find() {
        Ok(valgrind) => valgrind,
        Err(error) => return println!("  Instructions were not counted: {error:#}"),
    };
    // Python has a thousand times as many: minutes, that nobody wants to wait who only compares builds.
    for subject in subjects.iter().filter(|s| s.name != PYTHON || found.turns > 0) {
        println!("  counting the instructions of {}", subject.name);
        match instructions::count(&valgrind, subject).await {
            Ok(counted) => drop(found.instructions.insert(subject.name, counted)),
            Err(error) => println!("  not counted: {error:#}"),
        }
    }
}

async fn measure(stub: &Stub, subject: &Subject, share: Option<&Share>) -> Result<Sample> {
    let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let mut function = Function::start(subject, share, &[]).await?;
    let init = milliseconds(function.ready().await?);
    drop(stub.take_calls());
    let first = milliseconds(function.invoke(subject.event).await?);
    let first_path = calls::path(&calls::rounds(&stub.take_calls()));
    let (mut warm, mut paths, mut counts) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..WARM {
        warm.push(milliseconds(function.invoke(subject.event).await?));
        let asked = stub.take_calls();
        let rounds = calls::rounds(&asked);
        paths.push(calls::path(&rounds));
        counts = (rounds.len(), rounds.iter().map(Vec::len).sum());
    }
    let memory = function.peak_megabytes()?;
    let median = |numbers: &[f64]| spread(numbers).map_or(0.0, |s| s.median);
    let (warm, warm_path) = (median(&warm), median(&paths));
    Ok(Sample { init, first, warm, memory, first_path, warm_path, rounds: counts.0, calls: counts.1 })
}
