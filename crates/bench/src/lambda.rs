//! Lambda, small: it starts a function as a fresh process, hands it one event after the other by the Runtime API
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), and notes when what happened.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use cf_local::children;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::share::Share;
use crate::subject::Subject;

/// Nothing takes longer, not even Python under 128 MB's share of a processor, or a function under Valgrind.
const STEP_SECONDS_MAX: u64 = 600;

/// A function that runs.
pub struct Function {
    child: Child,
    begun: Instant,
    events: mpsc::Sender<String>,
    marks: mpsc::Receiver<Mark>,
    log: std::path::PathBuf,
}

/// What the Runtime API heard or said, and when.
enum Mark {
    Asked(Instant),
    Sent(Instant),
    Ended(Instant, Result<(), String>),
}

struct Api {
    events: Mutex<mpsc::Receiver<String>>,
    marks: mpsc::Sender<Mark>,
}

impl Function {
    /// Starts it; with `wrapper` (Valgrind and its arguments) as what it runs under.
    pub async fn start(subject: &Subject, share: Option<&Share>, wrapper: &[String]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (events, to_function) = mpsc::channel(1);
        let (heard, marks) = mpsc::channel(8);
        let api = Arc::new(Api { events: Mutex::new(to_function), marks: heard });
        tokio::spawn(async move { axum::serve(listener, routes(api)).await });
        let log = subject.folder.join(format!("{}.log", subject.file()));
        let out = fs::File::create(&log)?;
        let mut command = subject.command(share, wrapper);
        command.env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{port}")).stdout(out.try_clone()?).stderr(out);
        let begun = Instant::now();
        let child = children::spawn(&mut command).with_context(|| format!("{} could not be started", subject.name))?;
        if let Some(share) = share {
            share.hold(child.id());
        }
        Ok(Self { child, begun, events, marks, log })
    }

    /// Waits until it asks for an event: from its start, that is the initialisation.
    pub async fn ready(&mut self) -> Result<Duration> {
        match self.mark().await? {
            Mark::Asked(at) => Ok(at - self.begun),
            Mark::Sent(_) | Mark::Ended(..) => bail!("the function answered what it was not asked: {}", self.said()),
        }
    }

    /// Hands it an event and waits until it asks for the next: the time from the event to its answer.
    pub async fn invoke(&mut self, event: &str) -> Result<Duration> {
        self.events.send(event.to_owned()).await?;
        let (mut sent, mut took) = (None, None);
        loop {
            match (self.mark().await?, sent) {
                (Mark::Sent(at), _) => sent = Some(at),
                (Mark::Ended(at, Ok(())), Some(sent)) => took = Some(at - sent),
                (Mark::Ended(_, Err(why)), _) => bail!("the function failed: {why}\n{}", self.said()),
                (Mark::Ended(_, Ok(())), None) => bail!("the function answered what it was not asked"),
                (Mark::Asked(_), _) => return took.context("the function asked for more without an answer"),
            }
        }
    }

    /// The most memory it has held, in MiB.
    pub fn peak_megabytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Tells it that there is nothing more, and waits until it has ended.
    pub async fn end(mut self) -> Result<()> {
        // Without a sender the Runtime API answers `next` with "gone".
        let (closed, _) = mpsc::channel(1);
        self.events = closed;
        let until = Instant::now() + Duration::from_secs(STEP_SECONDS_MAX);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("the function does not end: {}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn mark(&mut self) -> Result<Mark> {
        match tokio::time::timeout(Duration::from_secs(STEP_SECONDS_MAX), self.marks.recv()).await {
            Ok(Some(mark)) => Ok(mark),
            Ok(None) | Err(_) => bail!("nothing was heard of the function for {STEP_SECONDS_MAX} s: {}", self.said()),
        }
    }

    fn said(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::forget(self.child.id());
    }
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
        .route("/2018-06-01/runtime/init/error", post(failed_to_start))
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let _ = api.marks.send(Mark::Asked(Instant::now())).await;
    let Some(event) = api.events.lock().await.recv().await else { return Err(StatusCode::GONE) };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(STEP_SECONDS_MAX);
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-2:123456789012:function:bench".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    let _ = api.marks.send(Mark::Sent(Instant::now())).await;
    Ok((headers, event))
}

async fn end(State(api): State<Arc<Api>>, Path((_, how)): Path<(String, String)>, body: String) -> StatusCode {
    let at = Instant::now();
    let _ = api.marks.send(Mark::Ended(at, if how == "response" { Ok(()) } else { Err(body) })).await;
    StatusCode::ACCEPTED
}

async fn failed_to_start(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    let _ = api.marks.send(Mark::Ended(Instant::now(), Err(body))).await;
    StatusCode::ACCEPTED
}
