//! The ledger: what is owed to one user, in one small JSON object that only the functions reach.
//! It is changed only with If-Match on its ETag, written before an answer is given or a stack created or deleted, and cleared after a
//! plan's last effect.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key::{UploadKey, Verb};
use crate::names::{ClusterName, User};
use crate::request::RequestId;
use crate::stack::StackId;

mod request_time;

pub use request_time::{FirstSeen, RequestTime, Tied};

/// The key of a user's ledger in the system bucket.
pub fn key(user: &User) -> String {
    format!("{PREFIX}{user}.json")
}

/// What all ledgers' keys begin with.
pub const PREFIX: &str = "ledger/";

/// The user whose ledger lies at this key.
pub fn user_of(key: &str) -> Option<User> {
    User::parse(key.strip_prefix(PREFIX)?.strip_suffix(".json")?).ok()
}

/// One user's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Counts the writes. S3's ETag is a hash of the content; without this, a ledger that came back to an earlier content
    /// would pass for the one that was read, and If-Match would let a stale pass through.
    #[serde(default)]
    pub revision: u64,
    /// The clusters that something is or was owed for.
    #[serde(default)]
    pub clusters: BTreeMap<ClusterName, Entry>,
    /// When the last mail was claimed about a file that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable_mailed: Option<Timestamp>,
}

/// One mail in so many seconds reports a user's files that cannot be read, however many they drop.
pub const UNREADABLE_SECONDS: i64 = 24 * 3600;

/// How many ended clusters a ledger remembers; older ones go first.
pub const HISTORY_MAX: usize = 50;

/// How many answered requests an entry remembers: a late or doubled event asks for one of the last few.
pub const ANSWERED_MAX: usize = 16;

/// How many files of one cluster may be open at a time, each by its key. Each has a folder that every look lists: a user who drops the
/// same name into ten thousand folders must not make every pass, and the sweep of all, ten thousand lists long.
pub const OPEN_MAX: usize = 16;

/// What is owed for one cluster, and what was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Where the cluster stands in its life.
    #[serde(default)]
    pub phase: Phase,
    /// The create that the cluster was made for; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// Its stack, once it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackId>,
    /// Uploads that have no final answer yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
    /// S3's time of the latest create that was accepted or has joined. It supersedes an older delete whose event is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_create: Option<Timestamp>,
    /// S3's time of the latest delete that was accepted or answered. It supersedes an older create whose event is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delete: Option<Timestamp>,
    /// Where and when the file of `last_create` was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_create_seen: Option<FirstSeen>,
    /// Where and when the file of `last_delete` was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delete_seen: Option<FirstSeen>,
    /// The create that was given up because a delete came within the same second, so that nobody knows which was the later.
    /// The answers that report it stay until the next create is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tied: Option<Tied>,
    /// The login address that was reported last; empty where it was reported that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// What was reported last of instances for its compute nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeNews>,
    /// Whether the status file calls the cluster ready and was written without its nodes' reports: cf-watch has still to show them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reports_owed: bool,
    /// Uploads in other folders than the accepted one's beside which the login address was reported, or that there is none: what
    /// changes is reported there too, and `.cf-created` goes when the cluster does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<UploadKey>,
    /// Uploads beside which `.cf-failed` reports resources that are left, or that are being deleted: how that ends is reported there too.
    #[serde(rename = "warned", default, skip_serializing_if = "Vec::is_empty")]
    pub remains_reported: Vec<UploadKey>,
    /// Answered requests whose uploads S3 neither gave out nor let be removed. Each counts as answered also once it can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<RequestId>,
    /// Requests that have their final answer; they are never acted on again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<RequestId>,
    /// Mails claimed: written here before they are sent, so that none is sent twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mails: Vec<Claim>,
}

/// Where a cluster stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::Display)]
#[serde(tag = "is", rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// Nothing was accepted yet.
    #[default]
    New,
    /// A create was accepted; its stack may not be there yet.
    Creating {
        /// When CreateStack was last attempted.
        since: Timestamp,
    },
    /// The create was answered, and the cluster stands.
    Ready,
    /// The create failed; its stack is still to be removed.
    Failing,
    /// A delete was accepted.
    Deleting {
        /// When.
        since: Timestamp,
    },
    /// A delete was accepted while a create was on its way and no stack was to be seen.
    Unwanted {
        /// When the create was marked.
        since: Timestamp,
    },
    /// The stack could not be deleted; what is left may still cost money.
    Stuck,
    /// It is over; kept as history.
    Gone {
        /// When.
        at: Timestamp,
        /// How it ended.
        end: End,
    },
}

/// How a cluster's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Its user asked for it.
    Deleted,
    /// Somebody removed the stack by other means.
    Removed,
    /// It never came to life.
    Failed,
}

/// The create that a cluster was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The request; the stack bears it as a tag.
    pub request: RequestId,
    /// The upload; `.cf-created` and `.cf-status` lie beside it.
    pub key: UploadKey,
    /// When it was accepted.
    pub at: Timestamp,
    /// What the user chose, the values that differ from the template's defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What was taken for parameters that the user left out, where it is the deployment's default and not the template's.
    /// Kept, because the deployment may change while a stack is being made, and every attempt must ask for the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<String, String>,
}

/// An upload without a final answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Where it lies.
    pub key: UploadKey,
    /// Which it is.
    pub request: RequestId,
    /// Whether the answer of the work in hand answers it too; a waiting one has its turn later.
    pub joined: bool,
    /// The revision of the ledger in which it was first noted.
    #[serde(default)]
    pub seen: u64,
}

/// What Auto Scaling reports of the instances for a cluster's compute nodes (its user guide, "Auto Scaling events").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNews {
    /// When.
    pub at: Timestamp,
    /// Why the last launch failed, in AWS's words on one line; `None` where it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A mail of one kind for one request, sent at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The request that it is about.
    pub request: RequestId,
    /// Which news it is.
    pub kind: MailKind,
}

/// The news that go to the administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum MailKind {
    /// A cluster is ready.
    Ready,
    /// A cluster could not be made.
    Failed,
    /// A cluster is gone.
    Gone,
    /// A cluster could not be deleted.
    Stuck,
    /// A stack that is not ours has the name that a cluster needs.
    Occupied,
    /// S3 does not give an upload out.
    Unreadable,
}

impl Ledger {
    /// What is written of a cluster; an empty entry where nothing is.
    pub fn entry(&self, name: &ClusterName) -> Entry {
        self.clusters.get(name).cloned().unwrap_or_default()
    }

    /// The next version of this ledger, with `entry` in its place and the history bounded.
    #[must_use]
    pub fn with(&self, name: &ClusterName, entry: Entry) -> Self {
        let mut next = Self { revision: self.revision + 1, ..self.clone() };
        if entry == Entry::default() {
            next.clusters.remove(name);
        } else {
            next.clusters.insert(name.clone(), entry);
        }
        let mut ended: Vec<(Timestamp, ClusterName)> =
            next.clusters.iter().filter_map(|(name, e)| Some((e.ended()?, name.clone()))).collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(HISTORY_MAX);
        for (_, name) in ended.drain(..surplus) {
            next.clusters.remove(&name);
        }
        next
    }

    /// The user's clusters that live or are on their way.
    pub fn living(&self) -> impl Iterator<Item = &ClusterName> {
        self.clusters.iter().filter(|(_, e)| !matches!(e.phase, Phase::New | Phase::Gone { .. })).map(|(name, _)| name)
    }
}

impl Entry {
    /// When the cluster ended, if it has and nothing more is owed.
    fn ended(&self) -> Option<Timestamp> {
        match self.phase {
            _ if !self.open.is_empty() => None,
            Phase::Gone { at, .. } => Some(at),
            // A name that was only ever refused: the first to be forgotten.
            Phase::New => Some(Timestamp::MIN),
            _ => None,
        }
    }

    /// Whether a pass has something to do here even if no event comes.
    pub fn is_owed(&self) -> bool {
        !self.open.is_empty()
            || match self.phase {
                Phase::Creating { .. } | Phase::Failing | Phase::Deleting { .. } | Phase::Unwanted { .. } => true,
                Phase::Ready => self.reports_owed,
                Phase::New | Phase::Stuck | Phase::Gone { .. } => false,
            }
    }

    /// Whether a request has its final answer.
    pub fn has_answered(&self, request: &RequestId) -> bool {
        self.answered.contains(request)
    }

    /// The open uploads of a verb that the work in hand will answer.
    pub fn joined(&self, verb: Verb) -> impl Iterator<Item = &Open> {
        self.open.iter().filter(move |o| o.joined && o.key.verb == verb)
    }

    /// Notes an upload that has no answer yet, or changes whether it is joined. A known one keeps its place: the first of
    /// several gives its name to the news, and a second pass must name the same. A file that is put again and again at one key
    /// is one that waits, not many: its latest version takes the place of the one before.
    pub fn note_open(&mut self, key: &UploadKey, request: &RequestId, joined: bool, seen: u64) {
        let seen = match self.open.iter_mut().find(|o| &o.request == request) {
            Some(known) => {
                known.joined = joined;
                known.seen
            }
            None => seen,
        };
        let open = Open { key: key.clone(), request: request.clone(), joined, seen };
        match self.open.iter().position(|o| o.key == *key && o.joined == joined) {
            Some(at) => {
                let before = std::mem::replace(&mut self.open[at], open);
                self.pass_claims_on(&before, request);
            }
            None => self.open.push(open),
        }
        let mut is_first = true;
        self.open.retain(|o| &o.request != request || std::mem::take(&mut is_first));
    }

    /// The mail about a deletion is claimed under the delete's request id; if its file is replaced, the claim moves to the new id.
    fn pass_claims_on(&mut self, before: &Open, request: &RequestId) {
        if before.key.verb == Verb::Delete {
            self.mails.iter_mut().filter(|c| c.request == before.request).for_each(|c| c.request = request.clone());
        }
    }

    /// Whether `.cf-created` is in `OPEN_MAX` other folders already, so that no further folder is accepted.
    pub fn cannot_announce_in(&self, key: &UploadKey) -> bool {
        let knows = |known: &UploadKey| known.folder == key.folder;
        let is_accepteds = self.accepted.as_ref().is_some_and(|a| knows(&a.key));
        !is_accepteds && self.announced.len() >= OPEN_MAX && !self.announced.iter().any(knows)
    }

    /// Notes that `.cf-created` is beside an upload. A create in one more folder is refused once `OPEN_MAX` are noted, and at most
    /// `OPEN_MAX` are open by then: none is ever forgotten.
    pub fn note_announced(&mut self, key: &UploadKey) {
        let is_accepteds = self.accepted.as_ref().is_some_and(|a| a.key.folder == key.folder);
        if !is_accepteds && !self.announced.iter().any(|known| known.folder == key.folder) {
            self.announced.push(key.clone());
            let surplus = self.announced.len().saturating_sub(2 * OPEN_MAX);
            self.announced.drain(..surplus);
        }
    }

    /// Notes that `.cf-failed` beside an upload reports parts that are left. Bounded as the folders with an address are.
    pub fn note_remains_reported(&mut self, key: &UploadKey) {
        if !self.remains_reported.iter().any(|known| known.folder == key.folder) {
            self.remains_reported.push(key.clone());
            let surplus = self.remains_reported.len().saturating_sub(2 * OPEN_MAX);
            self.remains_reported.drain(..surplus);
        }
    }

    /// Whether a file at one more key is one too many.
    pub fn is_crowded_for(&self, key: &UploadKey) -> bool {
        let keys: BTreeSet<&UploadKey> = self.open.iter().map(|o| &o.key).collect();
        keys.len() >= OPEN_MAX && !keys.contains(key)
    }

    /// Notes that an answered upload was met again, because S3 did not let it be removed.
    pub fn note_left_over(&mut self, request: &RequestId) {
        if !self.left_over.contains(request) {
            self.left_over.push(request.clone());
            let surplus = self.left_over.len().saturating_sub(ANSWERED_MAX);
            self.left_over.drain(..surplus);
        }
    }

    /// Notes that a request has its final answer.
    pub fn note_answered(&mut self, request: &RequestId) {
        self.open.retain(|o| &o.request != request);
        self.answered.retain(|r| r != request);
        self.answered.push(request.clone());
        let surplus = self.answered.len().saturating_sub(ANSWERED_MAX);
        self.answered.drain(..surplus);
    }

    /// Claims a mail; false where it was claimed before, for then it must not be sent again.
    pub fn claim(&mut self, request: &RequestId, kind: MailKind) -> bool {
        if self.mails.iter().any(|c| &c.request == request && c.kind == kind) {
            return false;
        }
        self.mails.push(Claim { request: request.clone(), kind });
        let surplus = self.mails.len().saturating_sub(ANSWERED_MAX);
        self.mails.drain(..surplus);
        true
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
