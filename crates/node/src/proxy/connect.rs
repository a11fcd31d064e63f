//! From a target to a connection: the name is looked up once, and the addresses that are connected to are those that were looked at.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::places::Place;
use super::refusal::Refusal;
use super::target::Target;
use super::{Rules, Way};

/// How a name is looked up; it may take its time, on a thread of its own.
pub type Names = fn(&str) -> io::Result<Vec<IpAddr>>;

/// So many addresses of a host are tried.
const ADDRESSES_MAX: usize = 4;

/// So long each, of the time that there is for all of it.
const ADDRESS_TIME_MAX: Duration = Duration::from_secs(3);

/// As the system does for every program: `/etc/hosts` and the VPC's name server.
pub fn system_names(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// A connection to the target, at an address that its way may lead to.
pub async fn connect(rules: &Rules, place: &Place, target: &Target, way: Way) -> Result<TcpStream, Refusal> {
    let late = || Refusal::Unreachable(target.clone(), format!("it took more than {} s", rules.limits.patience.as_secs_f32()));
    timeout(rules.limits.patience, reach(rules, place, target, way)).await.unwrap_or_else(|_| Err(late()))
}

async fn reach(rules: &Rules, place: &Place, target: &Target, way: Way) -> Result<TcpStream, Refusal> {
    let addresses = match target.address() {
        Some(address) => vec![address],
        None => lookup(rules.names, place, target).await?,
    };
    let (right, wrong): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(|address| rules.reaches(way, *address));
    if let ([], Some(address)) = (right.as_slice(), wrong.first()) {
        return Err(Refusal::Inner(target.clone(), *address));
    }
    let mut last = "it has no address".to_owned();
    for address in right.into_iter().take(ADDRESSES_MAX) {
        match timeout(ADDRESS_TIME_MAX, TcpStream::connect(SocketAddr::new(address, target.port()))).await {
            Ok(Ok(stream)) => {
                // A handshake's few bytes are not to wait for more.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} has not answered in {} s", ADDRESS_TIME_MAX.as_secs()),
        }
    }
    Err(Refusal::Unreachable(target.clone(), last))
}

async fn lookup(names: Names, place: &Place, target: &Target) -> Result<Vec<IpAddr>, Refusal> {
    let none = |why: String| Refusal::NotFound(target.clone(), why);
    let room = place.lookup().await.ok_or_else(|| none("the proxy ends".to_owned()))?;
    let host = target.host().to_owned();
    let (answer, found) = oneshot::channel();
    // Nothing stops a lookup: its thread keeps its room however early the request ends. A thread of the runtime's pool would keep the
    // agent from ending, too.
    let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
        let _ = answer.send(names(&host));
        drop(room);
    });
    thread.map_err(|error| none(error.to_string()))?;
    found.await.map_err(|_| none("the lookup has ended".to_owned()))?.map_err(|error| none(error.to_string()))
}
