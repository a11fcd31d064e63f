//! Slurm's programs, as services need them.

use std::collections::BTreeMap;

use cf_slurm::scaling::NodeFacts;
use cf_slurm::service::{Ask, Next, Note, Service, ServiceName};
use cf_slurm::view;

use crate::node::NodeName;
use crate::programs::{Programs, SLURM_BYTES_MAX};

/// Which services are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All of the cluster.
    All,
    /// That of this name, and those of this name before, as long as Slurm knows them (`MinJobAge`, five minutes).
    Named(&'a ServiceName),
    /// That of this job.
    Job(u64),
}

/// Slurm, by its programs. Errors are in words: the program, how it ended, what it printed.
#[derive(Debug, Clone, Default)]
pub struct Scheduler {
    programs: Programs,
}

impl Scheduler {
    /// The services, in the order in which they were added.
    pub async fn services(&self, which: Which<'_>) -> Result<Vec<Service>, String> {
        let mut words = vec!["--json".to_owned(), "--states=all".to_owned()];
        match which {
            Which::All => {}
            Which::Named(name) => words.push(format!("--name={}", name.job())),
            Which::Job(job) => words.push(format!("--jobs={job}")),
        }
        let json = self.programs.must_print("squeue", &words, SLURM_BYTES_MAX).await?;
        view::services(json.as_bytes()).map_err(|error| error.to_string())
    }

    /// The compute nodes.
    pub async fn nodes(&self) -> Result<BTreeMap<NodeName, NodeFacts>, String> {
        let json = self.programs.must_print("scontrol", &["--json", "show", "nodes"], SLURM_BYTES_MAX).await?;
        view::nodes(json.as_bytes()).map_err(|error| error.to_string())
    }

    /// Queues the job of a service, as this user where it is not the caller. Returns the job's id.
    pub async fn submit(&self, ask: &Ask, user: Option<&str>) -> Result<u64, String> {
        let words = ask.sbatch();
        let printed = match user {
            None => self.programs.must("sbatch", &words).await?,
            Some(user) => {
                let as_user = ["-u", user, "--", "sbatch"].map(str::to_owned);
                self.programs.must("runuser", &[as_user.as_slice(), &words].concat()).await?
            }
        };
        // The id, and where there are several clusters ";" and its name.
        let id = printed.trim().split(';').next().unwrap_or_default();
        id.parse().map_err(|_| format!("sbatch printed no id of a job, but {printed:?}"))
    }

    /// Ends a job: SIGTERM, and SIGKILL after Slurm's `KillWait`. It is not queued again.
    pub async fn cancel(&self, job: u64) -> Result<(), String> {
        self.programs.must("scancel", &[job.to_string()]).await.map(drop)
    }

    /// Writes a job's comment.
    pub async fn write(&self, job: u64, note: &Note) -> Result<(), String> {
        self.update(job, &format!("Comment={note}")).await
    }

    /// Which node a waiting job must not have.
    pub async fn exclude(&self, job: u64, node: Option<NodeName>) -> Result<(), String> {
        self.update(job, &format!("ExcNodeList={}", node.map(|node| node.to_string()).unwrap_or_default())).await
    }

    /// Queues a running job again: Slurm ends its processes, as in [`Self::cancel`]. One that Slurm is ending for another reason is
    /// refused (`Incomplete`): else a service that is being removed would come back.
    pub async fn requeue(&self, job: u64, next: Next) -> Result<(), String> {
        let verb = match next {
            Next::Requeue => "requeue",
            Next::Hold => "requeuehold",
        };
        self.programs.must("scontrol", &[verb.to_owned(), "Incomplete".to_owned(), job.to_string()]).await.map(drop)
    }

    async fn update(&self, job: u64, what: &str) -> Result<(), String> {
        self.programs.must("scontrol", &["update".to_owned(), format!("JobId={job}"), what.to_owned()]).await.map(drop)
    }
}
