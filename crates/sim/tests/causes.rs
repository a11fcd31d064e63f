//! Failed creations in the strict world: whatever AWS says, and whether its lists can be read or not, there is one true, readable
//! and bounded answer, and the administrator has the whole.

use cf_core::ledger::MailKind;
use cf_core::message::{Cause, Message, News, Rest, StackReason};
use cf_core::testing;
use cf_sim::{Cloud, Event, StackBehaviour};

const FAILED: &str = "home/alice/demo.cf-failed";

/// A creation that fails with these words, up to its end.
fn failed(behaviour: StackBehaviour, words: &str) -> Cloud {
    let mut cloud = started(behaviour, words, false);
    cloud.settle();
    cloud
}

fn started(behaviour: StackBehaviour, words: &str, is_unreadable: bool) -> Cloud {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    {
        let mut state = cloud.world.state();
        state.stacks.next_behaviour = behaviour;
        state.stacks.next_words = Some(words.to_owned());
        state.stacks.next_is_unreadable = is_unreadable;
    }
    cloud.drop_file("home/alice/demo.cf-create", b"{}");
    cloud
}

fn answer(cloud: &Cloud) -> Message {
    cloud.message(FAILED).expect("an answer")
}

/// The name and the words of the one resource that failed or is left.
fn only(causes: &[Cause]) -> (&str, &str) {
    let [cause] = causes else { panic!("{causes:?}") };
    (&cause.logical, &cause.reason)
}

#[test]
fn a_cause_that_only_holds_the_word_cancelled_is_a_cause() {
    for words in [
        "Licence server: checkout was cancelled by the vendor daemon (code 7)",
        "Resource creation cancelled by the policy engine of the organisation",
        "The order was cancelled",
        "CANCELLED: quota service of the vendor said no",
    ] {
        let Message::Failed { causes, stack: None, .. } = answer(&failed(StackBehaviour::Fails, words)) else { panic!("{words}") };
        assert_eq!(only(&causes), ("LoginNode", words), "the cancelled group is no cause");
    }
}

#[test]
fn where_the_lists_cannot_be_read_the_stacks_own_reason_is_the_answer() {
    let mut cloud = started(StackBehaviour::Fails, "\u{1b}[31mE: Unable to locate package slurm\u{1b}[0m", true);
    cloud.drain();
    cloud.step();
    cloud.drain();
    let Message::Failed { causes, stack: Some(StackReason { reason: Some(reason), is_unread: true }), rest: Rest::Going, .. } =
        answer(&cloud)
    else {
        panic!("as soon as it fails: {}", answer(&cloud))
    };
    assert_eq!((causes.as_slice(), reason.as_str()), (&[][..], "The following resource(s) failed to create: [LoginNode, ComputeGroup]."));
    assert_eq!(cloud.faults, [], "no event is given back");
    cloud.settle();
    assert_eq!(cloud.findings_at_rest(), []);
}

#[test]
fn where_the_lists_cannot_be_read_a_cluster_is_ready_all_the_same() {
    let mut cloud = started(StackBehaviour::Succeeds, "", true);
    cloud.drain();
    // A look while it is being made, for its progress.
    cloud.queue.push_back(Event::Sweep);
    cloud.settle();
    assert!(cloud.text("home/alice/demo.cf-created").is_some());
    assert_eq!(cloud.faults, []);
}

#[test]
fn a_failed_rollback_is_told_with_its_cause_and_with_what_is_left() {
    let mut cloud = failed(StackBehaviour::RollbackFails, "The image id '[ami-0dd11a70]' does not exist");
    assert!(cloud.findings_at_rest().is_empty(), "{:?}", cloud.findings_at_rest());
    let Message::Stuck { was_made: false, causes, remains, .. } = answer(&cloud) else { panic!("{}", answer(&cloud)) };
    assert_eq!(only(&causes), ("LoginNode", "The image id '[ami-0dd11a70]' does not exist"));
    assert_eq!(only(&remains.resources), ("LoginSecurityGroup", "resource sg-0a1b has a dependent object"), "LoginNode was never made");
    assert_eq!((remains.resources[0].physical.as_str(), &remains.stack), ("sg-0a1b", &None));
    // A new upload hears what is left, too: its answer takes the place of the one that named it.
    cloud.drop_file("home/alice/demo.cf-create", b"{}");
    cloud.settle();
    assert_eq!(answer(&cloud), Message::Leftover { cluster: testing::cluster("alice", "demo").name, remains });
}

#[test]
fn while_it_rolls_back_nothing_is_promised_about_the_name() {
    let mut cloud = started(StackBehaviour::RollbackFails, "Internal Failure", false);
    cloud.drain();
    cloud.step();
    cloud.drain();
    assert!(matches!(answer(&cloud), Message::Failed { rest: Rest::Going, .. }), "{}", answer(&cloud));
}

#[test]
fn a_reason_is_one_clean_bounded_line_and_never_lost() {
    let blob = "aLkVu5EePoZy9IiTs3CbMmXw7GfQq1A_KjUu5EdOnYy9IhSr2CbMlWv6GfQp0z-".repeat(40);
    let long = "b".repeat(9_000);
    let encoded =
        format!("API: ec2:RunInstances You are not authorized to perform this operation. Encoded authorization failure message: {blob}");
    for (words, shown) in [
        (
            format!("WaitCondition received failed message: '\u{1b}[31mE: Unable\u{1b}[0m\r\n to locate\u{7}{long}' for uniqueId: i-0a"),
            "E: Unable to locate",
        ),
        (format!("\u{9b}1mbold\u{9b}0m \u{1b}]0;title\u{7}text \u{202e}{long} HandlerErrorCode: InvalidRequest)"), "bold text"),
        (encoded, "not authorized to perform this operation"),
        (format!("\u{1b}[2J{}", "line\r\n".repeat(3_000)), "line line"),
    ] {
        let cloud = failed(StackBehaviour::Fails, &words);
        let text = answer(&cloud).to_string();
        assert!(text.contains(shown), "{shown}: {text}");
        assert!(text.len() < 3_000 && !text.contains(&long) && !text.contains(&blob), "{} bytes", text.len());
        assert!(text.lines().count() <= 6 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let state = cloud.world.state();
        let mail = state.mails.iter().find(|m| m.kind() == MailKind::Failed).expect("a mail");
        let body = mail.body();
        assert!(body.len() < 100_000 && !body.chars().any(|c| c.is_control() && c != '\n'), "{} bytes", body.len());
        let News::Failed { full, .. } = &mail.news else { panic!("{mail:?}") };
        assert_eq!(full.reasons, [("LoginNode".to_owned(), words.clone())], "the administrator has the whole");
        for whole in [&blob, &long] {
            assert!(!words.contains(whole) || body.contains(whole), "and reads it");
        }
    }
}
