//! What Slurm answers, as JSON of `scontrol show nodes`, `squeue` and `sinfo`, and what of it a user is shown.
//!
//! The samples beside this file are real: Slurm 24.11.5 of Debian 13 (`data_parser/v0.0.42`), with the configuration of
//! [`config`](crate::config). Only what is used is read, and fields that are not known are ignored; a field of another form is an
//! error, never a guess.

mod nodes;
mod queue;
mod report;
mod services;
mod summary;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use nodes::nodes;
pub use queue::{Jobs, Partition, jobs, partitions};
pub use services::services;
pub use summary::Summary;

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It is no JSON of the form that Slurm 24.11 has.
    #[error("{command} answered what Slurm 24.11 does not: {source}")]
    Form {
        /// What was asked.
        command: &'static str,
        /// Where and what.
        source: serde_json::Error,
    },
    /// Slurm answered that it cannot.
    #[error("{command} failed: {reason}")]
    Slurm {
        /// What was asked.
        command: &'static str,
        /// Slurm's own words.
        reason: String,
    },
}

/// What every answer holds beside what was asked for.
#[derive(Debug, Deserialize)]
struct Answer<T> {
    #[serde(default)]
    errors: Vec<SlurmError>,
    #[serde(flatten)]
    asked: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SlurmError {
    error: String,
    description: String,
}

fn read<T: DeserializeOwned>(command: &'static str, json: &[u8]) -> Result<T, ViewError> {
    let answer: Answer<T> = serde_json::from_slice(json).map_err(|source| ViewError::Form { command, source })?;
    match answer.errors.into_iter().next() {
        None => Ok(answer.asked),
        Some(SlurmError { error, description }) => {
            let reason = [description, error].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ");
            Err(ViewError::Slurm { command, reason })
        }
    }
}

#[cfg(test)]
mod tests;
