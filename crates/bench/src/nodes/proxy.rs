//! The login node's proxy at work: how quick one tunnel and one download are, what a gigabyte costs, and the memory with every place taken.
//! Clients and the host are this program, on the same machine; only the proxy's process is measured.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cf_local::wait;
use serde::Serialize;
use tokio::net::TcpSocket;

use super::process::{cpu_seconds, resident_mebibytes};

/// The places of the proxy (`cf_node::proxy::Limits`): on the way to the Internet, and of one client.
const PLACES: u32 = 512;
const PLACES_OF_CLIENT: u32 = 64;

/// What was measured. Rates in GB (10⁹ bytes) a second, costs in seconds of a processor for one GB, memory in MiB.
#[derive(Debug, Serialize)]
pub struct Proxy {
    /// Bytes through one tunnel.
    pub tunnel_rate: f64,
    /// What they cost.
    pub tunnel_cost: f64,
    /// Bytes of one answer to a request of plain HTTP.
    pub request_rate: f64,
    /// What they cost.
    pub request_cost: f64,
    /// The process before anybody asks.
    pub resident_idle: f64,
    /// With a tunnel, used in both directions, in every place.
    pub resident_tunnels: f64,
    /// With a download in every place that its client does not read.
    pub resident_downloads: f64,
}

/// The proxy's process; it ends when this is dropped.
struct Running {
    child: Child,
    port: u16,
    host: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures with so many bytes.
pub fn measure(program: &Path, bytes: u64) -> Result<Proxy> {
    let proxy = start(program)?;
    let process = proxy.child.id();
    let resident_idle = resident_mebibytes(process)?;
    let (tunnel_rate, tunnel_cost) = cost(process, bytes, || proxy.tunnel(Ipv4Addr::LOCALHOST)?.drain(bytes))?;
    let (request_rate, request_cost) = cost(process, bytes, || proxy.request(Ipv4Addr::LOCALHOST)?.drain(bytes))?;
    drop(proxy);
    let proxy = start(program)?;
    let tunnels = in_every_place(|client| {
        let mut tunnel = proxy.tunnel(client)?;
        // More than the proxy's buffer in each direction.
        tunnel.0.write_all(&vec![0; 32 * 1024])?;
        tunnel.drain(64 * 1024)?;
        Ok(tunnel)
    })?;
    let resident_tunnels = resident_mebibytes(proxy.child.id())?;
    drop((tunnels, proxy));
    let proxy = start(program)?;
    let downloads = in_every_place(|client| proxy.request(client))?;
    let resident_downloads = settled(proxy.child.id())?;
    drop(downloads);
    Ok(Proxy { tunnel_rate, tunnel_cost, request_rate, request_cost, resident_idle, resident_tunnels, resident_downloads })
}

/// The memory once it has stopped growing: downloads that nobody reads fill what there is.
fn settled(process: u32) -> Result<f64> {
    let mut last = 0.0;
    wait::until("memory that grows no more", Duration::from_mins(1), || {
        let before = std::mem::replace(&mut last, resident_mebibytes(process)?);
        thread::sleep(Duration::from_secs(1));
        Ok((last <= before).then_some(last))
    })
}

/// The rate, and what a gigabyte costs the process.
fn cost(process: u32, bytes: u64, work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (begin, before) = (Instant::now(), cpu_seconds(process)?);
    work()?;
    #[expect(clippy::cast_precision_loss, reason = "some gigabytes")]
    let gigabytes = bytes as f64 / 1e9;
    Ok((gigabytes / begin.elapsed().as_secs_f64(), (cpu_seconds(process)? - before) / gigabytes))
}

fn start(program: &Path) -> Result<Running> {
    let host = endless()?;
    // A port that was free a moment ago.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let child = Command::new(program)
        .args(["proxy", "--port", &port.to_string(), "--target", &host.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let proxy = Running { child, port, host };
    let answers = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(()));
    wait::until("the proxy's port", Duration::from_secs(10), answers)?;
    Ok(proxy)
}

/// A host that sends without end to whoever has sent a byte, after the head of an answer, and reads what comes.
fn endless() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let small = thread::Builder::new().stack_size(256 * 1024);
            let _ = small.spawn(move || {
                let chunk = vec![b'x'; 128 * 1024];
                let Ok(mut reader) = stream.try_clone() else { return };
                let _ = reader.read(&mut [0; 1024]);
                let read = thread::Builder::new().stack_size(64 * 1024).spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n");
                while stream.write_all(&chunk).is_ok() {}
                drop(read);
            });
        }
    });
    Ok(port)
}

/// A connection through the proxy, whose answer has begun.
struct Through(TcpStream);

impl Through {
    fn drain(&mut self, bytes: u64) -> Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let read = self.0.read(&mut buffer)?;
            ensure!(read > 0, "the connection ended {left} bytes too early");
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }
}

impl Running {
    fn tunnel(&self, client: Ipv4Addr) -> Result<Through> {
        let mut through = self.ask(client, &format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\n", self.host))?;
        // The host sends to whoever has sent.
        through.0.write_all(b"x")?;
        Ok(through)
    }

    fn request(&self, client: Ipv4Addr) -> Result<Through> {
        self.ask(client, &format!("GET http://127.0.0.1:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", self.host))
    }

    /// Sends a request from this address, and reads the head of a good answer.
    fn ask(&self, client: Ipv4Addr, request: &str) -> Result<Through> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddrV4::new(client, 0).into())?;
            socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await?.into_std()
        };
        let mut stream = tokio::runtime::Handle::current().block_on(connect)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).with_context(|| String::from_utf8_lossy(&head).into_owned())?;
            head.extend(byte);
        }
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        Ok(Through(stream))
    }
}

/// Opens something in every place.
fn in_every_place(open: impl Fn(Ipv4Addr) -> Result<Through>) -> Result<Vec<Through>> {
    (0..PLACES)
        .map(|nth| {
            let client = u8::try_from(1 + nth / PLACES_OF_CLIENT).unwrap_or(u8::MAX);
            open(Ipv4Addr::new(127, 92, 0, client))
        })
        .collect()
}
