//! An account of one's own on the emulator with the least that the adapters need: three buckets, the template, the service
//! role, a sender. No function lives there, so whatever happens is the test's doing. The emulator takes a key of twelve
//! digits for an account, so that as many as one likes stand side by side and see nothing of each other.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudformation::types::StackSummary;
use aws_sdk_s3::config::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_sdk_s3::types::{BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use cf_aws::Aws;
use cf_core::settings::{Function, MailRoute, Settings};
use cf_core::template::{DEFAULT_TEXT, SystemValue};
use cf_core::testing;
use cf_e2e::wait;
use cf_local::EMULATOR_URLS;
use cf_local::deploy::ADMIN;
use cf_local::emulator::REGION;
use serde_json::Value;

/// The way to the emulator: the SDK's HTTP client, its clock, and its patience.
#[derive(Debug, Clone)]
pub struct Way {
    pub http: SharedHttpClient,
    pub sleep: SharedAsyncSleep,
    pub attempts: u32,
    pub attempt: Duration,
}

impl Way {
    /// With the patience of the product's own clients.
    pub fn new(http: SharedHttpClient, sleep: impl AsyncSleep + 'static) -> Self {
        Self { http, sleep: SharedAsyncSleep::new(sleep), attempts: 3, attempt: Duration::from_secs(4) }
    }

    /// As the test itself goes, and whoever shares its connections: undisturbed, and in no hurry on a busy machine.
    pub fn plain() -> Self {
        Self { attempt: Duration::from_mins(1), ..Self::new(aws_smithy_http_client::Builder::new().build_http(), Clock) }
    }
}

/// The time as it passes.
#[derive(Debug)]
pub struct Clock;

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(tokio::time::sleep(duration))
    }
}

/// The product waits up to a second before its second attempt. Here nobody else is at the service, and it is never busy.
const BACKOFF: Duration = Duration::from_millis(5);

/// An account, and its administrator's clients.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    pub url: String,
    pub settings: Settings,
    pub s3: aws_sdk_s3::Client,
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// How the test goes there.
    pub way: Way,
}

/// Where the emulator is. There may be several, for tests that would be too much for one.
pub fn emulator(nth: usize) -> Result<String> {
    let all = std::env::var(EMULATOR_URLS).context("these tests need the emulator: run them with `cargo xtask test`")?;
    let all: Vec<&str> = all.split_whitespace().collect();
    all.get(nth % all.len().max(1)).map(|url| (*url).to_owned()).context("CLUSTERDROP_EMULATOR_URLS is empty")
}

impl Account {
    /// Sets one up that nobody has used, also where tests are run again on the same emulator.
    pub async fn new(url: String, way: Way, is_versioned: bool) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = 100_000_000_000 + u64::from(std::process::id()) * 100_000 + COUNT.fetch_add(1, Ordering::Relaxed);
        let id = id.to_string();
        let config = config(&url, &id, &way).await;
        let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let account = Self { settings: settings(&id), id, url, s3, cloudformation, way };
        for bucket in [&account.settings.user_bucket, &account.settings.customizer_bucket, &account.settings.system_bucket] {
            let here = CreateBucketConfiguration::builder().location_constraint(REGION.into()).build();
            account.s3.create_bucket().bucket(bucket).create_bucket_configuration(here).send().await?;
        }
        if is_versioned {
            let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let bucket = &account.settings.user_bucket;
            account.s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioning).send().await?;
        }
        account.put(&account.settings.system_bucket, &account.settings.template.key(), DEFAULT_TEXT.as_bytes()).await?;
        account.query("iam", &format!("Action=CreateRole&RoleName=service&AssumeRolePolicyDocument={TRUST}"))?;
        account.query("ses", &format!("Action=VerifyEmailIdentity&EmailAddress={ADMIN}"))?;
        Ok(account)
    }

    /// The real adapters in this account, with the rights of each function that is asked for.
    pub async fn aws<const N: usize>(&self, functions: [Function; N], way: &Way) -> [Aws; N] {
        let config = config(&self.url, &self.id, way).await;
        functions.map(|function| Aws::new(&config, Settings { function, ..self.settings.clone() }, self.id.clone(), REGION.to_owned()))
    }

    pub async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        self.s3.put_object().bucket(bucket).key(key).body(bytes.to_vec().into()).send().await?;
        Ok(())
    }

    /// Gives a user a profile.
    pub async fn give_profile(&self, user: &str) -> Result<()> {
        self.put(&self.settings.customizer_bucket, &format!("customizer/{user}/configure.d/user.sh"), b"#!/bin/bash\n").await
    }

    /// The keys and texts of the objects of a bucket whose keys begin with `prefix`.
    pub async fn objects(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, String)>> {
        let listed = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await?;
        let mut found = Vec::new();
        for key in listed.contents().iter().filter_map(|o| o.key()) {
            let got = self.s3.get_object().bucket(bucket).key(key).send().await?.body.collect().await?;
            found.push((key.to_owned(), String::from_utf8_lossy(&got.into_bytes()).into_owned()));
        }
        Ok(found)
    }

    /// Id and status of every stack, deleted ones too.
    pub async fn stacks(&self) -> Result<Vec<(String, String)>> {
        let mut pages = self.cloudformation.list_stacks().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let status = |s: &StackSummary| s.stack_status().map_or("", |s| s.as_str()).to_owned();
            found.extend(page?.stack_summaries().iter().map(|s| (s.stack_id().unwrap_or_default().to_owned(), status(s))));
        }
        Ok(found)
    }

    /// The same, once none is in progress.
    pub async fn settled(&self) -> Result<Vec<(String, String)>> {
        wait::until("the end of all stacks' operations", SETTLE_MAX, async || {
            let stacks = self.stacks().await?;
            Ok((!stacks.iter().any(|(_, status)| status.ends_with("_IN_PROGRESS"))).then_some(stacks))
        })
        .await
    }

    /// The mails that SES took in this account: subject and text.
    pub fn mails(&self) -> Result<Vec<(String, String)>> {
        let url = format!("{}/_ministack/ses/messages?account={}", self.url, self.id);
        let all: Value = ureq::get(url).call()?.body_mut().read_json()?;
        let part = |mail: &Value, name: &str| mail[name].as_str().unwrap_or_default().to_owned();
        let accounts = all["messages"].as_object().into_iter().flat_map(|accounts| accounts.values());
        Ok(accounts.filter_map(Value::as_array).flatten().map(|m| (part(m, "Subject"), part(m, "BodyText"))).collect())
    }

    /// A call to a service that the tests have no client for.
    fn query(&self, service: &str, form: &str) -> Result<()> {
        let scope = format!("Credential={}/20261121/{REGION}/{service}/aws4_request", self.id);
        ureq::post(&self.url)
            .header("Authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .content_type("application/x-www-form-urlencoded")
            .send(form)?;
        Ok(())
    }
}

/// A stack of this emulator takes a fraction of it.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Who may act by the service role: CloudFormation. Form-encoded.
const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B\
                     %22Service%22%3A%22cloudformation.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

async fn config(url: &str, account: &str, way: &Way) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(way.attempt)
        .operation_timeout(way.attempt * 3)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(account, "test", None, None, "emulator"))
        .http_client(way.http.clone())
        .sleep_impl(way.sleep.clone())
        .endpoint_url(url)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(way.attempts).with_initial_backoff(BACKOFF))
        .load()
        .await
}

/// The network that every account of the emulator has from its beginning.
const SUBNET: &str = "subnet-00000001";

/// The deployment that template.yaml would make here. Names of buckets are everybody's, so each account has its own.
fn settings(account: &str) -> Settings {
    let network = [(SystemValue::Vpc, "vpc-00000001"), (SystemValue::Subnet, SUBNET), (SystemValue::ComputeSubnet, SUBNET)];
    let deployment = testing::settings();
    Settings {
        user_bucket: format!("users-{account}"),
        customizer_bucket: format!("profiles-{account}"),
        system_bucket: format!("system-{account}"),
        service_role: format!("arn:aws:iam::{account}:role/service"),
        fixed: deployment.fixed.into_iter().chain(network.map(|(value, id)| (value, id.to_owned()))).collect(),
        mail: Some(MailRoute { from: ADMIN.into(), to: ADMIN.into() }),
        region: testing::region(REGION),
        ..testing::settings()
    }
}
