//! First processes of namespaces, which live as long as a pipe to them is open, and the one that holds the bed.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use cf_local::{children, last_lines};
use rustix::process::{Pid, Signal, kill_process};

/// The first process of a process namespace. With it the kernel kills all others of that namespace.
#[derive(Debug)]
pub struct First {
    /// `unshare` or `nsenter`, which waits for the first process.
    waiting: Child,
    /// The other end is its standard input. It closes with this program, however that ends.
    _alive: ChildStdin,
    /// As this program sees it, not as it is seen within.
    id: Pid,
}

impl First {
    /// Starts a command whose script prints the id of its process once all is there.
    pub fn start(what: &str, command: &mut Command) -> Result<Self> {
        // A group of its own: Ctrl-C ends this program, and then the pipe closes.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut waiting = command.spawn().with_context(|| format!("{what} could not be started"))?;
        let (alive, said) = (waiting.stdin.take().context("a pipe")?, waiting.stdout.take().context("a pipe")?);
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if let Some(id) = line.trim().parse().ok().and_then(Pid::from_raw) {
            return Ok(Self { waiting, _alive: alive, id });
        }
        drop(alive);
        let mut why = String::new();
        waiting.stderr.take().context("a pipe")?.read_to_string(&mut why)?;
        bail!("{what} did not start ({}): {}", waiting.wait()?, last_lines(&why))
    }

    /// Its id, for `nsenter`.
    pub fn id(&self) -> String {
        self.id.as_raw_nonzero().to_string()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.waiting.try_wait()?.is_none())
    }

    /// Kills it, and with it its whole namespace, and waits until all of that is gone.
    pub fn kill(&mut self) -> Result<()> {
        // While its parent has not ended, nobody else can have its id.
        if self.is_running()? {
            // It may end at this very moment.
            let _ = kill_process(self.id, Signal::KILL);
        }
        self.waiting.wait()?;
        Ok(())
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // What cannot be killed ends with the pipe.
        let _ = self.kill();
    }
}

/// The bed's first process, below which all others are: it holds the network and the disks.
#[derive(Debug)]
pub struct Holder {
    first: First,
    folder: PathBuf,
    numbers: AtomicU32,
}

impl Holder {
    /// Starts it with a bridge of this address (`10.0.0.1/16`), and disks mounted over this folder, within the bed only.
    pub fn start(folder: &Path, address: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        // Without links: nodes look for what they share from a root of their own, where an absolute link would lead elsewhere.
        let folder = folder.canonicalize()?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", include_str!("scripts/bed.sh"), "bed"]);
        let first = First::start("the bed", command.arg(&folder).arg(address))?;
        Ok(Self { first, folder, numbers: AtomicU32::new(1) })
    }

    /// Its id, for `nsenter`.
    pub fn id(&self) -> String {
        self.first.id()
    }

    /// Where disks and shared folders are, within the bed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A number that nothing else of this bed has.
    pub fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs a script of the shell with the bed's mounts.
    pub fn with_mounts(&self, script: &str, arguments: &[&OsStr]) -> Result<()> {
        run_in(&self.id(), "--mount", script, arguments)
    }

    /// Runs a script of the shell with the bed's network.
    pub fn with_network(&self, script: &str, arguments: &[&str]) -> Result<()> {
        run_in(&self.id(), "--net", script, arguments)
    }
}

/// Runs a script of the shell in one namespace of a process.
pub fn run_in(process: &str, namespace: &str, script: &str, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.args(["--target", process, namespace, "sh", "-c", script, "sh"]).args(arguments);
    let done = children::output(&mut command).context("nsenter could not be started")?;
    if !done.status.success() {
        bail!("`{script}` ended with {}: {}", done.status, last_lines(&String::from_utf8_lossy(&done.stderr)));
    }
    Ok(())
}
