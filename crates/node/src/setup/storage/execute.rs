//! Carries out what [`super::decide`] decides.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::decide::{Effect, Open};
use crate::setup::{Machine, cannot_write};

/// A file system on terabytes, or gigabytes of swap on a slow disk.
const TIME_MAX: Duration = Duration::from_mins(5);

const FSTAB: &str = "etc/fstab";

impl Machine<'_> {
    pub(super) async fn carry_out(&self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Format { device, kind } => self.format(device, kind).await,
            Effect::Mount { source, at, kind, options, open } => self.mount(source, at, kind, options, *open).await,
            Effect::Swap { file, mib } => self.swap(file, *mib).await,
        }
    }

    /// lsblk shows what udev has noted; the disk itself has the last word.
    async fn format(&self, device: &str, kind: &str) -> Result<(), String> {
        let signatures = self.programs.must("wipefs", &["--no-act", "--noheadings", "--output=TYPE", device]).await?;
        if !signatures.trim().is_empty() {
            return Err(format!("{device} is not formatted: it holds {}", signatures.split_whitespace().collect::<Vec<_>>().join(", ")));
        }
        let quiet = if kind == "xfs" { "-q" } else { "-qm1" };
        self.long(&format!("mkfs.{kind}"), &[quiet, device]).await
    }

    async fn mount(&self, source: &str, at: &str, kind: &str, options: &str, open: Open) -> Result<(), String> {
        let folder = self.at(at.trim_start_matches('/'));
        std::fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        if open == Open::AtBoot {
            self.note_in_fstab(&format!("{source} {at} {kind} {options} 0 2"), at)?;
        }
        self.programs.must("mount", &["-t", kind, "-o", options, source, at]).await?;
        if open == Open::ToAll {
            let opened = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777));
            opened.map_err(|error| cannot_write(&folder, &error))?;
        }
        Ok(())
    }

    /// What somebody else wrote for the same folder stays.
    fn note_in_fstab(&self, line: &str, at: &str) -> Result<(), String> {
        let old = std::fs::read_to_string(self.at(FSTAB)).unwrap_or_default();
        let is_there = |known: &str| !known.trim_start().starts_with('#') && known.split_whitespace().nth(1) == Some(at);
        if old.lines().any(is_there) {
            return Ok(());
        }
        let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        self.put(FSTAB, &format!("{old}{end}{line}\n"), 0o644).map(drop)
    }

    /// One that an earlier boot made is used again.
    async fn swap(&self, file: &str, mib: u64) -> Result<(), String> {
        let path = self.at(file.trim_start_matches('/'));
        let is_whole = std::fs::metadata(&path).is_ok_and(|found| found.len() == mib * 1024 * 1024);
        if is_whole && self.programs.must("swapon", &[file]).await.is_ok() {
            return Ok(());
        }
        self.long("fallocate", &["--length", &format!("{mib}MiB"), file]).await?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|error| cannot_write(&path, &error))?;
        self.long("mkswap", &["--quiet", file]).await?;
        self.programs.must("swapon", &[file]).await.map(drop)
    }

    async fn long(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let ended = self.programs.run_long(program, arguments, TIME_MAX).await.map_err(|error| error.to_string())?;
        if ended.is_success() { Ok(()) } else { Err(format!("{program} {}", ended.outcome())) }
    }
}
