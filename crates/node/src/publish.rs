//! Puts this very program where nodes fetch it. At deployment it runs once as a Lambda function, behind a custom resource of
//! CloudFormation: it reads its own file, writes it to `node/<SHA-256>` of the system bucket, and returns the digest. So what is
//! published is what was built, and nothing about it is committed or copied by hand.
//!
//! A published agent stays when the deployment goes on to another one: user data of clusters that live name it by its digest.

use std::env;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What all keys of published agents begin with.
pub const PREFIX: &str = "node/";

/// By this name Lambda gives its functions the address where events are to be had.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// The most bytes of a program: several times what the agent has.
const PROGRAM_BYTES_MAX: usize = if cfg!(debug_assertions) { 1024 } else { 64 } * 1024 * 1024;

/// One attempt of a call to S3, in seconds: a dozen megabytes go out in one.
const ATTEMPT_SECONDS_MAX: u64 = 20;

/// A call with all its attempts, in seconds. The function's timeout in template.yaml leaves time to answer after two of them.
const CALL_SECONDS_MAX: u64 = 40;

/// CloudFormation's bucket answers in a fraction of this many seconds.
const ANSWER_SECONDS_MAX: u64 = 5;

/// How often an answer is sent before the event is given back to Lambda, which tries twice more.
const ANSWERS_MAX: u32 = 3;

/// CloudFormation cuts longer reasons.
const REASON_CHARS_MAX: usize = 1000;

/// Whether Lambda has started this process: it passes no arguments.
pub fn is_function() -> bool {
    env::var_os(RUNTIME_API).is_some() && env::args_os().len() == 1
}

/// Answers CloudFormation's requests until Lambda ends the process.
pub async fn run() -> Result<(), Error> {
    tracing_subscriber::fmt().json().without_time().init();
    let publisher = Publisher::from_environment().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let publisher = &publisher;
        Box::pin(async move { publisher.answer(&event.payload).await })
    }))
    .await
}

/// A program that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Published {
    /// Its SHA-256, in 64 hexadecimal digits.
    digest: String,
    key: String,
}

/// Why it could not be published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the program's own file cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("the program has {0} bytes, which is more than an agent has: build anew, then deploy")]
    TooLong(usize),
    #[error("S3 did not take {0}: {1}")]
    NotTaken(String, String),
    #[error("{0} is there already, but cannot be read: {1}")]
    NotCompared(String, String),
    #[error("{0} holds something that is not the program of this digest: find out who wrote it, delete it, then deploy again")]
    NotOurs(String),
}

/// What publishes: the clients, and where to.
struct Publisher {
    s3: aws_sdk_s3::Client,
    http: SharedHttpConnector,
    bucket: String,
    /// The account that must own the bucket: names of buckets can be claimed by others.
    account: String,
    program: PathBuf,
}

impl Publisher {
    async fn from_environment() -> Result<Self, Error> {
        let required = |name: &str| {
            let value = env::var(name).ok().filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the setting {name} is missing; it comes from template.yaml"))
        };
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(ATTEMPT_SECONDS_MAX));
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(required("AWS_REGION")?))
            .credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new())
            .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
            .timeout_config(timeouts.operation_timeout(Duration::from_secs(CALL_SECONDS_MAX)).build())
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .load()
            .await;
        // Endpoints of one's own (an emulator) have no host name for a bucket.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(config.endpoint_url().is_some()).build();
        Ok(Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            http: SharedHttpConnector::new(Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build()),
            bucket: required("CLUSTERDROP_SYSTEM_BUCKET")?,
            account: required("CLUSTERDROP_ACCOUNT")?,
            program: PathBuf::from("/proc/self/exe"),
        })
    }

    /// Answers one request, also where it cannot be fulfilled: a request without an answer holds the deployment up until it times
    /// out. An error is an answer that did not arrive; Lambda then gives the request again.
    async fn answer(&self, request: &Value) -> Result<(), Error> {
        let done = match request["RequestType"].as_str() {
            Some("Delete") => Ok(None),
            _ => self.publish().await.map(Some),
        };
        match &done {
            Ok(Some(published)) => tracing::info!(key = published.key, "the node agent is published"),
            Ok(None) => tracing::info!("what was published stays"),
            Err(error) => tracing::error!(%error, "the node agent is not published"),
        }
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let answer = answer_to(request, done);
        let mut lost = String::new();
        for attempt in 0..ANSWERS_MAX {
            tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await;
            match self.send(text("ResponseURL"), &answer).await {
                Ok(()) => return Ok(()),
                Err(reason) => lost = reason,
            }
        }
        Err(format!("CloudFormation did not take the answer: {lost}").into())
    }

    async fn publish(&self) -> Result<Published, PublishError> {
        let program = tokio::fs::read(&self.program).await.map_err(PublishError::Unreadable)?;
        if program.len() > PROGRAM_BYTES_MAX {
            return Err(PublishError::TooLong(program.len()));
        }
        let digest = hex(&Sha256::digest(&program));
        let key = format!("{PREFIX}{digest}");
        let length = program.len();
        let put = self.s3.put_object().bucket(&self.bucket).key(&key).expected_bucket_owner(&self.account).if_none_match("*");
        match put.content_type("application/octet-stream").body(ByteStream::from(program)).send().await {
            Ok(_) => {}
            Err(error) if is_there(&error) => self.compare(&key, &digest, length).await?,
            Err(error) => return Err(PublishError::NotTaken(self.place(&key), words(&error))),
        }
        Ok(Published { digest, key })
    }

    /// Whether what is there is the program: an earlier deployment has put it, or an earlier attempt whose answer was lost.
    async fn compare(&self, key: &str, digest: &str, length: usize) -> Result<(), PublishError> {
        let get = self.s3.get_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        let not_compared = |why: String| PublishError::NotCompared(self.place(key), why);
        let found = get.send().await.map_err(|error| not_compared(words(&error)))?;
        // Not read where it is longer: the function has little memory.
        if found.content_length().and_then(|bytes| usize::try_from(bytes).ok()) != Some(length) {
            return Err(PublishError::NotOurs(self.place(key)));
        }
        let content = found.body.collect().await.map_err(|error| not_compared(error.to_string()))?.into_bytes();
        if hex(&Sha256::digest(&content)) == digest { Ok(()) } else { Err(PublishError::NotOurs(self.place(key))) }
    }

    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// PUT to the address that CloudFormation signed; its content type must be empty.
    async fn send(&self, url: &str, answer: &str) -> Result<(), String> {
        let mut request = HttpRequest::new(SdkBody::from(answer));
        request.set_method("PUT").map_err(|e| e.to_string())?;
        request.set_uri(url.to_owned()).map_err(|e| e.to_string())?;
        let call = tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), self.http.call(request));
        let response = call.await.map_err(|_| "no answer in time".to_owned())?.map_err(|e| e.to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(format!("HTTP {}", response.status().as_u16())) }
    }
}

/// Whether the condition of a PUT was not met. S3 answers 412, or 409 while another writes the same key: a function of this
/// deployment, hence the same bytes, which the comparison then shows.
fn is_there<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict"))
}

fn words<E: std::error::Error + 'static>(error: &E) -> String {
    DisplayErrorContext(error).to_string()
}

/// What CloudFormation is answered. The resource's id is the agent's: where another takes its place, CloudFormation asks for the
/// removal of the former one, and that does nothing.
fn answer_to(request: &Value, done: Result<Option<Published>, PublishError>) -> String {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let known = if text("PhysicalResourceId").is_empty() { "not-published" } else { text("PhysicalResourceId") };
    let (id, data, reason) = match done {
        Ok(Some(published)) => {
            (format!("node-{}", published.digest), json!({"Digest": published.digest, "Key": published.key}), String::new())
        }
        Ok(None) => (known.to_owned(), json!({}), String::new()),
        Err(error) => (known.to_owned(), json!({}), error.to_string().chars().take(REASON_CHARS_MAX).collect()),
    };
    let answer = json!({
        "Status": if reason.is_empty() { "SUCCESS" } else { "FAILED" },
        "Reason": reason,
        "PhysicalResourceId": id,
        "StackId": text("StackId"),
        "RequestId": text("RequestId"),
        "LogicalResourceId": text("LogicalResourceId"),
        "Data": data,
    });
    answer.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(request: &Value, done: Result<Option<Published>, PublishError>) -> Value {
        serde_json::from_str(&answer_to(request, done)).unwrap()
    }

    #[test]
    fn an_answer_names_the_request_and_carries_the_digest() {
        let request = json!({"RequestType": "Create", "StackId": "s", "RequestId": "r", "LogicalResourceId": "AgentX86"});
        let published = Published { digest: "00ff".into(), key: "node/00ff".into() };
        let answer = answered(&request, Ok(Some(published)));
        assert_eq!(answer["Status"], "SUCCESS");
        assert_eq!(answer["PhysicalResourceId"], "node-00ff");
        assert_eq!(answer["Data"], json!({"Digest": "00ff", "Key": "node/00ff"}));
        assert_eq!(
            (&answer["StackId"], &answer["RequestId"], &answer["LogicalResourceId"]),
            (&json!("s"), &json!("r"), &json!("AgentX86"))
        );
    }

    #[test]
    fn a_removal_keeps_the_id_that_cloudformation_knows() {
        let answer = answered(&json!({"RequestType": "Delete", "PhysicalResourceId": "node-00ff"}), Ok(None));
        assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("node-00ff")));
    }

    #[test]
    fn a_failure_has_its_reason_and_an_id_even_before_there_is_one() {
        let long = PublishError::NotTaken("s3://system/node/0".into(), "é".repeat(2 * REASON_CHARS_MAX));
        let answer = answered(&json!({"RequestType": "Create"}), Err(long));
        assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("FAILED"), &json!("not-published")));
        let reason = answer["Reason"].as_str().unwrap();
        assert!(reason.starts_with("S3 did not take s3://system/node/0") && reason.chars().count() == REASON_CHARS_MAX, "{reason}");
    }

    #[test]
    fn a_digest_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
