//! `cf-node proxy`: the proxy and nothing else, for measurements (`crates/bench/src/nodes/proxy.rs`).

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use super::{Rules, serve};

/// Serves clients and reaches one port, both on this machine's loopback network and nowhere else.
#[derive(Debug, clap::Args)]
pub struct ProxyArgs {
    /// The port that is listened at, on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The port that is reached, for requests and for tunnels
    #[arg(long)]
    target: u16,
}

/// Serves until it is ended.
pub async fn run(args: ProxyArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    match serve(&listener, Rules::on_loopback(args.target)).await {}
}
