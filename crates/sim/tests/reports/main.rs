//! What nodes report, from the object that a node puts to the user's files: good reports and hostile ones.

mod lives;

use cf_core::decide::Action;
use cf_core::effect::Effect;
use cf_core::ledger;
use cf_core::message::Message;
use cf_core::node_report::{BYTES_MAX, FailedScript, FailureCode, JobsReport, NodeReport, NodeState, ReportKey, SchedulerReport};
use cf_core::node_reports::{LOGIN, ReportedNode};
use cf_core::observe::query::{ListReports, ReadReport};
use cf_core::reconcile::Outcome;
use cf_core::request::RequestId;
use cf_core::status::{State, Status};
use cf_core::testing::{self, node_report as report};
use cf_sim::{Bucket, Cloud, Event, StackBehaviour};

const CREATE: &str = "home/alice/demo.cf-create";
const STATUS: &str = "home/alice/demo.cf-status";
const FAILED: &str = "home/alice/demo.cf-failed";

fn failed_script() -> FailedScript {
    testing::failed_script("10-emacs.sh", &["E: no such package"])
}

/// Alice's cluster, on its way.
fn creating() -> Cloud {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice").with_profile("bob");
    cloud.drop_file(CREATE, b"{\"ComputeMaxNodes\": \"4\"}");
    cloud.drain();
    cloud
}

/// Alice's cluster, ready for longer than a minute.
fn ready() -> Cloud {
    let mut cloud = creating();
    cloud.settle();
    cloud
}

fn request(cloud: &Cloud) -> RequestId {
    cloud.world.state().stacks.all().last().and_then(|s| s.stack.request()).expect("a stack")
}

fn key(cloud: &Cloud, node: &str) -> String {
    ReportKey { cluster: testing::cluster("alice", "demo"), request: request(cloud), node: node.into() }.key()
}

fn put(cloud: &mut Cloud, node: &str, report: &NodeReport) {
    let key = key(cloud, node);
    cloud.put_report(&key, &serde_json::to_vec(report).unwrap());
    cloud.drain();
}

fn status(cloud: &Cloud) -> Status {
    serde_json::from_str(&cloud.text(STATUS).expect("a status file")).expect("a status")
}

fn nodes(cloud: &Cloud) -> Vec<(String, String)> {
    status(cloud).reported.nodes.into_iter().map(|(node, state)| (node.to_string(), state)).collect()
}

fn shows(node: &str, state: &str) -> (String, String) {
    (node.to_owned(), state.to_owned())
}

fn ledger_of(cloud: &Cloud, user: &str) -> Option<String> {
    cloud.world.state().store.text(Bucket::System, &ledger::key(&testing::cluster(user, "demo").user))
}

#[test]
fn a_ready_cluster_shows_its_nodes_its_failed_scripts_and_lines_for_known_hosts() {
    let mut cloud = ready();
    let key = format!("ssh-ed25519 {}", "A".repeat(68));
    put(&mut cloud, "login1", &NodeReport { host_keys: vec![key.clone()], ..report(NodeState::Ready) });
    cloud.world.wait(60);
    put(&mut cloud, "compute-2", &NodeReport { scripts: vec![failed_script()], ..report(NodeState::Ready) });
    let shown = status(&cloud);
    assert_eq!(shown.state, State::Ready);
    assert_eq!(nodes(&cloud), [shows("login1", "ready"), shows("compute-2", "ready")]);
    assert_eq!(shown.reported.known_hosts, [format!("198.51.100.7 {key}")]);
    let script = &shown.reported.failed_scripts[0];
    assert_eq!((script.node, &script.script), (ReportedNode::numbered(2), &failed_script()));
}

/// What a login node reports while so many jobs run.
fn busy(jobs: u32) -> NodeReport {
    let scheduler = testing::scheduler_report();
    let scheduler = SchedulerReport { jobs: JobsReport { running: jobs, ..scheduler.jobs }, ..scheduler };
    NodeReport { scheduler: Some(scheduler), ..report(NodeState::Ready) }
}

#[test]
fn a_ready_cluster_shows_how_to_log_in_and_what_slurm_shows_in_one_place_and_in_a_sentence() {
    let mut cloud = ready();
    put(&mut cloud, "login1", &busy(3));
    let shown = status(&cloud);
    assert_eq!(shown.login_command.as_deref(), Some("ssh alice@198.51.100.7"));
    assert_eq!(shown.reported.scheduler, Some(testing::scheduler_report()));
    let sentence = "The cluster is ready: log in at 198.51.100.7. Its login node reports: 2 nodes run, 1 starts, 1 is down; 3 jobs run, \
                    1 starts, 2 wait. 2 nodes on demand, because spot had no capacity.";
    assert_eq!(shown.message, sentence);
    // The address goes, and a delete ends it all: neither shows jobs that nobody can look after.
    cloud.drop_file("home/alice/demo.cf-delete", b"");
    cloud.settle();
    put(&mut cloud, "login1", &busy(4));
    let gone = status(&cloud);
    assert_eq!((gone.state, gone.login_command, gone.reported.scheduler), (State::Deleted, None, None));
}

#[test]
fn slurm_is_not_shown_before_anybody_can_log_in_nor_by_a_compute_node() {
    let mut cloud = creating();
    cloud.world.wait(60);
    put(&mut cloud, "login1", &busy(1));
    assert_eq!((status(&cloud).state, status(&cloud).reported.scheduler), (State::Creating, None));
    cloud.settle();
    assert_eq!(status(&cloud).reported.scheduler, busy(1).scheduler, "it is shown with the address");
    cloud.world.wait(60);
    put(&mut cloud, "compute-1", &busy(2));
    assert_eq!(status(&cloud).reported.scheduler, busy(1).scheduler);
}

/// A report each second for an hour: the file is written once a minute, and when the jobs have ended it shows that they have.
#[test]
fn a_cluster_whose_jobs_change_all_the_time_costs_a_write_a_minute_and_its_last_state_is_shown() {
    let mut cloud = ready();
    let key = key(&cloud, "login1");
    cloud.world.state().effects.clear();
    let mut owed = None;
    for second in 0..3_600_u32 {
        let bytes = serde_json::to_vec(&busy(second % 100)).unwrap();
        let at = cloud.world.now();
        cloud.world.state().store.put(Bucket::System, &key, &bytes, at);
        owed = cloud.deliver(&Event::Report(key.clone())).err();
        cloud.world.wait(1);
    }
    let effects = cloud.world.state().effects.clone();
    assert!(effects.iter().all(|effect| matches!(effect, Effect::WriteStatus { .. })));
    assert_eq!(effects.len(), 60);
    assert!(owed.is_some(), "SQS delivers the last one again");
    cloud.queue.push_back(Event::Report(key));
    cloud.drain();
    assert_eq!(status(&cloud).reported.scheduler, busy(3_599 % 100).scheduler);
    let written = cloud.world.state().effects.len();
    cloud.world.wait(60);
    let key = self::key(&cloud, "login1");
    cloud.deliver(&Event::Report(key)).unwrap();
    assert_eq!(cloud.world.state().effects.len(), written, "nothing changes any more");
}

#[test]
fn while_it_is_made_its_login_node_can_be_followed_and_what_it_reports_stays_when_it_is_ready() {
    let mut cloud = creating();
    cloud.world.wait(60);
    put(&mut cloud, "login1", &report(NodeState::Configuring));
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Creating, vec![shows("login1", "configuring")]));
    put(&mut cloud, "login1", &report(NodeState::Ready));
    cloud.settle();
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Ready, vec![shows("login1", "ready")]));
}

#[test]
fn a_creation_that_failed_on_the_login_node_says_which_script_with_its_exit_code_and_last_lines() {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    {
        let mut state = cloud.world.state();
        state.stacks.next_behaviour = StackBehaviour::Fails;
        state.stacks.next_words = Some("Received FAILURE signal with UniqueId script-failed".into());
    }
    cloud.drop_file(CREATE, b"{}");
    cloud.drain();
    let failure = Some(FailureCode::ScriptFailed);
    put(&mut cloud, "login1", &NodeReport { failure, scripts: vec![failed_script()], ..report(NodeState::Failed) });
    cloud.settle();
    let Some(Message::Failed { causes, .. }) = cloud.message(FAILED) else { panic!("it failed") };
    let node = causes[0].node.as_ref().expect("the login node's failure");
    assert_eq!((node.code, &node.scripts), (FailureCode::ScriptFailed, &vec![failed_script()]));
    let text = cloud.text(FAILED).unwrap();
    for words in ["10-emacs.sh", "exit code 3", "E: no such package"] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(nodes(&cloud), [shows("login1", "failed")]);
}

#[test]
fn a_code_without_a_report_is_explained_too_and_an_id_that_is_none_stays_cloudformations_words() {
    for (id, has_node) in [("no-usable-ssh-key", true), ("login-name-is-taken", true), ("i-0123456789abcdef0", false)] {
        let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
        {
            let mut state = cloud.world.state();
            state.stacks.next_behaviour = StackBehaviour::Fails;
            state.stacks.next_words = Some(format!("Received FAILURE signal with UniqueId {id}"));
        }
        cloud.drop_file(CREATE, b"{}");
        cloud.settle();
        let Some(Message::Failed { causes, .. }) = cloud.message(FAILED) else { panic!("it failed") };
        assert_eq!(causes[0].node.is_some(), has_node, "{id}");
        assert_eq!(cloud.text(FAILED).unwrap().contains(id), !has_node, "{id}");
    }
}

#[test]
fn reports_change_the_status_file_and_nothing_else() {
    let mut cloud = ready();
    let ledger = ledger_of(&cloud, "alice");
    cloud.world.state().effects.clear();
    cloud.outcomes.clear();
    for state in [NodeState::Failed, NodeState::Leaving, NodeState::Starting, NodeState::Configuring, NodeState::Ready] {
        put(&mut cloud, "login1", &NodeReport { failure: Some(FailureCode::AgentFailed), ..report(state) });
    }
    let effects = cloud.world.state().effects.clone();
    assert!(!effects.is_empty() && effects.iter().all(|effect| matches!(effect, Effect::WriteStatus { .. })), "{effects:?}");
    assert!(cloud.outcomes.iter().flat_map(Outcome::actions).all(|action| action == Action::NoteReports));
    assert_eq!((ledger_of(&cloud, "alice"), status(&cloud).state), (ledger, State::Ready));
    assert!(cloud.world.state().mails.iter().all(|mail| mail.cluster == testing::cluster("alice", "demo")));
}

/// The last of many is shown, and of all the others one in a minute.
#[test]
fn reports_that_come_again_and_again_are_shown_once_a_minute_and_the_last_one_is_shown() {
    let mut cloud = ready();
    cloud.world.state().effects.clear();
    for nth in 0..50 {
        let state = if nth % 2 == 0 { NodeState::Configuring } else { NodeState::Ready };
        let key = key(&cloud, "login1");
        let bytes = serde_json::to_vec(&report(state)).unwrap();
        let at = cloud.world.now();
        cloud.world.state().store.put(Bucket::System, &key, &bytes, at);
        let _ = cloud.deliver(&Event::Report(key));
        cloud.world.wait(1);
    }
    assert_eq!(cloud.world.state().effects.len(), 1, "one of fifty within a minute");
    let key = key(&cloud, "login1");
    cloud.queue.push_back(Event::Report(key));
    cloud.drain();
    assert_eq!(nodes(&cloud), [shows("login1", "ready")]);
}

#[test]
fn what_is_no_report_is_ignored_and_hides_nothing() {
    let mut cloud = ready();
    put(&mut cloud, "compute-1", &report(NodeState::Ready));
    cloud.world.wait(60);
    let good = serde_json::to_vec(&report(NodeState::Failed)).unwrap();
    let folder = ReportKey::folder(&testing::cluster("alice", "demo"), &request(&cloud));
    let long = [good.clone(), vec![b' '; BYTES_MAX]].concat();
    let other_life = ReportKey::folder(&testing::cluster("alice", "demo"), &RequestId::from_tag("00000000000000ff"));
    for (key, bytes) in [
        (format!("{folder}login1.json"), b"\xff\xfe{" as &[u8]),
        (format!("{folder}compute-2.json"), &long),
        (format!("{folder}compute-3.json"), b"[[[[[[[["),
        // More than the four that it may have.
        (format!("{folder}compute-5.json"), &good),
        (format!("{folder}login2.json"), &good),
        (format!("{folder}jobs/login1.json"), &good),
        (format!("{folder}login1.json/login1.json"), &good),
        (format!("{other_life}login1.json"), &good),
        (format!("{folder}\u{202e}.json"), &good),
        ("nodes/bob/demo/login1.json".to_owned(), &good),
        ("nodes/".to_owned(), &good),
    ] {
        cloud.put_report(&key, bytes);
        cloud.drain();
        assert_eq!(nodes(&cloud), [shows("compute-1", "ready")], "{key}");
    }
    // An object that S3 does not give out, because the node has encrypted it with a key of its own.
    let withheld = key(&cloud, "compute-4");
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::System, &withheld, &good, at);
    cloud.world.state().store.withhold(Bucket::System, &withheld);
    cloud.queue.push_back(Event::Report(withheld));
    cloud.drain();
    assert_eq!(nodes(&cloud), [shows("compute-1", "ready")]);
    assert_eq!(cloud.outcomes.last().map(|outcome| outcome.reports_ignored), Some(7), "what lies in the folder and is no report");
    assert_eq!(cloud.faults, []);
}

#[test]
fn however_many_objects_a_node_writes_one_page_is_listed_and_one_report_for_each_node_is_read() {
    let mut cloud = ready();
    let bytes = serde_json::to_vec(&report(NodeState::Ready)).unwrap();
    {
        let at = cloud.world.now();
        let keys: Vec<String> = (1..3_000).map(|nth| key(&cloud, &format!("compute-{nth}"))).collect();
        let mut state = cloud.world.state();
        for key in &keys {
            state.store.put(Bucket::System, key, &bytes, at);
        }
        state.asked.clear();
    }
    put(&mut cloud, "login1", &report(NodeState::Configuring));
    // It comes after all of them in the listing, which shows a thousand.
    assert_eq!(nodes(&cloud)[0], shows("login1", "configuring"));
    assert!(nodes(&cloud).len() <= 5);
    let asked = cloud.world.state().asked.clone();
    let (lists, reads) = (asked.iter().filter(|a| a.is::<ListReports>()).count(), asked.iter().filter(|a| a.is::<ReadReport>()).count());
    assert!(lists == 1 && reads <= 5, "{lists} lists, {reads} reads");
}

#[test]
fn a_machine_without_a_number_is_shown_in_a_place_that_no_node_with_one_takes() {
    let mut cloud = ready();
    put(&mut cloud, "compute-i-0abc", &report(NodeState::Failed));
    assert_eq!(nodes(&cloud), [shows("compute-i-0abc", "failed")]);
    for node in ["compute-1", "compute-2", "compute-3", "compute-i-0def"] {
        cloud.world.wait(60);
        put(&mut cloud, node, &report(NodeState::Ready));
    }
    // Five are read: of the login node, whose report is still to come, and of four compute nodes.
    assert_eq!(nodes(&cloud).len(), 5);
    cloud.world.wait(60);
    cloud.world.state().asked.clear();
    put(&mut cloud, "login1", &report(NodeState::Ready));
    let shown: Vec<String> = nodes(&cloud).into_iter().map(|(node, _)| node).collect();
    assert_eq!(shown, ["login1", "compute-1", "compute-2", "compute-3", "compute-i-0abc"]);
    let reads = cloud.world.state().asked.iter().filter(|a| a.is::<ReadReport>()).count();
    assert_eq!(reads, 5);
    assert_eq!(cloud.outcomes.last().map(|outcome| outcome.reports_ignored), Some(1));
    cloud.world.wait(60);
    put(&mut cloud, "compute-i-0abc", &report(NodeState::Leaving));
    assert_eq!(nodes(&cloud).len(), 4, "it has its number now");
}

/// CloudFormation's last event is lost, and the user's create comes again: cf-create, which may read no report, says that the cluster is
/// ready.
#[test]
fn a_cluster_that_cf_create_calls_ready_shows_its_nodes_with_the_next_sweep() {
    let mut cloud = creating();
    let key = key(&cloud, "login1");
    let host_key = format!("ssh-ed25519 {}", "A".repeat(68));
    let bytes = serde_json::to_vec(&NodeReport { host_keys: vec![host_key], ..report(NodeState::Ready) }).unwrap();
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::System, &key, &bytes, at);
    while cloud.step() {}
    cloud.queue.clear();
    cloud.deliver(&Event::Upload(CREATE.into())).unwrap();
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Ready, vec![]));
    assert!(ledger_of(&cloud, "alice").unwrap().contains("reports_owed"));
    cloud.world.state().effects.clear();
    cloud.deliver(&Event::Sweep).unwrap();
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Ready, vec![shows("login1", "ready")]));
    assert_eq!(status(&cloud).reported.known_hosts.len(), 1);
    assert_eq!(cloud.outcomes.last().and_then(|outcome| outcome.actions().last()), Some(Action::NoteReports));
    let effects = cloud.world.state().effects.len();
    cloud.deliver(&Event::Sweep).unwrap();
    assert_eq!((effects, cloud.world.state().effects.len()), (2, 2), "the status file and the ledger, once");
}

/// cf-delete's removal is refused: the cluster stands as it did, and what its nodes report is shown again.
#[test]
fn a_cluster_that_stays_because_its_deletion_is_refused_shows_its_nodes_again() {
    let mut cloud = ready();
    put(&mut cloud, "login1", &report(NodeState::Ready));
    cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Protected);
    cloud.drop_file("home/alice/demo.cf-delete", b"");
    cloud.settle();
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Ready, vec![shows("login1", "ready")]));
    assert!(!ledger_of(&cloud, "alice").unwrap().contains("reports_owed"));
}

/// DescribeStacks shows what was seconds ago: a stack that is still being made, of a cluster that the ledger calls ready.
#[test]
fn a_report_that_meets_a_look_behind_the_times_comes_again() {
    let mut cloud = creating();
    while cloud.step() {}
    cloud.drain();
    let key = key(&cloud, "login1");
    cloud.put_report(&key, &serde_json::to_vec(&report(NodeState::Ready)).unwrap());
    let event = cloud.queue.pop_front().unwrap();
    cloud.world.state().lag = jiff::SignedDuration::from_secs(45);
    assert!(cloud.deliver(&event).is_err());
    cloud.world.state().lag = jiff::SignedDuration::ZERO;
    cloud.world.wait(180);
    cloud.deliver(&event).unwrap();
    assert_eq!(nodes(&cloud), [shows("login1", "ready")]);
}

#[test]
fn a_report_of_a_cluster_that_is_not_there_ends_where_it_came() {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    let key =
        ReportKey { cluster: testing::cluster("alice", "demo"), request: RequestId::from_tag("00000000000000aa"), node: "login1".into() };
    cloud.put_report(&key.key(), &serde_json::to_vec(&report(NodeState::Ready)).unwrap());
    cloud.drain();
    let effects = cloud.world.state().effects.len();
    assert_eq!((effects, cloud.keys().len(), cloud.faults.len()), (0, 0, 0));
}
