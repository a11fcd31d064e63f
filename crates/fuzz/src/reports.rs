//! Reports of nodes, written by whoever is root there: any bytes are a report within its limits or none, and whatever lies below
//! whatever keys, a user's files show what this user's nodes wrote below their own cluster's folder, bounded and fit to be printed.

use std::sync::OnceLock;

use arbitrary::Unstructured;
use cf_core::body::BODY_BYTES_MAX;
use cf_core::node_report::{
    BYTES_MAX, ENTRIES_MAX, FailedScript, FailureCode, HOST_KEY_CHARS_MAX, HOST_KEYS_MAX, JobsReport, LINES_MAX, NOTES_MAX, NodeReport,
    NodeState, NodesReport, NodesState, ReportKey, SCRIPTS_MAX, SchedulerReport, TEXT_CHARS_MAX,
};
use cf_core::request::RequestId;
use cf_core::status::{State, Status};
use cf_core::testing;
use cf_sim::{Cloud, StackBehaviour};
use serde_json::Value;
use strum::VariantArray;

use crate::drive::{pick, spoil, target, text, upto};

target!(
    /// Any bytes as a report, and one of ours with bytes changed.
    any_bytes,
    one in 1,
    reached ["a report", "no report"],
    |bytes: &[u8]| {
        is_bounded(bytes);
        let u = &mut Unstructured::new(bytes);
        let mut spoiled = report(u, "demo");
        spoil(u, &mut spoiled);
        if upto(u, 7) == 0 {
            spoiled.resize(BYTES_MAX + upto(u, 1), b' ');
        }
        is_bounded(&spoiled)
    }
);

target!(
    /// Nodes of two users write below keys of all kinds, while one of them has a ready cluster.
    of_a_ready_cluster,
    one in 10,
    reached ["nodes", "no nodes"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let (mut cloud, request) = of(&READY, ready);
        write_some(u, &mut cloud, &request);
        let status = shown(&cloud, &request);
        assert_eq!(status.state, State::Ready);
        if status.reported.nodes.is_empty() { "no nodes" } else { "nodes" }
    }
);

target!(
    /// The same while her cluster is made, until its login node gives up.
    of_one_that_fails,
    one in 10,
    reached ["a failure with scripts", "a failure"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let (mut cloud, request) = of(&FAILING, failing);
        write_some(u, &mut cloud, &request);
        cloud.settle();
        assert_eq!(shown(&cloud, &request).state, State::Failed);
        let answer = cloud.text("home/alice/demo.cf-failed").expect("it failed");
        is_hers(&answer, &request);
        assert!(answer.len() < ANSWER_BYTES_MAX, "{} bytes", answer.len());
        assert!(!answer.contains(|c: char| c.is_control() && c != '\n'), "{answer:?}");
        if answer.contains("The script") { "a failure with scripts" } else { "a failure" }
    }
);

/// Five scripts with ten lines and four other texts each, of characters of four bytes, and what stands around them.
const ANSWER_BYTES_MAX: usize = 5 * (LINES_MAX + 4) * (TEXT_CHARS_MAX * 4 + 100) + 10_000;

static READY: OnceLock<Cloud> = OnceLock::new();
static FAILING: OnceLock<Cloud> = OnceLock::new();

/// A world to begin with, and the request that alice's cluster is made for.
fn of(world: &OnceLock<Cloud>, begin: fn() -> Cloud) -> (Cloud, RequestId) {
    let cloud = world.get_or_init(begin).clone();
    let request = cloud.world.state().stacks.all().first().and_then(|s| s.stack.request()).expect("alice's stack");
    (cloud, request)
}

fn ready() -> Cloud {
    let mut cloud = failing_or_not(StackBehaviour::Succeeds);
    cloud.settle();
    cloud.drop_file("home/bob/demo.cf-create", b"{}");
    cloud.settle();
    cloud
}

fn failing() -> Cloud {
    failing_or_not(StackBehaviour::Fails)
}

fn failing_or_not(behaviour: StackBehaviour) -> Cloud {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice").with_profile("bob");
    {
        let mut state = cloud.world.state();
        state.stacks.next_behaviour = behaviour;
        state.stacks.next_words = Some("Received FAILURE signal with UniqueId script-failed".into());
    }
    cloud.drop_file("home/alice/demo.cf-create", b"{\"ComputeMaxNodes\": \"4\"}");
    cloud.drain();
    cloud
}

/// What every report names in its texts: in whose folder it lies.
fn mark(folder: &str) -> String {
    format!("(written below {folder})")
}

/// Objects at keys that are a report's, nearly one, or another's.
fn write_some(u: &mut Unstructured<'_>, cloud: &mut Cloud, request: &RequestId) {
    let own = ReportKey::folder(&testing::cluster("alice", "demo"), request);
    for _ in 0..=upto(u, 5) {
        let folder = match upto(u, 9) {
            0 => ReportKey::folder(&testing::cluster("alice", "demo"), &RequestId::from_tag("00000000000000ff")),
            1 => ReportKey::folder(&testing::cluster("alice", "demo2"), request),
            2 => ReportKey::folder(&testing::cluster("bob", "demo"), request),
            3 => format!("{own}{}/", pick(u, &["jobs", "..", "login1.json", "", "é"])),
            4 => format!("nodes/{}/", text(u)),
            _ => own.clone(),
        };
        let node = match upto(u, 5) {
            0 => "login1".to_owned(),
            1 | 2 => format!("compute-{}", upto(u, 5)),
            3 => pick(u, &["login2", "compute-04", "compute-4294967296", "login1.json", "LOGIN1", ""]).to_owned(),
            4 => format!("compute-{}", upto(u, 3)),
            _ => text(u),
        };
        let key: String = format!("{folder}{node}.json").chars().take(500).collect();
        let bytes = if upto(u, 7) == 0 { text(u).into_bytes() } else { report(u, &folder) };
        cloud.put_report(&key, &bytes);
        cloud.drain();
    }
    cloud.world.wait(60);
}

/// A report with texts that have misled readers, most of them with the mark of its folder.
fn report(u: &mut Unstructured<'_>, folder: &str) -> Vec<u8> {
    let mark = mark(folder);
    let marked = |u: &mut Unstructured<'_>| format!("{}{mark}{}", text(u), if upto(u, 3) == 0 { text(u) } else { String::new() });
    let script = |u: &mut Unstructured<'_>| FailedScript {
        event: text(u),
        profile: text(u),
        script: marked(u),
        outcome: text(u),
        exit_code: u.arbitrary().unwrap_or(None),
        last_lines: (0..upto(u, 2 * LINES_MAX)).map(|_| marked(u)).collect(),
    };
    let nodes = |u: &mut Unstructured<'_>| NodesReport {
        state: pick(u, NodesState::VARIANTS),
        count: u.arbitrary().unwrap_or(0),
        nodes: text(u),
        reason: marked(u),
    };
    let count = |u: &mut Unstructured<'_>| u.arbitrary().unwrap_or(0);
    let slurm = |u: &mut Unstructured<'_>| SchedulerReport {
        partition: text(u),
        nodes: (0..upto(u, 2 * ENTRIES_MAX)).map(|_| nodes(u)).collect(),
        jobs: JobsReport { running: count(u), starting: count(u), waiting: count(u) },
        notes: (0..upto(u, 2 * NOTES_MAX)).map(|_| marked(u)).collect(),
    };
    let key = format!("ssh-ed25519 {}", "A".repeat(16 + upto(u, 40)));
    let state = pick(u, &[NodeState::Starting, NodeState::Ready, NodeState::Failed, NodeState::Leaving, NodeState::Configuring]);
    let report = NodeReport {
        failure: (upto(u, 1) == 0).then(|| pick(u, FailureCode::VARIANTS)),
        message: marked(u),
        instance: text(u),
        host_keys: (0..upto(u, 8)).map(|_| if upto(u, 1) == 0 { key.clone() } else { format!("{key}{}", text(u)) }).collect(),
        scripts: (0..upto(u, 3) * upto(u, 8)).map(|_| script(u)).collect(),
        more_scripts: u.arbitrary().unwrap_or(0),
        scheduler: (upto(u, 1) == 0).then(|| slurm(u)),
        ..testing::node_report(state)
    };
    serde_json::to_vec(&report).expect("a report has a JSON form")
}

/// Never a panic; what is read is within its limits, and is read again as the same.
fn is_bounded(bytes: &[u8]) -> &'static str {
    let Ok(report) = NodeReport::parse(bytes) else { return "no report" };
    assert!(bytes.len() <= BYTES_MAX);
    assert!(report.scripts.len() <= SCRIPTS_MAX && report.host_keys.len() <= HOST_KEYS_MAX);
    assert!(report.host_keys.iter().all(|key| key.len() <= HOST_KEY_CHARS_MAX && key.split(' ').count() == 2));
    for script in &report.scripts {
        assert!(script.last_lines.len() <= LINES_MAX);
        [&script.event, &script.profile, &script.script, &script.outcome].into_iter().chain(&script.last_lines).for_each(|t| is_plain(t));
    }
    is_plain(&report.message);
    is_plain(&report.instance);
    if let Some(slurm) = &report.scheduler {
        assert!(slurm.nodes.len() <= ENTRIES_MAX && slurm.notes.len() <= NOTES_MAX);
        let of_nodes = slurm.nodes.iter().flat_map(|entry| [&entry.nodes, &entry.reason]);
        of_nodes.chain(&slurm.notes).chain([&slurm.partition]).for_each(|text| is_plain(text));
    }
    let again = serde_json::to_vec(&report).expect("a report has a JSON form");
    assert!(again.len() > BYTES_MAX || NodeReport::parse(&again).ok() == Some(report));
    "a report"
}

fn is_plain(text: &str) {
    assert!(text.chars().count() <= TEXT_CHARS_MAX, "{text}");
    assert!(
        !text.contains(|c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}')),
        "{text:?}"
    );
}

/// Alice's status file, after all that it must keep to.
fn shown(cloud: &Cloud, request: &RequestId) -> Status {
    let text = cloud.text("home/alice/demo.cf-status").expect("a status file");
    assert!(text.len() <= BODY_BYTES_MAX, "{} bytes could not be read back", text.len());
    is_hers(&text, request);
    all_texts(&serde_json::from_str(&text).expect("it is JSON"));
    if let Some(text) = cloud.text("home/bob/demo.cf-status") {
        assert!(!text.contains("(written below nodes/alice/"), "alice's nodes are in bob's file: {text}");
    }
    let status: Status = serde_json::from_str(&text).expect("it is a status file");
    assert!(status.reported.nodes.keys().all(|node| !node.is_above(4)), "{text}");
    for line in &status.reported.known_hosts {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words.len() == 3 && words[0] == "198.51.100.7" && words[1].starts_with("ssh-"), "{line}");
    }
    status
}

/// Nothing of another folder, be it of hers, an earlier life's or another user's. (A mark may have been cut.)
fn is_hers(text: &str, request: &RequestId) {
    let own = mark(&ReportKey::folder(&testing::cluster("alice", "demo"), request));
    for (at, _) in text.match_indices("(written below ") {
        let is_cut = || text[at..].chars().take(own.chars().count()).any(|c| c == '…');
        assert!(text[at..].starts_with(&own) || is_cut(), "{}", &text[at..]);
    }
}

fn all_texts(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.contains(char::is_control) && text.chars().count() < 1400, "{text:?}"),
        Value::Array(values) => values.iter().for_each(all_texts),
        Value::Object(fields) => fields.values().for_each(all_texts),
        _ => {}
    }
}
