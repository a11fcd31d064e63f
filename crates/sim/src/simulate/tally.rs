//! What many runs came to, counted.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::decide::Situation;

use super::fault_plan::{FaultKind, KINDS};
use super::run_settings::{Report, RunSettings};
use crate::start;

/// Every situation that a world can begin in.
pub fn possible() -> BTreeSet<Situation> {
    start::possible().iter().map(start::Start::situation).collect()
}

/// In every 16th round through the starts the first minute has no faults, so that a pass ends there.
const QUIET_ROUND: u64 = 16;

/// The run of a seed: the odd ones begin with an empty deployment, the even ones go round the starts.
pub fn setting(seed: u64) -> RunSettings<'static> {
    let starts = start::possible();
    if !seed.is_multiple_of(2) {
        return RunSettings { seed, ..RunSettings::default() };
    }
    let (round, nth) = (seed / 2 / starts.len() as u64, (seed / 2) % starts.len() as u64);
    let start = usize::try_from(nth).ok().map(|nth| starts[nth]);
    RunSettings { seed, start, faults_from: if round.is_multiple_of(QUIET_ROUND) { 60_000 } else { 0 }, ..RunSettings::default() }
}

/// Counts over many runs.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// How often each kind of fault was injected.
    pub injected: [u64; KINDS],
    situations: BTreeMap<Situation, u64>,
    /// Stacks that were made.
    pub lives: u64,
    /// Files that were dropped.
    pub uploads: u64,
    /// Passes that came to their end.
    pub passes: u64,
    /// Runs with two users or with an upload that was replaced or withdrawn.
    pub shared: u64,
    /// Runs by how many sweeps it took once nothing else moved.
    pub sweeps: [u64; 3],
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        for (kind, _) in &report.injected {
            self.injected[*kind as usize] += 1;
        }
        for situation in &report.situations {
            *self.situations.entry(*situation).or_default() += 1;
        }
        self.lives += report.lives as u64;
        self.uploads += report.uploads as u64;
        self.passes += report.passes as u64;
        self.shared += u64::from(report.is_shared);
        self.sweeps[report.sweeps.min(2)] += 1;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        let add = |mine: &mut [u64], its: &[u64]| mine.iter_mut().zip(its).for_each(|(a, b)| *a += b);
        add(&mut self.injected, &other.injected);
        for (situation, count) in &other.situations {
            *self.situations.entry(*situation).or_default() += count;
        }
        add(&mut self.sweeps, &other.sweeps);
        self.runs += other.runs;
        self.lives += other.lives;
        self.uploads += other.uploads;
        self.passes += other.passes;
        self.shared += other.shared;
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.injected.iter().sum()
    }

    /// Kinds of faults, and how often each was injected.
    pub fn by_kind(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        FaultKind::ALL.iter().map(|kind| (*kind, self.injected[*kind as usize]))
    }

    /// Situations that were met although no world begins in them.
    pub fn impossible(&self) -> Vec<Situation> {
        let possible = possible();
        self.situations.keys().filter(|situation| !possible.contains(situation)).copied().collect()
    }

    /// Situations that a world can begin in and that were not met.
    pub fn missed(&self) -> Vec<Situation> {
        possible().into_iter().filter(|situation| !self.situations.contains_key(situation)).collect()
    }
}
