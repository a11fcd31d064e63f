//! The agent's part of the job queue: looks for this node's jobs, and does what [`decide`](super::decide) decides, oldest job first,
//! one at a time in each queue.
//!
//! The order of the writes is what makes a job run once, wherever a node ends in between: claim; run; journal (on this disk); logs
//! and output; verdict (in the claim); status or reason; then the pending job is removed. What follows the journal is in `conclude`.

mod conclude;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cf_core::names::NameError;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::claim::{self, Claim, Owner, Verdict};
use super::decide::{Action, Journal, Seen, decide};
use super::share::{self, Share};
use super::work::{self, Folder, Setting};
use super::{JOB_BYTES_MAX, JOBS_MAX, Job, JobId, Keys, QueueName, Upload};
use crate::node::{Layout, NodeName};
use crate::profile::settings::LIMIT_SECONDS_MAX;
use crate::random::{self, NoRandom};
use crate::run::Bounds;
use crate::settings::NodeSettings;
use crate::state_file;
use crate::store::{Expect, Store, StoreError, get_if_there};
use conclude::{blocking, bounded, json};

/// Between two looks. A job is to be begun within five minutes (acceptance check B20).
pub const INTERVAL: Duration = Duration::from_mins(1);

/// So many queues at once: a job that runs long holds up its own queue only.
pub const QUEUES_MAX: usize = 8;

/// The most problems that a pass returns.
const PROBLEMS_MAX: usize = 20;

/// A job has come to its end after so many actions, or waits for another pass.
const ACTIONS_MAX: u32 = 6;

/// Why there is no poller.
#[derive(Debug, thiserror::Error)]
pub enum PollerError {
    /// The settings.
    #[error("the keys of the job queue cannot be made: {0}")]
    Names(#[from] NameError),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// Looks for the jobs of one node.
pub struct Poller<S> {
    store: Arc<S>,
    system_bucket: String,
    customizer_bucket: String,
    keys: Keys,
    node: NodeName,
    me: Owner,
    folder: PathBuf,
    setting: Setting,
    busy: Mutex<BTreeSet<QueueName>>,
    /// Jobs whose claim was sent by this process, and that were not begun.
    unbegun: Mutex<BTreeSet<Job>>,
}

/// What came of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// Jobs that ended or were rejected in it.
    pub concluded: usize,
    /// What is to be known, at most 20.
    pub problems: Vec<String>,
}

/// A queue that a pass has for itself.
struct Held<'a> {
    busy: &'a Mutex<BTreeSet<QueueName>>,
    queue: QueueName,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.queue);
    }
}

/// Why a job is left for another pass.
#[derive(Debug, derive_more::Display)]
enum Problem {
    /// By an object of its own, which is bad.
    OfJob(String),
    /// By S3, this machine, or the queue.
    OfAll(String),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::OfAll(problem)
    }
}

/// A job that is looked at: pending with its bytes, or known only to this machine.
type Candidate = (Job, Option<(Upload, u64)>);

impl<S: Store> Poller<S> {
    /// The poller of this node, which is this machine.
    pub fn new(store: Arc<S>, settings: &NodeSettings, layout: &Layout, node: NodeName, instance: &str) -> Result<Self, PollerError> {
        let limit = Duration::from_secs(u64::from(LIMIT_SECONDS_MAX));
        Ok(Self {
            store,
            system_bucket: settings.system_bucket.clone(),
            customizer_bucket: settings.customizer_bucket.clone(),
            keys: Keys::of(settings)?,
            node,
            me: Owner { instance: instance.to_owned(), run: random::id()? },
            folder: layout.state().join("jobs"),
            setting: Setting {
                role: settings.role,
                cluster: settings.cluster.clone(),
                limit,
                bounds: Bounds::default(),
                notes: layout.runs(),
            },
            busy: Mutex::default(),
            unbegun: Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &S {
        &self.store
    }

    /// The same with another limit for a job's time, and other bounds.
    #[must_use]
    pub fn with(mut self, limit: Duration, bounds: Bounds) -> Self {
        (self.setting.limit, self.setting.bounds) = (limit, bounds);
        self
    }

    /// Looks for jobs until it is dropped; their scripts end with it. `told` gets the problems of each pass that has ended.
    pub async fn run(self: Arc<Self>, interval: Duration, told: Arc<dyn Fn(Vec<String>) + Send + Sync>) {
        let mut passes = tokio::task::JoinSet::new();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while passes.try_join_next().is_some() {}
            let (poller, told) = (Arc::clone(&self), Arc::clone(&told));
            passes.spawn(async move {
                let problems = poller.pass().await.problems;
                for problem in &problems {
                    tracing::warn!("job queue: {problem}");
                }
                told(problems);
            });
        }
    }

    /// One look: works through the jobs of each queue that no other pass is at, and ends when they have ended.
    pub async fn pass(&self) -> Passed {
        let mut passed = Passed::default();
        let candidates = match self.candidates(&mut passed.problems).await {
            Ok(candidates) => candidates,
            Err(error) => {
                passed.problems.push(format!("this node's jobs cannot be listed: {error}"));
                return passed;
            }
        };
        let held: Vec<_> = candidates.into_iter().filter_map(|(queue, jobs)| Some((self.hold(&queue)?, jobs))).collect();
        for (concluded, problems) in join_all(held.into_iter().map(|(held, jobs)| self.queue(held, jobs))).await {
            passed.concluded += concluded;
            passed.problems.extend(problems);
        }
        passed.problems.truncate(PROBLEMS_MAX);
        passed
    }

    fn hold(&self, queue: &QueueName) -> Option<Held<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = busy.len() < QUEUES_MAX && busy.insert(queue.clone());
        is_free.then(|| Held { busy: &self.busy, queue: queue.clone() })
    }

    /// The jobs by their queues, the oldest first: those that are pending, then those that only this machine knows of.
    async fn candidates(&self, problems: &mut Vec<String>) -> Result<BTreeMap<QueueName, Vec<Candidate>>, StoreError> {
        let prefix = self.keys.of_node("pending", self.node);
        // Read first: a job that begins meanwhile has its folder and is in the listing.
        let known = self.known();
        let (mut objects, more) = self.store.list(&self.system_bucket, &prefix, JOBS_MAX).await?;
        if more {
            problems.push(format!("more than {JOBS_MAX} jobs are pending; the others are looked at when these have ended"));
        }
        objects.sort_by(|a, b| (a.modified, &a.key).cmp(&(b.modified, &b.key)));
        let mut candidates: BTreeMap<QueueName, Vec<Candidate>> = BTreeMap::new();
        for object in objects {
            match self.keys.read(&object.key) {
                Some(("pending", job, "")) if job.node == self.node => {
                    let upload = Upload { etag: object.etag, modified: object.modified };
                    candidates.entry(job.queue.clone()).or_default().push((job, Some((upload, object.size))));
                }
                _ if problems.len() < PROBLEMS_MAX && object.key != prefix => {
                    problems.push(format!("{} is no key of a job and is left alone", super::shown(&object.key)));
                }
                _ => {}
            }
        }
        for job in known {
            let jobs = candidates.entry(job.queue.clone()).or_default();
            if !more && !jobs.iter().any(|(pending, _)| *pending == job) {
                jobs.push((job, None));
            }
        }
        Ok(candidates)
    }

    /// The jobs that have a folder on this machine.
    fn known(&self) -> Vec<Job> {
        let names =
            |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut jobs = Vec::new();
        for queue in names(self.folder.join("work")) {
            let Ok(parsed) = queue.parse::<QueueName>() else { continue };
            let ids = names(self.folder.join("work").join(&queue)).filter_map(|id| id.parse::<JobId>().ok());
            jobs.extend(ids.map(|id| Job { node: self.node, queue: parsed.clone(), id }));
        }
        jobs
    }

    /// Works through a queue. A problem ends it, as the next job would most probably have the same, but one of a job's own.
    async fn queue(&self, held: Held<'_>, jobs: Vec<Candidate>) -> (usize, Vec<String>) {
        let (mut share, mut concluded, mut problems) = (None, 0, Vec::new());
        for (job, pending) in jobs {
            match self.job(&job, pending, &mut share).await {
                Ok(ended) => concluded += usize::from(ended),
                Err(problem) => {
                    if problems.len() < PROBLEMS_MAX {
                        problems.push(format!("the job {job}: {problem}"));
                    }
                    if matches!(problem, Problem::OfAll(_)) {
                        break;
                    }
                }
            }
        }
        drop(held);
        (concluded, problems)
    }

    /// Brings one job to its end; `false` where it is left for another pass.
    async fn job(&self, job: &Job, mut pending: Option<(Upload, u64)>, share: &mut Option<Share>) -> Result<bool, Problem> {
        let folder = self.folder_of(job);
        for _ in 0..ACTIONS_MAX {
            let (claim, etag) = self.claim(job).await?.map_or((None, None), |(claim, etag)| (Some(claim), Some(etag)));
            // One that cannot be read is none: the job is given up then, and not run again.
            let journal = state_file::load(&folder.journal()).ok().flatten();
            let seen = Seen { pending: pending.clone(), claim: claim.clone(), journal, is_unbegun: self.unbegun().contains(job) };
            let action = decide(&seen, &self.me, self.setting.limit, Timestamp::now());
            if !matches!(action, Action::Run(_)) {
                self.unbegun().remove(job);
            }
            match action {
                Action::Run(upload) => {
                    if !self.begin(job, &upload, claim.is_some(), &folder, share).await? {
                        return Ok(false);
                    }
                }
                Action::Deliver(verdict) => {
                    self.deliver(job, &folder, &verdict).await?;
                    self.settle(job, claim, etag, verdict).await?;
                }
                Action::GiveUp(completed) => self.settle(job, claim, etag, Verdict::Completed(completed)).await?,
                Action::Conclude(verdict) => {
                    self.show(job, &verdict).await?;
                    self.remove_pending(job, &folder).await?;
                    return Ok(true);
                }
                Action::Reject(reason) => {
                    // What came of the claimed one is shown first: its node may have ended before it was.
                    if let Some(verdict) = claim.and_then(|claim| claim.verdict) {
                        self.show(job, &verdict).await?;
                    }
                    self.show(job, &Verdict::Rejected(reason)).await?;
                    self.remove_pending(job, &folder).await?;
                    return Ok(true);
                }
                Action::Wait => return Ok(false),
                Action::Forget => {
                    folder.remove().map_err(|error| format!("its folder cannot be removed: {error}"))?;
                    return Ok(true);
                }
            }
            // A job of this machine alone stays one; a pending one may have been replaced while it ran.
            if pending.is_some() {
                pending = self.pending(job).await?;
            }
        }
        Ok(false)
    }

    fn folder_of(&self, job: &Job) -> Folder {
        Folder(self.folder.join("work").join(job.queue.as_str()).join(job.id.as_str()))
    }

    async fn claim(&self, job: &Job) -> Result<Option<(Claim, String)>, Problem> {
        let spoilt = |why: &dyn std::fmt::Display| {
            Problem::OfJob(format!("its claim is not one that an agent wrote ({why}); remove the job by cf-node customize queue rm"))
        };
        match get_if_there(self.store.as_ref(), &self.system_bucket, &self.keys.claim(job), claim::BYTES_MAX).await {
            Ok(None) => Ok(None),
            Ok(Some((bytes, etag))) => serde_json::from_slice(&bytes).map(|claim| Some((claim, etag))).map_err(|error| spoilt(&error)),
            Err(error @ StoreError::TooLong(_)) => Err(spoilt(&error)),
            Err(error) => Err(Problem::OfAll(format!("its claim cannot be read: {error}"))),
        }
    }

    async fn pending(&self, job: &Job) -> Result<Option<(Upload, u64)>, String> {
        let key = self.keys.pending(job);
        let (objects, _) = self.store.list(&self.system_bucket, &key, 1).await.map_err(|error| error.to_string())?;
        let object = objects.into_iter().find(|object| object.key == key);
        Ok(object.map(|object| (Upload { etag: object.etag, modified: object.modified }, object.size)))
    }

    fn unbegun(&self) -> MutexGuard<'_, BTreeSet<Job>> {
        self.unbegun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a job, unless it has this process's claim, and runs it. `false` where it is not what was seen any more.
    async fn begin(
        &self,
        job: &Job,
        upload: &Upload,
        is_claimed: bool,
        folder: &Folder,
        share: &mut Option<Share>,
    ) -> Result<bool, Problem> {
        let content = match self.store.get(&self.system_bucket, &self.keys.pending(job), JOB_BYTES_MAX).await {
            Ok((content, etag)) if etag == upload.etag => content,
            Ok(_) | Err(StoreError::Missing(_) | StoreError::TooLong(_)) => return Ok(false),
            Err(error) => return Err(format!("it cannot be fetched: {error}").into()),
        };
        let share = if let Some(share) = share {
            share
        } else {
            let folder = self.folder.join("share").join(job.queue.as_str());
            let fetched = share::fetch(self.store.as_ref(), &self.customizer_bucket, &job.queue, &folder).await;
            share.insert(fetched.map_err(|error| error.to_string())?)
        };
        // Before it is claimed: a full disk is no reason to give a job up.
        state_file::private_folder(&self.folder).map_err(|error| error.to_string())?;
        folder.make(&content).map_err(|error| format!("it cannot be stored here: {error}"))?;
        drop(content);
        if !is_claimed {
            self.unbegun().insert(job.clone());
            let claim = Claim { upload: upload.clone(), owner: self.me.clone(), started: Timestamp::now(), verdict: None };
            match self.put(&self.keys.claim(job), json(&claim), Expect::Absent).await {
                Ok(()) => {}
                // Another was faster, or it was this process: a write whose answer was lost is sent again, and is refused then.
                Err(StoreError::Changed(_)) => return Ok(true),
                // It may have arrived all the same, so what is there is looked at by the next pass.
                Err(error) => return Err(format!("it cannot be claimed: {error}").into()),
            }
        }
        self.unbegun().remove(job);
        self.run_claimed(job, upload, folder, share).await?;
        Ok(true)
    }

    /// Runs a job that is claimed, and writes down what came of it.
    async fn run_claimed(&self, job: &Job, upload: &Upload, folder: &Folder, share: &Share) -> Result<(), Problem> {
        tracing::info!(%job, "a job begins");
        let verdict = work::work(job, folder, share, &self.setting).await;
        let journal = Journal { upload: upload.clone(), run: self.me.run.clone(), verdict: bounded(verdict) };
        let (path, kept) = (folder.journal(), journal.clone());
        if let Err(error) = blocking(move || state_file::save(&path, &kept).map_err(|error| error.to_string())).await {
            // A full disk. What is delivered now need not be written down.
            tracing::warn!(%job, %error, "what came of a job is not on this disk");
            self.deliver(job, folder, &journal.verdict).await?;
            let (claim, etag) = self.claim(job).await?.map_or((None, None), |(claim, etag)| (Some(claim), Some(etag)));
            self.settle(job, claim.filter(|claim| claim.owner == self.me), etag, journal.verdict).await?;
        }
        Ok(())
    }
}
