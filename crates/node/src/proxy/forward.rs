//! Requests of plain HTTP as the target gets them, and its answers as the client gets them: without what is between two hops only
//! (RFC 9110, 7.6).

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, TRANSFER_ENCODING, VIA};
use hyper::header::{PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::refusal::{Body, Refusal};
use super::session::BUFFER_BYTES;
use super::target::Target;

/// What the proxy calls itself, to whoever looks for proxies on the way (RFC 9110, 7.6.3: a proxy must). Not by the node's name.
const PSEUDONYM: &str = "1.1 clusterdrop";

/// Headers of one hop, beside those that `Connection` names.
const OF_ONE_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The request as the target gets it.
pub fn request(mut request: Request<Incoming>, target: &Target) -> Result<Request<Incoming>, Refusal> {
    let is_for_proxies = *request.method() == Method::OPTIONS && request.headers().contains_key(MAX_FORWARDS);
    if *request.method() == Method::TRACE || is_for_proxies {
        return Err(Refusal::ForProxies);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Refusal::Malformed("its address has no path"))?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    clean(headers);
    // The proxy itself lets the client go on.
    headers.remove(EXPECT);
    // What the address says holds, and not what the client says beside it (RFC 9112, 3.2.2).
    let host = HeaderValue::try_from(target.host_header()).map_err(|_| Refusal::Malformed("its host is no name"))?;
    headers.insert(HOST, host);
    Ok(request)
}

/// Removes what is for one hop only, and whatever could make the length of a body doubtful: hyper has read the body's frame and gives
/// it another.
fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // A client that names these would have their length or their host taken away.
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect();
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in OF_ONE_HOP.iter().chain(&named) {
        headers.remove(name);
    }
    headers.append(VIA, HeaderValue::from_static(PSEUDONYM));
}

/// The connection to a target that answers a request. Its end ends the answer.
#[derive(Debug)]
pub struct Upstream {
    driver: JoinHandle<()>,
    _onward: OwnedSemaphorePermit,
}

impl Upstream {
    /// Sends a request, and gives its answer, whose body is still to come.
    pub async fn ask(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        onward: OwnedSemaphorePermit,
        request: Request<Incoming>,
        target: &Target,
    ) -> Result<(Self, Response<Body>), Refusal> {
        let none = |error: hyper::Error| Refusal::NoAnswer(target.clone(), error.to_string());
        let mut http = Builder::new();
        http.max_buf_size(BUFFER_BYTES);
        let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(none)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the proxy to a host ends");
            }
        });
        let upstream = Self { driver, _onward: onward };
        let answer = sender.send_request(request).await.map_err(none)?;
        if answer.status().is_informational() {
            return Err(Refusal::NoAnswer(target.clone(), format!("it goes over to another protocol ({})", answer.status())));
        }
        let mut answer = answer.map(Either::Left);
        *answer.version_mut() = Version::HTTP_11;
        clean(answer.headers_mut());
        Ok((upstream, answer))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
