//! Brings the profiles from S3 to the node, whole and in order.
//!
//! A profile is what lies under `customizer/<profile>/`. It is listed; where S3 refuses that, its `manifest.txt` names the files
//! (facts B.3, B.4). [`choice`] decides what is taken, `tree` keeps the disk. A profile comes whole or not at all: where one of its files
//! cannot be read, its last state stays.

pub mod choice;
mod tree;

use std::ffi::OsStr;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::node::Layout;
use crate::profile::shown;
use crate::settings::{NodeSettings, is_profile_name};
use crate::store::{Store, StoreError};
use choice::{ALL_BYTES_MAX, Choice, FILE_BYTES_MAX, OBJECTS_MAX, Reason, Wanted};
use tree::Stage;

/// Files that are fetched at once: most are small, so the time is that of the answers.
const AT_ONCE: usize = 8;

/// The most bytes of a `manifest.txt`: ten thousand lines.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// The most profiles of a node.
pub const PROFILES_MAX: usize = 100;

/// So many left-out files of a profile are named.
const NAMED_MAX: usize = 5;

/// The profile that is taken where the site names none.
const DEFAULT: &str = "default";

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The profiles that are there now, in the order of their events; the user's own last.
    pub profiles: Vec<String>,
    /// What the user ought to know: a profile that could not be fetched, files that were left out.
    pub problems: Vec<String>,
}

/// Why the user's own profile is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It cannot be read.
    #[error("the profile {profile} cannot be fetched: {reason}")]
    Unreadable {
        /// The profile.
        profile: String,
        /// Why.
        reason: String,
    },
}

/// Fetches the site's profiles, those in `more` (applied, or the login node's for compute nodes), and the user's own, in this order,
/// into [`Layout::profiles`]. What is no longer in the bucket is gone from the node. Where a profile cannot be fetched, its last
/// fetched state stays and is reported; where it is the user's own and there is no such state, that is an error.
pub async fn fetch<S: Store>(store: &S, settings: &NodeSettings, layout: &Layout, more: &[String]) -> Result<Fetched, FetchError> {
    let own = &settings.profile;
    let unreadable = |reason: String| FetchError::Unreadable { profile: shown(OsStr::new(own)), reason };
    let on_disk = |error: std::io::Error| unreadable(format!("the node's disk: {error}"));
    let begun = tokio::task::spawn_blocking({
        let layout = layout.clone();
        move || Stage::begin(&layout)
    });
    let stage = begun.await.map_err(|error| unreadable(error.to_string()))?.map_err(on_disk)?;
    let before = stage.names_before();
    let mut fetch = Fetch { store, bucket: &settings.customizer_bucket, stage, room: ALL_BYTES_MAX, problems: Vec::new(), silent: None };
    let mut failed = None;
    for (name, place) in order(settings, more, &mut fetch.problems) {
        failed = fetch.profile(&name, place).await;
    }
    let Fetch { stage, mut problems, .. } = fetch;
    let profiles = stage.names();
    // Also where the user's own is not there: the site's scripts of `fail` are to run then.
    let published = tokio::task::spawn_blocking(|| stage.publish()).await;
    if let Err(error) = published.map_err(std::io::Error::other).flatten() {
        let reason = format!("the node's disk: {error}");
        if !before.contains(own) {
            return Err(unreadable(reason));
        }
        problems.push(format!("no profile was fetched, and the scripts that were fetched last stay: {reason}"));
        return Ok(Fetched { profiles: before, problems });
    }
    match failed {
        None => Ok(Fetched { profiles, problems }),
        Some(reason) => Err(unreadable(reason)),
    }
}

/// What it means that a profile is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    IfThere,
    /// It is reported.
    Named,
    /// Without it, there is no node.
    Own,
}

/// The profiles in order, each once, the user's own last.
fn order(settings: &NodeSettings, more: &[String], problems: &mut Vec<String>) -> Vec<(String, Need)> {
    let mut order: Vec<(String, Need)> = Vec::new();
    let site = settings.site_profiles.iter().chain(more);
    if settings.site_profiles.is_empty() && settings.profile != DEFAULT {
        order.push((DEFAULT.to_owned(), Need::IfThere));
    }
    for name in site.filter(|name| **name != settings.profile) {
        if !is_profile_name(name) {
            problems.push(format!("{} is not the name of a profile, and is left out", shown(OsStr::new(name))));
        } else if let Some(known) = order.iter_mut().find(|(known, _)| known == name) {
            known.1 = Need::Named;
        } else if order.len() + 1 == PROFILES_MAX {
            problems
                .push(format!("a node has at most {PROFILES_MAX} profiles; {} and those after it are left out", shown(OsStr::new(name))));
            break;
        } else {
            order.push((name.clone(), Need::Named));
        }
    }
    order.push((settings.profile.clone(), Need::Own));
    order
}

/// Why a profile was not fetched.
enum Failure {
    /// By S3.
    Store(StoreError),
    /// By a file of it, or by this node.
    Other(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(format!("the node's disk: {error}"))
    }
}

/// A fetch that is under way.
struct Fetch<'a, S> {
    store: &'a S,
    bucket: &'a str,
    stage: Stage,
    /// What is left of [`ALL_BYTES_MAX`].
    room: u64,
    problems: Vec<String>,
    /// S3 did not answer: the other profiles do not wait for it once more.
    silent: Option<StoreError>,
}

impl<S: Store> Fetch<'_, S> {
    /// Fetches a profile, or keeps its last state. Gives the reason where there is neither and it is needed.
    async fn profile(&mut self, name: &str, need: Need) -> Option<String> {
        let shown = shown(OsStr::new(name));
        let got = match self.silent.clone() {
            Some(error) => Err(Failure::Store(error)),
            None => self.get(name).await,
        };
        let reason = match got {
            Ok(true) => return None,
            Ok(false) => {
                let folder = format!("nothing lies under customizer/{shown}/ in the bucket {}", self.bucket);
                match need {
                    Need::IfThere => {}
                    Need::Named => self.problems.push(format!("profile {shown}: {folder}")),
                    Need::Own => {
                        // An empty folder, so that its last scripts run no longer.
                        self.problems.push(format!("profile {shown}: {folder}"));
                        return self.stage.add(name).err().map(|error| error.to_string());
                    }
                }
                return None;
            }
            Err(Failure::Store(StoreError::Denied(_) | StoreError::Missing(_))) if need == Need::IfThere => return None,
            Err(Failure::Store(error)) => {
                if matches!(error, StoreError::Unreachable(_)) {
                    self.silent = Some(error.clone());
                }
                error.to_string()
            }
            Err(Failure::Other(reason)) => reason,
        };
        let kept = self.stage.carry_over(name);
        match kept {
            Ok(true) => self.problems.push(format!("profile {shown}: {reason}; the scripts that were fetched last stay")),
            Ok(false) | Err(_) if need == Need::Own => return Some(reason),
            Ok(false) if need == Need::IfThere => {}
            Ok(false) => self.problems.push(format!("profile {shown}: {reason}; none of its scripts runs")),
            Err(error) => self.problems.push(format!("profile {shown}: {reason}, and its last state cannot be kept: {error}")),
        }
        None
    }

    /// Fetches a profile into the new tree; whether there is such a profile. Where it fails, nothing of it is in the tree.
    async fn get(&mut self, name: &str) -> Result<bool, Failure> {
        let prefix = format!("customizer/{name}/");
        let choice = match self.store.list(self.bucket, &prefix, OBJECTS_MAX).await {
            Ok((objects, _)) if objects.is_empty() => return Ok(false),
            Ok((objects, has_more)) => {
                if has_more {
                    let most = format!("it has more than {OBJECTS_MAX} objects, and only the first of them, by their keys, are fetched");
                    self.problems.push(format!("profile {}: {most}", shown(OsStr::new(name))));
                }
                choice::of_listing(&prefix, &objects, self.room)
            }
            Err(StoreError::Denied(refused)) => self.manifest(&prefix, &refused).await?,
            Err(error) => return Err(Failure::Store(error)),
        };
        self.stage.add(name)?;
        match self.files(&prefix, choice.files).await {
            Ok((bytes, gone)) => {
                self.room = self.room.saturating_sub(bytes);
                self.report(name, choice.left_out.into_iter().chain(gone).collect());
                Ok(true)
            }
            Err(failure) => {
                self.stage.take_back()?;
                Err(failure)
            }
        }
    }

    /// The files that `manifest.txt` names. `refused` is S3's reason not to list them.
    async fn manifest(&self, prefix: &str, refused: &str) -> Result<Choice, Failure> {
        let key = format!("{prefix}manifest.txt");
        let text = match self.store.get(self.bucket, &key, MANIFEST_BYTES_MAX).await {
            Ok((text, _)) => String::from_utf8_lossy(&text).into_owned(),
            // Without the right to list, S3 refuses also what is not there.
            Err(StoreError::Denied(_) | StoreError::Missing(_)) => {
                return Err(Failure::Store(StoreError::Denied(format!("{refused}; nor is there a manifest.txt that it gives out"))));
            }
            Err(error @ StoreError::Unreachable(_)) => return Err(Failure::Store(error)),
            Err(error) => return Err(Failure::Other(format!("its manifest.txt cannot be used: {error}"))),
        };
        let choice = choice::of_manifest(&text);
        if choice.files.is_empty() && choice.left_out.is_empty() {
            return Err(Failure::Other("it cannot be listed, and its manifest.txt names no file".into()));
        }
        if choice.files.len() > OBJECTS_MAX {
            return Err(Failure::Other(format!("its manifest.txt names more than {OBJECTS_MAX} files")));
        }
        Ok(choice)
    }

    /// Fetches files into the new tree, those that have not changed from the tree before. Gives their bytes, and those that were listed
    /// and are gone.
    async fn files(&mut self, prefix: &str, files: Vec<Wanted>) -> Result<(u64, Vec<(String, Reason)>), Failure> {
        let mut bytes = 0;
        let mut calls = Vec::new();
        for file in files {
            match self.stage.reuse(&file.path, &file.etag) {
                Some(size) => bytes += size,
                None => calls.push((self.stage.place(&file.path)?, file)),
            }
        }
        let (store, bucket) = (self.store, self.bucket);
        let calls = calls.into_iter().map(|(to, file)| download(store, bucket, format!("{prefix}{}", file.path), file, to));
        let mut calls = stream::iter(calls).buffer_unordered(AT_ONCE);
        let mut out = Vec::new();
        while let Some((file, result)) = calls.next().await {
            match result {
                Ok(()) => bytes += self.stage.fetched(&file.path, &file.etag)?,
                // A manifest that names what is not there is wrong; a listing is only old.
                Err(StoreError::Missing(_)) if !file.etag.is_empty() => out.push((file.path, Reason::Gone)),
                Err(StoreError::TooLong(_)) => out.push((file.path, Reason::TooLarge)),
                Err(error @ StoreError::Unreachable(_)) => return Err(Failure::Store(error)),
                Err(error) => return Err(Failure::Other(format!("its file {} cannot be fetched: {error}", shown(OsStr::new(&file.path))))),
            }
            if bytes > self.room {
                return Err(Failure::Other(Reason::NoRoom.to_string()));
            }
        }
        Ok((bytes, out))
    }

    /// Reports what was left out of a profile: the first files by name, the rest by their number.
    fn report(&mut self, name: &str, left_out: Vec<(String, Reason)>) {
        let more = left_out.len().saturating_sub(NAMED_MAX);
        for (path, reason) in left_out.into_iter().take(NAMED_MAX) {
            self.problems.push(format!("profile {}: {} is left out: {reason}", shown(OsStr::new(name)), shown(OsStr::new(&path))));
        }
        if more > 0 {
            self.problems.push(format!("profile {}: {more} more files are left out", shown(OsStr::new(name))));
        }
    }
}

async fn download<S: Store>(store: &S, bucket: &str, key: String, file: Wanted, to: PathBuf) -> (Wanted, Result<(), StoreError>) {
    let result = store.fetch(bucket, &key, FILE_BYTES_MAX, &to).await;
    (file, result)
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
