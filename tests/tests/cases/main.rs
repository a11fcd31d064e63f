//! The inputs from the field (`tests/cases`), each by its number, on the real binaries and the emulator. What is common to
//! them stands here: a case is loaded by its number, and its steps are played up to the next pause.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod causes;
mod files;
mod first_hour;
mod names;
mod regions;
mod states;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::types::{ChangeSetType, Tag};
use aws_sdk_s3::primitives::ByteStream;
use cf_core::names::StackName;
use cf_core::testing;
use cf_local::deploy::{CUSTOMIZER_BUCKET, USER_BUCKET};
use cf_local::root;
use common::{InvocationResult, TestUser, stage, stage_without_profile};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The user in the inputs; each test puts its own in place of it.
const WRITTEN_FOR: &str = "alice";

/// Pauses up to this many seconds are part of the input, because S3's clock has whole seconds; at longer ones the test takes over.
const TIMING_SECONDS_MAX: f64 = 0.9;

/// A case, its user, and how far it was played.
pub struct Case {
    /// The user.
    pub s: TestUser,
    /// What the functions answered to events that were given to them.
    pub told: Vec<InvocationResult>,
    steps: Vec<Value>,
    faults: Vec<u64>,
}

impl Case {
    /// The case of a number such as `b16`, for a user of that name who has a profile.
    pub async fn load(id: &str) -> Result<Self> {
        Self::read(id, stage(id).await?)
    }

    /// The same for a user without a profile.
    pub async fn load_without_profile(id: &str) -> Result<Self> {
        Self::read(id, stage_without_profile(id).await?)
    }

    fn read(id: &str, s: TestUser) -> Result<Self> {
        let all = std::fs::read_to_string(root().join("tests/cases/cases.jsonl"))?;
        let line = all.lines().find(|line| line.starts_with(&format!("{{\"id\": \"{id}\""))).with_context(|| format!("no case {id}"))?;
        let case: Value = serde_json::from_str(&for_user(line, &s.user))?;
        let mut steps = case["steps"].as_array().cloned().unwrap_or_default();
        steps.reverse();
        Ok(Self { s, told: Vec::new(), steps, faults: Vec::new() })
    }

    /// The words with which the case lets a resource fail.
    pub fn reason(&self, resource: &str) -> Option<String> {
        let order = self.steps.iter().map(|step| &step["order"]).find(|order| order["resource"] == resource)?;
        order["reason"].as_str().map(str::to_owned)
    }

    /// Plays the steps up to the next pause, or to the end; false where nothing is left.
    pub async fn play(&mut self) -> Result<bool> {
        while let Some(step) = self.steps.pop() {
            if step["do"] == "wait" && step["s"].as_f64().is_none_or(|s| s > TIMING_SECONDS_MAX) {
                return Ok(true);
            }
            self.step(&step).await?;
        }
        Ok(false)
    }

    /// Plays all steps without a pause.
    pub async fn play_all(&mut self) -> Result<()> {
        while self.play().await? {}
        Ok(())
    }

    /// Ends the faults that its steps have ordered.
    pub fn end_faults(&mut self) {
        for id in self.faults.drain(..) {
            self.s.deployment.end_fault(id);
        }
    }

    async fn step(&mut self, step: &Value) -> Result<()> {
        let text = |name: &str| step[name].as_str().unwrap_or_default();
        match text("do") {
            "put" => self.put(USER_BUCKET, text("key"), step).await,
            "profile_put" => self.put(CUSTOMIZER_BUCKET, &format!("customizer/{}", text("key")), step).await,
            "repeat" => self.repeat(step).await,
            "until" => self.s.deployment.answer(text("key")).await.map(drop),
            "wait" => pause(step["s"].as_f64().unwrap_or_default()).await,
            "align" => to_the_start_of_a_second().await,
            "fault" => self.order(&step["order"]),
            "event_file" => self.feed(text("file"), text("function")),
            "change_set_create_only" => self.change_set("rev").await,
            "note" => Ok(()),
            other => bail!("the step {other:?} is not known"),
        }
    }

    async fn put(&self, bucket: &str, key: &str, step: &Value) -> Result<()> {
        let body = decode(step["body"].as_str().unwrap_or_default())?;
        let mut put = self.s.deployment.s3.put_object().bucket(bucket).key(key).body(ByteStream::from(body));
        if let Some(encoding) = step["content_encoding"].as_str() {
            put = put.content_encoding(encoding);
        }
        put.send().await?;
        Ok(())
    }

    async fn repeat(&self, step: &Value) -> Result<()> {
        let every = step["every"].as_f64().unwrap_or_default();
        for nth in 0..step["times"].as_u64().unwrap_or_default() {
            let inner = &step["step"];
            let key = inner["key"].as_str().unwrap_or_default().replace("{i:04}", &format!("{nth:04}")).replace("{i}", &nth.to_string());
            self.put(USER_BUCKET, &key, inner).await?;
            pause(every).await?;
        }
        Ok(())
    }

    fn order(&mut self, order: &Value) -> Result<()> {
        let mut order = order.clone();
        // The functions meet it; what a test asks for itself is not part of the case.
        if order["kind"] == "call" && order["caller"].is_null() {
            order["caller"] = json!("function/");
        }
        // It ends with the case, not with this call.
        let fault = self.s.fault(&order)?;
        self.faults.push(fault.keep());
        Ok(())
    }

    fn feed(&mut self, file: &str, function: &str) -> Result<()> {
        let event = std::fs::read_to_string(root().join("tests/cases").join(file))?;
        let told = self.s.invoke(function, &serde_json::from_str(&for_user(&event, &self.s.user))?)?;
        self.told.push(told);
        Ok(())
    }

    /// A change set that was made and not executed, with the tags of this deployment's clusters: REVIEW_IN_PROGRESS.
    async fn change_set(&self, cluster: &str) -> Result<()> {
        let name = StackName::of("clusterdrop", USER_BUCKET, &testing::cluster(&self.s.user, cluster));
        let template = json!({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}).to_string();
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let request = self.s.deployment.cloudformation.create_change_set().stack_name(name.as_str()).change_set_name("by-hand");
        let request = request.change_set_type(ChangeSetType::Create).template_body(template);
        let request = request.tags(tag("USER", &self.s.user)).tags(tag("clusterdrop:cluster", cluster));
        let request = request.tags(tag("clusterdrop:request", "0123456789abcdef")).tags(tag("clusterdrop:deployment", "clusterdrop"));
        request.send().await?;
        Ok(())
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.end_faults();
    }
}

fn for_user(text: &str, user: &str) -> String {
    let mut text = text.to_owned();
    for (before, after) in [("home/", "/"), ("clusterdrop-", "-"), ("\"", "/configure.d"), ("\"", "/rev")] {
        text = text.replace(&format!("{before}{WRITTEN_FOR}{after}"), &format!("{before}{user}{after}"));
    }
    text
}

fn decode(base64: &str) -> Result<Vec<u8>> {
    aws_smithy_types::base64::decode(base64).context("the case's body is no base64")
}

/// Pauses that are part of the input.
async fn pause(seconds: f64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Ok(())
}

async fn to_the_start_of_a_second() -> Result<()> {
    let into = Timestamp::now().subsec_nanosecond().unsigned_abs();
    tokio::time::sleep(Duration::from_nanos(u64::from(1_000_000_000 - into.min(999_999_999)))).await;
    Ok(())
}

/// Every case has a test of its number.
#[test]
fn no_case_is_left_out() -> Result<()> {
    let all = std::fs::read_to_string(root().join("tests/cases/cases.jsonl"))?;
    let tests: String = std::fs::read_dir(root().join("tests/tests/cases"))?
        .map(|file| Ok(std::fs::read_to_string(file?.path())?))
        .collect::<Result<_>>()?;
    let mut count = 0;
    for line in all.lines() {
        let case: Value = serde_json::from_str(line)?;
        let id = case["id"].as_str().context("a case has a number")?;
        assert!(tests.contains(&format!("async fn {id}_")), "there is no test of {id}: {}", case["title"]);
        count += 1;
    }
    assert_eq!(count, 21);
    Ok(())
}
