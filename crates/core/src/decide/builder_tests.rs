//! What a plan in the making writes, claims and leaves out.

use jiff::SignedDuration;

use super::super::action;
use super::super::compose::tests::{at, in_phase, look};
use super::super::table::Action;
use super::super::triage::{Triage, triage};
use super::*;
use crate::body::Body;
use crate::key::{self, Reading};
use crate::ledger::{Accepted, FirstSeen};
use crate::request::ETag;
use crate::stack::StackStatus;
use crate::testing;

const CREATE: &str = "home/alice/demo.cf-create";
const DELETE: &str = "home/alice/demo.cf-delete";
const ELSEWHERE: &str = "home/alice/x/demo.cf-create";

fn key(text: &str) -> UploadKey {
    let Reading::Request(key) = key::read(text) else { panic!("{text} is a request") };
    key
}

fn etag(text: &str) -> ETag {
    ETag(format!("\"{text}\""))
}

fn request(text: &str) -> RequestId {
    RequestId::from_tag(text)
}

fn upload(at_key: &str, id: &str) -> Upload {
    let (key, body) = (key(at_key), Body::Read(b"{}".to_vec()));
    Upload { key, etag: etag(id), request: request(id), modified: at(1), body, is_withheld: false }
}

/// The entry of a cluster that is being made for the create `a`.
fn accepted(phase: Phase) -> Entry {
    let (key, parameters, defaults) = (key(CREATE), [].into(), [].into());
    let accepted = Accepted { request: request("a"), key, at: at(1), parameters, defaults };
    Entry { accepted: Some(accepted), ..in_phase(phase) }
}

const fn creating() -> Phase {
    Phase::Creating { since: Timestamp::UNIX_EPOCH }
}

fn with<T>(snapshot: &Snapshot<'_>, act: impl FnOnce(&mut Builder<'_>) -> T) -> (T, Vec<Effect>) {
    let triage = triage(snapshot);
    let mut builder = Builder::new(snapshot, &triage);
    let done = act(&mut builder);
    (done, builder.effects)
}

#[test]
fn a_mail_is_sent_by_the_plan_that_claims_it_first_and_only_where_there_is_a_route() {
    let mut settings = testing::settings();
    let claims = |settings: &crate::settings::Settings| {
        let snapshot = look(settings, accepted(creating()), None);
        let claim = |b: &mut Builder<'_>| {
            [b.claim(&request("a"), MailKind::Ready), b.claim(&request("a"), MailKind::Ready), b.claim(&request("a"), MailKind::Gone)]
        };
        with(&snapshot, |b| (claim(b), b.mails_in_doubt)).0
    };
    assert_eq!(claims(&settings), ([true, false, true], 1));
    settings.mail = None;
    assert_eq!(claims(&settings), ([false; 3], 0));
}

#[test]
fn an_upload_that_changes_nothing_is_answered_and_goes() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, in_phase(Phase::Ready), None);
    let upload = upload(CREATE, "a");
    snapshot.uploads.push(upload.clone());
    let aside = Triage::Aside(&upload, Box::new(Message::Overtaken { cluster: snapshot.cluster.name.clone() }));
    let (action, effects) = with(&snapshot, |b| action::answer(b, &aside));
    assert_eq!(action, Some(Action::AnswerAside));
    let is_removed = |effect: &Effect| matches!(effect, Effect::RemoveUpload { etag, .. } if *etag == upload.etag);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::WriteAnswer { message: Message::Overtaken { .. }, .. })));
    assert!(effects.iter().any(is_removed), "{effects:?}");
}

#[test]
fn one_new_request_is_enough_for_the_mail_about_a_name_that_is_taken() {
    let settings = testing::settings();
    let snapshot = look(&settings, Entry::default(), None);
    let open = |id: &str| Open { key: key(CREATE), request: request(id), joined: true, seen: 1 };
    let claim = |b: &mut Builder<'_>| {
        [
            b.claim_occupied(&[]),
            b.claim_occupied(&[open("a")]),
            b.claim_occupied(&[open("a")]),
            b.claim_occupied(&[open("a"), open("b")]),
            b.claim_occupied(&[open("c"), open("d")]),
        ]
    };
    assert_eq!(with(&snapshot, claim).0, [false, true, false, true, true]);
}

#[test]
fn files_that_cannot_be_read_are_mailed_once_a_day_and_each_once() {
    let settings = testing::settings();
    let claim = |ago: Option<i64>, claimed: Option<(&str, MailKind)>| {
        let mut entry = Entry::default();
        if let Some((id, kind)) = claimed {
            entry.claim(&request(id), kind);
        }
        let mut snapshot = look(&settings, entry, None);
        snapshot.ledger.unreadable_mailed = ago.map(|ago| snapshot.now - SignedDuration::from_secs(ago));
        let now = snapshot.now;
        let (done, effects) = with(&snapshot, |b| {
            let claimed = b.claim_unreadable(&upload(CREATE, "a"));
            b.write_ledger();
            (claimed, b.mails_in_doubt)
        });
        let Some(Effect::WriteLedger { ledger, .. }) = effects.first() else { panic!("a ledger") };
        assert_eq!(ledger.unreadable_mailed == Some(now), done.0, "the day begins with the claim");
        done
    };
    assert_eq!(claim(None, None), (true, 0));
    assert_eq!(claim(Some(UNREADABLE_SECONDS - 1), None), (false, 0));
    assert_eq!(claim(Some(UNREADABLE_SECONDS), None), (true, 0));
    // It is claimed already, so another pass may have died before it sent it.
    assert_eq!(claim(Some(1), Some(("a", MailKind::Unreadable))), (false, 1));
    assert_eq!(claim(Some(1), Some(("a", MailKind::Ready))), (false, 0));
    assert_eq!(claim(Some(1), Some(("b", MailKind::Unreadable))), (false, 0));
    assert_eq!(claim(None, Some(("a", MailKind::Ready))), (true, 0));
}

#[test]
fn the_first_write_of_the_ledger_expects_what_was_read_and_the_next_its_own() {
    let settings = testing::settings();
    for (version, first) in [(None, Expect::Absent), (Some(etag("v")), Expect::Is(etag("v")))] {
        let mut snapshot = look(&settings, accepted(creating()), None);
        snapshot.ledger_etag.clone_from(&version);
        let ((), effects) = with(&snapshot, |b| {
            b.write_ledger();
            b.entry.phase = Phase::Ready;
            b.write_ledger();
        });
        let writes: Vec<_> = effects
            .iter()
            .map(|effect| match effect {
                Effect::WriteLedger { ledger, expect, .. } => (ledger.revision, expect.clone(), ledger.entry(&snapshot.cluster.name).phase),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(writes, [(1, first, creating()), (2, Expect::OwnWrite, Phase::Ready)]);
    }
}

#[test]
fn the_work_in_hand_answers_what_shares_in_it_and_the_upload_at_hand_once() {
    let settings = testing::settings();
    let mut entry = accepted(Phase::Deleting { since: at(0) });
    entry.note_open(&key(DELETE), &request("d"), true, 1);
    entry.note_open(&key("home/alice/x/demo.cf-delete"), &request("e"), true, 1);
    entry.note_open(&key("home/alice/y/demo.cf-delete"), &request("f"), false, 1);
    let mut snapshot = look(&settings, entry, Some(StackStatus::DeleteInProgress));
    snapshot.uploads = vec![
        upload(DELETE, "d"),
        upload("home/alice/x/demo.cf-delete", "e"),
        upload("home/alice/y/demo.cf-delete", "f"),
        upload("home/alice/z/demo.cf-delete", "g"),
    ];
    let names = |open: Vec<Open>| open.into_iter().map(|o| (o.request.to_string(), o.joined)).collect::<Vec<_>>();
    let joined = |id: &str| (id.to_owned(), true);
    let (found, _) = with(&snapshot, |b| {
        let at_hand = |nth: usize| Some(&snapshot.uploads[nth]);
        (
            names(b.joined(Verb::Delete)),
            names(b.owed(Verb::Delete, at_hand(0))),
            names(b.owed(Verb::Delete, at_hand(3))),
            names(b.owed(Verb::Create, None)),
        )
    });
    assert_eq!(found.0, [joined("d"), joined("e")]);
    assert_eq!(found.1, [joined("e"), joined("d")]);
    assert_eq!(found.2, [joined("d"), joined("e"), joined("g")]);
    assert_eq!(found.3, []);
}

#[test]
fn who_shared_in_a_lost_cluster_asks_anew_but_not_the_request_that_made_it() {
    let settings = testing::settings();
    let mut entry = accepted(Phase::Ready);
    entry.note_open(&key(CREATE), &request("a"), true, 1);
    entry.note_open(&key(ELSEWHERE), &request("b"), true, 1);
    entry.note_open(&key(DELETE), &request("d"), true, 1);
    let snapshot = look(&settings, entry, None);
    let (joined, _) = with(&snapshot, |b| {
        b.unjoin(Verb::Create);
        b.entry.open.iter().filter(|o| o.joined).map(|o| o.request.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(joined, ["a", "d"]);
}

/// The keys that a plan writes and removes.
fn changes(effects: &[Effect]) -> Vec<String> {
    let change = |effect: &Effect| match effect {
        Effect::WriteAnswer { key, expect, .. } => Some(format!("write {} {expect}", &**key)),
        Effect::RemoveAnswer { key, .. } => Some(format!("remove {}", &**key)),
        Effect::RemoveUpload { key, .. } => Some(format!("remove {}", &**key)),
        _ => None,
    };
    effects.iter().filter_map(change).collect()
}

#[test]
fn an_answer_replaces_the_others_beside_it_but_a_failure_does_not() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, accepted(Phase::Ready), None);
    let all = Answer::ALL.map(|answer| (key(CREATE).answer(answer), etag("old")));
    snapshot.answers = all.into();
    let created = Message::Created { login: "192.0.2.1".into() };
    let deleted = Message::ClearedAway { cluster: snapshot.cluster.name.clone(), at: at(2) };
    let failed = Message::Occupied { cluster: snapshot.cluster.name.clone() };
    let plan = |messages: &[&Message]| changes(&with(&snapshot, |b| messages.iter().for_each(|message| b.answer(&key(CREATE), message))).1);
    let (write, remove) =
        (|a: &str| format!("write home/alice/demo.cf-{a} (if unchanged)"), |a: &str| format!("remove home/alice/demo.cf-{a}"));
    assert_eq!(plan(&[&created]), [write("created"), remove("deleted"), remove("failed")]);
    assert_eq!(plan(&[&deleted]), [write("deleted"), remove("created"), remove("failed")]);
    assert_eq!(plan(&[&failed]), [write("failed")]);
    assert_eq!(plan(&[&failed, &failed]), [write("failed")], "once is enough");
    // What is to be written over is not removed before.
    assert_eq!(plan(&[&created, &failed]), [write("created"), remove("deleted"), write("failed")]);
}

#[test]
fn the_answer_about_a_tie_stands_beside_the_receipt_of_its_folder() {
    let settings = testing::settings();
    for (tied_at, stays) in [(Some(CREATE), true), (Some(ELSEWHERE), false), (None, false)] {
        let tied = tied_at.map(|tied_at| Tied { at: at(1), key: key(tied_at) });
        let mut snapshot = look(&settings, Entry { tied, ..accepted(Phase::Ready) }, None);
        snapshot.answers = [(key(CREATE).answer(Answer::Failed), etag("old"))].into();
        let deleted = Message::ClearedAway { cluster: snapshot.cluster.name.clone(), at: at(2) };
        let ((), effects) = with(&snapshot, |b| b.answer(&key(DELETE), &deleted));
        assert_eq!(changes(&effects).contains(&"remove home/alice/demo.cf-failed".to_owned()), !stays, "{tied_at:?}");
    }
}

#[test]
fn how_a_deletion_ends_is_written_where_remains_were_reported_and_still_are() {
    let settings = testing::settings();
    let entry = Entry { remains_reported: vec![key(CREATE), key(ELSEWHERE)], ..accepted(Phase::Stuck) };
    let mut snapshot = look(&settings, entry, None);
    snapshot.answers = [(key(ELSEWHERE).answer(Answer::Failed), etag("old"))].into();
    let deleted = Message::ClearedAway { cluster: snapshot.cluster.name.clone(), at: at(2) };
    let (left, effects) = with(&snapshot, |b| {
        b.answer_where_remains_were_reported(&deleted);
        b.entry.remains_reported.len()
    });
    assert_eq!(left, 0);
    assert_eq!(changes(&effects), ["write home/alice/x/demo.cf-deleted (if absent)", "remove home/alice/x/demo.cf-failed"]);
}

#[test]
fn a_settled_upload_goes_and_the_last_write_says_so() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, accepted(Phase::Ready), Some(StackStatus::CreateComplete));
    snapshot.uploads = vec![upload(CREATE, "a"), upload(ELSEWHERE, "b")];
    for (settled, looks_again) in [(vec!["a"], true), (vec!["a", "b"], false), (vec![], true)] {
        let (again, effects) = with(&snapshot, |b| {
            for id in &settled {
                b.settle(&request(id));
            }
            b.close();
            b.look_again
        });
        assert_eq!(again, looks_again, "{settled:?}");
        assert_eq!(changes(&effects).len(), settled.len());
        let Some(Effect::WriteLedger { ledger, .. }) = effects.last() else { panic!("the ledger is last") };
        let entry = ledger.entry(&snapshot.cluster.name);
        assert!(settled.iter().all(|id| entry.has_answered(&request(id))) && entry.answered.len() == settled.len());
    }
    let (again, effects) = with(&snapshot, |b| {
        b.close_settled();
        b.settle(&request("a"));
        b.close_settled();
        b.look_again
    });
    assert!(!again && effects.iter().filter(|e| matches!(e, Effect::WriteLedger { .. })).count() == 1, "nothing is closed for nothing");
}

#[test]
fn what_is_left_over_is_tried_once_more_and_remembered() {
    let settings = testing::settings();
    let mut entry = accepted(Phase::Ready);
    entry.note_answered(&request("b"));
    let mut snapshot = look(&settings, entry, Some(StackStatus::CreateComplete));
    snapshot.uploads = vec![Upload { is_withheld: true, ..upload(ELSEWHERE, "b") }, upload(CREATE, "a")];
    let (is_changed, effects) = with(&snapshot, |b| {
        b.remove_left_over();
        b.is_entry_changed()
    });
    assert!(is_changed, "the left-over request and the open one are noted");
    assert_eq!(changes(&effects), ["remove home/alice/x/demo.cf-create"]);
    let quiet = look(&settings, Entry { stack: Some(crate::stack::StackId("s".into())), ..accepted(Phase::Ready) }, None);
    assert!(!with(&quiet, |b| b.is_entry_changed()).0);
    let stack = look(&settings, accepted(Phase::Ready), Some(StackStatus::CreateComplete));
    assert!(with(&stack, |b| b.is_entry_changed()).0, "the stack is new to it");
}

/// A status file as it was read.
#[test]
fn two_requests_of_one_second_are_tied_unless_their_folder_shows_their_order() {
    let settings = testing::settings();
    let tie = |last_delete: (i64, Option<(&str, u64)>)| {
        let (seconds, sighting) = last_delete;
        let sighting = sighting.map(|(folder, seen)| FirstSeen { folder: key(folder).folder, seen });
        let entry = Entry { last_delete: Some(at(seconds)), last_delete_seen: sighting, ..Entry::default() };
        let mut snapshot = look(&settings, entry, None);
        snapshot.ledger.revision = 6;
        snapshot.uploads = vec![upload(CREATE, "a")];
        with(&snapshot, |b| b.tie(&snapshot.uploads[0], None)).0.map(|tied| (tied.at, tied.key))
    };
    let tied = Some((at(1), key(CREATE)));
    assert_eq!(tie((1, None)), tied);
    assert_eq!(tie((0, None)), None, "the create is surely the later");
    assert_eq!(tie((2, None)), None, "the delete is surely the later");
    assert_eq!(tie((1, Some((CREATE, 7)))), tied, "noted by the same pass");
    assert_eq!(tie((1, Some((CREATE, 6)))), None);
    assert_eq!(tie((1, Some((ELSEWHERE, 6)))), tied);
}

#[path = "builder_status_tests.rs"]
mod status;
