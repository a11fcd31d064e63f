//! Where the local AWSes put what they write on the side: unpacked functions, tens of megabytes for each deployment. Left to
//! the system's own folder for such things it would stay there when they end, run after run, until the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::root;

/// Those of this process, for an end in which nothing is dropped.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder under `target`, to be given to a process as its `TMPDIR`. It goes with everything in it when this is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, empty, whatever an earlier process of the same name that was killed has left.
    pub fn new(name: &str) -> Result<Self> {
        let folder = root().join("target").join("scratch").join(name);
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
        // A function that is still ending may write: what stays is under `target`, and goes with the next of this name.
        let _ = fs::remove_dir_all(&self.0);
        held().remove(&self.0);
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
    fn nothing_is_left_of_it_nor_found_in_the_next_nor_after_an_interruption() -> Result<()> {
        let name = format!("test-{}", std::process::id());
        let first = Scratch::new(&name)?;
        fs::write(first.path().join("left"), "by one that was killed")?;
        // As in a process that is killed: what it made is not taken away.
        std::mem::forget(first);
        let second = Scratch::new(&name)?;
        assert_eq!(fs::read_dir(second.path())?.count(), 0);
        let folder = second.path().to_path_buf();
        drop(second);
        assert!(!folder.exists());
        let interrupted = Scratch::new(&name)?;
        remove_all();
        assert!(!interrupted.path().exists());
        Ok(())
    }
}
