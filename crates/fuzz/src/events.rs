//! Events: whatever JSON wakes a function, each record gives one result, and a key arrives as it was uploaded.

use arbitrary::Unstructured;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::drive::{pick, target, text, upto};
use crate::event::{Unreadable, Work, read};

/// One of each kind that the functions receive.
const SAMPLES: [&str; 15] = [
    include_str!("../../../events/custom-resource-create.json"),
    include_str!("../../../events/custom-resource-delete.json"),
    include_str!("../../../events/custom-resource-update.json"),
    include_str!("../../../events/object-created-create.json"),
    include_str!("../../../events/object-created-delete.json"),
    include_str!("../../../events/s3-notification.json"),
    include_str!("../../../events/s3-test-event.json"),
    include_str!("../../../events/sqs-failed-invocation.json"),
    include_str!("../../../events/sqs-resource-changes.json"),
    include_str!("../../../events/sqs-undelivered-event.json"),
    include_str!("../../../events/stack-create-complete.json"),
    include_str!("../../../events/stack-create-in-progress.json"),
    include_str!("../../../events/stack-delete-complete.json"),
    include_str!("../../../events/stack-rollback-in-progress.json"),
    include_str!("../../../events/sweep.json"),
];

target!(
    /// Any JSON.
    any_json,
    one in 1,
    reached ["none read"],
    |bytes: &[u8]| {
        if let Ok(event) = serde_json::from_slice::<Value>(bytes) {
            law(&event);
        }
        law(&json(&mut Unstructured::new(bytes), 4))
    }
);

target!(
    /// Our samples, with some of their parts taken away, doubled, wrapped, or made something else.
    spoiled_samples,
    one in 1,
    reached ["all read", "some read", "none read"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut event: Value = serde_json::from_str(pick(u, &SAMPLES)).expect("our samples are JSON");
        for _ in 0..=upto(u, 4) {
            spoil(u, &mut event, 0);
        }
        law(&event)
    }
);

target!(
    /// A text in a queue that was cut off, or changed in one place.
    broken_messages,
    one in 1,
    reached ["all read", "none read"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut body = pick(u, &SAMPLES).to_owned();
        let at = upto(u, body.len());
        let at = (0..=at).rev().find(|&i| body.is_char_boundary(i)).unwrap_or(0);
        if upto(u, 1) == 0 { body.truncate(at) } else { body.insert_str(at, &text(u)) }
        law(&json!({"Records": [message(&body)]}))
    }
);

target!(
    /// S3's notifications encode a key, EventBridge gives it as it is; either way the function gets the key, decoded once.
    keys_arrive,
    one in 4,
    reached ["a key that is changed on its way", "a key that stays as it is"],
    |bytes: &[u8]| {
        let raw = String::from_utf8_lossy(bytes);
        let made = text(&mut Unstructured::new(bytes));
        for key in [raw.as_ref(), made.as_str()] {
            let upload = |key: &str| vec![Ok(Work::Upload { bucket: "b".to_owned(), key: key.to_owned() })];
            assert_eq!(read(&notification(&form_encoded(key))), upload(key));
            assert_eq!(read(&notification(&form_encoded(&form_encoded(key)))), upload(&form_encoded(key)), "decoded more than once");
            let bridged = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": key}}});
            assert_eq!(read(&bridged), upload(key));
        }
        if form_encoded(&made) == made { "a key that stays as it is" } else { "a key that is changed on its way" }
    }
);

/// What S3 leaves as it is (User Guide, notification-content-structure, says "URL encoded", and shows `+` for a space).
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');

fn form_encoded(key: &str) -> String {
    utf8_percent_encode(key, &KEPT).to_string().replace(' ', "+")
}

fn notification(key: &str) -> Value {
    json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": key}}}]})
}

fn message(body: &str) -> Value {
    json!({"eventSource": "aws:sqs", "messageId": "m", "body": body})
}

fn law(event: &Value) -> &'static str {
    let results = read(event);
    match event["Records"].as_array().filter(|records| !records.is_empty()) {
        Some(records) => {
            assert_eq!(results.len(), records.len(), "one result for each record");
            // Each for itself: a neighbour changes nothing.
            for (record, result) in records.iter().zip(&results) {
                assert_eq!(read(&json!({"Records": [record]})), std::slice::from_ref(result));
            }
        }
        None => assert!(!results.is_empty()),
    }
    results.iter().for_each(printable);
    // Wrapped by a destination, and put into a queue, it is still the same.
    let shallow = json!({"requestPayload": event});
    if !is_wrapped(event) && event.is_object() {
        assert_eq!(read(&shallow), results);
        let queued = read(&json!({"Records": [message(&event.to_string())]}));
        assert_eq!(queued, [Ok(Work::Message { id: "m".into(), received: 1, work: results.clone() })]);
    }
    let read = results.iter().flat_map(parts).filter(|part| part.is_ok()).count();
    match results.iter().flat_map(parts).count() {
        _ if read == 0 => "none read",
        all if read == all => "all read",
        _ => "some read",
    }
}

/// What is in a message, or the thing itself.
fn parts(result: &Result<Work, Unreadable>) -> Vec<&Result<Work, Unreadable>> {
    match result {
        Ok(Work::Message { work, .. }) => work.iter().collect(),
        other => vec![other],
    }
}

/// Whether it holds others; those may be wrapped too deeply with one more around them.
fn is_wrapped(event: &Value) -> bool {
    event["requestPayload"].is_object() || event["Records"].as_array().is_some_and(|r| r.iter().any(|r| r["body"].is_string()))
}

fn printable(result: &Result<Work, Unreadable>) {
    match result {
        Ok(Work::Message { work, .. }) => work.iter().for_each(printable),
        Ok(_) => {}
        Err(unreadable) => {
            let text = unreadable.to_string();
            assert!(!text.is_empty() && text.len() < 1000, "{text}");
        }
    }
}

/// JSON in which the words occur that the reader looks for.
fn json(u: &mut Unstructured<'_>, depth: usize) -> Value {
    match upto(u, if depth == 0 { 4 } else { 7 }) {
        0 => Value::Null,
        1 => json!(u.arbitrary::<bool>().unwrap_or(false)),
        2 => json!(u.arbitrary::<i64>().unwrap_or(0)),
        3 => json!(pick(u, &WORDS)),
        4 => json!(text(u)),
        5 => (0..upto(u, 4)).map(|_| json(u, depth - 1)).collect(),
        _ => Value::Object((0..upto(u, 5)).map(|_| (pick(u, &WORDS).to_owned(), json(u, depth - 1))).collect()),
    }
}

const WORDS: [&str; 26] = [
    "Records",
    "requestPayload",
    "source",
    "detail-type",
    "detail",
    "bucket",
    "name",
    "object",
    "key",
    "stack-id",
    "clusterdrop",
    "sweep",
    "RequestType",
    "ResponseURL",
    "Event",
    "s3:TestEvent",
    "eventSource",
    "EventSource",
    "aws:sqs",
    "aws:s3",
    "aws.s3",
    "Object Created",
    "body",
    "messageId",
    "s3",
    "ObjectCreated:Put",
];

/// Goes down into it by chance, and changes what it comes to.
fn spoil(u: &mut Unstructured<'_>, value: &mut Value, depth: usize) {
    let deeper = depth < 6 && upto(u, 3) != 0;
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let nth = upto(u, fields.len() - 1);
            if let Some((_, inner)) = fields.iter_mut().nth(nth) {
                spoil(u, inner, depth + 1);
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let nth = upto(u, items.len() - 1);
            spoil(u, &mut items[nth], depth + 1);
        }
        // A message is JSON in a text.
        Value::String(text) if deeper && text.starts_with('{') => {
            if let Ok(mut inner) = serde_json::from_str::<Value>(text) {
                spoil(u, &mut inner, depth + 1);
                *text = inner.to_string();
            }
        }
        this => change(u, this),
    }
}

fn change(u: &mut Unstructured<'_>, this: &mut Value) {
    match (upto(u, 5), &mut *this) {
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields.keys().nth(upto(u, fields.len() - 1)).cloned().unwrap_or_default();
            fields.remove(&key);
        }
        (0, Value::Array(items)) => items.truncate(items.len() / 2),
        (1, Value::Array(items)) => items.extend(items.clone()),
        (2, Value::String(text)) => *text = text.to_uppercase(),
        (3, _) => *this = json!({"requestPayload": this.take()}),
        (4, _) => *this = json!([this.take()]),
        _ => *this = json(u, 2),
    }
}
