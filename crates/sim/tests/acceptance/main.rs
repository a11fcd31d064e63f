//! The acceptance checks A1 to A18 in the strict world: files dropped, everything at rest, and the world looked at.

mod addresses;
mod isolation;
mod names;
mod regions;
mod triage;

use std::collections::BTreeMap;

use cf_core::ledger::MailKind;
use cf_core::message::{Difference, KeyProblem, Message, ParameterProblem, Problem, Rest, Wrong, WrongKey};
use cf_core::names::ClusterName;
use cf_core::stack::{Stack, StackStatus};
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, FaultTiming, NO_CAPACITY, StackBehaviour};

const EXAMPLE: &[u8] = include_bytes!("../../../../templates/example.cf-create");
const CREATE: &str = "home/alice/demo.cf-create";
const DELETE: &str = "home/alice/demo.cf-delete";

fn cloud() -> Cloud {
    Cloud::new(testing::settings()).with_profile("alice").with_profile("bob")
}

fn stacks(cloud: &Cloud) -> Vec<Stack> {
    cloud.world.state().stacks.all_living().map(|s| s.stack.clone()).collect()
}

/// How many stacks were ever made.
fn made(cloud: &Cloud) -> usize {
    cloud.world.state().stacks.all().len()
}

fn mails(cloud: &Cloud) -> Vec<MailKind> {
    cloud.world.state().mails.iter().map(cf_core::message::Mail::kind).collect()
}

fn failed(cloud: &Cloud, stem: &str) -> Message {
    cloud.message(&format!("{stem}.cf-failed")).unwrap_or_else(|| panic!("no {stem}.cf-failed among {:?}", cloud.keys()))
}

/// Why alice's create of `demo` was refused.
fn refused(cloud: &Cloud) -> Vec<Problem> {
    match failed(cloud, "home/alice/demo") {
        Message::Refused { cluster, problems } if cluster == demo() => problems,
        other => panic!("{other:?}"),
    }
}

fn demo() -> ClusterName {
    testing::cluster("alice", "demo").name
}

fn parameter(name: &str, value: &str, wrong: Wrong) -> Problem {
    Problem::Parameter(Box::new(ParameterProblem { name: name.into(), value: value.into(), wrong, odd: None }))
}

fn state(cloud: &Cloud) -> String {
    let text = cloud.text("home/alice/demo.cf-status").expect("a status file");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    status["state"].as_str().expect("a word").to_owned()
}

#[track_caller]
fn at_rest(mut cloud: Cloud) -> Cloud {
    cloud.settle();
    assert_eq!(cloud.findings_at_rest(), []);
    cloud
}

/// A cluster that stands, from the founding example.
fn standing() -> Cloud {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, EXAMPLE);
    at_rest(cloud)
}

#[test]
fn a1_the_founding_example_becomes_a_stack_with_its_nine_values_and_its_owner() {
    let cloud = standing();
    let [stack] = &stacks(&cloud)[..] else { panic!("one stack") };
    let asked: BTreeMap<String, String> = serde_json::from_slice(EXAMPLE).unwrap();
    assert_eq!(asked.len(), 9);
    for (name, value) in &asked {
        assert_eq!(&stack.parameters[name], value, "{name}");
    }
    for (name, parameter) in &cloud.world.settings.template.parameters {
        if let (Some(default), false) = (&parameter.default, asked.contains_key(name) || cloud.world.settings.template.is_protected(name)) {
            assert_eq!(&stack.parameters[name], default, "{name}");
        }
    }
    assert_eq!((&*stack.tags["USER"], &*stack.tags["clusterdrop:cluster"]), ("alice", "demo"));
    assert_eq!(stack.parameters["AccessUsername"], "alice");
}

#[test]
fn a2_the_answer_is_exactly_the_login_address_and_the_upload_goes_only_after_it() {
    let cloud = standing();
    assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"));
    assert_eq!(cloud.keys(), ["home/alice/demo.cf-created", "home/alice/demo.cf-status"]);
    assert_eq!(state(&cloud), "ready");
    // Whichever call the machine dies at, the file that was dropped is there until the answer is.
    for nth in 0..12 {
        for when in [FaultTiming::Before, FaultTiming::After] {
            let mut cloud = self::cloud();
            cloud.world.inject_fault(nth, when);
            cloud.drop_file(CREATE, EXAMPLE);
            for _ in 0..8 {
                cloud.drain();
                let keys = cloud.keys();
                assert!(keys.contains(&CREATE.to_owned()) || keys.contains(&"home/alice/demo.cf-created".to_owned()), "{keys:?}");
                cloud.step();
            }
            at_rest(cloud);
        }
    }
}

#[test]
fn a5_a_user_cannot_set_another_users_name_or_profile() {
    for name in ["AccessUsername", "FlightProfiles"] {
        let mut cloud = cloud();
        cloud.drop_file(CREATE, format!(r#"{{"{name}": "bob"}}"#).as_bytes());
        let cloud = at_rest(cloud);
        assert!(made(&cloud) == 0);
        assert_eq!(refused(&cloud), [parameter(name, "bob", Wrong::SystemOnly)]);
    }
}

#[test]
fn a6_anothers_cluster_cannot_be_removed() {
    let mut cloud = standing();
    let before = stacks(&cloud);
    for key in ["home/bob/demo.cf-delete", "home/bob/alice/demo.cf-delete"] {
        cloud.drop_file(key, b"");
        cloud = at_rest(cloud);
        let message = failed(&cloud, key.strip_suffix(".cf-delete").unwrap());
        assert_eq!(message, Message::NoSuchCluster { cluster: demo(), others: vec![], tied: None });
    }
    assert_eq!(stacks(&cloud), before);
    assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"));
}

#[test]
fn a7_deleted_is_answered_after_the_stack_is_gone_and_a_failed_delete_as_failed() {
    let mut cloud = standing();
    cloud.drop_file(DELETE, b"");
    cloud.drain();
    cloud.queue.push_back(Event::Sweep);
    cloud.drain();
    assert_eq!(stacks(&cloud)[0].status, StackStatus::DeleteInProgress);
    assert_eq!(state(&cloud), "deleting");
    assert!(cloud.text("home/alice/demo.cf-deleted").is_none() && cloud.text(DELETE).is_some());
    let cloud = at_rest(cloud);
    assert!(stacks(&cloud).is_empty());
    assert_eq!(cloud.keys(), ["home/alice/demo.cf-deleted", "home/alice/demo.cf-status"]);
    assert_eq!((state(&cloud).as_str(), mails(&cloud)), ("deleted", vec![MailKind::Ready, MailKind::Gone]));

    let mut cloud = self::cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::DeleteFails;
    cloud.drop_file(CREATE, EXAMPLE);
    cloud.settle();
    cloud.drop_file(DELETE, b"");
    let cloud = at_rest(cloud);
    let Message::Stuck { was_made: true, causes, remains, .. } = failed(&cloud, "home/alice/demo") else { panic!("{:?}", cloud.keys()) };
    let left: Vec<_> = remains.resources.iter().map(|left| (left.logical.as_str(), left.physical.as_str())).collect();
    assert_eq!((causes, left), (vec![], vec![("LoginSecurityGroup", "sg-0a1b")]));
    assert!(cloud.text("home/alice/demo.cf-deleted").is_none());
    assert_eq!(mails(&cloud), [MailKind::Ready, MailKind::Stuck]);
}

#[test]
fn a8_several_uploads_that_come_at_once_are_each_answered() {
    let mut cloud = cloud();
    for nth in 0..5 {
        cloud.drop_file(&format!("home/alice/runs {nth}/c{nth}.cf-create"), b"{}");
    }
    cloud.drop_file("home/bob/c0.cf-create", b"[]");
    let cloud = at_rest(cloud);
    assert_eq!(stacks(&cloud).len(), 5);
    assert!((0..5).all(|nth| cloud.text(&format!("home/alice/runs {nth}/c{nth}.cf-created")).is_some()));
    failed(&cloud, "home/bob/c0");
}

#[test]
fn a9_a_failure_is_told_when_its_rollback_starts_and_then_the_name_is_free() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::Fails;
    cloud.drop_file(CREATE, EXAMPLE);
    cloud.drain();
    cloud.step();
    cloud.drain();
    assert_eq!(stacks(&cloud)[0].status, StackStatus::RollbackInProgress);
    let Message::Failed { causes, stack: None, rest: Rest::Going, .. } = failed(&cloud, "home/alice/demo") else { panic!("not failed") };
    let told: Vec<_> = causes.iter().map(|cause| (cause.logical.as_str(), cause.reason.as_str())).collect();
    assert_eq!(told, [("LoginNode", NO_CAPACITY)], "what was cancelled for it is no cause");
    assert!(cloud.text(CREATE).is_none());
    let mut cloud = at_rest(cloud);
    assert!(stacks(&cloud).is_empty());
    assert_eq!((state(&cloud).as_str(), mails(&cloud)), ("failed", vec![MailKind::Failed]));
    cloud.world.state().stacks.next_behaviour = StackBehaviour::Succeeds;
    cloud.drop_file(CREATE, EXAMPLE);
    let cloud = at_rest(cloud);
    assert_eq!(cloud.keys(), ["home/alice/demo.cf-created", "home/alice/demo.cf-status"]);
    assert_eq!(state(&cloud), "ready");
}

/// Drops a file whose event comes three times at once and once more later.
fn drop_thrice(cloud: &mut Cloud, key: &str) {
    cloud.drop_file(key, b"{}");
    let event = Event::Upload(key.to_owned());
    cloud.queue.extend([event.clone(), event.clone()]);
    cloud.settle();
    cloud.queue.push_back(event);
    cloud.settle();
}

#[test]
fn a10_an_event_that_comes_three_times_makes_one_cluster_and_one_mail_of_each_kind() {
    let mut cloud = cloud();
    drop_thrice(&mut cloud, CREATE);
    assert_eq!((stacks(&cloud).len(), made(&cloud), mails(&cloud)), (1, 1, vec![MailKind::Ready]));
    drop_thrice(&mut cloud, DELETE);
    assert_eq!((stacks(&cloud).len(), made(&cloud)), (0, 1));
    assert_eq!(mails(&cloud), [MailKind::Ready, MailKind::Gone]);
    at_rest(cloud);
}

#[test]
fn a10_a_pass_that_dies_at_any_call_and_comes_again_sends_no_mail_twice() {
    for nth in 0..24 {
        for when in [FaultTiming::Before, FaultTiming::After] {
            let mut cloud = cloud();
            cloud.world.inject_fault(nth, when);
            drop_thrice(&mut cloud, CREATE);
            drop_thrice(&mut cloud, DELETE);
            let mut mails = mails(&cloud);
            let counted: usize = cloud.outcomes.iter().map(|o| o.mails_lost.len() + o.counts.mails_in_doubt).sum();
            assert!(mails.len() + counted >= 2, "a mail that is missing is counted");
            mails.dedup();
            assert_eq!((mails.len(), made(&cloud)), (self::mails(&cloud).len(), 1));
            at_rest(cloud);
        }
    }
}

#[test]
fn a11_the_same_file_again_is_adopted_and_another_one_is_refused_with_the_differences() {
    let mut cloud = standing();
    cloud.drop_file(CREATE, EXAMPLE);
    let mut cloud = at_rest(cloud);
    assert_eq!(cloud.text("home/alice/demo.cf-created").as_deref(), Some("198.51.100.7\n"));
    cloud.drop_file("home/alice/other folder/demo.cf-create", EXAMPLE);
    let mut cloud = at_rest(cloud);
    assert_eq!(cloud.text("home/alice/other folder/demo.cf-created").as_deref(), Some("198.51.100.7\n"));
    let before = cloud.keys();
    cloud.drop_file(CREATE, br#"{"ComputeMaxNodes": "7"}"#);
    let cloud = at_rest(cloud);
    let Message::Differs { cluster, differences } = failed(&cloud, "home/alice/demo") else { panic!("no difference was told") };
    let different = Difference { parameter: "ComputeMaxNodes".into(), has: "25".into(), asked: "7".into() };
    assert!(cluster == demo() && differences.contains(&different), "{differences:?}");
    assert!(before.iter().all(|key| cloud.keys().contains(key)), "nothing of the living cluster was touched");
    assert_eq!((made(&cloud), state(&cloud).as_str()), (1, "ready"));
    assert_eq!(mails(&cloud), [MailKind::Ready], "who asks again makes no news");
}

#[test]
fn a12_readiness_is_seen_however_many_pages_of_stacks_there_are() {
    let mut cloud = cloud();
    for nth in 0..10 {
        cloud.drop_file(&format!("home/alice/c{nth}.cf-create"), b"{}");
    }
    cloud.drain();
    // Every event of every stack is lost.
    while cloud.step() {
        cloud.queue.clear();
    }
    cloud.queue.push_back(Event::Sweep);
    cloud.drain();
    assert!((0..10).all(|nth| cloud.text(&format!("home/alice/c{nth}.cf-created")).is_some()), "{:?}", cloud.keys());
    let cloud = at_rest(cloud);
    // Should the ledger be lost, every page of stacks is read to write it anew.
    cloud.world.state().store.delete(Bucket::System, "ledger/alice.json");
    let cloud = at_rest(cloud);
    let ledger = cloud.world.state().store.text(Bucket::System, "ledger/alice.json").expect("a ledger");
    assert!((0..10).all(|nth| ledger.contains(&format!("\"c{nth}\""))), "{ledger}");
}

#[test]
fn a13_a_name_that_cannot_be_is_refused_before_anything_is_made() {
    let mut cloud = cloud();
    cloud.drop_file("home/alice/1abc.cf-create", b"{}");
    let mut cloud = at_rest(cloud);
    assert_eq!(stacks(&cloud).len(), 1, "a leading digit is fine");
    let long = format!("home/alice/{}", "x".repeat(200));
    for stem in ["home/alice/a_b", &long, "home/alice/-x", "home/alice/"] {
        for suffix in [".cf-create", ".cf-delete"] {
            let file = format!("{stem}{suffix}");
            cloud.drop_file(&file, b"{}");
            cloud = at_rest(cloud);
            let Message::WrongKey(KeyProblem { key, wrong: WrongKey::Name(name, _) }) = failed(&cloud, stem) else { panic!("{file}") };
            assert_eq!((key, Some(name.as_str())), (file, stem.strip_prefix("home/alice/")));
        }
    }
    cloud.drop_file("home/alice/foocf-create", b"{}");
    let before = cloud.keys();
    let cloud = at_rest(cloud);
    assert_eq!(cloud.keys(), before, "no request, no answer");
    assert_eq!(made(&cloud), 1);
}

#[test]
fn a14_a_key_is_taken_as_it_is_spaces_in_folders_only() {
    let mut cloud = cloud();
    cloud.drop_file("home/alice/my runs/demo.cf-create", b"{}");
    let mut cloud = at_rest(cloud);
    assert!(cloud.text("home/alice/my runs/demo.cf-created").is_some());
    for stem in ["home/alice/a+b", "home/alice/a%20b", "home/alice/a b", "home/alice/my+runs/x", "home/alice/%2e%2e/x", "home/alice/../x"] {
        cloud.drop_file(&format!("{stem}.cf-create"), b"{}");
        cloud = at_rest(cloud);
        failed(&cloud, stem);
    }
    assert_eq!(made(&cloud), 1);
}

#[test]
fn a15_a_mail_that_is_lost_is_counted_and_costs_nobody_a_cluster() {
    let mut cloud = cloud();
    cloud.world.state().mail_works = false;
    cloud.drop_file(CREATE, b"{}");
    let cloud = at_rest(cloud);
    assert!(cloud.text("home/alice/demo.cf-created").is_some() && mails(&cloud).is_empty());
    assert_eq!(cloud.outcomes.iter().map(|o| o.mails_lost.len()).sum::<usize>(), 1);
    // And no mail tells of a success before there is one.
    let mut cloud = self::cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.drain();
    assert_eq!((stacks(&cloud).len(), mails(&cloud).len()), (1, 0));
    assert_eq!(mails(&at_rest(cloud)), [MailKind::Ready]);
}

#[test]
fn a16_two_users_may_both_have_a_cluster_called_test() {
    let mut cloud = cloud();
    cloud.drop_file("home/alice/test.cf-create", b"{}");
    cloud.drop_file("home/bob/test.cf-create", b"{}");
    let mut cloud = at_rest(cloud);
    let names: Vec<_> = stacks(&cloud).iter().map(|s| s.id.name().unwrap().to_owned()).collect();
    assert!(names.len() == 2 && names[0] != names[1], "{names:?}");
    cloud.drop_file("home/alice/test.cf-delete", b"");
    let cloud = at_rest(cloud);
    assert_eq!(stacks(&cloud).iter().map(|s| s.tags["USER"].clone()).collect::<Vec<_>>(), ["bob"]);
}
