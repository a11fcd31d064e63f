//! What stands for AWS and for the system's accounts, in the agent's process.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cf_node::account::{Account, AccountError};
use cf_node::agent::assignment::Rules;
use cf_node::agent::world::World;
use cf_node::agent::{Options, Timing, daemon};
use cf_node::cloud::{CloudError, Identity, Signal, SignalError};
use cf_node::fetch::{self, FetchError, Fetched};
use cf_node::node::{Layout, NodeName};
use cf_node::proxy::Network;
use cf_node::reporter::{self, Pace};
use cf_node::scaling::outside::Outside;
use cf_node::settings::NodeSettings;
use cf_node::store::folder::FolderStore;
use cf_node::store::{Expect, Object, Store, StoreError};
use cf_slurm::group::Group;
use cf_slurm::scaling::{Activity, GroupFacts};

/// A folder in place of S3, which a file `offline` in it cuts off.
struct Bucket {
    folder: PathBuf,
    store: FolderStore,
}

impl Bucket {
    fn reach(&self) -> Result<&FolderStore, StoreError> {
        if self.folder.join("offline").exists() { Err(StoreError::Unreachable("no network".to_owned())) } else { Ok(&self.store) }
    }
}

impl Store for Bucket {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        self.reach()?.list(bucket, prefix, most).await
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        self.reach()?.get(bucket, key, most).await
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        self.reach()?.fetch(bucket, key, most, to).await
    }

    async fn put(&self, bucket: &str, key: &str, content: Vec<u8>, kind: &str, expect: Expect) -> Result<String, StoreError> {
        self.reach()?.put(bucket, key, content, kind, expect).await
    }

    async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.reach()?.remove(bucket, key).await
    }
}

struct TestWorld {
    bucket: Arc<Bucket>,
    settings: NodeSettings,
    layout: Layout,
}

impl Outside for TestWorld {
    async fn groups(&self, _groups: &[Group]) -> Result<BTreeMap<Group, GroupFacts>, CloudError> {
        Err(CloudError::Unreachable("this cluster has no groups".to_owned()))
    }

    async fn activities(&self, _group: Group) -> Result<Vec<Activity>, CloudError> {
        Err(CloudError::Unreachable("this cluster has no groups".to_owned()))
    }

    async fn set_desired(&self, _group: Group, _desired: u32) -> Result<(), CloudError> {
        Err(CloudError::Unreachable("this cluster has no groups".to_owned()))
    }

    async fn end_machine(&self, _machine: &str) -> Result<(), CloudError> {
        Err(CloudError::Unreachable("this cluster has no groups".to_owned()))
    }

    async fn interruption(&self) -> Result<Option<String>, CloudError> {
        Ok(None)
    }

    async fn slurm(&self, program: &str, _arguments: &[String]) -> Result<String, String> {
        Err(format!("there is no program {program} on this node"))
    }
}

impl World for TestWorld {
    type Store = Bucket;

    fn store(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    async fn identity(&self) -> Result<Identity, CloudError> {
        Err(CloudError::Unreachable("the identity comes from the options".to_owned()))
    }

    async fn secret(&self, _login: Option<IpAddr>) -> Result<String, CloudError> {
        let (bytes, _) = self.bucket.get("secrets", "cluster", 1000).await.map_err(|error| CloudError::Unreachable(error.to_string()))?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    async fn networks(&self) -> Result<Vec<Network>, CloudError> {
        Err(CloudError::Unreachable("loopback addresses are of no VPC".to_owned()))
    }

    async fn signal(&self, signal: &Signal<'_>) -> Result<(), SignalError> {
        let Signal { id, ready, .. } = signal;
        let report = reporter::read(self.bucket.as_ref(), &self.settings, NodeName::LOGIN).await;
        let lost = |error: StoreError| SignalError { error: CloudError::Unreachable(error.to_string()), may_have_arrived: false };
        let report = report.map_err(lost)?;
        let state = report.map_or("absent".to_owned(), |report| report.state.to_string());
        let mut file = std::fs::File::options().create(true).append(true).open(self.bucket.folder.join("signals")).unwrap();
        writeln!(file, "{id} {ready} {state}").unwrap();
        Ok(())
    }

    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        fetch::fetch(self.bucket.as_ref(), &self.settings, &self.layout, more).await
    }

    async fn account(&self) -> Result<Account, AccountError> {
        let home = self.layout.root().join("home").join(&self.settings.login);
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        Ok(Account { login: self.settings.login.clone(), keys: home.join(".ssh/authorized_keys"), home })
    }

    async fn has_usable_key(&self, account: &Account) -> bool {
        std::fs::read_to_string(&account.keys).is_ok_and(|keys| keys.starts_with("ssh-"))
    }

    fn host_keys(&self) -> Vec<String> {
        vec![format!("ssh-ed25519 {}", "A".repeat(40))]
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs an agent as the environment has it; not at all where it has none.
pub fn run_agent() {
    let (Some(root), Some(store)) = (variable("AGENT_ROOT"), variable("AGENT_STORE")) else { return };
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let layout = Layout::below(&root);
    let identity = Identity { instance: variable("AGENT_INSTANCE").unwrap(), address: variable("AGENT_ADDRESS").unwrap().parse().unwrap() };
    let milliseconds = Duration::from_millis;
    let from_variable = |name| milliseconds(variable(name).unwrap().parse().unwrap());
    let timing = Timing {
        fail_after: from_variable("AGENT_FAIL_AFTER_MS"),
        boot_limit: from_variable("AGENT_BOOT_LIMIT_MS"),
        last_answer_after: milliseconds(1_000),
        retry: (milliseconds(50), milliseconds(200)),
        look: milliseconds(100),
        // Longer than a login node that was started again needs to see the others on a busy machine.
        rules: Rules { given_up_after: Duration::from_secs(20), away_min: Duration::from_secs(8) },
        pace: Pace {
            every: milliseconds(100),
            slurm: milliseconds(200),
            again: Duration::from_hours(24),
            retry: (milliseconds(50), milliseconds(500)),
        },
        exchange_grace_ms: 500,
        ..Timing::default()
    };
    let options = Options { identity: Some(identity), boot: variable("AGENT_BOOT"), timing, ..Options::new(layout.clone()) };
    let settings = NodeSettings::read(&layout).unwrap();
    let bucket = Arc::new(Bucket { folder: store.clone().into(), store: FolderStore::new(store) });
    let world = TestWorld { bucket, settings: settings.clone(), layout };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        daemon::run(options, settings, world, async { _ = terminate.recv().await }).await
    });
    if let Err(error) = ended {
        panic!("{error}");
    }
}
