//! Lambda's Runtime API (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), as far as a runtime needs it: it hands a function one
//! event after the other, and says when what happened. Beside it, the address that a custom resource's answer goes to.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

/// The Runtime API of one function.
#[derive(Debug)]
pub struct RuntimeApi {
    /// The port on 127.0.0.1.
    pub port: u16,
    events: mpsc::Sender<String>,
    marks: mpsc::Receiver<Mark>,
    answers: mpsc::Receiver<String>,
}

/// What happened, and when.
#[derive(Debug)]
pub enum Mark {
    /// The function asked for an event.
    Asked(Instant),
    /// It was given one.
    Sent(Instant),
    /// An invocation ended, or the function could not start: its response, or its error.
    Ended(Instant, Result<String, String>),
}

struct Api {
    events: Mutex<mpsc::Receiver<String>>,
    marks: mpsc::Sender<Mark>,
    answers: mpsc::Sender<String>,
    timeout: Duration,
}

impl RuntimeApi {
    /// Starts it. `timeout` is the function's: each invocation is told its deadline.
    pub async fn start(timeout: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (events, to_function) = mpsc::channel(1);
        let (heard, marks) = mpsc::channel(8);
        let (for_stacks, answers) = mpsc::channel(4);
        let api = Arc::new(Api { events: Mutex::new(to_function), marks: heard, answers: for_stacks, timeout });
        tokio::spawn(async move { axum::serve(listener, routes(api)).await });
        Ok(Self { port, events, marks, answers })
    }

    /// What Lambda puts into the environment of a function beside its credentials.
    pub fn environment(&self, name: &str, region: &str) -> [(&'static str, String); 6] {
        [
            ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", self.port)),
            ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_REGION", region.to_owned()),
        ]
    }

    /// Gives the function an event, once it asks for one.
    pub async fn send(&self, event: String) -> Result<()> {
        Ok(self.events.send(event).await?)
    }

    /// What happens next, within `most`.
    pub async fn mark(&mut self, most: Duration) -> Result<Mark> {
        match tokio::time::timeout(most, self.marks.recv()).await {
            Ok(Some(mark)) => Ok(mark),
            Ok(None) | Err(_) => bail!("the function did nothing for {} s", most.as_secs()),
        }
    }

    /// There are no more events: from here on `next` is answered with "gone".
    pub fn close(&mut self) {
        self.events = mpsc::channel(1).0;
    }

    /// Where a custom resource's answer is to be sent.
    pub fn answer_url(&self) -> String {
        format!("http://127.0.0.1:{}/answer", self.port)
    }

    /// The answer that was sent there.
    pub fn answer(&mut self) -> Result<String> {
        self.answers.try_recv().context("the function has sent CloudFormation no answer")
    }
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
        .route("/2018-06-01/runtime/init/error", post(failed_to_start))
        .route("/answer", put(answered))
        .with_state(api)
}

// Nobody receives any more once the test has ended: what cannot be sent then is dropped.

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let _ = api.marks.send(Mark::Asked(Instant::now())).await;
    let Some(event) = api.events.lock().await.recv().await else { return Err(StatusCode::GONE) };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + api.timeout;
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-2:123456789012:function:local".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    let _ = api.marks.send(Mark::Sent(Instant::now())).await;
    Ok((headers, event))
}

async fn end(State(api): State<Arc<Api>>, Path((_, how)): Path<(String, String)>, body: String) -> StatusCode {
    let at = Instant::now();
    let _ = api.marks.send(Mark::Ended(at, if how == "response" { Ok(body) } else { Err(body) })).await;
    StatusCode::ACCEPTED
}

async fn failed_to_start(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.marks.send(Mark::Ended(Instant::now(), Err(body))).await;
    StatusCode::ACCEPTED
}

async fn answered(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.answers.send(body).await;
    StatusCode::OK
}
