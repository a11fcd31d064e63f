//! A service as Slurm has it, and how people are shown it.

use std::fmt;

use super::{FAILURES_MAX, Note, ServiceName};

/// A service, by its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The id of its job.
    pub job: u64,
    /// The account that it runs as.
    pub owner: String,
    /// What its comment says.
    pub note: Note,
    /// How it is.
    pub state: State,
    /// The node that it has; empty where it has none.
    pub node: String,
    /// How often it was queued again.
    pub restarts: u32,
    /// The file that takes what it prints.
    pub log: String,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its program runs.
    Alive,
    /// It has a node, which starts, or its program does.
    Starting,
    /// It has no node, for Slurm's reason.
    Waiting(String),
    /// It is not started until somebody releases it.
    Held,
    /// Slurm has stopped its processes for a while (`scontrol suspend`).
    Suspended,
    /// It was removed or has ended, and its processes are being ended.
    Stopping,
    /// Its job is over, in this state of Slurm's.
    Over(String),
}

impl Service {
    /// Whether it has its name: it runs, or will.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, State::Stopping | State::Over(_))
    }

    /// How it is, in words.
    pub fn state(&self) -> String {
        let Self { node, job, note, .. } = self;
        match &self.state {
            State::Alive => format!("running on {node}"),
            State::Starting => format!("starting on {node}"),
            State::Waiting(reason) => waiting(reason),
            State::Held if note.failures >= FAILURES_MAX => {
                format!("held: its program ended {} times within a minute of its start", note.failures)
            }
            State::Held => "held".to_owned(),
            State::Suspended => format!("suspended on {node}; scontrol resume {job} lets it go on"),
            State::Stopping => format!("stopping on {node}"),
            State::Over(state) => format!("over: Slurm has its job as {state}"),
        }
    }

    /// Everything about it that somebody needs who finds it not running.
    pub fn detail(&self) -> String {
        let Self { name, job, note, log, restarts, .. } = self;
        let mut lines = vec![format!("{name} is {} (job {job}, restarts: {restarts}).", self.state())];
        if !note.last.is_empty() {
            lines.push(format!("Last failure: its program {}.", note.last));
        }
        if !matches!(self.state, State::Alive) && !log.is_empty() {
            lines.push(format!("What it printed: {log}"));
        }
        if self.state == State::Held {
            lines.push(format!("When the cause is removed: scontrol release {job}"));
        }
        lines.join("\n")
    }
}

/// Slurm's word for why a job waits, explained where it is one that services meet. The list is in squeue(1), "JOB REASON CODES".
fn waiting(reason: &str) -> String {
    let word = reason.split([',', ' ']).next().unwrap_or_default();
    let why = match word {
        "Resources" => "every node that it may run on is in use",
        "Priority" => "other jobs come first",
        "BeginTime" => "it was queued again, and starts in about a minute",
        "ReqNodeNotAvail" | "Nodes_required_for_job_are_DOWN" | "Nodes" => "the nodes that it may run on are down or closed; see sinfo -R",
        "PartitionTimeLimit" => "its partition has a time limit, and a service has none",
        "None" | "" => return "waiting for Slurm to look at it".to_owned(),
        _ => return format!("waiting: {reason}"),
    };
    format!("waiting: {why} ({word})")
}

impl fmt::Display for State {
    /// The word for machines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "running",
            Self::Starting => "starting",
            Self::Waiting(_) => "waiting",
            Self::Held => "held",
            Self::Suspended => "suspended",
            Self::Stopping => "stopping",
            Self::Over(_) => "over",
        })
    }
}

/// The list: index, name, place, state, command, one line each. The index is the place in the list, from 0.
pub fn table(services: &[Service]) -> String {
    let rows: Vec<[String; 4]> = services
        .iter()
        .enumerate()
        .map(|(index, service)| [format!("[{index}]"), service.name.to_string(), service.note.target.to_string(), service.state()])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |(row, service): (&[String; 4], &Service)| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}  {}\n", padded.join("  "), service.note.command)
    };
    rows.iter().zip(services).map(line).collect()
}
