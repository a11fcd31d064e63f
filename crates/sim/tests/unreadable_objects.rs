//! Uploads that S3 refuses to return, stacks that cannot be deleted, and snapshots whose queries saw different versions, in the strict
//! world.

use cf_core::ledger::MailKind;
use cf_core::message::{Cause, FailedCreation, FileProblem, Message, Problem, Rest, StackReason};
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, NO_CAPACITY, StackBehaviour};

const CREATE: &str = "home/alice/demo.cf-create";
const FAILED: &str = "home/alice/demo.cf-failed";
const DELETE: &str = "home/alice/demo.cf-delete";

fn cloud() -> Cloud {
    Cloud::new(testing::settings()).with_profile("alice")
}

/// A user drops a file that S3 neither gives out nor lets be removed.
fn drop_pinned(cloud: &mut Cloud, key: &str) {
    cloud.drop_file(key, b"{}");
    cloud.world.state().store.pin(Bucket::User, key);
}

fn mails(cloud: &Cloud, kind: MailKind) -> usize {
    cloud.world.state().mails.iter().filter(|mail| mail.kind() == kind).count()
}

#[test]
fn a_file_that_cannot_be_removed_either_stops_no_neighbour() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    drop_pinned(&mut cloud, CREATE);
    cloud.settle();
    let withheld = |problem: &Problem| matches!(problem, Problem::File(FileProblem::Withheld(_)));
    let message = cloud.message(FAILED);
    assert!(matches!(&message, Some(Message::Refused { problems, .. }) if matches!(&problems[..], [one] if withheld(one))), "{message:?}");
    cloud.drop_file(DELETE, b"");
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-deleted").is_some(), "its neighbour is carried out");
    assert_eq!((cloud.text(DELETE), cloud.text(CREATE).is_some()), (None, true), "and it stays");
    assert_eq!(cloud.faults, [], "no event is given back");
    // Put anew in the open, it is a file as any other.
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some());
    assert_eq!(cloud.findings_at_rest(), []);
}

#[test]
fn a_delete_that_cannot_be_removed_is_carried_out_once() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    drop_pinned(&mut cloud, DELETE);
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-deleted").is_some());
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some(), "the old delete takes nothing back");
    assert_eq!(mails(&cloud, MailKind::Gone), 1);
}

#[test]
fn files_that_cannot_be_read_are_mailed_once_a_day() {
    let mut cloud = cloud();
    let drop_withheld = |cloud: &mut Cloud, nth: usize| {
        let key = format!("home/alice/c{nth}.cf-create");
        cloud.drop_file(&key, format!("{{{nth}").as_bytes());
        cloud.world.state().store.withhold(Bucket::User, &key);
        cloud.drain();
        assert!(cloud.text(&format!("home/alice/c{nth}.cf-failed")).is_some(), "each has its answer");
    };
    for nth in 0..20 {
        drop_withheld(&mut cloud, nth);
    }
    assert_eq!(mails(&cloud, MailKind::Unreadable), 1, "one mail");
    cloud.world.wait(24 * 3600 - 21);
    drop_withheld(&mut cloud, 20);
    assert_eq!(mails(&cloud, MailKind::Unreadable), 1, "a second short of a day");
    drop_withheld(&mut cloud, 21);
    assert_eq!(mails(&cloud, MailKind::Unreadable), 2, "a day later");
}

/// A creation that fails, up to the moment when its user has been told why.
fn failing(cloud: &mut Cloud, behaviour: StackBehaviour) {
    cloud.world.state().stacks.next_behaviour = behaviour;
    cloud.drop_file(CREATE, b"{}");
    cloud.drain();
    cloud.step();
    cloud.drain();
    assert!(matches!(cloud.message(FAILED), Some(Message::Failed { rest: Rest::Going, .. })), "{:?}", cloud.text(FAILED));
}

/// AWS's words about resources.
fn reasons(causes: &[Cause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.reason.as_str()).collect()
}

#[test]
fn where_the_removal_of_a_failed_creation_is_refused_its_answer_says_so() {
    let mut cloud = cloud();
    failing(&mut cloud, StackBehaviour::Fails);
    cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Protected);
    cloud.settle();
    let message = cloud.message(FAILED);
    let Some(Message::Undeletable { why, is_protected: true, creation: Some(creation), left, .. }) = message else { panic!("{message:?}") };
    assert!(creation.is_cleared && left.is_empty(), "an empty stack costs nothing: {creation:?}, {left:?}");
    assert!(why.contains("TerminationProtection") && reasons(&creation.causes) == [NO_CAPACITY], "{why}: {creation:?}");
    assert_eq!(mails(&cloud, MailKind::Stuck), 1);
    assert_eq!(cloud.findings_at_rest(), []);
}

const OTHER_DELETE: &str = "home/alice/other/demo.cf-delete";

#[test]
fn a_delete_from_another_folder_that_fails_is_told_where_the_creation_was_told_and_so_is_its_success() {
    for refused in [false, true] {
        let mut cloud = cloud();
        failing(&mut cloud, if refused { StackBehaviour::Fails } else { StackBehaviour::RollbackFails });
        if refused {
            cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Protected);
        }
        cloud.drop_file(OTHER_DELETE, b"");
        cloud.settle();
        for key in [FAILED, "home/alice/other/demo.cf-failed"] {
            let creation = match cloud.message(key) {
                Some(Message::Stuck { was_made: false, causes, .. }) if !refused => causes,
                Some(Message::Undeletable { creation: Some(FailedCreation { causes, is_cleared: true, .. }), .. }) if refused => causes,
                other => panic!("refused {refused}, {key}: {other:?}"),
            };
            assert_eq!(reasons(&creation), [NO_CAPACITY], "the reason of the creation is kept");
        }
        assert_eq!(cloud.findings_at_rest(), []);
        // What was in the way is out of it.
        cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Succeeds);
        cloud.drop_file(OTHER_DELETE, b"");
        cloud.settle();
        for folder in ["home/alice/", "home/alice/other/"] {
            assert!(cloud.text(&format!("{folder}demo.cf-deleted")).is_some(), "{folder}");
            assert_eq!(cloud.text(&format!("{folder}demo.cf-failed")), None, "what is not true any more is gone from {folder}");
        }
    }
}

#[test]
fn a_cluster_that_could_not_be_removed_from_another_folder_is_told_gone_in_its_own() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::DeleteFails;
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    cloud.drop_file(OTHER_DELETE, b"");
    cloud.settle();
    let message = cloud.message(FAILED);
    assert!(matches!(&message, Some(Message::Stuck { was_made: true, causes, .. }) if causes.is_empty()), "{message:?}");
    cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Succeeds);
    cloud.drop_file(OTHER_DELETE, b"");
    cloud.settle();
    assert_eq!((cloud.text(FAILED), cloud.text("home/alice/demo.cf-deleted").is_some()), (None, true));
}

#[test]
fn everybody_who_was_told_that_parts_are_being_removed_is_told_that_they_are_not() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_behaviour = StackBehaviour::RollbackFails;
    cloud.drop_file(CREATE, b"{}");
    cloud.drop_file("home/alice/other/demo.cf-create", b"{}");
    cloud.settle();
    for key in [FAILED, "home/alice/other/demo.cf-failed"] {
        assert!(matches!(cloud.message(key), Some(Message::Stuck { was_made: false, .. })), "{key}: {:?}", cloud.text(key));
    }
    assert_eq!(cloud.findings_at_rest(), []);
}

#[test]
fn where_the_lists_cannot_be_read_the_stacks_own_reason_is_kept() {
    let mut cloud = cloud();
    cloud.world.state().stacks.next_is_unreadable = true;
    failing(&mut cloud, StackBehaviour::Fails);
    cloud.world.state().stacks.set_behaviour(0, StackBehaviour::Protected);
    cloud.settle();
    let message = cloud.message(FAILED);
    let Some(Message::Undeletable { is_protected: true, creation: Some(creation), .. }) = message else { panic!("{message:?}") };
    let FailedCreation { causes, stack: Some(StackReason { reason: Some(reason), .. }), .. } = &creation else { panic!("{creation:?}") };
    assert!(causes.is_empty() && reason.contains("failed to create: [LoginNode, ComputeGroup]"), "{creation:?}");
}

#[test]
fn what_cannot_be_removed_is_not_taken_for_new_after_many_answers() {
    let mut cloud = cloud();
    drop_pinned(&mut cloud, CREATE);
    cloud.settle();
    for nth in 0..20 {
        cloud.drop_file(DELETE, format!("{nth}").as_bytes());
        cloud.settle();
    }
    let last = Message::NoSuchCluster { cluster: testing::cluster("alice", "demo").name, others: vec![], tied: None };
    assert_eq!(cloud.message(FAILED), Some(last), "the last answer stands");
    // Once it can be read it is an old file, and not a request.
    cloud.world.state().store.release(Bucket::User, CREATE);
    cloud.drop_file(DELETE, b"once more");
    cloud.settle();
    assert_eq!((cloud.text(CREATE), cloud.text("home/alice/demo.cf-created")), (None, None));
    assert_eq!(cloud.findings_at_rest(), []);
}

#[test]
fn the_same_file_again_in_the_same_second_is_new_where_the_first_was_removed() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, b"{}");
    cloud.world.state().store.withhold(Bucket::User, CREATE);
    cloud.drain();
    assert!(cloud.text(FAILED).is_some() && cloud.text(CREATE).is_none());
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::User, CREATE, b"{}", at);
    cloud.queue.push_back(Event::Upload(CREATE.to_owned()));
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some());
}

#[test]
fn a_file_that_cannot_be_a_request_nor_be_removed_is_answered_once() {
    let mut cloud = cloud();
    drop_pinned(&mut cloud, "home/alice/a_b.cf-create");
    cloud.settle();
    assert!(cloud.text("home/alice/a_b.cf-failed").is_some());
    assert_eq!(cloud.faults, [], "no event is given back");
}
