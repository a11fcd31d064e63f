//! What the agent needs of AWS and of the system beside its own files, sockets and scripts: one seam, so that tests run whole clusters
//! without either.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use aws_config::SdkConfig;
use cf_slurm::group::Group;
use cf_slurm::scaling::{Activity, GroupFacts};

use super::seek::Found;
use crate::account::{self, Account, AccountError};
use crate::cloud::{self, Cloud as _, CloudError, Identity, Signal, SignalError};
use crate::fetch::{self, FetchError, Fetched};
use crate::node::Layout;
use crate::programs::{Programs, SLURM_BYTES_MAX};
use crate::proxy::Network;
use crate::scaling::aws::Groups;
use crate::scaling::outside::Outside;
use crate::settings::NodeSettings;
use crate::setup::slurm::ANSWERS_WITHIN;
use crate::setup::{DaemonState, Machine};
use crate::store::Store;
use crate::store::s3::{self, S3};
use crate::{aws, proxy};

/// The world of one node. Each call has its own time limit and attempts.
pub trait World: Outside {
    /// S3.
    type Store: Store;

    /// S3: where profiles come from, and reports go to.
    fn store(&self) -> &Arc<Self::Store>;

    /// Which machine this is.
    fn identity(&self) -> impl Future<Output = Result<Identity, CloudError>> + Send;

    /// The text of the cluster's secret. `login`: the login node's address, through whose proxy a compute
    /// node asks, for it may have no other way out.
    fn secret(&self, login: Option<IpAddr>) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// The networks of the machine's VPC.
    fn networks(&self) -> impl Future<Output = Result<Vec<Network>, CloudError>> + Send;

    /// Tells CloudFormation how the node's start ended.
    fn signal(&self, signal: &Signal<'_>) -> impl Future<Output = Result<(), SignalError>> + Send;

    /// Fetches the profiles; `more`: beside the site's and the user's own.
    fn fetch(&self, more: &[String]) -> impl Future<Output = Result<Fetched, FetchError>> + Send;

    /// Installs what Slurm and shared folders need, where it is missing. `proxy`: the login node's address, where a compute node has no
    /// other way out. An error says what cannot be had, and why.
    fn packages(&self, proxy: Option<IpAddr>) -> impl Future<Output = Result<(), String>> + Send {
        let _ = proxy;
        std::future::ready(Ok(()))
    }

    /// Brings disks and shared folders where they are to be; `login`: the login node's address, on a compute node. Gives what the user
    /// ought to know; an error says what stands in the way.
    fn storage(&self, login: Option<IpAddr>) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        let _ = login;
        std::future::ready(Ok(Vec::new()))
    }

    /// Writes Slurm's configuration, starts its daemon of this node where it does not run, and waits until it answers. As
    /// [`World::storage`].
    fn start_scheduler(&self, found: &Found) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        let _ = found;
        std::future::ready(Ok(Vec::new()))
    }

    /// Whether Slurm's daemon of this node runs, and how often systemd has started it again.
    fn scheduler_state(&self) -> impl Future<Output = DaemonState> + Send {
        std::future::ready(DaemonState { runs: true, restarts: 0 })
    }

    /// Makes the user's account.
    fn account(&self) -> impl Future<Output = Result<Account, AccountError>> + Send;

    /// Whether the account has a key to log in with.
    fn has_usable_key(&self, account: &Account) -> impl Future<Output = bool> + Send;

    /// The public SSH host keys, each as `<type> <base64>`.
    fn host_keys(&self) -> Vec<String>;
}

/// The world of a real node.
#[derive(Debug)]
pub struct Aws {
    store: Arc<S3>,
    cloud: cloud::aws::Aws,
    config: SdkConfig,
    groups: Groups,
    settings: Arc<NodeSettings>,
    layout: Layout,
}

impl Aws {
    /// Clients as the node's settings have it.
    pub async fn new(settings: Arc<NodeSettings>, layout: &Layout) -> Self {
        let config = aws::configuration(&settings.region).await;
        let store = Arc::new(S3::new(&config, &settings.account, s3::Patience::default()));
        let cloud = cloud::aws::Aws::new(&config, None, cloud::aws::Patience::default());
        let groups = Groups::new(&config, settings.stack_name());
        Self { store, cloud, config, groups, settings, layout: layout.clone() }
    }

    /// The machine. A node below a folder has none of its own: it would change the one that it runs on.
    fn machine(&self) -> Result<Machine<'_>, String> {
        if self.layout.root() != Path::new("/") {
            return Err("a node below a folder has no scheduler; start it with --without-scheduler".to_owned());
        }
        Ok(Machine { settings: &self.settings, layout: &self.layout, programs: Programs::default(), answers_within: ANSWERS_WITHIN })
    }
}

impl World for Aws {
    type Store = S3;

    fn store(&self) -> &Arc<S3> {
        &self.store
    }

    async fn identity(&self) -> Result<Identity, CloudError> {
        self.cloud.identity().await
    }

    async fn secret(&self, login: Option<IpAddr>) -> Result<String, CloudError> {
        let Some(login) = login else { return self.cloud.secret(&self.settings.secret).await };
        let address = format!("http://{}", SocketAddr::new(login, proxy::PORT));
        let wire = aws::Wire::through(&address).map_err(|error| CloudError::Unreachable(error.to_string()))?;
        let cloud = cloud::aws::Aws::new(&self.config, Some(wire), cloud::aws::Patience::default());
        cloud.secret(&self.settings.secret).await
    }

    async fn networks(&self) -> Result<Vec<Network>, CloudError> {
        self.cloud.networks().await
    }

    async fn signal(&self, signal: &Signal<'_>) -> Result<(), SignalError> {
        self.cloud.signal(&self.settings.stack, &self.settings.resource, signal).await
    }

    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        fetch::fetch(self.store.as_ref(), &self.settings, &self.layout, more).await
    }

    async fn packages(&self, proxy: Option<IpAddr>) -> Result<(), String> {
        self.machine()?.packages(proxy).await
    }

    async fn storage(&self, login: Option<IpAddr>) -> Result<Vec<String>, String> {
        let networks = match login {
            None => self.cloud.networks().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the networks of the VPC are not known; folders are shared with private addresses");
                Network::PRIVATE.to_vec()
            }),
            Some(_) => Vec::new(),
        };
        self.machine()?.storage(login, &networks).await
    }

    async fn start_scheduler(&self, found: &Found) -> Result<Vec<String>, String> {
        self.machine()?.start_scheduler(found).await
    }

    async fn scheduler_state(&self) -> DaemonState {
        match self.machine() {
            Ok(machine) => machine.scheduler_state().await,
            Err(_) => DaemonState { runs: true, restarts: 0 },
        }
    }

    async fn account(&self) -> Result<Account, AccountError> {
        account::make(&self.settings.user, &self.settings.login, &self.layout).await
    }

    async fn has_usable_key(&self, account: &Account) -> bool {
        account::has_usable_key(account).await
    }

    fn host_keys(&self) -> Vec<String> {
        account::host_keys(&self.layout)
    }
}

impl Outside for Aws {
    async fn groups(&self, groups: &[Group]) -> Result<BTreeMap<Group, GroupFacts>, CloudError> {
        self.groups.describe(groups).await
    }

    async fn activities(&self, group: Group) -> Result<Vec<Activity>, CloudError> {
        self.groups.activities(group).await
    }

    async fn set_desired(&self, group: Group, desired: u32) -> Result<(), CloudError> {
        self.groups.set_desired(group, desired).await
    }

    async fn end_machine(&self, machine: &str) -> Result<(), CloudError> {
        self.groups.end(machine).await
    }

    async fn interruption(&self) -> Result<Option<String>, CloudError> {
        self.cloud.interruption().await
    }

    async fn slurm(&self, program: &str, arguments: &[String]) -> Result<String, String> {
        Programs::default().must_print(program, arguments, SLURM_BYTES_MAX).await
    }
}
