//! The search for a node's configuration: one part after the other, each tried again until it is there.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cf_core::node_report::FailureCode;

use super::keys::Keys;
use super::life::LastAnswer;
use super::world::World;
use super::{Options, link_address};
use crate::account::Account;
use crate::cloud::Identity;
use crate::customize::lists::{self, ProfileList};
use crate::customize::profile_name::ProfileName;
use crate::link::{self, LinkError, LinkKey};
use crate::members::seal::ClusterKey;
use crate::node::{Layout, NodeName, Role};
use crate::reporter;
use crate::request::{Asks, Configuration, Given, Refusal, Request};
use crate::secret::SlurmKey;
use crate::settings::{NodeSettings, Outbound};
use crate::state_file;
use crate::turn::Turn;

/// How long the login node may take to answer which node a machine is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// This machine.
    pub identity: Identity,
    /// What the login node answered; the login node's own is made here.
    pub given: Given,
    /// The login node's private address.
    pub login: IpAddr,
    /// The gossip's key.
    pub cluster_key: ClusterKey,
    /// The links' key.
    pub link_key: LinkKey,
    /// Slurm's key.
    pub slurm_key: SlurmKey,
    /// The user's account.
    pub account: Account,
    /// Whether the login node did not answer, so that its last answer is taken.
    pub is_last_answer: bool,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What the node fails with if it stays.
    pub code: FailureCode,
    /// In a sentence.
    pub text: String,
}

/// What came of one part.
#[derive(Debug)]
pub enum Progress {
    /// It is there; the next one may be sought. What the user ought to know of it.
    Step(Vec<String>),
    /// It is not there.
    Blocked(Obstacle),
    /// The login node gives this machine no number: what it answered earlier counts no more.
    Refused(Obstacle),
    /// And never will: the machine is ended by its group.
    Unwanted(Obstacle),
    /// All is there.
    Found(Box<Found>),
}

/// The search.
#[derive(Debug)]
pub struct Search {
    identity: Option<Identity>,
    /// The profiles that were fetched beside the site's and the user's own.
    fetched: Option<Vec<String>>,
    keys: Option<Keys>,
    login: Option<IpAddr>,
    given: Option<Given>,
    /// Whether what Slurm needs is installed.
    has_packages: bool,
    /// Whether the disks and shared folders are where they are to be.
    has_storage: bool,
    account: Option<Account>,
    /// What the login node answered in an earlier boot.
    last: Option<LastAnswer>,
    is_last_answer: bool,
    /// Since when the login node gives no answer.
    asked_since: Option<Instant>,
}

/// Where the secret is kept, so that a node that reboots without network is one. It is only root's, who can read the secret anyway.
fn secret_path(layout: &Layout) -> PathBuf {
    layout.state().join("secret")
}

/// The keys of the secret that an earlier boot has left.
pub fn kept_keys(layout: &Layout) -> Option<Keys> {
    Keys::of(&state_file::load::<String>(&secret_path(layout)).ok()??).ok()
}

/// Keeps the list of the profiles that the login node gave, for the fetch here and for those of commands. A name that is none of a
/// profile is left out.
fn take_given(layout: &Layout, profiles: &[String]) -> Option<String> {
    let names: Vec<ProfileName> = profiles.iter().filter_map(|name| ProfileName::parse(name).ok()).take(lists::PROFILES_MAX).collect();
    ProfileList::given(layout).write(&names).err().map(|error| error.to_string())
}

fn blocked(code: FailureCode, text: String) -> Progress {
    Progress::Blocked(Obstacle { code, text })
}

impl Search {
    /// A search that has found nothing yet. `last`: what the login node answered in an earlier boot.
    pub fn new(identity: Option<Identity>, last: Option<LastAnswer>) -> Self {
        Self {
            identity,
            fetched: None,
            keys: None,
            login: None,
            given: None,
            has_packages: false,
            has_storage: false,
            account: None,
            last,
            is_last_answer: false,
            asked_since: None,
        }
    }

    /// Whether profiles were fetched in this boot.
    pub fn has_fetched(&self) -> bool {
        self.fetched.is_some()
    }

    /// This machine, as far as it is known.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether the next part changes the system: what its programs leave behind when they are ended halfway is no part of a node. Its
    /// future is not to be dropped.
    pub fn changes_system(&self, settings: &NodeSettings) -> bool {
        let is_known = match settings.role {
            Role::Master => self.keys.is_some(),
            Role::Slave => self.given.is_some(),
        };
        self.fetched.is_some() && is_known && self.account.is_none()
    }

    /// Seeks one part. Its future may be dropped at any time but for [`Self::changes_system`].
    pub async fn step<W: World>(&mut self, world: &W, settings: &NodeSettings, options: &Options) -> Progress {
        let Some(identity) = self.identity.clone() else {
            return match world.identity().await {
                Ok(identity) => {
                    self.identity = Some(identity);
                    Progress::Step(Vec::new())
                }
                Err(error) => {
                    blocked(FailureCode::NoConfiguration, format!("the instance metadata do not say which machine this is: {error}"))
                }
            };
        };
        if self.fetched.is_none() {
            return self.fetch(world, &options.layout).await;
        }
        if self.changes_system(settings) {
            return self.change_system(world, settings).await;
        }
        match settings.role {
            Role::Master => self.login_node(world, &options.layout, identity).await,
            Role::Slave => self.compute_node(world, settings, options, identity).await,
        }
    }

    /// Packages, then the disks, then the account: a file system that nodes share is mounted by a package's program, and the home is
    /// made where it stays.
    async fn change_system<W: World>(&mut self, world: &W, settings: &NodeSettings) -> Progress {
        // The login node finds the way out itself.
        let login = self.login.filter(|_| settings.role == Role::Slave);
        if let Some(scheduler) = &settings.scheduler
            && !self.has_packages
        {
            let proxy = login.filter(|_| scheduler.outbound == Outbound::Proxy);
            return match world.packages(proxy).await {
                Ok(()) => {
                    self.has_packages = true;
                    Progress::Step(Vec::new())
                }
                Err(reason) => blocked(FailureCode::PackagesUnavailable, reason),
            };
        }
        if settings.scheduler.is_some() && !self.has_storage {
            return match world.storage(login).await {
                Ok(problems) => {
                    self.has_storage = true;
                    Progress::Step(problems)
                }
                Err(reason) => blocked(FailureCode::StorageFailed, reason),
            };
        }
        match world.account().await {
            Ok(account) => {
                self.account = Some(account);
                Progress::Step(Vec::new())
            }
            Err(error) => blocked(FailureCode::AccountRefused, error.to_string()),
        }
    }

    /// Fetches the profiles, also those that the login node gave to this node and those that were applied to it.
    async fn fetch<W: World>(&mut self, world: &W, layout: &Layout) -> Progress {
        // A command may be at it.
        let _turn =
            match Turn::take(layout, || tracing::info!("another process of this node is at its profiles; they are fetched then")).await {
                Ok(turn) => turn,
                Err(error) => return blocked(FailureCode::ProfileUnreadable, error.to_string()),
            };
        let (more, mut problems) = lists::more(layout);
        match world.fetch(&more).await {
            Ok(fetched) => {
                self.fetched = Some(more);
                problems.extend(fetched.problems);
                Progress::Step(problems)
            }
            Err(error) => blocked(FailureCode::ProfileUnreadable, error.to_string()),
        }
    }

    async fn login_node<W: World>(&mut self, world: &W, layout: &Layout, identity: Identity) -> Progress {
        let (Some(keys), Some(account)) = (self.keys.clone(), self.account.clone()) else {
            return self.find_secret(world, layout, None).await;
        };
        let login = identity.address;
        let given = Given { name: NodeName::LOGIN, profiles: Vec::new(), inputs: std::collections::BTreeMap::new() };
        self.found(identity, given, login, keys, account)
    }

    fn found(&self, identity: Identity, given: Given, login: IpAddr, keys: Keys, account: Account) -> Progress {
        let is_last_answer = self.is_last_answer;
        let Keys { cluster: cluster_key, link: link_key, slurm: slurm_key } = keys;
        Progress::Found(Box::new(Found { identity, given, login, cluster_key, link_key, slurm_key, account, is_last_answer }))
    }

    /// Seeks the secret: on the disk, where an earlier boot has left it, else in AWS.
    async fn find_secret<W: World>(&mut self, world: &W, layout: &Layout, login: Option<IpAddr>) -> Progress {
        self.keys = kept_keys(layout);
        if self.keys.is_some() {
            return Progress::Step(Vec::new());
        }
        let secret = match world.secret(login).await {
            Ok(secret) => secret,
            Err(error) => return blocked(FailureCode::SecretUnreadable, format!("the cluster's secret cannot be read: {error}")),
        };
        match Keys::of(&secret) {
            Ok(keys) => self.keys = Some(keys),
            Err(error) => return blocked(FailureCode::SecretUnreadable, error.to_string()),
        }
        let kept = state_file::save(&secret_path(layout), &secret);
        let problem = |error| format!("the cluster's secret is not kept for a reboot without network: {error}");
        Progress::Step(kept.err().map(problem).into_iter().collect())
    }

    async fn compute_node<W: World>(&mut self, world: &W, settings: &NodeSettings, options: &Options, identity: Identity) -> Progress {
        let Some(given) = self.given.clone() else {
            self.asked_since.get_or_insert_with(Instant::now);
            let progress = self.ask(world, settings, options, &identity).await;
            let is_silent = self.asked_since.is_some_and(|since| since.elapsed() >= options.timing.last_answer_after);
            return match progress {
                Progress::Blocked(obstacle) if is_silent => self.take_last_answer(obstacle, &options.layout),
                progress => progress,
            };
        };
        let problem = take_given(&options.layout, &given.profiles);
        if self.fetched.as_ref() != Some(&lists::more(&options.layout).0) {
            let progress = self.fetch(world, &options.layout).await;
            return match progress {
                Progress::Step(problems) => Progress::Step(problems.into_iter().chain(problem).collect()),
                progress => progress,
            };
        }
        let (Some(login), Some(keys), Some(account)) = (self.login, self.keys.clone(), self.account.clone()) else {
            // All were there when the login node had answered.
            self.given = None;
            return Progress::Step(Vec::new());
        };
        self.found(identity, given, login, keys, account)
    }

    /// Finds the login node, the secret, and asks which node this machine is: one of these a step.
    async fn ask<W: World>(&mut self, world: &W, settings: &NodeSettings, options: &Options, identity: &Identity) -> Progress {
        let Some(login) = self.login else {
            return match reporter::read(world.store().as_ref(), settings, NodeName::LOGIN)
                .await
                .map(|report| report.and_then(|report| report.address))
            {
                Ok(Some(address)) => {
                    self.login = Some(address);
                    Progress::Step(Vec::new())
                }
                Ok(None) => blocked(FailureCode::NoConfiguration, "the login node has not reported its address yet".to_owned()),
                Err(error) => blocked(FailureCode::NoConfiguration, format!("the login node's report cannot be read: {error}")),
            };
        };
        let Some(keys) = self.keys.clone() else { return self.find_secret(world, &options.layout, Some(login)).await };
        match ask_login_node(options, settings, login, &keys.link, identity).await {
            Ok(given) => {
                self.given = Some(given);
                Progress::Step(Vec::new())
            }
            Err(NoAnswer::Link(error)) => {
                // It may have another address by now, or the secret on the disk is another cluster's.
                self.login = None;
                if matches!(error, LinkError::Stranger) {
                    self.keys = None;
                    let _ = std::fs::remove_file(secret_path(&options.layout));
                }
                blocked(FailureCode::NoConfiguration, format!("the login node at {login} does not answer: {error}"))
            }
            Err(NoAnswer::Refused(refusal)) => {
                let text = format!("the login node gives this machine no number: {refusal}");
                self.refused(&refusal, Obstacle { code: FailureCode::NoConfiguration, text })
            }
        }
    }

    fn refused(&mut self, refusal: &Refusal, obstacle: Obstacle) -> Progress {
        if *refusal == Refusal::NoLoginNode {
            // Another node has the address by now; the login node itself has not answered.
            self.login = None;
            return Progress::Blocked(obstacle);
        }
        self.asked_since = None;
        if refusal.is_final() {
            self.last = None;
            if *refusal == Refusal::TooLate {
                return Progress::Unwanted(obstacle);
            }
            return Progress::Refused(obstacle);
        }
        Progress::Blocked(obstacle)
    }

    /// At a reboot, what the login node answered last, if there is such an answer and a secret to meet others with.
    fn take_last_answer(&mut self, obstacle: Obstacle, layout: &Layout) -> Progress {
        let keys = self.keys.clone().or_else(|| kept_keys(layout));
        let (Some(last), Some(keys)) = (self.last.clone(), keys) else { return Progress::Blocked(obstacle) };
        (self.given, self.login, self.keys, self.is_last_answer) = (Some(last.given), Some(last.login), Some(keys), true);
        Progress::Step(vec![format!("{}; the node starts with what it was told at its last start", obstacle.text)])
    }
}

/// Why the login node gave no name.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It did not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It refused.
    #[error(transparent)]
    Refused(#[from] crate::request::Refusal),
}

/// Asks the login node which node this machine is.
pub async fn ask_login_node(
    options: &Options,
    settings: &NodeSettings,
    login: IpAddr,
    key: &LinkKey,
    identity: &Identity,
) -> Result<Given, NoAnswer> {
    let group = settings.scheduler.as_ref().and_then(|scheduler| scheduler.group);
    let request = Request::Configuration(Asks { instance: identity.instance.clone(), address: identity.address, group });
    match link::ask(link_address(options, login), key, &request, PATIENCE).await? {
        Configuration::Given(given) => Ok(given),
        Configuration::Refused(refusal) => Err(refusal.into()),
    }
}
