//! What each action does, as it prints: one example of every action of the table, as a committed snapshot.

mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cf_core::body::Choices;
use cf_core::decide::state::{self, CreateAsk, DeleteAsk, PhaseKind, StackKind};
use cf_core::decide::triage::{Delete, Triage, is_to_be_validated, triage};
use cf_core::decide::{Action, Plan, Row, choose, decide};
use cf_core::effect::Effect;
use cf_core::key::{self, Reading, Verb};
use cf_core::ledger::{End, FirstSeen, MailKind, Phase};
use cf_core::message::Message;
use cf_core::request::RequestId;
use cf_core::snapshot::{ObservedStack, Snapshot, Upload};
use cf_core::stack::StackStatus;
use cf_core::testing;
use jiff::{SignedDuration, Timestamp};
use made::{KNOWN, Known, MadeFor, NOTHING, Refused, Scene};
use strum::VariantArray;

/// Every action that the table has, and those that follow a refused call.
fn actions() -> BTreeSet<Action> {
    let mut all = BTreeSet::from([
        Action::ReportDeclined,
        Action::ReportLostCreation,
        Action::ReportUndeletable,
        Action::KeepUndeletable,
        Action::FailUndeletable,
    ]);
    for &create in CreateAsk::VARIANTS {
        for &delete in DeleteAsk::VARIANTS {
            for &phase in PhaseKind::VARIANTS {
                all.extend(StackKind::all().map(|stack| choose(&Row { create, delete, phase, stack })));
            }
        }
    }
    all
}

/// Scenes as they come in life, the plain ones first.
fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for stack in StackKind::all() {
        for &phase in PhaseKind::VARIANTS {
            for create in std::iter::once(None).chain(KNOWN.iter().flat_map(|&k| [0, 1, 2].map(|b| Some((k, b))))) {
                for delete in [None, Some(Known::New), Some(Known::Joined), Some(Known::Answered)] {
                    for delete_is_later in [true, false] {
                        let made_for = match phase {
                            PhaseKind::Blocked => MadeFor::Another,
                            PhaseKind::New => MadeFor::Create,
                            _ => MadeFor::Accepted,
                        };
                        scenes.push(Scene { phase, stack, create, delete, delete_is_later, made_for, answers: true, ..NOTHING });
                    }
                }
            }
        }
    }
    let creating = Scene { phase: PhaseKind::Creating, create: Some((Known::Accepted, 0)), answers: true, ..NOTHING };
    let standing = StackKind::Ours(StackStatus::CreateComplete);
    let deleting = Scene { phase: PhaseKind::Deleting, delete: Some(Known::Joined), stack: standing, ..NOTHING };
    let clearing = Scene { phase: PhaseKind::Failing, stack: StackKind::Ours(StackStatus::RollbackComplete), ..NOTHING };
    let blocked = Scene { phase: PhaseKind::Blocked, made_for: MadeFor::Another, stack: standing, create: creating.create, ..NOTHING };
    let refusals = [
        (&creating, Refused::Create),
        (&creating, Refused::TokenUsed),
        (&deleting, Refused::Delete),
        (&clearing, Refused::Delete),
        (&blocked, Refused::Delete),
    ];
    for (scene, refused) in refusals {
        scenes.push(Scene { refused: Some(refused), ..scene.clone() });
    }
    scenes
}

#[test]
fn each_action_does_what_was_agreed() {
    let settings = testing::settings();
    let mut examples: BTreeMap<Action, Plan> = BTreeMap::new();
    for scene in scenes() {
        let plan = decide(&made::snapshot(&scene, &settings));
        // The fullest plan of an action shows the most of it.
        match examples.get(&plan.action) {
            Some(known) if known.effects.len() >= plan.effects.len() => {}
            _ => drop(examples.insert(plan.action, plan)),
        }
    }
    // More than sixteen uploads make a crowd; the ledger's unit is tested elsewhere.
    let missing: Vec<Action> = actions().into_iter().filter(|c| !examples.contains_key(c) && *c != Action::RefuseTooMany).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    let text = examples.values().fold(String::new(), |mut text, plan| {
        let _ = writeln!(text, "{plan}\n");
        text
    });
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, { insta::assert_snapshot!("plans", text) });
}

/// AWS may say that a token was used before while the stack that it has made lives. So it counts only where no stack is seen.
#[test]
fn where_a_token_was_used_before_a_stack_that_is_seen_decides() {
    let settings = testing::settings();
    let creating = Scene { phase: PhaseKind::Creating, create: Some((Known::Accepted, 0)), has_login: true, ..NOTHING };
    let action = |stack, refused| decide(&made::snapshot(&Scene { stack, refused, ..creating.clone() }, &settings)).action;
    assert_eq!(action(StackKind::Absent, Some(Refused::TokenUsed)), Action::ReportLostCreation);
    for stack in StackStatus::ALL.iter().copied().map(StackKind::Ours).chain([StackKind::Foreign]) {
        assert_eq!(action(stack, Some(Refused::TokenUsed)), action(stack, None), "{stack:?}");
    }
    let living = StackKind::Ours(StackStatus::CreateInProgress);
    assert_eq!(action(living, Some(Refused::TokenUsed)), Action::FollowCreation);
    assert_eq!(action(living, Some(Refused::Create)), Action::ReportDeclined, "what CloudFormation refuses is still told");
}

/// A create that nobody sees may be on its way for as long as a function lives, and a minute.
#[test]
fn a_create_without_a_stack_is_given_up_once_no_call_can_be_on_its_way() {
    let settings = testing::settings();
    let longest = settings.timeout_seconds + 60;
    for (waited, kind) in [(0, PhaseKind::Unwanted), (longest, PhaseKind::Unwanted), (longest + 1, PhaseKind::UnwantedLong)] {
        let mut snapshot = made::snapshot(&Scene { phase: PhaseKind::Unwanted, ..NOTHING }, &settings);
        snapshot.now += SignedDuration::from_secs(waited);
        assert_eq!(state::phase(&snapshot, &snapshot.entry()), kind, "{waited} s");
    }
}

#[test]
fn an_upload_is_first_seen_in_the_revision_that_noted_it_or_in_the_next() {
    let settings = testing::settings();
    let scene = Scene { create: Some((Known::Joined, 0)), delete: Some(Known::New), ..NOTHING };
    let snapshot = made::snapshot(&scene, &settings);
    let entry = snapshot.entry();
    let seen = |nth: usize| snapshot.request_time(&entry, &snapshot.uploads[nth]).sighting.map(|first| first.seen);
    assert_eq!(entry.open[0].request, snapshot.uploads[0].request);
    assert_eq!((seen(0), seen(1)), (Some(entry.open[0].seen), Some(snapshot.ledger.revision + 1)));
    assert_ne!(seen(0), seen(1));
}

#[test]
fn only_an_answered_upload_that_s3_does_not_give_out_is_left_over() {
    let settings = testing::settings();
    for (known, is_withheld) in [(Known::Answered, true), (Known::Answered, false), (Known::New, true), (Known::Joined, true)] {
        let mut snapshot = made::snapshot(&Scene { create: Some((known, 0)), ..NOTHING }, &settings);
        snapshot.uploads[0].is_withheld = is_withheld;
        let is_left_over = known == Known::Answered && is_withheld;
        assert_eq!(snapshot.is_left_over(&snapshot.uploads[0]), is_left_over, "{known:?}, withheld: {is_withheld}");
        assert_eq!(snapshot.left_over().count(), usize::from(is_left_over));
    }
}

/// A cluster that was found by its stack alone: what it has stands in the stack's parameters.
#[test]
fn a_request_differs_from_a_living_cluster_only_where_it_asks_for_something_else() {
    let settings = testing::settings();
    let scene = Scene { phase: PhaseKind::Ready, stack: StackKind::Ours(StackStatus::CreateComplete), is_recovered: true, ..NOTHING };
    let mut snapshot = made::snapshot(&scene, &settings);
    let ObservedStack::Ours(stack) = &mut snapshot.stack else { panic!("its stack") };
    let names = &settings.template.metadata.user_parameters;
    let default = |name: &String| (name.clone(), settings.effective(&Choices::new(), name).unwrap_or_default().to_owned());
    stack.parameters.extend(names.iter().map(default));
    let differing = |asked: &[(&str, &str)]| {
        let choices: Choices = asked.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = state::differences(&snapshot, &snapshot.entry(), &choices);
        found.into_iter().map(|d| (d.parameter, d.asked)).collect::<Vec<_>>()
    };
    assert_eq!(differing(&[]), []);
    assert_eq!(differing(&[("ComputeMaxNodes", "7")]), [("ComputeMaxNodes".to_owned(), "7".to_owned())]);
    let spelt = snapshot.stack().expect("its stack").parameters["ComputeMaxNodes"].clone() + ".0";
    assert_eq!(differing(&[("ComputeMaxNodes", &spelt)]), [], "another spelling of the same number");
}

/// What a superseded create is answered: the second in which it came, where it is unknown which was the later.
fn tied(snapshot: &Snapshot<'_>) -> Option<Timestamp> {
    let plan = decide(snapshot);
    let answer = plan.effects.iter().find_map(|effect| match effect {
        Effect::WriteAnswer { message: Message::Withdrawn { tied, .. }, .. } => Some(*tied),
        _ => None,
    });
    answer.unwrap_or_else(|| panic!("no superseded create is answered: {plan}"))
}

#[test]
fn a_create_and_a_delete_of_one_second_are_said_to_be_so_unless_a_later_delete_is_known() {
    let settings = testing::settings();
    let look = |last_delete: i64, delete: Option<i64>| {
        let scene = Scene { create: Some((Known::New, 0)), delete: delete.map(|_| Known::New), elsewhere: true, ..NOTHING };
        let mut snapshot = made::snapshot(&scene, &settings);
        let created = snapshot.uploads[0].modified;
        let mut entry = snapshot.entry();
        entry.last_delete = Some(created + SignedDuration::from_secs(last_delete));
        snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), entry);
        if let Some(seconds) = delete {
            snapshot.uploads[1].modified = created + SignedDuration::from_secs(seconds);
        }
        (tied(&snapshot), created)
    };
    for (last_delete, delete, is_tied) in
        [(0, None, true), (1, None, false), (0, Some(0), true), (0, Some(1), false), (1, Some(0), false), (0, Some(-1), true)]
    {
        let (tied, created) = look(last_delete, delete);
        assert_eq!(tied, is_tied.then_some(created), "{last_delete} s, {delete:?}");
    }
}

#[test]
fn a_create_that_was_withdrawn_is_owed_nothing_and_one_that_is_there_is() {
    let settings = testing::settings();
    for (known, is_owed) in [(Known::Withdrawn, false), (Known::Joined, true)] {
        let stack = StackKind::Ours(StackStatus::DeleteComplete);
        let scene = Scene { phase: PhaseKind::Deleting, stack, create: Some((known, 0)), delete: Some(Known::Joined), ..NOTHING };
        let snapshot = made::snapshot(&scene, &settings);
        let plan = decide(&snapshot);
        let first = plan.effects.iter().find_map(|effect| match effect {
            Effect::WriteLedger { ledger, .. } => Some(ledger.entry(&snapshot.cluster.name)),
            _ => None,
        });
        let open: Vec<Verb> = first.expect("a ledger").open.iter().map(|open| open.key.verb).collect();
        assert_eq!(open.contains(&Verb::Create), is_owed, "{known:?}: {plan}");
        assert!(open.contains(&Verb::Delete));
    }
}

#[test]
fn only_a_new_create_has_to_meet_the_rules() {
    let settings = testing::settings();
    for (known, is_new) in [(Known::New, true), (Known::Answered, false), (Known::Joined, false), (Known::Accepted, false)] {
        let scene = Scene { phase: PhaseKind::Creating, create: Some((known, 0)), delete: Some(Known::New), ..NOTHING };
        let snapshot = made::snapshot(&scene, &settings);
        let is_to_be_validated = |nth: usize| is_to_be_validated(&snapshot.entry(), &snapshot.uploads[nth]);
        assert_eq!(is_to_be_validated(0), is_new, "{known:?}");
        assert!(!is_to_be_validated(1), "a delete has no rules");
    }
}

#[test]
fn without_a_script_in_the_profile_a_right_request_is_refused_too() {
    let settings = testing::settings();
    for (has_profile, body, action) in
        [(true, 0, Action::Start), (false, 0, Action::RefuseInvalid), (true, 2, Action::RefuseInvalid), (false, 2, Action::RefuseInvalid)]
    {
        let snapshot = made::snapshot(&Scene { create: Some((Known::New, body)), has_profile, ..NOTHING }, &settings);
        assert_eq!(decide(&snapshot).action, action, "profile: {has_profile}, body {body}");
    }
}

/// An accepted delete goes on; a create that came after it waits for its end.
#[test]
fn a_create_that_came_after_the_accepted_delete_waits_for_its_end() {
    let settings = testing::settings();
    for (delete_is_later, is_awaited) in [(false, true), (true, false)] {
        let stack = StackKind::Ours(StackStatus::DeleteInProgress);
        let (create, delete) = (Some((Known::New, 0)), Some(Known::Joined));
        let scene = Scene { phase: PhaseKind::Deleting, stack, create, delete, delete_is_later, ..NOTHING };
        let snapshot = made::snapshot(&scene, &settings);
        let Triage::Contenders(found) = triage(&snapshot) else { panic!("both contend") };
        assert_eq!(matches!(found.delete, Delete::OwnAwaited(Some(_))), is_awaited, "{:?}", found.delete);
        assert_eq!(matches!(found.delete, Delete::Own(_)), !is_awaited);
    }
}

#[test]
fn a_superseded_create_is_answered_with_the_delete_that_still_waits_for_its_answer() {
    let settings = testing::settings();
    let stack = StackKind::Ours(StackStatus::DeleteInProgress);
    let scene = Scene { phase: PhaseKind::Deleting, stack, create: Some((Known::New, 0)), delete: Some(Known::Joined), ..NOTHING };
    let mut snapshot = made::snapshot(&scene, &settings);
    let mut entry = snapshot.entry();
    entry.last_delete = Some(snapshot.uploads[1].modified);
    snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), entry);
    let superseded_by = |snapshot: &Snapshot<'_>| match triage(snapshot) {
        Triage::CreateSuperseded { delete, .. } => delete.map(|delete| delete.request.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(superseded_by(&snapshot), Some(snapshot.uploads[1].request.clone()));
    // One that nobody has taken up yet, though it is the younger.
    let waiting = RequestId::from_tag("00000000000000cc");
    let later = snapshot.uploads[1].modified + SignedDuration::from_mins(1);
    snapshot.uploads.push(Upload { request: waiting.clone(), modified: later, ..snapshot.uploads[1].clone() });
    assert_eq!(superseded_by(&snapshot), Some(waiting));
}

#[test]
fn a_changed_address_is_written_where_the_old_one_stands_or_where_there_was_none() {
    let settings = testing::settings();
    for (before, stands, is_written) in [("192.0.2.1", true, true), ("192.0.2.1", false, false), ("", true, true), ("", false, true)] {
        let stack = StackKind::Ours(StackStatus::CreateComplete);
        let mut snapshot = made::snapshot(&Scene { phase: PhaseKind::Moved, stack, answers: stands, ..NOTHING }, &settings);
        let mut entry = snapshot.entry();
        entry.login = Some(before.to_owned());
        snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), entry);
        let plan = decide(&snapshot);
        assert_eq!(plan.action, Action::Readdress);
        let written = plan.effects.iter().any(|effect| matches!(effect, Effect::WriteAnswer { message: Message::Created { .. }, .. }));
        assert_eq!(written, is_written, "{before:?}, answers: {stands}");
    }
}

/// The name's next cluster: what is owed, answered and claimed stays, what was of the last one goes.
#[test]
fn a_new_cluster_keeps_what_its_name_owes_and_nothing_of_the_one_before() {
    let settings = testing::settings();
    let scene = Scene { phase: PhaseKind::Gone, create: Some((Known::New, 0)), ..NOTHING };
    let mut snapshot = made::snapshot(&scene, &settings);
    let (upload, other) = (snapshot.uploads[0].clone(), RequestId::from_tag("00000000000000cc"));
    // A second create, in another folder, waits for its turn.
    let second = RequestId::from_tag("00000000000000dd");
    let Reading::Request(key) = key::read("home/alice/x/demo.cf-create") else { panic!("a request") };
    let later = upload.modified + SignedDuration::from_mins(1);
    snapshot.uploads.push(Upload { key, request: second.clone(), modified: later, ..upload.clone() });
    let before = Timestamp::UNIX_EPOCH;
    let seen = |seen| Some(FirstSeen { folder: upload.key.folder.clone(), seen });
    let mut old = snapshot.entry();
    old.note_answered(&other);
    old.note_left_over(&other);
    old.claim(&other, MailKind::Gone);
    old.note_announced(&upload.key);
    old.login = Some("192.0.2.1".into());
    (old.last_create, old.last_create_seen, old.last_delete, old.last_delete_seen) = (Some(before), seen(1), Some(before), seen(2));
    snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), old);
    let plan = decide(&snapshot);
    let Some(Effect::WriteLedger { ledger, .. }) = plan.effects.first() else { panic!("{plan}") };
    let new = ledger.entry(&snapshot.cluster.name);
    assert_eq!(new.open.iter().map(|open| (&open.request, open.joined)).collect::<Vec<_>>(), [(&upload.request, true), (&second, false)]);
    assert!(new.has_answered(&other) && new.left_over == [other.clone()] && new.mails.len() == 1, "{new:?}");
    assert_eq!((new.last_create, new.last_create_seen), (Some(upload.modified), seen(7)));
    assert_eq!((new.last_delete, new.last_delete_seen), (Some(before), seen(2)));
    assert_eq!(new.phase, Phase::Creating { since: snapshot.now });
    assert_eq!(new.accepted.map(|accepted| (accepted.request, accepted.at)), Some((upload.request, snapshot.now)));
    assert_eq!((new.login, new.announced, new.stack), (None, vec![], None));
}

/// A create that is taken up late: the later one that was answered before it stays the latest.
#[test]
fn a_late_create_does_not_pass_for_the_latest() {
    let settings = testing::settings();
    let scene = Scene { phase: PhaseKind::Gone, create: Some((Known::New, 0)), ..NOTHING };
    let mut snapshot = made::snapshot(&scene, &settings);
    let latest = snapshot.uploads[0].modified + SignedDuration::from_secs(1);
    let seen = Some(FirstSeen { folder: snapshot.uploads[0].key.folder.clone(), seen: 3 });
    let mut old = snapshot.entry();
    (old.last_create, old.last_create_seen) = (Some(latest), seen.clone());
    snapshot.ledger.clusters.insert(snapshot.cluster.name.clone(), old);
    let plan = decide(&snapshot);
    let Some(Effect::WriteLedger { ledger, .. }) = plan.effects.first() else { panic!("{plan}") };
    let new = ledger.entry(&snapshot.cluster.name);
    assert_eq!((new.last_create, new.last_create_seen), (Some(latest), seen));
}

#[test]
fn what_cloudformation_says_of_a_refused_create_reaches_the_user() {
    let settings = testing::settings();
    let scene = Scene { phase: PhaseKind::Creating, create: Some((Known::Accepted, 0)), refused: Some(Refused::Create), ..NOTHING };
    let plan = decide(&made::snapshot(&scene, &settings));
    let said = plan.effects.iter().find_map(|effect| match effect {
        Effect::WriteAnswer { message: Message::Declined { why, .. }, .. } => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(said, Some("ValidationError: no such instance type"), "{plan}");
}

#[test]
fn a_cluster_that_failed_ends_as_failed_and_one_that_somebody_removed_as_removed() {
    let settings = testing::settings();
    for (phase, is_recovered, expected) in [(PhaseKind::Failing, false, End::Failed), (PhaseKind::Ready, true, End::Removed)] {
        let plan = decide(&made::snapshot(&Scene { phase, is_recovered, ..NOTHING }, &settings));
        let last = plan.effects.iter().rev().find_map(|effect| match effect {
            Effect::WriteLedger { ledger, .. } => Some(ledger.entry(&testing::cluster("alice", "demo").name).phase),
            _ => None,
        });
        assert!(matches!(last, Some(Phase::Gone { end, .. }) if end == expected), "{plan}");
    }
}
