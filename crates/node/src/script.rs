//! Prepares a script for its run: executable, without a byte order mark and Windows line ends, and with what starts it.

use std::borrow::Cow;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::plain_file;

/// The most bytes of a text that are cleaned. A longer one is run as it is: a script of 1 GB must not be read whole.
pub const CLEAN_BYTES_MAX: u64 = 1024 * 1024;

/// So many first bytes show what a file is.
const HEAD_BYTES: u64 = 4096;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What starts a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// The kernel: it is a program, or names its interpreter in the first line.
    Kernel,
    /// `/bin/sh`: a text that names none.
    Shell,
}

/// A script that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// By what.
    pub starter: Starter,
    /// What its author ought to know.
    pub notes: Vec<Note>,
}

/// What is told about a script's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// The mark was there.
    #[error("it begins with a byte order mark (BOM): run as if it had none")]
    Bom,
    /// Line ends.
    #[error("{lines} of its lines end as on Windows (CRLF): run as if they did not")]
    WindowsLines {
        /// How many.
        lines: usize,
    },
    /// Either, in a file that is too long.
    #[error("it has a byte order mark or Windows line ends, and more than {CLEAN_BYTES_MAX} bytes: run as it is")]
    TooLongToClean,
}

/// Why a script cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is gone, or something else has taken its place.
    #[error("it is no plain file any more")]
    NotAFile,
    /// Two bytes for each character.
    #[error("it is written in UTF-16, which nothing here can run; save it as UTF-8")]
    Utf16,
    /// An error of the file system.
    #[error("it cannot be prepared: {0}")]
    Io(#[from] io::Error),
}

/// Prepares the script at this path, in place. What it says next time of a file that it has cleaned is nothing: it is clean.
pub fn prepare(path: &Path) -> Result<Prepared, PrepareError> {
    let mut file = plain_file::open(path)?.ok_or(PrepareError::NotAFile)?;
    let bytes = file.metadata()?.len();
    let mut content = Vec::new();
    (&mut file).take(HEAD_BYTES).read_to_end(&mut content)?;
    let starter = starter(&content)?;
    let mut notes = Vec::new();
    if bytes <= CLEAN_BYTES_MAX {
        (&mut file).take(CLEAN_BYTES_MAX - content.len() as u64).read_to_end(&mut content)?;
        if let Some(cleaned) = clean(&content) {
            replace(path, &cleaned.content)?;
            return Ok(Prepared { starter, notes: cleaned.notes });
        }
    } else if clean(&content).is_some() {
        notes.push(Note::TooLongToClean);
    }
    make_executable(&file)?;
    Ok(Prepared { starter, notes })
}

/// A script's bytes as [`prepare`] leaves them: the same before its first run and after.
pub fn as_run(content: &[u8]) -> Cow<'_, [u8]> {
    let cleaned = if content.len() as u64 <= CLEAN_BYTES_MAX { clean(content) } else { None };
    cleaned.map_or(Cow::Borrowed(content), |cleaned| Cow::Owned(cleaned.content))
}

fn make_executable(file: &File) -> io::Result<()> {
    // Not touched where it is so already: the disk may be one that cannot be written.
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode == 0o755 { Ok(()) } else { file.set_permissions(Permissions::from_mode(0o755)) }
}

/// Puts other content in a file's place, at once: who reads it meanwhile reads the old or the new.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Hidden, so what a crash leaves here is no script.
    let mut file = tempfile::Builder::new().prefix(".clean-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(0o755))?;
    // A power loss may leave the old content, and nothing else but the new one: it is run as root.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// What starts a file, by its first bytes.
fn starter(head: &[u8]) -> Result<Starter, PrepareError> {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(PrepareError::Utf16);
    }
    let text = head.strip_prefix(BOM).unwrap_or(head);
    // Bytes of zero are in programs of every kind, and in no text.
    let kernel = text.starts_with(b"#!") || text.starts_with(b"\x7fELF") || text.contains(&0);
    Ok(if kernel { Starter::Kernel } else { Starter::Shell })
}

struct Cleaned {
    content: Vec<u8>,
    notes: Vec<Note>,
}

/// A text without its byte order mark and Windows line ends; `None` where it has neither, and where it is no text.
fn clean(content: &[u8]) -> Option<Cleaned> {
    if content.contains(&0) {
        return None;
    }
    let mut notes = Vec::new();
    let text = content.strip_prefix(BOM).inspect(|_| notes.push(Note::Bom)).unwrap_or(content);
    let lines = text.windows(2).filter(|pair| *pair == b"\r\n").count();
    if lines > 0 {
        notes.push(Note::WindowsLines { lines });
    }
    let mut cleaned = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if !(*byte == b'\r' && text.get(at + 1) == Some(&b'\n')) {
            cleaned.push(*byte);
        }
    }
    (!notes.is_empty()).then_some(Cleaned { content: cleaned, notes })
}

/// The program that a script's first line asks for, `#!` and arguments taken off; `None` where it names none.
pub fn interpreter(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    // A carriage return belongs to the name, as the kernel sees it, and is what is told.
    let program = line.trim_matches([' ', '\t']).split([' ', '\t']).next().filter(|program| !program.is_empty())?;
    Some(cf_core::characters::shown(program, 0, 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(content: &[u8]) -> (Result<Prepared, PrepareError>, Vec<u8>, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b\n.sh");
        std::fs::write(&path, content).unwrap();
        let prepared = prepare(&path);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the script");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        (prepared, std::fs::read(&path).unwrap(), mode)
    }

    #[test]
    fn a_text_loses_its_mark_and_its_windows_line_ends_and_tells_both() {
        let (got, content, mode) = prepared(b"\xef\xbb\xbf#!/bin/sh\r\necho a\r\necho b\r");
        assert_eq!(got.unwrap(), Prepared { starter: Starter::Kernel, notes: vec![Note::Bom, Note::WindowsLines { lines: 2 }] });
        assert_eq!((content.as_slice(), mode), (b"#!/bin/sh\necho a\necho b\r".as_slice(), 0o755));
        assert_eq!(*as_run(b"\xef\xbb\xbf#!/bin/sh\r\necho a\r\necho b\r"), *content);
        assert_eq!(*as_run(&content), *content, "what is clean stays");
        let (got, content, _) = prepared(b"\xef\xbb\xbfecho a\n");
        assert_eq!(got.unwrap(), Prepared { starter: Starter::Shell, notes: vec![Note::Bom] });
        assert_eq!(content, b"echo a\n");
    }

    #[test]
    fn what_is_clean_or_no_text_is_made_executable_and_nothing_else() {
        for (content, starter) in [
            (b"#!/bin/sh\nprintf 'a\\r\\n'\n".as_slice(), Starter::Kernel),
            (b"echo \xff\n", Starter::Shell),
            (b"\x7fELF\r\n\0\x01", Starter::Kernel),
            (b"MZ\0\r\n", Starter::Kernel),
            (b"#!/bin/sh\r\nexec tail\n\0\x01", Starter::Kernel),
        ] {
            let (got, after, mode) = prepared(content);
            assert_eq!((got.unwrap(), after.as_slice(), mode), (Prepared { starter, notes: vec![] }, content, 0o755));
        }
    }

    #[test]
    fn utf_16_is_refused_with_what_to_do() {
        let (got, ..) = prepared(b"\xff\xfe#\0!\0");
        assert_eq!(got.unwrap_err().to_string(), "it is written in UTF-16, which nothing here can run; save it as UTF-8");
    }

    #[test]
    fn a_text_is_cleaned_up_to_the_bound_and_above_it_runs_as_it_is() {
        let most = usize::try_from(CLEAN_BYTES_MAX).unwrap();
        let text = |bytes: usize| [b"#!/bin/sh\r\n".to_vec(), vec![b'#'; bytes - 11]].concat();
        let (got, content, _) = prepared(&text(most));
        assert_eq!((got.unwrap().notes, content.len()), (vec![Note::WindowsLines { lines: 1 }], most - 1));
        assert_eq!((as_run(&text(most)).len(), as_run(&text(most + 1)).len()), (most - 1, most + 1));
        let (got, content, mode) = prepared(&text(most + 1));
        assert_eq!((got.unwrap().notes, content.len(), mode), (vec![Note::TooLongToClean], most + 1, 0o755));
    }

    #[test]
    fn a_script_of_a_gigabyte_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 30).unwrap();
        assert_eq!(prepare(&path).unwrap(), Prepared { starter: Starter::Kernel, notes: vec![] });
    }

    #[test]
    fn a_link_that_has_taken_a_scripts_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(prepare(&path), Err(PrepareError::NotAFile)));
        assert!(matches!(prepare(folder.path()), Err(PrepareError::NotAFile)));
    }

    #[test]
    fn the_interpreter_is_read_out_of_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (content, program) in
            [("#! /usr/bin/env ruby\n", Some("/usr/bin/env")), ("#!/bin/x\r\n", Some("/bin/x ")), ("#!\n", None), ("echo\n", None)]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(interpreter(&path).as_deref(), program);
        }
    }
}
