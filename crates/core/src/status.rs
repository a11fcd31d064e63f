//! `.cf-status`: the state of a cluster, written for the people who cannot see CloudFormation.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::node_reports::NodesShown;
use crate::request::RequestId;

/// The content of a `.cf-status` file: with its sentence as a value where it is written, as a text where it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "M: fmt::Display"))]
pub struct Status<M = String> {
    /// The cluster's name.
    pub cluster: String,
    /// One word.
    pub state: State,
    /// One sentence.
    #[serde(serialize_with = "as_text")]
    pub message: M,
    /// Resources finished and in all, while they are being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The login address, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// How to log in, with it: `ssh alice@198.51.100.7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_command: Option<String>,
    /// The EC2 type of each kind of node, whether the file names it or a default was taken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// What its nodes report.
    #[serde(flatten)]
    pub reported: NodesShown,
    /// The stack's name, for the administrator.
    pub stack: String,
    /// The request that this is the state of.
    pub request: RequestId,
    /// When the request was accepted.
    pub since: Timestamp,
    /// When this was written.
    pub updated: Timestamp,
}

/// The states, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting for its time or its turn.
    Scheduled,
    /// Being made.
    Creating,
    /// Log in.
    Ready,
    /// Being removed.
    Deleting,
    /// Gone.
    Deleted,
    /// Read `.cf-failed`.
    Failed,
}

/// Resources finished, of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished.
    pub done: usize,
    /// In all.
    pub total: usize,
}

impl State {
    /// Whether this state may follow `earlier` in the life of one request. Passes overlap, and the slower one must not
    /// call a cluster "creating" that the faster one has called "ready".
    pub const fn may_follow(self, earlier: Self) -> bool {
        // A removal may fail, and a stack that was given up may arrive after all and be found undeletable.
        self.rank() >= earlier.rank() || matches!((earlier, self), (Self::Deleting | Self::Deleted, Self::Ready | Self::Failed))
    }

    /// Whether something has come to its end with it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Deleted)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Creating => 1,
            Self::Ready | Self::Failed => 2,
            Self::Deleting => 3,
            Self::Deleted => 4,
        }
    }
}

fn as_text<M: fmt::Display, S: Serializer>(message: &M, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(message)
}

impl<M: fmt::Display + Clone> Status<M> {
    /// Whether `self` says anything that `shown` does not.
    pub fn says_more_than(&self, shown: &Status) -> bool {
        let mut same_time = self.clone();
        same_time.updated = shown.updated;
        same_time.text() != shown.text()
    }

    /// The file's text: JSON, indented, a newline at its end.
    pub fn text(&self) -> String {
        // A struct of strings and numbers always has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
