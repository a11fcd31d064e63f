//! Checks A3, A4 and the numbers of A11: what does not pass triage starts nothing, and is answered with the reason.

use super::*;
use cf_core::body::Mistake;
use cf_core::message::{FileProblem, JsonType, OtherFiles, TextProblem, ValueProblem};
use cf_core::profile::NotScriptReason;

/// What a create of a user without a script is answered.
fn no_profile(user: &str, others: Option<OtherFiles>) -> Message {
    let problems = vec![Problem::NoProfile { user: testing::cluster(user, "demo").user, others }];
    Message::Refused { cluster: demo(), problems }
}

#[test]
fn a3_without_a_profile_there_is_no_cluster_and_the_user_is_told_so() {
    let mut cloud = cloud();
    cloud.drop_file("home/carol/demo.cf-create", EXAMPLE);
    let cloud = at_rest(cloud);
    assert!(stacks(&cloud).is_empty() && mails(&cloud).is_empty());
    assert_eq!(failed(&cloud, "home/carol/demo"), no_profile("carol", None));
}

#[test]
fn a3_a_profile_that_was_taken_away_is_missed_whatever_event_brings_us_to_the_file() {
    let mut cloud = standing();
    cloud.drop_file(DELETE, b"");
    let mut cloud = at_rest(cloud);
    cloud.world.state().store.delete(Bucket::Customizer, "customizer/alice/configure.d/user.sh");
    cloud.drop_file(CREATE, EXAMPLE);
    // Its own event is late; one of the old stack's comes once more.
    let old = cloud.world.state().stacks.all()[0].stack.id.clone();
    cloud.queue.push_front(Event::Stack(old));
    let cloud = at_rest(cloud);
    assert_eq!(made(&cloud), 1);
    assert_eq!(failed(&cloud, "home/alice/demo"), no_profile("alice", None));
}

#[test]
fn a3_a_profile_with_nothing_to_run_is_refused_at_the_gate_with_what_was_found() {
    for (name, bytes, found) in [
        ("", &b""[..], None),
        ("old/10.sh", b"#!/bin/sh\n", Some(("old/", NotScriptReason::Folder))),
        ("README.txt", b"hello", Some(("README.txt", NotScriptReason::TextByName))),
        (".DS_Store", b"Bud1", Some((".DS_Store", NotScriptReason::Hidden))),
        ("manifest.txt", b"configure.d/x.sh", Some(("manifest.txt", NotScriptReason::TextByName))),
        ("placeholder.sh", b"", Some(("placeholder.sh", NotScriptReason::Empty))),
        ("user.sh~", b"#!/bin/sh\n", Some(("user.sh~", NotScriptReason::Backup))),
    ] {
        let mut cloud = cloud();
        let at = cloud.world.now();
        cloud.world.state().store.put(Bucket::Customizer, &format!("customizer/carol/configure.d/{name}"), bytes, at);
        cloud.drop_file("home/carol/demo.cf-create", EXAMPLE);
        let cloud = at_rest(cloud);
        assert!(stacks(&cloud).is_empty(), "{name}");
        let others = found.map(|(file, why)| OtherFiles { files: vec![(file.to_owned(), why)], count: 1 });
        assert_eq!(failed(&cloud, "home/carol/demo"), no_profile("carol", others), "{name}");
    }
}

#[test]
fn a11_a_number_reaches_cloudformation_in_one_form_and_in_another_spelling_is_the_same_request() {
    let mut cloud = cloud();
    cloud.drop_file(CREATE, br#"{"ComputeMaxNodes": " 02 ", "ComputeSpotPrice": "0.0000", "ComputeInitialNodes": -0}"#);
    let mut cloud = at_rest(cloud);
    let parameters = stacks(&cloud)[0].parameters.clone();
    let value = |name: &str| parameters.get(name).map(String::as_str);
    assert_eq!([value("ComputeMaxNodes"), value("ComputeSpotPrice"), value("ComputeInitialNodes")], [Some("2"), Some("0"), Some("0")]);
    for same in [
        &br#"{"ComputeMaxNodes": 2, "ComputeSpotPrice": 0, "ComputeInitialNodes": 0}"#[..],
        br#"{"ComputeMaxNodes": "2.0", "ComputeSpotPrice": "-0", "ComputeInitialNodes": "+00"}"#,
    ] {
        cloud.drop_file(CREATE, same);
        cloud = at_rest(cloud);
        assert!(made(&cloud) == 1 && cloud.text("home/alice/demo.cf-failed").is_none());
    }
}

/// Of an older version, which let several spellings of one number through.
#[test]
fn a11_a_living_cluster_with_another_spelling_of_a_number_is_no_other_cluster() {
    let mut old = stacks(&standing()).remove(0);
    old.parameters.insert("ComputeSpotPrice".into(), "0.0300".into());
    // Made for another request than the one that comes.
    old.tags.insert("clusterdrop:request".into(), "0123456789abcdef".into());
    let mut cloud = cloud();
    let at = cloud.world.now();
    cloud.world.state().stacks.plant(old, StackBehaviour::Succeeds, "old", at);
    cloud.drop_file(CREATE, EXAMPLE);
    let cloud = at_rest(cloud);
    assert!(made(&cloud) == 1 && cloud.text("home/alice/demo.cf-failed").is_none(), "{:?}", cloud.text("home/alice/demo.cf-failed"));
    assert!(cloud.text("home/alice/demo.cf-created").is_some());
}

#[test]
fn a4_what_is_no_request_starts_nothing_and_is_told_why() {
    let value = |wrong| Problem::Value { name: "ComputeMaxNodes".into(), wrong };
    let names = testing::settings().template.metadata.user_parameters.clone();
    let quotes = FileProblem::Line {
        line: 1,
        width: 1,
        mistakes: vec![(Mistake::SingleQuote, vec![2, 4])],
        corrected: Some(("{\"a\": 1}".into(), 1)),
    };
    let cases: [(&[u8], Problem); 7] = [
        (
            br#"{"ComputeSpotPrize": "0.03"}"#,
            parameter("ComputeSpotPrize", "0.03", Wrong::Unknown { nearest: Some("ComputeSpotPrice".into()), names }),
        ),
        (br#"{"ComputeMaxNodes": [4]}"#, value(ValueProblem::Array)),
        (br#"{"ComputeMaxNodes": null}"#, value(ValueProblem::Null)),
        (b"[]", Problem::File(FileProblem::JsonType { what: JsonType::Array, instead: TextProblem::Other })),
        (b"{'a': 1}", Problem::File(quotes)),
        (b"", Problem::File(FileProblem::Empty)),
        (b"\xFF\xFE{\0}\0", Problem::File(FileProblem::Utf16)),
    ];
    for (body, problem) in cases {
        let mut cloud = cloud();
        cloud.drop_file(CREATE, body);
        let cloud = at_rest(cloud);
        assert!(made(&cloud) == 0 && mails(&cloud).is_empty());
        assert_eq!(refused(&cloud), [problem]);
    }
    let mut cloud = cloud();
    cloud.drop_file(CREATE, &vec![b' '; 70_000]);
    assert_eq!(refused(&at_rest(cloud)), [Problem::File(FileProblem::TooLarge(70_000))]);
}
