//! The fault layer: an HTTP client of the SDK around the real one. It numbers every request, retries included, and spoils
//! the one that it was told to spoil.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::{AsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use regex_lite::Regex;

use crate::bare::Way;

/// What befalls a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It never leaves: the connection breaks first.
    Lost,
    /// It arrives and is acted on; its answer comes when nobody waits for it any more.
    Delayed,
    /// It is answered 500.
    Error,
    /// It is answered that there are too many: 503 SlowDown by S3, 400 Throttling by CloudFormation and SES.
    Throttled,
    /// It arrives and is acted on; the connection breaks before the answer.
    Cut,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Lost, Self::Delayed, Self::Error, Self::Throttled, Self::Cut];
}

/// A request as one knows it again in another run of the same path: what it asks of whom, and its index among equal requests.
/// Reads that go together may change places, so a bare number would not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    pub service: &'static str,
    pub what: String,
    pub nth: usize,
}

/// Which request to spoil, and how.
#[derive(Debug, Clone)]
pub struct Spoil {
    pub request: Request,
    pub kind: Kind,
    /// From there on everything of that service, until the pass is over.
    pub lasts: bool,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Request>,
    spoil: Option<Spoil>,
    /// A spoil that lasts has begun.
    has_begun: bool,
    struck: Vec<Request>,
    /// Answers that are held back.
    held: usize,
}

/// The layer; its clones are one.
#[derive(Debug, Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    /// Taken out of names of buckets, which differ from account to account.
    account: String,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub fn new(inner: SharedHttpClient, account: &str, spoil: Option<Spoil>) -> Self {
        Self { inner, account: account.to_owned(), state: Arc::new(Mutex::new(State { spoil, ..State::default() })) }
    }

    /// The way through the layer.
    pub fn way(&self, attempts: u32) -> Way {
        Way { attempts, attempt: PATIENCE, ..Way::new(SharedHttpClient::new(self.clone()), self.clone()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request so far, in order.
    pub fn seen(&self) -> Vec<Request> {
        self.state().seen.clone()
    }

    /// How many of them change anything.
    pub fn writes(&self) -> usize {
        // What a sweep remembers of the ledgers is no work.
        let is_memory = |r: &&Request| r.what.starts_with("PUT system/sweep/");
        let is_write = |r: &&Request| !is_memory(r) && ["PUT", "DELETE", "Create", "Delete", "Send"].iter().any(|w| r.what.starts_with(w));
        self.state().seen.iter().filter(is_write).count()
    }

    /// The requests that were spoiled.
    pub fn struck(&self) -> Vec<Request> {
        self.state().struck.clone()
    }

    /// A pass is over, and with it whatever has begun.
    pub fn pass_is_over(&self) {
        let mut state = self.state();
        if !state.struck.is_empty() {
            state.spoil = None;
        }
    }

    /// Notes a request; gives what is to befall it.
    fn note(&self, request: &HttpRequest) -> Option<(Kind, &'static str)> {
        let (service, what) = describe(request, &self.account);
        let mut state = self.state();
        let nth = state.seen.iter().filter(|r| r.service == service && r.what == what).count();
        let request = Request { service, what, nth };
        state.seen.push(request.clone());
        let spoil = state.spoil.clone()?;
        let is_meant = spoil.request == request || (state.has_begun && spoil.request.service == service);
        if !is_meant {
            return None;
        }
        state.has_begun = spoil.lasts;
        if !spoil.lasts {
            state.spoil = None;
        }
        state.struck.push(request);
        Some((spoil.kind, service))
    }
}

/// Where reports lie, in a path or in the prefix of a listing.
static REQUEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("nodes(?:/|%2F)([a-z]+)(?:/|%2F)demo(?:/|%2F)[0-9a-f]{16}(?:/|%2F)([^&]*)").expect("a pattern of ours"));

/// `PUT users/home/a/demo.cf-created`, `CreateStack`.
fn describe(request: &HttpRequest, account: &str) -> (&'static str, String) {
    let action = request.body().bytes().and_then(|body| {
        let form = String::from_utf8_lossy(body).into_owned();
        form.split('&').find_map(|part| part.strip_prefix("Action=").map(str::to_owned))
    });
    match action.as_deref() {
        Some("SendEmail") => ("ses", "SendEmail".to_owned()),
        Some(action) => ("cloudformation", action.to_owned()),
        None => {
            let at = request.uri().splitn(4, '/').nth(3).unwrap_or_default().replace(&format!("-{account}"), "");
            // Reports lie below their request, whose id no two runs share.
            let at = REQUEST.replace_all(&at, "nodes/$1/demo/<request>/$2");
            ("s3", format!("{} {at}", request.method()))
        }
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Line { wire: self.clone(), inner: self.inner.http_connector(settings, components) })
    }
}

#[derive(Debug)]
struct Line {
    wire: Wire,
    inner: SharedHttpConnector,
}

/// Longer than the SDK waits for any attempt.
const LATE: Duration = Duration::from_secs(30);

/// How long the SDK waits for an attempt here: long enough for the emulator's answer, and quick to be over.
const PATIENCE: Duration = Duration::from_millis(300);

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some((kind, service)) = self.wire.note(&request) else { return self.inner.call(request) };
        let broken = || ConnectorError::io("the connection was reset".into());
        match kind {
            Kind::Lost => HttpConnectorFuture::ready(Err(broken())),
            Kind::Error => HttpConnectorFuture::ready(refusal(service, 500)),
            Kind::Throttled => HttpConnectorFuture::ready(refusal(service, if service == "s3" { 503 } else { 400 })),
            Kind::Delayed => {
                let (sent, wire) = (self.inner.call(request), self.wire.clone());
                HttpConnectorFuture::new(async move {
                    let answer = sent.await;
                    let _held = Held::new(&wire);
                    tokio::time::sleep(LATE).await;
                    answer
                })
            }
            Kind::Cut => {
                let sent = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    sent.await?;
                    Err(broken())
                })
            }
        }
    }
}

/// An answer that is held back, until it comes or nobody waits for it any more.
struct Held<'a>(&'a Wire);

impl<'a> Held<'a> {
    fn new(wire: &'a Wire) -> Self {
        wire.state().held += 1;
        Self(wire)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().held -= 1;
    }
}

/// The SDK's clock. Its patience with an answer ends only while one is held back: on a busy machine an emulator that is slow
/// is not a fault that the test has ordered.
impl AsyncSleep for Wire {
    fn sleep(&self, duration: Duration) -> Sleep {
        let wire = self.clone();
        Sleep::new(async move {
            tokio::time::sleep(duration).await;
            // What is shorter is a pause between attempts.
            while duration >= PATIENCE && wire.state().held == 0 {
                tokio::time::sleep(duration).await;
            }
        })
    }
}

/// An error in the service's own words.
fn refusal(service: &str, status: u16) -> Result<HttpResponse, ConnectorError> {
    let error = |code: &str, message: &str| match service {
        "s3" => format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>r</RequestId></Error>"),
        _ => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    };
    let body = match (service, status) {
        ("s3", 500) => error("InternalError", "We encountered an internal error. Please try again."),
        ("s3", _) => error("SlowDown", "Please reduce your request rate."),
        (_, 500) => error("InternalFailure", "The request processing has failed."),
        _ => error("Throttling", "Rate exceeded"),
    };
    let status = StatusCode::try_from(status).map_err(|e| ConnectorError::other(e.into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
