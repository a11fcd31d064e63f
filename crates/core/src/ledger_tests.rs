//! What the ledger keeps, what it forgets, and what it says is owed.

use jiff::Timestamp;

use super::*;
use crate::key::{self, Reading};
use crate::testing;

fn name(name: &str) -> ClusterName {
    testing::cluster("alice", name).name
}

fn key_at(folder: &str, file: &str) -> UploadKey {
    match key::read(&format!("home/alice/{folder}{file}")) {
        Reading::Request(key) => key,
        other => panic!("{folder}{file}: {other:?}"),
    }
}

fn create(folder: &str) -> UploadKey {
    key_at(folder, "demo.cf-create")
}

fn delete(folder: &str) -> UploadKey {
    key_at(folder, "demo.cf-delete")
}

fn request(text: &str) -> RequestId {
    RequestId::from_tag(text)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn in_phase(phase: Phase) -> Entry {
    Entry { phase, ..Entry::default() }
}

fn gone(second: i64) -> Entry {
    in_phase(Phase::Gone { at: at(second), end: End::Deleted })
}

const fn creating() -> Phase {
    Phase::Creating { since: Timestamp::UNIX_EPOCH }
}

/// Every phase, and whether it is owed by itself, and lives.
fn phases() -> [(Phase, bool, bool); 8] {
    let since = at(0);
    [
        (Phase::New, false, false),
        (Phase::Creating { since }, true, true),
        (Phase::Ready, false, true),
        (Phase::Failing, true, true),
        (Phase::Deleting { since }, true, true),
        (Phase::Unwanted { since }, true, true),
        (Phase::Stuck, false, true),
        (Phase::Gone { at: since, end: End::Failed }, false, false),
    ]
}

#[test]
fn a_ledgers_key_names_its_user_and_no_other_key_does() {
    let alice = testing::cluster("alice", "demo").user;
    assert_eq!(user_of(&key(&alice)), Some(alice));
    for other in
        ["ledger/alice", "ledger/.json", "alice.json", "ledger/alice.json.old", "sweep/seen.json", "ledger/a/b.json", "Ledger/alice.json"]
    {
        assert_eq!(user_of(other), None, "{other}");
    }
}

#[test]
fn each_write_has_the_next_revision_and_an_empty_entry_is_no_line() {
    let first = Ledger::default().with(&name("demo"), in_phase(Phase::Ready));
    assert_eq!((first.revision, first.clusters.len()), (1, 1));
    let second = first.with(&name("other"), in_phase(Phase::Stuck));
    assert_eq!((second.revision, second.clusters.len()), (2, 2));
    assert_eq!(second.entry(&name("demo")), in_phase(Phase::Ready));
    let third = second.with(&name("demo"), Entry::default());
    assert_eq!(third.revision, 3);
    assert_eq!(third.clusters.keys().collect::<Vec<_>>(), [&name("other")]);
    assert_eq!(third.entry(&name("demo")), Entry::default());
}

#[test]
fn what_lives_is_what_may_cost_money() {
    for (phase, _, lives) in phases() {
        let ledger = Ledger::default().with(&name("demo"), Entry { login: Some("x".into()), ..in_phase(phase) });
        let living: Vec<ClusterName> = ledger.living().cloned().collect();
        assert_eq!(living, if lives { vec![name("demo")] } else { vec![] }, "{phase}");
    }
}

#[test]
fn a_pass_is_owed_to_what_is_under_way_and_to_each_upload_without_an_answer() {
    for (phase, owed, _) in phases() {
        let mut entry = in_phase(phase);
        assert_eq!(entry.is_owed(), owed, "{phase}");
        entry.note_open(&create(""), &request("a"), false, 1);
        assert!(entry.is_owed(), "{phase} with an open upload");
    }
}

#[test]
fn reports_are_owed_to_a_cluster_that_is_ready_and_to_no_other() {
    for (phase, owed, _) in phases() {
        let entry = Entry { reports_owed: true, ..in_phase(phase) };
        assert_eq!(entry.is_owed(), owed || phase == Phase::Ready, "{phase}");
    }
}

#[test]
fn only_the_latest_ended_clusters_are_remembered_and_none_that_is_owed_or_lives_is_forgotten() {
    let mut ledger = Ledger::default();
    let refused = Entry { answered: vec![request("r")], ..Entry::default() };
    let mut waiting = gone(-2);
    waiting.note_open(&create(""), &request("w"), false, 1);
    ledger = ledger.with(&name("waiting"), waiting.clone()).with(&name("ready"), in_phase(Phase::Ready));
    for nth in 0..i64::try_from(HISTORY_MAX).unwrap() {
        ledger = ledger.with(&name(&format!("ended{nth}")), gone(nth));
    }
    assert_eq!(ledger.clusters.len(), HISTORY_MAX + 2, "the history is full and nothing is forgotten yet");
    // A name that was only ever refused is the first to go, then the one that ended first.
    ledger = ledger.with(&name("refused"), refused);
    assert_eq!(ledger.entry(&name("refused")), Entry::default());
    assert_eq!(ledger.clusters.len(), HISTORY_MAX + 2);
    ledger = ledger.with(&name("latest"), gone(1000));
    assert_eq!(ledger.entry(&name("ended0")), Entry::default());
    assert_eq!(ledger.entry(&name("ended1")), gone(1));
    assert_eq!(ledger.entry(&name("waiting")), waiting);
    assert_eq!(ledger.entry(&name("ready")), in_phase(Phase::Ready));
}

#[test]
fn an_upload_keeps_its_place_and_one_that_is_put_again_takes_the_place_of_the_one_before() {
    let mut entry = Entry::default();
    entry.note_open(&create(""), &request("a"), false, 1);
    entry.note_open(&create("x/"), &request("b"), false, 2);
    // Known already: it joins, and keeps when it was first seen.
    entry.note_open(&create(""), &request("a"), true, 9);
    let seen: Vec<(String, bool, u64)> = entry.open.iter().map(|o| (o.request.to_string(), o.joined, o.seen)).collect();
    assert_eq!(seen, [("a".into(), true, 1), ("b".into(), false, 2)]);
    // Another file at a joined one's key waits beside it; a third one takes the waiting one's place.
    entry.note_open(&create(""), &request("c"), false, 3);
    entry.note_open(&create(""), &request("d"), false, 4);
    let seen: Vec<(String, bool, u64)> = entry.open.iter().map(|o| (o.request.to_string(), o.joined, o.seen)).collect();
    assert_eq!(seen, [("a".into(), true, 1), ("b".into(), false, 2), ("d".into(), false, 4)]);
    // It joins too: then it stands for the joined one, and is there once.
    entry.note_open(&create(""), &request("d"), true, 5);
    let seen: Vec<(String, bool, u64)> = entry.open.iter().map(|o| (o.request.to_string(), o.joined, o.seen)).collect();
    assert_eq!(seen, [("d".into(), true, 4), ("b".into(), false, 2)]);
}

#[test]
fn only_joined_uploads_of_the_verb_share_the_answer() {
    let mut entry = Entry::default();
    entry.note_open(&create(""), &request("a"), true, 1);
    entry.note_open(&create("x/"), &request("b"), false, 1);
    entry.note_open(&delete(""), &request("c"), true, 1);
    let of = |verb| entry.joined(verb).map(|o| o.request.to_string()).collect::<Vec<_>>();
    assert_eq!((of(Verb::Create), of(Verb::Delete)), (vec!["a".to_owned()], vec!["c".to_owned()]));
}

#[test]
fn the_mail_of_a_removal_follows_its_file_where_that_is_put_again() {
    let mut entry = Entry::default();
    entry.note_open(&delete(""), &request("d1"), true, 1);
    entry.note_open(&create(""), &request("c1"), true, 1);
    assert!(entry.claim(&request("d1"), MailKind::Gone) && entry.claim(&request("c1"), MailKind::Ready));
    entry.note_open(&delete(""), &request("d2"), true, 2);
    entry.note_open(&create(""), &request("c2"), true, 2);
    assert!(!entry.claim(&request("d2"), MailKind::Gone), "the same news, under the new file's name");
    assert!(entry.claim(&request("c2"), MailKind::Ready), "another create is other news");
}

#[test]
fn a_mail_is_claimed_once_for_each_request_and_kind_and_old_claims_are_forgotten() {
    let mut entry = Entry::default();
    assert!(entry.claim(&request("a"), MailKind::Ready));
    assert!(!entry.claim(&request("a"), MailKind::Ready));
    assert!(entry.claim(&request("a"), MailKind::Gone) && entry.claim(&request("b"), MailKind::Ready));
    for nth in 0..ANSWERED_MAX - 1 {
        assert!(entry.claim(&request(&format!("n{nth}")), MailKind::Ready));
    }
    assert_eq!(entry.mails.len(), ANSWERED_MAX);
    assert!(!entry.claim(&request("b"), MailKind::Ready), "the last ones are still known");
    assert!(entry.claim(&request("a"), MailKind::Gone), "older ones are not");
}

#[test]
fn an_answered_request_is_open_no_more_and_the_last_few_are_remembered() {
    let mut entry = Entry::default();
    entry.note_open(&create(""), &request("a"), true, 1);
    entry.note_open(&delete(""), &request("b"), true, 1);
    entry.note_answered(&request("a"));
    assert_eq!(entry.open.iter().map(|o| o.request.to_string()).collect::<Vec<_>>(), ["b"]);
    for nth in 1..ANSWERED_MAX {
        entry.note_answered(&request(&format!("n{nth}")));
    }
    assert!(entry.has_answered(&request("a")));
    // Once more: it is the latest now, and there once.
    entry.note_answered(&request("a"));
    assert_eq!(entry.answered.len(), ANSWERED_MAX);
    entry.note_answered(&request("last"));
    assert!(entry.has_answered(&request("a")) && !entry.has_answered(&request("n1")));
    assert_eq!(entry.answered.len(), ANSWERED_MAX);
}

#[test]
fn what_cannot_be_removed_is_remembered_once_and_not_for_ever() {
    let mut entry = Entry::default();
    for nth in 0..ANSWERED_MAX {
        entry.note_left_over(&request(&format!("n{nth}")));
        entry.note_left_over(&request("n0"));
    }
    assert_eq!(entry.left_over.len(), ANSWERED_MAX);
    entry.note_left_over(&request("last"));
    assert_eq!(entry.left_over.len(), ANSWERED_MAX);
    assert!(entry.left_over.contains(&request("last")) && !entry.left_over.contains(&request("n0")));
}

#[test]
fn so_many_files_may_wait_and_one_more_is_one_too_many_unless_it_is_put_again() {
    let mut entry = Entry::default();
    for nth in 0..OPEN_MAX {
        assert!(!entry.is_crowded_for(&create("new/")), "{nth} wait");
        entry.note_open(&create(&format!("f{nth}/")), &request(&format!("r{nth}")), false, 1);
    }
    assert!(entry.is_crowded_for(&create("new/")) && entry.is_crowded_for(&delete("f0/")));
    assert!(!entry.is_crowded_for(&create("f0/")));
}

fn made_in(folder: &str) -> Entry {
    let key = create(folder);
    let accepted = Accepted { request: request("a"), key, at: at(0), parameters: BTreeMap::new(), defaults: BTreeMap::new() };
    Entry { accepted: Some(accepted), ..in_phase(creating()) }
}

#[test]
fn an_address_is_given_in_so_many_folders_beside_the_accepted_one() {
    let mut entry = made_in("own/");
    entry.note_announced(&create("own/"));
    assert!(entry.announced.is_empty(), "the accepted create's folder is known anyway");
    for nth in 0..OPEN_MAX {
        assert!(!entry.cannot_announce_in(&create("new/")), "{nth} folders");
        entry.note_announced(&create(&format!("f{nth}/")));
        entry.note_announced(&key_at(&format!("f{nth}/"), "demo.cf-create"));
    }
    assert_eq!(entry.announced.len(), OPEN_MAX);
    assert!(entry.cannot_announce_in(&create("new/")));
    assert!(!entry.cannot_announce_in(&create("f3/")) && !entry.cannot_announce_in(&create("own/")));
    for nth in OPEN_MAX..=2 * OPEN_MAX {
        entry.note_announced(&create(&format!("f{nth}/")));
    }
    assert_eq!(entry.announced.len(), 2 * OPEN_MAX);
    assert_eq!(entry.announced[0], create("f1/"));
}

#[test]
fn folders_that_report_remains_are_noted_once_and_bounded() {
    let mut entry = made_in("own/");
    for nth in 0..2 * OPEN_MAX {
        entry.note_remains_reported(&create(&format!("f{nth}/")));
        entry.note_remains_reported(&delete(&format!("f{nth}/")));
    }
    assert_eq!(entry.remains_reported.len(), 2 * OPEN_MAX);
    entry.note_remains_reported(&create("last/"));
    assert_eq!(entry.remains_reported.len(), 2 * OPEN_MAX);
    assert_eq!((&entry.remains_reported[0], entry.remains_reported.last()), (&create("f1/"), Some(&create("last/"))));
}

fn seen_at(second: i64, folder: &str, seen: u64) -> RequestTime {
    RequestTime { at: at(second), sighting: Some(FirstSeen { folder: create(folder).folder, seen }) }
}

const fn unseen(at: Timestamp) -> RequestTime {
    RequestTime { at, sighting: None }
}

#[test]
fn of_two_requests_the_later_second_counts_and_within_one_second_of_one_folder_the_earlier_sighting() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    assert_eq!(seen_at(1, "x/", 9).order(&seen_at(2, "x/", 1)), Some(Less));
    assert_eq!(seen_at(2, "x/", 1).order(&seen_at(1, "x/", 9)), Some(Greater));
    assert_eq!(seen_at(1, "x/", 1).order(&seen_at(1, "x/", 2)), Some(Less));
    assert_eq!(seen_at(1, "x/", 2).order(&seen_at(1, "x/", 1)), Some(Greater));
    for other in [seen_at(1, "y/", 2), seen_at(1, "x/", 1), unseen(at(1))] {
        assert_ne!(seen_at(1, "x/", 1).order(&other), Some(Equal));
        assert_eq!(seen_at(1, "x/", 1).order(&other), None, "{other:?}");
    }
}

#[test]
fn the_latest_request_is_kept_whatever_comes_later_by_event() {
    for (verb, other) in [(Verb::Create, Verb::Delete), (Verb::Delete, Verb::Create)] {
        let mut entry = Entry::default();
        entry.note_request_time(verb, &seen_at(5, "x/", 5));
        assert_eq!((entry.last(verb), entry.last(other)), (Some(seen_at(5, "x/", 5)), None));
        for earlier in [seen_at(4, "x/", 9), seen_at(5, "x/", 4), unseen(at(4))] {
            entry.note_request_time(verb, &earlier);
            assert_eq!(entry.last(verb), Some(seen_at(5, "x/", 5)), "{earlier:?}");
        }
        // Of one second, with nothing that orders them: the one that is heard of last.
        for later in [unseen(at(5)), seen_at(5, "y/", 1), seen_at(5, "y/", 2), seen_at(6, "x/", 1)] {
            entry.note_request_time(verb, &later);
            assert_eq!(entry.last(verb), Some(later.clone()), "{later:?}");
        }
    }
}

#[test]
fn a_delete_is_superseded_by_a_later_create_that_lives_and_a_create_by_a_delete_unless_it_is_surely_later() {
    for (phase, _, _) in phases() {
        let mut entry = in_phase(phase);
        assert!(!entry.supersedes_delete(&unseen(at(1))), "no create is known");
        entry.note_request_time(Verb::Create, &unseen(at(5)));
        let lives = matches!(phase, Phase::Creating { .. } | Phase::Ready);
        assert_eq!(entry.supersedes_delete(&unseen(at(4))), lives, "{phase}");
        assert!(!entry.supersedes_delete(&unseen(at(5))) && !entry.supersedes_delete(&unseen(at(6))), "{phase}");
    }
    let mut entry = Entry::default();
    assert!(!entry.supersedes_create(&unseen(at(1))), "no delete is known");
    entry.note_request_time(Verb::Delete, &unseen(at(5)));
    assert!(entry.supersedes_create(&unseen(at(4))) && entry.supersedes_create(&unseen(at(5))));
    assert!(!entry.supersedes_create(&unseen(at(6))));
}

/// A ledger that an earlier version wrote is read; what it names in its own words too.
#[test]
fn an_entry_is_written_and_read_back() {
    let mut entry = made_in("own/");
    entry.note_open(&create("x/"), &request("b"), true, 3);
    entry.note_remains_reported(&create("x/"));
    let ledger = Ledger::default().with(&name("demo"), entry);
    let text = serde_json::to_string(&ledger).unwrap();
    assert!(text.contains("\"warned\":["), "{text}");
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
}
