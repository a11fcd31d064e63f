//! `squeue --json` and `sinfo --json`.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::node_name::NodeName;
use serde::{Deserialize, Serialize};

use super::{ViewError, read};
use crate::host_list;

/// The jobs that are not over, in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// Those that wait, each task of an array for itself.
    pub waiting: u32,
    /// Those that have nodes, which start.
    pub starting: u32,
    /// Those that run.
    pub running: u32,
    /// The ids of those that have nodes, by node: who requeues a node's jobs needs them.
    #[serde(skip)]
    pub by_node: BTreeMap<NodeName, BTreeSet<u64>>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Its nodes, whether they are there or not.
    pub nodes: u32,
    /// Whether jobs are taken and start.
    pub is_up: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub jobs: Vec<Job>,
}

/// What is used of a job; `services` uses the names and texts.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    #[serde(rename = "job_id")]
    pub id: u64,
    #[serde(rename = "job_state")]
    pub states: Vec<String>,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub comment: String,
    #[serde(default)]
    pub nodes: String,
    #[serde(default)]
    pub restart_cnt: u32,
    #[serde(default)]
    pub standard_output: String,
    #[serde(default)]
    pub state_reason: String,
    #[serde(default)]
    pub user_name: String,
    #[serde(default)]
    array_task_string: String,
}

impl Job {
    pub fn is(&self, word: &str) -> bool {
        self.states.iter().any(|state| state == word)
    }
}

/// The jobs that are not over.
pub fn jobs(json: &[u8]) -> Result<Jobs, ViewError> {
    let queue: Queue = read("squeue", json)?;
    let mut jobs = Jobs::default();
    for job in &queue.jobs {
        let is = |word: &str| job.is(word);
        if is("PENDING") {
            jobs.waiting = jobs.waiting.saturating_add(tasks(&job.array_task_string));
            continue;
        }
        match (is("CONFIGURING"), is("RUNNING") || is("SUSPENDED") || is("COMPLETING")) {
            (true, _) => jobs.starting += 1,
            (false, true) => jobs.running += 1,
            (false, false) => continue,
        }
        for node in host_list::nodes(&job.nodes).unwrap_or_default() {
            jobs.by_node.entry(node).or_default().insert(job.id);
        }
    }
    Ok(jobs)
}

/// How many tasks a record of the queue stands for: `1-10%2`, `1,3`, or cut short by Slurm as `1,3,...`; one where it is no array.
fn tasks(text: &str) -> u32 {
    let ranges = text.split('%').next().unwrap_or_default().trim_end_matches("...").trim_end_matches(',');
    let tasks = host_list::expand(&format!("t[{ranges}]")).map_or(1, |tasks| tasks.len());
    u32::try_from(tasks).unwrap_or(1)
}

#[derive(Debug, Deserialize)]
struct Info {
    sinfo: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    partition: PartitionShown,
}

#[derive(Debug, Deserialize)]
struct PartitionShown {
    name: String,
    nodes: Total,
    partition: States,
}

#[derive(Debug, Deserialize)]
struct Total {
    total: u32,
}

#[derive(Debug, Deserialize)]
struct States {
    state: Vec<String>,
}

/// The partitions, each once: Slurm has a line for each state of nodes.
pub fn partitions(json: &[u8]) -> Result<Vec<Partition>, ViewError> {
    let info: Info = read("sinfo", json)?;
    let partition = |shown: PartitionShown| {
        let is_up = shown.partition.state.iter().any(|state| state == "UP");
        (shown.name.clone(), Partition { name: shown.name, nodes: shown.nodes.total, is_up })
    };
    let by_name: BTreeMap<String, Partition> = info.sinfo.into_iter().map(|line| partition(line.partition)).collect();
    Ok(by_name.into_values().collect())
}
