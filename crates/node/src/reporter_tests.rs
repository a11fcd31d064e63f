//! Tests of when reports are written, on a store in a folder. The times are a hundredth of the real ones.

use super::*;
use crate::store::folder::FolderStore;

fn settings() -> NodeSettings {
    serde_json::from_str(
        r#"{"role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice",
        "region": "eu-west-2", "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles",
        "profile": "alice", "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4}"#,
    )
    .unwrap()
}

const PACE: Pace = Pace {
    every: Duration::from_millis(400),
    slurm: Duration::from_millis(1200),
    again: Duration::from_secs(2),
    retry: (Duration::from_millis(10), Duration::from_millis(100)),
};

/// Far more than any write takes.
const LONG: Duration = Duration::from_secs(30);

struct Bed {
    _folder: tempfile::TempDir,
    store: FolderStore,
    reporter: Reporter,
    settings: Arc<NodeSettings>,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let bed = Self { _folder: folder, store, reporter: Reporter::new(Contents::default()), settings: Arc::new(settings()) };
        let (reporter, store, settings) = (bed.reporter.clone(), bed.store.clone(), Arc::clone(&bed.settings));
        tokio::spawn(async move { reporter.follow(&store, &settings, PACE).await });
        bed
    }

    async fn read(&self) -> Option<NodeReport> {
        read(&self.store, &self.settings, NodeName::LOGIN).await.unwrap()
    }
}

#[tokio::test]
async fn ordinary_changes_wait_for_each_other() {
    let bed = Bed::new();
    let reporter = &bed.reporter;
    reporter.name(NodeName::LOGIN);
    assert!(reporter.flush(LONG).await);
    let written = Instant::now();
    reporter.problem("one");
    reporter.problem("two");
    assert!(reporter.flush(LONG).await);
    assert!(written.elapsed() > PACE.every / 2, "{:?}", written.elapsed());
    assert_eq!(bed.read().await.unwrap().message, "one; two");
    reporter.change(|contents| contents.problem("two"));
    assert!(reporter.flush(Duration::ZERO).await, "nothing has changed, so nothing is owed");
}

/// So many jobs run.
fn busy(jobs: u32) -> impl FnOnce(&mut Contents) {
    let jobs = cf_core::node_report::JobsReport { running: jobs, ..Default::default() };
    move |contents| contents.scheduler = Some(cf_core::node_report::SchedulerReport { jobs, ..Default::default() })
}

#[tokio::test]
async fn jobs_that_come_and_go_are_written_seldom_a_problem_sooner_and_the_last_state_at_the_end() {
    let bed = Bed::new();
    let reporter = &bed.reporter;
    reporter.name(NodeName::LOGIN);
    assert!(reporter.flush(LONG).await);
    let jobs = async || bed.read().await.unwrap().scheduler.map(|shown| shown.jobs.running);
    let written = Instant::now();
    (1..=50).for_each(|count| reporter.change(busy(count)));
    assert!(reporter.flush(LONG).await);
    assert!(written.elapsed() > PACE.slurm * 3 / 4, "{:?}", written.elapsed());
    assert_eq!(jobs().await, Some(50));
    // A problem does not wait so long, and takes along what Slurm shows by then.
    let written = Instant::now();
    reporter.change(busy(51));
    reporter.problem("the disk is full");
    assert!(reporter.flush(LONG).await);
    assert!(written.elapsed() < PACE.slurm * 3 / 4, "{:?}", written.elapsed());
    assert_eq!(jobs().await, Some(51));
    // The node leaves: nothing of the end is lost.
    reporter.change(busy(0));
    reporter.change_now(|contents| contents.state = NodeState::Leaving);
    assert!(reporter.flush(LONG).await);
    assert_eq!(jobs().await, Some(0));
}

#[test]
fn what_others_wait_for_goes_at_once_and_the_rest_when_its_time_has_come() {
    let now = Instant::now();
    let wanted = |number, urgent, under| Wanted { number, urgent, ordinary: number, under };
    let login = Under::Name(NodeName::LOGIN);
    let before = wanted(3, 1, login);
    let wait = |next: Wanted| {
        let (_, at) = next_write(next, Some((before, now)), &Pace::default()).unwrap();
        at.saturating_duration_since(now).as_secs()
    };
    assert_eq!(wait(wanted(4, 1, login)), 10);
    assert_eq!(wait(Wanted { ordinary: 3, ..wanted(4, 1, login) }), 70, "what Slurm shows");
    assert!(wait(Wanted { ordinary: 3, ..wanted(4, 4, login) }) < 2, "what Slurm shows, at once");
    assert_eq!(wait(before), 24 * 60 * 60);
    assert!(wait(wanted(4, 4, login)) < 2, "at once");
    assert!(wait(wanted(3, 1, Under::Name(NodeName::compute(1).unwrap()))) < 2, "under another name");
    assert!(next_write(wanted(3, 1, Under::Nothing), None, &Pace::default()).is_none());
}

#[tokio::test]
async fn a_report_that_s3_refuses_is_written_when_it_is_taken_again_and_each_day_anew() {
    let bed = Bed::new();
    bed.store.refuse("put system/");
    bed.reporter.name(NodeName::LOGIN);
    assert!(!bed.reporter.flush(Duration::from_millis(300)).await);
    assert_eq!(bed.read().await, None);
    bed.store.allow_all();
    assert!(bed.reporter.flush(LONG).await);
    let cluster = cluster(&bed.settings).unwrap();
    let key = ReportKey { cluster, request: bed.settings.request(), node: "login1".to_owned() }.key();
    bed.store.remove("system", &key).await.unwrap();
    let is_back = async {
        while bed.read().await.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(LONG, is_back).await.is_ok(), "the same report is written again");
}

#[tokio::test]
async fn a_node_without_a_name_reports_nothing_and_what_happened_meanwhile_is_in_its_first_report() {
    let bed = Bed::new();
    bed.reporter.problem("no network");
    assert!(!bed.reporter.flush(Duration::from_millis(100)).await);
    bed.reporter.name(NodeName::LOGIN);
    assert!(bed.reporter.flush(LONG).await);
    assert_eq!(bed.read().await.unwrap().message, "no network");
}

#[tokio::test]
async fn a_machine_that_has_no_name_reports_under_its_id_and_leaves_that_when_it_gets_one() {
    let bed = Bed::new();
    let reporter = &bed.reporter;
    let under_id = async || {
        let key = "nodes/alice/demo/00000000000000aa/compute-i-0abc.json";
        let (bytes, _) = bed.store.get("system", key, 64 * 1024).await.ok()?;
        Some(NodeReport::parse(&bytes).unwrap())
    };
    reporter.change_now(|contents| contents.instance = "i-0abc".to_owned());
    assert!(!reporter.flush(Duration::from_millis(100)).await);
    assert_eq!(under_id().await, None, "it may get its name in the next moment");
    reporter.change_now(|contents| (contents.state, contents.failure) = (NodeState::Failed, None));
    reporter.name_by_instance();
    assert!(reporter.flush(LONG).await);
    assert_eq!(under_id().await.unwrap().state, NodeState::Failed);
    reporter.change_now(|contents| contents.state = NodeState::Configuring);
    bed.store.refuse("put system/nodes/alice/demo/00000000000000aa/compute-i");
    reporter.name(NodeName::LOGIN);
    assert!(reporter.flush(LONG).await);
    assert_eq!(bed.read().await.unwrap().state, NodeState::Configuring);
    bed.store.allow_all();
    let has_left = async {
        while under_id().await.unwrap().state != NodeState::Leaving {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LONG, has_left).await.is_ok(), "it is written as often as it takes");
    reporter.name_by_instance();
    assert!(reporter.flush(LONG).await);
    assert_eq!(under_id().await.unwrap().state, NodeState::Leaving, "a node that has its name keeps it");
}

#[tokio::test]
async fn a_machine_whose_id_is_none_reports_nowhere_else() {
    let bed = Bed::new();
    bed.reporter.change_now(|contents| contents.instance = "i-../login1".to_owned());
    bed.reporter.name_by_instance();
    assert!(!bed.reporter.flush(Duration::from_millis(100)).await);
    assert_eq!(bed.store.list("system", "", 10).await.unwrap().0.len(), 0);
}
