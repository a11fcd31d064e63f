//! The queries that can be sent to the world. Each has the type of its answer, so a wrong pairing does not compile.

use std::fmt;
use std::future::Future;

use jiff::Timestamp;

use crate::body::Body;
use crate::causes::StackEvent;
use crate::fault::Fault;
use crate::key::StatusKey;
use crate::ledger::Ledger;
use crate::names::{StackName, User};
use crate::profile::Profile;
use crate::request::ETag;
use crate::stack::{ResourceStatus, Stack, StackId};

/// One read of the world: one page, one object, one stack.
pub trait Query: fmt::Debug + Clone + Send + Sync + 'static {
    /// What it is answered with.
    type Output: Send + 'static;
}

/// A world that answers a query: AWS, or one in memory.
pub trait RunQuery<Q: Query>: Sync {
    /// Sends the query.
    fn run_query(&self, query: Q) -> impl Future<Output = Result<Q::Output, Fault>> + Send;
}

impl<Q: Query, W: RunQuery<Q>> RunQuery<Q> for &W {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        (**self).run_query(query).await
    }
}

/// A user's ledger, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLedger(pub User);

impl Query for ReadLedger {
    type Output = Option<(Ledger, ETag)>;
}

/// An object in the user bucket; its content only if `body`, and only up to the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadUpload {
    /// Where.
    pub key: String,
    /// Whether its content matters.
    pub body: bool,
}

impl Query for ReadUpload {
    type Output = Option<Object>;
}

/// The first page of the objects in the user bucket whose keys begin with this, without those in deeper folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFolder(pub String);

impl Query for ListFolder {
    type Output = Page<Listed>;
}

/// The object at exactly this key in the user bucket, as a listing shows it: also one that S3 does not give out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindObject(pub String);

impl Query for FindObject {
    type Output = Option<Listed>;
}

/// A status file: its content and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStatus(pub StatusKey);

impl Query for ReadStatus {
    type Output = Option<(Vec<u8>, ETag)>;
}

/// What lies directly in a user's `configure.d`, to the end of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadProfile(pub User);

impl Query for ReadProfile {
    type Output = Profile;
}

/// A living stack, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackByName(pub StackName);

impl Query for StackByName {
    type Output = Option<Box<Stack>>;
}

/// A stack, dead or alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackById(pub StackId);

impl Query for StackById {
    type Output = Option<Box<Stack>>;
}

/// One page of a stack's events, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEvents {
    /// Which stack.
    pub stack: StackId,
    /// The token of the page; the first one without.
    pub page: Option<String>,
}

impl Query for ListEvents {
    type Output = Page<StackEvent>;
}

/// One page of a stack's resources: the status of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListResources {
    /// Which stack.
    pub stack: StackId,
    /// The token of the page; the first one without.
    pub page: Option<String>,
}

impl Query for ListResources {
    type Output = Page<ResourceStatus>;
}

/// One page of the ledgers: their keys and versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLedgers(pub Option<String>);

impl Query for ListLedgers {
    type Output = Page<(String, ETag)>;
}

/// One page of all stacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListStacks(pub Option<String>);

impl Query for ListStacks {
    type Output = Page<Stack>;
}

/// What the last sweep has left for the next one: its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLedgerCache;

impl Query for ReadLedgerCache {
    type Output = Option<Vec<u8>>;
}

/// The record of the time in which S3 reported nothing (`first_hour`): its text and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFirstHour;

impl Query for ReadFirstHour {
    type Output = Option<(Vec<u8>, ETag)>;
}

/// One page of the users' homes: the keys after this one, and their times; `next` is the last key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListHomes(pub String);

impl Query for ListHomes {
    type Output = Page<(String, Timestamp)>;
}

/// What lies directly in the folder of one life's reports in the system bucket: the first page. Deeper folders are not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListReports(pub String);

impl Query for ListReports {
    type Output = Page<Listed>;
}

/// A node's report, up to the limit of one ([`crate::node_report::BYTES_MAX`]). `Rejected` where S3 does not give it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReport(pub String);

impl Query for ReadReport {
    type Output = Option<Object>;
}

/// Whether an object lies at exactly this key in the system bucket.
#[derive(Debug, Clone)]
pub struct FindRecord(pub String);

impl Query for FindRecord {
    type Output = bool;
}

/// A world that answers every query.
pub trait Observe:
    RunQuery<ReadLedger>
    + RunQuery<ReadUpload>
    + RunQuery<ListFolder>
    + RunQuery<FindObject>
    + RunQuery<ReadStatus>
    + RunQuery<ReadProfile>
    + RunQuery<StackByName>
    + RunQuery<StackById>
    + RunQuery<ListEvents>
    + RunQuery<ListResources>
    + RunQuery<ListLedgers>
    + RunQuery<ListStacks>
    + RunQuery<ReadLedgerCache>
    + RunQuery<ReadFirstHour>
    + RunQuery<ListHomes>
    + RunQuery<ListReports>
    + RunQuery<ReadReport>
    + RunQuery<FindRecord>
{
}

impl<W> Observe for W where
    W: RunQuery<ReadLedger>
        + RunQuery<ReadUpload>
        + RunQuery<ListFolder>
        + RunQuery<FindObject>
        + RunQuery<ReadStatus>
        + RunQuery<ReadProfile>
        + RunQuery<StackByName>
        + RunQuery<StackById>
        + RunQuery<ListEvents>
        + RunQuery<ListResources>
        + RunQuery<ListLedgers>
        + RunQuery<ListStacks>
        + RunQuery<ReadLedgerCache>
        + RunQuery<ReadFirstHour>
        + RunQuery<ListHomes>
        + RunQuery<ListReports>
        + RunQuery<ReadReport>
        + RunQuery<FindRecord>
{
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
