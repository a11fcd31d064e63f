//! What the commands take from the rest of the agent: the way to S3, to the other nodes, and into the agent's journal. In one place,
//! because a command is a process of its own and makes them anew.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use super::remote::{Answer, Ask, PATIENCE, Request};
use super::trigger::Failures;
use crate::hooks::EventReport;
use crate::link::{self, LinkError, LinkKey};
use crate::members::Member;
use crate::node::Layout;
use crate::settings::NodeSettings;
use crate::store::folder::FolderStore;

/// The TCP port at which the agents of a cluster answer each other.
pub const LINK_PORT: u16 = 7947;

/// S3 with the node's role.
#[expect(clippy::unused_async, reason = "the SDK's configuration is read asynchronously")]
pub async fn open_store(settings: &NodeSettings) -> anyhow::Result<FolderStore> {
    bail!("S3 in {} cannot be used by this build of the agent", settings.region)
}

/// S3 with the caller's own credentials: those of the environment and of the caller's files, never those of the machine.
#[expect(clippy::unused_async, reason = "the SDK's configuration is read asynchronously")]
pub async fn open_store_as_caller(region: &str, _account: &str) -> anyhow::Result<FolderStore> {
    bail!("S3 in {region} cannot be used by this build of the agent")
}

/// The key of the links between the cluster's nodes, from the cluster's secret.
#[expect(clippy::unused_async, reason = "the secret is read from AWS")]
pub async fn link_key(_settings: &NodeSettings) -> anyhow::Result<LinkKey> {
    bail!("other nodes cannot be reached by this build of the agent")
}

/// Where an event's failed scripts go.
pub fn failures(_layout: &Layout) -> Failures {
    Arc::new(|_: &EventReport| {})
}

/// A request as the agents' servers read it: by its kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Envelope<'a> {
    Customize(&'a Request),
}

/// The way to another node's agent.
#[derive(Debug, Clone)]
pub struct ByLink {
    /// Its address.
    pub address: SocketAddr,
    /// The cluster's.
    pub key: LinkKey,
}

impl ByLink {
    /// To a member.
    pub fn to(member: &Member, key: &LinkKey) -> Self {
        Self { address: SocketAddr::new(member.ip(), LINK_PORT), key: key.clone() }
    }
}

impl Ask for ByLink {
    async fn ask(&self, request: &Request) -> Result<Answer, LinkError> {
        link::ask(self.address, &self.key, &Envelope::Customize(request), PATIENCE).await
    }
}
