//! What many runs came to, counted.

use std::sync::OnceLock;

use cf_core::decide::Row;
use cf_core::decide::row::{CreateAsk, DeleteAsk, PhaseKind, StackKind};

use super::mishap::{KINDS, Mishap};
use super::setting::{Report, Setting};
use crate::build;

/// Every row of the table that can exist.
pub fn possible_rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| all_rows().filter(|row| build::why_not(row).is_none()).collect())
}

fn all_rows() -> impl Iterator<Item = Row> {
    CreateAsk::ALL.iter().flat_map(|create| {
        DeleteAsk::ALL.iter().flat_map(move |delete| {
            PhaseKind::ALL
                .iter()
                .flat_map(move |phase| StackKind::all().map(move |stack| Row { create: *create, delete: *delete, phase: *phase, stack }))
        })
    })
}

/// In each so manieth round through the table the first minute is quiet, so that a pass comes to its end there.
const QUIET_ROUND: u64 = 16;

/// The run of a seed: the odd ones begin with an empty deployment, the even ones go round the rows of the table.
pub fn setting(seed: u64) -> Setting<'static> {
    let rows = possible_rows();
    if !seed.is_multiple_of(2) {
        return Setting { seed, ..Setting::default() };
    }
    let (round, nth) = (seed / 2 / rows.len() as u64, (seed / 2) % rows.len() as u64);
    let row = usize::try_from(nth).ok().map(|nth| rows[nth]);
    Setting { seed, row, quiet_until: if round.is_multiple_of(QUIET_ROUND) { 60_000 } else { 0 }, ..Setting::default() }
}

/// Counts over many runs.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// How often each kind of fault struck.
    pub struck: [u64; KINDS],
    rows: Vec<u64>,
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

impl Default for Tally {
    fn default() -> Self {
        let rows = vec![0; CreateAsk::ALL.len() * DeleteAsk::ALL.len() * PhaseKind::ALL.len() * StackKind::all().count()];
        Self { runs: 0, struck: [0; KINDS], rows, lives: 0, uploads: 0, passes: 0, shared: 0, sweeps: [0; 3] }
    }
}

fn index(row: Row) -> usize {
    let stack = match row.stack {
        StackKind::Absent => 0,
        StackKind::Foreign => 1,
        StackKind::Ours(status) => 2 + status as usize,
    };
    let stacks = 2 + cf_core::stack::StackStatus::ALL.len();
    ((row.create as usize * DeleteAsk::ALL.len() + row.delete as usize) * PhaseKind::ALL.len() + row.phase as usize) * stacks + stack
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, report: &Report) {
        self.runs += 1;
        for (kind, _) in &report.struck {
            self.struck[*kind as usize] += 1;
        }
        for row in &report.rows {
            self.rows[index(*row)] += 1;
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
        add(&mut self.struck, &other.struck);
        add(&mut self.rows, &other.rows);
        add(&mut self.sweeps, &other.sweeps);
        self.runs += other.runs;
        self.lives += other.lives;
        self.uploads += other.uploads;
        self.passes += other.passes;
        self.shared += other.shared;
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.struck.iter().sum()
    }

    /// Kinds of faults, and how often each struck.
    pub fn by_kind(&self) -> impl Iterator<Item = (Mishap, u64)> {
        Mishap::ALL.iter().map(|kind| (*kind, self.struck[*kind as usize]))
    }

    /// Rows that were met although they are said not to exist.
    pub fn rows_impossible(&self) -> Vec<Row> {
        all_rows().filter(|row| build::why_not(row).is_some() && self.rows[index(*row)] > 0).collect()
    }

    /// Rows that can exist and were not met.
    pub fn rows_missed(&self) -> Vec<Row> {
        possible_rows().iter().filter(|row| self.rows[index(**row)] == 0).copied().collect()
    }
}
