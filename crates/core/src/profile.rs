//! Which files of a profile are scripts.
//!
//! **The rule**, which the nodes' agent shares. A script lies directly
//! in `configure.d/`: folders are not looked into. It holds more than a line break: an empty object is the mark of a folder, or a
//! placeholder. Its name does not begin with a dot (hidden files), does not end with `~` (left-overs of editors), is no longer
//! than 255 bytes (the most that a file's name may have), has no ending of texts, data and archives ([`NO_SCRIPTS`]) and is no name
//! of such ([`NO_SCRIPT_NAMES`]): nobody means `README.txt` to be run as root. Any other ending does, and none too. Files that are
//! no scripts are fetched all the same: scripts may read them.

use crate::message::OtherFiles;

/// Endings of what is no script, in small letters. Sorted.
pub const NO_SCRIPTS: [&str; 26] = [
    ".bak",
    ".cfg",
    ".conf",
    ".csv",
    ".db",
    ".disabled",
    ".doc",
    ".docx",
    ".gz",
    ".html",
    ".ini",
    ".json",
    ".log",
    ".md",
    ".old",
    ".orig",
    ".pdf",
    ".rst",
    ".rtf",
    ".swp",
    ".tmp",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".zip",
];

/// Names of what is no script, in small letters. Sorted.
pub const NO_SCRIPT_NAMES: [&str; 5] = ["changelog", "copying", "license", "placeholder", "readme"];

/// The least that a script holds, in bytes: a line break has one or two.
pub const SCRIPT_BYTES_MIN: u64 = 3;

/// The most bytes of a file's name on the nodes.
const NAME_BYTES_MAX: usize = 255;

/// So many of the things that are no scripts are shown.
const SHOWN_MAX: usize = 4;

/// Whether the nodes run a file of `configure.d/`, by its name there and its size.
pub fn is_script(name: &str, size: u64) -> bool {
    why_not(name, size).is_none()
}

/// Why a file is no script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotScriptReason {
    /// It is a folder, or in one.
    Folder,
    /// It is hidden.
    Hidden,
    /// An editor has left it over.
    Backup,
    /// Its name is too long for a file.
    NameTooLong,
    /// By its name it is text or data.
    TextByName,
    /// It holds nothing.
    Empty,
}

/// Why the nodes do not run a file of `configure.d/`; `None` where they do.
pub fn why_not(name: &str, size: u64) -> Option<NotScriptReason> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.contains('/') {
        Some(NotScriptReason::Folder)
    } else if name.starts_with('.') {
        Some(NotScriptReason::Hidden)
    } else if name.ends_with('~') {
        Some(NotScriptReason::Backup)
    } else if name.len() > NAME_BYTES_MAX {
        Some(NotScriptReason::NameTooLong)
    } else if NO_SCRIPTS.iter().any(|ending| lower.ends_with(ending)) || NO_SCRIPT_NAMES.contains(&lower.as_str()) {
        Some(NotScriptReason::TextByName)
    } else if size < SCRIPT_BYTES_MIN {
        Some(NotScriptReason::Empty)
    } else {
        None
    }
}

/// What was found in a user's `configure.d/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Whether there is a script, without which there is no cluster.
    pub has_script: bool,
    /// What is there beside scripts.
    others: OtherFiles,
}

impl Profile {
    /// One with a script.
    pub fn with_script() -> Self {
        Self { has_script: true, ..Self::default() }
    }

    /// Takes note of what a listing shows: a file by its name below `configure.d/`, or a folder, which ends with a slash. The
    /// mark that consoles make of `configure.d/` itself, whose name is empty, is nothing at all.
    pub fn note(&mut self, name: &str, size: u64) {
        match why_not(name, size) {
            None => self.has_script = true,
            Some(_) if name.is_empty() => {}
            Some(why) => {
                self.others.count += 1;
                if self.others.files.len() < SHOWN_MAX {
                    self.others.files.push((name.to_owned(), why));
                }
            }
        }
    }

    /// What is there that is no script; `None` where there is nothing.
    pub fn others(&self) -> Option<&OtherFiles> {
        (self.others.count > 0).then_some(&self.others)
    }
}

/// Names as they occur, whether the nodes run them, and their sizes. The agent is put to the same list.
pub const EXAMPLES: &[(&str, u64, bool)] = &[
    ("user.sh", 10, true),
    ("10-first", 10, true),
    ("25-key.py", 3, true),
    ("README", 10, false),
    ("README.sh", 10, true),
    ("a b.sh", 10, true),
    ("é.sh", 10, true),
    ("txt", 10, true),
    ("-n", 10, true),
    ("*", 10, true),
    ("x.txt.sh", 10, true),
    ("~x", 10, true),
    ("README.txt", 10, false),
    ("readme.MD", 10, false),
    ("manifest.txt", 10, false),
    ("data.json", 10, false),
    ("user.sh.bak", 10, false),
    ("user.sh.disabled", 10, false),
    ("user.sh~", 10, false),
    (".DS_Store", 6148, false),
    (".hidden.sh", 10, false),
    (".gitkeep", 10, false),
    ("placeholder", 0, false),
    ("newline", 1, false),
    ("crlf", 2, false),
    ("Thumbs.db", 100, false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_told_from_what_lies_beside_it() {
        for (name, size, runs) in EXAMPLES {
            assert_eq!(is_script(name, *size), *runs, "{name}");
        }
        for folder in ["", "old/", "old/10.sh", "/10.sh"] {
            assert!(!is_script(folder, 10), "{folder}");
        }
        assert!(is_script(&"a".repeat(255), 10) && !is_script(&"a".repeat(256), 10));
    }

    #[test]
    fn what_was_found_is_counted_and_only_the_first_few_are_kept() {
        let mut profile = Profile::default();
        profile.note("", 0);
        assert_eq!(profile.others(), None);
        profile.note("old/", 0);
        profile.note("10-setup.sh~", 10);
        let mut files = vec![("old/".to_owned(), NotScriptReason::Folder), ("10-setup.sh~".to_owned(), NotScriptReason::Backup)];
        assert_eq!(profile.others(), Some(&OtherFiles { files: files.clone(), count: 2 }));
        for nth in 0..10_000 {
            profile.note(&format!("{nth}.txt"), 10);
        }
        files.extend(["0.txt", "1.txt"].map(|name| (name.to_owned(), NotScriptReason::TextByName)));
        assert_eq!(profile.others(), Some(&OtherFiles { files, count: 10_002 }));
        assert!(!profile.has_script);
        profile.note("user.sh", 10);
        assert!(profile.has_script);
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(NO_SCRIPTS.is_sorted() && NO_SCRIPT_NAMES.is_sorted());
    }
}
