//! Messages as they really come: the samples in `events/`, and some that nobody sent.

use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn plain(body: &str) -> Message {
    Message::builder().body(body).build()
}

/// The first message of a sample, as ReceiveMessage would give it.
fn sample(text: &str) -> Message {
    let event: Value = serde_json::from_str(text).expect("a sample is JSON");
    let record = &event["Records"][0];
    let attribute = |value: &Value| {
        let text = value["stringValue"].as_str().unwrap_or_default();
        MessageAttributeValue::builder().data_type("String").string_value(text).build().expect("an attribute")
    };
    let attributes: HashMap<_, _> =
        record["messageAttributes"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), attribute(v))).collect();
    let sent = record["attributes"]["SentTimestamp"].as_str().unwrap_or_default();
    Message::builder()
        .body(record["body"].as_str().unwrap_or_default())
        .set_message_attributes(Some(attributes))
        .attributes(MessageSystemAttributeName::SentTimestamp, sent)
        .attributes(MessageSystemAttributeName::DeadLetterQueueSourceArn, "arn:aws:sqs:eu-west-2:123456789012:clusterdrop-failures")
        .build()
}

#[test]
fn a_failed_invocation_tells_its_upload_its_function_and_its_error() {
    let lines = describe(&sample(include_str!("../../../../events/sqs-failed-invocation.json")));
    assert_eq!(
        lines,
        [
            "upload s3://af-users-eu-west-2/home/alice/mycluster.cf-create",
            "clusterdrop-cf-create could not finish it in 3 attempts, 2026-11-21 10:19:12 UTC: Transient: GetObject: 503 SlowDown",
            "waiting since 2026-11-21 10:19:12 UTC, given up in the queue clusterdrop-failures",
        ]
    );
}

#[test]
fn an_undelivered_event_tells_what_the_rule_could_not_reach() {
    let lines = describe(&sample(include_str!("../../../../events/sqs-undelivered-event.json")));
    assert_eq!(lines[0], "upload s3://af-users-eu-west-2/home/alice/mycluster.cf-delete");
    assert_eq!(
        lines[1],
        "clusterdrop-cf-delete could not finish it in 1 attempt, 2026-11-21 12:40:02 UTC: NO_PERMISSIONS: Lambda does not have permission \
         to be invoked by the rule."
    );
}

#[test]
fn progress_tells_its_stack() {
    let lines = describe(&sample(include_str!("../../../../events/sqs-resource-changes.json")));
    assert_eq!(lines[..2], ["stack clusterdrop-alice-mycluster-f00dcafe", "happened 2026-11-21 10:15:36 UTC"]);
}

#[test]
fn every_upload_of_a_direct_notification_is_told_with_its_key_decoded() {
    let record = |key: &str| json!({"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": key}}});
    let body = json!({"requestPayload": {"Records": [record("home/a/my+x.cf-create"), record("home/b/y.cf-delete")]}});
    let lines = describe(&plain(&body.to_string()));
    assert_eq!(lines, ["upload s3://b/home/a/my x.cf-create", "upload s3://b/home/b/y.cf-delete"]);
}

#[test]
fn what_cannot_be_understood_says_so() {
    assert_eq!(describe(&plain("no json")), ["not understood: the message is no JSON"]);
    let lines = describe(&plain("{\"x\": 1}"));
    assert!(lines[0].starts_with("not understood, and will be parked again: this is no event that clusterdrop knows"), "{lines:?}");
}

proptest! {
    /// Users choose their keys, so a message may hold any text; none of it may steer the administrator's terminal.
    #[test]
    fn no_key_steers_the_terminal(key in any::<String>(), why in any::<String>()) {
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": key}}});
        let body = json!({"requestPayload": event, "responsePayload": {"errorMessage": why}});
        let lines = describe(&plain(&body.to_string()));
        prop_assert!(lines.len() >= 2);
        for line in lines {
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        }
    }
}
