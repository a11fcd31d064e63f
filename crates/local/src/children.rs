//! Processes that we start, so that none outlives us: each leads a group of its own, and an interruption ends them all.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The leaders of groups that run; `None` once we are ending, when nothing may be started any more.
static RUNNING: Mutex<Option<BTreeSet<u32>>> = Mutex::new(Some(BTreeSet::new()));

fn running() -> MutexGuard<'static, Option<BTreeSet<u32>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `cargo run` tells the program that it runs of its package. A cargo that such a program starts would pass it on to build
/// scripts that watch it (ring's), and compile anew what hangs on them; and so would the next one without it.
fn is_of_our_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Starts a command as the leader of its own group, without a standard input.
pub fn spawn(command: &mut Command) -> Result<Child> {
    // The lock is held over the start, so that an interruption finds either nothing started or its id noted.
    let mut running = running();
    let Some(ids) = running.as_mut() else { bail!("interrupted") };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_our_package)) {
        command.env_remove(name);
    }
    let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
    ids.insert(child.id());
    Ok(child)
}

/// Forgets a process that has ended.
pub fn forget(id: u32) {
    if let Some(ids) = running().as_mut() {
        ids.remove(&id);
    }
}

/// Runs a command to its end, with its output on the screen.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    let mut child = spawn(command)?;
    let status = child.wait();
    forget(child.id());
    Ok(status?)
}

/// Runs a command to its end and returns what it said.
pub fn output(command: &mut Command) -> Result<Output> {
    output_of(spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?)
}

/// Waits for the end of one that was started, and returns what it said where its words are not on the screen.
pub fn output_of(child: Child) -> Result<Output> {
    let id = child.id();
    let output = child.wait_with_output();
    forget(id);
    Ok(output?)
}

/// Whether a process of this id runs; our own, or the leader of one of our groups.
pub fn is_alive(id: u32) -> bool {
    let kill = Command::new("kill").args(["-0", &id.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    kill.is_ok_and(|status| status.success())
}

/// Asks a group to end.
pub fn terminate(id: u32) {
    signal(id, "-TERM");
}

/// Ends everything that runs: politely first, and what is still there after `patience` by force.
pub fn end_all(patience: Duration) {
    let Some(ids) = running().take() else { return };
    for id in &ids {
        terminate(*id);
    }
    let until = Instant::now() + patience;
    while Instant::now() < until && ids.iter().any(|id| signal(*id, "-0")) {
        std::thread::sleep(Duration::from_millis(50));
    }
    for id in ids {
        signal(id, "-KILL");
    }
}

/// `kill` is in every base system, and std knows no signals. True where the group is there.
fn signal(id: u32, name: &str) -> bool {
    let kill = Command::new("kill").args([name, "--", &format!("-{id}")]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    kill.is_ok_and(|status| status.success())
}
