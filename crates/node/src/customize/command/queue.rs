//! `cf-node customize queue`: the job queue's command line.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Done, Ending, FAILED, complain, print, seams, settings};
use crate::jobs::desk::Desk;
use crate::jobs::{JOB_BYTES_MAX, Job, JobId, Keys, QueueName};
use crate::node::{Layout, NodeName};
use crate::random;
use crate::store::Store;

/// Whose jobs.
#[derive(Debug, Args)]
pub(super) struct On {
    /// The node
    #[arg(long, default_value_t = NodeName::LOGIN)]
    node: NodeName,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The queue
    queue: QueueName,
    /// The job's id
    id: JobId,
    #[command(flatten)]
    on: On,
}

impl One {
    fn job(&self) -> Job {
        Job { node: self.on.node, queue: self.queue.clone(), id: self.id.clone() }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the queues that have a job, or had one
    ListQueues,
    /// List the jobs of a queue, with their states
    ListJobs {
        /// The queue
        queue: QueueName,
        #[command(flatten)]
        on: On,
    },
    /// Put a file as a job; prints its id
    Put {
        /// The queue
        queue: QueueName,
        /// The file; - is standard input
        file: PathBuf,
        /// The job's id; a random one without it
        id: Option<JobId>,
        #[command(flatten)]
        on: On,
    },
    /// Print a job's state: pending, running, completed or rejected; nothing where there is no such job
    Status(One),
    /// List what a job left
    ListOutput(One),
    /// Print one thing that a job left
    GetOutput {
        /// The queue
        queue: QueueName,
        /// The job's id
        id: JobId,
        /// What: a name that list-output shows
        file: String,
        #[command(flatten)]
        on: On,
    },
    /// Remove a job that does not run, and what it left
    Rm(One),
}

pub(super) async fn run(layout: &Layout, verb: Verb) -> Done {
    let settings = settings(layout)?;
    let store = seams::open_store(&settings).await.map_err(Ending::failed)?;
    let keys = Keys::of(&settings).map_err(Ending::failed)?;
    act(&Desk { store: &store, bucket: &settings.system_bucket, keys }, verb).await
}

async fn act<S: Store>(desk: &Desk<'_, S>, verb: Verb) -> Done {
    match verb {
        Verb::ListQueues => {
            for queue in desk.queues().await.map_err(Ending::failed)? {
                print(queue.as_str());
            }
        }
        Verb::ListJobs { queue, on } => {
            let jobs = desk.jobs(&queue, on.node).await.map_err(Ending::failed)?;
            for (id, state) in jobs {
                print(&format!("{id} {state}"));
            }
        }
        Verb::Put { queue, file, id, on } => {
            let content = read(&file).map_err(|error| Ending::failed(format!("the job {} cannot be read: {error}", file.display())))?;
            let id = match id {
                Some(id) => id,
                None => random::id().map_err(Ending::failed)?.parse().map_err(Ending::failed)?,
            };
            let job = Job { node: on.node, queue, id };
            desk.put(&job, content).await.map_err(Ending::refused)?;
            print(job.id.as_str());
        }
        Verb::Status(one) => {
            let job = one.job();
            let Some(state) = desk.state(&job).await.map_err(Ending::failed)? else { return Ok(FAILED) };
            print(&state.to_string());
            if let Some(report) = desk.report(&job).await.map_err(Ending::failed)? {
                for line in report.lines() {
                    complain(&cf_core::characters::shown(line, 0, 1000));
                }
            }
        }
        Verb::ListOutput(one) => {
            let names = desk.results(&one.job()).await.map_err(Ending::failed)?;
            for name in names {
                print(&cf_core::characters::shown(&name, 0, 1000));
            }
        }
        Verb::GetOutput { queue, id, file, on } => {
            let job = Job { node: on.node, queue, id };
            let bytes = desk.result(&job, &file).await.map_err(Ending::failed)?;
            std::io::stdout().write_all(&bytes).map_err(Ending::failed)?;
        }
        Verb::Rm(one) => desk.remove(&one.job()).await.map_err(Ending::refused)?,
    }
    Ok(0)
}

/// The file, or so much of it that it is seen to be too long.
fn read(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().take(JOB_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(JOB_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
