//! Ledgers and status files: what is written is read again, its bounds hold, and any bytes are a ledger or none.

use arbitrary::Unstructured;
use cf_core::key::{self, Reading, UploadKey};
use cf_core::ledger::{ANSWERED_MAX, Accepted, End, Entry, HISTORY_MAX, Ledger, MailKind, OPEN_MAX, Phase};
use cf_core::names::ClusterName;
use cf_core::node_reports::NodesShown;
use cf_core::request::RequestId;
use cf_core::stack::StackId;
use cf_core::status::{Progress, State, Status};
use jiff::Timestamp;

use crate::drive::{pick, spoil, target, text, upto};

target!(
    /// Any bytes as a ledger and as a status file, and ours with bytes changed.
    any_bytes,
    one in 1,
    reached ["a ledger", "no ledger"],
    |bytes: &[u8]| {
        reads_again(bytes);
        let u = &mut Unstructured::new(bytes);
        let mut spoiled = serde_json::to_vec(&ledger(u)).expect("a ledger has a JSON form");
        spoil(u, &mut spoiled);
        reads_again(&spoiled)
    }
);

target!(
    /// What the functions write, they read.
    written_is_read,
    one in 1,
    reached ["clusters", "no clusters"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let ledger = ledger(u);
        let what = if ledger.clusters.is_empty() { "no clusters" } else { "clusters" };
        let written = serde_json::to_vec(&ledger).expect("a ledger has a JSON form");
        assert_eq!(serde_json::from_slice::<Ledger>(&written).ok(), Some(ledger));
        let status = status(u);
        assert_eq!(serde_json::from_str::<Status>(&status.text()).ok().as_ref(), Some(&status));
        assert!(status.text().ends_with("}\n") && !status.says_more_than(&status));
        what
    }
);

target!(
    /// However a ledger is changed, it stays small and says each thing once.
    bounds_hold,
    one in 2,
    reached ["a full history", "a history"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut ledger = Ledger::default();
        for nth in 0..upto(u, 2 * HISTORY_MAX) {
            let gone = Entry { phase: Phase::Gone { at: time(u), end: End::Deleted }, ..Entry::default() };
            ledger = ledger.with(&ClusterName::parse(&format!("old{nth}")).expect("a legal name"), gone);
        }
        while !u.is_empty() {
            let name = name(u);
            let mut entry = ledger.entry(&name);
            (0..=upto(u, 3)).for_each(|_| change(u, &mut entry));
            let before = ledger.revision;
            ledger = ledger.with(&name, entry.clone());
            assert_eq!(ledger.revision, before + 1);
            let kept = ledger.entry(&name);
            assert!(kept == entry || (kept == Entry::default() && entry.open.is_empty()), "{entry:?} became {kept:?}");
        }
        let ended = ledger.clusters.values().filter(|e| matches!(e.phase, Phase::Gone { .. } | Phase::New) && e.open.is_empty()).count();
        assert!(ended <= HISTORY_MAX, "{ended} ended clusters");
        for entry in ledger.clusters.values() {
            assert!(entry.answered.len() <= ANSWERED_MAX && entry.mails.len() <= ANSWERED_MAX && entry.announced.len() <= OPEN_MAX, "{entry:?}");
            assert!(!entry.open.iter().any(|open| entry.has_answered(&open.request)), "open and answered: {entry:?}");
        }
        if ended == HISTORY_MAX { "a full history" } else { "a history" }
    }
);

/// Never a panic; and what can be read is written and read as the same.
fn reads_again(bytes: &[u8]) -> &'static str {
    let is_ledger = serde_json::from_slice::<Ledger>(bytes).is_ok();
    if let Ok(ledger) = serde_json::from_slice::<Ledger>(bytes) {
        let written = serde_json::to_vec(&ledger).expect("a ledger has a JSON form");
        assert_eq!(serde_json::from_slice::<Ledger>(&written).ok(), Some(ledger));
    }
    if let Ok(status) = serde_json::from_slice::<Status>(bytes) {
        assert_eq!(serde_json::from_str::<Status>(&status.text()).ok(), Some(status));
    }
    if is_ledger { "a ledger" } else { "no ledger" }
}

fn change(u: &mut Unstructured<'_>, entry: &mut Entry) {
    let (key, request) = (upload(u), request(u));
    match upto(u, 6) {
        0 | 1 if !entry.is_crowded_for(&key) && !entry.has_answered(&request) => {
            entry.note_open(&key, &request, u.arbitrary().unwrap_or(false), u.arbitrary().unwrap_or(0));
            assert!(entry.open.len() <= 2 * OPEN_MAX && entry.open.iter().filter(|o| o.request == request).count() == 1);
            assert!(entry.open.iter().filter(|o| o.key == key).count() <= 2, "one joined, one that waits");
        }
        2 => {
            entry.note_answered(&request);
            assert!(entry.has_answered(&request) && entry.open.iter().all(|o| o.request != request));
        }
        3 => {
            let kind = kind(u);
            let claimed = entry.claim(&request, kind);
            assert!(!entry.claim(&request, kind) || !claimed, "a mail is claimed once");
        }
        4 => entry.note_announced(&key),
        _ => entry.phase = phase(u),
    }
}

fn ledger(u: &mut Unstructured<'_>) -> Ledger {
    let clusters = (0..upto(u, 4)).map(|_| (name(u), entry(u))).collect();
    Ledger { revision: u.arbitrary().unwrap_or(0), clusters, unreadable_mailed: None }
}

fn entry(u: &mut Unstructured<'_>) -> Entry {
    let mut entry = Entry { phase: phase(u), ..Entry::default() };
    if upto(u, 1) == 0 {
        let parameters = (0..upto(u, 3)).map(|_| (text(u), text(u))).collect();
        let defaults = (0..upto(u, 2)).map(|_| (text(u), text(u))).collect();
        entry.accepted = Some(Accepted { request: request(u), key: upload(u), at: time(u), parameters, defaults });
        entry.stack = Some(StackId(text(u)));
    }
    (0..upto(u, 5)).for_each(|_| change(u, &mut entry));
    entry
}

fn status(u: &mut Unstructured<'_>) -> Status {
    use State::{Creating, Deleted, Deleting, Failed, Ready, Scheduled};
    Status {
        cluster: text(u),
        state: pick(u, &[Scheduled, Creating, Ready, Deleting, Deleted, Failed]),
        message: text(u),
        progress: (upto(u, 1) == 0).then(|| Progress { done: upto(u, 99), total: upto(u, 99) }),
        login: (upto(u, 1) == 0).then(|| text(u)),
        login_command: (upto(u, 1) == 0).then(|| text(u)),
        types: (0..upto(u, 2)).map(|_| (text(u), text(u))).collect(),
        reported: NodesShown::default(),
        stack: text(u),
        request: request(u),
        since: time(u),
        updated: time(u),
    }
}

fn name(u: &mut Unstructured<'_>) -> ClusterName {
    ClusterName::parse(&format!("c{}", upto(u, 80))).expect("a legal name")
}

fn upload(u: &mut Unstructured<'_>) -> UploadKey {
    let folder = pick(u, &["", "", "old runs/", "é\u{202e}/"]);
    let text = format!("home/alice/{folder}c{}{}", upto(u, 80), pick(u, &[".cf-create", ".cf-delete"]));
    match key::read(&text) {
        Reading::Request(key) => key,
        other => panic!("{text} is {other:?}"),
    }
}

/// From few, so that they meet; as a stack's tag gives them, so any text may be one.
fn request(u: &mut Unstructured<'_>) -> RequestId {
    if upto(u, 9) == 0 { RequestId::from_tag(&text(u)) } else { RequestId::from_tag(&format!("{:016}", upto(u, 40))) }
}

fn kind(u: &mut Unstructured<'_>) -> MailKind {
    pick(u, &[MailKind::Ready, MailKind::Failed, MailKind::Gone, MailKind::Stuck, MailKind::Occupied])
}

fn time(u: &mut Unstructured<'_>) -> Timestamp {
    Timestamp::from_second(i64::from(u.arbitrary::<i32>().unwrap_or(0))).unwrap_or_default()
}

fn phase(u: &mut Unstructured<'_>) -> Phase {
    let at = time(u);
    let end = pick(u, &[End::Deleted, End::Removed, End::Failed]);
    match upto(u, 8) {
        0 => Phase::New,
        1 => Phase::Creating { since: at },
        2 => Phase::Ready,
        3 => Phase::Failing,
        4 => Phase::Deleting { since: at },
        5 => Phase::Unwanted { since: at },
        6 => Phase::Stuck,
        _ => Phase::Gone { at, end },
    }
}
