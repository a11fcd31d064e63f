//! A file that somebody dropped, what became of it, and what its answers said.

use cf_core::key::Answer;
use cf_core::message::Message;
use cf_core::request::{ETag, RequestId};
use jiff::Timestamp;

/// A file that somebody dropped.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where.
    pub key: String,
    /// Its version to S3.
    pub etag: ETag,
    /// When, in milliseconds.
    pub at: i64,
    /// The same by S3's clock, in whole seconds.
    pub modified: Timestamp,
    /// Its request id.
    pub request: RequestId,
    /// Whether it is a request that can come true; of deletes, always.
    pub is_valid_request: bool,
    /// Whether S3 did not give it out, or did not at one of the times that it was put within one second.
    pub was_withheld: bool,
    /// What became of it.
    pub end: End,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It is still there.
    Standing,
    /// A function removed it, after these answers had been given beside it.
    Settled {
        /// When, in milliseconds.
        at: i64,
        /// The answers since it was dropped, in order.
        answers: Vec<AnswerKind>,
    },
    /// Its user removed it, or put another in its place.
    Withdrawn {
        /// When, in milliseconds.
        at: i64,
    },
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The address.
    Created,
    /// That it is gone.
    Deleted,
    /// That there was none.
    NoSuch,
    /// Anything else.
    Failed,
}

impl AnswerKind {
    /// What a message at this key says.
    pub fn of(key: &str, message: &Message) -> Option<Self> {
        Some(match Answer::ALL.into_iter().find(|a| key.ends_with(a.suffix()))? {
            Answer::Created => Self::Created,
            Answer::Deleted => Self::Deleted,
            Answer::Failed if matches!(message, Message::NoSuchCluster { .. }) => Self::NoSuch,
            Answer::Failed => Self::Failed,
        })
    }
}
