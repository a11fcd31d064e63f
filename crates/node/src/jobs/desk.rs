//! What the commands of `cf-node customize queue` do: put a job, look at it, remove it. Each call takes effect at once; the node whose
//! job it is notices within its interval.

use std::collections::BTreeSet;

use super::claim::{self, Claim, Verdict};
use super::{JOB_BYTES_MAX, JOBS_MAX, Job, JobId, Keys, QueueName};
use crate::node::NodeName;
use crate::store::{Expect, Store, StoreError, get_if_there};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// It waits.
    Pending,
    /// It was begun.
    Running,
    /// It was run.
    Completed,
    /// It was not run.
    Rejected,
}

/// Why a command did nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// S3.
    #[error("{0}: {1}")]
    Store(String, StoreError),
    /// The id.
    #[error("the id {0} was used before in this queue; take another, or remove that job by cf-node customize queue rm")]
    Used(JobId),
    /// The id.
    #[error("a job with the id {0} is pending in this queue; take another id, or remove that job by cf-node customize queue rm")]
    Pending(JobId),
    /// The size.
    #[error("the job has {0} bytes, and a job has 1 to {JOB_BYTES_MAX}; put large data elsewhere, and its address into the job")]
    Size(u64),
    /// None.
    #[error("there is no job {0}; cf-node customize queue list-jobs lists those that there are")]
    Missing(Job),
    /// It runs.
    #[error("the job {0} was begun, and can be removed when it has ended; its node notices an agent that was restarted within minutes")]
    Running(Job),
    /// No such file.
    #[error("the job {0} has no result {1:?}; cf-node customize queue list-output lists those that it has")]
    NoResult(Job, String),
    /// The listing.
    #[error("the queue holds more than {JOBS_MAX} objects, too many to list; name a job's id")]
    TooMany,
}

/// The jobs of a cluster.
pub struct Desk<'a, S> {
    /// The store.
    pub store: &'a S,
    /// The system bucket.
    pub bucket: &'a str,
    /// Where the jobs lie.
    pub keys: Keys,
}

fn failed(what: impl Into<String>) -> impl FnOnce(StoreError) -> DeskError {
    let what = what.into();
    move |error| DeskError::Store(what, error)
}

impl<S: Store> Desk<'_, S> {
    async fn list(&self, prefix: &str) -> Result<Vec<String>, DeskError> {
        let (objects, more) = self.store.list(self.bucket, prefix, JOBS_MAX).await.map_err(failed("the jobs cannot be listed"))?;
        if more { Err(DeskError::TooMany) } else { Ok(objects.into_iter().map(|object| object.key).collect()) }
    }

    /// The queues that have a job, or had one.
    pub async fn queues(&self) -> Result<Vec<QueueName>, DeskError> {
        let mut queues = BTreeSet::new();
        for state in ["pending", "claims", "rejected"] {
            let keys = self.list(&format!("{}{state}/", self.keys.prefix())).await?;
            queues.extend(keys.iter().filter_map(|key| self.keys.read(key)).map(|(_, job, _)| job.queue));
        }
        Ok(queues.into_iter().collect())
    }

    /// The jobs of a queue on a node, with their states, by id.
    pub async fn jobs(&self, queue: &QueueName, node: NodeName) -> Result<Vec<(JobId, State)>, DeskError> {
        let mut ids = BTreeSet::new();
        for state in ["pending", "claims", "rejected"] {
            let keys = self.list(&format!("{}{queue}/", self.keys.of_node(state, node))).await?;
            ids.extend(keys.iter().filter_map(|key| self.keys.read(key)).map(|(_, job, _)| job.id));
        }
        let mut jobs = Vec::new();
        for id in ids {
            let job = Job { node, queue: queue.clone(), id: id.clone() };
            jobs.extend(self.state(&job).await?.map(|state| (id, state)));
        }
        Ok(jobs)
    }

    /// Puts a job.
    pub async fn put(&self, job: &Job, content: Vec<u8>) -> Result<(), DeskError> {
        let bytes = content.len() as u64;
        if bytes == 0 || bytes > JOB_BYTES_MAX {
            return Err(DeskError::Size(bytes));
        }
        if self.claim(job).await?.is_some() {
            return Err(DeskError::Used(job.id.clone()));
        }
        match self.store.put(self.bucket, &self.keys.pending(job), content, "application/octet-stream", Expect::Absent).await {
            Ok(_) => Ok(()),
            Err(StoreError::Changed(_)) => Err(DeskError::Pending(job.id.clone())),
            Err(error) => Err(failed(format!("the job {job} cannot be put"))(error)),
        }
    }

    async fn claim(&self, job: &Job) -> Result<Option<Option<Claim>>, DeskError> {
        match get_if_there(self.store, self.bucket, &self.keys.claim(job), claim::BYTES_MAX).await {
            // A claim that cannot be read is one all the same.
            Ok(got) => Ok(got.map(|(bytes, _)| serde_json::from_slice(&bytes).ok())),
            Err(StoreError::TooLong(_)) => Ok(Some(None)),
            Err(error) => Err(failed(format!("the state of the job {job} cannot be read"))(error)),
        }
    }

    async fn is_there(&self, key: &str) -> Result<bool, DeskError> {
        Ok(self.list_one(key).await?.is_some_and(|found| found == key))
    }

    async fn list_one(&self, prefix: &str) -> Result<Option<String>, DeskError> {
        let (objects, _) = self.store.list(self.bucket, prefix, 1).await.map_err(failed("the jobs cannot be listed"))?;
        Ok(objects.into_iter().next().map(|object| object.key))
    }

    /// Where a job is; `None` where there is none of this id.
    pub async fn state(&self, job: &Job) -> Result<Option<State>, DeskError> {
        Ok(match self.claim(job).await? {
            Some(Some(Claim { verdict: Some(Verdict::Completed(_)), .. })) => Some(State::Completed),
            Some(Some(Claim { verdict: Some(Verdict::Rejected(_)), .. })) => Some(State::Rejected),
            Some(_) => Some(State::Running),
            None if self.is_there(&self.keys.pending(job)).await? => Some(State::Pending),
            None if self.is_there(&self.keys.reason(job)).await? => Some(State::Rejected),
            None => None,
        })
    }

    /// Why a job was rejected, or how it ended.
    pub async fn report(&self, job: &Job) -> Result<Option<String>, DeskError> {
        for key in [format!("{}status", self.keys.completed(job)), self.keys.reason(job)] {
            let got = get_if_there(self.store, self.bucket, &key, claim::BYTES_MAX).await;
            if let Some((bytes, _)) = got.map_err(failed(format!("the end of the job {job} cannot be read")))? {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        Ok(None)
    }

    /// The names of a job's results: `logs`, `status`, `output/<file>`.
    pub async fn results(&self, job: &Job) -> Result<Vec<String>, DeskError> {
        let prefix = self.keys.completed(job);
        let keys = self.list(&prefix).await?;
        if keys.is_empty() && self.state(job).await?.is_none() {
            return Err(DeskError::Missing(job.clone()));
        }
        Ok(keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    /// One of them.
    pub async fn result(&self, job: &Job, name: &str) -> Result<Vec<u8>, DeskError> {
        let key = format!("{}{name}", self.keys.completed(job));
        let got = get_if_there(self.store, self.bucket, &key, super::work::OUTPUT_FILE_BYTES_MAX).await;
        let got = got.map_err(failed(format!("the result {} of the job {job} cannot be read", super::shown(name))))?;
        got.map(|(bytes, _)| bytes).ok_or_else(|| DeskError::NoResult(job.clone(), super::shown(name)))
    }

    /// Removes a job that does not run, and all that is left of it. Its id is free then; the claim goes last, so that it is not
    /// before. A claim that no agent wrote is of no job that runs.
    pub async fn remove(&self, job: &Job) -> Result<(), DeskError> {
        if self.state(job).await?.is_none() {
            return Err(DeskError::Missing(job.clone()));
        }
        self.refuse_running(job).await?;
        let mut keys = vec![self.keys.pending(job)];
        keys.extend(self.list(&self.keys.completed(job)).await?);
        keys.push(self.keys.reason(job));
        let remove = |key: String| async move { self.store.remove(self.bucket, &key).await.map_err(failed("the job cannot be removed")) };
        let mut keys = keys.into_iter();
        if let Some(pending) = keys.next() {
            remove(pending).await?;
        }
        // Its node may have begun it in this moment.
        self.refuse_running(job).await?;
        for key in keys {
            remove(key).await?;
        }
        remove(self.keys.claim(job)).await
    }

    async fn refuse_running(&self, job: &Job) -> Result<(), DeskError> {
        let runs = matches!(self.claim(job).await?, Some(Some(Claim { verdict: None, .. })));
        if runs { Err(DeskError::Running(job.clone())) } else { Ok(()) }
    }
}
