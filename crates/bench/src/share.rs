//! The share of a processor that a function of 128 MB has on Lambda: 128/1769 of one, in slices of twenty milliseconds.
//!
//! A control group holds it, of either version, where one can be made; otherwise signals stop the process and let it go
//! on. Either way a process that only counts is held first, and the table says what share it had.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cf_local::children;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// What Lambda gives 128 MB, of the 1,769 MB that come with a whole processor (Lambda Developer Guide, "Configure memory").
pub const SHARE: f64 = 128.0 / 1769.0;

/// Lambda's own slices are not documented; those measured from inside are of twenty milliseconds.
const PERIOD: Duration = Duration::from_millis(20);

/// How a process is held.
#[derive(Debug)]
pub enum Share {
    /// By a control group: the file that takes its processes.
    Group(PathBuf),
    /// By SIGSTOP and SIGCONT.
    Signals,
}

impl Share {
    /// The best way that this machine allows.
    pub fn find() -> Self {
        let (quota, period) = ((PERIOD.mul_f64(SHARE)).as_micros().to_string(), PERIOD.as_micros().to_string());
        let name = format!("clusterdrop-bench-{}", std::process::id());
        let v1 = ["cpu", "cpu,cpuacct"].map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&name));
        let first = v1.iter().find(|folder| {
            let files = [("cpu.cfs_period_us", period.clone()), ("cpu.cfs_quota_us", quota.clone())];
            made(folder, &files)
        });
        let v2 = Path::new("/sys/fs/cgroup").join(&name);
        let folder = first.cloned().or_else(|| made(&v2, &[("cpu.max", format!("{quota} {period}"))]).then_some(v2));
        folder.map_or(Self::Signals, |folder| Self::Group(folder.join("cgroup.procs")))
    }

    /// What a held program is started by: a process has to be in its group before it runs.
    pub fn wrapper(&self) -> Vec<PathBuf> {
        match self {
            Self::Group(processes) => {
                vec!["sh".into(), "-c".into(), "echo $$ > \"$0\"; exec \"$@\"".into(), processes.clone()]
            }
            Self::Signals => Vec::new(),
        }
    }

    /// Holds a process that has just started, until it ends.
    pub fn hold(&self, id: u32) {
        if let (Self::Signals, Some(pid)) = (self, i32::try_from(id).ok().and_then(Pid::from_raw)) {
            std::thread::spawn(move || {
                while test_kill_process(pid).is_ok() {
                    let _ = kill_process(pid, Signal::STOP);
                    std::thread::sleep(PERIOD.mul_f64(1.0 - SHARE));
                    let _ = kill_process(pid, Signal::CONT);
                    std::thread::sleep(PERIOD.mul_f64(SHARE));
                }
            });
        }
    }

    /// In words, for the table.
    pub fn by(&self) -> &'static str {
        match self {
            Self::Group(_) => "a control group",
            Self::Signals => "SIGSTOP and SIGCONT",
        }
    }

    /// The share of a processor that a process under it really gets: what the kernel says that it has run, by its time.
    pub fn calibrate(&self) -> Result<f64> {
        let words: Vec<PathBuf> = self.wrapper().into_iter().chain(["sh", "-c", COUNTING].map(PathBuf::from)).collect();
        let begun = Instant::now();
        let mut child =
            children::spawn(Command::new(&words[0]).args(&words[1..]).stdout(Stdio::piped())).context("sh could not be started")?;
        self.hold(child.id());
        let mut said = String::new();
        child.stdout.take().context("sh has an output")?.read_to_string(&mut said)?;
        let took = begun.elapsed();
        child.wait()?;
        children::forget(child.id());
        let ran = Duration::from_nanos(said.trim().parse().context("the kernel keeps no count of what a process has run")?);
        Ok(ran.as_secs_f64() / took.as_secs_f64())
    }
}

/// Some tenths of a second of nothing but counting; then the nanoseconds that it has run.
const COUNTING: &str = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; read ran rest < /proc/$$/schedstat; echo $ran";

impl Drop for Share {
    fn drop(&mut self) {
        if let Self::Group(processes) = self
            && let Some(folder) = processes.parent()
        {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn made(folder: &Path, files: &[(&str, String)]) -> bool {
    let is_made = fs::create_dir(folder).is_ok();
    let is_set = is_made && files.iter().all(|(file, value)| fs::write(folder.join(file), value).is_ok());
    if is_made && !is_set {
        let _ = fs::remove_dir(folder);
    }
    is_set
}
