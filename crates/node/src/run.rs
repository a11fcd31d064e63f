//! Runs one script: unattended, in a process group of its own, for a limited time, each line of its output logged as it comes.
//!
//! What a script starts is its own. If the script ends in time, its background processes go on, and their lines are logged as long as
//! the agent lives; after it, SIGPIPE ends those that still write into the script's output. If its time runs out, all of them end
//! with it (see `left_behind`); so too when the future of [`run`] is dropped.

pub(crate) mod left_behind;
pub mod notes;
mod output;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::script::{self, Starter};
use left_behind::Family;
use notes::Note;
use output::Output;
pub use output::{LINE_TOLD_CHARS_MAX, LINES_TOLD_MAX, Sink, Stream, TAIL_BYTES_MAX};

/// The environment variable that marks a run's processes, wherever they go.
pub const RUN_VARIABLE: &str = "CUSTOMIZER_RUN";

/// Where scripts find programs. Debian's for root, with `/usr/local` first.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program file that is still open for writing cannot be started (ETXTBSY): a process that another thread forks holds our files
/// open until it execs. So the start is tried again, so often, with such a pause.
const START_TRIES: u32 = 50;
const START_PAUSE: Duration = Duration::from_millis(20);

/// SIGKILL cannot be refused, but a process that waits for a dead disk ends late. It is waited for so long.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// An environment variable: its name and its value.
pub type Variable = (String, OsString);

/// What is run, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The script, by an absolute path.
    pub script: PathBuf,
    /// What starts it.
    pub starter: Starter,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Its environment beside `PATH`, `LANG` and [`RUN_VARIABLE`].
    pub environment: Vec<Variable>,
    /// How long it may run.
    pub limit: Duration,
    /// Where it is noted while it runs ([`notes`]).
    pub notes: PathBuf,
}

/// The bounds of a run that are not a profile's to set. Tests have smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How long the output of a script that has ended is waited for.
    pub drain: Duration,
    /// How many bytes of a script's output are logged, each line with its prefix.
    pub output_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10), drain: Duration::from_secs(1), output_bytes: 1024 * 1024 }
    }
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed when it had run for so many seconds.
    TimedOut(u64),
    /// It could not be started.
    NotStarted(String),
    /// It was not to be started.
    NotRun(String),
}

impl Outcome {
    /// Whether all is well.
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }

    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by signal {signal} ({name})"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::TimedOut(seconds) => write!(f, "had not ended after {seconds} s and was killed"),
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
            Self::NotRun(reason) => write!(f, "is not run: {reason}"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    };
    Some(name)
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// Its last lines, at most [`LINES_TOLD_MAX`] of at most [`LINE_TOLD_CHARS_MAX`] characters.
    pub last_lines: Vec<String>,
    /// The last [`TAIL_BYTES_MAX`] bytes of its standard output, as they came.
    pub stdout: Vec<u8>,
    /// The same of its standard error.
    pub stderr: Vec<u8>,
    /// How many of its processes outside its group were killed when its time ran out.
    pub killed_outside: usize,
}

impl Ended {
    /// That of a script which did not run.
    pub fn without(outcome: Outcome) -> Self {
        let (last_lines, stdout, stderr) = (Vec::new(), Vec::new(), Vec::new());
        Self { outcome, took: Duration::ZERO, last_lines, stdout, stderr, killed_outside: 0 }
    }
}

/// Runs a script to its end, or to the end of its time. Lines go to `sink`.
pub async fn run(job: &Job, bounds: &Bounds, sink: Sink) -> Ended {
    let started = Instant::now();
    let run = run_id();
    // A disk that takes no note is no reason not to run it. It is declared first: a run that is dropped ends its processes before.
    let note = Note::take(&job.notes, &run).inspect_err(|error| {
        tracing::warn!(%error, "the script is not noted in {}: if its agent ends before it, nobody ends it", job.notes.display());
    });
    let mut child = match start(job, &run).await {
        Ok(child) => child,
        Err(error) => {
            return Ended::without(Outcome::NotStarted(why_not_started(&error, &job.script)));
        }
    };
    let mut family = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).map(|leader| OnDrop(Family::new(leader, &run)));
    let output = Arc::new(Output::new(sink, bounds.output_bytes));
    let followed = output.follow(&mut child);
    let waited = timeout(job.limit, child.wait()).await;
    let took = started.elapsed();
    let mut killed_outside = 0;
    let outcome = match (waited, family.as_mut()) {
        (Ok(Ok(status)), _) => Outcome::of(status),
        (Ok(Err(error)), _) => Outcome::NotStarted(format!("it cannot be waited for: {error}")),
        (Err(_), family) => {
            if let Some(OnDrop(family)) = family {
                killed_outside = end(&mut child, family, bounds.grace).await;
            }
            Outcome::TimedOut(job.limit.as_secs())
        }
    };
    if let Some(family) = family {
        family.let_go();
    }
    drop(note);
    // A background process may hold the pipes open for ever.
    let _ = timeout(bounds.drain, followed).await;
    let last_lines = output.conclude();
    let (stdout, stderr) = output.tails();
    Ended { outcome, took, last_lines, stdout, stderr, killed_outside }
}

/// Ends a script whose time has run out, and all that it started. Returns how many were killed outside its group.
async fn end(child: &mut Child, family: &mut Family, grace: Duration) -> usize {
    // Before the script ends: then its children are no longer seen to be its own.
    family.find().await;
    family.signal_group(Signal::TERM);
    let _ = timeout(grace, child.wait()).await;
    let killed = family.kill().await;
    let _ = timeout(KILLED_WAIT, child.wait()).await;
    killed
}

/// Kills what a script started when nobody waits for it any more.
struct OnDrop(Family);

impl OnDrop {
    fn let_go(mut self) {
        self.0.forget();
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.kill_at_once();
    }
}

async fn start(job: &Job, run: &str) -> io::Result<Child> {
    let mut command = match job.starter {
        Starter::Kernel => Command::new(&job.script),
        Starter::Shell => Command::new("/bin/sh"),
    };
    if job.starter == Starter::Shell {
        command.arg(&job.script);
    }
    command.args(&job.arguments).current_dir(&job.folder).process_group(0);
    command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env(RUN_VARIABLE, run);
    command.envs(job.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for _ in 1..START_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => sleep(START_PAUSE).await,
            result => return result,
        }
    }
    command.spawn()
}

/// The system's error in words that help.
fn why_not_started(error: &io::Error, script: &Path) -> String {
    let interpreter = script::interpreter(script);
    match (error.kind(), interpreter) {
        (io::ErrorKind::NotFound, Some(interpreter)) => {
            format!("its first line asks for {interpreter}, which is not there or cannot run on this machine")
        }
        (io::ErrorKind::PermissionDenied, Some(interpreter)) => {
            format!("its first line asks for {interpreter}, which may not be executed, or its own disk is mounted noexec")
        }
        (io::ErrorKind::PermissionDenied, None) => "it may not be executed; its disk may be mounted noexec".to_owned(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            "it is neither a text nor a program for this machine".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A name for a run that no other run on this machine has.
fn run_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", std::process::id(), since.as_nanos(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An environment variable of a job.
pub fn variable(name: &str, value: impl AsRef<OsStr>) -> Variable {
    (name.to_owned(), value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_in_words_and_kept_as_data() {
        for (outcome, text, json) in [
            (Outcome::Exit(3), "ended with exit code 3", r#"{"exit":3}"#),
            (Outcome::Signal(9), "was ended by signal 9 (SIGKILL)", r#"{"signal":9}"#),
            (Outcome::Signal(34), "was ended by signal 34", r#"{"signal":34}"#),
            (Outcome::TimedOut(900), "had not ended after 900 s and was killed", r#"{"timed-out":900}"#),
            (Outcome::NotRun("no time".into()), "is not run: no time", r#"{"not-run":"no time"}"#),
        ] {
            assert_eq!(outcome.to_string(), text);
            assert_eq!(serde_json::to_string(&outcome).unwrap(), json);
            assert_eq!(serde_json::from_str::<Outcome>(json).unwrap(), outcome);
        }
        assert!(Outcome::Exit(0).is_success() && !Outcome::Exit(1).is_success() && !Outcome::Signal(0).is_success());
        assert_ne!(run_id(), run_id());
    }
}
