//! Queues with real scripts, on a store in a folder: acceptance checks B20 and B21, and a node that ends between any two writes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::desk::{Desk, DeskError, State};
use super::poller::{Passed, Poller};
use super::{JOB_BYTES_MAX, Job, Keys};
use crate::customize::testing::settings;
use crate::node::{Layout, NodeName, Role};
use crate::run::Bounds;
use crate::store::folder::FolderStore;
use crate::store::{Expect, Object, Store, StoreError};

const PATIENCE: Duration = Duration::from_mins(1);

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
        let settings = settings(node.role());
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

#[tokio::test]
async fn b20_a_pending_job_runs_once_on_login_and_compute_nodes_with_its_status_logs_and_output() {
    let compute = NodeName::compute(3).unwrap();
    for (node, role) in [(NodeName::LOGIN, "master"), (compute, "slave")] {
        let world = World::new();
        let job = job(node, "builds", "job-1");
        world.put(&job, &world.script("echo out; echo err >&2; mkdir a; echo kept > a/file; exit 3")).await;
        let poller = world.poller_on(world.store.clone(), node, "i-1");
        assert_eq!(pass(&poller).await, Passed { concluded: 1, problems: vec![] });
        assert_eq!(world.ran(), [format!("job-1 {role} demo")]);
        assert_eq!(world.status(&job).unwrap(), "3\nthe job ended with exit code 3\n", "a job that failed is completed");
        let desk = world.desk();
        assert_eq!(desk.results(&job).await.unwrap(), ["logs", "output/a/file", "status"]);
        let logs = String::from_utf8(desk.result(&job, "logs").await.unwrap()).unwrap();
        assert!(logs.contains("out\n") && logs.contains("err\n"), "{logs}");
        assert_eq!(desk.result(&job, "output/a/file").await.unwrap(), b"kept\n");
        assert!(!world.is_pending(&job) && world.no_work_is_left("i-1"));
        assert_eq!(pass(&poller).await, Passed::default());
        assert_eq!(world.ran().len(), 1);
    }
}

#[tokio::test]
async fn b20_a_queues_own_script_gets_the_job_an_output_folder_the_role_and_the_cluster() {
    let world = World::new();
    world.share("builds", "process-job", &world.script("cat \"$1\" > \"$2/copy\"; cat \"${0%/*}/lib/data\""));
    world.share("builds", "lib/data", "shared\n");
    world.put(&login("job-1"), "not a script at all").await;
    assert_eq!(pass(&world.poller()).await.problems, [""; 0]);
    let ran = world.ran();
    assert!(ran[0].ends_with(" master demo") && ran[0].starts_with("job-1 /") && ran[0].split(' ').count() == 5, "{ran:?}");
    assert_eq!(world.desk().result(&login("job-1"), "output/copy").await.unwrap(), b"not a script at all");
    assert_eq!(world.desk().result(&login("job-1"), "logs").await.unwrap(), b"shared\n");
}

#[tokio::test]
async fn b20_jobs_run_the_oldest_first_and_each_node_has_its_own() {
    let world = World::new();
    let other = job(NodeName::compute(1).unwrap(), "builds", "theirs");
    for (age, id) in [(1, "a"), (3, "b"), (2, "c")] {
        world.put(&login(id), &world.script("")).await;
        let file =
            fs::File::options().append(true).open(world.root.path().join("s3/system").join(world.desk().keys.pending(&login(id)))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000 * age)).unwrap();
    }
    world.put(&other, &world.script("")).await;
    assert_eq!(pass(&world.poller()).await.concluded, 3);
    assert_eq!(world.ran(), ["b master demo", "c master demo", "a master demo"]);
    assert!(world.is_pending(&other));
}

#[tokio::test]
async fn b20_looks_that_overlap_and_machines_of_one_name_run_a_job_once() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("sleep 0.3")).await;
    let (one, two) = (world.poller(), world.poller_on(world.store.clone(), NodeName::LOGIN, "i-2"));
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
async fn b21_a_job_that_its_check_refuses_is_rejected_with_the_checks_words_and_not_run() {
    let world = World::new();
    world.share(
        "builds",
        "validate-job",
        "#!/bin/sh\ngrep -q good \"$1\" && exit 0\necho 'no \u{1b}[31mgood\nword in it'\necho hidden >&2\nexit 1\n",
    );
    world.share("builds", "process-job", &world.script(""));
    world.put(&login("bad"), "x").await;
    world.put(&login("fine"), "good").await;
    assert_eq!(pass(&world.poller()).await, Passed { concluded: 2, problems: vec![] });
    let reason = world.reason(&login("bad")).unwrap();
    assert!(
        reason.starts_with("no ") && reason.ends_with("word in it\n") && !reason.contains(['\u{1b}']) && !reason.contains("hidden"),
        "{reason:?}"
    );
    assert_eq!((world.status(&login("bad")), world.is_pending(&login("bad"))), (None, false));
    assert_eq!(world.ran().len(), 1);
    assert_eq!(world.desk().state(&login("bad")).await.unwrap(), Some(State::Rejected));
    assert_eq!(world.desk().state(&login("fine")).await.unwrap(), Some(State::Completed));
}

#[tokio::test]
async fn b21_a_used_id_is_rejected_and_one_that_only_begins_alike_is_not() {
    let world = World::new();
    world.put(&login("job-1"), &world.script("")).await;
    pass(&world.poller()).await;
    assert!(matches!(world.desk().put(&login("job-1"), b"x".to_vec()).await, Err(DeskError::Used(_))));
    // By another tool than ours.
    let key = world.desk().keys.pending(&login("job-1"));
    world.store.put("system", &key, b"echo other".to_vec(), "", Expect::Anything).await.unwrap();
    world.put(&login("job-10"), &world.script("")).await;
    world.put(&login("job"), &world.script("")).await;
    assert_eq!(pass(&world.poller()).await, Passed { concluded: 3, problems: vec![] });
    assert!(world.reason(&login("job-1")).unwrap().starts_with("its id was used before, for a job that ended with exit code 0"));
    assert!(world.status(&login("job-1")).unwrap().starts_with("0\n"), "the first one's result stays");
    assert!(!world.is_pending(&login("job-1")));
    let mut ran = world.ran();
    ran.sort();
    assert_eq!(ran, ["job master demo", "job-1 master demo", "job-10 master demo"]);
}

#[tokio::test]
async fn a_job_that_does_not_end_is_killed_with_what_it_started_and_holds_up_no_other_queue() {
    let world = World::new();
    let marker = world.root.path().join("survived");
    world.put(&login("endless"), &world.script(&format!("(trap '' TERM; sleep 5; touch {}) & sleep 600", marker.display()))).await;
    world.put(&job(NodeName::LOGIN, "other", "quick"), &world.script("")).await;
    let second = Duration::from_millis(900);
    let poller =
        world.poller().with(second, Bounds { grace: Duration::from_millis(100), drain: Duration::from_millis(100), ..Bounds::default() });
    pass(&poller).await;
    assert!(world.status(&login("endless")).unwrap().starts_with("124\nthe job had not ended"));
    assert!(world.status(&job(NodeName::LOGIN, "other", "quick")).unwrap().starts_with("0\n"));
    assert!(!marker.exists());
}

#[tokio::test]
async fn what_is_too_long_is_rejected_unread_and_what_just_fits_is_run() {
    let world = World::new();
    let most = usize::try_from(JOB_BYTES_MAX).unwrap();
    world.share("builds", "process-job", &world.script("[ $(wc -c < \"$1\") = 8388608 ]"));
    assert!(matches!(world.desk().put(&login("long"), vec![b'x'; most + 1]).await, Err(DeskError::Size(_))));
    assert!(matches!(world.desk().put(&login("none"), vec![]).await, Err(DeskError::Size(0))));
    world.store.put("system", &world.desk().keys.pending(&login("long")), vec![b'x'; most + 1], "", Expect::Anything).await.unwrap();
    world.desk().put(&login("fits"), vec![b'x'; most]).await.unwrap();
    pass(&world.poller()).await;
    assert!(world.reason(&login("long")).unwrap().contains("it has 8388609 bytes"));
    assert!(world.status(&login("fits")).unwrap().starts_with("0\n"));
    assert_eq!(world.ran().len(), 1);
}

#[tokio::test]
async fn output_that_floods_or_is_no_plain_file_is_left_out_and_said_so() {
    let world = World::new();
    let floods =
        "ln -s /etc/passwd link; mkfifo pipe; truncate -s 9M large; for i in $(seq 1 120); do echo x > f$i; done; yes | head -c 5000000";
    world.put(&login("job-1"), &world.script(floods)).await;
    assert_eq!(pass(&world.poller()).await.problems, [""; 0]);
    let status = world.status(&login("job-1")).unwrap();
    assert!(status.starts_with("0\n") && status.contains("link is left out") && status.contains("large is left out"), "{status}");
    assert!(status.contains("files of the output are left out in all"), "{status}");
    let results = world.desk().results(&login("job-1")).await.unwrap();
    assert_eq!(results.len(), 100 + 2);
    assert!(world.desk().result(&login("job-1"), "logs").await.unwrap().len() < 2 * 1024 * 1024);
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

#[tokio::test]
async fn a_queue_whose_check_cannot_be_read_waits_and_no_job_passes_by_it() {
    let world = World::new();
    world.share("builds", "validate-job", "#!/bin/sh\nexit 1\n");
    world.put(&login("job-1"), &world.script("")).await;
    world.store.refuse("list profiles");
    let passed = pass(&world.poller()).await;
    assert!(passed.problems[0].contains("its jobs wait"), "{:?}", passed.problems);
    assert!(world.is_pending(&login("job-1")) && world.ran().is_empty());
    let manifest = world.root.path().join("s3/profiles/customizer/builds/manifest.txt");
    fs::write(&manifest, "share/../../x\n").unwrap();
    assert!(pass(&world.poller()).await.problems[0].contains("is no path here"));
    fs::write(&manifest, "configure.d/a.sh\nshare/validate-job\n").unwrap();
    pass(&world.poller()).await;
    assert!(world.reason(&login("job-1")).unwrap().contains("validate-job ended with exit code 1"));
    assert!(world.ran().is_empty());
}

#[tokio::test]
async fn keys_that_are_no_jobs_are_left_alone_and_reported() {
    let world = World::new();
    let prefix = world.desk().keys.of_node("pending", NodeName::LOGIN);
    for odd in ["builds/a b", "builds/x\ny", "builds/deep/er", "-q/x", "builds/x.json"] {
        world.store.put("system", &format!("{prefix}{odd}"), b"x".to_vec(), "", Expect::Anything).await.unwrap();
    }
    let passed = pass(&world.poller()).await;
    assert_eq!((passed.concluded, passed.problems.len()), (0, 5), "{:?}", passed.problems);
    assert!(passed.problems.iter().all(|problem| !problem.contains('\n')));
    world.store.put("system", &world.desk().keys.claim(&login("x")), b"{}".to_vec(), "", Expect::Anything).await.unwrap();
    world.store.put("system", &world.desk().keys.pending(&login("x")), b"x".to_vec(), "", Expect::Anything).await.unwrap();
    assert!(pass(&world.poller()).await.problems.iter().any(|problem| problem.contains("queue rm")));
}

#[tokio::test]
async fn the_commands_show_where_a_job_is_and_remove_what_does_not_run() {
    let world = World::new();
    let desk = world.desk();
    let (first, second) = (login("job-1"), login("job-2"));
    assert_eq!(desk.state(&first).await.unwrap(), None);
    assert!(matches!(desk.remove(&first).await, Err(DeskError::Missing(_))));
    world.put(&first, &world.script("")).await;
    assert!(matches!(desk.put(&first, b"x".to_vec()).await, Err(DeskError::Pending(_))));
    pass(&world.poller()).await;
    world.put(&second, &world.script("")).await;
    let jobs = desk.jobs(&first.queue, NodeName::LOGIN).await.unwrap();
    assert_eq!(jobs, [(first.id.clone(), State::Completed), (second.id.clone(), State::Pending)]);
    assert_eq!(desk.queues().await.unwrap(), [first.queue.clone()]);
    assert!(desk.report(&first).await.unwrap().unwrap().starts_with("0\n"));
    assert!(matches!(desk.result(&first, "output/none").await, Err(DeskError::NoResult(..))));
    for job in [&first, &second] {
        desk.remove(job).await.unwrap();
        assert_eq!(desk.state(job).await.unwrap(), None);
    }
    assert!(matches!(desk.results(&first).await, Err(DeskError::Missing(_))));
    pass(&world.poller()).await;
    assert_eq!(world.ran().len(), 1, "what was removed before it began does not run");
    world.put(&first, &world.script("")).await;
    pass(&world.poller()).await;
    assert_eq!(world.ran().len(), 2, "its id is free again");
}

#[test]
fn an_id_is_a_part_of_a_key_and_never_one_of_a_report() {
    use super::{JobId, QueueName};
    for good in ["a", "job-1.sh", "0123456789abcdef0123456789abcdef"] {
        assert!(good.parse::<JobId>().is_ok(), "{good}");
    }
    for bad in ["", "a/b", "..", ".a", "-a", "a b", "a\nb", "x.json", "x.JSON", &"a".repeat(65), "é"] {
        assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
    }
    for bad in ["", "a/b", "..", "-q", "a b", "é"] {
        assert!(bad.parse::<QueueName>().is_err(), "{bad:?}");
    }
    let keys = Keys::of(&settings(Role::Master)).unwrap();
    let job = login("job-1");
    assert_eq!(keys.pending(&job), "nodes/alice/demo/00000000000000aa/jobs/pending/login1/builds/job-1");
    assert_eq!(keys.read(&keys.pending(&job)), Some(("pending", job.clone(), "")));
    assert_eq!(keys.read(&format!("{}output/a/b", keys.completed(&job))), Some(("completed", job, "output/a/b")));
}
