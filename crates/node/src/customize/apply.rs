//! `customize apply`: brings one profile to this node beside the others, and runs it at once: `configure`, `start`, `node-started`,
//! then `member-join` for each member (acceptance check B17). `customize pull`: fetches all profiles again and runs nothing.
//!
//! An applied profile is the node's from then on, also after a reboot.

use std::future::Future;
use std::sync::Arc;

use super::avail::read_index;
use super::index::STARTUP;
use super::list::installed;
use super::lists::{self, ListError, ProfileList};
use super::profile_name::ProfileName;
use super::summary::Summary;
use super::trigger::{self, Failures};
use crate::event::{Event, Occasion};
use crate::fetch::{self, FetchError, Fetched};
use crate::hooks::{Facts, Hooks};
use crate::members::state::{Entry, State, StateError};
use crate::node::Layout;
use crate::profile::listing::{Kind, read_folder};
use crate::settings::NodeSettings;
use crate::store::{Store, StoreError};
use crate::turn::{Turn, TurnError};

/// The events that an applied profile runs, before `member-join`.
const EVENTS: [Event; 3] = [Event::Configure, Event::Start, Event::NodeStarted];

/// The most bytes of a profile's manifest.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// Brings the profiles to the node.
pub trait Fetch: Send + Sync + 'static {
    /// Fetches the template's profiles, and these more.
    fn fetch(&self, more: &[String]) -> impl Future<Output = Result<Fetched, FetchError>> + Send;
}

/// From the store, as a boot does.
pub struct FromStore<S> {
    /// Where from.
    pub store: Arc<S>,
    /// Which.
    pub settings: NodeSettings,
    /// Where to.
    pub layout: Layout,
}

impl<S: Store> Fetch for FromStore<S> {
    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        fetch::fetch(self.store.as_ref(), &self.settings, &self.layout, more).await
    }
}

/// Why a profile is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is none.
    #[error("the profile {0} has no files in the bucket; cf-node customize avail lists those that there are")]
    Missing(ProfileName),
    /// It cannot be read.
    #[error(
        "the profile {0} cannot be read: {1}. A node may read its user's profile, default, and the site's; ask an administrator to make it one of those"
    )]
    Unreadable(ProfileName, StoreError),
    /// A boot's.
    #[error(
        "the profile {profile} is not applied to a running node, because {reason}: name it in the cluster's template, or on the login node use cf-node customize slave add"
    )]
    Startup {
        /// The profile.
        profile: ProfileName,
        /// Why.
        reason: &'static str,
    },
    /// It was not fetched.
    #[error("the profile {profile} could not be fetched: {reason}; nothing of it was run")]
    NotFetched {
        /// The profile.
        profile: ProfileName,
        /// Why.
        reason: String,
    },
    /// The list of applied profiles.
    #[error(transparent)]
    List(#[from] ListError),
    /// The node's turn.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The template's profiles.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// What applying takes. The agent and the command have one each.
pub struct Applier<S, F> {
    /// Where profiles come from.
    pub store: Arc<S>,
    /// How they come.
    pub fetch: F,
    /// The node's settings.
    pub settings: NodeSettings,
    /// Its files.
    pub layout: Layout,
    /// Its scripts.
    pub hooks: Arc<Hooks>,
    /// Where failed scripts are reported.
    pub failures: Failures,
}

impl<S: Store, F: Fetch> Applier<S, F> {
    /// Applies a profile. What came of its scripts is the summary.
    pub async fn apply(&self, profile: &ProfileName) -> Result<Summary, ApplyError> {
        self.refuse_startup(profile).await?;
        let (new, mut problems) = self.bring(profile).await?;
        let facts = Facts { first_boot: new, ..self.facts() };
        let mut reports = Vec::new();
        for event in EVENTS {
            let report = self.hooks.run_of(Some(profile.as_str()), &Occasion::Stage(event), &facts, None).await;
            (self.failures)(&report);
            let failed = report.node_failed;
            reports.push(report);
            if failed {
                problems.push(format!("the events after {event} are left out: the profile's on-error is \"fail-the-node\""));
                return Ok(Summary::of(&reports, &problems));
            }
        }
        let members = members(&self.layout).unwrap_or_else(|error| {
            problems.push(format!("member-join is left out: {error}"));
            Vec::new()
        });
        let on = trigger::On { hooks: &self.hooks, layout: &self.layout, facts: &facts, failures: &self.failures };
        reports.extend(on.member_join(Some(profile.as_str()), &members).await);
        Ok(Summary::of(&reports, &problems))
    }

    /// Fetches all profiles again; runs nothing.
    pub async fn pull(&self) -> Result<Fetched, ApplyError> {
        let _turn = Turn::take(&self.layout, || {}).await?;
        self.fetch_all(None).await
    }

    /// Fetches the node's profiles, and one that is to be added to them.
    async fn fetch_all(&self, new: Option<&ProfileName>) -> Result<Fetched, ApplyError> {
        let (mut more, problems) = lists::more(&self.layout);
        more.extend(new.map(ProfileName::to_string));
        let mut fetched = self.fetch.fetch(&more).await?;
        fetched.problems.extend(problems);
        Ok(fetched)
    }

    /// What the node's scripts get of their node.
    pub fn facts(&self) -> Facts {
        Facts { role: self.settings.role, cluster: self.settings.cluster.clone(), first_boot: false }
    }

    /// Fetches the profile beside the others. Whether it is new on this node, and the fetch's problems. Where it does not come, or
    /// is a boot's, the node is as it was. It is listed when it has been checked: whenever this is broken off, nothing of it runs at
    /// the next boot that was not looked at.
    async fn bring(&self, profile: &ProfileName) -> Result<(bool, Vec<String>), ApplyError> {
        let _turn = Turn::take(&self.layout, || {}).await?;
        let new = !installed(&self.layout).iter().any(|folder| folder.name == profile.as_str());
        let applied = ProfileList::applied(&self.layout);
        let is_listed = self.is_the_nodes(profile)? || applied.read()?.contains(profile);
        let mut brought = self.check_brought(profile, is_listed).await;
        if !is_listed && brought.is_ok() {
            brought = applied.add(profile).map_err(ApplyError::from).and(brought);
        }
        if !is_listed && brought.is_err() {
            // What came of it is not to run at the next event.
            if let Err(error) = self.fetch_all(None).await {
                tracing::warn!(%error, %profile, "the files of a profile that was not applied are left until the next fetch");
            }
        }
        brought.map(|problems| (new, problems))
    }

    async fn check_brought(&self, profile: &ProfileName, is_listed: bool) -> Result<Vec<String>, ApplyError> {
        let fetched = self.fetch_all((!is_listed).then_some(profile)).await?;
        let folder = installed(&self.layout).into_iter().find(|folder| folder.name == profile.as_str());
        let Some(folder) = folder.filter(|_| fetched.profiles.iter().any(|name| name == profile.as_str())) else {
            let reason = if fetched.problems.is_empty() { "it is not among what came".to_owned() } else { fetched.problems.join("; ") };
            return Err(ApplyError::NotFetched { profile: profile.clone(), reason });
        };
        let entries = read_folder(&folder.path.join(Event::Initialize.folder())).unwrap_or_default();
        if entries.iter().any(|entry| entry.kind != Kind::Folder) {
            return Err(startup(profile, "it has scripts in initialize.d"));
        }
        Ok(fetched.problems)
    }

    /// Whether the template or the login node names the profile: then it is fetched without being in the list of applied ones.
    fn is_the_nodes(&self, profile: &ProfileName) -> Result<bool, ListError> {
        let by_template = self.settings.profiles().any(|name| name == profile.as_str());
        Ok(by_template || ProfileList::given(&self.layout).read()?.contains(profile))
    }

    /// Refuses a profile that is a boot's, before it is fetched: by its tag, or by what the bucket has of it.
    async fn refuse_startup(&self, profile: &ProfileName) -> Result<(), ApplyError> {
        let bucket = &self.settings.customizer_bucket;
        if read_index(self.store.as_ref(), bucket).await.is_ok_and(|index| index.has_tag(profile.as_str(), STARTUP)) {
            return Err(startup(profile, "it has the tag \"startup\""));
        }
        let prefix = profile.prefix();
        let initialize = format!("{prefix}{}/", Event::Initialize.folder());
        let unreadable = |error| ApplyError::Unreadable(profile.clone(), error);
        let has_initialize = match self.store.list(bucket, &initialize, 2).await {
            Ok((objects, _)) => objects.iter().any(|object| object.key != initialize),
            Err(StoreError::Denied(_)) => {
                let manifest = self.store.get(bucket, &format!("{prefix}manifest.txt"), MANIFEST_BYTES_MAX).await;
                let (bytes, _) = manifest.map_err(unreadable)?;
                String::from_utf8_lossy(&bytes).lines().any(|line| line.starts_with("initialize.d/"))
            }
            Err(error) => return Err(unreadable(error)),
        };
        if has_initialize {
            return Err(startup(profile, "it has scripts in initialize.d"));
        }
        match self.store.list(bucket, &prefix, 1).await {
            Ok((objects, _)) if objects.is_empty() => Err(ApplyError::Missing(profile.clone())),
            // A denied listing has been answered by the manifest.
            _ => Ok(()),
        }
    }
}

fn startup(profile: &ProfileName, reason: &'static str) -> ApplyError {
    ApplyError::Startup { profile: profile.clone(), reason }
}

/// The cluster's members as the agent last saw them.
pub fn members(layout: &Layout) -> Result<Vec<Entry>, StateError> {
    State::read(layout).map(|state| state.members)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
