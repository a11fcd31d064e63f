//! `customize push`: puts a script or a folder into the bucket as a profile, with the caller's own rights (decision 18).
//!
//! - [`local`]: reads what is to be pushed; - [`record`]: what earlier pushes wrote; - [`plan`]: what is written and removed (pure).
//!
//! A push removes only what an earlier push wrote and nobody has changed since, replaces only what it wrote or what is the same, and
//! never touches a job queue. The order of its writes is: files, removals, manifest, record, index. Where it ends in between, the
//! next push finds its files there, the same as the local ones, and goes on.

pub mod local;
pub mod plan;
pub mod record;

use std::path::Path;

use super::index::{self, Index, IndexError};
use super::profile_name::ProfileName;
use crate::event::Event;
use crate::random::NoRandom;
use crate::store::{Expect, Object, Store, StoreError, get_if_there};
use local::{LocalError, LocalFile, Source};
use plan::Plan;
use record::RecordError;

/// The most objects of a profile.
pub const OBJECTS_MAX: usize = 10_000;

/// The manifest's name in the profile's folder.
const MANIFEST: &str = "manifest.txt";

/// So often the shared index is read and written again where another push was faster.
const INDEX_ATTEMPTS: u32 = 10;

const TEXT: &str = "text/plain; charset=utf-8";

/// Why nothing, or not all, was pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The folder or file here.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Files that others wrote.
    #[error(
        "these files of the profile {profile} in the bucket are not what a push wrote, and differ from those here: {}; nothing was pushed. Look at them, then push with --overwrite to replace them", .files.join(", ")
    )]
    Foreign {
        /// The profile.
        profile: ProfileName,
        /// Their paths.
        files: Vec<String>,
    },
    /// Too many to see them all.
    #[error("the profile {0} has more than {OBJECTS_MAX} objects in the bucket, too many for a push; remove what is not needed")]
    TooMany(ProfileName),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The index.
    #[error("the files of the profile {0} are pushed, and its entry in the index is not: {1}")]
    Index(ProfileName, IndexError),
    /// S3.
    #[error("the push of the profile {profile} stopped at {what}: {error}; push again when that is corrected")]
    Store {
        /// The profile.
        profile: ProfileName,
        /// What was being done.
        what: String,
        /// Why it stopped.
        error: StoreError,
    },
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The profile.
    pub profile: ProfileName,
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that were there already, the same.
    pub unchanged: usize,
    /// Files that were removed.
    pub removed: Vec<String>,
    /// What was left, and why.
    pub notes: Vec<String>,
}

/// Pushes a file as the profile of its name, into the folder of this event, or a folder as it is.
pub async fn push<S: Store>(store: &S, bucket: &str, source: &Path, hook: Event, overwrite: bool) -> Result<Pushed, PushError> {
    let local = local::read(source, hook)?;
    Push { store, bucket, local: &local }.run(overwrite).await
}

struct Push<'a, S> {
    store: &'a S,
    bucket: &'a str,
    local: &'a Source,
}

impl<S: Store> Push<'_, S> {
    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.local.profile.prefix())
    }

    fn failed(&self, what: impl Into<String>) -> impl FnOnce(StoreError) -> PushError {
        let (profile, what) = (self.local.profile.clone(), what.into());
        move |error| PushError::Store { profile, what, error }
    }

    /// The profile's objects, by their paths in it.
    async fn remote(&self) -> Result<Vec<Object>, PushError> {
        let prefix = self.local.profile.prefix();
        let (objects, more) = self.store.list(self.bucket, &prefix, OBJECTS_MAX).await.map_err(self.failed("the listing of its files"))?;
        if more {
            return Err(PushError::TooMany(self.local.profile.clone()));
        }
        let path = |object: Object| Some(Object { key: object.key.strip_prefix(&prefix)?.to_owned(), ..object });
        Ok(objects.into_iter().filter_map(path).collect())
    }

    async fn run(&self, overwrite: bool) -> Result<Pushed, PushError> {
        let (record, record_etag) = record::read(self.store, self.bucket, &self.local.profile).await?;
        let remote = self.remote().await?;
        let same = self.same(&remote).await?;
        let plan = Plan::decide(self.local, &remote, &record, &same, overwrite);
        if !plan.foreign.is_empty() {
            return Err(PushError::Foreign { profile: self.local.profile.clone(), files: plan.foreign });
        }
        let mut next = plan.kept.clone();
        let mut written = Vec::new();
        for (path, expect) in plan.writes {
            let file = self.local.files.iter().find(|file| file.path == path);
            let content = file.map(LocalFile::content).transpose()?.unwrap_or_default();
            let key = self.key(&path);
            let put = self.store.put(self.bucket, &key, content, "application/octet-stream", expect).await;
            let etag = put.map_err(self.failed(format!("the file {path}")))?;
            next.files.insert(path.clone(), etag);
            written.push(path);
        }
        for path in &plan.removals {
            self.store.remove(self.bucket, &self.key(path)).await.map_err(self.failed(format!("the removal of {path}")))?;
        }
        let (manifest, unlisted) = manifest(&self.remote().await?);
        let text = manifest.iter().map(|path| format!("{path}\n")).collect::<String>().into_bytes();
        self.store.put(self.bucket, &self.key(MANIFEST), text, TEXT, Expect::Anything).await.map_err(self.failed(MANIFEST))?;
        record::write(self.store, self.bucket, &self.local.profile, &next, record_etag).await?;
        self.index(&manifest).await?;
        let notes = self.local.notes.iter().cloned().chain(plan.notes).chain(unlisted).collect();
        Ok(Pushed { profile: self.local.profile.clone(), written, unchanged: plan.unchanged, removed: plan.removals, notes })
    }

    /// The paths whose objects have the local content: only those of the same size are looked at.
    async fn same(&self, remote: &[Object]) -> Result<Vec<String>, PushError> {
        let mut same = Vec::new();
        for file in &self.local.files {
            let Some(object) = remote.iter().find(|object| object.key == file.path && object.size == file.size) else { continue };
            let got = self.store.get(self.bucket, &self.key(&object.key), file.size).await;
            let (content, etag) = match got {
                Ok(got) => got,
                // Written or removed since the listing: the conditional write shows it.
                Err(StoreError::Missing(_) | StoreError::TooLong(_)) => continue,
                Err(error) => return Err(self.failed(format!("the comparison of {}", file.path))(error)),
            };
            if etag == object.etag && content == file.content()? {
                same.push(file.path.clone());
            }
        }
        Ok(same)
    }

    /// Puts the profile's entry into the bucket's index, which other profiles' pushes change too.
    async fn index(&self, manifest: &[String]) -> Result<(), PushError> {
        let profile = &self.local.profile;
        for attempt in 1..=INDEX_ATTEMPTS {
            let got = get_if_there(self.store, self.bucket, index::KEY, index::BYTES_MAX).await;
            let (mut index, expect) = match got.map_err(self.failed(index::KEY))? {
                Some((bytes, etag)) => (Index::parse(&bytes).map_err(|error| PushError::Index(profile.clone(), error))?, Expect::Is(etag)),
                None => (Index::default(), Expect::Absent),
            };
            index.set(profile.as_str(), manifest, &tags(&self.local.tags, manifest));
            match self.store.put(self.bucket, index::KEY, index.text().into_bytes(), "application/yaml", expect).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Changed(_)) if attempt < INDEX_ATTEMPTS => {}
                Err(error) => return Err(self.failed(index::KEY)(error)),
            }
        }
        Ok(())
    }
}

/// A profile that has scripts for the boot only says so (facts B.4).
fn tags(own: &[String], manifest: &[String]) -> Vec<String> {
    let mut tags = own.to_vec();
    let is_startup = manifest.iter().any(|path| path.starts_with("initialize.d/"));
    if is_startup && !tags.iter().any(|tag| tag == index::STARTUP) {
        tags.push(index::STARTUP.to_owned());
    }
    tags
}

/// The manifest's lines, sorted: files in folders, and `profile.toml`, which says how they run. What cannot be a line is left out
/// with a note.
fn manifest(remote: &[Object]) -> (Vec<String>, Vec<String>) {
    let is_listed = |path: &str| {
        (path.contains('/') || path == crate::profile::settings::FILE) && !path.ends_with('/') && !is_queue(path) && !path.starts_with('.')
    };
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    for path in remote.iter().map(|object| object.key.as_str()).filter(|path| is_listed(path)) {
        if path.chars().any(char::is_control) || path.trim() != path || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            notes.push(format!("{} is not in manifest.txt: its name does not fit into a line", crate::profile::shown(path.as_ref())));
        } else {
            lines.push(path.to_owned());
        }
    }
    lines.sort();
    (lines, notes)
}

/// Whether a path is a job queue's of the old customizer, which no push touches.
pub(super) fn is_queue(path: &str) -> bool {
    path.split('/').any(|part| part == "job-queue.d")
}

#[cfg(test)]
mod tests;
