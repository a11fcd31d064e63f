//! What the comment of a service's job says. It is the only thing that is kept of a service beside what Slurm keeps of every job.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cf_core::node_name::NodeName;
use cf_core::plain::plain;
use serde::{Deserialize, Serialize};

use super::Target;
use super::words::readable;
use crate::scaling::NodeFacts;

/// Characters of the command that are kept. Slurm takes a comment of 1,024 bytes (`_test_strlen` in its `job_mgr.c`).
const COMMAND_CHARS_MAX: usize = 100;

/// Characters of how a run ended that are kept.
const LAST_CHARS_MAX: usize = 100;

/// A program that has run for less than this has not really come up.
pub const QUICK: Duration = Duration::from_mins(1);

/// After so many runs in a row that were too short, the job is held: each of them may have started a machine.
pub const FAILURES_MAX: u32 = 5;

/// The comment of a service's job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The form of this note, 1.
    pub clusterdrop: u32,
    /// Where it may run.
    pub target: Target,
    /// The command, shortened.
    pub command: String,
    /// The number of the run whose program is up: how often the job had been queued again when it started. Another run's is old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<u32>,
    /// How many runs in a row were shorter than [`QUICK`].
    #[serde(default)]
    pub failures: u32,
    /// How the last run ended whose program died.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last: String,
}

/// What to do with the job of a program that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Queue it again.
    Requeue,
    /// Queue it again and hold it: it fails each time.
    Hold,
}

impl Note {
    /// The note of a new service.
    pub fn new(target: Target, command: &[String]) -> Self {
        let command = plain(&readable(command.iter().map(String::as_str)), COMMAND_CHARS_MAX);
        Self { clusterdrop: 1, target, command, up: None, failures: 0, last: String::new() }
    }

    /// Reads a job's comment; none where it is no service's. Whose job it is can write anything into it, and others are shown it: its
    /// words are made plain.
    pub fn read(comment: &str) -> Option<Self> {
        let note: Self = serde_json::from_str(comment).ok().filter(|note: &Self| note.clusterdrop == 1)?;
        Some(Self { command: plain(&note.command, COMMAND_CHARS_MAX), last: plain(&note.last, LAST_CHARS_MAX), ..note })
    }

    /// The program of this run is up.
    #[must_use]
    pub fn up(self, run: u32) -> Self {
        Self { up: Some(run), ..self }
    }

    /// The program has ended after so long, in this way, unasked.
    #[must_use]
    pub fn ended(self, lived: Duration, why: &str) -> (Self, Next) {
        let failures = if lived < QUICK { self.failures.saturating_add(1) } else { 0 };
        let next = if failures < FAILURES_MAX { Next::Requeue } else { Next::Hold };
        (Self { up: None, failures, last: plain(why, LAST_CHARS_MAX), ..self }, next)
    }
}

impl fmt::Display for Note {
    /// One line of JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Where the next run must not be: on the node of this one, unless it is the only node that takes jobs, or the service is bound to it.
pub fn excluded(target: Target, here: NodeName, nodes: &BTreeMap<NodeName, NodeFacts>) -> Option<NodeName> {
    let there_are_others = nodes.iter().any(|(node, facts)| *node != here && facts.reason.is_none());
    (target == Target::Any && there_are_others).then_some(here)
}
