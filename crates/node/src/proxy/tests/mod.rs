//! Real connections on loopback. 127.1.0.0/16 stands for the VPC, the rest of the loopback network for the Internet; names are looked up in
//! [`names`]. Only these and the ports differ from the rules of a cluster.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::*;

mod limits;
mod refusals;
mod requests;
mod tunnels;

/// No test waits longer for anything.
const BOUND: Duration = Duration::from_secs(30);

/// The lookups of `rebind.test`.
static REBOUND: AtomicUsize = AtomicUsize::new(0);

fn names(host: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: &[&str] = match host {
        "outside.test" | "secrets.test" | "other.test" => &["127.0.0.1"],
        "inner.test" => &["127.1.0.1"],
        "mixed.test" => &["127.1.0.1", "127.0.0.1"],
        "metadata.test" => &["169.254.169.254"],
        "six.test" => &["fd00:ec2::254"],
        "mapped.test" => &["::ffff:127.0.0.1"],
        "empty.test" => &[],
        // Outside when it is looked at, inside the next time.
        "rebind.test" => [&["127.0.0.1"], &["127.1.0.1"]][REBOUND.fetch_add(1, Ordering::SeqCst).min(1)],
        "silent.test" => loop {
            std::thread::park();
        },
        _ => return Err(io::Error::other("no such host")),
    };
    Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// The rules of a cluster whose secret is at `secrets.test`, and whose Internet has this one port.
fn rules(port: u16) -> Rules {
    let internet = Internet {
        inner: vec![network("127.1.0.0/16")],
        https: port,
        http: port,
        is_public: |address| (address.is_ipv4() && address.is_loopback()) || address::is_public(address),
    };
    Rules {
        secrets: Target::of_tunnel(&format!("secrets.test:{port}").parse().unwrap()).unwrap(),
        secrets_reaches: |_| true,
        clients: vec![network("127.0.0.0/8")],
        internet: Some(internet),
        limits: Limits { patience: Duration::from_secs(20), ..Limits::default() },
        names,
    }
}

async fn proxy(rules: Rules) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { serve(&listener, rules).await });
    address
}

/// Waits for what must come.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(BOUND, work).await.expect("it comes in time")
}

/// A target that returns what it gets until its peer ends, and counts its connections.
async fn echo() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    (port, count)
}

/// A target that the test itself plays.
async fn target() -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

/// A connection from this address of the loopback network.
async fn connection_from(client: &str, proxy: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(client.parse().unwrap(), 0)).unwrap();
    soon(socket.connect(proxy)).await.unwrap()
}

fn connect_to(target: &str) -> Vec<u8> {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes()
}

/// Reads up to the empty line after a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match soon(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).unwrap()
}

/// A tunnel that is open.
async fn tunnel_from(client: &str, proxy: SocketAddr, target: &str) -> TcpStream {
    let mut stream = connection_from(client, proxy).await;
    stream.write_all(&connect_to(target)).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    stream
}

async fn tunnel(proxy: SocketAddr, target: &str) -> TcpStream {
    tunnel_from("127.0.0.1", proxy, target).await
}

/// Sends a text and gives all that comes back until the proxy ends.
async fn ask_from(client: &str, proxy: SocketAddr, text: &[u8]) -> String {
    let mut stream = connection_from(client, proxy).await;
    // A proxy that has seen enough may have ended before it is all sent.
    let _ = stream.write_all(text).await;
    let _ = stream.shutdown().await;
    let mut all = Vec::new();
    let read = soon(stream.read_to_end(&mut all)).await;
    read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&all)));
    String::from_utf8_lossy(&all).into_owned()
}

async fn ask(proxy: SocketAddr, text: &[u8]) -> String {
    ask_from("127.0.0.1", proxy, text).await
}

/// The code of an answer.
fn code(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(answer)
}
