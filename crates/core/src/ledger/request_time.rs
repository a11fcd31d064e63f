//! Which of two requests came later: by S3's time, and within one second by which the ledger noted first.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, Phase};
use crate::key::{Folder, UploadKey, Verb};

/// Where and when a file was first seen. S3 gives times in whole seconds only, but its listings are strongly consistent (User
/// Guide, "Amazon S3 data consistency model"), and every file that a look lists is noted in the ledger, whose writes have an
/// order. So of two files in one folder the one that was noted first was there when the other was not: it is the older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSeen {
    /// The folder that was listed.
    pub folder: Folder,
    /// The revision of the ledger in which it was first noted.
    pub seen: u64,
}

/// When a request was made, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTime {
    /// S3's time, in whole seconds.
    pub at: Timestamp,
    /// Where and when its file was first seen, where that is known.
    pub sighting: Option<FirstSeen>,
}

impl RequestTime {
    /// Which of two requests was made first; `None` where they were made within one second and nothing else shows it.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        let by_sight = || {
            let (mine, its) = self.sighting.as_ref().zip(other.sighting.as_ref())?;
            (mine.folder == its.folder && mine.seen != its.seen).then(|| mine.seen.cmp(&its.seen))
        };
        match self.at.cmp(&other.at) {
            Ordering::Equal => by_sight(),
            order => Some(order),
        }
    }
}

/// A create that was given up because a delete came within the same second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tied {
    /// The second, by S3's clock.
    pub at: Timestamp,
    /// The create's file.
    pub key: UploadKey,
}

impl Entry {
    /// Notes that an upload was taken as its user's request; events are late now and then, so the latest request counts, not the
    /// last event.
    pub fn note_request_time(&mut self, verb: Verb, request: &RequestTime) {
        let is_latest = self.last(verb).is_none_or(|last| last.order(request).is_none_or(Ordering::is_lt) && last.at <= request.at);
        if is_latest {
            let (at, seen) = match verb {
                Verb::Create => (&mut self.last_create, &mut self.last_create_seen),
                Verb::Delete => (&mut self.last_delete, &mut self.last_delete_seen),
            };
            *at = Some(request.at);
            seen.clone_from(&request.sighting);
        }
    }

    /// The latest request of a verb that was accepted.
    pub fn last(&self, verb: Verb) -> Option<RequestTime> {
        let (at, sighting) = match verb {
            Verb::Create => (self.last_create, &self.last_create_seen),
            Verb::Delete => (self.last_delete, &self.last_delete_seen),
        };
        at.map(|at| RequestTime { at, sighting: sighting.clone() })
    }

    /// Whether a later create was accepted, and what it asked for lives or is on its way.
    pub fn supersedes_delete(&self, delete: &RequestTime) -> bool {
        matches!(self.phase, Phase::Creating { .. } | Phase::Ready)
            && self.last(Verb::Create).is_some_and(|create| create.order(delete) == Some(Ordering::Greater))
    }

    /// Whether a later delete supersedes a create. A delete of the same second counts as the later one where their order is
    /// unknown: what it does costs nothing.
    pub fn supersedes_create(&self, create: &RequestTime) -> bool {
        self.last(Verb::Delete).is_some_and(|delete| delete.order(create) != Some(Ordering::Less))
    }
}
