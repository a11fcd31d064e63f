//! Instance metadata as one machine sees them: requests for `/latest/…` go to the emulator's `/_clusterdrop/metadata/INSTANCE/latest/…`.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A request's head is some hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A client that says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A socket of this machine that answers for one instance, until this is dropped.
#[derive(Debug)]
pub struct Metadata {
    listener: Arc<TcpListener>,
    address: SocketAddr,
}

impl Metadata {
    /// Answers for this instance of the emulator at this address.
    pub fn of(instance: &str, emulator: SocketAddr) -> Result<Self> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?);
        let address = listener.local_addr()?;
        let (accepting, prefix) = (Arc::clone(&listener), format!("/_clusterdrop/metadata/{instance}"));
        thread::spawn(move || {
            for stream in accepting.incoming() {
                let Ok(stream) = stream else { return };
                let prefix = prefix.clone();
                // A request that cannot be passed on is not answered, as by a server that has ended.
                thread::spawn(move || pass_on(stream, &prefix, emulator));
            }
        });
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // Ends the wait of `incoming`. It fails only where that has ended.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// One request of a connection, which then ends. None has a body.
fn pass_on(mut from: TcpStream, prefix: &str, emulator: SocketAddr) -> io::Result<()> {
    from.set_read_timeout(Some(SILENCE_MAX))?;
    let head = read_head(&mut from)?;
    let mut onward = TcpStream::connect(emulator)?;
    onward.write_all(below(&head, prefix).as_bytes())?;
    io::copy(&mut onward, &mut from).map(drop)
}

fn read_head(from: &mut impl Read) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head of the request is too long"));
        }
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// The head with another path, and an end of the connection after the answer.
fn below(head: &str, prefix: &str) -> String {
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let first = first.replacen(" /", &format!(" {prefix}/"), 1);
    let kept = rest.split("\r\n").filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("{first}\r\n{kept}Connection: close\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_one_instance_and_the_last_of_its_connection() {
        let head = "GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.169.254\r\nconnection: keep-alive\r\n\r\n";
        let wanted = "GET /m/i-1/latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n";
        assert_eq!(below(head, "/m/i-1"), wanted);
    }

    #[test]
    fn a_head_without_an_end_is_given_up() {
        assert!(read_head(&mut "GET / HTTP/1.1\r\n".as_bytes()).is_err());
        assert!(read_head(&mut "x".repeat(HEAD_BYTES_MAX + 2).as_bytes()).is_err());
        assert_eq!(read_head(&mut "GET / HTTP/1.1\r\n\r\nmore".as_bytes()).expect("a head"), "GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn the_emulator_is_asked_and_its_answer_comes_back() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let metadata = Metadata::of("i-1", server.local_addr().expect("its address")).expect("a socket");
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a connection");
            let head = read_head(&mut stream).expect("a request");
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nit is").expect("an answer");
            head
        });
        let mut asking = TcpStream::connect(metadata.address()).expect("a connection");
        asking.write_all(b"GET /latest/x HTTP/1.1\r\n\r\n").expect("a request");
        let mut said = String::new();
        asking.read_to_string(&mut said).expect("an answer");
        assert!(said.ends_with("it is"), "{said}");
        assert!(answering.join().expect("a request").starts_with("GET /_clusterdrop/metadata/i-1/latest/x "));
    }
}
