//! Writes the node's report to S3 when it changes.
//!
//! An ordinary change waits until [`Pace::every`] is over since the last write, and what Slurm shows, which changes with every job,
//! until [`Pace::slurm`] is; one that others wait for (the node is ready, has failed, leaves: a handful in the life of an agent) goes at
//! once. A machine that fails without a name reports under its EC2 id; when it gets
//! its name, the report there becomes that of a node which left. A write that fails is tried again for ever, with a growing pause. The same
//! report is written again each day, because the bucket forgets reports after seven.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cf_core::names::{Cluster, ClusterName, User};
use cf_core::node_report::{InstanceId, NodeReport, NodeState, ReportKey};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::node::NodeName;
use crate::report::{Contents, encode};
use crate::settings::NodeSettings;
use crate::store::{Expect, Store};

/// How often reports are written.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The least time between two ordinary writes.
    pub every: Duration,
    /// The same where nothing has changed but what Slurm shows. Little more than a minute: a status file is written once in that time,
    /// and a report waits up to ten seconds in its queue, so that two written so far apart never meet the same minute.
    pub slurm: Duration,
    /// The same report is written again after this.
    pub again: Duration,
    /// The pause after a failed write, at first and at most.
    pub retry: (Duration, Duration),
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            slurm: Duration::from_secs(70),
            again: Duration::from_hours(24),
            retry: (Duration::from_secs(1), Duration::from_mins(1)),
        }
    }
}

/// The node's report, for all who change it. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Reporter {
    contents: Arc<Mutex<Contents>>,
    wanted: watch::Sender<Wanted>,
    /// The number of the last change that is in S3.
    written: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    /// Counts changes.
    number: u64,
    /// The last change that goes at once.
    urgent: u64,
    /// The last change of more than what Slurm shows.
    ordinary: u64,
    /// Under which name.
    under: Under,
}

/// The name of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Under {
    /// There is none yet, and nothing is reported.
    #[default]
    Nothing,
    /// The machine's EC2 id.
    Instance,
    /// The node's.
    Name(NodeName),
}

impl Reporter {
    /// A reporter whose [`Self::follow`] is yet to run.
    pub fn new(contents: Contents) -> Self {
        let first = Wanted { number: 1, urgent: 1, ordinary: 1, under: Under::Nothing };
        Self { contents: Arc::new(Mutex::new(contents)), wanted: watch::Sender::new(first), written: watch::Sender::new(0) }
    }

    /// Changes the report.
    pub fn change(&self, change: impl FnOnce(&mut Contents)) {
        self.change_with(false, change);
    }

    /// Changes the report, and writes it at once.
    pub fn change_now(&self, change: impl FnOnce(&mut Contents)) {
        self.change_with(true, change);
    }

    fn change_with(&self, urgent: bool, change: impl FnOnce(&mut Contents)) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let before = contents.clone();
        change(&mut contents);
        if *contents == before {
            return;
        }
        let is_slurms = Contents { scheduler: contents.scheduler.clone(), ..before } == *contents;
        drop(contents);
        self.wanted.send_modify(|wanted| {
            wanted.number += 1;
            if urgent {
                wanted.urgent = wanted.number;
            }
            if !is_slurms {
                wanted.ordinary = wanted.number;
            }
        });
    }

    /// Adds what the user ought to know.
    pub fn problem(&self, text: &str) {
        self.change(|contents| contents.problem(text));
    }

    /// From now on the node reports under this name.
    pub fn name(&self, name: NodeName) {
        let under = Under::Name(name);
        self.wanted.send_if_modified(|wanted| std::mem::replace(&mut wanted.under, under) != under);
    }

    /// From now on the machine reports under its EC2 id, if it has no name yet.
    pub fn name_by_instance(&self) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.under == Under::Nothing;
            if is_new {
                wanted.under = Under::Instance;
            }
            is_new
        });
    }

    /// The name may be another node's: nothing is reported until the next.
    pub fn forget_name(&self) {
        self.wanted.send_if_modified(|wanted| std::mem::take(&mut wanted.under) != Under::Nothing);
    }

    /// Waits until all changes until now are in S3, or the time is over, which it returns.
    pub async fn flush(&self, bound: Duration) -> bool {
        let number = self.wanted.borrow().number;
        let mut written = self.written.subscribe();
        timeout(bound, written.wait_for(|written| *written >= number)).await.is_ok_and(|waited| waited.is_ok())
    }

    /// Writes reports until its future is dropped.
    pub async fn follow<S: Store>(&self, store: &S, settings: &NodeSettings, pace: Pace) {
        let mut wanted = self.wanted.subscribe();
        let mut last: Option<(Wanted, Instant)> = None;
        let mut failures = 0_u32;
        loop {
            let due = next_write(*wanted.borrow_and_update(), last, &pace);
            let Some((target, at)) = due else {
                // No name yet.
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if at > Instant::now() {
                tokio::select! {
                    _ = wanted.changed() => {}
                    () = sleep_until(at) => {}
                }
                if at > Instant::now() {
                    continue;
                }
            }
            let renamed = last.is_some_and(|(last, _)| last.under == Under::Instance && target.under != Under::Instance);
            if self.write(store, settings, target).await && (!renamed || self.write_left(store, settings).await) {
                failures = 0;
                last = Some((target, Instant::now()));
            } else {
                let pause = pace.retry.1.min(pace.retry.0.saturating_mul(1 << failures.min(10)));
                failures += 1;
                sleep(pause).await;
            }
        }
    }

    /// Writes the report as it is now; whether that went well.
    async fn write<S: Store>(&self, store: &S, settings: &NodeSettings, target: Wanted) -> bool {
        let report = self.contents.lock().unwrap_or_else(PoisonError::into_inner).report(Timestamp::now());
        let node = match target.under {
            Under::Nothing => None,
            Under::Instance => InstanceId::read(&report.instance).map(InstanceId::node),
            Under::Name(name) => Some(name.to_string()),
        };
        let Some(node) = node else { return true };
        let is_written = Self::put(store, settings, node, report).await;
        if is_written {
            self.written.send_replace(target.number);
        }
        is_written
    }

    /// Under the machine's EC2 id, from when it had no name, now lies that it left: a node may not remove its reports.
    async fn write_left<S: Store>(&self, store: &S, settings: &NodeSettings) -> bool {
        let report = self.contents.lock().unwrap_or_else(PoisonError::into_inner).report(Timestamp::now());
        let Some(instance) = InstanceId::read(&report.instance) else { return true };
        let left = Contents { state: NodeState::Leaving, instance: report.instance, ..Contents::default() };
        Self::put(store, settings, instance.node(), left.report(Timestamp::now())).await
    }

    async fn put<S: Store>(store: &S, settings: &NodeSettings, node: String, report: NodeReport) -> bool {
        let Some(cluster) = cluster(settings) else { return true };
        let key = ReportKey { cluster, request: settings.request(), node }.key();
        let state = report.state;
        match store.put(&settings.system_bucket, &key, encode(report), "application/json", Expect::Anything).await {
            Ok(_) => {
                tracing::info!(%state, "the node's report is written");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the node's report cannot be written to s3://{}/{key}; it is tried again", settings.system_bucket);
                false
            }
        }
    }
}

/// The next write, and when. `last`: what was written last, and when.
fn next_write(wanted: Wanted, last: Option<(Wanted, Instant)>, pace: &Pace) -> Option<(Wanted, Instant)> {
    if wanted.under == Under::Nothing {
        return None;
    }
    let now = Instant::now();
    let at = match last {
        None => now,
        Some((written, at)) if written == wanted => at + pace.again,
        Some((written, _)) if written.urgent != wanted.urgent || written.under != wanted.under => now,
        Some((written, at)) if written.ordinary != wanted.ordinary => at + pace.every,
        Some((_, at)) => at + pace.slurm,
    };
    Some((wanted, at))
}

/// Whose cluster a node is of. [`NodeSettings::read`] has checked both names.
pub fn cluster(settings: &NodeSettings) -> Option<Cluster> {
    Some(Cluster { user: User::parse(&settings.user).ok()?, name: ClusterName::parse(&settings.cluster).ok()? })
}

/// The last report of a node, read from S3; `None` where there is none or it is of no use.
pub async fn read<S: Store>(store: &S, settings: &NodeSettings, name: NodeName) -> Result<Option<NodeReport>, crate::store::StoreError> {
    use crate::store::StoreError;
    let Some(cluster) = cluster(settings) else { return Ok(None) };
    let key = ReportKey { cluster, request: settings.request(), node: name.to_string() }.key();
    match store.get(&settings.system_bucket, &key, cf_core::node_report::BYTES_MAX as u64).await {
        Ok((bytes, _)) => Ok(NodeReport::parse(&bytes).ok()),
        Err(StoreError::Missing(_) | StoreError::TooLong(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
