//! Every sample in `events/` is fed to the function that receives its kind, by its real binary.

mod common;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use cf_e2e::root;
use common::stage;
use serde_json::{Value, json};

/// Which function receives which sample, and whether it can do what the sample asks.
const SAMPLES: [(&str, &str); 14] = [
    ("object-created-create.json", "cf-create"),
    ("object-created-delete.json", "cf-delete"),
    ("s3-notification.json", "cf-create"),
    ("s3-test-event.json", "cf-create"),
    ("stack-create-in-progress.json", "cf-watch"),
    ("stack-create-complete.json", "cf-watch"),
    ("stack-rollback-in-progress.json", "cf-watch"),
    ("stack-delete-complete.json", "cf-watch"),
    ("sqs-resource-changes.json", "cf-watch"),
    ("sqs-failed-invocation.json", "cf-watch"),
    ("sqs-undelivered-event.json", "cf-watch"),
    ("sweep.json", "cf-watch"),
    ("custom-resource-delete.json", "cf-watch"),
    ("custom-resource-update.json", "cf-watch"),
];

fn sample(name: &str) -> Result<Value> {
    let text = std::fs::read_to_string(root().join("events").join(name)).with_context(|| name.to_owned())?;
    Ok(serde_json::from_str(&text)?)
}

#[tokio::test]
async fn each_sample_is_understood_by_its_function() -> Result<()> {
    let s = stage("samples").await?;
    for (name, function) in SAMPLES.iter().filter(|(name, _)| !name.starts_with("custom-resource")) {
        let told = s.invoke(function, &sample(name)?)?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        let again = told.payload["batchItemFailures"].as_array().map_or(0, Vec::len);
        assert_eq!(again, 0, "{name}: {told:?}");
    }
    Ok(())
}

#[test]
fn every_sample_has_its_function() -> Result<()> {
    let named: BTreeSet<String> =
        SAMPLES.iter().map(|(name, _)| (*name).to_owned()).chain(["custom-resource-create.json".to_owned()]).collect();
    let there: BTreeSet<String> =
        std::fs::read_dir(root().join("events"))?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    assert_eq!(there, named);
    Ok(())
}

/// CloudFormation's answer goes to an address of the test's own; the function must reach it in every case.
#[tokio::test]
async fn a_custom_resource_is_always_answered() -> Result<()> {
    let s = stage("custom").await?;
    let digest = &cf_core::template::default_template().digest;
    for (name, digest, expected) in [
        ("custom-resource-create.json", digest.as_str(), "SUCCESS"),
        ("custom-resource-update.json", "0000000000000000", "FAILED"),
        ("custom-resource-delete.json", digest.as_str(), "SUCCESS"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let mut event = sample(name)?;
        event["ResponseURL"] = json!(format!("http://{}/answer?signed=yes", listener.local_addr()?));
        event["ResourceProperties"]["Digest"] = json!(digest);
        let answered = std::thread::spawn(move || one_request(&listener));
        let told = s.invoke("cf-watch", &event)?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        let answer: Value = serde_json::from_str(&answered.join().map_err(|_| anyhow::anyhow!("no answer"))??)?;
        assert_eq!(answer["Status"], expected, "{name}: {answer}");
        assert_eq!((&answer["RequestId"], &answer["LogicalResourceId"]), (&event["RequestId"], &event["LogicalResourceId"]));
        if expected == "FAILED" {
            assert!(answer["Reason"].as_str().is_some_and(|r| r.contains("build anew")), "{answer}");
        }
    }
    Ok(())
}

/// Takes one HTTP request, answers 200, and returns its body.
fn one_request(listener: &std::net::TcpListener) -> Result<String> {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    let mut text = String::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk)?;
        text += &String::from_utf8_lossy(&chunk[..n]);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize =
                head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let body = body.to_owned();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
                return Ok(body);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_an_error_and_not_silence() -> Result<()> {
    let s = stage("garbage").await?;
    for function in ["cf-create", "cf-delete", "cf-watch"] {
        for event in [
            json!({}),
            json!([]),
            json!("x"),
            json!({"Records": []}),
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            json!({"detail-type": "Object Created", "source": "aws.s3", "detail": {}}),
        ] {
            let told = s.invoke(function, &event)?;
            assert!(told.error.is_some(), "{function} {event}: {told:?}");
        }
    }
    let foreign = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "somebody-elses"}, "object": {"key": "home/garbage/x.cf-create"}}});
    assert!(s.invoke("cf-create", &foreign)?.error.is_some());
    let message = json!({"Records": [{"eventSource": "aws:sqs", "messageId": "m-1", "body": "not json"}, {"eventSource": "aws:sqs", "messageId": "m-2", "body": "{\"clusterdrop\": \"sweep\"}"}]});
    let told = s.invoke("cf-watch", &message)?;
    assert_eq!(told.payload["batchItemFailures"], json!([{"itemIdentifier": "m-1"}]), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_nobody_understands_reaches_the_failure_queue_with_a_log_line() -> Result<()> {
    let s = stage("riddle").await?;
    s.invoke_later("cf-create", &json!({"riddle": "of the sphinx"}))?;
    // Three tries in cf-create, then the failure queue, whose messages go to cf-watch.
    for function in ["cf-create", "cf-watch"] {
        s.stand
            .until(&format!("the log line of {function}"), async || {
                let lines = s.stand.log(&format!("/aws/lambda/clusterdrop-{function}"), "of the sphinx")?;
                Ok(lines.iter().any(|l| l.contains("no event that clusterdrop knows")).then_some(()))
            })
            .await?;
    }
    Ok(())
}
