//! Notes of the scripts that run: a file for each, named by its run's mark, which whoever runs it holds locked.
//!
//! An agent that panics ends at once (`panic = "abort"` in the profile of what ships), as one does that is killed: nobody ends its
//! script then, while the turn of the node, a lock, is free. The kernel gives the note's lock back too, so the next agent or command
//! sees by it that a script runs for nobody, and ends it with all that it started. What scripts that have ended left running has no
//! note.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::Bounds;
use super::left_behind::Family;

/// The note of a script that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    /// The lock lasts as long as it is open.
    _file: File,
}

impl Note {
    /// Notes a run, before its script starts.
    pub(super) fn take(folder: &Path, run: &str) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(run);
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            // Somebody may have taken it for one that was left behind, between the two, and removed it.
            if fs::metadata(&path).is_ok_and(|found| file.metadata().is_ok_and(|own| own.ino() == found.ino())) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // One that stays names a run without processes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends the scripts whose runner ended before them, and returns how many processes were killed that did not end by SIGTERM. What cannot
/// be read is left: it is no reason to run nothing.
pub async fn end_left_behind(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut killed = 0;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let run = name.to_string_lossy();
        tracing::warn!(%run, "a script whose agent or command ended before it is ended");
        killed += Family::of_run(&run).end(Bounds::default().grace).await;
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, "the note {} of a script that has ended cannot be removed", path.display());
        }
    }
    killed
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::super::RUN_VARIABLE;
    use super::*;

    /// A process of a run, in a group of its own.
    fn start(run: &str) -> Child {
        Command::new("sleep").arg("1000").env(RUN_VARIABLE, run).process_group(0).stdin(Stdio::null()).spawn().unwrap()
    }

    #[tokio::test]
    async fn a_script_whose_runner_lives_goes_on_and_one_left_behind_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        assert_eq!(end_left_behind(&runs).await, 0, "no folder");
        let (mine, lost) = (format!("mine-{}", std::process::id()), format!("lost-{}", std::process::id()));
        let note = Note::take(&runs, &mine).unwrap();
        // As a runner leaves it that is killed: no lock, and the file stays.
        fs::write(runs.join(&lost), "").unwrap();
        let (mut living, mut left, mut service) = (start(&mine), start(&lost), start("of a run that has ended"));
        end_left_behind(&runs).await;
        assert!(!left.wait().unwrap().success());
        assert!(living.try_wait().unwrap().is_none() && service.try_wait().unwrap().is_none());
        assert_eq!(fs::read_dir(&runs).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>(), [mine.as_str()]);
        drop(note);
        assert_eq!(fs::read_dir(&runs).unwrap().count(), 0);
        for mut process in [living, service] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}
