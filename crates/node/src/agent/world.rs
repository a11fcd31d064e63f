//! What the agent needs of AWS and of the system beside its own files, sockets and scripts: one seam, so that tests run whole clusters
//! without either.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use crate::account::{self, Account, AccountError};
use crate::cloud::{Cloud, CloudError, Identity};
use crate::fetch::{self, FetchError, Fetched};
use crate::node::Layout;
use crate::settings::NodeSettings;
use crate::store::Store;

/// The world of one node. Each call has its own time limit and attempts.
pub trait World: Send + Sync + 'static {
    /// Where reports go.
    type Store: Store;

    /// Where reports go.
    fn store(&self) -> &Self::Store;

    /// Which machine this is.
    fn identity(&self) -> impl Future<Output = Result<Identity, CloudError>> + Send;

    /// The text of the cluster's secret. `login`: the login node's address, through which a compute node may have to ask.
    fn secret(&self, login: Option<IpAddr>) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// Tells CloudFormation how the node's start ended.
    fn signal(&self, id: &str, ready: bool) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Fetches the profiles; `more`: beside the site's and the user's own.
    fn fetch(&self, more: &[String]) -> impl Future<Output = Result<Fetched, FetchError>> + Send;

    /// Makes the user's account.
    fn account(&self) -> impl Future<Output = Result<Account, AccountError>> + Send;

    /// Whether the account has a key to log in with.
    fn has_usable_key(&self, account: &Account) -> impl Future<Output = bool> + Send;

    /// The public SSH host keys, each as `<type> <base64>`.
    fn host_keys(&self) -> Vec<String>;
}

/// The world of a real node.
#[derive(Debug)]
pub struct Aws<S, C> {
    /// S3.
    pub store: S,
    /// The rest.
    pub cloud: C,
    /// The node's settings.
    pub settings: Arc<NodeSettings>,
    /// Where its files lie.
    pub layout: Layout,
}

impl<S: Store, C: Cloud> World for Aws<S, C> {
    type Store = S;

    fn store(&self) -> &S {
        &self.store
    }

    async fn identity(&self) -> Result<Identity, CloudError> {
        self.cloud.identity().await
    }

    async fn secret(&self, _login: Option<IpAddr>) -> Result<String, CloudError> {
        self.cloud.secret(&self.settings.secret).await
    }

    async fn signal(&self, id: &str, ready: bool) -> Result<(), CloudError> {
        self.cloud.signal(&self.settings.stack, &self.settings.resource, id, ready).await
    }

    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        fetch::fetch(&self.store, &self.settings, &self.layout, more).await
    }

    async fn account(&self) -> Result<Account, AccountError> {
        account::make(&self.settings.login, &self.layout).await
    }

    async fn has_usable_key(&self, account: &Account) -> bool {
        account::has_usable_key(account).await
    }

    fn host_keys(&self) -> Vec<String> {
        Vec::new()
    }
}
