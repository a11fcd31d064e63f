//! Where the local AWSes, and SAM, put what they write on the side: unpacked functions, tens of megabytes for each deployment.
//! Left to the system's own folder for such things it would stay there when they end, run after run, until the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

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
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one, empty, for a process that is called so.
    pub fn new(process: &str) -> Result<Self> {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let name = format!("{process}-{}-{}", std::process::id(), NTH.fetch_add(1, Ordering::Relaxed));
        let folder = all().join(name);
        // Of one that was killed, long ago, and had our number.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{} could not be emptied", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
        held().insert(folder.clone());
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A function that is still ending may write: what stays is under `target` at least.
        let _ = fs::remove_dir_all(&self.0);
        held().remove(&self.0);
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
