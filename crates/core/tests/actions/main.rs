//! What single actions do, beside the example that `plans` prints: their conditions on both sides.

#[path = "../made/mod.rs"]
mod made;
mod reports;

use cf_core::decide::state::{PhaseKind, StackKind};
use cf_core::decide::{Action, Plan, decide, decide_nodes};
use cf_core::effect::Effect;
use cf_core::key::{self, Reading};
use cf_core::ledger::{Entry, NodeNews, Phase};
use cf_core::message::Message;
use cf_core::node_reports::NodesShown;
use cf_core::request::{ETag, RequestId};
use cf_core::snapshot::{ObservedStack, Snapshot, Upload};
use cf_core::stack::StackStatus;
use cf_core::status::{State, Status};
use cf_core::testing;
use jiff::SignedDuration;
use made::{Known, MadeFor, NOTHING, Refused, Scene};

/// The entry that the plan writes first; `None` where it writes none.
fn first_entry(snapshot: &Snapshot<'_>, plan: &Plan) -> Option<Entry> {
    plan.effects.iter().find_map(|effect| match effect {
        Effect::WriteLedger { ledger, .. } => Some(ledger.entry(&snapshot.cluster.name)),
        _ => None,
    })
}

fn set_entry(snapshot: &mut Snapshot<'_>, change: impl FnOnce(&mut Entry)) {
    let mut entry = snapshot.entry();
    change(&mut entry);
    snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), entry);
}

/// A second create of the name, in another folder, a minute later.
fn add_second_create(snapshot: &mut Snapshot<'_>) -> RequestId {
    let Reading::Request(key) = key::read("home/alice/x/demo.cf-create") else { panic!("a request") };
    let (request, first) = (RequestId::from_tag("00000000000000dd"), snapshot.uploads[0].clone());
    let modified = first.modified + SignedDuration::from_mins(1);
    snapshot.uploads.push(Upload { key, request: request.clone(), etag: ETag("\"second\"".into()), modified, ..first });
    request
}

/// The folders of the answers that match.
fn answered_in(plan: &Plan, matches: impl Fn(&Message) -> bool) -> Vec<String> {
    let answers = plan.effects.iter().filter_map(|effect| match effect {
        Effect::WriteAnswer { key, message, .. } if matches(message) => Some(key),
        _ => None,
    });
    answers.map(|key| key.rsplit_once('/').expect("a folder").0.to_owned()).collect()
}

fn removed(plan: &Plan) -> usize {
    plan.effects.iter().filter(|effect| matches!(effect, Effect::RemoveUpload { .. })).count()
}

const LIVING: StackKind = StackKind::Ours(StackStatus::CreateComplete);
const READY: Scene = Scene { phase: PhaseKind::Ready, stack: LIVING, ..NOTHING };

/// What is known of nodes already, seconds after the create was accepted, and why their launch failed.
type News<'a> = Option<(i64, Option<&'a str>)>;

/// Whether news of nodes change the ledger, and whether the status file reports them.
fn noted(scene: &Scene, known: News<'_>, at: i64, failure: Option<&str>) -> (bool, bool) {
    let settings = testing::settings();
    let mut snapshot = made::snapshot(scene, &settings);
    let accepted = snapshot.entry().accepted.map_or(snapshot.now, |accepted| accepted.at);
    let news =
        |(at, failure): (i64, Option<&str>)| NodeNews { at: accepted + SignedDuration::from_secs(at), failure: failure.map(str::to_owned) };
    set_entry(&mut snapshot, |entry| entry.nodes = known.map(news));
    let plan = decide_nodes(&snapshot, &news((at, failure)));
    let written = first_entry(&snapshot, &plan);
    if let Some(entry) = &written {
        assert_eq!(entry.nodes, Some(news((at, failure))));
    }
    (written.is_some(), plan.effects.iter().any(|effect| matches!(effect, Effect::WriteStatus { .. })))
}

#[test]
fn news_of_nodes_are_noted_where_they_say_something_new_or_a_minute_has_gone() {
    let (none, some, other) = (None, Some("no capacity"), Some("no quota"));
    let cases = [
        // The first ones; of an earlier cluster of the name, not at all.
        (None, (0, some), (true, true)),
        (None, (-1, some), (false, false)),
        (None, (1, none), (true, false)),
        // A change is reported at once, unless it is older than what is known.
        (Some((10, none)), (10, some), (true, true)),
        (Some((10, some)), (11, none), (true, true)),
        (Some((10, some)), (11, other), (true, true)),
        (Some((10, some)), (9, other), (false, false)),
        // The same again is noted once a minute, and is not reported.
        (Some((10, some)), (69, some), (false, false)),
        (Some((10, some)), (70, some), (true, false)),
        (Some((10, none)), (69, none), (false, false)),
        (Some((10, none)), (70, none), (true, false)),
    ];
    for (known, (at, failure), expected) in cases {
        assert_eq!(noted(&READY, known, at, failure), expected, "known {known:?}, now {at} s, {failure:?}");
    }
}

#[test]
fn news_of_nodes_are_noted_only_while_the_cluster_lives() {
    let cases = [
        (PhaseKind::Ready, StackKind::Ours(StackStatus::UpdateInProgress), (true, true)),
        (PhaseKind::Creating, StackKind::Ours(StackStatus::CreateInProgress), (true, false)),
        (PhaseKind::Ready, StackKind::Ours(StackStatus::DeleteInProgress), (false, false)),
        (PhaseKind::Ready, StackKind::Absent, (false, false)),
        (PhaseKind::Deleting, LIVING, (false, false)),
        (PhaseKind::Gone, LIVING, (false, false)),
    ];
    for (phase, stack, expected) in cases {
        assert_eq!(noted(&Scene { phase, stack, ..NOTHING }, None, 1, Some("no capacity")), expected, "{phase}, {stack:?}");
    }
    assert_eq!(noted(&Scene { is_recovered: true, ..READY }, None, 1, Some("no capacity")), (false, false), "whose they are is unknown");
}

#[test]
fn after_a_settled_upload_is_removed_only_others_are_looked_at() {
    let settings = testing::settings();
    for (delete, removals, look_again) in [(None, 1, false), (Some(Known::New), 1, true), (Some(Known::Answered), 2, true)] {
        let scene = Scene { create: Some((Known::Answered, 0)), delete, ..READY };
        let plan = decide(&made::snapshot(&scene, &settings));
        assert_eq!((plan.action, removed(&plan), plan.look_again), (Action::RemoveSettled, removals, look_again), "{plan}");
    }
}

#[test]
fn a_superseded_delete_is_answered_and_its_upload_goes() {
    let settings = testing::settings();
    let (create, delete) = (Some((Known::New, 0)), Some(Known::New));
    let plan = decide(&made::snapshot(&Scene { create, delete, delete_is_later: false, ..NOTHING }, &settings));
    assert_eq!((plan.action, removed(&plan)), (Action::AnswerSupersededDelete, 1));
    assert_eq!(answered_in(&plan, |message| matches!(message, Message::Overtaken { .. })), ["home/alice"], "{plan}");
}

#[test]
fn a_create_that_breaks_the_rules_is_answered_and_its_upload_goes() {
    let settings = testing::settings();
    let plan = decide(&made::snapshot(&Scene { create: Some((Known::New, 2)), ..NOTHING }, &settings));
    assert_eq!((plan.action, removed(&plan)), (Action::RefuseInvalid, 1));
    assert_eq!(answered_in(&plan, |message| matches!(message, Message::Refused { .. })), ["home/alice"], "{plan}");
}

/// Every create of the name gets the same answer, in its own folder.
#[test]
fn where_the_name_is_held_every_create_is_refused() {
    let settings = testing::settings();
    for (status, phase, action) in [
        (StackStatus::DeleteFailed, PhaseKind::Stuck, Action::RefuseLeftover),
        (StackStatus::ReviewInProgress, PhaseKind::New, Action::RefusePlanned),
    ] {
        let scene = Scene { phase, stack: StackKind::Ours(status), create: Some((Known::New, 0)), made_for: MadeFor::Another, ..NOTHING };
        let mut snapshot = made::snapshot(&scene, &settings);
        let second = add_second_create(&mut snapshot);
        set_entry(&mut snapshot, |entry| {
            let Reading::Request(key) = key::read("home/alice/x/demo.cf-create") else { panic!("a request") };
            entry.note_open(&key, &second, true, 0);
        });
        let plan = decide(&snapshot);
        assert_eq!((plan.action, removed(&plan)), (action, 2), "{plan}");
        let held = |message: &Message| matches!(message, Message::Leftover { .. } | Message::Planned { .. });
        assert_eq!(answered_in(&plan, held), ["home/alice/x", "home/alice"], "{plan}");
    }
}

/// A create that joins a cluster which the ledger knows changes nothing else in the entry.
#[test]
fn joining_a_cluster_that_is_known_leaves_what_is_known_of_it() {
    let settings = testing::settings();
    let stack = StackKind::Ours(StackStatus::CreateInProgress);
    let snapshot = made::snapshot(&Scene { phase: PhaseKind::Creating, stack, create: Some((Known::New, 0)), ..NOTHING }, &settings);
    let plan = decide(&snapshot);
    let (was, is) = (snapshot.entry(), first_entry(&snapshot, &plan).expect("a ledger"));
    assert_eq!(plan.action, Action::Join);
    assert_eq!((is.phase, is.accepted), (was.phase, was.accepted));
    assert!(is.open.iter().any(|open| open.joined && open.request == snapshot.uploads[0].request), "{plan}");
}

#[test]
fn what_is_recovered_from_a_stack_is_the_request_that_it_was_made_for() {
    let settings = testing::settings();
    let recovered = |scene: &Scene, action: Action| {
        let mut snapshot = made::snapshot(scene, &settings);
        let ObservedStack::Ours(stack) = &mut snapshot.stack else { panic!("its stack") };
        stack.parameters.insert("ComputeMaxNodes".into(), "3".into());
        stack.parameters.insert("NotOfTheUser".into(), "x".into());
        let plan = decide(&snapshot);
        assert_eq!(plan.action, action, "{plan}");
        let entry = first_entry(&snapshot, &plan).expect("a ledger");
        assert_eq!(entry.phase, Phase::Ready);
        (snapshot.entry().accepted, entry.accepted, snapshot.now)
    };
    // An administrator has repaired what failed: what the ledger knows of the request stays.
    let repaired = Scene { phase: PhaseKind::Failing, stack: LIVING, ..NOTHING };
    let (was, is, _) = recovered(&repaired, Action::Recover);
    assert!(was.is_some() && was == is, "{was:?}, {is:?}");
    // The stack was made for another request than the ledger's, and nobody waits for that one's answer.
    let (was, is, _) = recovered(&Scene { made_for: MadeFor::Another, ..repaired }, Action::Recover);
    assert!(was.is_some() && is.is_none(), "{is:?}");
    // The ledger knows none, and its create is at hand: what the user chose stands in the stack.
    let create = Some((Known::New, 0));
    let scene = Scene { phase: PhaseKind::New, made_for: MadeFor::Create, stack: LIVING, create, ..NOTHING };
    let (was, is, now) = recovered(&scene, Action::Join);
    let is = is.expect("a request");
    assert!(was.is_none());
    assert_eq!(is.request, made::snapshot(&scene, &settings).uploads[0].request);
    assert_eq!((is.at, is.key.folder.as_str()), (now, "home/alice/"));
    assert_eq!(is.parameters.into_iter().collect::<Vec<_>>(), [("ComputeMaxNodes".to_owned(), "3".to_owned())]);
}

#[test]
fn after_a_refused_delete_a_create_that_waits_for_it_is_looked_at() {
    let settings = testing::settings();
    for (create, look_again) in [(None, false), (Some((Known::Joined, 0)), true)] {
        let delete = Some(Known::Joined);
        let scene = Scene { phase: PhaseKind::Deleting, stack: LIVING, create, delete, refused: Some(Refused::Delete), ..NOTHING };
        let plan = decide(&made::snapshot(&scene, &settings));
        assert_eq!(plan.look_again, look_again, "{plan}");
    }
}

fn status_file(snapshot: &Snapshot<'_>, state: State) -> Status {
    Status {
        cluster: "demo".into(),
        state,
        message: String::new(),
        progress: None,
        login: None,
        login_command: None,
        types: [].into(),
        reported: NodesShown::default(),
        stack: String::new(),
        request: snapshot.entry().accepted.expect("a request").request,
        since: snapshot.now,
        updated: snapshot.now,
    }
}

/// "deleting" is written under the ledger's condition wherever it is new.
#[test]
fn progress_of_a_delete_writes_the_ledger_where_it_is_first_reported_or_its_stack_first_seen() {
    let settings = testing::settings();
    let stack = StackKind::Ours(StackStatus::DeleteInProgress);
    let scene = Scene { phase: PhaseKind::Deleting, stack, delete: Some(Known::Joined), ..NOTHING };
    for (shown, is_first_seen, is_written) in
        [(Some(State::Deleting), false, false), (Some(State::Deleting), true, true), (Some(State::Ready), false, true), (None, false, true)]
    {
        let mut snapshot = made::snapshot(&scene, &settings);
        snapshot.status_file = shown.map(|state| status_file(&snapshot, state));
        let id = snapshot.stack().map(|stack| stack.id.clone()).filter(|_| !is_first_seen);
        set_entry(&mut snapshot, |entry| entry.stack = id);
        let plan = decide(&snapshot);
        assert_eq!(plan.action, Action::FollowDelete);
        assert_eq!(first_entry(&snapshot, &plan).is_some(), is_written, "{shown:?}, first seen: {is_first_seen}: {plan}");
    }
}
