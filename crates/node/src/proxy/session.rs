//! One connection of a client: its requests, and the tunnel that it becomes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Either;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::activity::{Activity, Watched};
use super::forward::{self, Upstream};
use super::places::Place;
use super::refusal::{Body, Refusal};
use super::target::{Manner, Target};
use super::{Rules, Way, connect};

/// The most bytes that a connection holds in each direction.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// The bytes that are still read of a connection that ends, and how long.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;
const UNREAD_TIME_MAX: Duration = Duration::from_secs(1);

/// A tunnel whose client is about to read that it is open.
#[derive(Debug)]
struct Tunnel {
    target: TcpStream,
    time_max: Option<Duration>,
    _onward: Option<OwnedSemaphorePermit>,
}

/// What one connection of a client is served by.
#[derive(Debug)]
pub struct Session {
    rules: Arc<Rules>,
    place: Place,
    source: SocketAddr,
    activity: Activity,
    tunnel: Mutex<Option<Tunnel>>,
    /// The connection of the request that is answered: the next one, or this connection's end, ends it.
    upstream: Mutex<Option<Upstream>>,
}

impl Session {
    /// For a connection that has a place.
    pub fn new(rules: Arc<Rules>, place: Place, source: SocketAddr) -> Arc<Self> {
        Arc::new(Self { rules, place, source, activity: Activity::new(), tunnel: Mutex::default(), upstream: Mutex::default() })
    }

    /// Serves until either side ends, or both are silent for too long.
    pub async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let idle = self.rules.limits.idle;
        tokio::select! {
            () = Arc::clone(&self).requests(stream) => {}
            () = self.activity.idle(idle) => tracing::info!(source = %self.source, ?idle, "a silent connection through the proxy ends"),
        }
    }

    async fn requests(self: Arc<Self>, stream: TcpStream) {
        let session = Arc::clone(&self);
        let service = service_fn(move |request| {
            let session = Arc::clone(&session);
            Box::pin(async move { Ok::<_, Infallible>(session.answer(request).await) })
        });
        let mut http = Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.rules.limits.patience);
        http.max_buf_size(BUFFER_BYTES).max_header_size(self.rules.limits.head_bytes);
        // A client that has sent its request may have no more to send, and yet read the answer.
        http.half_close(true);
        let mut connection = http.serve_connection(TokioIo::new(Watched::new(stream, self.activity.clone())), service);
        let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
        let parts = connection.into_parts();
        let mut stream = parts.io.into_inner();
        let tunnel = self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (ended, tunnel) {
            (Ok(()), Some(tunnel)) => tunnel.carry(stream, parts.read_buf).await,
            (Err(error), _) if error.is_timeout() && !parts.read_buf.is_empty() => {
                let _ = stream.write_all(&Refusal::TooSlow.bytes()).await;
                end(stream).await;
            }
            (Err(error), _) => {
                tracing::debug!(source = %self.source, %error, "a connection to the proxy ends");
                end(stream).await;
            }
            (Ok(()), None) => end(stream).await,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        // Its answer has been sent, or has no reader.
        drop(self.upstream.lock().unwrap_or_else(PoisonError::into_inner).take());
        let answered = match *request.method() {
            Method::CONNECT => self.open(&request).await,
            _ => self.pass_on(request).await,
        };
        answered.unwrap_or_else(|refusal| {
            tracing::info!(source = %self.source, %refusal, "the proxy refuses a request");
            refusal.response()
        })
    }

    /// Opens a tunnel, which begins when the client has the answer.
    async fn open(&self, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let target = Target::of_tunnel(request.uri())?;
        let (time_max, onward, way) = match self.rules.way(&target, Manner::Tunnel)? {
            Way::Secret => (Some(self.rules.limits.secret), None, Way::Secret),
            Way::Internet => (None, Some(self.place.onward()?), Way::Internet),
        };
        let stream = connect::connect(&self.rules, &self.place, &target, way).await?;
        let tunnel = Tunnel { target: stream, time_max, _onward: onward };
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
        Ok(Response::new(Either::Right(Bytes::new().into())))
    }

    /// Asks the target, and passes on its answer as it comes.
    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let target = Target::of_request(request.uri())?;
        let request = forward::request(request, &target)?;
        let way = self.rules.way(&target, Manner::Request)?;
        let onward = self.place.onward()?;
        let stream = connect::connect(&self.rules, &self.place, &target, way).await?;
        let (upstream, answer) = Upstream::ask(Watched::new(stream, self.activity.clone()), onward, request, &target).await?;
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(upstream);
        Ok(answer)
    }
}

impl Tunnel {
    /// Passes on what each side sends until both have ended. `early`: what the client has sent already.
    async fn carry(mut self, mut client: Watched<TcpStream>, early: Bytes) {
        let both = async {
            self.target.write_all(&early).await?;
            // It holds the whole buffer of the requests.
            drop(early);
            copy_bidirectional_with_sizes(&mut client, &mut self.target, BUFFER_BYTES, BUFFER_BYTES).await
        };
        // How it ends is between the two sides; here it is only bounded.
        let _ = timeout(self.time_max.unwrap_or(Duration::MAX), both).await;
    }
}

/// Ends a connection so that its last words arrive: one that is closed with bytes unread is reset, and a reset may overtake them.
pub async fn end(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let end = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(UNREAD_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not read them goes without.
    let _ = timeout(UNREAD_TIME_MAX, end).await;
}
