//! No event makes a function take more than 64 MiB, of the 128 that it has: measured, by an allocator that counts.
//! What is in a file of a user has a measurement of its own, in cf-sim.

use std::sync::{Mutex, PoisonError};

use cf_aws::event;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
const MOST: usize = 64 * MIB;

/// What one asynchronous invocation, one message and one event of EventBridge may hold.
const EVENT_BYTES_MAX: usize = MIB;

/// What one batch of messages may hold: Lambda takes no more in one invocation.
const BATCH_BYTES_MAX: usize = 6 * MIB;

/// One measurement at a time, whatever runs the tests.
static ALONE: Mutex<()> = Mutex::new(());

/// The most bytes that stood at once while an event was parsed and read.
fn taken(event: &[u8]) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let parsed: Result<Value, _> = serde_json::from_slice(event);
    let read = parsed.as_ref().map(event::read);
    let peak = MEMORY.peak_usage().saturating_sub(before);
    drop(read);
    peak
}

/// As many of `piece` as fit between `begin` and `end`.
fn filled(begin: &str, piece: &str, end: &str, most: usize) -> String {
    let times = (most - begin.len() - end.len()) / piece.len();
    format!("{begin}{}{end}", piece.repeat(times).trim_end_matches(','))
}

/// Texts that a careless reader would make much of.
fn hostile(most: usize) -> Vec<(&'static str, String)> {
    vec![
        ("records that are none", filled("{\"Records\":[", "0,", "]}", most)),
        ("empty records", filled("{\"Records\":[", "{},", "]}", most)),
        ("messages without a body", filled("{\"Records\":[", "{\"eventSource\":\"aws:sqs\"},", "]}", most)),
        ("wrapped without end", filled("", "{\"requestPayload\":", "", most)),
        ("wrapped as deep as JSON is read", filled("", "{\"requestPayload\":", "0", 100 * 18) + &"}".repeat(99)),
        ("deep arrays", filled("", "[", "", most)),
        (
            "a long key",
            filled(
                r#"{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"b"},"object":{"key":""#,
                "%2e",
                "\"}}}",
                most,
            ),
        ),
        (
            "a long key, to be decoded",
            filled(r#"{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"b"},"object":{"key":""#, "%2e", "\"}}}]}", most),
        ),
        ("escapes", filled("{\"x\":\"", "\\u0001", "\"}", most)),
        ("many fields", format!("{{{}}}", (0..most / 12).map(|nth| format!("\"{nth:07}\":0")).collect::<Vec<_>>().join(","))),
    ]
}

fn batch(body: &str) -> String {
    let messages = (BATCH_BYTES_MAX / (json!(body).to_string().len() + 60)).max(1);
    let records: Vec<_> = (0..messages).map(|_| json!({"eventSource": "aws:sqs", "messageId": "m", "body": body})).collect();
    json!({"Records": records}).to_string()
}

#[test]
fn too_much_is_noticed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Not an event that anything of ours could send: what is synchronously invoked by hand may be as large.
    let bytes = taken(filled("[", "0,", "]", 6 * MIB).as_bytes());
    assert!(bytes > MOST, "{} MiB", bytes / MIB);
}

#[test]
fn an_event_takes_little_whatever_it_holds() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    let mut measure = |what: String, event: &str| {
        let bytes = taken(event.as_bytes());
        println!("{what}: {} KiB for {} KiB", bytes / 1024, event.len() / 1024);
        if bytes >= MOST {
            wrong.push(format!("{what}: {} MiB", bytes / MIB));
        }
    };
    for (what, text) in hostile(EVENT_BYTES_MAX) {
        measure(what.to_owned(), &text);
        measure(format!("a batch of {what}"), &batch(&text));
    }
    // Many small messages: what is read of each stays until all are.
    for (what, text) in hostile(64 * 1024).into_iter().take(3) {
        measure(format!("a batch of many {what}"), &batch(&text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
