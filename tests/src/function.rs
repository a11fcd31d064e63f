//! A function as Lambda runs it: its own binary, the credentials of its own role, the settings of template.yaml, and
//! Lambda's Runtime API, from which it takes its events. LocalEmu runs functions in Docker only, hence this.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::live::{Keys, Live};
use cf_local::deploy::PREFIX;
use cf_local::emulator::REGION;
use cf_local::{children, localemu, root};

/// A running function.
#[derive(Debug)]
pub struct Function {
    child: Child,
    log: PathBuf,
    events: mpsc::Sender<Value>,
    ends: mpsc::Receiver<End>,
    answers: mpsc::Receiver<Value>,
    /// Where a custom resource's answer is to be sent.
    pub answer_url: String,
}

/// How an invocation ended.
type End = Result<Value, Value>;

/// Longer than any of the functions may take.
const INVOCATION_SECONDS_MAX: u64 = 120;

struct Api {
    events: Mutex<mpsc::Receiver<Value>>,
    ends: mpsc::Sender<End>,
    answers: mpsc::Sender<Value>,
}

impl Function {
    /// Starts `cf-create`, `cf-delete` or `cf-watch` with the keys of its role.
    pub async fn start(live: &Live, name: &str, keys: &Keys) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (events, to_function) = mpsc::channel(1);
        let (from_function, ends) = mpsc::channel(4);
        let (for_stacks, answers) = mpsc::channel(4);
        let api = Arc::new(Api { events: Mutex::new(to_function), ends: from_function, answers: for_stacks });
        tokio::spawn(async move { axum::serve(listener, routes(api)).await });
        let log = localemu::folder(live.port).join(format!("{name}-{port}.log"));
        let child = children::spawn(&mut command(live, name, keys, port, &log)?)?;
        Ok(Self { child, log, events, ends, answers, answer_url: format!("http://127.0.0.1:{port}/answer") })
    }

    /// Hands it an event, and waits for the end of that invocation.
    pub async fn invoke(&mut self, event: &Value) -> Result<Value> {
        self.events.send(event.clone()).await?;
        let end = tokio::time::timeout(Duration::from_secs(INVOCATION_SECONDS_MAX), self.ends.recv()).await;
        match end {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(error))) => bail!("the function failed: {error}\n{}", localemu::last_words(&self.log)),
            Ok(None) | Err(_) => bail!("the function did not end:\n{}", localemu::last_words(&self.log)),
        }
    }

    /// The answer that it has sent for a custom resource.
    pub fn answer(&mut self) -> Result<Value> {
        self.answers.try_recv().context("the function has sent CloudFormation no answer")
    }

    /// What it has logged.
    pub fn logged(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

/// The binary that `sam build` made, with nothing in its environment but what Lambda and template.yaml put there.
fn command(live: &Live, name: &str, keys: &Keys, port: u16, log: &PathBuf) -> Result<Command> {
    let folder = match name {
        "cf-create" => "CfCreate",
        "cf-delete" => "CfDelete",
        "cf-watch" => "CfWatch",
        other => bail!("there is no function {other}"),
    };
    let binary = root().join("target").join("local-sam").join(folder).join("bootstrap");
    let out = File::create(log)?;
    let mut command = Command::new(&binary);
    command
        .env_clear()
        .envs(&live.settings)
        .env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{port}"))
        .env("AWS_LAMBDA_FUNCTION_NAME", format!("{PREFIX}-{name}"))
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", &keys.id)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
        .env("AWS_SESSION_TOKEN", keys.token.as_deref().context("a function has the keys of a session")?)
        .env("AWS_ENDPOINT_URL", live.url())
        .env("SSL_CERT_FILE", localemu::certificate(live.port))
        .stdout(out.try_clone()?)
        .stderr(out);
    Ok(command)
}

/// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, as far as a runtime needs it.
fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
        .route("/2018-06-01/runtime/init/error", post(failed_to_start))
        .route("/answer", put(answered))
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let Some(event) = api.events.lock().await.recv().await else { return Err(StatusCode::GONE) };
    let deadline = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis() + 120_000;
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", deadline.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", format!("arn:aws:lambda:{REGION}:000000000000:function:test")),
    ];
    Ok((headers, event.to_string()))
}

async fn end(State(api): State<Arc<Api>>, Path((_, how)): Path<(String, String)>, body: String) -> StatusCode {
    let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    let end = if how == "response" { Ok(value) } else { Err(value) };
    // Nobody waits any more once the test has ended.
    let _ = api.ends.send(end).await;
    StatusCode::ACCEPTED
}

async fn answered(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.answers.send(serde_json::from_str(&body).unwrap_or(Value::String(body))).await;
    StatusCode::OK
}

async fn failed_to_start(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.ends.send(Err(Value::String(body))).await;
    StatusCode::ACCEPTED
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::forget(self.child.id());
    }
}
