//! `cf-node customize`: its command line. Exit status: 0 if all is well, 1 if a script failed or something else did, 2 for a wrong
//! use or a refusal, 130 if a signal stopped what changes this node; `push` has the old tool's codes besides (facts B.10).

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::apply::{Applier, ApplyError, FromStore, members};
use super::lists::ProfileList;
use super::profile_name::ProfileName;
use super::remote::{self, Pace};
use super::screen::{Screen, complain, print};
use super::seams::{self, ByLink};
use super::summary::Summary;
use super::trigger::{self, On};
use super::{REPOSITORY, avail, bucket, list};
use crate::event::Event;
use crate::hooks::{Facts, Hooks};
use crate::members::state::{Entry, State, StateError};
use crate::node::{Layout, NodeName, Role};
use crate::profile::shown;
use crate::settings::NodeSettings;
use crate::signals::Signals;
use crate::store::Store;

mod push;
mod queue;

/// Exit statuses.
const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const STOPPED: u8 = 130;

/// So many nodes are asked at once.
const NODES_AT_ONCE: usize = 32;

/// The profiles of this node: what is there, what runs, and what other nodes get.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder that stands for /
    #[arg(long, default_value = "/", hide = true, global = true)]
    root: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
#[command(infer_subcommands = true)]
enum Verb {
    /// List the profiles that are on this node, in the order in which their scripts run
    List {
        /// With the events for which each has scripts
        #[arg(long)]
        with_events: bool,
    },
    /// List the profiles that can be applied
    Avail {
        /// The repository; "account" is the only one
        repository: Option<String>,
    },
    /// Bring a profile to this node, or to others, and run its configure, start, node-started and member-join scripts now
    Apply {
        /// The nodes, separated by commas, instead of this one
        #[arg(short = 'n', long, value_delimiter = ',', conflicts_with = "all")]
        nodes: Vec<NodeName>,
        /// All nodes of the cluster
        #[arg(long)]
        all: bool,
        /// The profile, as foo or account/foo
        profile: ProfileName,
    },
    /// Show the bucket of this node's profiles, and the name that the Alces customiser would compute for the account
    Bucket,
    /// Put a script or a profile's folder into the bucket, with your own AWS credentials
    Push(push::Options),
    /// Fetch all profiles of this node again; no script runs
    Pull,
    /// Run the scripts of an event on this node now
    Trigger {
        /// For member-join: the members that join, separated by commas; all without it
        #[arg(short = 'm', long, value_delimiter = ',')]
        members: Vec<String>,
        /// The event: initialize, configure, start, fail, node-started or member-join
        event: String,
        /// The profile, as foo or account/foo; all without it
        profile: Option<ProfileName>,
    },
    /// What compute nodes get beside their own profiles, when they are configured; running nodes stay as they are
    #[command(subcommand, infer_subcommands = true)]
    Slave(Slave),
    /// The job queue: files that a node runs once each
    #[command(subcommand, infer_subcommands = true, visible_alias = "job-queue")]
    Queue(queue::Verb),
}

#[derive(Debug, Subcommand)]
enum Slave {
    /// Add a profile at the end
    Add {
        /// The profile, as foo or account/foo
        profile: ProfileName,
    },
    /// Remove a profile
    Remove {
        /// The profile, as foo or account/foo
        profile: ProfileName,
    },
    /// List the profiles
    List,
}

/// Why a command ends as it does.
#[derive(Debug)]
pub(crate) struct Ending {
    code: u8,
    text: String,
}

/// What a command does: its exit status, or why there is another.
type Done = Result<u8, Ending>;

impl Ending {
    fn new(code: u8, text: impl Display) -> Self {
        Self { code, text: text.to_string() }
    }

    fn failed(error: impl Display) -> Self {
        Self::new(FAILED, error)
    }

    fn refused(error: impl Display) -> Self {
        Self::new(REFUSED, error)
    }
}

/// Runs the command; returns its exit status.
pub async fn run(options: Options) -> ExitCode {
    let layout = Layout::below(options.root);
    let done = match options.verb {
        Verb::List { with_events } => {
            print_all(list::lines(&layout, with_events));
            Ok(0)
        }
        Verb::Avail { repository } => available(&layout, repository.as_deref()).await,
        Verb::Apply { nodes, all, profile } => Box::pin(unless_stopped(apply(&layout, &nodes, all, &profile))).await,
        Verb::Bucket => show_bucket(&layout),
        Verb::Push(options) => push::run(&layout, options).await,
        Verb::Pull => Box::pin(unless_stopped(pull(&layout))).await,
        Verb::Trigger { members, event, profile } => {
            unless_stopped(trigger_event(&layout, &event, profile.as_ref(), members.into_iter().collect())).await
        }
        Verb::Slave(verb) => slave(&layout, &verb),
        Verb::Queue(verb) => queue::run(&layout, verb).await,
    };
    let code = done.unwrap_or_else(|ending| {
        complain(&ending.text);
        ending.code
    });
    ExitCode::from(code)
}

/// Does what changes this node, until Ctrl-C, an order to end, or the end of the terminal: the script that runs ends with the future
/// that is dropped then, and would go on as root without it.
async fn unless_stopped(command: impl Future<Output = Done>) -> Done {
    let mut signals = Signals::listen().map_err(|error| Ending::failed(format!("signals cannot be listened for: {error}")))?;
    tokio::select! {
        done = command => done,
        () = signals.next() => Err(Ending::new(
            STOPPED,
            "stopped: a script that ran on this node was ended, and those after it did not run; other nodes finish what was asked of them",
        )),
    }
}

fn settings(layout: &Layout) -> Result<NodeSettings, Ending> {
    NodeSettings::read(layout).map_err(Ending::failed)
}

fn show_bucket(layout: &Layout) -> Done {
    let settings = settings(layout)?;
    print(&format!("profiles come from s3://{}/customizer/", settings.customizer_bucket));
    print(&format!(
        "the Alces customiser would take s3://{}/customizer/ for this account; it is a suggestion only, and nothing is fetched from it",
        bucket::suggested(&settings.account)
    ));
    Ok(0)
}

fn print_all(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        print(&line);
    }
}

/// What changes the node is root's.
fn need_root(layout: &Layout, what: &str) -> Result<(), Ending> {
    if layout.root() == Path::new("/") && !rustix::process::geteuid().is_root() {
        return Err(Ending::refused(format!("{what} changes this node, which only root may do; run it by sudo")));
    }
    Ok(())
}

fn need_repository(repository: Option<&str>, code: u8) -> Result<(), Ending> {
    match repository {
        None | Some(REPOSITORY) => Ok(()),
        Some(other) => Err(Ending::new(code, format!("there is no repository {}; the only one is \"account\"", shown(other.as_ref())))),
    }
}

async fn available(layout: &Layout, repository: Option<&str>) -> Done {
    need_repository(repository, REFUSED)?;
    let settings = settings(layout)?;
    let store = seams::open_store(&settings).await.map_err(Ending::failed)?;
    let installed: Vec<String> = list::installed(layout).iter().map(|folder| folder.name.to_string_lossy().into_owned()).collect();
    let available = avail::available(&store, &settings.customizer_bucket, &installed).await.map_err(Ending::failed)?;
    for note in available.notes {
        complain(&note);
    }
    print_all(available.lines);
    Ok(0)
}

fn applier<S: Store>(store: S, settings: NodeSettings, layout: &Layout) -> Applier<S, FromStore<S>> {
    let store = Arc::new(store);
    Applier {
        fetch: FromStore { store: Arc::clone(&store), settings: settings.clone(), layout: layout.clone() },
        store,
        settings,
        layout: layout.clone(),
        hooks: Arc::new(Hooks::new(layout.clone(), Arc::new(Screen::new(layout)))),
        failures: seams::failures(layout),
    }
}

async fn apply(layout: &Layout, nodes: &[NodeName], all: bool, profile: &ProfileName) -> Done {
    need_root(layout, "apply")?;
    let settings = settings(layout)?;
    let (here, others) = if all || !nodes.is_empty() {
        let state = State::read(layout).map_err(Ending::failed)?;
        targets(&state, nodes).map_err(Ending::refused)?
    } else {
        (true, Vec::new())
    };
    let mut code = 0;
    if here {
        let store = seams::open_store(&settings).await.map_err(Ending::failed)?;
        code = match applier(store, settings.clone(), layout).apply(profile).await {
            Ok(summary) => show(&summary),
            Err(error) => {
                complain(&error.to_string());
                if matches!(error, ApplyError::Startup { .. } | ApplyError::Missing(_)) { REFUSED } else { FAILED }
            }
        };
    }
    if !others.is_empty() {
        code = code.max(apply_there(layout, others, profile).await?);
    }
    Ok(code)
}

/// Whether this node is meant, and which others: all where none is named.
fn targets(state: &State, nodes: &[NodeName]) -> Result<(bool, Vec<Entry>), String> {
    let is_meant = |name: NodeName| nodes.is_empty() || nodes.contains(&name);
    if let Some(name) = nodes.iter().find(|name| **name != state.name && !state.members.iter().any(|entry| entry.member.name() == **name)) {
        return Err(format!("{name} is not a member of this cluster; cf-node members lists those that are"));
    }
    let others = state.members.iter().filter(|entry| entry.member.name() != state.name && is_meant(entry.member.name()));
    Ok((is_meant(state.name), others.cloned().collect()))
}

async fn apply_there(layout: &Layout, others: Vec<Entry>, profile: &ProfileName) -> Done {
    let key = seams::link_key(layout).map_err(Ending::failed)?;
    let places = Arc::new(Semaphore::new(NODES_AT_ONCE));
    let mut asked = JoinSet::new();
    for entry in others {
        let (way, profile, places) = (ByLink::to(&entry.member, &key), profile.clone(), Arc::clone(&places));
        asked.spawn(async move {
            let _place = places.acquire_owned().await;
            (entry.member.name(), remote::apply(&way, &profile, Pace::default()).await)
        });
    }
    let mut code = 0;
    while let Some(answer) = asked.join_next().await {
        let (node, answer) = answer.map_err(Ending::failed)?;
        match answer {
            Ok(summary) => {
                print_all(summary.lines().iter().map(|line| format!("{node}: {line}")));
                code = code.max(if summary.is_well() { 0 } else { FAILED });
            }
            Err(error) => {
                complain(&format!("{node}: {error}"));
                code = code.max(FAILED);
            }
        }
    }
    Ok(code)
}

fn show(summary: &Summary) -> u8 {
    print_all(summary.lines());
    if summary.is_well() { 0 } else { FAILED }
}

async fn pull(layout: &Layout) -> Done {
    need_root(layout, "pull")?;
    let settings = settings(layout)?;
    let store = seams::open_store(&settings).await.map_err(Ending::failed)?;
    let fetched = applier(store, settings, layout).pull().await.map_err(Ending::failed)?;
    for problem in &fetched.problems {
        complain(problem);
    }
    print(&format!("{} profiles are on this node now; nothing was run", fetched.profiles.len()));
    Ok(if fetched.problems.is_empty() { 0 } else { FAILED })
}

async fn trigger_event(layout: &Layout, event: &str, profile: Option<&ProfileName>, only: BTreeSet<String>) -> Done {
    let event = trigger::parse_event(event).map_err(Ending::refused)?;
    need_root(layout, "trigger")?;
    let settings = settings(layout)?;
    let members = match members(layout) {
        Ok(members) => members,
        Err(StateError::Absent(_)) if event != Event::MemberJoin => Vec::new(),
        Err(error) => return Err(Ending::failed(error)),
    };
    let facts = Facts { role: settings.role, cluster: settings.cluster, first_boot: false };
    let hooks = Hooks::new(layout.clone(), Arc::new(Screen::new(layout)));
    let on = On { hooks: &hooks, layout, facts: &facts, failures: &seams::failures(layout) };
    let summary = on.trigger(event, profile, &members, &only).await.map_err(Ending::refused)?;
    Ok(show(&summary))
}

fn slave(layout: &Layout, verb: &Slave) -> Done {
    need_login_node(&settings(layout)?)?;
    let list = ProfileList::for_slaves(layout);
    match verb {
        Slave::List => print_all(list.read().map_err(Ending::failed)?.iter().map(|name| format!("{REPOSITORY}/{name}"))),
        Slave::Add { profile } => {
            need_root(layout, "slave add")?;
            if !list.add(profile).map_err(Ending::failed)? {
                return Err(Ending::refused(format!("{profile} is in the list already")));
            }
            print(&format!("compute nodes get {profile} from their next configuration on; those that run stay as they are"));
        }
        Slave::Remove { profile } => {
            need_root(layout, "slave remove")?;
            if !list.remove(profile).map_err(Ending::failed)? {
                return Err(Ending::refused(format!("{profile} is not in the list; cf-node customize slave list shows it")));
            }
            print(&format!("compute nodes get {profile} no more from their next configuration on; those that run stay as they are"));
        }
    }
    Ok(0)
}

fn need_login_node(settings: &NodeSettings) -> Result<(), Ending> {
    if settings.role == Role::Master {
        Ok(())
    } else {
        Err(Ending::refused("this is a compute node, and the list is the login node's; run it there"))
    }
}

#[cfg(test)]
mod tests;
