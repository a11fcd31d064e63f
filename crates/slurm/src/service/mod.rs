//! Services: programs that run until they are removed, each as a job of Slurm that is queued again when its program or its node dies.
//!
//! What sirikata-cluster had a record, a cluster manager and SSH for is Slurm's here: the job is the record, so nothing is left of a
//! service whose job is gone. A job of a service is named `service:NAME`, and its comment is a [`Note`].
//!
//! - [`Ask`]: what somebody wants, checked; from it follow `sbatch`'s arguments and the job's script;
//! - [`Note`]: what the job's comment says of its service, and what comes next when the program has ended;
//! - [`Service`]: what `squeue` answers of it ([`crate::view::services`]).

mod ask;
mod note;
mod shown;
mod words;

use std::fmt;
use std::str::FromStr;

use cf_core::node_name::NodeName;
use serde::{Deserialize, Serialize};

pub use ask::{Ask, PATH, Refusal, Wish, at_start, uses_pid_file};
pub use note::{FAILURES_MAX, Next, Note, QUICK, excluded};
pub use shown::{Service, State, table};

/// How the name of a service's job begins.
pub const JOB_PREFIX: &str = "service:";

/// Where the agent's program lies on every node.
pub const PROGRAM: &str = "/opt/clusterdrop/bin/cf-node";

/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 64;

/// The name of a service. It begins with a letter, so that a number is an index of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// A text that is no service's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a service: a letter, then at most {max} letters, digits, '.', '_' and '-'", max = NAME_CHARS_MAX - 1)]
pub struct ServiceNameError(String);

impl ServiceName {
    /// The name of its job.
    pub fn job(&self) -> String {
        format!("{JOB_PREFIX}{self}")
    }

    /// The service that a job of this name may be of.
    pub fn of_job(job: &str) -> Option<Self> {
        job.strip_prefix(JOB_PREFIX)?.parse().ok()
    }
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.len() <= NAME_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if is_name { Ok(Self(text.to_owned())) } else { Err(ServiceNameError(text.chars().take(NAME_CHARS_MAX + 1).collect())) }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = ServiceNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

/// Where a service may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// On whatever node Slurm chooses; elsewhere when its program or its node dies.
    Any,
    /// On this compute node only.
    Node(NodeName),
}

/// A text that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is neither.
    #[error("{0:?} is no place for a service: write any, or a compute node such as compute-1")]
    Form(String),
    /// The login node runs no jobs.
    #[error(
        "login1 runs no jobs, and a service is one: a load on it would slow down every login and Slurm itself. Write any, or a \
         compute node such as compute-1"
    )]
    Login,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("any", _) => Ok(Self::Any),
            (_, Ok(NodeName::LOGIN)) => Err(TargetError::Login),
            (_, Ok(node)) => Ok(Self::Node(node)),
            (_, Err(_)) => Err(TargetError::Form(text.chars().take(NAME_CHARS_MAX + 1).collect())),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Node(node) => node.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
