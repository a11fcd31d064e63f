//! What a run is made of, and how it went.

use std::collections::BTreeSet;

use cf_core::decide::Situation;

use super::bug::Bug;
use super::fault_plan::FaultKind;
use crate::finding::Finding;
use crate::start::Start;

/// What one run is made of. Everything follows from it.
#[derive(Clone, Default)]
pub struct RunSettings<'b> {
    /// The seed.
    pub seed: u64,
    /// What the world begins with; an empty deployment without.
    pub start: Option<Start>,
    /// Lines of the script that are left out.
    pub left_out: BTreeSet<usize>,
    /// Faults that are left out.
    pub skipped_faults: BTreeSet<(FaultKind, u64)>,
    /// Kinds of faults that strike so many times out of ten thousand, whatever the seed says.
    pub rates: Vec<(FaultKind, u64)>,
    /// A planted bug.
    pub bug: Option<&'b dyn Bug>,
    /// Whether the log is kept.
    pub keeps_log: bool,
    /// Whether every effect is traced.
    pub traces: bool,
    /// Whether nothing goes wrong at all.
    pub without_faults: bool,
    /// Nothing goes wrong before this time, in milliseconds.
    pub faults_from: i64,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    /// What went wrong; empty where all is well.
    pub findings: Vec<Finding>,
    /// Every fault that was injected, and where.
    pub injected: Vec<(FaultKind, u64)>,
    /// The situations that passes met.
    pub situations: Vec<Situation>,
    /// Lines of the script.
    pub lines: usize,
    /// Stacks that were made.
    pub lives: usize,
    /// Files that were dropped.
    pub uploads: usize,
    /// Passes that came to their end.
    pub passes: usize,
    /// Sweeps that it took after the faults had ended, while nothing else moved.
    pub sweeps: usize,
    /// Whether two users took part, and whether an upload was replaced while it stood.
    pub is_shared: bool,
    /// The log, where it was asked for.
    pub log: Vec<String>,
    /// Every effect without its words, where it was asked for.
    pub trace: Vec<String>,
}
