//! Whose turn it is on this node: one process at a time fetches profiles or runs the scripts of an event. The agent and the commands
//! of `cf-node customize` are processes of their own, and two of `apt-get` at once would break each other.
//!
//! It is a locked file, which the kernel gives back however its owner ends. A command that a script of an event calls belongs to the
//! script's turn, so it does not wait for it: while the script runs, the file holds the script's own mark, and the script's environment
//! has it. A process that a script left running, and a job of the queue, wait as others do.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::time::sleep;

use crate::node::Layout;
use crate::random;
use crate::run::{Variable, variable};

/// The environment variable that has the mark of a script's turn.
pub const TURN_VARIABLE: &str = "CUSTOMIZER_TURN";

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
pub struct Turn(Held);

#[derive(Debug)]
enum Held {
    /// By this process: the lock lasts as long as the file is open.
    Here(File),
    /// By the process whose script has started this one, with the script's mark.
    Inherited(OsString),
}

/// A script's part of a turn: until it is dropped, what the script calls does not wait.
#[derive(Debug)]
pub struct Lent<'a> {
    turn: &'a Turn,
    mark: OsString,
}

impl Turn {
    /// Waits for the turn. `waiting` is called once where it has to.
    pub async fn take(layout: &Layout, waiting: impl FnOnce()) -> Result<Self, TurnError> {
        Self::take_as(std::env::var_os(TURN_VARIABLE), layout, waiting).await
    }

    /// The same with this mark in the environment.
    async fn take_as(mark: Option<OsString>, layout: &Layout, waiting: impl FnOnce()) -> Result<Self, TurnError> {
        std::fs::create_dir_all(layout.state())?;
        let path = layout.state().join("events.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        let (since, mut waiting) = (Instant::now(), Some(waiting));
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    // What a process that was killed has left: its script has lost its turn.
                    file.set_len(0)?;
                    return Ok(Self(Held::Here(file)));
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if let Some(mark) = mark.as_ref().filter(|mark| holds(&path, mark)) {
                return Ok(Self(Held::Inherited(mark.clone())));
            }
            if since.elapsed() >= WAIT_MAX {
                return Err(TurnError::Late);
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Lends the turn to a script that is to be started. One script at a time has it.
    pub fn lend(&self) -> io::Result<Lent<'_>> {
        let mark = match &self.0 {
            Held::Inherited(mark) => mark.clone(),
            Held::Here(file) => {
                let mark = random::id().map_err(io::Error::other)?;
                file.set_len(0)?;
                file.write_all_at(mark.as_bytes(), 0)?;
                mark.into()
            }
        };
        Ok(Lent { turn: self, mark })
    }
}

impl Lent<'_> {
    /// What the script's environment has.
    pub fn variable(&self) -> Variable {
        variable(TURN_VARIABLE, &self.mark)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Held::Here(file) = &self.turn.0 {
            // The next script's mark, or the next turn, takes its place all the same.
            let _ = file.set_len(0);
        }
    }
}

/// Whether the file holds this mark.
fn holds(path: &Path, mark: &OsStr) -> bool {
    !mark.is_empty() && std::fs::read(path).is_ok_and(|held| held == mark.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    type Taker = tokio::task::JoinHandle<Result<Turn, TurnError>>;

    /// Another process, with this mark in its environment, that waits for the turn.
    async fn waits(layout: &Layout, mark: Option<OsString>) -> Taker {
        let waits = Arc::new(AtomicBool::new(false));
        let taker = tokio::spawn({
            let (layout, waits) = (layout.clone(), Arc::clone(&waits));
            async move { Turn::take_as(mark, &layout, || waits.store(true, Ordering::SeqCst)).await }
        });
        while !waits.load(Ordering::SeqCst) {
            assert!(!taker.is_finished(), "two have the turn");
            tokio::task::yield_now().await;
        }
        taker
    }

    async fn gets_it(taker: Taker) -> Turn {
        tokio::time::timeout(PATIENCE, taker).await.unwrap().unwrap().unwrap()
    }

    fn nobody() {
        panic!("it waits");
    }

    #[tokio::test]
    async fn one_has_the_turn_and_the_next_waits_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let first = Turn::take_as(None, &layout, nobody).await.unwrap();
        let second = waits(&layout, None).await;
        drop(first);
        gets_it(second).await;
    }

    #[tokio::test]
    async fn what_a_script_calls_has_the_scripts_turn_also_through_a_command_and_its_script() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let turn = Turn::take_as(None, &layout, nobody).await.unwrap();
        let lent = turn.lend().unwrap();
        let (name, mark) = lent.variable();
        assert_eq!(name, TURN_VARIABLE);
        let called = Turn::take_as(Some(mark), &layout, nobody).await.unwrap();
        let (_, mark) = called.lend().unwrap().variable();
        Turn::take_as(Some(mark.clone()), &layout, nobody).await.unwrap();
        drop(called);
        Turn::take_as(Some(mark), &layout, nobody).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_script_left_running_waits_when_the_script_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let turn = Turn::take_as(None, &layout, nobody).await.unwrap();
        let (_, left) = turn.lend().unwrap().variable();
        let after_it = waits(&layout, Some(left.clone())).await;
        let next = turn.lend().unwrap();
        let beside_the_next = waits(&layout, Some(left)).await;
        let without = waits(&layout, Some(OsString::new())).await;
        drop(next);
        drop(turn);
        let each = [after_it, beside_the_next, without].map(|waiting| async { drop(gets_it(waiting).await) });
        futures_util::future::join_all(each).await;
    }

    #[tokio::test]
    async fn a_script_whose_agent_was_killed_takes_its_own_turn() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.state()).unwrap();
        std::fs::write(layout.state().join("events.lock"), "mark").unwrap();
        let turn = Turn::take_as(Some("mark".into()), &layout, nobody).await.unwrap();
        let other = waits(&layout, Some("mark".into())).await;
        drop(turn);
        gets_it(other).await;
    }
}
