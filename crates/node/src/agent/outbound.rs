//! The login node's proxy, by which compute nodes reach the cluster's secret, and the Internet where they have no other way.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::sleep;

use super::node::Node;
use super::seek::Found;
use super::services::{START_AGAIN, report_once, solved};
use super::world::World;
use crate::proxy;
use crate::settings::Outbound;

/// Serves the proxy: opens the way of compute nodes to the cluster's secret, and to the Internet where they have no other.
pub async fn proxy<W: World>(node: Arc<Node<W>>, found: Found) {
    let Some(rules) = proxy::Rules::secrets_of(&node.settings.region, proxy::Network::PRIVATE.to_vec()).await else {
        node.reporter
            .problem(&format!("compute nodes have no way to the cluster's secret: the agent knows no Region {}", node.settings.region));
        return std::future::pending().await;
    };
    let listener = listen(&node, SocketAddr::new(found.identity.address, proxy::PORT)).await;
    // Until the VPC's networks are known, nobody knows which addresses are of the Internet; the secret does not wait for that.
    let outbound = node.settings.scheduler.as_ref().map(|scheduler| scheduler.outbound);
    let vpc = tokio::select! {
        never = proxy::serve(&listener, rules.clone()) => match never {},
        vpc = vpc(&node, outbound == Some(Outbound::Proxy)) => vpc,
    };
    match proxy::serve(&listener, rules.in_vpc(&vpc, outbound)).await {}
}

async fn listen<W: World>(node: &Node<W>, address: SocketAddr) -> TcpListener {
    let mut reported: Option<String> = None;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                solved(node, reported.as_deref());
                return listener;
            }
            Err(error) => report_once(node, &mut reported, format!("compute nodes have no way out: the proxy's port {address}: {error}")),
        }
        sleep(START_AGAIN).await;
    }
}

/// The networks of the machine's VPC, whose addresses need not be private ones. They are sought for ever where the proxy is the way out;
/// for the secret alone the private networks will do.
async fn vpc<W: World>(node: &Node<W>, is_way_out: bool) -> Vec<proxy::Network> {
    let mut reported: Option<String> = None;
    loop {
        match node.world.networks().await {
            Ok(networks) => {
                solved(node, reported.as_deref());
                return networks;
            }
            Err(error) if !is_way_out => {
                tracing::warn!(%error, "the networks of the VPC are not known; only private addresses may use the proxy");
                return Vec::new();
            }
            Err(error) => {
                let text = format!("compute nodes have a way to the cluster's secret only: the networks of the VPC are not known: {error}");
                report_once(node, &mut reported, text);
            }
        }
        sleep(START_AGAIN).await;
    }
}
