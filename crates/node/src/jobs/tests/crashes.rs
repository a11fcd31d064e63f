//! A node that ends between any two writes, machines of one name, results that cannot be stored: no job runs twice (B20).

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::jobs::desk::State;
use crate::store::{Expect, Object, StoreError};

/// A store whose process ends at its n-th call, before the call or after it has taken effect.
struct Crashing {
    inner: FolderStore,
    left: AtomicI64,
    takes_effect: bool,
    crashed: Notify,
}

impl Crashing {
    fn new(inner: &FolderStore, at: i64, takes_effect: bool) -> Self {
        Self { inner: inner.clone(), left: AtomicI64::new(at), takes_effect, crashed: Notify::new() }
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        // Others may come between any two calls.
        tokio::task::yield_now().await;
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 1 {
            return call.await;
        }
        if left == 1 {
            if self.takes_effect {
                call.await;
            }
            self.crashed.notify_one();
        }
        std::future::pending().await
    }
}

impl Store for Crashing {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        self.call(self.inner.list(bucket, prefix, most)).await
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        self.call(self.inner.get(bucket, key, most)).await
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        self.call(self.inner.fetch(bucket, key, most, to)).await
    }

    async fn put(&self, bucket: &str, key: &str, content: Vec<u8>, kind: &str, expect: Expect) -> Result<String, StoreError> {
        self.call(self.inner.put(bucket, key, content, kind, expect)).await
    }

    async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.call(self.inner.remove(bucket, key)).await
    }
}

#[tokio::test]
async fn b20_looks_that_overlap_and_machines_of_one_name_run_a_job_once() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("sleep 0.3")).await;
    let slow = || Crashing::new(&world.store, i64::MAX, false);
    let (one, two) = (world.poller_on(slow(), NodeName::LOGIN, "i-1"), world.poller_on(slow(), NodeName::LOGIN, "i-2"));
    let passes = tokio::join!(pass(&one), pass(&one), pass(&two), pass(&two));
    assert_eq!(world.ran().len(), 1, "{passes:?}");
    for poller in [&two, &one, &two] {
        pass(poller).await;
    }
    assert_eq!(world.ran().len(), 1);
    assert!(world.status(&login("job-1")).unwrap().starts_with("0\n"));
    assert!(!world.is_pending(&login("job-1")) && world.no_work_is_left("i-1") && world.no_work_is_left("i-2"));
}

#[tokio::test]
async fn b20_a_node_that_ends_between_any_two_writes_runs_no_job_twice_and_leaves_none_behind() {
    let script = |world: &World| world.script("echo done > result");
    let world = World::new();
    let counting = Crashing::new(&world.store, i64::MAX, false);
    world.put(&login("job-1"), &script(&world)).await;
    let poller = world.poller_on(counting, NodeName::LOGIN, "i-1");
    pass(&poller).await;
    let calls = i64::MAX - poller.store().left.load(Ordering::SeqCst);
    assert!(calls > 8, "{calls}");
    for (at, takes_effect) in (1..=calls).flat_map(|at| [(at, false), (at, true)]) {
        let world = World::new();
        world.put(&login("job-1"), &script(&world)).await;
        let poller = world.poller_on(Crashing::new(&world.store, at, takes_effect), NodeName::LOGIN, "i-1");
        let crashed = timeout(PATIENCE, async {
            tokio::select! {
                _ = poller.pass() => false,
                () = poller.store().crashed.notified() => true,
            }
        });
        assert!(crashed.await.unwrap(), "{at}");
        drop(poller);
        let again = world.poller();
        for _ in 0..2 {
            let passed = pass(&again).await;
            assert_eq!(passed.problems, [""; 0], "{at} {takes_effect}");
        }
        let status = world.status(&login("job-1")).unwrap_or_else(|| panic!("no status: {at} {takes_effect}"));
        let ran = world.ran().len();
        assert!(ran <= 1, "it ran {ran} times: {at} {takes_effect}");
        match status.lines().next() {
            Some("0") => {
                assert_eq!(ran, 1, "{at} {takes_effect}");
                assert_eq!(world.desk().result(&login("job-1"), "output/result").await.unwrap(), b"done\n", "{at} {takes_effect}");
            }
            // Claimed, and not begun.
            Some("125") => assert!(status.contains("it is not run again"), "{status}"),
            _ => panic!("{status}"),
        }
        assert!(!world.is_pending(&login("job-1")) && world.no_work_is_left("i-1"), "{at} {takes_effect}");
    }
}

/// A store whose first claim takes effect, and whose answer to it is another.
struct Unanswered {
    inner: FolderStore,
    answer: Mutex<Option<StoreError>>,
}

impl Store for Unanswered {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        self.inner.list(bucket, prefix, most).await
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        self.inner.get(bucket, key, most).await
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        self.inner.fetch(bucket, key, most, to).await
    }

    async fn put(&self, bucket: &str, key: &str, content: Vec<u8>, kind: &str, expect: Expect) -> Result<String, StoreError> {
        let written = self.inner.put(bucket, key, content, kind, expect).await;
        let answer = if key.contains("/jobs/claims/") { self.answer.lock().unwrap().take() } else { None };
        answer.map_or(written, Err)
    }

    async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.inner.remove(bucket, key).await
    }
}

#[tokio::test]
async fn b20_a_job_whose_claim_arrives_without_an_answer_runs_once() {
    // The SDK sends a write again whose answer was lost, and is refused by its own first one; or all its attempts are in vain.
    for answer in [StoreError::Changed("412".into()), StoreError::Unreachable("no answer".into())] {
        let world = World::new();
        world.put(&login("job-1"), &world.script("")).await;
        let store = Unanswered { inner: world.store.clone(), answer: Mutex::new(Some(answer.clone())) };
        let poller = world.poller_on(store, NodeName::LOGIN, "i-1");
        for _ in 0..2 {
            pass(&poller).await;
        }
        assert_eq!(
            (world.ran().len(), world.status(&login("job-1")).as_deref()),
            (1, Some("0\nthe job ended with exit code 0\n")),
            "{answer}"
        );
        assert!(!world.is_pending(&login("job-1")) && world.no_work_is_left("i-1"), "{answer}");
    }
}

#[tokio::test]
async fn a_job_whose_agent_ends_while_it_runs_ends_with_it_and_is_reported_as_failed() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("sleep 600; echo survived >> \"$0.out\"")).await;
    let poller = world.poller();
    let begun = async {
        while world.ran().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = poller.pass() => panic!("the job did not wait"),
        () = async { timeout(PATIENCE, begun).await.unwrap() } => {}
    }
    pass(&world.poller()).await;
    let status = world.status(&login("job-1")).unwrap();
    assert!(status.starts_with("125\n") && status.contains("the agent or the node i-1 ended meanwhile"), "{status}");
    assert_eq!(world.ran().len(), 1);
}

#[tokio::test]
async fn a_machine_that_takes_a_lost_ones_name_does_not_run_its_job_again() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("")).await;
    // The claim is written, and then the machine is lost with its disk.
    let mut at = 1;
    while world.desk().state(&login("job-1")).await.unwrap() != Some(State::Running) {
        let poller = world.poller_on(Crashing::new(&world.store, at, true), NodeName::LOGIN, "i-1");
        tokio::select! { _ = poller.pass() => {}, () = poller.store().crashed.notified() => {} }
        at += 1;
    }
    let ran = world.ran().len();
    let next = world.poller_on(world.store.clone(), NodeName::LOGIN, "i-2");
    pass(&next).await;
    assert_eq!((world.ran().len(), world.status(&login("job-1"))), (ran, None), "the other may live");
    let over = world.poller_on(world.store.clone(), NodeName::LOGIN, "i-2").with(Duration::ZERO, Bounds::default());
    let key = world.root.path().join("s3/system").join(world.desk().keys.claim(&login("job-1")));
    let mut claim: serde_json::Value = serde_json::from_slice(&fs::read(&key).unwrap()).unwrap();
    claim["started"] = "2026-01-01T00:00:00Z".into();
    fs::write(&key, claim.to_string()).unwrap();
    pass(&over).await;
    assert!(world.status(&login("job-1")).unwrap().starts_with("125\n"));
    assert_eq!(world.ran().len(), ran);
}

#[tokio::test]
async fn results_that_cannot_be_stored_are_stored_later_and_the_job_is_not_run_again() {
    for refused in ["put system/nodes/alice/demo/00000000000000aa/jobs/completed", "remove system"] {
        let world = World::new();
        world.put(&login("job-1"), &world.script("echo done")).await;
        world.store.refuse(refused);
        let passed = pass(&world.poller()).await;
        assert!(passed.problems[0].starts_with("the job job-1 of the queue builds on login1: "), "{:?}", passed.problems);
        world.store.allow_all();
        pass(&world.poller()).await;
        assert_eq!((world.ran().len(), world.status(&login("job-1")).unwrap().as_str()), (1, "0\nthe job ended with exit code 0\n"));
        assert_eq!(world.desk().result(&login("job-1"), "logs").await.unwrap(), b"done\n");
        assert!(!world.is_pending(&login("job-1")));
    }
}
