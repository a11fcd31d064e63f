//! The job queue: files that a node takes from S3 and runs once each (facts B.11, without its faults; decision 18).
//!
//! A queue has the name of a profile, whose `share/validate-job` and `share/process-job` check and run its jobs. Without them a job is
//! a script that is run itself. Jobs of a cluster lie in the system bucket under the cluster's own prefix, which its nodes alone can
//! read and write, so results are private:
//!
//! ```text
//! nodes/<user>/<cluster>/<request>/jobs/pending/<node>/<queue>/<id>             the job
//!                                  jobs/claims/<node>/<queue>/<id>              that it was begun, and what came of it
//!                                  jobs/completed/<node>/<queue>/<id>/status    its exit code, and a sentence
//!                                                                    /logs      what it printed
//!                                                                    /output/…  the files that it left
//!                                  jobs/rejected/<node>/<queue>/<id>/reason     why it was not run
//! ```
//!
//! The state comes first, so that a node finds its jobs by one short listing, however many have been done.
//!
//! - [`claim`]: the object that makes a job run once; [`decide`]: what is to be done about a job (pure);
//! - [`poller`]: looks for jobs and does it, a part of the agent; [`work`]: runs one job; [`share`]: the queue's own scripts;
//! - [`desk`]: what the commands do: put a job, look at it, remove it.
//!
//! No object of a queue has a key that ends with `.json` but a job's output: such keys below `nodes/` are reports.

pub mod claim;
pub mod decide;
pub mod desk;
pub mod poller;
pub mod share;
#[cfg(test)]
mod tests;
pub mod work;

use std::fmt;

use cf_core::names::{Cluster, ClusterName, NameError, User};
use cf_core::node_report::ReportKey;
use serde::{Deserialize, Serialize};

use crate::node::NodeName;
use crate::settings::NodeSettings;

/// The most bytes of a job's file.
pub const JOB_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The most jobs that a node looks at in one pass.
pub const JOBS_MAX: usize = 10_000;

/// The most characters of an id.
const ID_CHARS_MAX: usize = 64;

/// A text that names no queue or job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobNameError {
    /// A queue.
    #[error("{0:?} is not the name of a queue: it is the name of a profile, of letters, digits and _ . @ = -, at most 64 of them")]
    Queue(String),
    /// A job.
    #[error(
        "{0:?} is not the id of a job: an id has letters, digits and . _ -, at most {ID_CHARS_MAX} of them, begins with a letter or a digit, and does not end with .json"
    )]
    Id(String),
}

fn shown(text: &str) -> String {
    cf_core::characters::shown(text, 0, 80)
}

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
pub struct QueueName(String);

impl QueueName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for QueueName {
    type Err = JobNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        User::parse(text).map(|_| Self(text.to_owned())).map_err(|_| JobNameError::Queue(shown(text)))
    }
}

/// The id of a job, unique in its queue on its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
pub struct JobId(String);

impl JobId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for JobId {
    type Err = JobNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_id = begins && text.len() <= ID_CHARS_MAX && text.bytes().all(legal) && !text.to_ascii_lowercase().ends_with(".json");
        if is_id { Ok(Self(text.to_owned())) } else { Err(JobNameError::Id(shown(text))) }
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    /// Whose it is to run.
    pub node: NodeName,
    /// Its queue.
    pub queue: QueueName,
    /// Its id.
    pub id: JobId,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the queue {} on {}", self.id, self.queue, self.node)
    }
}

/// What was uploaded as a job: two uploads of one key are two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its ETag.
    pub etag: String,
    /// When S3 got it, in seconds since 1970.
    pub modified: i64,
}

/// Where the jobs of a cluster lie in the system bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(String);

impl Keys {
    /// Those of the cluster of these settings.
    pub fn of(settings: &NodeSettings) -> Result<Self, NameError> {
        let cluster = Cluster { user: User::parse(&settings.user)?, name: ClusterName::parse(&settings.cluster)? };
        Ok(Self(format!("{}jobs/", ReportKey::folder(&cluster, &settings.request()))))
    }

    /// What all of them begin with.
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// What the keys of a state's jobs on a node begin with.
    pub fn of_node(&self, state: &str, node: NodeName) -> String {
        format!("{}{state}/{node}/", self.0)
    }

    fn key(&self, state: &str, job: &Job) -> String {
        format!("{}{}/{}", self.of_node(state, job.node), job.queue, job.id)
    }

    /// The job.
    pub fn pending(&self, job: &Job) -> String {
        self.key("pending", job)
    }

    /// Its claim.
    pub fn claim(&self, job: &Job) -> String {
        self.key("claims", job)
    }

    /// What its results begin with.
    pub fn completed(&self, job: &Job) -> String {
        format!("{}/", self.key("completed", job))
    }

    /// Why it was rejected.
    pub fn reason(&self, job: &Job) -> String {
        format!("{}/reason", self.key("rejected", job))
    }

    /// The state (`pending`, `claims`, `completed`, `rejected`), the job, and what follows it, of a key.
    pub fn read<'a>(&self, key: &'a str) -> Option<(&'a str, Job, &'a str)> {
        let mut parts = key.strip_prefix(&self.0)?.splitn(5, '/');
        let (state, node, queue, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let job = Job { node: node.parse().ok()?, queue: queue.parse().ok()?, id: id.parse().ok()? };
        Some((state, job, parts.next().unwrap_or_default()))
    }
}
