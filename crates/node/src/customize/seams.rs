//! What the commands take from the rest of the agent: the way to S3, to the other nodes, and into the agent's journal. In one place,
//! because a command is a process of its own and makes them anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::Region;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};

use super::credentials;
use super::remote::{Answer, Ask, PATIENCE, Request};
use super::screen::complain;
use super::trigger::Failures;
use crate::agent::seek;
use crate::hooks::EventReport;
use crate::link::{self, LinkError, LinkKey};
use crate::members::Member;
use crate::node::Layout;
use crate::settings::NodeSettings;
use crate::store::s3::{self, S3};
use crate::{aws, failures, request};

/// The TCP port at which the agents of a cluster answer each other.
pub const LINK_PORT: u16 = crate::agent::LINK_PORT;

/// S3 with the node's role.
pub async fn open_store(settings: &NodeSettings) -> anyhow::Result<S3> {
    Ok(S3::new(&aws::configuration(&settings.region).await, &settings.account, s3::Patience::default()))
}

/// S3 with the caller's own credentials: those of the environment and of the caller's files, never those of the machine. They are no
/// role that was just made, so a refusal is an answer.
pub async fn open_store_as_caller(region: &str, account: &str) -> anyhow::Result<S3> {
    let provider = ProviderConfig::without_region().with_region(Some(Region::new(region.to_owned()))).with_http_client(aws::Wire::direct());
    let callers = SharedCredentialsProvider::new(credentials::of_caller(&provider));
    callers.provide_credentials().await.map_err(credentials::refusal)?;
    let config = aws::configuration(region).await.into_builder().credentials_provider(callers).build();
    Ok(S3::new(&config, account, s3::Patience { new_role: Duration::ZERO, ..s3::Patience::default() }))
}

/// The key of the links between the cluster's nodes, from the secret that the agent keeps.
pub fn link_key(layout: &Layout) -> anyhow::Result<LinkKey> {
    let keys = seek::kept_keys(layout).context("the agent of this node has not read the cluster's secret yet, or this is not root")?;
    Ok(keys.link)
}

/// Where an event's failed scripts go: into the journal that the agent reports from.
pub fn failures(layout: &Layout) -> Failures {
    let layout = layout.clone();
    Arc::new(move |report: &EventReport| {
        if let Err(error) = failures::append(&layout, report) {
            complain(&format!("the failed scripts are not in the node's report: {error}"));
        }
    })
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
        link::ask(self.address, &self.key, &request::Request::Customize(request.clone()), PATIENCE).await
    }
}
