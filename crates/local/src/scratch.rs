//! Where the local AWSes, and SAM, put what they write on the side: unpacked functions, tens of megabytes for each deployment.
//! Left to the system's own folder for such things it would stay there when they end, run after run, until the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{children, root};

fn all() -> PathBuf {
    root().join("target").join("scratch")
}

/// Those of this process, for an end in which nothing is dropped.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder under `target`, to be given to a process as its `TMPDIR`. It goes with everything in it when this is dropped.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes one, empty, for a process of this name.
    pub fn new(process: &str) -> Result<Self> {
        fs::create_dir_all(all())?;
        let made = tempfile::Builder::new().prefix(&format!("{process}-{}-", std::process::id())).tempdir_in(all());
        let folder = made.with_context(|| format!("no folder could be made in {}", all().display()))?;
        held().insert(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        held().remove(self.path());
    }
}

/// Removes what processes have left that were killed: the folder's name tells whose it is.
pub fn sweep() {
    for folder in fs::read_dir(all()).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let owner = folder.file_name().and_then(|name| name.to_str()?.rsplit('-').nth(1)?.parse().ok());
        if !owner.is_some_and(children::is_alive) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Removes them all, once the processes that they were made for have ended.
pub fn remove_all() {
    for folder in std::mem::take(&mut *held()) {
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it_also_where_it_is_never_dropped() -> Result<()> {
        let (first, second) = (Scratch::new("test")?, Scratch::new("test")?);
        fs::write(first.path().join("a"), "by a process")?;
        fs::write(second.path().join("a"), "by another of the same name")?;
        let folder = first.path().to_path_buf();
        drop(first);
        assert!(!folder.exists() && second.path().join("a").exists());
        sweep();
        assert!(second.path().exists(), "its process lives");
        remove_all();
        assert!(!second.path().exists());
        // No process has this number: it is above what Linux gives, and macOS.
        let killed = all().join("test-4194305-0");
        fs::create_dir_all(&killed)?;
        sweep();
        assert!(!killed.exists());
        Ok(())
    }
}
