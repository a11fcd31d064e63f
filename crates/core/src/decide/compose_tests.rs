//! Which message is made of what was observed, and with which values.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::causes::{Causes, Failed};
use crate::fault::{Call, Fault, Kind};
use crate::ledger::{Entry, Ledger};
use crate::node_reports::ObservedReports;
use crate::profile::Profile;
use crate::request::RequestId;
use crate::settings::Settings;
use crate::snapshot::ObservedStack;
use crate::stack::{Stack, StackId, tags};
use crate::testing;

const NO_CAPACITY: &str = "We currently do not have sufficient c4.large capacity (Service: Ec2; Error Code: InsufficientInstanceCapacity)";

pub(in crate::decide) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The cluster `demo` of alice, its entry, and its stack.
pub(in crate::decide) fn look(settings: &Settings, entry: Entry, status: Option<StackStatus>) -> Snapshot<'_> {
    let cluster = testing::cluster("alice", "demo");
    let stack = |status| Stack {
        id: StackId("arn:aws:cloudformation:eu-west-2:123456789012:stack/x/1".into()),
        status,
        reason: Some("The following resource(s) failed".into()),
        tags: tags(&cluster, &RequestId::from_tag("0123456789abcdef"), &settings.deployment),
        parameters: BTreeMap::new(),
        outputs: BTreeMap::new(),
        parent: None,
    };
    Snapshot {
        now: at(100),
        settings,
        ledger: Ledger { clusters: [(cluster.name.clone(), entry)].into(), ..Ledger::default() },
        ledger_etag: None,
        uploads: Vec::new(),
        answers: BTreeMap::new(),
        statuses: BTreeMap::new(),
        status_file: None,
        stack: status.map_or(ObservedStack::Absent, |status| ObservedStack::Ours(Box::new(stack(status)))),
        profile: Profile::with_script(),
        is_foundation_old: false,
        causes: Causes::default(),
        progress: None,
        reports: ObservedReports::NotRead,
        refusal: None,
        cluster,
    }
}

pub(in crate::decide) fn in_phase(phase: Phase) -> Entry {
    Entry { phase, ..Entry::default() }
}

fn event(failed: Failed, logical: &str, reason: &str) -> causes::Cause {
    let kind = "AWS::EC2::Instance".to_owned();
    causes::Cause { at: at(1), failed, logical: logical.into(), kind, physical: String::new(), reason: reason.into() }
}

/// A node that was not made, and a group that is left.
fn failed_stack() -> Causes {
    let found = vec![event(Failed::Creation, "LoginNode", NO_CAPACITY), event(Failed::Removal, "Group", "has a dependent object")];
    Causes { found, unread: Vec::new() }
}

fn unread() -> Fault {
    Fault::new(Kind::Rejected, Call::DescribeStackEvents, "AccessDenied")
}

fn names(causes: &[Cause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.logical.as_str()).collect()
}

#[test]
fn the_receipt_says_how_a_cluster_ended_and_when() {
    let settings = testing::settings();
    let of = |phase| receipt(&look(&settings, in_phase(phase), None));
    let gone = |end| Phase::Gone { at: at(7), end };
    assert!(matches!(of(gone(End::Failed)), Message::ClearedAway { at: when, .. } if when == at(7)));
    assert!(matches!(of(gone(End::Removed)), Message::Removed { at: when, .. } if when == at(7)));
    assert!(matches!(of(gone(End::Deleted)), Message::Deleted { at: when, .. } if when == at(7)));
    assert!(matches!(of(Phase::Ready), Message::Deleted { at: when, .. } if when == at(100)));
}

#[test]
fn a_failed_creation_gives_its_causes_and_what_becomes_of_its_parts() {
    let settings = testing::settings();
    for &status in StackStatus::ALL {
        let mut snapshot = look(&settings, in_phase(Phase::Failing), Some(status));
        snapshot.causes = failed_stack();
        let Message::Failed { causes, stack, rest, .. } = failed(&snapshot) else { panic!("another message") };
        assert_eq!((names(&causes), stack), (vec!["LoginNode"], None));
        assert_eq!(causes[0].advice, Advice::TryLater { zones: vec![] });
        match status {
            StackStatus::DeleteFailed => assert!(matches!(rest, Rest::Stuck(left) if names(&left) == ["Group"])),
            StackStatus::RollbackFailed => assert!(matches!(rest, Rest::Tried(left) if names(&left) == ["Group"])),
            StackStatus::RollbackComplete | StackStatus::DeleteComplete => assert_eq!(rest, Rest::Gone),
            _ => assert_eq!(rest, Rest::Going, "{status}"),
        }
    }
}

#[test]
fn the_stacks_own_reason_is_given_where_the_lists_show_nothing_or_not_all() {
    let settings = testing::settings();
    let reason = |causes: Causes| {
        let mut snapshot = look(&settings, in_phase(Phase::Failing), Some(StackStatus::RollbackInProgress));
        snapshot.causes = causes;
        let Message::Failed { stack, .. } = failed(&snapshot) else { panic!("another message") };
        stack
    };
    let own = |is_unread| Some(StackReason { reason: Some("The following resource(s) failed".into()), is_unread });
    assert_eq!(reason(failed_stack()), None);
    assert_eq!(reason(Causes::default()), own(false));
    assert_eq!(reason(Causes { unread: vec![unread()], ..failed_stack() }), own(true));
    assert_eq!(reason(Causes { unread: vec![unread()], ..Causes::default() }), own(true));
}

#[test]
fn a_stuck_cluster_was_made_unless_its_creation_failed() {
    let settings = testing::settings();
    let deleting = Phase::Deleting { since: at(0) };
    let with_login = |phase| Entry { login: Some("192.0.2.1".into()), ..in_phase(phase) };
    let left_only = || Causes { found: failed_stack().found.split_off(1), unread: Vec::new() };
    let cases = [
        (with_login(deleting), failed_stack(), true),
        (with_login(Phase::Failing), left_only(), true),
        (in_phase(deleting), left_only(), true),
        (in_phase(deleting), failed_stack(), false),
        (in_phase(Phase::Failing), left_only(), false),
        (in_phase(Phase::Failing), failed_stack(), false),
    ];
    for (entry, found, expected) in cases {
        let mut snapshot = look(&settings, entry.clone(), Some(StackStatus::DeleteFailed));
        snapshot.causes = found.clone();
        let Message::Stuck { was_made, causes, remains, .. } = stuck(&snapshot) else { panic!("another message") };
        assert_eq!(was_made, expected, "{entry:?} {found:?}");
        assert_eq!(causes.is_empty(), expected || found.of_creation().count() == 0);
        assert_eq!((names(&remains.resources), remains.stack), (vec!["Group"], None));
    }
}

#[test]
fn what_holds_the_name_is_a_change_set_or_what_is_left() {
    let settings = testing::settings();
    let planned = look(&settings, Entry::default(), Some(StackStatus::ReviewInProgress));
    assert!(matches!(leftover(&planned), Message::Planned { .. }));
    let mut stuck = look(&settings, Entry::default(), Some(StackStatus::DeleteFailed));
    stuck.causes = failed_stack();
    let Message::Leftover { remains, .. } = leftover(&stuck) else { panic!("another message") };
    assert_eq!(names(&remains.resources), ["Group"]);
}

#[test]
fn a_refusal_comes_with_advice_and_an_unknown_one_with_the_administrator() {
    let settings = testing::settings();
    let snapshot = look(&settings, Entry::default(), None);
    let advice = |why: &str| match declined(&snapshot, why) {
        Message::Declined { advice, .. } => advice,
        other => panic!("{other:?}"),
    };
    assert_eq!(advice("no words that anybody knows"), Advice::AdministratorKnows);
    assert_eq!(advice(NO_CAPACITY), Advice::TryLater { zones: vec![] });
}

#[test]
fn a_stack_that_cannot_be_deleted_repeats_how_its_creation_failed() {
    let settings = testing::settings();
    let of = |status, why: &str| {
        let mut snapshot = look(&settings, in_phase(Phase::Failing), Some(status));
        snapshot.causes = failed_stack();
        match undeletable(&snapshot, why) {
            Message::Undeletable { is_protected, creation, left, .. } => {
                assert_eq!(names(&left), ["Group"]);
                (is_protected, creation.map(|creation| (names(&creation.causes) == ["LoginNode"], creation.is_cleared)))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(StackStatus::CreateComplete, "TerminationProtection is enabled"), (true, None));
    assert_eq!(of(StackStatus::CreateFailed, "AccessDenied"), (false, Some((true, false))));
    assert_eq!(of(StackStatus::RollbackFailed, "AccessDenied"), (false, Some((true, false))));
    assert_eq!(of(StackStatus::RollbackComplete, "AccessDenied"), (false, Some((true, true))));
}

#[test]
fn a_deletion_says_what_it_waits_for() {
    let settings = testing::settings();
    let of = |status| deleting(&look(&settings, Entry::default(), status));
    assert_eq!(of(Some(StackStatus::UpdateInProgress)), StateText::DeletingAfterChange);
    assert_eq!(of(Some(StackStatus::RollbackInProgress)), StateText::DeletingAfterRollback);
    assert_eq!(of(Some(StackStatus::DeleteInProgress)), StateText::Deleting);
    assert_eq!(of(None), StateText::Deleting);
}

#[test]
fn the_administrators_mail_has_every_reason_and_what_could_not_be_read() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, Entry::default(), None);
    snapshot.causes = Causes { unread: vec![unread()], ..failed_stack() };
    let logical = |full: &Full| full.reasons.iter().map(|(logical, _)| logical.clone()).collect::<Vec<_>>();
    let read = full(&snapshot);
    assert_eq!((logical(&read), read.unread), (vec!["LoginNode".to_owned(), "Group".to_owned()], vec![unread().to_string()]));
    snapshot.refusal = Some(Refusal::Delete(unread()));
    assert_eq!(logical(&full(&snapshot)), ["LoginNode", "Group", "The stack"]);
}

#[test]
fn a_delete_of_no_cluster_is_answered_with_the_others_that_live() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, in_phase(Phase::Ready), None);
    for (name, phase) in [("other", Phase::Ready), ("gone", Phase::Gone { at: at(1), end: End::Deleted })] {
        snapshot.ledger.clusters.insert(testing::cluster("alice", name).name, in_phase(phase));
    }
    let Message::NoSuchCluster { others, .. } = no_such(&snapshot, None) else { panic!("another message") };
    assert_eq!(others, [testing::cluster("alice", "other").name]);
}
