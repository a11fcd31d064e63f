//! S3: keys, versions, conditional writes. Strongly consistent, as AWS's is.

use std::collections::BTreeMap;
use std::sync::Arc;

use cf_core::effect::Expect;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::message::{Message, StateText};
use cf_core::names::{digest, hex};
use cf_core::request::ETag;
use jiff::Timestamp;

/// The three buckets of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Where users drop files.
    User,
    /// Where the profiles lie.
    Customizer,
    /// Ledger and templates.
    System,
}

/// What a function has written into a user's folder: the value whose text the object holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A final answer.
    Answer(Message),
    /// A status file.
    Status(StateText),
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its content; shared, so that a world is cheap to copy.
    pub bytes: Arc<[u8]>,
    /// Its version id, in a versioned bucket.
    pub id: Option<String>,
    /// Its time, in whole seconds.
    pub modified: Timestamp,
    /// A hash of its content, as S3's is for a plain upload: equal bytes, equal `ETag`.
    pub etag: ETag,
    /// Whether S3 gives it out: not where it is archived, or encrypted with a key that the functions do not have.
    pub is_withheld: bool,
    /// Whether it cannot be removed on a condition either, for which S3 reads it ("Conditional deletes", User Guide).
    pub is_pinned: bool,
    /// What it says, where a function has written it for a user.
    pub written: Option<Arc<Written>>,
}

/// All objects; only current versions can be seen.
#[derive(Debug, Clone, Default)]
pub struct Store {
    objects: [BTreeMap<String, Version>; 3],
    /// Whether the user bucket is versioned.
    pub versioned: bool,
    puts: u64,
}

impl Version {
    /// Its `ETag`.
    pub fn etag(&self) -> ETag {
        self.etag.clone()
    }
}

impl Store {
    /// Puts an object, whatever is there.
    pub fn put(&mut self, bucket: Bucket, key: &str, bytes: &[u8], now: Timestamp) -> ETag {
        self.puts += 1;
        let id = (self.versioned || bucket != Bucket::User).then(|| format!("v{}", self.puts));
        let modified = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let etag = ETag(format!("\"{}\"", hex(&digest(&[&String::from_utf8_lossy(bytes)]), 16)));
        self.objects[bucket as usize].insert(
            key.to_owned(),
            Version { bytes: bytes.into(), id, modified, etag: etag.clone(), is_withheld: false, is_pinned: false, written: None },
        );
        etag
    }

    /// Keeps what a function has just written for a user beside its bytes.
    pub(crate) fn keep(&mut self, key: &str, written: Written) {
        if let Some(version) = self.objects[Bucket::User as usize].get_mut(key) {
            version.written = Some(Arc::new(written));
        }
    }

    /// Lets S3 not give out what is at a key, until it is put anew.
    pub fn withhold(&mut self, bucket: Bucket, key: &str) {
        if let Some(version) = self.objects[bucket as usize].get_mut(key) {
            version.is_withheld = true;
        }
    }

    /// Lets S3 neither give out nor remove what is at a key, until it is put anew.
    pub fn pin(&mut self, bucket: Bucket, key: &str) {
        if let Some(version) = self.objects[bucket as usize].get_mut(key) {
            (version.is_withheld, version.is_pinned) = (true, true);
        }
    }

    /// Lets S3 give out and remove what is at a key: somebody has mended the policy, or the key that encrypts it.
    pub fn release(&mut self, bucket: Bucket, key: &str) {
        if let Some(version) = self.objects[bucket as usize].get_mut(key) {
            (version.is_withheld, version.is_pinned) = (false, false);
        }
    }

    /// PutObject with If-Match or If-None-Match (API reference, `PutObject`: 412 where the condition does not hold).
    pub fn put_if(&mut self, bucket: Bucket, key: &str, bytes: &[u8], expect: &Expect, now: Timestamp) -> Result<ETag, Fault> {
        let there = self.get(bucket, key).map(Version::etag);
        let holds = match expect {
            Expect::Absent => there.is_none(),
            Expect::Is(etag) => there.as_ref() == Some(etag),
            Expect::OwnWrite => false,
        };
        if holds {
            Ok(self.put(bucket, key, bytes, now))
        } else {
            Err(Fault::new(Kind::Conflict, Call::PutObject, "412 PreconditionFailed"))
        }
    }

    /// DeleteObject with If-Match: another version stays; none is no fault.
    pub fn delete_if(&mut self, bucket: Bucket, key: &str, etag: &ETag) -> Result<(), Fault> {
        match self.get(bucket, key) {
            Some(version) if version.is_pinned => Err(Fault::new(Kind::Rejected, Call::DeleteObject, "403 AccessDenied")),
            Some(version) if version.etag == *etag => {
                self.delete(bucket, key);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Removes an object, if it is there.
    pub fn delete(&mut self, bucket: Bucket, key: &str) {
        self.objects[bucket as usize].remove(key);
    }

    /// The current version.
    pub fn get(&self, bucket: Bucket, key: &str) -> Option<&Version> {
        self.objects[bucket as usize].get(key)
    }

    /// An object as text.
    pub fn text(&self, bucket: Bucket, key: &str) -> Option<String> {
        self.get(bucket, key).map(|v| String::from_utf8_lossy(&v.bytes).into_owned())
    }

    /// The keys that begin with `prefix`.
    pub fn list<'s>(&'s self, bucket: Bucket, prefix: &str) -> impl Iterator<Item = (&'s String, &'s Version)> + use<'s> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        let prefix = prefix.to_owned();
        self.objects[bucket as usize].range::<str, _>(from).take_while(move |(key, _)| key.starts_with(&prefix))
    }
}
