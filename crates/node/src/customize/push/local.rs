//! What is to be pushed, read from the disk here: a file, or a folder without what is hidden, left over, or no plain file.

use std::io;
use std::path::{Path, PathBuf};

use cf_core::names::User;

use crate::customize::profile_name::ProfileName;
use crate::event::Event;
use crate::plain_file;
use crate::profile::shown;

/// The most files of a push.
pub const FILES_MAX: usize = 5_000;

/// The most bytes of one file, which is in memory while it is sent. A node fetches longer ones, put there by other tools
/// ([`crate::fetch::choice::FILE_BYTES_MAX`]).
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The deepest folder.
const DEPTH_MAX: usize = 16;

/// The most bytes of a path in a profile: an S3 key has at most 1,024, and `customizer/<profile>/` comes before it.
const PATH_BYTES_MAX: usize = 800;

/// So many tags of a profile, of so many bytes.
const TAGS_MAX: usize = 20;
const TAGS_BYTES_MAX: u64 = 4096;

/// Why nothing is pushed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Io(String, io::Error),
    /// A pipe, say.
    #[error("{0} is neither a plain file nor a folder; name a script, or a profile's folder")]
    Kind(String),
    /// The name of the file or folder.
    #[error(
        "{0:?} cannot name a profile: a name has letters, digits and _ . @ = -, at most 64 of them, and begins with a letter, a digit or _; rename the file or folder"
    )]
    Name(String),
    /// Nothing in it.
    #[error("{0} has no folder with a file in it, such as configure.d/emacs.sh, so there is nothing to push")]
    Empty(String),
    /// A script of no bytes.
    #[error("{0} is empty, so no node would run it; write a script into it")]
    EmptyFile(String),
    /// A name in it.
    #[error("{0} cannot be pushed: its name has a control character, begins or ends with a space, is no UTF-8, or is too long; rename it")]
    Path(String),
    /// Too long.
    #[error("{0} has {1} bytes, and a file of a profile at most {FILE_BYTES_MAX}; let a script download what is larger")]
    TooLong(String, u64),
    /// Too much.
    #[error("{0} has more than {FILES_MAX} files, or folders nested deeper than {DEPTH_MAX}; push only what nodes need")]
    TooMany(String),
}

/// What is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The profile.
    pub profile: ProfileName,
    /// Whether it is a whole profile, so that what an earlier push wrote and is gone here is removed.
    pub whole: bool,
    /// Its files, sorted by their paths.
    pub files: Vec<LocalFile>,
    /// The words of its `tags.txt`.
    pub tags: Vec<String>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Its path in the profile.
    pub path: String,
    /// Where it is here.
    pub file: PathBuf,
    /// Its bytes.
    pub size: u64,
}

impl LocalFile {
    /// Its content.
    pub fn content(&self) -> Result<Vec<u8>, LocalError> {
        read_file(&self.file, FILE_BYTES_MAX)
    }
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, LocalError> {
    let failed = |error| LocalError::Io(display(path), error);
    let file = plain_file::open(path).map_err(failed)?.ok_or_else(|| LocalError::Kind(display(path)))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, most + 1), &mut bytes).map_err(failed)?;
    let length = bytes.len() as u64;
    if length > most { Err(LocalError::TooLong(display(path), length)) } else { Ok(bytes) }
}

fn display(path: &Path) -> String {
    shown(path.as_os_str())
}

/// Reads what is to be pushed. A link as the source itself is followed, for the caller has named it.
pub fn read(source: &Path, hook: Event) -> Result<Source, LocalError> {
    let failed = |error| LocalError::Io(display(source), error);
    let found = std::fs::metadata(source).map_err(failed)?;
    let real = source.canonicalize().map_err(failed)?;
    if found.is_dir() {
        folder(source, &real)
    } else if found.is_file() {
        file(source, &real, found.len(), hook)
    } else {
        Err(LocalError::Kind(display(source)))
    }
}

/// The profile by the file's or folder's name.
fn profile(name: Option<&std::ffi::OsStr>) -> Result<ProfileName, LocalError> {
    let name = name.unwrap_or_default();
    let text = name.to_str().filter(|text| User::parse(text).is_ok());
    text.and_then(|text| ProfileName::parse(text).ok()).ok_or_else(|| LocalError::Name(shown(name)))
}

fn file(source: &Path, real: &Path, size: u64, hook: Event) -> Result<Source, LocalError> {
    let name = source.file_name().unwrap_or_default();
    let profile = profile(source.file_stem())?;
    let path = format!("{}/{}", hook.folder(), checked(name, source)?);
    if size == 0 {
        return Err(LocalError::EmptyFile(display(source)));
    }
    if size > FILE_BYTES_MAX {
        return Err(LocalError::TooLong(display(source), size));
    }
    let mut notes = Vec::new();
    if let Some(reason) = cf_core::profile::why_not(&name.to_string_lossy(), size) {
        notes.push(format!("nodes will not run it: it is {reason}"));
    }
    let files = vec![LocalFile { path, file: real.to_owned(), size }];
    Ok(Source { profile, whole: false, files, tags: Vec::new(), notes })
}

fn folder(source: &Path, real: &Path) -> Result<Source, LocalError> {
    // `.` and `profiles/foo/` are named by what they are.
    let profile = profile(real.file_name())?;
    let mut found = Source { profile, whole: true, files: Vec::new(), tags: Vec::new(), notes: Vec::new() };
    walk(&mut found, real, "", 0)?;
    if !found.files.iter().any(|file| file.path.contains('/')) {
        return Err(LocalError::Empty(display(source)));
    }
    if found.files.iter().any(|file| file.path == "tags.txt") {
        let text = read_file(&real.join("tags.txt"), TAGS_BYTES_MAX)?;
        let words = String::from_utf8_lossy(&text);
        found.tags = words.split_whitespace().filter(|word| !word.contains(char::is_control)).take(TAGS_MAX).map(str::to_owned).collect();
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(found: &mut Source, folder: &Path, prefix: &str, depth: usize) -> Result<(), LocalError> {
    if depth > DEPTH_MAX {
        return Err(LocalError::TooMany(display(folder)));
    }
    let failed = |error| LocalError::Io(display(folder), error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, at) = (entry.file_name(), entry.path());
        let text = name.to_string_lossy();
        if text.starts_with('.') || text.ends_with('~') || is_ours(prefix, &text) {
            if !is_ours(prefix, &text) {
                found.notes.push(format!("{} is left out: it is hidden, or left over by an editor", display(&at)));
            }
            continue;
        }
        let path = format!("{prefix}{}", checked(&name, &at)?);
        if path.len() > PATH_BYTES_MAX {
            return Err(LocalError::Path(display(&at)));
        }
        if super::is_queue(&path) {
            found.notes.push(format!("{} is left out: job queues are not pushed", display(&at)));
            continue;
        }
        let metadata = entry.metadata().map_err(failed)?;
        if metadata.is_dir() {
            walk(found, &at, &format!("{path}/"), depth + 1)?;
        } else if metadata.is_file() {
            if metadata.len() > FILE_BYTES_MAX {
                return Err(LocalError::TooLong(display(&at), metadata.len()));
            }
            if found.files.len() == FILES_MAX {
                return Err(LocalError::TooMany(display(folder)));
            }
            found.files.push(LocalFile { path, file: at, size: metadata.len() });
        } else {
            found.notes.push(format!("{} is left out: it is a link or no plain file", display(&at)));
        }
    }
    Ok(())
}

/// What a push itself writes beside the files.
fn is_ours(prefix: &str, name: &str) -> bool {
    prefix.is_empty() && name == super::MANIFEST
}

/// A name that can be one line of a manifest.
fn checked(name: &std::ffi::OsStr, at: &Path) -> Result<String, LocalError> {
    let text = name.to_str().filter(|text| !text.chars().any(char::is_control) && text.trim() == *text && !text.contains('\\'));
    text.map(str::to_owned).ok_or_else(|| LocalError::Path(display(at)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refusal(result: Result<Source, LocalError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_the_profile_of_its_name_and_a_folder_its_files_in_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::write(at("foo.tar.sh"), "x").unwrap();
        let source = read(&at("foo.tar.sh"), Event::Start).unwrap();
        assert_eq!((source.profile.as_str(), source.whole, source.files[0].path.as_str()), ("foo.tar", false, "start.d/foo.tar.sh"));
        for path in ["p/configure.d/b c.sh", "p/configure.d/.hidden", "p/configure.d/x~", "p/a/deep/file", "p/tags.txt", "p/profile.toml"] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), "hidden\nwide open\n").unwrap();
        }
        fs::write(at("p/manifest.txt"), "old").unwrap();
        fs::create_dir_all(at("p/job-queue.d/x")).unwrap();
        fs::write(at("p/job-queue.d/x/y"), "z").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("p/configure.d/link")).unwrap();
        let source = read(&at("p"), Event::Configure).unwrap();
        let paths: Vec<&str> = source.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/deep/file", "configure.d/b c.sh", "profile.toml", "tags.txt"]);
        assert_eq!(source.tags, ["hidden", "wide", "open"]);
        assert_eq!(source.notes.len(), 4, "{:?}", source.notes);
    }

    #[test]
    fn what_cannot_be_pushed_is_refused_before_anything_is_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("empty/configure.d")).unwrap();
        fs::write(at("empty/README"), "x").unwrap();
        assert!(refusal(read(&at("empty"), Event::Start)).contains("has no folder with a file in it"));
        fs::write(at("none.sh"), "").unwrap();
        assert!(refusal(read(&at("none.sh"), Event::Start)).contains("is empty"));
        for name in ["a b.sh", "-x.sh", ".sh", "x\ny.sh", "é.sh"] {
            fs::write(at(name), "x").unwrap();
            let refused = refusal(read(&at(name), Event::Start));
            assert!(refused.contains("cannot name a profile") && !refused.contains('\n'), "{refused}");
        }
        for name in ["a\nb", " a", "a\\b"] {
            fs::create_dir_all(at("odd/start.d")).unwrap();
            fs::write(at("odd/start.d").join(name), "x").unwrap();
            assert!(refusal(read(&at("odd"), Event::Start)).contains("cannot be pushed"), "{name:?}");
            fs::remove_dir_all(at("odd")).unwrap();
        }
        let large = fs::File::create(at("large.sh")).unwrap();
        large.set_len(FILE_BYTES_MAX).unwrap();
        assert!(read(&at("large.sh"), Event::Start).is_ok());
        large.set_len(1024 * 1024 * 1024).unwrap();
        assert!(refusal(read(&at("large.sh"), Event::Start)).contains("has 1073741824 bytes"));
        assert!(refusal(read(&at("nothing"), Event::Start)).contains("cannot be read"));
        assert!(refusal(read(Path::new("/dev/null"), Event::Start)).contains("neither a plain file nor a folder"));
    }

    #[test]
    fn too_many_files_are_refused_and_as_many_as_are_allowed_are_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("p/configure.d");
        fs::create_dir_all(&folder).unwrap();
        for nth in 0..FILES_MAX {
            fs::write(folder.join(format!("{nth}")), "").unwrap();
        }
        assert_eq!(read(&root.path().join("p"), Event::Start).unwrap().files.len(), FILES_MAX);
        fs::write(folder.join("more"), "").unwrap();
        assert!(matches!(read(&root.path().join("p"), Event::Start), Err(LocalError::TooMany(_))));
    }
}
