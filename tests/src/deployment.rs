//! A user's and an administrator's view of a deployment on the emulator.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_core::first_hour::{self, FirstHour, PROBE, Stage};
use cf_core::ledger::Ledger;
use cf_core::names::User;
use cf_core::status::Status;
use serde_json::{Value, json};

use crate::invocations::Invocation;
use crate::wait;
use cf_local::EMULATOR_URLS;
use cf_local::deploy::{DEPLOYMENT, USER_BUCKET};
use cf_local::emulator::REGION;

/// A deployment on an emulator.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The emulator's address.
    pub url: String,
    /// For what the tests ask of S3.
    pub s3: aws_sdk_s3::Client,
    /// For what the tests ask of CloudFormation.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// The bucket with ledger and templates.
    pub system_bucket: String,
}

/// How long a state may take to come: many times what it takes on a quiet machine.
const WAIT_SECONDS_MAX: u64 = 90;

impl Deployment {
    /// The deployment at an address.
    pub async fn at(url: &str) -> Result<Self> {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("test", "test", None, None, "emulator"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(url)
            .load()
            .await;
        let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let mut deployment = Self { url: url.to_owned(), s3, cloudformation, system_bucket: String::new() };
        deployment.system_bucket = deployment.resource("SystemBucket").await?;
        Ok(deployment)
    }

    /// The one that `cargo xtask test` has started.
    pub async fn from_environment() -> Result<Self> {
        let url = std::env::var(EMULATOR_URLS).context("these tests need the emulator: run them with `cargo xtask test`")?;
        Self::at(&url).await
    }

    async fn resource(&self, logical: &str) -> Result<String> {
        let found = self.cloudformation.describe_stack_resource().stack_name(DEPLOYMENT).logical_resource_id(logical).send().await?;
        let id = found.stack_resource_detail().and_then(|d| d.physical_resource_id());
        id.map(str::to_owned).with_context(|| format!("the deployment has no {logical}"))
    }

    /// A user drops a file.
    pub async fn drop_file(&self, key: &str, bytes: &[u8]) -> Result<()> {
        self.s3.put_object().bucket(USER_BUCKET).key(key).body(ByteStream::from(bytes.to_vec())).send().await?;
        Ok(())
    }

    /// A user takes a file away.
    pub async fn take_away(&self, key: &str) -> Result<()> {
        self.s3.delete_object().bucket(USER_BUCKET).key(key).send().await?;
        Ok(())
    }

    /// The text of a user's object.
    pub async fn text(&self, key: &str) -> Result<Option<String>> {
        self.object(USER_BUCKET, key).await
    }

    /// The text of an object; `None` where it is not there.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Option<String>> {
        match self.s3.get_object().bucket(bucket).key(key).send().await {
            Ok(got) => Ok(Some(String::from_utf8_lossy(&got.body.collect().await?.into_bytes()).into_owned())),
            Err(e) if e.as_service_error().and_then(ProvideErrorMetadata::code) == Some("NoSuchKey") => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes a text as an object.
    pub async fn put(&self, bucket: &str, key: &str, text: &str) -> Result<()> {
        self.s3.put_object().bucket(bucket).key(key).body(text.as_bytes().to_vec().into()).send().await?;
        Ok(())
    }

    /// The keys in the users' bucket that begin with `prefix`.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.keys_in(USER_BUCKET, prefix).await
    }

    /// The keys in a bucket that begin with `prefix`, the first thousand.
    pub async fn keys_in(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let listed = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await?;
        Ok(listed.contents().iter().filter_map(|o| o.key().map(str::to_owned)).collect())
    }

    /// The status file beside a cluster.
    pub async fn status(&self, key: &str) -> Result<Option<Status>> {
        Ok(self.text(key).await?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// A user's ledger.
    pub async fn ledger(&self, user: &str) -> Result<Option<Ledger>> {
        let key = cf_core::ledger::key(&User::parse(user)?);
        Ok(self.object(&self.system_bucket, &key).await?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Waits until `seen` gives something. Ends with `what` was waited for, and what the user's folder holds.
    pub async fn until<T, F: AsyncFnMut() -> Result<Option<T>>>(&self, what: &str, seen: F) -> Result<T> {
        wait::until(what, Duration::from_secs(WAIT_SECONDS_MAX), seen).await
    }

    /// Waits for a file to be there.
    pub async fn answer(&self, key: &str) -> Result<String> {
        let found = self.until(key, async || self.text(key).await).await;
        match found {
            Ok(text) => Ok(text),
            Err(e) => {
                let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
                let status = self.text(&format!("{}.cf-status", key.rsplit_once(".cf-").map_or(key, |(stem, _)| stem))).await?;
                bail!("{e}; there are {:?}; the state is {status:?}", self.keys(folder).await?)
            }
        }
    }

    /// Waits for a file to be gone.
    pub async fn gone(&self, key: &str) -> Result<()> {
        self.until(&format!("the removal of {key}"), async || Ok(self.text(key).await?.is_none().then_some(()))).await
    }

    /// Waits until nothing is owed to a user any more.
    pub async fn at_rest(&self, user: &str) -> Result<Ledger> {
        self.until(&format!("rest for {user}"), async || {
            let ledger = self.ledger(user).await?;
            Ok(ledger.filter(|l| l.clusters.values().all(|e| !e.is_owed())))
        })
        .await
    }

    /// The record of the time in which S3 tells of nothing.
    pub async fn first_hour(&self) -> Result<Option<FirstHour>> {
        let text = self.object(&self.system_bucket, first_hour::KEY).await?;
        Ok(text.and_then(|text| FirstHour::read(text.as_bytes())))
    }

    /// Writes that record over.
    pub async fn set_first_hour(&self, record: &FirstHour) -> Result<()> {
        let request = self.s3.put_object().bucket(&self.system_bucket).key(first_hour::KEY);
        request.body(ByteStream::from(record.bytes())).send().await?;
        Ok(())
    }

    /// Waits until the deployment's probe was heard of, and ends its window.
    pub async fn end_first_hour(&self) -> Result<()> {
        self.gone(PROBE).await?;
        let mut record = self.first_hour().await?.context("a deployment opens its first hour")?;
        record.stage = Stage::Done { at: record.opened };
        self.set_first_hour(&record).await
    }

    /// The living stacks of a user's cluster: name, id, status.
    pub async fn stacks(&self, user: &str, cluster: &str) -> Result<Vec<aws_sdk_cloudformation::types::Stack>> {
        let mut found = Vec::new();
        let mut pages = self.cloudformation.describe_stacks().into_paginator().send();
        while let Some(page) = pages.next().await {
            for stack in page?.stacks() {
                let has = |key: &str, value: &str| stack.tags().iter().any(|t| t.key() == Some(key) && t.value() == Some(value));
                if has("USER", user)
                    && has("clusterdrop:cluster", cluster)
                    && stack.stack_status().is_some_and(|s| s.as_str() != "DELETE_COMPLETE")
                {
                    found.push(stack.clone());
                }
            }
        }
        Ok(found)
    }

    /// The mails that tell of a user's cluster: subject and text.
    pub fn mails(&self, user: &str, cluster: &str) -> Result<Vec<(String, String)>> {
        let about = format!("{user}/{cluster} ");
        Ok(self.all_mails()?.into_iter().filter(|(subject, _)| subject.contains(&about)).collect())
    }

    /// All mails there are: subject and text.
    pub fn all_mails(&self) -> Result<Vec<(String, String)>> {
        let all = self.get("/_ministack/ses/messages")?;
        let part = |mail: &Value, name: &str| mail[name].as_str().unwrap_or_default().to_owned();
        let accounts = all["messages"].as_object().into_iter().flat_map(|accounts| accounts.values());
        Ok(accounts.filter_map(Value::as_array).flatten().map(|m| (part(m, "Subject"), part(m, "BodyText"))).collect())
    }

    /// Orders a fault of the emulator; it ends with the guard.
    pub fn fault(&self, order: &Value) -> Result<Fault<'_>> {
        let id = self.post("/_clusterdrop/faults", order)?["id"].as_u64().context("the emulator takes no such order")?;
        Ok(Fault { deployment: self, id })
    }

    /// Ends a fault that was kept. One that the emulator has forgotten is no error.
    pub fn end_fault(&self, id: u64) {
        let _ = ureq::delete(format!("{}/_clusterdrop/faults/{id}", self.url)).call();
    }

    /// The calls to AWS that the emulator has logged, by what the query picks.
    pub fn calls(&self, query: &str) -> Result<Vec<Value>> {
        Ok(self.get(&format!("/_clusterdrop/calls?{query}"))?["calls"].as_array().cloned().unwrap_or_default())
    }

    /// Every call that a function has made since this was last asked.
    pub fn take_function_calls(&self) -> Result<Value> {
        Ok(ureq::delete(format!("{}/_clusterdrop/function-calls", self.url)).call()?.body_mut().read_json()?)
    }

    /// The invocations of functions after the one with this number, in the order in which they began.
    pub fn invocations(&self, after: u64) -> Result<Vec<Invocation>> {
        let all = self.get(&format!("/_clusterdrop/invocations?after={after}"))?;
        all["invocations"].as_array().into_iter().flatten().map(|told| Invocation::read(told, &self.system_bucket)).collect()
    }

    /// What AWS has put on the bus about a stack, oldest first: `Stack` or `Resource` status changes.
    pub fn events(&self, about: &str, stack: &str) -> Result<Vec<Value>> {
        let all = self.get(&format!("/_clusterdrop/events?detail_type={about}%20Status&text={stack}"))?;
        Ok(all["events"].as_array().cloned().unwrap_or_default())
    }

    /// Puts an event on the bus, also one that only AWS may send.
    pub fn send(&self, event: &Value) -> Result<()> {
        self.post("/_clusterdrop/events", event).map(drop)
    }

    /// Fires the sweep now.
    pub fn sweep(&self) -> Result<()> {
        self.post("/_clusterdrop/fire", &json!({"schedule": "sweep"})).map(drop)
    }

    /// The lines of a log that hold a text.
    pub fn log(&self, group: &str, text: &str) -> Result<Vec<String>> {
        let mut answer = ureq::post(&self.url)
            .header("X-Amz-Target", "Logs_20140328.FilterLogEvents")
            .header(
                "Authorization",
                format!("AWS4-HMAC-SHA256 Credential=test/20261121/{REGION}/logs/aws4_request, SignedHeaders=host, Signature=0"),
            )
            .content_type("application/x-amz-json-1.1")
            .send(json!({"logGroupName": group}).to_string())?;
        let found: Value = answer.body_mut().read_json()?;
        let lines = found["events"].as_array().cloned().unwrap_or_default();
        Ok(lines.iter().filter_map(|e| e["message"].as_str()).filter(|m| m.contains(text)).map(str::to_owned).collect())
    }

    fn get(&self, path: &str) -> Result<Value> {
        // A thousand uploads make more to tell than ureq takes by itself.
        Ok(ureq::get(format!("{}{path}", self.url)).call()?.body_mut().with_config().limit(1 << 30).read_json()?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(ureq::post(format!("{}{path}", self.url)).send_json(body)?.body_mut().read_json()?)
    }
}

/// A fault in force.
#[derive(Debug)]
pub struct Fault<'a> {
    deployment: &'a Deployment,
    id: u64,
}

impl Fault<'_> {
    /// How often it has struck.
    pub fn hits(&self) -> Result<u64> {
        let all = self.deployment.get("/_clusterdrop/faults")?;
        let mine = all["faults"].as_array().and_then(|list| list.iter().find(|f| f["id"] == self.id));
        mine.and_then(|f| f["hits"].as_u64()).context("the emulator has forgotten the fault")
    }

    /// Lets it hold until [`Deployment::end_fault`] is called with the number that this gives.
    pub fn keep(self) -> u64 {
        let id = self.id;
        std::mem::forget(self);
        id
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        self.deployment.end_fault(self.id);
    }
}
