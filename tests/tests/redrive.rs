//! What is parked goes back and is handled. The bucket of this deployment has no trigger (UserBucketMode=existing, not
//! adopted), so nothing but the parked message ever tells of the upload.

mod common;

use anyhow::{Context, Result, ensure};
use cf_e2e::cli::{Ran, clusterdrop};
use cf_local::deploy::{DEPLOYMENT, USER_BUCKET, aws};
use common::{TestUser, stage};
use serde_json::{Value, json};

struct Queues {
    s: TestUser,
    parked: String,
    failures: String,
}

impl Queues {
    async fn of(s: TestUser) -> Result<Self> {
        let found = s.deployment.cloudformation.describe_stacks().stack_name(DEPLOYMENT).send().await?;
        let outputs = found.stacks().first().context("the deployment")?.outputs().to_vec();
        let output = |key: &str| {
            let value = outputs.iter().find(|o| o.output_key() == Some(key)).and_then(|o| o.output_value());
            value.map(str::to_owned).with_context(|| format!("the output {key}"))
        };
        let queues = Self { parked: output("ParkedQueueUrl")?, failures: output("FailureQueueUrl")?, s };
        // The queue's own minute of delay is nothing that this is about.
        queues.aws(&["set-queue-attributes", "--queue-url", &queues.failures, "--attributes", "DelaySeconds=0"])?;
        Ok(queues)
    }

    fn aws(&self, args: &[&str]) -> Result<Value> {
        let said = aws(&self.s.deployment.url, &[&["sqs"], args, &["--output", "json"]].concat())?;
        Ok(if said.trim().is_empty() { Value::Null } else { serde_json::from_str(&said)? })
    }

    /// Parks messages, ten at most.
    fn park(&self, bodies: &[Value]) -> Result<()> {
        let kept = json!({"ERROR_CODE": {"DataType": "String", "StringValue": "SDK_CLIENT_ERROR"}});
        let entry = |(n, body): (usize, &Value)| json!({"Id": n.to_string(), "MessageBody": body.to_string(), "MessageAttributes": kept});
        let entries = Value::Array(bodies.iter().enumerate().map(entry).collect()).to_string();
        self.aws(&["send-message-batch", "--queue-url", &self.parked, "--entries", &entries]).map(drop)
    }

    /// How many messages are parked: to be had, and hidden.
    fn parked(&self) -> Result<(String, String)> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let all = self.aws(&["get-queue-attributes", "--queue-url", &self.parked, "--attribute-names", names[0], names[1]])?;
        let text = |name: &str| all["Attributes"][name].as_str().unwrap_or_default().to_owned();
        Ok((text(names[0]), text(names[1])))
    }

    fn redrive(&self, options: &[&str]) -> Result<Ran> {
        clusterdrop(&self.s.deployment.url, &[&["admin", "redrive"], options].concat())
    }

    fn redriven(&self, options: &[&str]) -> Result<String> {
        let ran = self.redrive(options)?;
        ensure!(ran.code == Some(0) && ran.err.is_empty(), "{options:?}: {ran:?}");
        Ok(ran.out)
    }

    /// Whether cf-watch takes messages from the failure queue.
    fn listen(&self, yes: bool) -> Result<()> {
        let url = &self.s.deployment.url;
        let arn = "arn:aws:sqs:eu-west-2:000000000000:clusterdrop-failures";
        let query = ["--query", "EventSourceMappings[0].UUID", "--output", "text"];
        let id = aws(url, &[&["lambda", "list-event-source-mappings", "--event-source-arn", arn], &query[..]].concat())?;
        let switch = if yes { "--enabled" } else { "--no-enabled" };
        aws(url, &["lambda", "update-event-source-mapping", "--uuid", id.trim(), switch]).map(drop)
    }
}

/// What Lambda writes into the failure queue when cf-create has failed three times.
fn failed(key: &str) -> Value {
    let event =
        json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": key}}});
    json!({
        "version": "1.0",
        "timestamp": "2026-11-21T10:19:12.339Z",
        "requestContext": {"functionArn": "arn:aws:lambda:eu-west-2:000000000000:function:clusterdrop-cf-create:$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responsePayload": {"errorType": "Transient", "errorMessage": "GetObject: 503 SlowDown"},
    })
}

fn numbers(parked: &str, hidden: &str) -> (String, String) {
    (parked.to_owned(), hidden.to_owned())
}

#[tokio::test]
async fn what_is_parked_is_shown_sent_back_and_handled() -> Result<()> {
    let q = Queues::of(stage("parker").await?).await?;
    for options in [&[][..], &["--dry-run"]] {
        assert_eq!(q.redriven(options)?, "Nothing is parked.\n");
    }
    q.s.drop("demo.cf-create", "{}").await?;
    // More than SQS gives at once.
    q.park(&vec![json!({"requestPayload": {"clusterdrop": "sweep"}}); 10])?;
    q.park(&[json!({"clusterdrop": "sweep"}), failed(&q.s.key("demo.cf-create"))])?;
    shown_and_left(&q)?;
    one_first_with_its_attributes(&q)?;
    kept_where_it_cannot_be_sent(&q)?;
    let shown = q.redriven(&[])?;
    assert!(shown.contains("11 messages sent back"), "{shown}");
    assert_eq!(q.parked()?, numbers("0", "0"));
    assert_eq!(q.s.text("demo.cf-created").await?, None, "nobody has told of the upload yet");
    q.listen(true)?;
    q.s.answer("demo.cf-created").await?;
    q.s.rest().await
}

fn shown_and_left(q: &Queues) -> Result<()> {
    let shown = q.redriven(&["--dry-run"])?;
    assert!(shown.contains("upload s3://af-users-eu-west-2/home/parker/demo.cf-create\n"), "{shown}");
    let why = "clusterdrop-cf-create could not finish it in 3 attempts, 2026-11-21 10:19:12 UTC: Transient: GetObject: 503 SlowDown";
    assert!(shown.contains(why) && shown.contains(" 12. ") && shown.contains("12 messages parked. Dry run"), "{shown}");
    assert_eq!(q.parked()?, numbers("12", "0"));
    let shown = q.redriven(&["--dry-run", "--max", "2"])?;
    assert!(shown.contains("2 messages parked") && !shown.contains("  3. "), "{shown}");
    assert_eq!(q.parked()?, numbers("12", "0"));
    Ok(())
}

fn one_first_with_its_attributes(q: &Queues) -> Result<()> {
    q.listen(false)?;
    let shown = q.redriven(&["--max", "1"])?;
    assert!(shown.contains("1 message sent back"), "{shown}");
    assert_eq!(q.parked()?, numbers("11", "0"));
    let got = q.aws(&["receive-message", "--queue-url", &q.failures, "--message-attribute-names", "All", "--visibility-timeout", "0"])?;
    assert_eq!(got["Messages"][0]["MessageAttributes"]["ERROR_CODE"]["StringValue"], "SDK_CLIENT_ERROR", "{got}");
    Ok(())
}

fn kept_where_it_cannot_be_sent(q: &Queues) -> Result<()> {
    let denied = q.s.fault(&json!({"kind": "call", "call": "sqs.SendMessage", "error": "AccessDenied", "status": 403, "times": 1}))?;
    let ran = q.redrive(&[])?;
    assert_eq!((ran.code, denied.hits()?), (Some(1), 1), "{ran:?}");
    assert!(ran.err.contains("lack sqs:SendMessage") && ran.out.contains("Nothing was sent back."), "{ran:?}");
    assert_eq!(q.parked()?, numbers("11", "0"));
    Ok(())
}
