//! AWS, as far as the measured functions ask it: S3, CloudFormation and SES behind one port with TLS 1.3. It remembers
//! nothing but what it was asked, and each answer takes as long as it is told to.

mod answers;
pub mod calls;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, Response};

use calls::Call;

/// In a folder of certificates each is found by a hash of its subject; any will do where all are read.
const HASHED: &str = "00000000.0";

/// The running stub. It ends with the program.
#[derive(Debug, Clone)]
pub struct Stub {
    /// Where it listens.
    pub url: String,
    /// Its own certificate, in a folder with nothing else.
    pub certificate: PathBuf,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    latency_milliseconds: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl Stub {
    /// Starts it on a free port, with a certificate made for this run.
    pub async fn start(folder: &Path) -> Result<Self> {
        let alone = folder.join("certificate");
        fs::create_dir_all(&alone)?;
        let (listener, pem) = tls::listen().await?;
        let certificate = alone.join(HASHED);
        fs::write(&certificate, pem)?;
        let heard = Arc::new(Heard::default());
        let url = format!("https://127.0.0.1:{}", listener.port);
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, certificate, heard })
    }

    /// From now on each answer takes so long.
    pub fn set_latency(&self, milliseconds: u64) {
        self.heard.latency_milliseconds.store(milliseconds, Ordering::Relaxed);
    }

    /// What was asked since the last time, in the order in which it came.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.heard.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(State(heard): State<Arc<Heard>>, request: Request<Body>) -> Response<Body> {
    let begun = Instant::now();
    let (asked, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (name, response) = answers::to(&asked, &text(&body));
    let latency = heard.latency_milliseconds.load(Ordering::Relaxed);
    if latency > 0 {
        // The runtime's own timer is good to a millisecond only: a twentieth of what is measured here.
        let until = Duration::from_millis(latency).saturating_sub(begun.elapsed());
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(until)).await;
    }
    // A HEAD of nothing is how a connection is opened: nobody's call, but counted beside them.
    let is_opening = asked.method == Method::HEAD && asked.uri.path() == "/";
    let call = Call { name, is_opening, begun, ended: Instant::now() };
    heard.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    response
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}
