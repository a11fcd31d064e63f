//! The task of the login node's agent that passes: when something calls, and as long as something is awaited or wrong.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cf_slurm::scaling::{Note, Policy};
use cf_slurm::view::Summary;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::keeper::Keeper;
use super::outside::Outside;
use super::scaler::{Passed, Scaler};
use super::slurm;

/// Slurm's nodes and jobs are looked at so often while nodes are wanted.
const LOOK: Duration = Duration::from_secs(20);

/// And so often while none is.
const LOOK_AT_REST: Duration = Duration::from_mins(1);

/// Between two passes at least, whatever calls.
const BETWEEN: Duration = Duration::from_secs(1);

/// slurmctld may take so long to answer for the first time before its silence is a problem.
const SLURM_STARTS_WITHIN: Duration = Duration::from_mins(10);

/// While it has not answered, it is asked so often at least.
const SLURM_STARTS_AGAIN: Duration = Duration::from_secs(5);

/// Notes that are shown at most, and for how long.
const NOTES_MAX: usize = 10;
const NOTES_FOR: Duration = Duration::from_hours(1);

/// What the user is shown of Slurm and of scaling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Nodes and jobs; `None` until slurmctld has answered.
    pub summary: Option<Summary>,
    /// What happened to nodes within the last hour, the newest first, and before it what is so now.
    pub notes: Vec<String>,
}

/// Where the task leaves what it finds.
pub struct Reports<'a> {
    /// Gets what is wrong now, whenever a pass has ended.
    pub problems: &'a mut (dyn FnMut(Vec<String>) + Send),
    /// What the user is shown.
    pub shown: &'a watch::Sender<Shown>,
}

/// Passes until its future is dropped.
pub async fn follow<'a, O: Outside>(outside: &'a O, keeper: Arc<Keeper>, reports: Reports<'a>, clock: fn() -> Timestamp) {
    let scaler = Scaler::new(outside, Arc::clone(&keeper), clock);
    let now = Instant::now();
    let memory = Memory { notes: VecDeque::new(), summary: None };
    let mut task = Task { outside, keeper, reports, clock, scaler, memory, passes_at: Some(now), passed_at: None, failures: 0, began: now };
    let mut looks_at = now;
    loop {
        let passes = task.passes_at;
        tokio::select! {
            () = task.keeper.called() => task.is_called(),
            () = at(passes) => task.pass().await,
            () = sleep_until(looks_at) => {
                task.look().await;
                looks_at = Instant::now() + task.look_again();
            }
        }
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

struct Task<'a, O> {
    outside: &'a O,
    keeper: Arc<Keeper>,
    reports: Reports<'a>,
    clock: fn() -> Timestamp,
    scaler: Scaler<'a, O>,
    memory: Memory,
    passes_at: Option<Instant>,
    passed_at: Option<Instant>,
    /// Passes in a row in which something was wrong.
    failures: u32,
    began: Instant,
}

/// What was seen.
struct Memory {
    notes: VecDeque<(Instant, Note)>,
    summary: Option<Summary>,
}

impl<O: Outside> Task<'_, O> {
    /// A call is answered by a pass at once, but calls do not follow each other faster than AWS likes.
    fn is_called(&mut self) {
        let now = Instant::now();
        let soon = self.passed_at.map_or(now, |at| now.max(at + BETWEEN));
        self.passes_at = Some(self.passes_at.map_or(soon, |at| at.min(soon)));
    }

    async fn pass(&mut self) {
        self.passed_at = Some(Instant::now());
        let Passed { again, mut problems, notes, is_slurm_silent } = self.scaler.pass().await;
        let now = Instant::now();
        self.failures = if problems.is_empty() { 0 } else { self.failures.saturating_add(1) };
        let has_started = self.memory.summary.is_some() || !is_slurm_silent;
        let pause = match self.failures {
            0 => again,
            // The initial nodes wait for slurmctld.
            _ if !has_started => Some(self.backoff().min(SLURM_STARTS_AGAIN)),
            _ => Some(self.backoff()),
        };
        self.passes_at = pause.map(|pause| now + pause.max(BETWEEN));
        if !has_started && self.began.elapsed() < SLURM_STARTS_WITHIN {
            problems.retain(|problem| !problem.starts_with("Slurm"));
        }
        for problem in &problems {
            tracing::warn!("{problem}; it is tried again");
        }
        (self.reports.problems)(problems);
        self.memory.notes.extend(notes.into_iter().map(|note| (now, note)));
        self.show();
    }

    /// Each pause is twice as long as the last, up to that of a reading.
    fn backoff(&self) -> Duration {
        let (_, Policy { rules, .. }) = self.keeper.look();
        rules.reads_max.min(Duration::from_secs(1 << self.failures.saturating_sub(1).min(16)))
    }

    fn look_again(&self) -> Duration {
        let (book, _) = self.keeper.look();
        if book.wanted().next().is_some() || self.memory.summary.is_none() { LOOK } else { LOOK_AT_REST }
    }

    /// Looks at Slurm alone, which costs no call to AWS.
    async fn look(&mut self) {
        let at = (self.clock)();
        let Ok(nodes) = slurm::nodes(self.outside).await else { return };
        if self.passes_at.is_none() && self.scaler.calls(&nodes, at) {
            self.passes_at = Some(Instant::now());
        }
        match slurm::jobs(self.outside, None).await {
            Ok(jobs) => self.memory.summary = Some(Summary::new(&nodes, jobs)),
            Err(error) => tracing::warn!("the jobs are not shown to the user: {error}"),
        }
        self.show();
    }

    fn show(&mut self) {
        let now = Instant::now();
        self.memory.notes.retain(|(at, _)| *at + NOTES_FOR > now);
        let over = self.memory.notes.len().saturating_sub(NOTES_MAX);
        self.memory.notes.drain(..over);
        let (book, policy) = self.keeper.look();
        let disabled = self.keeper.switch().disabled_since.map(|since| format!("autoscaling is disabled since {since:.0}"));
        let fallback = book.fallback(policy.sizes).map(|note| note.to_string());
        let mut notes: Vec<String> = disabled.into_iter().chain(fallback).collect();
        for note in self.memory.notes.iter().rev().map(|(_, note)| note.to_string()) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let shown = Shown { summary: self.memory.summary.clone(), notes };
        self.reports.shown.send_if_modified(|before| {
            let is_new = *before != shown;
            *before = shown;
            is_new
        });
    }
}
