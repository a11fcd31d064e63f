//! Whose turn it is on this node: one process at a time fetches profiles or runs the scripts of an event. The agent and the commands
//! of `cf-node customize` are processes of their own, and two of `apt-get` at once would break each other.
//!
//! It is a locked file, which the kernel gives back however its owner ends. A command that a script calls belongs to the script's
//! turn, so it does not wait for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::time::sleep;

use crate::node::Layout;
use crate::run::RUN_VARIABLE;

/// How long a turn is waited for: longer than the scripts of a boot may take.
pub const WAIT_MAX: Duration = Duration::from_mins(30);

/// What is noted when somebody waits.
pub const WAITING: &str = "another event's scripts run on this node; these wait for their end";

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why there is no turn.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The file system.
    #[error("whether another process runs scripts on this node cannot be seen ({0}); look whether the disk is full")]
    File(#[from] io::Error),
    /// Too long.
    #[error("another process has run scripts on this node for {} minutes; see /var/log/clusterware/instance.log", WAIT_MAX.as_secs() / 60)]
    Late,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] Option<File>);

impl Turn {
    /// Waits for the turn. `waiting` is called once where it has to.
    pub async fn take(layout: &Layout, waiting: impl FnOnce()) -> Result<Self, TurnError> {
        if std::env::var_os(RUN_VARIABLE).is_some() {
            return Ok(Self(None));
        }
        std::fs::create_dir_all(layout.state())?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(layout.state().join("events.lock"))?;
        let (since, mut waiting) = (Instant::now(), Some(waiting));
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(Some(file))),
                Err(Errno::WOULDBLOCK) if since.elapsed() < WAIT_MAX => {}
                Err(Errno::WOULDBLOCK) => return Err(TurnError::Late),
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_the_next_waits_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let first = Turn::take(&layout, || panic!("nobody has it")).await.unwrap();
        let waits = Arc::new(AtomicBool::new(false));
        let second = tokio::spawn({
            let (layout, waits) = (layout.clone(), Arc::clone(&waits));
            async move { Turn::take(&layout, || waits.store(true, Ordering::SeqCst)).await }
        });
        while !waits.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        drop(first);
        assert!(tokio::time::timeout(Duration::from_mins(1), second).await.unwrap().unwrap().is_ok());
    }
}
