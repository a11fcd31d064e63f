//! The way of compute nodes to the cluster's secret where they have none of their own: a proxy on the login node that opens tunnels
//! (`CONNECT`, RFC 9110 section 9.3.6) to Secrets Manager of the Region, and to nothing else.
//!
//! What goes through is TLS between the compute node and AWS, so the login node sees only that somebody asks. The cluster's security
//! groups let in other nodes of the cluster alone; the networks here are a second fence, in case an administrator opens the groups.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The TCP port, on the private address of the login node: the one that proxies have by habit.
pub const PORT: u16 = 3128;

/// HTTPS, the only port that tunnels lead to.
const TARGET_PORT: u16 = 443;

/// A network of IPv4 addresses, such as 10.75.0.0/16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 network such as 10.75.0.0/16")]
pub struct NetworkError(String);

impl Network {
    /// The private networks of RFC 1918, and that of RFC 6598, which AWS takes for networks too.
    pub const PRIVATE: [Self; 4] = [
        Self { address: Ipv4Addr::new(10, 0, 0, 0), bits: 8 },
        Self { address: Ipv4Addr::new(172, 16, 0, 0), bits: 12 },
        Self { address: Ipv4Addr::new(192, 168, 0, 0), bits: 16 },
        Self { address: Ipv4Addr::new(100, 64, 0, 0), bits: 10 },
    ];

    /// Whether an address is in it.
    pub fn holds(self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address.to_canonical() else { return false };
        let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address) & mask
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (address, bits) = text.split_once('/')?;
            let network = Self { address: address.parse().ok()?, bits: bits.parse().ok()? };
            (network.bits <= 32 && !bits.starts_with('+')).then_some(network)
        };
        read().ok_or_else(|| NetworkError(text.to_owned()))
    }
}

/// What bounds a proxy: whoever reaches it can use it up, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tunnels at a time. A thousand nodes that boot together ask again when they are refused.
    pub tunnels: usize,
    /// Bytes of a request with its headers; the SDK sends some hundred.
    pub request_bytes: usize,
    /// How long a request may take to arrive, and the connection to the target to be made.
    pub patience: Duration,
    /// How long a tunnel may be open: a secret is read in a fraction of it.
    pub tunnel: Duration,
    /// Bytes of one tunnel in each direction: a handshake and a secret have some thousand.
    pub tunnel_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tunnels: 64,
            request_bytes: 4096,
            patience: Duration::from_secs(10),
            tunnel: Duration::from_mins(1),
            tunnel_bytes: 1024 * 1024,
        }
    }
}

/// What a proxy lets through.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The one target, as a request names it: `<host>:443`.
    target: String,
    /// From where it may be asked.
    networks: Vec<Network>,
    limits: Limits,
    /// Whether a tunnel may lead to this address.
    reaches: fn(IpAddr) -> bool,
}

impl Rules {
    /// Tunnels to Secrets Manager of this Region, from these networks; `None` where the SDK knows no such Region.
    pub async fn secrets_of(region: &str, networks: Vec<Network>) -> Option<Self> {
        let params = Params::builder().region(region).build().ok()?;
        let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.ok()?;
        let host = endpoint.url().strip_prefix("https://")?.trim_end_matches('/').to_owned();
        let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        is_host.then(|| Self { target: format!("{host}:{TARGET_PORT}"), networks, limits: Limits::default(), reaches })
    }

    /// The target, as `<host>:<port>`.
    pub fn target(&self) -> &str {
        &self.target
    }

    fn admits(&self, source: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(source))
    }
}

/// Not this machine and not its metadata: a name server that is deceived must not lead a tunnel there. Private addresses are right,
/// for an endpoint of the administrator's own network has one.
fn reaches(address: IpAddr) -> bool {
    let is_local = match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    !is_local && !address.is_unspecified() && !address.is_multicast()
}

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Malformed,
    NotAllowed,
    TooSlow,
    TooLong,
    Busy,
    Unreachable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "400 Bad Request",
            Self::NotAllowed => "403 Forbidden",
            Self::TooSlow => "408 Request Timeout",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::Busy => "503 Service Unavailable",
            Self::Unreachable => "502 Bad Gateway",
        })
    }
}

/// Serves until the future is dropped. One connection's failure is its own.
pub async fn serve(listener: TcpListener, rules: Rules) {
    let free = Arc::new(Semaphore::new(rules.limits.tunnels));
    let rules = Arc::new(rules);
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptor is free, say. The pause keeps a lasting failure from taking the processor.
                tracing::warn!(%error, "the proxy cannot take a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if !rules.admits(source.ip()) {
            tracing::warn!(%source, "a connection to the proxy from outside the network is closed");
            continue;
        }
        let (rules, permit) = (rules.clone(), free.clone().try_acquire_owned().ok());
        tokio::spawn(async move {
            let mut stream = stream;
            let refused = match permit {
                Some(_) => connection(&mut stream, &rules).await.err(),
                None => Some(Refusal::Busy),
            };
            if let Some(refusal) = refused {
                tracing::info!(%source, %refusal, "the proxy opens no tunnel");
                answer(&mut stream, refusal).await;
            }
            drop(permit);
        });
    }
}

/// The bytes that are still read of a request that is refused.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;

async fn answer(stream: &mut TcpStream, refusal: Refusal) {
    let text = format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let end = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // A connection that is closed with bytes unread is reset, and a reset may overtake the answer.
        tokio::io::copy(&mut stream.take(UNREAD_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whoever does not read the answer goes without.
    let _ = tokio::time::timeout(Duration::from_secs(1), end).await;
}

/// One request, and its tunnel until that ends.
async fn connection(stream: &mut TcpStream, rules: &Rules) -> Result<(), Refusal> {
    let limits = rules.limits;
    let request = within(limits.patience, Refusal::TooSlow, request(stream, limits.request_bytes)).await??;
    if asked_for(&request)? != rules.target {
        return Err(Refusal::NotAllowed);
    }
    let mut target = within(limits.patience, Refusal::Unreachable, connect(rules)).await??;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.map_err(|_| Refusal::Unreachable)?;
    // How it ends is between the two sides; here it is only bounded.
    let _ = tokio::time::timeout(limits.tunnel, tunnel(stream, &mut target, limits.tunnel_bytes)).await;
    Ok(())
}

async fn within<T>(time: Duration, late: Refusal, work: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(time, work).await.map_err(|_| late)
}

/// Reads up to the empty line that ends a request, and not a byte of what comes after it: that is the tunnel's.
async fn request(stream: &mut TcpStream, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() >= most {
            return Err(Refusal::TooLong);
        }
        request.push(stream.read_u8().await.map_err(|_| Refusal::Malformed)?);
    }
    Ok(request)
}

/// The target of a CONNECT request.
fn asked_for(request: &[u8]) -> Result<&str, Refusal> {
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).map_err(|_| Refusal::Malformed)?.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("CONNECT"), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) => Ok(target),
        (Some("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH"), ..) => Err(Refusal::NotAllowed),
        _ => Err(Refusal::Malformed),
    }
}

/// The first address of the target that answers and may be reached.
async fn connect(rules: &Rules) -> Result<TcpStream, Refusal> {
    let found = tokio::net::lookup_host(&rules.target).await.map_err(|_| Refusal::Unreachable)?;
    let (right, wrong): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(|address| (rules.reaches)(address.ip()));
    if right.is_empty() && !wrong.is_empty() {
        tracing::warn!(host = rules.target, ?wrong, "the target's name leads to this machine");
        return Err(Refusal::NotAllowed);
    }
    TcpStream::connect(right.as_slice()).await.map_err(|_| Refusal::Unreachable)
}

/// Passes on what each side sends, until both have ended or one has sent too much.
async fn tunnel(stream: &mut TcpStream, target: &mut TcpStream, most: u64) -> std::io::Result<()> {
    let (mut from_node, mut to_node) = stream.split();
    let (mut from_target, mut to_target) = target.split();
    tokio::try_join!(pass(&mut from_node, &mut to_target, most), pass(&mut from_target, &mut to_node, most))?;
    Ok(())
}

async fn pass(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), most: u64) -> std::io::Result<()> {
    if tokio::io::copy(&mut from.take(most), to).await? == most {
        return Err(std::io::Error::other("a tunnel has taken more than it may"));
    }
    to.shutdown().await
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
