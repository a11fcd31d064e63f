//! A node with profiles in a scratch folder, whose events run real processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use cf_node::event::{Event, Occasion};
use cf_node::hooks::{EventReport, Facts, Hooks, LogListener};
use cf_node::instance_log::InstanceLog;
use cf_node::node::{Layout, Role};
use cf_node::run::{Bounds, Outcome};
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Waits for a state end here, long after any of them is reached.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A node with nothing but its profiles and its log.
pub struct Node {
    pub folder: TempDir,
    pub layout: Layout,
    pub hooks: Hooks,
    pub facts: Facts,
}

impl Node {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Layout::below(folder.path()).instance_log();
        Self::with_log(folder, &log, 1)
    }

    /// With the log there, and a clock that goes on by so many seconds each time that it is read.
    pub fn with_log(folder: TempDir, log: &Path, step: i64) -> Self {
        let layout = Layout::below(folder.path());
        let seconds = AtomicI64::new(0);
        let start: Zoned = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let clock = move || start.checked_add(seconds.fetch_add(step, Ordering::Relaxed).seconds()).unwrap();
        let listener = Arc::new(LogListener { log: InstanceLog::open(log).unwrap(), clock });
        let hooks = Hooks::new(layout.clone(), listener).with(bounds(Duration::from_millis(500)), "/root".into());
        let facts = Facts { role: Role::Master, cluster: "demo".into(), first_boot: true };
        Self { folder, layout, hooks, facts }
    }

    /// Puts a file where the fetch would: not executable.
    pub fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.layout.profiles().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A script of `configure` of the one profile.
    pub fn script(&self, name: &str, content: &str) -> PathBuf {
        self.file(Path::new("01-mine/configure.d").join(name), content)
    }

    /// A file that scripts write into.
    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn written(&self) -> String {
        fs::read_to_string(self.out()).unwrap_or_default()
    }

    pub async fn run(&self, occasion: Occasion<'_>) -> EventReport {
        timeout(4 * PATIENCE, self.hooks.run(&occasion, &self.facts, None)).await.unwrap()
    }

    pub async fn configure(&self) -> EventReport {
        self.run(Occasion::Stage(Event::Configure)).await
    }

    pub async fn boot(&self) {
        self.run(Occasion::Initialize { first_boot: self.facts.first_boot }).await;
        for event in [Event::Configure, Event::Start, Event::NodeStarted] {
            self.run(Occasion::Stage(event)).await;
        }
    }

    /// The lines of the log without their times.
    pub fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.layout.instance_log()).unwrap();
        log.lines().map(|line| line[16..].to_owned()).collect()
    }

    pub fn log_has(&self, line: &str) -> bool {
        self.log().contains(&format!("[cluster-customizer:configure] {line}"))
    }
}

pub fn bounds(grace: Duration) -> Bounds {
    Bounds { grace, drain: Duration::from_millis(500), ..Bounds::default() }
}

pub fn outcomes(report: &EventReport) -> Vec<(&str, &Outcome)> {
    report.scripts.iter().map(|script| (script.script.as_str(), &script.outcome)).collect()
}

pub async fn wait_until(what: &str, state: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !state() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process lives: one that has ended and is waited for by nobody does not.
pub fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

pub const OK: Outcome = Outcome::Exit(0);
