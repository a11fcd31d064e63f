//! When what nodes report is shown, and when it is owed.

use std::collections::BTreeMap;

use cf_core::decide::state::{PhaseKind, StackKind};
use cf_core::decide::{Action, Plan, decide, decide_reports};
use cf_core::effect::Effect;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::ledger::{Entry, Phase};
use cf_core::message::{StateText, node_failure};
use cf_core::node_report::{JobsReport, NodeReport, NodeState, SchedulerReport};
use cf_core::node_reports::{LOGIN, NodeReports, NodesShown, ObservedReports};
use cf_core::stack::StackStatus;
use cf_core::status::State;
use cf_core::testing;
use jiff::SignedDuration;

use crate::made::{self, Known, Refused, Scene};
use crate::{READY, first_entry, set_entry, status_file};

/// Whether a report leads to a status file, and whether it comes too early, so many seconds after the last one.
fn reported(scene: &Scene, state: State, seconds: i64, before: Option<NodeReport>, now: Option<NodeReport>) -> (bool, bool) {
    let settings = testing::settings();
    let mut snapshot = made::snapshot(scene, &settings);
    let of = |report: Option<NodeReport>| NodeReports { by_node: report.map(|report| (LOGIN, report)).into_iter().collect(), ignored: 0 };
    let login = snapshot.login().map(str::to_owned).filter(|_| state == State::Ready);
    // The file as an earlier pass has written it.
    let mut shown = status_file(&snapshot, state);
    shown.stack = settings.stack_name(&snapshot.cluster).to_string();
    shown.since = snapshot.entry().accepted.expect("a request").at;
    shown.types = BTreeMap::new();
    shown.updated = snapshot.now - SignedDuration::from_secs(seconds);
    shown.reported = NodesShown::of(&of(before), login.as_deref(), node_failure);
    let message = match &login {
        Some(login) => StateText::Ready { login: login.clone(), nodes: None, scheduler: shown.reported.scheduler.clone().map(Box::new) },
        None => StateText::Creating(None),
    };
    shown.message = message.to_string();
    shown.reported.scheduler = shown.reported.scheduler.filter(|_| login.is_some());
    shown.login = login;
    snapshot.status_file = Some(shown.clone());
    // What else it shows is taken over from what a pass writes.
    snapshot.reports = ObservedReports::Read(of(Some(report(NodeState::Leaving))));
    snapshot.status_file.as_mut().expect("it was set").updated = snapshot.now - SignedDuration::from_secs(100);
    if let Some(Effect::WriteStatus { status, .. }) = decide_reports(&snapshot).effects.first() {
        shown.types = status.types.clone();
    }
    snapshot.status_file = Some(shown);
    snapshot.reports = ObservedReports::Read(of(now));
    let plan = decide_reports(&snapshot);
    assert!(plan.effects.iter().all(|effect| matches!(effect, Effect::WriteStatus { status, .. } if status.state == state)), "{plan}");
    (!plan.effects.is_empty(), plan.comes_too_early)
}

fn report(state: NodeState) -> NodeReport {
    serde_json::from_value(serde_json::json!({"state": state, "updated": "2026-11-21T09:00:00Z"})).expect("a report")
}

#[test]
fn reports_are_shown_once_a_minute_and_a_new_failure_after_ten_seconds() {
    let (starting, ready, failed) =
        (|| Some(report(NodeState::Starting)), || Some(report(NodeState::Ready)), || Some(report(NodeState::Failed)));
    let (written, early, nothing) = ((true, false), (false, true), (false, false));
    let creating = Scene { phase: PhaseKind::Creating, stack: StackKind::Ours(StackStatus::CreateInProgress), ..READY };
    for (scene, state) in [(&READY, State::Ready), (&creating, State::Creating)] {
        for (seconds, before, now, expected) in [
            (59, starting(), ready(), early),
            (60, starting(), ready(), written),
            (9, ready(), failed(), early),
            (10, ready(), failed(), written),
            // The same failure is no new one, and one that has gone is none.
            (59, failed(), ready(), early),
            (600, ready(), ready(), nothing),
            (0, ready(), ready(), nothing),
            // A time to come, which only a user can have written.
            (-600, ready(), starting(), written),
            (60, None, ready(), written),
            (60, ready(), None, written),
        ] {
            assert_eq!(
                reported(scene, state, seconds, before.clone(), now.clone()),
                expected,
                "{state:?}, {seconds} s: {before:?}, {now:?}"
            );
        }
    }
}

#[test]
fn a_report_waits_where_another_pass_is_about_to_report_the_address_and_ends_where_nothing_is_shown() {
    let settings = testing::settings();
    let available = StackKind::Ours(StackStatus::CreateComplete);
    for (phase, stack, waits) in [
        (PhaseKind::Creating, available, true),
        (PhaseKind::Moved, available, true),
        (PhaseKind::Creating, StackKind::Ours(StackStatus::RollbackInProgress), false),
        (PhaseKind::Deleting, StackKind::Ours(StackStatus::DeleteInProgress), false),
        (PhaseKind::Gone, StackKind::Absent, false),
        (PhaseKind::New, StackKind::Foreign, false),
        (PhaseKind::Ready, StackKind::WithoutLogin(StackStatus::CreateComplete), false),
        // A look behind the times: it was ready already.
        (PhaseKind::Ready, StackKind::Ours(StackStatus::CreateInProgress), true),
    ] {
        let mut snapshot = made::snapshot(&Scene { phase, stack, ..READY }, &settings);
        snapshot.reports = ObservedReports::Read(NodeReports { by_node: [(LOGIN, report(NodeState::Ready))].into(), ignored: 0 });
        let plan = decide_reports(&snapshot);
        assert_eq!((plan.effects.len(), plan.comes_too_early), (0, waits), "{plan}");
    }
}

/// The plan over a cluster that stands, whose ledger says so or not, with what its nodes report read or not.
fn with_reports(is_owed: bool, reports: ObservedReports) -> (Plan, Option<Entry>) {
    let settings = testing::settings();
    let mut snapshot = made::snapshot(&READY, &settings);
    set_entry(&mut snapshot, |entry| entry.reports_owed = is_owed);
    snapshot.reports = reports;
    let plan = decide(&snapshot);
    let entry = first_entry(&snapshot, &plan);
    (plan, entry)
}

#[test]
fn reports_that_are_owed_are_shown_by_a_pass_that_has_read_them_and_has_nothing_else_to_do() {
    let read = || ObservedReports::Read(NodeReports { by_node: [(LOGIN, report(NodeState::Ready))].into(), ignored: 0 });
    let (plan, entry) = with_reports(true, read());
    assert!(matches!(&plan.effects[..], [Effect::WriteStatus { .. }, Effect::WriteLedger { .. }]), "{plan}");
    assert_eq!((plan.action, entry.map(|entry| entry.reports_owed)), (Action::NoteReports, Some(false)));
    let fault = Fault::new(Kind::Retry, Call::ListObjectsV2, "500");
    for (is_owed, reports) in [(false, read()), (true, ObservedReports::NotRead), (true, ObservedReports::Unread(fault))] {
        let (plan, entry) = with_reports(is_owed, reports);
        assert!(!plan.effects.iter().any(|effect| matches!(effect, Effect::WriteStatus { .. })), "{plan}");
        // The stack's id is new to the ledger; what is owed stays so.
        assert_eq!((plan.action, entry.map(|entry| entry.reports_owed)), (Action::Wait, Some(is_owed)), "{plan}");
    }
}

#[test]
fn a_cluster_that_is_called_ready_without_a_look_at_its_nodes_reports_is_owed_one() {
    let settings = testing::settings();
    let read = || ObservedReports::Read(NodeReports::default());
    for (action, scene) in [
        (Action::Announce, Scene { phase: PhaseKind::Creating, create: Some((Known::Joined, 0)), ..READY }),
        (Action::Readdress, Scene { phase: PhaseKind::Moved, ..READY }),
        (
            Action::KeepUndeletable,
            Scene { phase: PhaseKind::Deleting, delete: Some(Known::Joined), refused: Some(Refused::Delete), ..READY },
        ),
    ] {
        for (reports, is_owed) in [(read(), false), (ObservedReports::NotRead, true)] {
            let mut snapshot = made::snapshot(&scene, &settings);
            snapshot.reports = reports;
            let plan = decide(&snapshot);
            let last = plan.effects.iter().rev().find_map(|effect| match effect {
                Effect::WriteLedger { ledger, .. } => Some(ledger.entry(&snapshot.cluster.name)),
                _ => None,
            });
            assert_eq!(
                (plan.action, last.map(|entry| (entry.phase, entry.reports_owed))),
                (action, Some((Phase::Ready, is_owed))),
                "{plan}"
            );
        }
    }
}

/// A report of the login node with so many jobs that run.
fn busy(jobs: u32) -> NodeReport {
    let scheduler = testing::scheduler_report();
    let scheduler = SchedulerReport { jobs: JobsReport { running: jobs, ..scheduler.jobs }, ..scheduler };
    NodeReport { scheduler: Some(scheduler), ..report(NodeState::Ready) }
}

#[test]
fn a_cluster_full_of_jobs_is_shown_once_a_minute_and_one_where_nothing_changes_never() {
    let (written, early, nothing) = ((true, false), (false, true), (false, false));
    let busy = |jobs| Some(busy(jobs));
    let silent = || Some(report(NodeState::Ready));
    for (seconds, before, now, expected) in [
        (59, busy(1), busy(2), early),
        (60, busy(1), busy(2), written),
        (600, busy(1), busy(1), nothing),
        // Who has just got the address waits for the first word of Slurm.
        (9, silent(), busy(1), early),
        (10, silent(), busy(1), written),
        (59, busy(1), silent(), early),
    ] {
        assert_eq!(reported(&READY, State::Ready, seconds, before, now.clone()), expected, "{seconds} s: {now:?}");
    }
    let creating = Scene { phase: PhaseKind::Creating, stack: StackKind::Ours(StackStatus::CreateInProgress), ..READY };
    assert_eq!(reported(&creating, State::Creating, 600, busy(1), busy(2)), nothing, "nobody can submit a job yet");
}
