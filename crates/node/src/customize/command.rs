//! `cf-node customize`: its command line. Exit status: 0 if all is well, 1 if a script failed or something else did, 2 for a wrong
//! use or a refusal; `push` has the old tool's codes besides (facts B.10).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::apply::{Applier, ApplyError, FromStore, members};
use super::lists::ProfileList;
use super::profile_name::ProfileName;
use super::push::{self, PushError, local::LocalError};
use super::remote::{self, Pace};
use super::screen::{Screen, complain, print};
use super::seams::{self, ByLink};
use super::summary::Summary;
use super::trigger::{self, On};
use super::{REPOSITORY, avail, list};
use crate::event::Event;
use crate::hooks::{Facts, Hooks};
use crate::members::state::{Entry, State, StateError};
use crate::node::{Layout, NodeName, Role};
use crate::profile::shown;
use crate::settings::NodeSettings;
use crate::store::Store;

mod queue;

/// Exit statuses.
const FAILED: u8 = 1;
const REFUSED: u8 = 2;

/// The old tool's, of `push`.
const UNKNOWN_REPOSITORY: u8 = 1;
const UNKNOWN_TYPE: u8 = 3;
const PUSH_FAILED: u8 = 4;
const NO_FOLDERS: u8 = 5;

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
    /// Put a script or a profile's folder into the bucket, with your own AWS credentials
    Push(Push),
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

#[derive(Debug, Args)]
struct Push {
    /// The script, whose profile has its name without the ending; or the profile's folder
    source: PathBuf,
    /// The repository; "account" is the only one
    repository: Option<String>,
    /// The event of a script
    hook: Option<String>,
    /// Replace files that differ and that no push wrote
    #[arg(long)]
    overwrite: bool,
    /// The customizer bucket, where this machine is no node
    #[arg(long)]
    bucket: Option<String>,
    /// The AWS account that owns the bucket, where this machine is no node
    #[arg(long)]
    account: Option<String>,
    /// The bucket's Region, where this machine is no node
    #[arg(long)]
    region: Option<String>,
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
    fn new(code: u8, text: impl ToString) -> Self {
        Self { code, text: text.to_string() }
    }

    fn failed(error: impl ToString) -> Self {
        Self::new(FAILED, error)
    }

    fn refused(error: impl ToString) -> Self {
        Self::new(REFUSED, error)
    }
}

/// Runs the command; returns its exit status.
pub async fn run(options: Options) -> ExitCode {
    let layout = Layout::below(options.root);
    let done = match options.verb {
        Verb::List { with_events } => {
            list::lines(&layout, with_events).iter().for_each(|line| print(line));
            Ok(0)
        }
        Verb::Avail { repository } => available(&layout, repository.as_deref()).await,
        Verb::Apply { nodes, all, profile } => apply(&layout, &nodes, all, &profile).await,
        Verb::Push(push) => push_profile(&layout, push).await,
        Verb::Pull => pull(&layout).await,
        Verb::Trigger { members, event, profile } => trigger_event(&layout, &event, profile.as_ref(), members.into_iter().collect()).await,
        Verb::Slave(verb) => slave(&layout, &verb),
        Verb::Queue(verb) => queue::run(&layout, verb).await,
    };
    let code = done.unwrap_or_else(|ending| {
        complain(&ending.text);
        ending.code
    });
    ExitCode::from(code)
}

fn settings(layout: &Layout) -> Result<NodeSettings, Ending> {
    NodeSettings::read(layout).map_err(Ending::failed)
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
    available.notes.iter().for_each(|note| complain(note));
    available.lines.iter().for_each(|line| print(line));
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
                summary.lines().iter().for_each(|line| print(&format!("{node}: {line}")));
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
    summary.lines().iter().for_each(|line| print(line));
    if summary.is_well() { 0 } else { FAILED }
}

async fn pull(layout: &Layout) -> Done {
    need_root(layout, "pull")?;
    let settings = settings(layout)?;
    let store = seams::open_store(&settings).await.map_err(Ending::failed)?;
    let fetched = applier(store, settings, layout).pull().await.map_err(Ending::failed)?;
    fetched.problems.iter().for_each(|problem| complain(problem));
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
        Slave::List => list.read().map_err(Ending::failed)?.iter().for_each(|name| print(&format!("{REPOSITORY}/{name}"))),
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

async fn push_profile(layout: &Layout, options: Push) -> Done {
    let hook = push_hook(options.repository.as_deref(), options.hook.as_deref())?;
    let node = NodeSettings::read(layout).ok();
    let of_node = |option: Option<String>, value: fn(&NodeSettings) -> &String, name: &str| {
        let missing = || Ending::refused(format!("this machine is no node, or its settings cannot be read; add --{name}"));
        option.or_else(|| node.as_ref().map(|settings| value(settings).clone())).ok_or_else(missing)
    };
    let bucket = of_node(options.bucket, |settings| &settings.customizer_bucket, "bucket")?;
    let account = of_node(options.account, |settings| &settings.account, "account")?;
    let region = of_node(options.region, |settings| &settings.region, "region")?;
    let bucket = bucket.trim_start_matches("s3://").trim_end_matches('/');
    let store = seams::open_store_as_caller(&region, &account).await.map_err(|error| Ending::new(PUSH_FAILED, format!("{error:#}")))?;
    let pushed = push::push(&store, bucket, &options.source, hook, options.overwrite).await;
    let pushed = pushed.map_err(|error| Ending::new(push_code(&error), &error))?;
    pushed.notes.iter().for_each(|note| complain(note));
    pushed.written.iter().for_each(|path| print(&format!("written  {path}")));
    pushed.removed.iter().for_each(|path| print(&format!("removed  {path}")));
    print(&format!(
        "the profile {} is in {bucket}: {} written, {} removed, {} unchanged",
        pushed.profile,
        pushed.written.len(),
        pushed.removed.len(),
        pushed.unchanged
    ));
    Ok(0)
}

/// The event of a pushed script: `push foo.sh account start`, or without the repository, `push foo.sh start`.
fn push_hook(repository: Option<&str>, hook: Option<&str>) -> Result<Event, Ending> {
    let hook = match (repository, hook) {
        (None | Some(REPOSITORY), hook) => hook,
        (Some(event), None) if event.parse::<Event>().is_ok() => Some(event),
        (other, _) => {
            need_repository(other, UNKNOWN_REPOSITORY)?;
            hook
        }
    };
    let Some(hook) = hook else { return Ok(Event::Configure) };
    hook.trim_end_matches(".d").parse().map_err(|_| {
        Ending::refused(format!("there is no event {}; a script is for configure, start, or another event of nodes", shown(hook.as_ref())))
    })
}

fn push_code(error: &PushError) -> u8 {
    match error {
        PushError::Local(LocalError::Empty(_)) => NO_FOLDERS,
        PushError::Local(LocalError::Kind(_)) => UNKNOWN_TYPE,
        PushError::Local(_) | PushError::Foreign { .. } => REFUSED,
        _ => PUSH_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::customize::testing::{Node, settings};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn verb(line: &str) -> Result<Verb, String> {
        Line::try_parse_from(std::iter::once("x").chain(line.split(' '))).map(|line| line.options.verb).map_err(|error| error.to_string())
    }

    #[test]
    fn verbs_may_be_cut_as_long_as_they_are_clear() {
        assert!(matches!(verb("l --with-events"), Ok(Verb::List { with_events: true })));
        assert!(matches!(verb("pul"), Ok(Verb::Pull)));
        assert!(matches!(verb("s a account/foo"), Ok(Verb::Slave(Slave::Add { .. }))));
        assert!(matches!(verb("job-queue list-q"), Ok(Verb::Queue(_))));
        assert!(matches!(verb("t -m compute-1,compute-2 member-join"), Ok(Verb::Trigger { members, .. }) if members.len() == 2));
        assert!(verb("pu").is_err(), "push or pull");
        assert!(verb("apply feature/foo").unwrap_err().contains("there is no repository \"feature\""));
        assert!(verb("apply -n compute-0 foo").unwrap_err().contains("is not the name of a node"));
        assert!(verb("apply -n compute-1 --all foo").is_err());
    }

    #[test]
    fn b16_a_pushed_script_is_for_configure_or_for_the_event_that_is_named() {
        let hook = |repository, hook| push_hook(repository, hook).map_err(|ending| ending.code);
        assert_eq!(hook(None, None), Ok(Event::Configure));
        assert_eq!(hook(Some("account"), None), Ok(Event::Configure));
        assert_eq!(hook(Some("account"), Some("start")), Ok(Event::Start));
        assert_eq!(hook(Some("start"), None), Ok(Event::Start));
        assert_eq!(hook(Some("other"), Some("start")), Err(UNKNOWN_REPOSITORY));
        assert_eq!(hook(Some("account"), Some("boot")), Err(REFUSED));
    }

    #[test]
    fn apply_reaches_the_nodes_that_are_named_or_all_and_no_others() {
        let node = Node::new();
        node.members(&[0, 1, 2]);
        let state = State::read(&node.layout).unwrap();
        let names = |nodes: &[&str]| {
            let nodes: Vec<NodeName> = nodes.iter().map(|name| name.parse().unwrap()).collect();
            targets(&state, &nodes)
                .map(|(here, others)| (here, others.iter().map(|entry| entry.member.name().to_string()).collect::<Vec<_>>()))
        };
        assert_eq!(names(&[]), Ok((true, vec!["compute-1".into(), "compute-2".into()])));
        assert_eq!(names(&["compute-2"]), Ok((false, vec!["compute-2".into()])));
        assert_eq!(names(&["login1"]), Ok((true, vec![])));
        assert!(names(&["compute-3"]).unwrap_err().contains("compute-3 is not a member"));
    }

    #[test]
    fn b18_the_list_for_compute_nodes_is_the_login_nodes_and_holds_no_profile_twice() {
        assert!(need_login_node(&settings(Role::Master)).is_ok());
        assert_eq!(need_login_node(&settings(Role::Slave)).unwrap_err().code, REFUSED);
        let node = Node::new();
        let write = |role| {
            let path = node.layout.settings();
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut text = serde_json::json!({
                "role": role, "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "r",
                "account": "1", "stack": "s", "customizer_bucket": "profiles", "profile": "alice", "system_bucket": "system", "secret": "x",
                "nodes_max": 4,
            });
            text["site_profiles"] = serde_json::json!([]);
            std::fs::write(path, text.to_string()).unwrap();
        };
        write("master");
        let foo: ProfileName = "account/foo".parse().unwrap();
        assert_eq!(slave(&node.layout, &Slave::Add { profile: foo.clone() }).unwrap(), 0);
        assert_eq!(slave(&node.layout, &Slave::Add { profile: foo.clone() }).unwrap_err().code, REFUSED);
        assert_eq!(ProfileList::for_slaves(&node.layout).read().unwrap(), std::slice::from_ref(&foo));
        assert_eq!(super::super::lists::more(&node.layout).0, [""; 0], "this node runs as before");
        assert_eq!(slave(&node.layout, &Slave::Remove { profile: foo.clone() }).unwrap(), 0);
        assert_eq!(slave(&node.layout, &Slave::Remove { profile: foo.clone() }).unwrap_err().code, REFUSED);
        write("slave");
        assert_eq!(slave(&node.layout, &Slave::Add { profile: foo }).unwrap_err().code, REFUSED);
        assert_eq!(slave(&node.layout, &Slave::List).unwrap_err().code, REFUSED);
    }
}
