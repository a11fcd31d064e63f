//! The profile's folder that is tried: whether it is one, and a bounded copy of it in a scratch folder.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use strum::IntoEnumIterator;
use tempfile::TempDir;

use crate::event::Event;
use crate::node::Layout;
use crate::profile::listing::{self, Entry, Kind, read_folder};
use crate::profile::shown;

/// The most that is copied. A profile that has more is a mistake, such as a home folder.
pub const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The most files and folders that are copied.
pub const FILES_MAX: usize = 10_000;

/// A copy of a profile, as a node would have it. It goes when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// Where it lies.
    pub layout: Layout,
    /// The events that the profile has folders for.
    pub events: Vec<Event>,
    /// What was not copied, and why.
    pub left_out: Vec<String>,
    _folder: TempDir,
}

/// Why a folder is not tried. Each says what to name instead.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nothing there.
    #[error("there is no folder {0}; name the folder of a profile, which holds folders such as configure.d")]
    Missing(String),
    /// A file.
    #[error("{0} is no folder; name the folder of a profile, which holds folders such as configure.d")]
    NoFolder(String),
    /// One too high.
    #[error("{folder} is no profile, it holds {count}: {profiles}; name one of them, such as {folder}/{first}")]
    Parent {
        /// The folder.
        folder: String,
        /// Profiles in it.
        count: String,
        /// Some of them.
        profiles: String,
        /// The first.
        first: String,
    },
    /// One too low.
    #[error("{0} is the folder of an event; name the profile's, which is the one above it")]
    EventFolder(String),
    /// No event.
    #[error("{folder} holds no folder of an event, such as {event}.d, so it is no profile{hint}")]
    NoEvents {
        /// The folder.
        folder: String,
        /// The event asked for.
        event: Event,
        /// What may have been meant.
        hint: String,
    },
    /// Too many files.
    #[error("the profile has more than {FILES_MAX} files; is this the right folder?")]
    TooMany,
    /// Too large.
    #[error("the profile has more than 1 GiB; is this the right folder?")]
    TooLarge,
    /// A folder in it cannot be read.
    #[error("{0} {1}")]
    Unreadable(String, #[source] listing::FolderError),
    /// An error of the file system.
    #[error("{path}: {source}")]
    Io {
        /// For which path.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl FolderError {
    /// An error of the system.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: shown(path.as_os_str()), source }
    }
}

/// Copies the profile in this folder, if it is one.
pub fn copy(folder: &Path, event: Event) -> Result<Scratch, FolderError> {
    let told = shown(folder.as_os_str());
    let source = match folder.canonicalize() {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FolderError::Missing(told)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(FolderError::NoFolder(told)),
        Err(error) => return Err(FolderError::io(folder, error)),
    };
    if !source.is_dir() {
        return Err(FolderError::NoFolder(told));
    }
    let events = judge(&told, &source, event)?;
    let scratch =
        tempfile::Builder::new().prefix("cf-node-try-").tempdir().map_err(|error| FolderError::io(&std::env::temp_dir(), error))?;
    let layout = Layout::below(scratch.path());
    let name = source.file_name().unwrap_or("profile".as_ref());
    let mut place = OsString::from("01-");
    place.push(name);
    let left_out = copy_tree(&source, &layout.profiles().join(place), scratch.path())?;
    Ok(Scratch { layout, events, left_out, _folder: scratch })
}

/// The events that a profile has, or why the folder is none.
fn judge(told: &str, source: &Path, event: Event) -> Result<Vec<Event>, FolderError> {
    let entries = read(source)?;
    let events = events(&entries);
    if !events.is_empty() {
        return Ok(events);
    }
    if Event::iter().any(|event| source.file_name() == Some(event.folder().as_ref())) {
        return Err(FolderError::EventFolder(told.to_owned()));
    }
    let folders = entries.iter().filter(|entry| entry.kind == Kind::Folder);
    let mut profiles = Vec::new();
    for entry in folders.clone() {
        // A folder that may not be read is no profile that could be named.
        if read_folder(&source.join(&entry.name)).is_ok_and(|entries| !self::events(&entries).is_empty()) {
            profiles.push(shown(&entry.name));
        }
    }
    profiles.sort();
    if let Some(first) = profiles.first().cloned() {
        let count = if profiles.len() == 1 { "a profile".to_owned() } else { format!("{} profiles", profiles.len()) };
        profiles.truncate(10);
        return Err(FolderError::Parent { folder: told.trim_end_matches('/').to_owned(), count, profiles: profiles.join(", "), first });
    }
    let meant = Event::iter().find(|event| folders.clone().any(|entry| entry.name == event.to_string().as_str()));
    let hint = meant.map(|event| format!("; call its folder {event} {event}.d")).unwrap_or_default();
    Err(FolderError::NoEvents { folder: told.to_owned(), event, hint })
}

fn events(entries: &[Entry]) -> Vec<Event> {
    let has = |event: &Event| entries.iter().any(|entry| entry.kind == Kind::Folder && entry.name == event.folder().as_str());
    Event::iter().filter(has).collect()
}

fn read(folder: &Path) -> Result<Vec<Entry>, FolderError> {
    read_folder(folder).map_err(|error| FolderError::Unreadable(shown(folder.as_os_str()), error))
}

/// Copies a tree. Files are executable, as on nodes. Links stay links, so that they are seen to be skipped. Returns what was left
/// out.
fn copy_tree(source: &Path, target: &Path, scratch: &Path) -> Result<Vec<String>, FolderError> {
    let (mut files, mut bytes, mut left_out) = (0, 0, Vec::new());
    let mut folders = vec![(source.to_owned(), target.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).map_err(|error| FolderError::io(&to, error))?;
        for entry in read(&from)? {
            let (from, to) = (from.join(&entry.name), to.join(&entry.name));
            files += 1;
            if files > FILES_MAX {
                return Err(FolderError::TooMany);
            }
            match entry.kind {
                // The scratch folder may lie in what is copied.
                Kind::Folder if scratch.canonicalize().is_ok_and(|scratch| scratch == from) => {}
                Kind::Folder => folders.push((from, to)),
                Kind::File { .. } => bytes += copy_file(&from, &to, BYTES_MAX - bytes)?,
                Kind::Link => {
                    let leads = fs::read_link(&from).and_then(|leads| std::os::unix::fs::symlink(leads, &to));
                    leads.map_err(|error| FolderError::io(&from, error))?;
                }
                Kind::Special => left_out.push(format!("{} (no plain file)", shown(&entry.name))),
            }
        }
    }
    Ok(left_out)
}

/// Copies a file of at most so many bytes. Returns how many it has.
fn copy_file(from: &Path, to: &Path, bytes_max: u64) -> Result<u64, FolderError> {
    let copy = || -> io::Result<u64> {
        let mut target = File::create_new(to)?;
        let copied = io::copy(&mut File::open(from)?.take(bytes_max.saturating_add(1)), &mut target)?;
        target.set_permissions(Permissions::from_mode(0o755))?;
        Ok(copied)
    };
    match copy() {
        Ok(bytes) if bytes > bytes_max => Err(FolderError::TooLarge),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(FolderError::io(from, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_executable_files_links_that_stay_links_and_no_pipes() {
        let home = tempfile::tempdir().unwrap();
        let profile = home.path().join("mine");
        fs::create_dir_all(profile.join("configure.d")).unwrap();
        fs::create_dir_all(profile.join("share/deep")).unwrap();
        fs::write(profile.join("share/deep/data"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", profile.join("configure.d/link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, profile.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let scratch = copy(&profile, Event::Start).unwrap();
        assert_eq!(
            (scratch.events.as_slice(), scratch.left_out.as_slice()),
            (&[Event::Configure][..], &["pipe (no plain file)".to_owned()][..])
        );
        let copied = scratch.layout.profiles().join("01-mine");
        assert_eq!(fs::metadata(copied.join("share/deep/data")).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(fs::symlink_metadata(copied.join("configure.d/link")).unwrap().is_symlink());
        drop(scratch);
        assert!(!copied.exists());
    }

    #[test]
    fn a_file_is_copied_up_to_the_bound_and_not_above_it() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("from"), "12345").unwrap();
        assert_eq!(copy_file(&at("from"), &at("fits"), 5).unwrap(), 5);
        assert!(matches!(copy_file(&at("from"), &at("not"), 4), Err(FolderError::TooLarge)));
    }
}
