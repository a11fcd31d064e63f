//! Reads which profiles a node has and what lies in their `<event>.d`. Nothing here follows a symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::settings::{Settings, SettingsError};
use super::{ProfileFolder, shown};
use crate::event::Event;

/// The most entries of one folder. A folder with more is refused as a whole: the disk's order is nobody's, so a part of it would
/// be a part by chance.
pub const ENTRIES_MAX: usize = 10_000;

/// What was read of all profiles for one event.
#[derive(Debug, Default)]
pub struct Observed {
    /// Each profile, in order.
    pub profiles: Vec<ObservedProfile>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// What was read of one profile.
#[derive(Debug)]
pub struct ObservedProfile {
    /// Where it is.
    pub folder: ProfileFolder,
    /// Its settings, or why they are not used.
    pub settings: Result<Settings, SettingsError>,
    /// What lies in `<event>.d`, in no order; nothing where there is no such folder.
    pub entries: Vec<Entry>,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which need not be UTF-8.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File {
        /// Its size.
        bytes: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, a socket, a device.
    Special,
}

impl Observed {
    /// Reads the profiles below `profiles` for an event. A node that has fetched none has none.
    pub fn read(profiles: &Path, event: Event) -> Self {
        let mut observed = Self::default();
        // This folder is the agent's own, and may be a link to the tree that was fetched last.
        let profiles = profiles.canonicalize().unwrap_or_else(|_| profiles.to_owned());
        let mut folders = observed.folders(&profiles);
        folders.sort_by(|a, b| (a.place, a.name.as_bytes()).cmp(&(b.place, b.name.as_bytes())));
        for folder in folders {
            let settings = Settings::read(&folder.path);
            let entries = read_folder(&folder.path.join(event.folder())).unwrap_or_else(|problem| {
                observed.problems.push(format!("profile {}: {} {problem}", shown(&folder.name), event.folder()));
                Vec::new()
            });
            observed.profiles.push(ObservedProfile { folder, settings, entries });
        }
        observed
    }

    fn folders(&mut self, profiles: &Path) -> Vec<ProfileFolder> {
        let entries = read_folder(profiles).unwrap_or_else(|problem| {
            self.problems.push(format!("the folder of profiles {problem}"));
            Vec::new()
        });
        let mut folders = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.kind == Kind::Folder) {
            match parse_place(&entry.name) {
                Some((place, name)) => folders.push(ProfileFolder { place, name, path: profiles.join(&entry.name) }),
                // The fetch keeps its own folders beside the profiles, hidden.
                None if entry.name.as_bytes().starts_with(b".") => {}
                None => self.problems.push(format!("the folder {} has no place among the profiles (NN-name)", shown(&entry.name))),
            }
        }
        folders
    }
}

/// `NN-<name>` as its two parts.
fn parse_place(folder: &OsStr) -> Option<(u32, OsString)> {
    let bytes = folder.as_bytes();
    let dash = bytes.iter().position(|byte| *byte == b'-')?;
    let digits = std::str::from_utf8(&bytes[..dash]).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let name = OsString::from_vec(bytes[dash + 1..].to_vec());
    Some((digits.parse().ok()?, name)).filter(|(_, name)| !name.is_empty())
}

/// Why a folder is not read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is none.
    #[error("is no folder, so nothing in it is run")]
    NoFolder,
    /// Too many entries.
    #[error("holds more than {ENTRIES_MAX} files, so none of them is run; take some away")]
    TooMany,
    /// An error of the file system.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// What lies in a folder; nothing where there is none.
pub fn read_folder(path: &Path) -> Result<Vec<Entry>, FolderError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(FolderError::NoFolder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        if entries.len() == ENTRIES_MAX {
            return Err(FolderError::TooMany);
        }
        let entry = entry?;
        // Of the entry itself, not of what a link leads to.
        let found = match entry.metadata() {
            Ok(found) => found,
            // It has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File { bytes: found.len() },
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Special,
        };
        entries.push(Entry { name: entry.file_name(), kind });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_in_the_order_of_their_places() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["02-abc", "01-zed", "100-last", "99-user", "3-a-b", "x", "-y", "04-", ".tmp", "+5-z"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("05-file"), "x").unwrap();
        std::os::unix::fs::symlink("01-zed", folder.path().join("06-link")).unwrap();
        let observed = Observed::read(folder.path(), Event::Configure);
        let names: Vec<String> = observed.profiles.iter().map(|profile| shown(&profile.folder.name)).collect();
        assert_eq!(names, ["zed", "abc", "a-b", "user", "last"]);
        assert_eq!(observed.problems.len(), 4, "x, -y, 04- and +5-z: {:?}", observed.problems);
        assert!(Observed::read(&folder.path().join("none"), Event::Fail).profiles.is_empty());
    }

    #[test]
    fn an_event_folder_that_is_none_or_has_too_much_in_it_is_a_problem() {
        let root = tempfile::tempdir().unwrap();
        let at = |profile: &str| root.path().join(profile);
        fs::create_dir_all(at("01-link")).unwrap();
        std::os::unix::fs::symlink("/etc", at("01-link").join("start.d")).unwrap();
        fs::create_dir_all(at("02-full").join("start.d")).unwrap();
        for nth in 0..ENTRIES_MAX {
            fs::write(at("02-full").join(format!("start.d/{nth}")), "").unwrap();
        }
        let observed = Observed::read(root.path(), Event::Start);
        assert_eq!(observed.problems, ["profile link: start.d is no folder, so nothing in it is run"]);
        assert_eq!(observed.profiles[1].entries.len(), ENTRIES_MAX);
        fs::write(at("02-full").join("start.d/more"), "").unwrap();
        let problems = Observed::read(root.path(), Event::Start).problems;
        assert_eq!(problems[1], "profile full: start.d holds more than 10000 files, so none of them is run; take some away");
    }
}
