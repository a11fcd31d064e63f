//! Authenticated, encrypted requests between the nodes of one cluster, over TCP.
//!
//! One connection carries one request and one answer, both JSON. It is a Noise channel, `NNpsk0_25519_ChaChaPoly_BLAKE2s`
//! (noiseprotocol.org, revision 34): no certificates to issue, renew or check, a handshake of two messages, and fresh keys for each
//! connection, so that a recorded one tells nothing later, even to who learns the cluster's key (a TLS stack with PSK only, and
//! without certificates, is not to be had in Rust).
//!
//! **What the key proves.** Both sides know the cluster's key: the peer is a member of *this cluster*, not a certain one of them.
//! Root on one node can therefore speak for another node; root on a node is the cluster's owner.
//!
//! **What cannot be replayed.** A request is sent only after the handshake, under keys that both sides' fresh numbers made: bytes of
//! an earlier connection open nothing in a later one.
//!
//! **Bytes.** Handshake and channel are Noise messages, each after its length (2 bytes, big endian). The channel's plain text is the
//! length of the JSON (4 bytes, big endian), then the JSON.
//!
//! **Limits** ([`Limits`]): a stranger holds one of `unproven` places for at most `handshake`, and one address at most
//! `unproven_per_address` of them; a member holds one of `proven` places for at most `request` + `handler` + `answer`. Whoever comes
//! when places are taken is closed at once. All that is refused is counted ([`Counters`]).

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hkdf;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

mod channel;

use channel::Channel;

/// The most bytes of a request, and of an answer, as JSON.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The key of the links of one cluster, made from the cluster's key. It is never printed.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub struct LinkKey([u8; 32]);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

impl LinkKey {
    /// HKDF-SHA-256 of the cluster's key with a label of its own: what else uses that key learns nothing about this one.
    pub fn derive(cluster_key: &[u8; 32]) -> Self {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"clusterdrop").extract(cluster_key);
        let mut key = [0; 32];
        let filled = secret.expand(&[b"link 1: Noise psk"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        assert!(filled.is_ok(), "HKDF-SHA-256 gives 32 bytes");
        Self(key)
    }
}

/// How many connections at once, and how long each step of one may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of which the key is not yet proven.
    pub unproven: usize,
    /// Of these from one address.
    pub unproven_per_address: usize,
    /// Connections of members.
    pub proven: usize,
    /// From the connection to the end of the handshake.
    pub handshake: Duration,
    /// From the handshake to the request's last byte.
    pub request: Duration,
    /// The handler's time. Handlers that wait for news must end before.
    pub handler: Duration,
    /// From the answer's first byte to its last.
    pub answer: Duration,
}

impl Default for Limits {
    /// For a cluster of some hundred nodes, each with one request that waits for news.
    fn default() -> Self {
        Self {
            unproven: 64,
            unproven_per_address: 16,
            proven: 1024,
            handshake: Duration::from_secs(5),
            request: Duration::from_secs(10),
            handler: Duration::from_mins(1),
            answer: Duration::from_secs(10),
        }
    }
}

/// What a server has answered and refused.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests answered.
    pub answered: AtomicU64,
    /// No place was free.
    pub busy: AtomicU64,
    /// The handshake failed: another key, another protocol, or garbage.
    pub strangers: AtomicU64,
    /// A message within the channel did not open: changed, out of order, or of another connection.
    pub forged: AtomicU64,
    /// The connection ended in the middle.
    pub truncated: AtomicU64,
    /// More than [`BODY_BYTES_MAX`].
    pub oversized: AtomicU64,
    /// The JSON was not of this request's form.
    pub malformed: AtomicU64,
    /// A step took too long.
    pub late: AtomicU64,
}

impl Counters {
    /// All that was refused, in sum.
    pub fn refused(&self) -> u64 {
        let all = [&self.busy, &self.strangers, &self.forged, &self.truncated, &self.oversized, &self.malformed, &self.late];
        all.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    fn count(&self, result: &Result<bool, LinkError>) {
        let counter = match result {
            Ok(true) => &self.answered,
            Ok(false) => &self.busy,
            Err(LinkError::Stranger) => &self.strangers,
            Err(LinkError::Forged) => &self.forged,
            Err(LinkError::Closed(_)) => &self.truncated,
            Err(LinkError::Oversized(_)) => &self.oversized,
            Err(LinkError::Malformed(_)) => &self.malformed,
            Err(LinkError::Late(_) | LinkError::Unreachable(_)) => &self.late,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error("there is no connection to the node; is its agent up, and its port open for this cluster's nodes?")]
    Unreachable(#[source] io::Error),
    /// The handshake did not open.
    #[error("the peer does not prove this cluster's key; both nodes need the same key and the same version of the agent")]
    Stranger,
    /// A message did not open.
    #[error("a message was changed on its way, or is of another connection; nothing of it was used")]
    Forged,
    /// The connection ended.
    #[error("the peer closed the connection before all was sent: it is busy, has ended, or refused what it got")]
    Closed(#[source] io::Error),
    /// Too long.
    #[error("{0} bytes are more than the {BODY_BYTES_MAX} that a request or an answer may have")]
    Oversized(usize),
    /// Not of the form that is expected.
    #[error("the JSON is not of the form that this version of the agent knows; all nodes need the same version")]
    Malformed(#[source] serde_json::Error),
    /// A step took too long.
    #[error("the {0} took longer than it may")]
    Late(&'static str),
}

/// Answers requests until its future is dropped. A handler gets the peer's address and its request; what it returns is the answer.
pub async fn serve<Q, A, H, F>(listener: TcpListener, key: LinkKey, limits: Limits, counters: Arc<Counters>, handler: H)
where
    Q: DeserializeOwned + Send,
    A: Serialize + Send,
    H: Fn(SocketAddr, Q) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = A> + Send,
{
    let places = Arc::new(Places::new(&limits));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of file descriptors, or a connection that has ended already: neither is a reason to stop, and not one to spin.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.unproven(peer.ip()) else {
            counters.busy.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (key, counters, handler, places) = (key.clone(), Arc::clone(&counters), handler.clone(), Arc::clone(&places));
        connections.spawn(async move {
            let result = answer_one(stream, peer, &key, &limits, &places, place, handler).await;
            if let Err(error) = &result {
                tracing::debug!(%peer, %error, "a request was refused");
            }
            counters.count(&result);
        });
    }
}

/// One connection of a server. `Ok(false)`: no place for members was free.
async fn answer_one<Q, A, H, F>(
    mut stream: TcpStream,
    peer: SocketAddr,
    key: &LinkKey,
    limits: &Limits,
    places: &Places,
    place: Unproven,
    handler: H,
) -> Result<bool, LinkError>
where
    Q: DeserializeOwned,
    A: Serialize,
    H: Fn(SocketAddr, Q) -> F,
    F: Future<Output = A>,
{
    let mut channel = within(limits.handshake, "handshake", Channel::accept(&mut stream, key)).await?;
    drop(place);
    let Ok(_place) = Arc::clone(&places.proven).try_acquire_owned() else { return Ok(false) };
    let request: Q = parse(&within(limits.request, "request", channel.receive(&mut stream)).await?)?;
    let answer = timeout(limits.handler, handler(peer, request)).await.map_err(|_| LinkError::Late("handler"))?;
    let answer = serde_json::to_vec(&answer).map_err(LinkError::Malformed)?;
    within(limits.answer, "answer", channel.send(&mut stream, &answer)).await?;
    Ok(true)
}

/// Sends one request and waits for its answer. `patience` bounds the handler's time on the other side, not connection and transfer,
/// which have the bounds of [`Limits::default`].
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    address: SocketAddr,
    key: &LinkKey,
    request: &Q,
    patience: Duration,
) -> Result<A, LinkError> {
    let limits = Limits::default();
    let request = serde_json::to_vec(request).map_err(LinkError::Malformed)?;
    let connected = timeout(limits.handshake, TcpStream::connect(address)).await.map_err(|_| LinkError::Late("connection"))?;
    let mut stream = connected.map_err(LinkError::Unreachable)?;
    let mut channel = within(limits.handshake, "handshake", Channel::connect(&mut stream, key)).await?;
    within(limits.request, "request", channel.send(&mut stream, &request)).await?;
    parse(&within(patience + limits.answer, "answer", channel.receive(&mut stream)).await?)
}

async fn within<T>(limit: Duration, step: &'static str, work: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    timeout(limit, work).await.unwrap_or(Err(LinkError::Late(step)))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LinkError> {
    serde_json::from_slice(bytes).map_err(LinkError::Malformed)
}

/// The places of a server.
struct Places {
    unproven: Arc<Semaphore>,
    proven: Arc<Semaphore>,
    per_address: usize,
    /// At most as many entries as there are places.
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place of a connection that has not proven the key.
struct Unproven {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    fn new(limits: &Limits) -> Self {
        Self {
            unproven: Arc::new(Semaphore::new(limits.unproven)),
            proven: Arc::new(Semaphore::new(limits.proven)),
            per_address: limits.unproven_per_address,
            addresses: Arc::default(),
        }
    }

    fn unproven(&self, address: IpAddr) -> Option<Unproven> {
        let permit = Arc::clone(&self.unproven).try_acquire_owned().ok()?;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let held = addresses.entry(address).or_insert(0);
        if *held >= self.per_address {
            return None;
        }
        *held += 1;
        Some(Unproven { _permit: permit, address, addresses: Arc::clone(&self.addresses) })
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = addresses.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
