//! Which objects of a profile become files on the node. Pure: a listing or a manifest in, paths out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::store::Object;

/// The most objects of one profile.
pub const OBJECTS_MAX: usize = 10_000;

/// The most bytes of a file: a script fetches larger things itself.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The most bytes of all profiles together: a node's disk is the user's.
pub const ALL_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The most bytes of one part of a path (any usual file system).
const PART_BYTES_MAX: usize = 255;

/// The most bytes of a path: S3's keys have no more.
const PATH_BYTES_MAX: usize = 1_024;

/// Folders of a profile that are not the nodes': the job queue's data (facts B.11).
const OF_THE_QUEUE: [&str; 2] = ["job-queue.d", "share"];

/// A file that is to be on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its path in the profile.
    pub path: String,
    /// The object's `ETag`; empty where it is not known.
    pub etag: String,
}

/// What is taken of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// The files, in the order of their paths.
    pub files: Vec<Wanted>,
    /// What is left out, and why.
    pub left_out: Vec<(String, Reason)>,
}

/// Why an object is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `..`, `.` or a slash at the beginning.
    LeadsElsewhere,
    /// An empty part, or one that is too long.
    NoPath,
    /// A character that no file's name can have.
    NoName,
    /// Above [`FILE_BYTES_MAX`].
    TooLarge,
    /// Above [`ALL_BYTES_MAX`] with the others.
    NoRoom,
    /// S3 can have both, a disk cannot.
    IsAFolderToo,
    /// It was listed and is gone.
    Gone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadsElsewhere => f.write_str("its path leads out of the profile"),
            Self::NoPath => write!(f, "its path has an empty part, or one of more than {PART_BYTES_MAX} bytes"),
            Self::NoName => f.write_str("its name has a character that no file can have"),
            Self::TooLarge => write!(f, "it has more than {} MiB; let a script fetch it", FILE_BYTES_MAX >> 20),
            Self::NoRoom => write!(f, "the profiles have more than {} GiB together", ALL_BYTES_MAX >> 30),
            Self::IsAFolderToo => f.write_str("a folder has the same name"),
            Self::Gone => f.write_str("it was removed from the bucket during the fetch"),
        }
    }
}

/// Whether a path in a profile is a file for the node; `None` where it is left out without a report: the mark of a
/// folder, and the job queue's data.
pub fn judge(path: &str) -> Option<Result<(), Reason>> {
    let mut parts = path.split('/');
    let is_queue = parts.clone().next().is_some_and(|first| OF_THE_QUEUE.contains(&first)) && path.contains('/');
    if path.is_empty() || is_queue {
        return None;
    }
    if path.starts_with('/') || parts.clone().any(|part| part == ".." || part == ".") {
        return Some(Err(Reason::LeadsElsewhere));
    }
    if path.ends_with('/') {
        return None;
    }
    if path.contains('\0') {
        return Some(Err(Reason::NoName));
    }
    if path.len() > PATH_BYTES_MAX || parts.any(|part| part.is_empty() || part.len() > PART_BYTES_MAX) {
        return Some(Err(Reason::NoPath));
    }
    Some(Ok(()))
}

/// Chooses from a listing. `prefix` is `customizer/<profile>/`, `room` what is left of [`ALL_BYTES_MAX`].
pub fn of_listing(prefix: &str, objects: &[Object], room: u64) -> Choice {
    let mut choice = Choice::default();
    let mut bytes = 0;
    let mut found = BTreeMap::new();
    for object in objects {
        let Some(path) = object.key.strip_prefix(prefix) else { continue };
        match judge(path) {
            None => {}
            Some(Err(reason)) => choice.left_out.push((path.to_owned(), reason)),
            Some(Ok(())) if object.size > FILE_BYTES_MAX => choice.left_out.push((path.to_owned(), Reason::TooLarge)),
            Some(Ok(())) => {
                found.insert(path, object);
            }
        }
    }
    let folders = folders(found.keys().copied());
    for (path, object) in found {
        if folders.contains(path) {
            choice.left_out.push((path.to_owned(), Reason::IsAFolderToo));
        } else if bytes + object.size > room {
            choice.left_out.push((path.to_owned(), Reason::NoRoom));
        } else {
            bytes += object.size;
            choice.files.push(Wanted { path: path.to_owned(), etag: object.etag.clone() });
        }
    }
    choice
}

/// Chooses from the lines of a `manifest.txt`: a relative path each. Several on one line, as older ones may have it, differ from one
/// name with spaces by their slashes: each path has one.
pub fn of_manifest(text: &str) -> Choice {
    let mut choice = Choice::default();
    let mut found = BTreeSet::new();
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let paths = lines.flat_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.iter().all(|word| word.contains('/')) { words } else { vec![line] }
    });
    for path in paths.map(|path| path.strip_prefix("./").unwrap_or(path)) {
        match judge(path) {
            None => {}
            Some(Err(reason)) => choice.left_out.push((path.to_owned(), reason)),
            Some(Ok(())) => {
                found.insert(path);
            }
        }
    }
    let folders = folders(found.iter().copied());
    for path in found {
        if folders.contains(path) {
            choice.left_out.push((path.to_owned(), Reason::IsAFolderToo));
        } else {
            choice.files.push(Wanted { path: path.to_owned(), etag: String::new() });
        }
    }
    choice
}

/// All folders that these paths lie in.
fn folders<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    paths.flat_map(|path| path.match_indices('/').map(move |(at, _)| path[..at].to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64) -> Object {
        Object { key: format!("customizer/p/{key}"), size, etag: format!("\"{key}\""), modified: 0 }
    }

    fn paths(choice: &Choice) -> Vec<&str> {
        choice.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn what_a_file_can_be_called_is_taken_and_the_rest_is_left_out_with_its_reason() {
        let long = format!("configure.d/{}", "x".repeat(255));
        let too_long = format!("{long}x");
        let keys = [
            "",
            "configure.d/",
            "configure.d/a b\n.sh",
            "configure.d/é",
            "configure.d/..x",
            "configure.d/\u{7}",
            &long,
            &too_long,
            "job-queue.d/login1/pending/1",
            "share/validate-job",
            "share",
            "../up",
            "a/../b",
            "a//b",
            "/root",
            "./x",
            "nul\0",
            "x/",
            "job-queue.data",
            "manifest.txt",
        ];
        let choice = of_listing("customizer/p/", &keys.map(|key| object(key, 1)), 100);
        assert_eq!(
            paths(&choice),
            [
                "configure.d/\u{7}",
                "configure.d/..x",
                "configure.d/a b\n.sh",
                &long,
                "configure.d/é",
                "job-queue.data",
                "manifest.txt",
                "share"
            ]
        );
        let out: Vec<(&str, Reason)> = choice.left_out.iter().map(|(path, reason)| (path.as_str(), *reason)).collect();
        assert_eq!(
            out,
            [
                (too_long.as_str(), Reason::NoPath),
                ("../up", Reason::LeadsElsewhere),
                ("a/../b", Reason::LeadsElsewhere),
                ("a//b", Reason::NoPath),
                ("/root", Reason::LeadsElsewhere),
                ("./x", Reason::LeadsElsewhere),
                ("nul\0", Reason::NoName),
            ]
        );
    }

    #[test]
    fn a_file_is_bounded_and_all_together_are() {
        let listing = [object("a", FILE_BYTES_MAX), object("b", FILE_BYTES_MAX + 1), object("c", 10), object("d", 1)];
        let choice = of_listing("customizer/p/", &listing, FILE_BYTES_MAX + 9);
        assert_eq!(paths(&choice), ["a", "d"]);
        assert_eq!(choice.left_out, [("b".into(), Reason::TooLarge), ("c".into(), Reason::NoRoom)]);
        assert_eq!(paths(&of_listing("customizer/p/", &listing[2..3], 10)), ["c"]);
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_cannot_both_be_there() {
        let choice = of_listing("customizer/p/", &["a", "a/b", "a/b/c"].map(|key| object(key, 1)), 100);
        assert_eq!(paths(&choice), ["a/b/c"]);
        assert_eq!(choice.left_out.len(), 2);
        assert_eq!(of_manifest("a\na/b\n").left_out, [("a".into(), Reason::IsAFolderToo)]);
    }

    #[test]
    fn b13_a_manifest_has_a_path_a_line_and_what_leads_elsewhere_is_refused() {
        let choice = of_manifest(
            "\u{feff}configure.d/a b.sh\r\n\n./start.d/x\nconfigure.d/c configure.d/d\nconfigure.d/c\n../../etc/passwd\n/etc/x\n",
        );
        assert_eq!(paths(&choice), ["configure.d/a b.sh", "configure.d/c", "configure.d/d", "start.d/x"]);
        assert_eq!(choice.left_out, [("../../etc/passwd".into(), Reason::LeadsElsewhere), ("/etc/x".into(), Reason::LeadsElsewhere)]);
        assert_eq!(of_manifest(" \n\t\n"), Choice::default());
    }
}
