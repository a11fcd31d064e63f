//! The program of a service, and all that it starts: what it leaves behind becomes a child of this process (a subreaper, prctl(2)), so
//! that its end is seen here however often it forks.

use std::collections::HashSet;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, test_kill_process, wait};
use tokio::time::sleep;

use crate::plain_file;
use crate::run::Outcome;
use crate::run::left_behind::descendants;

/// How long a program that has returned may take until its process id is in the file: it forks first, and writes after that.
const PID_FILE_WAIT: Duration = Duration::from_secs(30);

/// Between two looks at processes that are being ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// SIGKILL cannot be refused, but a process that waits for a dead disk ends late.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// What is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// Program and arguments.
    pub command: &'a [String],
    /// The folder.
    pub cwd: &'a str,
    /// The environment, all of it.
    pub environment: &'a [(String, String)],
    /// Where the program writes its process id, where it was told a file.
    pub pid_file: Option<PathBuf>,
}

/// The program at work.
#[derive(Debug)]
pub struct Processes {
    stage: Stage,
    pid_file: Option<PathBuf>,
    /// All children have ended.
    alone: bool,
}

/// What is watched.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The program itself.
    Program(Pid),
    /// It has returned, and its process id is to come.
    Returned(Instant),
    /// The process that it left, by its file.
    Daemon(Pid),
    /// The processes that it left, without a file.
    Left,
}

impl Processes {
    /// Starts the program, in a process group of its own. Where it cannot, the words go on after "the program".
    pub fn start(start: &Start<'_>) -> Result<Self, String> {
        let (program, arguments) = start.command.split_first().ok_or("has no name")?;
        match std::fs::metadata(start.cwd) {
            Ok(folder) if folder.is_dir() => {}
            Ok(_) => return Err(format!("could not be started: {} is no folder", start.cwd)),
            Err(error) => return Err(format!("could not be started: the folder {} cannot be used: {error}", start.cwd)),
        }
        set_child_subreaper(Some(getpid())).map_err(|error| format!("could not be started: its processes cannot be kept: {error}"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(start.cwd).env_clear().envs(start.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).process_group(0);
        let child = command.spawn().map_err(|error| format!("could not be started: {program}: {error}"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("has no process id")?;
        Ok(Self { stage: Stage::Program(pid), pid_file: start.pid_file.clone(), alone: false })
    }

    /// Whether it is clear what runs: not while a process id is awaited.
    pub fn is_up(&self) -> bool {
        !matches!(self.stage, Stage::Returned(_))
    }

    /// Looks at what has ended. Gives how the service ended, where it has.
    pub fn look(&mut self) -> Option<String> {
        let ended = self.reap();
        let outcome = |pid: Pid| ended.iter().find(|(ended, _)| *ended == pid).map(|(_, outcome)| outcome);
        match self.stage {
            Stage::Program(pid) => match outcome(pid)? {
                Outcome::Exit(0) if self.pid_file.is_some() => {
                    self.stage = Stage::Returned(Instant::now());
                    self.find_daemon(&ended)
                }
                Outcome::Exit(0) if !self.alone => {
                    self.stage = Stage::Left;
                    None
                }
                other => Some(other.to_string()),
            },
            Stage::Returned(_) => self.find_daemon(&ended),
            Stage::Daemon(pid) => match outcome(pid) {
                Some(outcome) => Some(outcome.to_string()),
                None => (!is_alive(pid)).then(|| "has ended".to_owned()),
            },
            Stage::Left => self.alone.then(|| "has ended, with all that it left behind".to_owned()),
        }
    }

    fn find_daemon(&mut self, ended: &[(Pid, Outcome)]) -> Option<String> {
        let Stage::Returned(since) = self.stage else { return None };
        let file = self.pid_file.as_deref()?;
        let pid = read_pid(file);
        // It may have come and gone between two looks.
        if let Some((_, outcome)) = ended.iter().find(|(ended, _)| Some(*ended) == pid) {
            return Some(outcome.to_string());
        }
        if let Some(pid) = pid.filter(|pid| is_alive(*pid)) {
            self.stage = Stage::Daemon(pid);
            return None;
        }
        if self.alone {
            return Some("returned and left no process behind".to_owned());
        }
        let waited = since.elapsed() > PID_FILE_WAIT;
        waited.then(|| format!("returned, but the file for its process id names no living process after {} s", PID_FILE_WAIT.as_secs()))
    }

    /// Asks all processes to end, and kills those that have not after `grace`. Those that are gone already are no failure.
    pub async fn end(&mut self, grace: Duration) {
        let asked_at = Instant::now();
        let mut asked = HashSet::new();
        loop {
            self.reap();
            let living = descendants();
            if living.is_empty() || asked_at.elapsed() > grace + KILLED_WAIT {
                return;
            }
            let is_over = asked_at.elapsed() >= grace;
            for pid in living.into_iter().filter_map(Pid::from_raw) {
                if is_over {
                    let _ = kill_process(pid, Signal::KILL);
                } else if asked.insert(pid) {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Takes note of children that have ended, among them what came to be this process's by the end of its parent.
    fn reap(&mut self) -> Vec<(Pid, Outcome)> {
        let mut ended = Vec::new();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => ended.extend(outcome(status).map(|outcome| (pid, outcome))),
                Err(Errno::INTR) => {}
                other => {
                    // No child is an error (ECHILD), and the only one that there is.
                    self.alone = other.is_err();
                    return ended;
                }
            }
        }
    }
}

fn outcome(status: WaitStatus) -> Option<Outcome> {
    status.exit_status().map(Outcome::Exit).or_else(|| status.terminating_signal().map(Outcome::Signal))
}

/// Whether there is such a process. One of another account is one.
fn is_alive(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

/// The process id in a file; none where there is no such file yet, or something else in it.
fn read_pid(file: &Path) -> Option<Pid> {
    let mut text = String::new();
    plain_file::open(file).ok()??.take(32).read_to_string(&mut text).ok()?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 1)?;
    Pid::from_raw(pid)
}
