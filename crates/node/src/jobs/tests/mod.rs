//! Queues with real scripts, on a store in a folder.

mod bad;
mod crashes;
mod running;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::desk::Desk;
use super::poller::{Passed, Poller};
use super::{Job, Keys};
use crate::customize::testing::settings;
use crate::node::{Layout, NodeName, Role};
use crate::run::Bounds;
use crate::store::Store;
use crate::store::folder::FolderStore;

const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster's queue, and machines that look at it.
struct World {
    root: tempfile::TempDir,
    store: FolderStore,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { store: FolderStore::new(root.path().join("s3")), root }
    }

    fn desk(&self) -> Desk<'_, FolderStore> {
        Desk { store: &self.store, bucket: "system", keys: Keys::of(&settings(Role::Master)).unwrap() }
    }

    fn layout(&self, machine: &str) -> Layout {
        Layout::below(self.root.path().join(machine))
    }

    fn poller_on<S: Store>(&self, store: S, node: NodeName, machine: &str) -> Poller<S> {
        let settings = settings(Role::of(node));
        let poller = Poller::new(Arc::new(store), &settings, &self.layout(machine), node, machine).unwrap();
        let short = Duration::from_millis(300);
        poller.with(PATIENCE, Bounds { grace: short, drain: short, ..Bounds::default() })
    }

    fn poller(&self) -> Poller<FolderStore> {
        self.poller_on(self.store.clone(), NodeName::LOGIN, "i-1")
    }

    /// A script of the queue's profile.
    fn share(&self, queue: &str, name: &str, script: &str) {
        let path = self.root.path().join(format!("s3/profiles/customizer/{queue}/share/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, script).unwrap();
    }

    /// A script of its own that writes down that it ran.
    fn script(&self, then: &str) -> String {
        format!("#!/bin/sh\necho \"$CUSTOMIZER_JOB $*\" >> {}\n{then}\n", self.root.path().join("ran").display())
    }

    fn ran(&self) -> Vec<String> {
        fs::read_to_string(self.root.path().join("ran")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    async fn put(&self, job: &Job, content: &str) {
        self.desk().put(job, content.as_bytes().to_vec()).await.unwrap();
    }

    fn object(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join("s3/system").join(key)).ok()
    }

    fn status(&self, job: &Job) -> Option<String> {
        self.object(&format!("{}status", self.desk().keys.completed(job)))
    }

    fn reason(&self, job: &Job) -> Option<String> {
        self.object(&self.desk().keys.reason(job))
    }

    fn is_pending(&self, job: &Job) -> bool {
        self.object(&self.desk().keys.pending(job)).is_some()
    }

    fn no_work_is_left(&self, machine: &str) -> bool {
        let queues = fs::read_dir(self.layout(machine).state().join("jobs/work")).into_iter().flatten().flatten();
        queues.map(|queue| fs::read_dir(queue.path()).unwrap().count()).sum::<usize>() == 0
    }
}

fn job(node: NodeName, queue: &str, id: &str) -> Job {
    Job { node, queue: queue.parse().unwrap(), id: id.parse().unwrap() }
}

fn login(id: &str) -> Job {
    job(NodeName::LOGIN, "builds", id)
}

async fn pass<S: Store>(poller: &Poller<S>) -> Passed {
    timeout(PATIENCE, poller.pass()).await.unwrap()
}
