//! `profile.toml`: what a profile may say about how its scripts are run. Without it, and where it is broken, the defaults hold.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::plain_file;

/// The file's name in a profile's folder.
pub const FILE: &str = "profile.toml";

/// The most bytes of the file: 32 steps of an exchange with inputs of some kilobytes each.
pub const BYTES_MAX: u64 = 256 * 1024;

/// The longest time that a profile may give each of its scripts.
pub const LIMIT_SECONDS_MAX: u32 = 7_200;

/// The settings of a profile.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// What a failed script means.
    pub on_error: OnError,
    /// At which boots the profile's scripts run.
    pub when: When,
    /// How long each of its scripts may run.
    pub limit_seconds: LimitSeconds,
    /// The steps of an exchange, which [`crate::exchange::declaration`] reads: a mistake in them is no reason to run other scripts by
    /// the defaults.
    exchange: Option<toml::Value>,
}

/// What a failed script means for what comes after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, strum::Display, strum::EnumString)]
#[serde(try_from = "String")]
#[strum(serialize_all = "kebab-case")]
pub enum OnError {
    /// The next script runs.
    #[default]
    Continue,
    /// The profile's later scripts of this event do not run. Other profiles and events do.
    Stop,
    /// As `stop`, and the node counts as failed.
    FailTheNode,
}

/// At which boots the scripts of a boot's events run. Scripts of `member-join` and `member-leave`, which belong to no boot, always
/// run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, strum::Display, strum::EnumString)]
#[serde(try_from = "String")]
#[strum(serialize_all = "kebab-case")]
pub enum When {
    /// At each.
    #[default]
    EveryBoot,
    /// Only at the boot that makes the machine a node.
    FirstBoot,
}

/// A time limit of 1 to [`LIMIT_SECONDS_MAX`] seconds, 900 unless it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct LimitSeconds(u32);

impl LimitSeconds {
    /// The limit as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl Default for LimitSeconds {
    fn default() -> Self {
        Self(900)
    }
}

impl TryFrom<i64> for LimitSeconds {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        let limit = u32::try_from(seconds).ok().filter(|limit| (1..=LIMIT_SECONDS_MAX).contains(limit));
        limit.map(Self).ok_or_else(|| format!("limit-seconds is {seconds}, and is to be from 1 to {LIMIT_SECONDS_MAX}"))
    }
}

impl TryFrom<String> for OnError {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|_| format!("on-error is {text:?}, and is to be \"continue\", \"stop\" or \"fail-the-node\""))
    }
}

impl TryFrom<String> for When {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|_| format!("when is {text:?}, and is to be \"every-boot\" or \"first-boot\""))
    }
}

/// Why a `profile.toml` is not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A link, a folder, a pipe.
    #[error("profile.toml is no plain file, so the defaults hold; put a plain file there")]
    NotAFile,
    /// Too long.
    #[error("profile.toml has more than {BYTES_MAX} bytes, so the defaults hold; make it shorter")]
    TooLong,
    /// Not what it is to be.
    #[error("profile.toml, line {line}, column {column}: {what}; the defaults hold until it is corrected")]
    Wrong {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// It cannot be read.
    #[error("profile.toml cannot be read ({0}), so the defaults hold")]
    Unreadable(io::Error),
}

impl Settings {
    /// Reads the settings of the profile in this folder; the defaults where it has no `profile.toml`.
    pub fn read(profile: &Path) -> Result<Self, SettingsError> {
        let file = match plain_file::open(&profile.join(FILE)) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(SettingsError::NotAFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(SettingsError::Unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(SettingsError::Unreadable)?;
        Self::parse(&bytes)
    }

    /// Reads the settings out of the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, SettingsError> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err(SettingsError::TooLong);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(wrong(bytes, error.valid_up_to(), "this is no UTF-8; save the file as UTF-8")),
        };
        toml::from_str(text).map_err(|error| wrong(bytes, error.span().map_or(0, |span| span.start), error.message()))
    }
}

/// An error at a byte of the file.
fn wrong(bytes: &[u8], at: usize, what: &str) -> SettingsError {
    let before = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    // The parser's message may have several lines, and quotes the file.
    let what = cf_core::characters::shown(&what.trim().replace('\n', ", "), 0, 200);
    SettingsError::Wrong { line, column, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Settings::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_has_the_defaults_and_a_full_one_its_own() {
        let defaults = Settings::parse(b"").unwrap();
        assert_eq!((defaults.on_error, defaults.when), (OnError::Continue, When::EveryBoot));
        assert_eq!(defaults.limit_seconds.duration(), Duration::from_mins(15));
        let text = "\u{feff}# mine\r\non-error = \"fail-the-node\"\r\nwhen = \"first-boot\"\r\nlimit-seconds = 7200\r\n";
        let all = Settings::parse(text.as_bytes()).unwrap();
        assert_eq!((all.on_error, all.when, all.limit_seconds), (OnError::FailTheNode, When::FirstBoot, LimitSeconds(7_200)));
        assert_eq!(Settings::parse(b"on-error = \"stop\"").unwrap().on_error, OnError::Stop);
        assert!(Settings::parse(b"limit-seconds = 1\n[[exchange]]\nname = \"hosts\"\n").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let holds = "; the defaults hold until it is corrected";
        for (text, told) in [
            ("limit-seconds = 0", "profile.toml, line 1, column 17: limit-seconds is 0, and is to be from 1 to 7200"),
            ("\n\nlimit-seconds = 7201", "profile.toml, line 3, column 17: limit-seconds is 7201, and is to be from 1 to 7200"),
            ("limit-seconds = -1", "profile.toml, line 1, column 17: limit-seconds is -1, and is to be from 1 to 7200"),
            (
                "# é\nwhen = \"allways\"",
                "profile.toml, line 2, column 8: when is \"allways\", and is to be \"every-boot\" or \"first-boot\"",
            ),
        ] {
            assert_eq!(problem(text), format!("{told}{holds}"));
        }
        assert!(
            problem("on-eror = \"stop\"")
                .starts_with("profile.toml, line 1, column 1: unknown field `on-eror`, expected one of `on-error`")
        );
        assert!(problem("on-error = 3").starts_with("profile.toml, line 1, column 12: invalid type: integer `3`"));
        assert!(problem("when = \"first-boot\"\nwhen = \"every-boot\"").starts_with("profile.toml, line 2, column 1: duplicate key"));
        assert!(problem("a = [").starts_with("profile.toml, line 1, column 6: "), "{}", problem("a = ["));
        let bytes = Settings::parse(b"when = \"\xff\"").unwrap_err().to_string();
        assert!(bytes.starts_with("profile.toml, line 1, column 9: this is no UTF-8"), "{bytes}");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_one_that_just_fits_is_not() {
        let fits = vec![b'#'; usize::try_from(BYTES_MAX).unwrap()];
        assert!(Settings::parse(&fits).is_ok());
        assert!(matches!(Settings::parse(&[&fits[..], b"#"].concat()), Err(SettingsError::TooLong)));
        assert!(problem(&"[".repeat(60_000)).len() < 400);
    }

    #[test]
    fn what_is_no_plain_file_does_not_hold_anybody_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(Settings::read(folder.path()).unwrap(), Settings::default());
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(matches!(Settings::read(folder.path()), Err(SettingsError::NotAFile)));
        std::fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(matches!(Settings::read(folder.path()), Err(SettingsError::NotAFile)));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(matches!(Settings::read(folder.path()), Err(SettingsError::NotAFile)));
    }
}
