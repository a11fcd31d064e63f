//! What a status file shows of reports, and its limits.

use super::*;
use crate::message::node_failure;
use crate::node_report::{ENTRIES_MAX, HOST_KEYS_MAX, LINES_MAX, NOTES_MAX, NodesReport, NodesState, SCRIPTS_MAX, TEXT_CHARS_MAX};
use crate::testing::{self, node_report as report};

fn failed(script: &str) -> FailedScript {
    testing::failed_script(script, &["E: no such package"])
}

fn shown(reports: impl IntoIterator<Item = (u32, NodeReport)>) -> NodesShown {
    let by_node = reports.into_iter().map(|(nth, report)| (ReportedNode::numbered(nth), report)).collect();
    NodesShown::of(&NodeReports { by_node, ignored: 0 }, Some("198.51.100.7"), node_failure)
}

#[test]
fn nodes_are_shown_in_their_order_and_compute_nodes_that_left_are_not() {
    let states = [(10, NodeState::Ready), (2, NodeState::Leaving), (1, NodeState::Configuring), (0, NodeState::Leaving)];
    let shown = shown(states.map(|(nth, state)| (nth, report(state))));
    let text = serde_json::to_string(&shown).unwrap();
    assert_eq!(text, r#"{"nodes":{"login1":"leaving","compute-1":"configuring","compute-10":"ready"}}"#);
    assert_eq!(serde_json::from_str::<NodesShown>(&text).unwrap(), shown);
}

#[test]
fn a_failed_node_is_shown_with_its_reason_and_a_failed_script_with_its_node() {
    let login = NodeReport { failure: Some(FailureCode::NoUsableSshKey), ..report(NodeState::Failed) };
    let compute =
        NodeReport { message: "no room".into(), scripts: vec![failed("10-emacs.sh")], more_scripts: 3, ..report(NodeState::Failed) };
    let shown = shown([(0, login), (1, compute), (2, report(NodeState::Failed))]);
    let reasons: Vec<_> = shown.failed_nodes.iter().map(|failed| (failed.node.to_string(), failed.reason.as_str())).collect();
    let no_key = node_failure(FailureCode::NoUsableSshKey, "");
    assert_eq!(reasons, [("login1".into(), no_key.as_str()), ("compute-1".into(), "no room"), ("compute-2".into(), "it gave no reason")]);
    assert_eq!(shown.failed_scripts, [ScriptOfNode { node: ReportedNode::numbered(1), script: failed("10-emacs.sh") }]);
    assert_eq!(shown.more_failed_scripts, 3);
    let json = serde_json::to_value(&shown.failed_scripts[0]).unwrap();
    assert_eq!(
        (json["node"].as_str(), json["script"].as_str(), json["exit_code"].as_i64()),
        (Some("compute-1"), Some("10-emacs.sh"), Some(3))
    );
}

#[test]
fn what_a_node_that_has_not_failed_lets_its_user_know_is_shown_and_another_note_is_news() {
    let noted = |text: &str| NodeReport { message: text.into(), ..report(NodeState::Ready) };
    let failing = NodeReport { message: "no room".into(), ..report(NodeState::Failed) };
    let shown = |note| shown([(0, noted("")), (1, noted(note)), (2, failing.clone())]);
    let in_file = shown("no network").node_notes;
    assert_eq!(serde_json::to_string(&in_file).unwrap(), r#"[{"node":"compute-1","note":"no network"}]"#);
    assert!(shown("no network").shows_another_failure_than(&shown("")) && !shown("").shows_another_failure_than(&shown("no network")));
}

#[test]
fn a_machine_without_a_number_is_named_by_its_id() {
    let by_node = |name: &str| [(ReportedNode::read(name).unwrap(), report(NodeState::Failed))].into();
    let shown = |name| NodesShown::of(&NodeReports { by_node: by_node(name), ignored: 0 }, None, node_failure);
    let text = serde_json::to_string(&shown("compute-i-0abc")).unwrap();
    assert!(text.starts_with(r#"{"nodes":{"compute-i-0abc":"failed"},"failed_nodes":[{"node":"compute-i-0abc","#), "{text}");
    assert_eq!(serde_json::from_str::<NodesShown>(&text).unwrap(), shown("compute-i-0abc"));
}

#[test]
fn host_keys_are_the_login_nodes_under_the_stacks_address_whatever_the_node_says_of_its_own() {
    let key = format!("ssh-ed25519 {}", "A".repeat(68));
    let with_keys = || NodeReport { host_keys: vec![key.clone(); HOST_KEYS_MAX], ..report(NodeState::Ready) };
    let shown = shown([(0, with_keys()), (1, with_keys())]);
    assert_eq!(shown.known_hosts, vec![format!("198.51.100.7 {key}"); HOST_KEYS_MAX]);
    let reports = NodeReports { by_node: [(LOGIN, with_keys())].into(), ignored: 0 };
    assert!(NodesShown::of(&reports, None, node_failure).known_hosts.is_empty(), "there is no address");
    assert_eq!(shown.kept(Some("198.51.100.7")), shown);
    for another in [Some("198.51.100.70"), Some("198.51.100"), None] {
        assert_eq!(shown.kept(another).known_hosts, Vec::<String>::new(), "{another:?}");
        assert_eq!(shown.kept(another).nodes, shown.nodes);
    }
}

#[test]
fn slurm_is_shown_as_the_login_node_reports_it_and_as_no_other_node_does() {
    let reports = |state| NodeReport { scheduler: Some(testing::scheduler_report()), ..report(state) };
    let of = |all: &[(u32, NodeReport)]| {
        let mut kept = NodeReports::default();
        for (nth, report) in all {
            kept.add(ReportedNode::numbered(*nth), report.clone());
        }
        NodesShown::of(&kept, Some("198.51.100.7"), node_failure)
    };
    let shown = of(&[(0, reports(NodeState::Ready))]);
    assert_eq!(shown.scheduler, Some(testing::scheduler_report()));
    assert_eq!(shown.kept(None).scheduler, shown.scheduler, "where the reports cannot be read it stays");
    assert!(!shown.shows_another_failure_than(&of(&[(0, report(NodeState::Ready))])), "what changes all the time is no failure");
    assert_eq!(of(&[(1, reports(NodeState::Ready))]).scheduler, None);
    assert_eq!(of(&[(0, reports(NodeState::Leaving))]).scheduler, None, "it is not up any more");
}

#[test]
fn what_slurm_shows_has_its_room_in_a_status_file_and_the_last_entries_go() {
    let size = |shown: &SchedulerReport| serde_json::to_string_pretty(shown).unwrap().len();
    let with = |entries: usize, chars: usize| {
        let down =
            |nth: usize| NodesReport { state: NodesState::Down, count: 1, nodes: format!("compute-{nth}"), reason: "r".repeat(chars) };
        SchedulerReport { nodes: (1..=entries).map(down).collect(), ..testing::scheduler_report() }
    };
    let fits = with(ENTRIES_MAX, TEXT_CHARS_MAX);
    assert!(size(&fits) <= SCHEDULER_BYTES_MAX, "an honest report is shown whole: {} bytes", size(&fits));
    assert_eq!(fits.clone().within(size(&fits)), fits);
    let cut = fits.clone().within(size(&fits) - 1);
    assert_eq!((cut.nodes.as_slice(), &cut.notes), (&fits.nodes[..ENTRIES_MAX - 1], &fits.notes));
    let mut notes = with(1, 1);
    notes.notes = vec!["n".repeat(TEXT_CHARS_MAX); NOTES_MAX];
    let cut = notes.clone().within(size(&notes) - 1);
    assert_eq!((cut.nodes.len(), cut.notes.len()), (1, NOTES_MAX - 1), "the longer list gives way");
    assert_eq!(notes.within(0).nodes.len(), 0, "it ends");
}

/// The file is read back up to a limit, or else it would be written again at every look.
#[test]
fn however_much_is_reported_the_status_file_can_be_read_back() {
    // No character has more bytes in JSON: what JSON writes as `\u0000` is none that is shown.
    let wide = "\u{1F600}".repeat(TEXT_CHARS_MAX);
    let script = FailedScript {
        event: wide.clone(),
        profile: wide.clone(),
        script: wide.clone(),
        outcome: wide.clone(),
        last_lines: vec![wide.clone(); LINES_MAX],
        ..failed("")
    };
    let down = NodesReport { state: NodesState::Starting, count: u32::MAX, nodes: wide.clone(), reason: wide.clone() };
    let scheduler = SchedulerReport {
        partition: wide.clone(),
        nodes: vec![down; ENTRIES_MAX],
        notes: vec![wide.clone(); NOTES_MAX],
        ..testing::scheduler_report()
    };
    let one = NodeReport {
        failure: Some(FailureCode::ScriptFailed),
        message: wide,
        scheduler: Some(scheduler),
        host_keys: vec![format!("ssh-rsa {}", "A".repeat(1192)); HOST_KEYS_MAX],
        scripts: vec![script; SCRIPTS_MAX],
        more_scripts: u64::MAX,
        ..report(NodeState::Failed)
    };
    // The longest names are those of machines without a number.
    let name = |nth: u32| if nth == 0 { LOGIN } else { ReportedNode::read(&format!("compute-i-{nth:017x}")).unwrap() };
    let of = |one: &NodeReport| {
        let (login, compute) = (one.clone().bounded(), NodeReport { scheduler: None, ..one.clone() }.bounded());
        let by_node = (0..=NODES_MAX).map(|nth| (name(nth), if nth == 0 { login.clone() } else { compute.clone() })).collect();
        NodesShown::of(&NodeReports { by_node, ignored: 0 }, Some("198.51.100.7"), node_failure)
    };
    let all = of(&one);
    for all in [&all, &of(&NodeReport { state: NodeState::Configuring, ..one.clone() })] {
        let bytes = serde_json::to_string_pretty(all).unwrap().len();
        // What else there is in one: AWS's words on nodes that do not start, and the login node's in the sentence.
        assert!(bytes + 8192 < crate::body::BODY_BYTES_MAX, "{bytes} bytes");
        assert!(all.scheduler.as_ref().is_some_and(|shown| !shown.nodes.is_empty() || !shown.notes.is_empty()));
        assert_eq!(all.failed_nodes.len() + all.node_notes.len(), FAILED_NODES_MAX);
    }
    assert_eq!((all.nodes.len(), all.failed_nodes.len()), (500, FAILED_NODES_MAX));
    assert_eq!(all.more_failed_scripts, u64::MAX);
    // Some are shown, and the rest are counted.
    let few = NodeReport { scripts: (0..=SCRIPTS_SHOWN_MAX).map(|nth| failed(&format!("{nth}.sh"))).collect(), ..report(NodeState::Ready) };
    let few = shown([(0, few)]);
    assert_eq!((few.failed_scripts.len(), few.more_failed_scripts), (SCRIPTS_SHOWN_MAX, 1));
}

#[test]
fn only_a_failure_that_was_not_shown_before_is_another_one() {
    let (quiet, failing) = (report(NodeState::Ready), NodeReport { scripts: vec![failed("10.sh")], ..report(NodeState::Ready) });
    let (before, after) = (shown([(1, quiet.clone())]), shown([(1, failing.clone())]));
    assert!(after.shows_another_failure_than(&before));
    assert!(!after.shows_another_failure_than(&after.clone()) && !before.shows_another_failure_than(&after));
    assert!(shown([(1, failing.clone()), (2, failing)]).shows_another_failure_than(&after), "the same script on another node");
    assert!(shown([(1, report(NodeState::Failed))]).shows_another_failure_than(&before));
}

#[test]
fn however_many_nodes_report_failed_scripts_those_that_are_shown_are_kept_and_the_others_counted() {
    let mut all = NodeReports::default();
    let mut kept = NodeReports::default();
    for node in (0..=NODES_MAX).map(ReportedNode::numbered) {
        let scripts = (0..SCRIPTS_MAX).map(|nth| failed(&format!("{nth}.sh"))).collect();
        let state = if node == ReportedNode::numbered(1) { NodeState::Leaving } else { NodeState::Ready };
        let report = NodeReport { scripts, ..report(state) };
        all.by_node.insert(node, report.clone());
        kept.add(node, report);
    }
    let shown = |reports: &NodeReports| NodesShown::of(reports, Some("198.51.100.7"), node_failure);
    assert_eq!(shown(&kept), shown(&all));
    assert_eq!(kept.by_node.values().map(|report| report.scripts.len()).sum::<usize>(), SCRIPTS_SHOWN_MAX);
    assert_eq!(shown(&kept).more_failed_scripts, u64::from(NODES_MAX) * SCRIPTS_MAX as u64 - SCRIPTS_SHOWN_MAX as u64);
}
