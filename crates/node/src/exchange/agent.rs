//! The exchange's place in the world: clocks, disks and sockets around [`coordinator`] and
//! [`participant`], which decide.
//!
//! State lies in `exchange/` below the agent's state: `coordinator.json` on the login node, `participant.json` on each node, and
//! `mistakes.json` where the profiles' steps cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cf_core::node_report::FailedScript;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::exchange::coordinator::{self, Coordinator};
use crate::exchange::declaration::{Mistake, Step};
use crate::exchange::failure::judge;
use crate::exchange::load;
use crate::exchange::participant::{self, Participant, Record, Then};
use crate::exchange::run::{Context, RunStep, run_step};
use crate::exchange::standing::{Readiness, Standing};
use crate::exchange::wire::{Answer, ConfigId, Poll, Refusal, RunResult, Task};
use crate::link::{self, LinkKey};
use crate::node::{Layout, NodeName};
use crate::request::Request;
use crate::state_file::{self, StateError};

/// How long an answer waits for news: well below the link's limit for handlers.
const NEWS_WAIT: Duration = Duration::from_secs(25);

/// How long a participant waits for an answer.
const PATIENCE: Duration = Duration::from_secs(40);

/// The coordinator looks at its clock so often while a round is open, and writes it down so often.
const TICK: Duration = Duration::from_millis(500);
const CLOCK_SAVE: Duration = Duration::from_secs(10);

/// What a report says while that is so.
const NO_ROOM: &str = "the login node's disk takes no state; is it full?";

/// Until a disk that took no state is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// The profiles of a node as they are on its disk, in order, and the inputs that the cluster gives to all steps. Sending them again
/// has them read again.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    /// Name and folder of each.
    pub folders: Vec<(String, PathBuf)>,
    /// Values of inputs: the same on all nodes.
    pub inputs: BTreeMap<String, Value>,
}

/// No random numbers are to be had.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers, and the exchange needs one to tell this machine from others")]
pub struct NoRandom;

/// Why an agent's part of the exchange cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its state.
    #[error(
        "{0}. Which scripts of exchange steps have run is unknown, so none is started; a state that is removed has all of them run again"
    )]
    State(#[from] StateError),
    /// Its identity.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

fn random_id() -> Result<String, NoRandom> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the exchange's state lies.
pub fn state_folder(layout: &Layout) -> PathBuf {
    layout.state().join("exchange")
}

/// The steps of the profiles, and their mistakes, which are written where `exchange status` finds them too; a profile that has one has
/// no step.
fn load_plan(layout: &Layout, profiles: &Profiles) -> (Vec<Step>, Vec<Mistake>) {
    let path = state_folder(layout).join("mistakes.json");
    let (steps, mistakes) = load::load(&profiles.folders, &profiles.inputs);
    if mistakes.is_empty() {
        let _ = std::fs::remove_file(path);
        return (steps, mistakes);
    }
    for mistake in &mistakes {
        tracing::error!("{mistake}; no exchange step of this profile is run");
    }
    if let Err(error) = state_file::save(&path, &mistakes) {
        tracing::error!("exchange: the mistakes are not in cf-node exchange status: {error}");
    }
    (steps, mistakes)
}

/// How the exchange stands on a login node that cannot coordinate it.
pub fn uncoordinated(layout: &Layout, profiles: &Profiles, error: &AgentError) -> Standing {
    let (plan, mistakes) = load_plan(layout, profiles);
    Standing::broken(&plan, &error.to_string()).and_mistakes(&mistakes)
}

/// The coordinator as a service: what the login node answers polls with.
pub struct Service {
    desk: Mutex<Desk>,
    layout: Layout,
    /// Counts news, for who waits for it.
    changed: watch::Sender<u64>,
    standing: watch::Sender<Standing>,
}

struct Desk {
    coordinator: Coordinator,
    /// Why profiles have no step.
    mistakes: Vec<Mistake>,
    /// Whether the profiles were read: until then nothing is known of the steps.
    planned: bool,
    path: PathBuf,
    /// The disk did not take the last state: nothing may be answered.
    unsaved: bool,
    saved: Instant,
    /// The coordinator's clock at `started`.
    base_ms: u64,
    started: Instant,
}

impl Service {
    /// With the state of an earlier process, or a new one. `grace_ms` is [`coordinator::GRACE_MS`] but for tests.
    pub fn open(layout: &Layout, grace_ms: u64) -> Result<Self, AgentError> {
        let folder = state_folder(layout);
        state_file::private_folder(&folder)?;
        let path = folder.join("coordinator.json");
        let coordinator = match state_file::load::<Coordinator>(&path)? {
            Some(coordinator) => coordinator,
            None => Coordinator::new(random_id()?, grace_ms),
        };
        let (base_ms, started) = (coordinator.clock_ms(), Instant::now());
        let desk = Desk { coordinator, mistakes: Vec::new(), planned: false, path, unsaved: false, saved: started, base_ms, started };
        let (changed, standing) = (watch::Sender::new(0), watch::Sender::new(Standing::default()));
        Ok(Self { desk: Mutex::new(desk), layout: layout.clone(), changed, standing })
    }

    /// How the exchange stands, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Takes an event and writes the state. The write is waited for on the spot: nothing may be answered before it, and all requests
    /// go through this one place anyway. `None` where the disk does not take the state.
    fn handle(&self, event: coordinator::Event) -> Option<Answer> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let now = desk.base_ms.saturating_add(u64::try_from(desk.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let decision = desk.coordinator.handle(event, now);
        for news in &decision.news {
            tracing::info!("exchange: {news}");
        }
        let clock = desk.coordinator.deadline_ms().is_some() && desk.saved.elapsed() >= CLOCK_SAVE;
        let was_unsaved = desk.unsaved;
        if decision.save || was_unsaved || clock {
            desk.saved = Instant::now();
            match state_file::save(&desk.path, &desk.coordinator) {
                Ok(()) => desk.unsaved = false,
                Err(error) => {
                    desk.unsaved = true;
                    tracing::error!("exchange: {error}; no script of a step is started until it can be written");
                }
            }
        }
        let unsaved = desk.unsaved;
        self.publish(&desk);
        drop(desk);
        // A result alone is no news to the others: only rounds that open or end, or pass the barrier, are.
        if (!decision.news.is_empty() || was_unsaved) && !unsaved {
            self.changed.send_modify(|count| *count += 1);
        }
        if unsaved { None } else { Some(decision.answer.unwrap_or_default()) }
    }

    fn publish(&self, desk: &Desk) {
        if !desk.planned {
            return;
        }
        let standing = if desk.unsaved {
            Standing { readiness: Readiness::Pending, ..Standing::broken(desk.coordinator.declared(), NO_ROOM) }
        } else {
            Standing::of(&desk.coordinator)
        };
        let standing = standing.and_mistakes(&desk.mistakes);
        self.standing.send_if_modified(|before| std::mem::replace(before, standing.clone()) != standing);
    }

    /// Answers a node: at once with what there is, else when there is news, or when the wait is over.
    pub async fn answer(&self, mut poll: Poll) -> Answer {
        let mut news = self.changed.subscribe();
        let unsaved = || Answer { refused: Some(Refusal::Unsaved), ..Answer::default() };
        let wait = std::mem::take(&mut poll.wait);
        let Some(answer) = self.handle(coordinator::Event::Poll(Box::new(poll.clone()))) else { return unsaved() };
        let nothing = |answer: &Answer| {
            answer.tasks.is_empty() && answer.acknowledged.is_none() && !answer.stale && answer.refused != Some(Refusal::Replaced)
        };
        if !wait || !nothing(&answer) {
            return answer;
        }
        let until_news = async {
            loop {
                if news.changed().await.is_err() {
                    return answer.clone();
                }
                let Some(answer) = self.handle(coordinator::Event::Poll(Box::new(poll.clone()))) else { return unsaved() };
                if !nothing(&answer) {
                    return answer;
                }
            }
        };
        timeout(NEWS_WAIT, until_news).await.unwrap_or(answer)
    }

    /// Follows the expected nodes, the profiles and the clock, until its future is dropped.
    pub async fn follow(&self, mut expected: watch::Receiver<BTreeSet<NodeName>>, mut profiles: watch::Receiver<Profiles>) -> Infallible {
        self.plan(&profiles.borrow_and_update().clone());
        self.expect(&expected.borrow_and_update().clone());
        let mut changed = self.changed.subscribe();
        loop {
            let open = self.desk.lock().unwrap_or_else(PoisonError::into_inner).coordinator.deadline_ms().is_some();
            tokio::select! {
                Ok(()) = expected.changed() => self.expect(&expected.borrow_and_update().clone()),
                Ok(()) = profiles.changed() => self.plan(&profiles.borrow_and_update().clone()),
                Ok(()) = changed.changed() => {}
                () = sleep(if open { TICK } else { NEWS_WAIT }) => drop(self.handle(coordinator::Event::Tick)),
            }
        }
    }

    fn plan(&self, profiles: &Profiles) {
        let (plan, mistakes) = load_plan(&self.layout, profiles);
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        (desk.mistakes, desk.planned) = (mistakes, true);
        drop(desk);
        self.handle(coordinator::Event::Plan(plan));
    }

    fn expect(&self, expected: &BTreeSet<NodeName>) {
        self.handle(coordinator::Event::Expected(expected.clone()));
    }
}

/// A node's part.
pub struct Participation<R> {
    /// Where its files lie.
    pub layout: Layout,
    /// Its name.
    pub node: NodeName,
    /// The cluster's name.
    pub cluster: String,
    /// Where the coordinator answers.
    pub coordinator: SocketAddr,
    /// The key of the cluster's links.
    pub key: LinkKey,
    /// What runs scripts.
    pub runner: R,
    /// Whether the login node has given it its name at this start of its agent. Then it is the name's machine, also where another has
    /// replaced it in between.
    pub is_named_now: bool,
    /// Gets the scripts of steps for which nobody waits (`signal = "none"`) that failed here, as they change.
    pub failed: watch::Sender<Vec<FailedScript>>,
}

impl<R: RunStep> Participation<R> {
    /// Asks, runs and reports, until its future is dropped. Ends only where its own state cannot be read.
    pub async fn follow(&self, mut profiles: watch::Receiver<Profiles>) -> Result<Infallible, AgentError> {
        let folder = state_folder(&self.layout);
        state_file::private_folder(&folder)?;
        clear_scratch(&folder);
        let path = folder.join("participant.json");
        let mut state = match state_file::load::<Participant>(&path)? {
            Some(state) => state,
            None => Participant::new(self.node, random_id()?),
        };
        // Until the coordinator has taken this machine for the name's: one that is replaced later stays so.
        let mut identity = if self.is_named_now { Some(random_id()?) } else { None };
        let (mut plan, _) = load_plan(&self.layout, &profiles.borrow_and_update().clone());
        let mut event = participant::Event::Start;
        loop {
            let before = state.clone();
            let decision = state.handle(event.clone());
            let saved = if decision.save { state_file::save(&path, &state) } else { Ok(()) };
            if let Err(error) = saved {
                tracing::error!("exchange: {error}; no script of a step is started until it can be written");
                state = before;
                // An answer is asked for again, since it may be out of date then; a result must not be lost.
                if matches!(event, participant::Event::Answer(_)) {
                    event = participant::Event::NoAnswer;
                }
                sleep(DISK_RETRY).await;
                continue;
            }
            let failed = unwaited_failures(&state, &plan);
            self.failed.send_if_modified(|before| std::mem::replace(before, failed.clone()) != failed);
            event = match decision.then {
                Then::Run { task, again } => participant::Event::Ended(self.run(&plan, &task, again).await),
                Then::Poll { after_ms, report, ran, wait } => {
                    sleep(Duration::from_millis(after_ms)).await;
                    if profiles.has_changed().unwrap_or(false) {
                        plan = load_plan(&self.layout, &profiles.borrow_and_update().clone()).0;
                    }
                    let poll = Poll { node: self.node, instance: state.instance.clone(), holds: holds(&plan), report, ran, wait };
                    let request = Request::Exchange(Box::new(poll));
                    let answered = tokio::select! {
                        answered = link::ask::<Request, Answer>(self.coordinator, &self.key, &request, PATIENCE) => {
                            let refused = answered.as_ref().map(|answer| answer.refused);
                            let instance = identity.take_if(|_| matches!(refused, Ok(None | Some(Refusal::Replaced))));
                            if let Some(instance) = instance.filter(|_| matches!(refused, Ok(Some(Refusal::Replaced)))) {
                                event = participant::Event::NamedAgain(instance);
                                continue;
                            }
                            answered
                        }
                        // Whoever waits with an old profile would wait for nothing.
                        Ok(()) = profiles.changed() => {
                            plan = load_plan(&self.layout, &profiles.borrow_and_update().clone()).0;
                            Ok(Answer::default())
                        }
                    };
                    match answered {
                        Ok(mut answer) => {
                            if answer.stale {
                                plan = load_plan(&self.layout, &profiles.borrow().clone()).0;
                            }
                            answer.tasks.retain(|task| step_of(&plan, task).is_some());
                            participant::Event::Answer(answer)
                        }
                        Err(error) => {
                            tracing::debug!(%error, "the coordinator did not answer");
                            participant::Event::NoAnswer
                        }
                    }
                }
            };
        }
    }

    async fn run(&self, plan: &[Step], task: &Task, again: bool) -> RunResult {
        let Some(step) = step_of(plan, task) else {
            return RunResult::ended(crate::exchange::wire::End::NotRun { why: "the profile changed in this moment".to_owned() });
        };
        tracing::info!("exchange: step {}: {} begins", task.run.step, task.run.phase);
        let scratch = state_folder(&self.layout);
        let (node, cluster, phase) = (self.node, self.cluster.as_str(), task.run.phase);
        let context = Context { node, cluster, step, phase, map: task.map.as_ref(), again, scratch: &scratch };
        let result = run_step(&self.runner, &context, Duration::from_millis(task.limit_ms)).await;
        tracing::info!("exchange: step {}: {} ended: {:?}", task.run.step, task.run.phase, result.end);
        result
    }
}

/// The step of a task, if this node holds it in that configuration, with its scripts as they are now.
fn step_of<'a>(plan: &'a [Step], task: &Task) -> Option<&'a Step> {
    let step = plan.iter().find(|step| step.key == task.run.step && step.config == task.run.config)?;
    load::config_id(step).is_ok_and(|config| config == step.config).then_some(step)
}

/// The scripts of steps for which nobody waits that failed here.
fn unwaited_failures(state: &Participant, plan: &[Step]) -> Vec<FailedScript> {
    let failed = |record: &Record| {
        let step = plan.iter().find(|step| step.key == record.run.step && step.config == record.run.config)?;
        let result = record.result.as_ref().filter(|_| record.detached)?;
        let failure = judge(step, record.run.phase, state.node, result).err()?;
        Some(failure.failed_script(step, Some(result)))
    };
    state.records().filter_map(failed).collect()
}

fn holds(plan: &[Step]) -> BTreeMap<String, ConfigId> {
    plan.iter().map(|step| (step.key.clone(), step.config.clone())).collect()
}

/// Takes away the folders of runs that a crash left: they may hold secrets.
fn clear_scratch(folder: &std::path::Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("run-") {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
