//! The questions that can be asked of the world, and its answers.

use std::future::Future;

use jiff::Timestamp;

use crate::body::Body;
use crate::causes::StackEvent;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::names::{StackName, User};
use crate::profile::Profile;
use crate::request::ETag;
use crate::stack::{Stack, StackId};

/// A question to the world. One page, one object, one stack each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A user's ledger.
    Ledger(User),
    /// An object in the user bucket; its content only if `body`, and only up to the limit.
    Upload {
        /// Where.
        key: String,
        /// Whether its content matters.
        body: bool,
    },
    /// The first page of the objects in the user bucket whose keys begin with this, without those in deeper folders.
    Folder(String),
    /// The object at exactly this key in the user bucket, as a listing shows it: also one that S3 does not give out.
    Listed(String),
    /// A state file.
    Status(String),
    /// What lies directly in a user's `configure.d`, to the end of the listing.
    Profile(User),
    /// A living stack, by name.
    StackNamed(StackName),
    /// A stack, dead or alive.
    Stack(StackId),
    /// One page of a stack's events, newest first.
    Events(StackId, Option<String>),
    /// One page of a stack's resources.
    Resources(StackId, Option<String>),
    /// One page of the ledgers' keys.
    Ledgers(Option<String>),
    /// One page of all stacks.
    Stacks(Option<String>),
    /// What the last sweep has left for the next one.
    Seen,
    /// The record of the time in which S3 told of nothing (`first_hour`).
    FirstHour,
    /// One page of the users' homes: the keys after this one.
    Homes(String),
}

/// What the world answers.
#[derive(Debug, Clone)]
pub enum Sight {
    /// To `Ledger`.
    Ledger(Option<(Ledger, ETag)>),
    /// To `Upload`.
    Upload(Option<Object>),
    /// To `Folder`.
    Folder(Page<Listed>),
    /// To `Listed`.
    Listed(Option<Listed>),
    /// To `Status`.
    Status(Option<(Vec<u8>, ETag)>),
    /// To `Profile`.
    Profile(Profile),
    /// To `Stack` and `StackNamed`.
    Stack(Option<Box<Stack>>),
    /// To `Events`.
    Events(Page<StackEvent>),
    /// To `Resources`: their statuses.
    Resources(Page<String>),
    /// To `Ledgers`: keys and versions.
    Ledgers(Page<(String, ETag)>),
    /// To `Stacks`.
    Stacks(Page<Stack>),
    /// To `Seen`: its text.
    Seen(Option<Vec<u8>>),
    /// To `FirstHour`: its text and version.
    FirstHour(Option<(Vec<u8>, ETag)>),
    /// To `Homes`: keys and times; `next` is the last key.
    Homes(Page<(String, Timestamp)>),
}

/// One page of a list, and how to ask for the next.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The token of the next page.
    pub next: Option<String>,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its `ETag`.
    pub etag: ETag,
    /// Its length in bytes.
    pub size: u64,
    /// Its Last-Modified, in whole seconds.
    pub modified: Timestamp,
}

/// An object as GET or HEAD returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its version id, in a versioned bucket.
    pub version: Option<String>,
    /// Its `ETag`.
    pub etag: ETag,
    /// Its Last-Modified, in whole seconds.
    pub modified: Timestamp,
    /// Its content, if asked for.
    pub body: Body,
}

/// The eyes. Behind it stands AWS, or a world in memory.
pub trait Observe: Sync {
    /// Answers one question.
    fn observe(&self, question: Question) -> impl Future<Output = Result<Sight, Fault>> + Send;
}

impl<W: Observe> Observe for &W {
    async fn observe(&self, question: Question) -> Result<Sight, Fault> {
        (**self).observe(question).await
    }
}
