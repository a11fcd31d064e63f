//! What runs beside and after a boot. A service ends when it is asked to, or with a reason for which the agent ends.
//!
//! What keeps one of them from starting (a port that is in use, a state that cannot be read) is reported, and the others go on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::daemon::End;
use super::desk::INSTANCE_TAG;
use super::life::LastAnswer;
use super::node::Node;
use super::seek::{Found, NoAnswer, ask_login_node};
use super::world::World;
use super::{link_address, notice};
use crate::cloud::Signal;
use crate::event::{Event, Occasion};
use crate::exchange::agent::{Participation, Profiles};
use crate::failures::Journal;
use crate::jobs::poller::{INTERVAL, Poller};
use crate::logs::Logs;
use crate::members::{self, Change, Member, agent as gossip};
use crate::node::{Layout, NodeName};
use crate::profile::listing::Observed;

/// Between two tries to start a service.
pub(super) const START_AGAIN: Duration = Duration::from_secs(10);

/// CloudFormation waits no longer for any signal of ours.
const SIGNAL_FOR: Duration = Duration::from_hours(1);

/// Between two tries of a signal.
const SIGNAL_AGAIN: Duration = Duration::from_secs(30);

/// Files follow a change of the members within some two seconds. One that a later change has overtaken is not waited for longer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);

/// Between two uploads of logs that grow.
const LOGS_EVERY: Duration = Duration::from_hours(1);

/// Between two tries of a node that started with the login node's last answer.
const CONFIRM_EVERY: Duration = Duration::from_secs(30);

/// Ends when the agent is asked to end.
pub type Stop = watch::Receiver<bool>;

async fn asked_to_stop(mut stop: Stop) {
    // A daemon that is gone has asked too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Gives the signal that is owed, after the report of the same, and then waits for the next.
pub async fn signals<W: World>(node: Arc<Node<W>>) {
    loop {
        let life = node.life();
        if let Some(signal) = life.signal.filter(|signal| !signal.taken) {
            let (id, ready) = match signal.verdict {
                super::decide::Verdict::Ready => (life.instance, true),
                super::decide::Verdict::Failed(code) => (code.to_string(), false),
            };
            give_signal(&node, Signal { id: &id, ready, may_have_arrived: signal.sent }).await;
        }
        node.signal.notified().await;
    }
}

async fn give_signal<W: World>(node: &Node<W>, mut signal: Signal<'_>) {
    let Signal { id, ready, .. } = signal;
    if !node.reporter.flush(node.options.timing.report_first).await {
        tracing::warn!("the report is not written yet; CloudFormation gets the signal all the same");
    }
    // Before the first attempt: an agent that ends before its answer knows that the stack may have gone on by it.
    node.remember(|life| life.signal.iter_mut().for_each(|signal| signal.sent = true));
    let began = Instant::now();
    while began.elapsed() < SIGNAL_FOR {
        match node.world.signal(&signal).await {
            Ok(()) => {
                tracing::info!(id, ready, resource = node.settings.resource, "CloudFormation has the signal");
                node.remember(|life| life.signal.iter_mut().for_each(|signal| signal.taken = true));
                return;
            }
            Err(error) => {
                tracing::error!(%error, id, ready, "CloudFormation does not take the signal; it is tried again");
                signal.may_have_arrived = error.may_have_arrived;
            }
        }
        sleep(SIGNAL_AGAIN).await;
    }
    tracing::error!(id, "CloudFormation has not taken the signal in an hour; no further try is made");
    node.reporter.problem("CloudFormation did not take the node's signal");
}

/// Follows the journal of failed scripts.
pub async fn failures<W: World>(node: Arc<Node<W>>, mut journal: Journal) {
    let mut reported: Option<String> = None;
    loop {
        match journal.news() {
            Ok(news) => {
                solved(&node, reported.take().as_deref());
                if let Some(failures) = news {
                    if let Err(error) = notice::write(&node.options.layout, &failures) {
                        tracing::warn!(%error, "who logs in is not shown which scripts failed");
                    }
                    node.reporter.change(|contents| contents.failures = failures);
                }
            }
            Err(error) => report_once(&node, &mut reported, format!("scripts that commands ran and that failed are not seen: {error}")),
        }
        sleep(node.options.timing.look).await;
    }
}

/// Takes part in the gossip, and runs the scripts of each join and leave, one after the other. Returns when asked to, after the others
/// know that this node leaves; or with a reason.
pub async fn members<W: World>(node: Arc<Node<W>>, found: Found, stop: Stop) -> Result<(), End> {
    let (agent, mut changes) = tokio::select! {
        started = start_gossip(&node, &found) => started.map_err(End::Broken)?,
        () = asked_to_stop(stop.clone()) => return Ok(()),
    };
    let mut trouble = agent.trouble();
    let follow_trouble = async {
        let mut reported = Vec::new();
        loop {
            let now = trouble.borrow_and_update().clone();
            report_current(&node, &mut reported, now);
            if trouble.changed().await.is_err() {
                // The gossip has ended, which the others see.
                std::future::pending::<()>().await;
            }
        }
    };
    let ended = tokio::select! {
        () = member_events(&node, &mut changes) => Err(End::Broken("the gossip ended by itself".to_owned())),
        () = asked_to_stop(stop) => Ok(()),
        () = follow_trouble => Ok(()),
    };
    agent.leave().await;
    ended
}

async fn start_gossip<W: World>(node: &Node<W>, found: &Found) -> Result<(gossip::Agent, gossip::Changes), String> {
    let port = node.options.gossip_port;
    let tags = BTreeMap::from([(INSTANCE_TAG.to_owned(), found.identity.instance.clone())]);
    let member = Member::new(found.given.name, (found.identity.address, port).into(), tags).map_err(|error| error.to_string())?;
    let mut reported: Option<String> = None;
    loop {
        let seeds = vec![(found.login, port).into()];
        let settings =
            gossip::Settings { layout: node.options.layout.clone(), member: member.clone(), key: found.cluster_key.clone(), seeds };
        match gossip::start(settings).await {
            Ok(started) => {
                solved(node, reported.as_deref());
                return Ok(started);
            }
            Err(error) => report_once(node, &mut reported, format!("the node does not take part in its cluster's gossip: {error}")),
        }
        sleep(START_AGAIN).await;
    }
}

/// Reports what keeps a service from starting, once for each cause.
pub(super) fn report_once<W: World>(node: &Node<W>, reported: &mut Option<String>, text: String) {
    if reported.as_ref() == Some(&text) {
        return;
    }
    tracing::error!("{text}; it is tried again");
    solved(node, reported.as_deref());
    node.reporter.problem(&text);
    *reported = Some(text);
}

/// Reports what is wrong now, and takes back what was reported and is not wrong any more.
pub(super) fn report_current<W: World>(node: &Node<W>, reported: &mut Vec<String>, now: Vec<String>) {
    node.reporter.change(|contents| {
        reported.iter().filter(|before| !now.contains(before)).for_each(|before| contents.solved(before));
        for text in &now {
            contents.problem(text);
        }
    });
    *reported = now;
}

pub(super) fn solved<W: World>(node: &Node<W>, problem: Option<&str>) {
    if let Some(problem) = problem {
        node.reporter.change(|contents| contents.solved(problem));
    }
}

async fn member_events<W: World>(node: &Node<W>, changes: &mut gossip::Changes) {
    // Changes wait in the gossip's own backlog until then, at most two for each member.
    let _ = node.configured.subscribe().wait_for(|configured| *configured).await;
    while let Some(notice) = changes.next().await {
        let member = notice.change.member();
        let has_joined = matches!(notice.change, Change::Joined(_));
        let event = if has_joined { Event::MemberJoin } else { Event::MemberLeave };
        written(&node.options.layout, member, has_joined).await;
        let (name, ip) = (member.name().to_string(), member.ip().to_string());
        let file = notice.file.as_ref().map_or_else(|| node.options.layout.members().join(&name), |file| file.path().to_owned());
        node.run(&Occasion::Member { event, file: &file, name: &name, ip: &ip }, node.deadline()).await;
    }
}

/// Waits until the table of hosts and the list of members have a change: a script that runs for it may look there, as it could in the
/// old system, whose hosts came before the scripts (facts B.6).
async fn written(layout: &Layout, member: &Member, has_joined: bool) {
    let began = Instant::now();
    while began.elapsed() < WRITTEN_WITHIN {
        let state = members::state::State::read(layout);
        let is_there = state.is_ok_and(|state| state.members.iter().any(|entry| entry.member == *member));
        if is_there == has_joined {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    tracing::warn!(member = %member.name(), "the list of members does not have the change yet; the scripts run all the same");
}

/// Works through the node's job queues.
pub async fn jobs<W: World>(node: Arc<Node<W>>, found: Found) {
    // As member scripts: a job may need what `configure` installs.
    let _ = node.configured.subscribe().wait_for(|configured| *configured).await;
    let (name, instance) = (found.given.name, &found.identity.instance);
    match Poller::new(Arc::clone(node.world.store()), &node.settings, &node.options.layout, name, instance) {
        Ok(poller) => {
            let reported = Mutex::new(Vec::new());
            let told = move |problems: Vec<String>| {
                let problems = problems.iter().map(|problem| format!("job queue: {problem}")).collect();
                report_current(&node, &mut reported.lock().unwrap_or_else(PoisonError::into_inner), problems);
            };
            Arc::new(poller).run(INTERVAL, Arc::new(told)).await;
        }
        Err(error) => {
            tracing::error!("{error}");
            node.reporter.problem(&format!("the node does not look for jobs: {error}"));
            std::future::pending::<()>().await;
        }
    }
}

/// Uploads the login node's logs when the boot is concluded, and hourly.
pub async fn logs<W: World>(node: Arc<Node<W>>) {
    let mut logs = Logs::new(&node.options.layout);
    let mut reported = Vec::new();
    loop {
        let _ = timeout(LOGS_EVERY, node.concluded.notified()).await;
        let problems = upload(&node, &mut logs).await;
        report_current(&node, &mut reported, problems);
    }
}

/// Uploads the logs. Gives what went wrong.
pub async fn upload<W: World>(node: &Node<W>, logs: &mut Logs) -> Vec<String> {
    let problems = logs.upload(node.world.store().as_ref(), &node.settings).await;
    for problem in &problems {
        tracing::warn!("{problem}");
    }
    problems
}

/// Takes part in the exchange.
pub async fn exchange<W: World>(node: Arc<Node<W>>, found: Found, profiles: watch::Receiver<Profiles>) {
    let participation = Participation {
        layout: node.options.layout.clone(),
        node: found.given.name,
        cluster: node.settings.cluster.clone(),
        coordinator: link_address(&node.options, found.login),
        key: found.link_key.clone(),
        runner: Arc::clone(&node.hooks),
        is_named_now: !found.is_last_answer,
        failed: watch::Sender::default(),
    };
    let mut failed = participation.failed.subscribe();
    let report = async {
        // It ends with the participation.
        while failed.changed().await.is_ok() {
            let failed = failed.borrow_and_update().clone();
            node.reporter.change(|contents| contents.exchange_here = failed);
        }
        std::future::pending().await
    };
    let error = tokio::select! {
        Err(error) = participation.follow(profiles) => error,
        error = report => error,
    };
    tracing::error!("{error}");
    node.reporter.problem(&format!("the node takes no part in exchanges: {error}"));
    std::future::pending::<()>().await;
}

/// Follows the profiles on the disk: another process may fetch them again.
pub async fn profiles<W: World>(node: Arc<Node<W>>, found: Found, sender: watch::Sender<Profiles>) {
    let mut seen = None;
    loop {
        let now = signature(&node.options.layout);
        if seen != now {
            sender.send_replace(read_profiles(&node.options.layout, &found.given.inputs));
            seen = now;
        }
        sleep(node.options.timing.look).await;
    }
}

/// What changes when the profiles' folder is replaced, or one in it.
fn signature(layout: &Layout) -> Option<(u64, std::time::SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(layout.profiles()).ok()?;
    Some((metadata.ino(), metadata.modified().ok()?))
}

/// The profiles of this node, as the exchange reads them.
pub fn read_profiles(layout: &Layout, inputs: &BTreeMap<String, Value>) -> Profiles {
    let observed = Observed::read(&layout.profiles(), Event::Configure);
    let folder = |profile: crate::profile::listing::ObservedProfile| -> (String, PathBuf) {
        (profile.folder.name.to_string_lossy().into_owned(), profile.folder.path)
    };
    Profiles { folders: observed.profiles.into_iter().map(folder).collect(), inputs: inputs.clone() }
}

/// A compute node that started with the login node's last answer asks until it answers. Where it gives another name or none, the agent
/// ends, and starts again under another.
pub async fn confirm<W: World>(node: Arc<Node<W>>, found: Found) -> Result<(), End> {
    loop {
        match ask_login_node(&node.options, &node.settings, found.login, &found.link_key, &found.identity).await {
            Ok(given) if given.name == found.given.name => {
                tracing::info!("the login node confirms that this is {}", given.name);
                node.remember(|life| life.given = Some(LastAnswer { given, login: found.login }));
                return std::future::pending().await;
            }
            Ok(given) => return Err(End::Renamed(format!("this machine is {} now, and no more {}", given.name, found.given.name))),
            Err(NoAnswer::Refused(refusal)) if refusal.is_final() => {
                return Err(End::Renamed(format!("this machine is {} no more: {refusal}", found.given.name)));
            }
            Err(error) => tracing::debug!(%error, "the login node does not confirm this node's name"),
        }
        sleep(CONFIRM_EVERY).await;
    }
}

/// A node whose name another machine has got (it was away for long) ends its agent, which asks for a name when it starts again.
pub async fn renamed<W: World>(node: Arc<Node<W>>, found: Found) -> Result<(), End> {
    let mut lost_since: Option<Instant> = None;
    loop {
        let rival = members::state::State::read(&node.options.layout).ok().and_then(|state| state.name_taken_by);
        lost_since = rival.map(|_| lost_since.unwrap_or_else(Instant::now));
        if let (Some(rival), Some(since)) = (rival, lost_since)
            && since.elapsed() >= node.options.timing.rules.away_min
            && found.given.name != NodeName::LOGIN
        {
            return Err(End::Renamed(format!("the name {} is that of the node at {rival} now", found.given.name)));
        }
        sleep(START_AGAIN).await;
    }
}
