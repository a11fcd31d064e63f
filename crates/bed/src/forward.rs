//! Connections out of the bed: a socket that listens in a network of the bed, and sockets of this machine's own behind it.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Forwards connections until it is dropped; those that are open then go on. A connection that cannot be forwarded is closed, as by a
/// server that has ended.
#[derive(Debug)]
pub struct Forward {
    listener: Arc<TcpListener>,
}

impl Forward {
    /// Listens at an address in the network of this process.
    pub fn start(process: &str, at: SocketAddrV4, to: SocketAddr) -> Result<Self> {
        let listener = Arc::new(listen(process, at).with_context(|| format!("nothing can listen at {at} in the bed"))?);
        let accepting = Arc::clone(&listener);
        thread::spawn(move || {
            for stream in accepting.incoming() {
                let Ok(stream) = stream else { return };
                thread::spawn(move || join(stream, to));
            }
        });
        Ok(Self { listener })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Ends the wait of `incoming`. It fails only where that has ended.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// A socket stays in the network in which it was made. The thread that enters that network ends at once: what it would start later, or
/// connect to, would be there too.
fn listen(process: &str, at: SocketAddrV4) -> Result<TcpListener> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    let made = thread::spawn(move || -> Result<TcpListener> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(TcpListener::bind(at)?)
    });
    made.join().map_err(|_| anyhow!("the thread that should have listened has panicked"))?
}

/// Copies both ways until both sides have ended.
fn join(from: TcpStream, to: SocketAddr) -> io::Result<()> {
    let onward = TcpStream::connect(to)?;
    let (mut from_back, mut onward_back) = (from.try_clone()?, onward.try_clone()?);
    let back = thread::spawn(move || copy(&mut onward_back, &mut from_back));
    copy(&mut { from }, &mut { onward })?;
    back.join().unwrap_or(Ok(()))
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    let copied = io::copy(from, to);
    // The end of one direction is told on; the other may still have something to send.
    let _ = to.shutdown(Shutdown::Write);
    copied.map(drop)
}
