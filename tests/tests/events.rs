//! Every sample in `events/` is fed to the function that receives its kind, by its real binary.

mod common;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use cf_e2e::invocations::Invocation;
use cf_local::deploy::USER_BUCKET;
use cf_local::root;
use cf_runtime_api::RuntimeApi;
use common::{TestUser, stage};
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

/// A sample with the stack of its `stack-id`s replaced by a living one.
fn about(sample: &Value, stack: &str) -> Result<Value> {
    let old =
        "arn:aws:cloudformation:eu-west-2:123456789012:stack/clusterdrop-alice-mycluster-f00dcafe/5e1b7f90-c6a2-11f0-9d3c-0a1b2c3d4e5f";
    let text = sample.to_string();
    anyhow::ensure!(text.contains(old), "the sample names another stack: {text}");
    Ok(serde_json::from_str(&text.replace(old, stack))?)
}

/// Alice's `mycluster`, of which the samples tell. Her own events are lost, so whatever happens is the samples' doing,
/// or a sweep's that came at the same time: then the sample finds the answer claimed, and the sweep may still be writing it.
struct Alice {
    s: TestUser,
}

impl Alice {
    async fn feed(&self, name: &str) -> Result<()> {
        let (_, function) = SAMPLES.iter().find(|(n, _)| *n == name).with_context(|| format!("{name} has no function"))?;
        let mut event = sample(name)?;
        if name.starts_with("stack-") || name == "sqs-resource-changes.json" {
            event = about(&event, self.stack().await?.stack_id().unwrap_or_default())?;
        }
        let before = self.s.deployment.invocations(0)?.last().map_or(0, |i| i.n);
        let told = self.s.invoke(function, &event)?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        assert_eq!(told.payload["batchItemFailures"].as_array().map_or(0, Vec::len), 0, "{name}: {told:?}");
        // Her own events are lost, so who looks at her ledger now, and is no sweep, was woken by the sample.
        if ["object-", "stack-", "sqs-"].iter().any(|kind| name.starts_with(kind)) {
            let is_hers = |i: &Invocation| i.function == *function && i.calls.iter().any(|call| call.what.contains("ledger/alice.json"));
            let looked = self.s.deployment.invocations(before)?.iter().any(|i| i.by != "sweep" && is_hers(i));
            assert!(looked, "{name}: nobody looked at what it tells of");
        }
        Ok(())
    }

    /// Also where it is deleted: samples tell of its end.
    async fn stack(&self) -> Result<Stack> {
        let ledger = self.s.deployment.ledger("alice").await?.context("alice has a ledger")?;
        let known = ledger.clusters.values().find_map(|e| e.stack.clone()).map(|id| id.0);
        let name = cf_core::names::StackName::of("clusterdrop", USER_BUCKET, &cf_core::testing::cluster("alice", "mycluster"));
        let found = self.s.deployment.cloudformation.describe_stacks().stack_name(known.unwrap_or_else(|| name.to_string())).send().await?;
        found.stacks().first().cloned().context("the stack is known")
    }

    async fn until(&self, status: &str) -> Result<()> {
        let reached = async || Ok((self.stack().await?.stack_status().map(StackStatus::as_str) == Some(status)).then_some(()));
        self.s.deployment.until(status, reached).await
    }

    /// Waits for an answer that says this.
    async fn told(&self, name: &str, words: &str) -> Result<()> {
        let says = async || Ok(self.s.text(name).await?.is_some_and(|text| text.contains(words)).then_some(()));
        self.s.deployment.until(&format!("{name} with {words:?}"), says).await
    }

    async fn has(&self, name: &str) -> Result<bool> {
        Ok(self.s.text(name).await?.is_some())
    }
}

#[tokio::test]
async fn each_sample_is_understood_and_acted_on() -> Result<()> {
    let a = Alice { s: stage("alice").await? };
    let _uploads =
        a.s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": "home/alice/", "do": "drop", "times": null}))?;
    let _stacks =
        a.s.fault(&json!({"kind": "event", "detail_type": "CloudFormation", "text": "clusterdrop-alice-", "do": "drop", "times": null}))?;
    a.s.drop("mycluster.cf-create", "{}").await?;
    a.feed("object-created-create.json").await?;
    a.feed("stack-create-in-progress.json").await?;
    a.feed("sqs-resource-changes.json").await?;
    a.told("mycluster.cf-status", "").await?;
    a.until("CREATE_COMPLETE").await?;
    a.feed("stack-create-complete.json").await?;
    a.told("mycluster.cf-created", "").await?;
    a.s.drop("mycluster.cf-delete", "").await?;
    a.feed("object-created-delete.json").await?;
    a.until("DELETE_COMPLETE").await?;
    a.feed("stack-delete-complete.json").await?;
    a.told("mycluster.cf-deleted", "").await?;
    a.s.deployment.until("the upload's removal", async || Ok((!a.has("mycluster.cf-delete").await?).then_some(()))).await?;
    // The same by way of the failure queue and the sweep.
    a.s.drop("mycluster.cf-create", "{}").await?;
    a.feed("sqs-failed-invocation.json").await?;
    a.s.deployment.until("the second stack", async || Ok((a.s.stacks("mycluster").await?.len() == 1).then_some(()))).await?;
    let made =
        async || Ok(a.s.stacks("mycluster").await?.iter().any(|s| s.stack_status() == Some(&StackStatus::CreateComplete)).then_some(()));
    a.s.deployment.until("its completion", made).await?;
    a.feed("sweep.json").await?;
    a.told("mycluster.cf-created", "").await?;
    a.s.drop("mycluster.cf-delete", "").await?;
    a.feed("sqs-undelivered-event.json").await?;
    a.until("DELETE_COMPLETE").await?;
    a.feed("sweep.json").await?;
    a.told("mycluster.cf-deleted", "").await?;
    failing_sample(&a).await?;
    notifications(&a).await
}

async fn failing_sample(a: &Alice) -> Result<()> {
    let _fails =
        a.s.fault(&json!({"kind": "resource", "stack": "clusterdrop-alice-", "resource": "LoginNode", "reason": "no capacity"}))?;
    a.s.drop("mycluster.cf-create", "{}").await?;
    a.feed("object-created-create.json").await?;
    let rolls_back = async || -> Result<Option<()>> {
        let stacks = a.s.stacks("mycluster").await?;
        Ok(stacks.iter().any(|s| s.stack_status().is_some_and(|s| s.as_str().starts_with("ROLLBACK"))).then_some(()))
    };
    // The sweep may have been quicker, and cleared the failed stack away: then the answer stands already.
    a.s.deployment
        .until("the rollback", async || Ok(if a.has("mycluster.cf-failed").await? { Some(()) } else { rolls_back().await? }))
        .await?;
    a.feed("stack-rollback-in-progress.json").await?;
    a.told("mycluster.cf-failed", "no capacity").await
}

/// The bucket's own notifications: three records, one with a folder, encoded; and S3's test of the address.
async fn notifications(a: &Alice) -> Result<()> {
    a.feed("s3-test-event.json").await?;
    let event = sample("s3-notification.json")?;
    let keys = decoded_keys(&event);
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in &keys {
        a.s.deployment.drop_file(key, b"not json").await?;
    }
    a.feed("s3-notification.json").await?;
    for key in &keys {
        let stem = key.trim_end_matches(".cf-create").trim_end_matches(".cf-delete");
        let answered = async || -> Result<Option<()>> {
            let there = a.s.deployment.keys(&format!("{stem}.cf-")).await?;
            let answer = there.iter().any(|k| k.ends_with(".cf-failed") || k.ends_with(".cf-deleted"));
            Ok((answer && !there.contains(key)).then_some(()))
        };
        a.s.deployment.until(&format!("an answer beside {key}"), answered).await?;
    }
    Ok(())
}

/// The keys of a notification, decoded as its documentation says: `+` is a space, `%XX` a byte.
fn decoded_keys(event: &Value) -> Vec<String> {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let decode = |key: &str| {
        let spaced = key.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    records.iter().filter_map(|r| r["s3"]["object"]["key"].as_str()).map(decode).collect()
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

/// No function takes longer.
const ANSWER_TIME_MAX: std::time::Duration = std::time::Duration::from_mins(2);

/// CloudFormation's answer goes to an address of the test's own; the function must reach it in every case.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_is_always_answered() -> Result<()> {
    let s = stage("custom").await?;
    // A deployment with living clusters may not go.
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let digest = &cf_core::template::default_template().digest;
    for (name, digest, expected) in [
        ("custom-resource-create.json", digest.as_str(), "SUCCESS"),
        ("custom-resource-update.json", "0000000000000000", "FAILED"),
        ("custom-resource-delete.json", digest.as_str(), "FAILED"),
    ] {
        let mut receiver = RuntimeApi::start(ANSWER_TIME_MAX).await?;
        let mut event = sample(name)?;
        event["ResponseURL"] = json!(format!("{}?signed=yes", receiver.answer_url()));
        event["ResourceProperties"]["Digest"] = json!(digest);
        let told = s.invoke("cf-watch", &event)?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        let answer: Value = serde_json::from_str(&receiver.answer()?)?;
        assert_eq!(answer["Status"], expected, "{name}: {answer}");
        assert_eq!((&answer["RequestId"], &answer["LogicalResourceId"]), (&event["RequestId"], &event["LogicalResourceId"]));
        let why = if name.contains("delete") { "clusters that live" } else { "build anew" };
        assert!(expected == "SUCCESS" || answer["Reason"].as_str().is_some_and(|r| r.contains(why)), "{answer}");
    }
    Ok(())
}

/// What publishes the nodes' program is another function. Where it fails three times, its event comes to cf-watch by the failure queue.
#[tokio::test(flavor = "multi_thread")]
async fn where_another_function_gives_cloudformation_no_answer_cf_watch_does() -> Result<()> {
    let s = stage("custom2").await?;
    for (name, expected) in [("custom-resource-create.json", "FAILED"), ("custom-resource-delete.json", "SUCCESS")] {
        let mut receiver = RuntimeApi::start(ANSWER_TIME_MAX).await?;
        let mut event = sample(name)?;
        event["ResponseURL"] = json!(receiver.answer_url());
        event["ResourceType"] = json!("Custom::NodeAgent");
        event["LogicalResourceId"] = json!("AgentX86");
        let told = s.invoke("cf-watch", &json!({"requestPayload": event}))?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        let answer: Value = serde_json::from_str(&receiver.answer()?)?;
        assert_eq!((&answer["Status"], &answer["LogicalResourceId"]), (&json!(expected), &json!("AgentX86")), "{answer}");
        assert_eq!(expected == "FAILED", answer["Reason"].as_str().is_some_and(|r| r.contains("the function behind AgentX86")), "{answer}");
    }
    Ok(())
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
        s.deployment
            .until(&format!("the log line of {function}"), async || {
                let lines = s.deployment.log(&format!("/aws/lambda/clusterdrop-{function}"), "of the sphinx")?;
                Ok(lines.iter().any(|l| l.contains("no event that clusterdrop knows")).then_some(()))
            })
            .await?;
    }
    Ok(())
}

/// Whoever claims a bucket's name before we do must get nothing of ours (bucket sniping).
#[tokio::test]
async fn every_call_to_a_bucket_names_its_owner() -> Result<()> {
    let s = stage("owner").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    let calls: Vec<Value> = s.calls("call=s3.&caller=function/")?;
    let nameless: Vec<_> = calls.iter().filter(|c| c["owner"] != "000000000000").collect();
    assert!(calls.len() > 20 && nameless.is_empty(), "{nameless:#?}");
    Ok(())
}
