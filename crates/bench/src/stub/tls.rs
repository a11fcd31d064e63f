//! The stub's door: TLS 1.3 with a certificate for 127.0.0.1, each handshake beside the others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Hands out connections whose handshake is done.
pub struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    /// Where it is.
    pub port: u16,
}

/// Opens a door on a free port; with it comes the certificate, in PEM.
pub async fn listen() -> Result<(TlsListener, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let (done, ready) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, address)) = TcpListener::accept(&listener).await {
            let (acceptor, done) = (acceptor.clone(), done.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                // Who does not like the certificate goes away, and is heard of by what it does next.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = done.send((stream, address)).await;
                }
            });
        }
    });
    Ok((TlsListener { ready, port }, made.cert.pem()))
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], self.port)))
    }
}
