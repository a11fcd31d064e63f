//! A job's claim: the object that makes a job run once. It is written before the job is begun, only where there is none, and holds
//! what came of the job once that is known. What a user reads (`status`, `reason`) follows from it and can be written again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Upload;

/// The most bytes of a claim.
pub const BYTES_MAX: u64 = 64 * 1024;

/// The most characters of a reason.
pub const REASON_CHARS_MAX: usize = 4_000;

/// The most notes of a result.
pub const NOTES_MAX: usize = 20;

/// Who has begun a job: a machine, and one process of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine's EC2 id.
    pub instance: String,
    /// The random id of the process. No two claims of one job are alike, so one that was read is known by it.
    pub run: String,
}

/// That a job was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which upload.
    pub upload: Upload,
    /// By whom.
    pub owner: Owner,
    /// When, by the owner's clock.
    pub started: Timestamp,
    /// What came of it, where that is known.
    pub verdict: Option<Verdict>,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was run.
    Completed(Completed),
    /// It was not run, for this reason.
    Rejected(String),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// Its exit code, or where it has none, a shell's: 124 for a time limit, 126 where it could not be started, 128 and the signal's
    /// number; 125 where the node failed.
    pub code: i32,
    /// The same in words.
    pub outcome: String,
    /// What else is to be known: files that were left out.
    pub notes: Vec<String>,
}

impl Completed {
    /// The text of `status`: the code in a line of its own, so that a script can read it; then the words.
    pub fn status(&self) -> String {
        let notes: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        format!("{}\nthe job {}\n{notes}", self.code, self.outcome)
    }

    /// That of a job whose node failed while it ran.
    pub fn crashed(claim: &Claim) -> Self {
        let outcome = format!(
            "was begun at {} and did not end: the agent or the node {} ended meanwhile; it is not run again. Put it again under another id if it may run twice",
            claim.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
            cf_core::plain::plain(&claim.owner.instance, 40)
        );
        Self { code: 125, outcome, notes: Vec::new() }
    }
}
