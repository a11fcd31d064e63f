//! What no plan ever does, whatever was seen.

mod made;

use cf_core::body::Body;
use cf_core::decide::state::{PhaseKind, StackKind};
use cf_core::decide::{Action, Plan, decide, decide_reports};
use cf_core::effect::{Effect, Expect};
use cf_core::key::{self, Answer, Reading};
use cf_core::node_reports::{NodeReports, NodesShown, ObservedReports, ReportedNode};
use cf_core::settings::{Function, Right, Settings};
use cf_core::snapshot::{ObservedStack, Snapshot};
use cf_core::status::{State, Status};
use cf_core::testing;
use jiff::SignedDuration;
use made::{BODIES, KNOWN, MadeFor, Refused, Scene};
use proptest::prelude::*;
use proptest::sample::select;
use strum::VariantArray;

fn scene() -> impl Strategy<Value = Scene> {
    let looks = (
        select(PhaseKind::VARIANTS),
        select(StackKind::all().collect::<Vec<_>>()),
        select(vec![MadeFor::Accepted, MadeFor::Create, MadeFor::Another]),
        any::<[bool; 6]>(),
    );
    let asks = (
        proptest::option::of((select(&KNOWN[..]), 0..BODIES.len())),
        proptest::option::of(select(&KNOWN[..])),
        proptest::option::weighted(0.1, select(vec![Refused::Create, Refused::TokenUsed, Refused::Delete])),
    );
    (looks, asks).prop_map(|((phase, stack, made_for, flags), (create, delete, refused))| {
        let [has_login, delete_is_later, elsewhere, has_profile, is_recovered, answers] = flags;
        Scene { phase, stack, made_for, has_login, create, delete, delete_is_later, elsewhere, has_profile, is_recovered, answers, refused }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    select(vec![Function::Create, Function::Delete, Function::Watch]).prop_map(|function| Settings { function, ..testing::settings() })
}

/// Whether an answer beside the upload stands before the effect `at`, or the request had it before.
fn is_answered(snapshot: &Snapshot<'_>, plan: &Plan, at: usize, upload: &str) -> bool {
    let Reading::Request(read) = key::read(upload) else { return false };
    let beside = Answer::ALL.map(|answer| read.answer(answer));
    let planned = plan.effects[..at].iter().any(|e| matches!(e, Effect::WriteAnswer { key, .. } if beside.contains(key)));
    let before = snapshot.uploads.iter().any(|u| u.key == read && snapshot.entry().has_answered(&u.request));
    planned || before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_report_never_leads_to_more_than_the_status_file_that_is_there(scene in scene(), settings in settings(), seconds in 0i64..200) {
        let mut snapshot = made::snapshot(&scene, &settings);
        let report = |state: &str| serde_json::from_value(serde_json::json!({"state": state, "updated": "2026-11-21T09:00:00Z"})).expect("a report");
        let by_node = [(ReportedNode::numbered(0), report("ready")), (ReportedNode::numbered(1), report("failed"))].into();
        snapshot.reports = ObservedReports::Read(NodeReports { by_node, ignored: 1 });
        for state in [State::Creating, State::Ready, State::Failed, State::Deleting, State::Deleted] {
            snapshot.status_file = snapshot.entry().accepted.map(|accepted| Status {
                cluster: "demo".into(),
                state,
                message: String::new(),
                progress: None,
                login: None,
                login_command: None,
                types: [].into(),
                reported: NodesShown::default(),
                stack: String::new(),
                request: accepted.request,
                since: snapshot.now,
                updated: snapshot.now - SignedDuration::from_secs(seconds),
            });
            let plan = decide_reports(&snapshot);
            let is_same = |effect: &Effect| matches!(effect, Effect::WriteStatus { status, .. } if status.state == state);
            prop_assert!(plan.effects.iter().all(is_same) && plan.effects.len() <= 1, "{}", plan);
            prop_assert!(!plan.look_again && !plan.left_for_watch);
        }
    }

    #[test]
    fn a_plan_never_acts_on_a_cluster_before_it_is_on_the_ledger(scene in scene(), settings in settings()) {
        let plan = decide(&made::snapshot(&scene, &settings));
        for (at, effect) in plan.effects.iter().enumerate() {
            let touches = match effect {
                Effect::CreateStack(_) | Effect::DeleteStack { .. } | Effect::WriteAnswer { .. } | Effect::SendMail(_) | Effect::RemoveAnswer { .. } => true,
                Effect::RemoveUpload { .. } => plan.action != Action::RemoveSettled,
                Effect::WriteLedger { .. } | Effect::WriteStatus { .. } => false,
                Effect::WriteLedgerCache(_) | Effect::WriteFirstHour { .. } | Effect::WriteProbe => return Err(TestCaseError::fail("the sweep's alone")),
            };
            let is_written = matches!(plan.effects[0], Effect::WriteLedger { .. });
            prop_assert!(!touches || (at > 0 && is_written), "{plan}");
        }
    }

    #[test]
    fn a_stack_is_never_deleted_without_its_tags_and_never_by_name(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        for effect in decide(&snapshot).effects {
            if let Effect::DeleteStack { id } = effect {
                let ObservedStack::Ours(stack) = &snapshot.stack else { panic!("no stack of ours was seen") };
                prop_assert_eq!(&stack.id, &id);
                prop_assert_eq!(stack.cluster(&settings.deployment), Some(snapshot.cluster.clone()));
                prop_assert!(settings.function.may(Right::DeleteStack));
            }
        }
    }

    #[test]
    fn a_stack_is_only_started_with_its_tags_our_prefix_and_our_values(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        for effect in decide(&snapshot).effects {
            if let Effect::CreateStack(new) = effect {
                prop_assert!(settings.function.may(Right::CreateStack) && new.name.as_str().starts_with("clusterdrop-alice-demo-"));
                prop_assert_eq!(&new.tags["USER"], "alice");
                prop_assert_eq!(&new.tags["clusterdrop:deployment"], &settings.deployment);
                prop_assert_eq!(&new.template, &settings.template.key());
                prop_assert_eq!(&new.parameters["AccessUsername"], "alice");
            }
        }
    }

    #[test]
    fn an_upload_never_goes_before_its_answer_stands(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        let plan = decide(&snapshot);
        for (at, effect) in plan.effects.iter().enumerate() {
            if let Effect::RemoveUpload { key, etag } = effect {
                prop_assert!(is_answered(&snapshot, &plan, at, key), "{plan}");
                prop_assert!(snapshot.uploads.iter().any(|u| u.key.to_string() == **key && u.etag == *etag));
            }
        }
    }

    #[test]
    fn a_refused_create_never_touches_a_living_clusters_answers_or_state(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        let plan = decide(&snapshot);
        if matches!(plan.action, Action::RefuseInvalid | Action::RefuseDiffering | Action::RefuseLeftover | Action::RefusePlanned | Action::AnswerSupersededCreate) {
            for effect in &plan.effects {
                let harmless = match effect {
                    Effect::WriteLedger { ledger, .. } => ledger.entry(&snapshot.cluster.name).phase == snapshot.entry().phase,
                    Effect::WriteAnswer { key, .. } => key.ends_with(".cf-failed"),
                    Effect::RemoveUpload { .. } => true,
                    Effect::CreateStack(_) | Effect::DeleteStack { .. } | Effect::WriteStatus { .. } | Effect::RemoveAnswer { .. } | Effect::SendMail(_) | Effect::WriteLedgerCache(_) | Effect::WriteFirstHour { .. } | Effect::WriteProbe => false,
                };
                prop_assert!(harmless, "{plan}");
            }
        }
    }

    #[test]
    fn every_write_says_what_it_expects_and_nothing_is_written_twice(scene in scene(), settings in settings()) {
        let plan = decide(&made::snapshot(&scene, &settings));
        let mut written = Vec::new();
        for effect in &plan.effects {
            let expect = match effect {
                Effect::WriteLedger { expect, .. } | Effect::WriteAnswer { expect, .. } | Effect::WriteStatus { expect, .. } => expect,
                Effect::RemoveAnswer { .. } | Effect::RemoveUpload { .. } => &Expect::Absent,
                Effect::CreateStack(_) | Effect::DeleteStack { .. } | Effect::SendMail(_) | Effect::WriteLedgerCache(_) | Effect::WriteFirstHour { .. } | Effect::WriteProbe => continue,
            };
            let key = effect.file().unwrap_or("the ledger");
            prop_assert_eq!(written.contains(&key), *expect == Expect::OwnWrite, "{} in {}", key, plan);
            written.push(key);
        }
    }

    #[test]
    fn a_mail_is_never_sent_that_was_not_claimed_first(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        let plan = decide(&snapshot);
        let sent = plan.effects.iter().filter(|e| matches!(e, Effect::SendMail(_))).count();
        prop_assert!(sent <= 1);
        if let Some(Effect::WriteLedger { ledger, .. }) = plan.effects.first() {
            let claims = ledger.entry(&snapshot.cluster.name).mails.len() - snapshot.entry().mails.len();
            prop_assert!(claims >= sent, "{plan}");
        }
    }

    #[test]
    fn what_was_decided_is_decided_again_from_the_same_look(scene in scene(), settings in settings()) {
        let snapshot = made::snapshot(&scene, &settings);
        prop_assert_eq!(decide(&snapshot), decide(&snapshot));
    }

    /// What a user wrote comes back in an answer that people read in a terminal, and that a log holds.
    #[test]
    fn whatever_is_asked_the_answer_is_printable(name in "\\PC{0,80}|.{0,80}", value in ".{0,200}", raw in proptest::collection::vec(any::<u8>(), 0..300)) {
        let object = serde_json::to_vec(&std::collections::BTreeMap::from([(name, value)])).unwrap_or_default();
        for bytes in [object, raw] {
            for problem in cf_core::requested_parameters::read(&Body::Read(bytes.clone()), &testing::settings()).err().into_iter().flatten() {
                let text = problem.to_string();
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
                prop_assert!(text.len() < 4000, "{} bytes", text.len());
            }
        }
    }
}
