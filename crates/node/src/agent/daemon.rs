//! Starts the agent's tasks, and ends them.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cf_core::node_report::{FailureCode, NodeState};
use jiff::Zoned;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::boot::{Boot, failure};
use super::decide::Verdict;
use super::life::{Begin, Life, boot_id, owner, uptime};
use super::node::Node;
use super::seek::{Found, Search};
use super::world::World;
use super::{LOCK, Options, answers, outbound, scheduling, services};
use crate::cloud::{Identity, Signal};
use crate::failures::Journal;
use crate::hooks::{Hooks, Listener, LogListener};
use crate::instance_log::InstanceLog;
use crate::logs::Logs;
use crate::node::{Layout, NodeName, Role};
use crate::report::Contents;
use crate::reporter::Reporter;
use crate::run::{Stream, notes};
use crate::settings::NodeSettings;

/// How long the instance metadata are waited for before the boot goes on without them.
const IDENTITY_WAIT: Duration = Duration::from_secs(20);

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one runs.
    #[error("another agent runs on this node (it holds {0}); stop it first, for example with systemctl stop cf-node")]
    Running(String),
    /// The state folder.
    #[error("the agent cannot keep its state in {0}: {1}; it must be a folder that root may write, on a disk with space")]
    State(String, io::Error),
    /// One of its tasks.
    #[error("the agent ends, to be started again: {0}")]
    Ended(End),
}

/// Why a task ends, and with it the agent.
#[derive(Debug, Clone, PartialEq, Eq, derive_more::Display)]
pub enum End {
    /// This node is another one from now on: the agent chooses to end, and is this one when it starts again.
    #[display("{_0}")]
    Renamed(String),
    /// It should have gone on.
    #[display("{_0}")]
    Broken(String),
}

/// A task's end.
type Ended = Result<(), End>;

/// Runs the agent of a node until `stop`. An error is for systemd, which starts the agent again.
pub async fn run<W: World>(options: Options, settings: NodeSettings, world: W, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
    let layout = options.layout.clone();
    let lock = match take_lock(&layout) {
        Err(error @ DaemonError::Running(_)) => return Err(error),
        lock => lock,
    };
    if lock.is_ok() {
        end_left_behind(&layout).await;
    }
    let mut identity = options.identity.clone();
    if identity.is_none() {
        identity = timeout(IDENTITY_WAIT, world.identity()).await.ok().and_then(Result::ok);
    }
    let boot = options.boot.clone().unwrap_or_else(boot_id);
    let in_state = |error| DaemonError::State(layout.state().display().to_string(), error);
    let instance = identity.as_ref().map(|identity| identity.instance.as_str());
    let enter = |lock| Ok((lock, Life::begin(&layout, &owner(&settings), instance, &boot, uptime()).map_err(in_state)?));
    let (_lock, (life, begin)) = match lock.and_then(enter) {
        Ok(entered) => entered,
        Err(error) => {
            report_without_state(&options, &settings, &world, identity.as_ref(), &error).await;
            return Err(error);
        }
    };
    announce(&settings, &begin);
    // At a reboot the machine is the one that it was, also where its metadata do not answer.
    let identity = identity.or_else(|| Some(Identity { instance: life.instance.clone(), address: life.address? }));
    let reporter = Reporter::new(Contents { host_keys: world.host_keys(), ..contents(&life, identity.as_ref(), &begin) });
    if settings.role == Role::Master {
        reporter.name(NodeName::LOGIN);
    } else if let (Some(last), Begin::Restart { .. }) = (&life.given, &begin) {
        // At a reboot another machine may have the name.
        reporter.name(last.given.name);
    } else if matches!(life.boot.concluded, Some(Verdict::Failed(_))) {
        reporter.name_by_instance();
    }
    let hooks = Hooks::new(layout.clone(), listener(&layout, &reporter));
    let journal = Journal::open(&layout, !matches!(begin, Begin::Restart { .. }));
    let search = Search::new(identity, life.given.clone());
    let node = Arc::new(Node::new(options, settings, world, hooks, reporter, life));
    node.remember(|_| {});
    if node.settings.role == Role::Master {
        node.name_host(NodeName::LOGIN);
    }
    supervise(&node, search, journal, stop).await
}

/// An agent that can keep no state starts nothing, but its user reads of it, and CloudFormation does not wait for it.
async fn report_without_state<W: World>(
    options: &Options,
    settings: &NodeSettings,
    world: &W,
    identity: Option<&Identity>,
    error: &DaemonError,
) {
    tracing::error!("{error}");
    let failure = Some((FailureCode::AgentFailed, error.to_string()));
    let mut contents = Contents { state: NodeState::Failed, failure, ..Contents::default() };
    if let Some(identity) = identity {
        (contents.instance, contents.address) = (identity.instance.clone(), Some(identity.address));
    }
    let reporter = Reporter::new(contents);
    match settings.role {
        Role::Master => reporter.name(NodeName::LOGIN),
        Role::Slave => reporter.name_by_instance(),
    }
    tokio::select! {
        () = reporter.follow(world.store().as_ref(), settings, options.timing.pace) => {}
        _ = reporter.flush(options.timing.report_first) => {}
    }
    if !settings.resource.is_empty() {
        // An agent that kept no state cannot know whether an earlier one has signalled.
        let signal = Signal { id: &FailureCode::AgentFailed.to_string(), ready: false, may_have_arrived: true };
        if let Err(error) = world.signal(&signal).await {
            tracing::error!(%error, "CloudFormation does not take the signal");
        }
    }
    // systemd starts the agent again at once, and each start reports.
    sleep(options.timing.retry.1).await;
}

/// Ends scripts whose agent or command ended before them: an event that was interrupted runs again, and never beside itself.
async fn end_left_behind(layout: &Layout) {
    let ended = notes::end_left_behind(&layout.runs()).await;
    if ended > 0 {
        tracing::warn!("{ended} processes of scripts whose agent or command ended before them were ended");
    }
}

fn take_lock(layout: &Layout) -> Result<File, DaemonError> {
    let path = layout.state().join(LOCK);
    let failed = |error| DaemonError::State(layout.state().display().to_string(), error);
    std::fs::create_dir_all(layout.state()).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(DaemonError::Running(path.display().to_string())),
        Err(error) => Err(failed(error.into())),
    }
}

fn announce(settings: &NodeSettings, begin: &Begin) {
    let version = env!("CARGO_PKG_VERSION");
    let begin = match begin {
        Begin::FirstBoot => "first boot",
        Begin::Reboot => "reboot",
        Begin::Restart { .. } => "started again in the same boot",
        Begin::Other => "first boot, on a disk that another machine or cluster left; its state is set aside",
    };
    tracing::info!(version, role = %settings.role, cluster = settings.cluster, user = settings.user, "the node's agent starts: {begin}");
}

/// What the node reports at first: in the same boot, what it has reported before.
fn contents(life: &Life, identity: Option<&Identity>, begin: &Begin) -> Contents {
    let mut contents =
        Contents { address: identity.map(|identity| identity.address), instance: life.instance.clone(), ..Contents::default() };
    contents.state = match life.boot.concluded {
        None => NodeState::Starting,
        Some(Verdict::Ready) => NodeState::Ready,
        Some(Verdict::Failed(_)) => NodeState::Failed,
    };
    let concluded = || failure(life.boot.concluded?, None, life.boot.failed_by.as_deref());
    contents.failure = life.signalled_failure().or_else(concluded);
    if let Begin::Restart { crashes: crashes @ 1.. } = begin {
        let text = format!("the node's agent ended unexpectedly and was started again ({crashes} times since the machine started)");
        tracing::error!("{text}");
        contents.problem(&text);
    }
    contents
}

/// Where scripts' lines go. A node whose log cannot be opened runs its scripts all the same.
fn listener(layout: &Layout, reporter: &Reporter) -> Arc<dyn Listener> {
    match InstanceLog::open(&layout.instance_log()) {
        Ok(log) => Arc::new(LogListener { log, clock: Zoned::now }),
        Err(error) => {
            let text = format!("the log {} cannot be written: {error}", layout.instance_log().display());
            tracing::error!("{text}");
            reporter.problem(&text);
            Arc::new(TraceListener)
        }
    }
}

/// Writes what it hears into the agent's own log only.
struct TraceListener;

impl Listener for TraceListener {
    fn note(&self, word: &str, text: &str) {
        tracing::info!(event = word, "{text}");
    }

    fn line(&self, word: &str, _script: &str, _stream: Stream, text: &str) {
        tracing::info!(event = word, "{}", text.trim_end());
    }
}

/// The agent's tasks. Those that are asked to end are waited for; the others end with the set.
struct Tasks<W> {
    node: Arc<Node<W>>,
    set: JoinSet<Ended>,
    stop: watch::Sender<bool>,
}

async fn supervise<W: World>(
    node: &Arc<Node<W>>,
    search: Search,
    journal: Journal,
    stop: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let (services, mut found) = mpsc::channel(1);
    let mut tasks = Tasks { node: Arc::clone(node), set: JoinSet::new(), stop: watch::Sender::new(false) };
    tasks.start(journal);
    let mut boot = Box::pin(Boot::new(Arc::clone(node), search, boot_began(node), services).run());
    let mut is_over = false;
    let mut stop = std::pin::pin!(stop);
    let ended = loop {
        tokio::select! {
            () = &mut stop => break None,
            Some(found) = found.recv() => tasks.configured(found),
            Some(ended) = tasks.set.join_next() => break Some(reason(ended)),
            // A boot that is over is no end of the agent.
            () = &mut boot, if !is_over => is_over = true,
        }
    };
    // A script that runs ends with its boot.
    drop(boot);
    match ended {
        None => {
            tasks.leave().await;
            Ok(())
        }
        Some(end) => {
            tracing::error!("the agent ends, to be started again: {end}");
            ends_by_itself(node, &end).await;
            Err(DaemonError::Ended(end))
        }
    }
}

/// What is remembered, or reported, of an agent that ends without being asked to.
async fn ends_by_itself<W: World>(node: &Node<W>, end: &End) {
    if let End::Renamed(_) = end {
        node.remember(|life| {
            life.boot.running = false;
            life.given = None;
        });
        return;
    }
    let life = node.life();
    if life.boot.concluded != Some(Verdict::Ready) {
        let failure = life.signalled_failure().or_else(|| Some((FailureCode::AgentFailed, format!("the node's agent ended: {end}"))));
        node.reporter.name_by_instance();
        node.reporter.change_now(|contents| (contents.state, contents.failure) = (NodeState::Failed, failure));
        node.reporter.flush(node.options.timing.leave).await;
    }
}

/// A task that panics has no end here: the panic ends the process at once, without any `Drop` (`panic = "abort"` in the profile of what
/// ships). The next start is [`Begin::Restart`], which counts it, and ends the scripts that ran ([`run::notes`]).
fn reason(ended: Result<Ended, tokio::task::JoinError>) -> End {
    match ended {
        Ok(Ok(())) => End::Broken("one of its tasks ended by itself".to_owned()),
        Ok(Err(end)) => end,
        Err(error) => End::Broken(format!("one of its tasks was ended: {error}")),
    }
}

/// When the machine's boot began: its scripts' time counts from there.
fn boot_began<W>(node: &Node<W>) -> Instant {
    let now = Instant::now();
    if node.options.boot.is_some() {
        return now;
    }
    now.checked_sub(uptime()).unwrap_or(now)
}

impl<W: World> Tasks<W> {
    /// What runs from the start on.
    fn start(&mut self, journal: Journal) {
        let node = Arc::clone(&self.node);
        self.set.spawn(async move {
            node.reporter.follow(node.world.store().as_ref(), &node.settings, node.options.timing.pace).await;
            Ok(())
        });
        self.spawn(services::signals(Arc::clone(&self.node)));
        self.spawn(services::failures(Arc::clone(&self.node), journal));
        if self.node.settings.role == Role::Master {
            self.spawn(services::logs(Arc::clone(&self.node)));
        }
    }

    /// What begins with the configuration.
    fn configured(&mut self, found: Found) {
        let shared = Arc::clone(&self.node);
        let node = || Arc::clone(&shared);
        let profiles = watch::Sender::new(services::read_profiles(&self.node.options.layout, &found.given.inputs));
        self.set.spawn(services::members(node(), found.clone(), self.stop.subscribe()));
        if found.given.name == NodeName::LOGIN {
            let keeper = scheduling::keeper(&shared);
            self.set.spawn(answers::login_node(node(), found.clone(), profiles.subscribe(), keeper.clone()));
            if let Some(keeper) = keeper {
                self.spawn(scheduling::scaling(node(), Arc::clone(&keeper)));
                self.spawn(scheduling::calls(node(), keeper));
                self.spawn(scheduling::shown(node()));
            }
            self.spawn(outbound::proxy(node(), found.clone()));
        } else {
            self.set.spawn(answers::compute_node(node(), found.clone()));
            self.set.spawn(services::renamed(node(), found.clone()));
            self.spawn(scheduling::interruption(node(), found.clone()));
            if found.is_last_answer {
                self.set.spawn(services::confirm(node(), found.clone()));
            }
        }
        self.spawn(services::exchange(node(), found.clone(), profiles.subscribe()));
        self.spawn(services::jobs(node(), found.clone()));
        self.spawn(scheduling::daemon(node(), found.clone()));
        self.spawn(services::profiles(node(), found, profiles));
    }

    /// A task that ends with the set only.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            Ok(())
        });
    }

    /// A good end: the others know that this node leaves, and on the login node the user does.
    async fn leave(mut self) {
        let node = Arc::clone(&self.node);
        tracing::info!("the node's agent ends");
        self.stop.send_replace(true);
        if node.settings.role == Role::Master {
            node.reporter.change_now(|contents| contents.state = NodeState::Leaving);
        }
        let left = async {
            // Only the members' task ends by itself when it is asked to.
            while let Some(ended) = self.set.join_next().await {
                if matches!(ended, Ok(Ok(()))) {
                    return;
                }
            }
        };
        let flushed = async { node.settings.role == Role::Slave || node.reporter.flush(node.options.timing.leave).await };
        let uploaded = async { timeout(node.options.timing.leave, services::upload(&node, &mut Logs::new(&node.options.layout))).await };
        let (_, flushed, _) = tokio::join!(timeout(node.options.timing.leave, left), flushed, uploaded);
        if !flushed {
            tracing::warn!("the report that the login node leaves is not written");
        }
        node.remember(|life| life.boot.running = false);
    }
}
