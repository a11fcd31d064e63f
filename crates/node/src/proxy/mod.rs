//! The way out of compute nodes that have none of their own: a forward proxy on the login node (RFC 9110, 3.7). To every cluster it opens
//! tunnels (`CONNECT`) to Secrets Manager of the Region; where the template says so, also tunnels to port 443 of any host of the
//! Internet, and it passes on requests of plain HTTP to port 80.
//!
//! What goes through a tunnel is TLS between the compute node and the host, so the login node sees only that somebody asks. No tunnel
//! leads to port 80: programs ask for plain HTTP with whole addresses (apt, pip, conda, git and curl do), and then the proxy knows what is
//! asked. Addresses of the cluster's own network are not reached: behind the proxy they would be asked from the login node's address. The
//! cluster's security groups let in other nodes of the cluster alone; the networks here are a second fence, in case an administrator opens
//! the groups.
//!
//! HTTP is hyper's: nothing here reads a byte of a request. [`Limits`] says what bounds the proxy.

mod activity;
mod address;
pub mod command;
mod connect;
mod forward;
mod places;
mod refusal;
mod session;
mod target;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use tokio::net::{TcpListener, TcpStream};

use crate::settings::Outbound;
pub use address::{Network, NetworkError};
use connect::Names;
use places::Places;
use refusal::Refusal;
use session::Session;
use target::{Manner, Target};

/// The TCP port, on the private address of the login node: the one that proxies have by habit.
pub const PORT: u16 = 3128;

/// What bounds a proxy: whoever reaches it can use it up, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections to the Internet at a time, of all clients. With the buffers of each (`session::BUFFER_BYTES`) this bounds the memory.
    pub onward: usize,
    /// Connections of clients beside those: requests that have not come yet, and tunnels to the cluster's secret. A thousand nodes that
    /// boot together ask again when they are refused.
    pub reserved: usize,
    /// Connections of one client at a time, so that none takes the places of all.
    pub of_client: usize,
    /// Names that are looked up at a time, each on a thread.
    pub lookups: usize,
    /// The same for one client: names may be such that their servers do not answer.
    pub lookups_of_client: usize,
    /// Bytes of a request's head. Signed addresses and cookies have some thousand.
    pub head_bytes: usize,
    /// How long a request's head may take to arrive (which is how long a connection may wait for its next request), and the connection
    /// to the target to be made.
    pub patience: Duration,
    /// After how long without a byte in either direction a connection ends. How long and how large a download is has no limit.
    pub idle: Duration,
    /// How long a tunnel to Secrets Manager may be open: a secret is read in a fraction of it.
    pub secret: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            onward: 512,
            reserved: 64,
            of_client: 64,
            lookups: 16,
            lookups_of_client: 4,
            head_bytes: 16 * 1024,
            patience: Duration::from_secs(10),
            // More than AWS's NAT gateway has (350 s), for a server that computes its answer.
            idle: Duration::from_mins(10),
            secret: Duration::from_mins(1),
        }
    }
}

/// What is reached beside the cluster's secret.
#[derive(Debug, Clone)]
struct Internet {
    /// The networks around this machine, which are none of it, whatever their addresses.
    inner: Vec<Network>,
    /// The port of tunnels.
    https: u16,
    /// The port of requests.
    http: u16,
    is_public: fn(IpAddr) -> bool,
}

/// What a proxy lets through.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Secrets Manager of the Region.
    secrets: Target,
    /// Whether a tunnel to it may lead to this address.
    secrets_reaches: fn(IpAddr) -> bool,
    /// From where the proxy may be asked.
    clients: Vec<Network>,
    /// `None`: nothing but the secret is reached.
    internet: Option<Internet>,
    limits: Limits,
    names: Names,
}

/// On what way a target is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Secret,
    Internet,
}

impl Rules {
    /// Tunnels to Secrets Manager of this Region, from these networks; `None` where the SDK knows no such Region.
    pub async fn secrets_of(region: &str, clients: Vec<Network>) -> Option<Self> {
        let params = Params::builder().region(region).build().ok()?;
        let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.ok()?;
        let host = endpoint.url().strip_prefix("https://")?.trim_end_matches('/');
        let secrets = Target::of_tunnel(&format!("{host}:443").parse().ok()?).ok()?;
        let (limits, names) = (Limits::default(), connect::system_names as Names);
        Some(Self { secrets, secrets_reaches: address::is_another_machine, clients, internet: None, limits, names })
    }

    /// For measurements: this port on the loopback network stands for the Internet.
    fn on_loopback(port: u16) -> Self {
        let network = vec![Network::LOOPBACK];
        let is_public = |address: IpAddr| address.is_ipv4() && address.is_loopback();
        Self {
            secrets: Target::nowhere(),
            secrets_reaches: |_| false,
            clients: network,
            internet: Some(Internet { inner: Vec::new(), https: port, http: port, is_public }),
            limits: Limits::default(),
            names: connect::system_names,
        }
    }

    /// The same in a VPC of these networks: its machines are clients and none of the Internet, which is reached where the proxy is the
    /// way out.
    #[must_use]
    pub fn in_vpc(mut self, networks: &[Network], outbound: Option<Outbound>) -> Self {
        self.clients.extend(networks);
        let internet = || Internet { inner: networks.to_vec(), https: 443, http: 80, is_public: address::is_public };
        self.internet = (outbound == Some(Outbound::Proxy)).then(internet);
        self
    }

    /// The host and port of Secrets Manager.
    pub fn secrets(&self) -> String {
        self.secrets.to_string()
    }

    fn admits(&self, source: IpAddr) -> bool {
        self.clients.iter().any(|network| network.holds(source))
    }

    /// The way to a target that may be reached, as far as its name says.
    fn way(&self, target: &Target, manner: Manner) -> Result<Way, Refusal> {
        if manner == Manner::Tunnel && *target == self.secrets {
            return Ok(Way::Secret);
        }
        let internet = self.internet.as_ref().ok_or_else(|| Refusal::SecretOnly(target.clone()))?;
        let port = match manner {
            Manner::Tunnel => internet.https,
            Manner::Request => internet.http,
        };
        if target.port() == port { Ok(Way::Internet) } else { Err(Refusal::Port(target.clone(), manner)) }
    }

    /// Whether a way may lead to this address.
    fn reaches(&self, way: Way, address: IpAddr) -> bool {
        match (way, &self.internet) {
            (Way::Secret, _) => (self.secrets_reaches)(address),
            (Way::Internet, Some(internet)) => {
                (internet.is_public)(address) && !internet.inner.iter().any(|network| network.holds(address))
            }
            (Way::Internet, None) => false,
        }
    }
}

/// Serves until the future is dropped; connections that there are then go on by the rules under which they came. One connection's failure
/// is its own.
pub async fn serve(listener: &TcpListener, rules: Rules) -> Infallible {
    let places = Places::new(rules.limits);
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
        match places.enter(source.ip()) {
            Ok(place) => drop(tokio::spawn(Session::new(Arc::clone(&rules), place, source).serve(stream))),
            Err(refusal) => refuse(stream, source, &refusal, &places),
        }
    }
}

/// Answers a connection that gets no place.
fn refuse(stream: TcpStream, source: SocketAddr, refusal: &Refusal, places: &Places) {
    tracing::info!(%source, %refusal, "the proxy takes no connection");
    // Nothing is sent to it yet, so the kernel has room for it all.
    let _ = stream.try_write(&refusal.bytes());
    if let Some(permit) = places.farewell() {
        tokio::spawn(async move {
            session::end(stream).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests;
