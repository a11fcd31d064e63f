//! The real program as the Lambda function that publishes it: events by Lambda's Runtime API, S3 over HTTP, the answer to
//! CloudFormation's address.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use cf_runtime_api::{Mark, RuntimeApi};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cf-node");
const PATIENCE: Duration = Duration::from_mins(1);

/// S3, as far as a publisher meets it: objects by path, written only where nothing is.
#[derive(Clone, Default)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    /// What every PUT is answered with instead.
    refusal: Arc<Mutex<Option<StatusCode>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
}

async fn s3(State(bucket): State<Bucket>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let error =
        |status: StatusCode, code: &str| (status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>")).into_response();
    let mut objects = bucket.objects.lock().unwrap();
    let key = uri.path().to_owned();
    let is_conditional = headers.get("if-none-match").is_some_and(|value| value == "*");
    bucket.headers.lock().unwrap().push(headers);
    match method {
        Method::PUT => match *bucket.refusal.lock().unwrap() {
            Some(status) => error(status, "AccessDenied"),
            None if is_conditional && objects.contains_key(&key) => error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
            None => {
                objects.insert(key, body);
                StatusCode::OK.into_response()
            }
        },
        _ => objects.get(&key).map_or_else(|| error(StatusCode::NOT_FOUND, "NoSuchKey"), |content| content.clone().into_response()),
    }
}

/// A deployment: Lambda, S3, and the function in between.
struct Deployment {
    lambda: RuntimeApi,
    bucket: Bucket,
    _function: Child,
}

impl Deployment {
    async fn new() -> Self {
        let bucket = Bucket::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(s3).layer(DefaultBodyLimit::disable()).with_state(bucket.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let lambda = RuntimeApi::start(PATIENCE).await.unwrap();
        let function = Command::new(PROGRAM)
            .env_clear()
            .envs(lambda.environment("agent", "eu-west-2"))
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("CLUSTERDROP_SYSTEM_BUCKET", "system")
            .env("CLUSTERDROP_ACCOUNT", "123456789012")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { lambda, bucket, _function: function }
    }

    /// What CloudFormation is answered to a request.
    async fn request(&mut self, kind: &str) -> Value {
        let mut event = json!({
            "RequestType": kind, "ResponseURL": self.lambda.answer_url(), "StackId": "stack", "RequestId": "request",
            "ResourceType": "Custom::NodeAgent", "LogicalResourceId": "AgentX86", "ResourceProperties": {"Version": "1"}
        });
        if kind != "Create" {
            event["PhysicalResourceId"] = json!("node-of-before");
        }
        self.lambda.send(event.to_string()).await.unwrap();
        loop {
            match self.lambda.mark(PATIENCE).await.unwrap() {
                Mark::Ended(_, ended) => break assert!(ended.is_ok(), "{ended:?}"),
                Mark::Asked(_) | Mark::Sent(_) => {}
            }
        }
        serde_json::from_str(&self.lambda.answer().unwrap()).unwrap()
    }

    fn objects(&self) -> BTreeMap<String, Bytes> {
        self.bucket.objects.lock().unwrap().clone()
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_function_publishes_its_own_file_under_its_digest_and_a_second_deployment_finds_it_there() {
    let own = std::fs::read(PROGRAM).unwrap();
    let path = format!("/system/node/{}", digest(&own));
    let mut deployment = Deployment::new().await;
    for kind in ["Create", "Update"] {
        let answer = deployment.request(kind).await;
        assert_eq!(answer["Status"], "SUCCESS", "{answer}");
        assert_eq!(answer["Data"]["Digest"], digest(&own));
        assert_eq!(answer["PhysicalResourceId"], format!("node-{}", digest(&own)));
        assert_eq!(deployment.objects().keys().collect::<Vec<_>>(), [&path]);
    }
    assert!(deployment.objects()[&path] == own, "what is published is the program");
    let headers = deployment.bucket.headers.lock().unwrap();
    assert!(headers.iter().all(|call| call.get("x-amz-expected-bucket-owner").is_some_and(|owner| owner == "123456789012")));
}

#[tokio::test]
async fn what_was_published_stays_when_the_resource_is_deleted() {
    let mut deployment = Deployment::new().await;
    deployment.request("Create").await;
    let answer = deployment.request("Delete").await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("node-of-before")));
    assert_eq!(deployment.objects().len(), 1);
}

#[tokio::test]
async fn other_content_under_the_digest_fails_the_deployment_and_is_left_for_whoever_looks_into_it() {
    let own = std::fs::read(PROGRAM).unwrap();
    let path = format!("/system/node/{}", digest(&own));
    for planted in [Bytes::from_static(b"#!/bin/sh\n"), Bytes::from(vec![0; own.len()])] {
        let mut deployment = Deployment::new().await;
        deployment.bucket.objects.lock().unwrap().insert(path.clone(), planted.clone());
        let answer = deployment.request("Create").await;
        assert_eq!(answer["Status"], "FAILED");
        let reason = answer["Reason"].as_str().unwrap();
        assert!(reason.contains("s3://system/node/") && reason.contains("is not the program of this digest"), "{reason}");
        assert!(deployment.objects()[&path] == planted);
    }
}

#[tokio::test]
async fn a_bucket_that_denies_is_answered_with_its_reason_and_the_next_deployment_succeeds() {
    let mut deployment = Deployment::new().await;
    *deployment.bucket.refusal.lock().unwrap() = Some(StatusCode::FORBIDDEN);
    let answer = deployment.request("Update").await;
    assert_eq!((&answer["Status"], &answer["PhysicalResourceId"]), (&json!("FAILED"), &json!("node-of-before")));
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.starts_with("S3 did not take s3://system/node/") && reason.contains("AccessDenied"), "{reason}");
    *deployment.bucket.refusal.lock().unwrap() = None;
    assert_eq!(deployment.request("Update").await["Status"], "SUCCESS");
}
