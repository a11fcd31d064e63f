//! The task that takes part in the gossip: socket, clock, files. What to do is decided in [`super::gossip`].
//!
//! Files follow the members with a delay, so that many changes at once are one write. The changes go to the caller, who runs the
//! scripts: at most one waits in the channel, the others in the [`Backlog`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::files::{MemberFile, MemberFiles};
use super::gossip::{Claim, Gossip, Output, Refusals, Timer};
use super::hosts::{self, HostsError};
use super::identity::Identity;
use super::seal::{ClusterKey, DATAGRAM_BYTES_MAX};
use super::state::{Entry, Lock, State};
use super::{Change, Member};
use crate::node::{Layout, NodeName};

/// How long the files wait for further changes. Short against a job's start, long against a burst of joins.
const WRITE_AFTER: Duration = Duration::from_millis(300);
/// The least time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How long a failed write waits.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How often dropped datagrams are told of, if there were any.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// The most datagrams that are read before timers get their turn.
const BATCH: usize = 64;

/// What an agent starts with.
#[derive(Debug)]
pub struct Settings {
    /// Where its files lie.
    pub layout: Layout,
    /// This node, with the address that it listens at.
    pub member: Member,
    /// The cluster's key.
    pub key: ClusterKey,
    /// Where other members may be; the login node's address is enough.
    pub seeds: Vec<SocketAddr>,
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Two agents would write the same files.
    #[error("another agent keeps the members in {0}; stop it first")]
    Running(String),
    /// The socket.
    #[error("the gossip cannot listen at {0}: {1}; give an address of this node and a free UDP port")]
    Bind(SocketAddr, io::Error),
    /// The state folder.
    #[error("the agent cannot keep its state in {0}: {1}; it must be a folder that it may write")]
    State(String, io::Error),
    /// The system's random numbers.
    #[error("the system gives no random numbers, without which the gossip is not safe; try again")]
    Random,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
    trouble: watch::Receiver<Vec<String>>,
}

impl Agent {
    /// Leaves the cluster: the others hear of it at once. Ends when the last datagram was sent and the files are written.
    pub async fn leave(self) {
        let _ = self.leave.send(());
        // A panic of the task was printed when it happened.
        let _ = self.task.await;
    }

    /// What is wrong now, each in a sentence: files that cannot be written, another node with this one's name.
    pub fn trouble(&self) -> watch::Receiver<Vec<String>> {
        self.trouble.clone()
    }

    /// Whether the task has ended by itself, which it never should.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// The changes, for whoever runs the scripts.
#[derive(Debug)]
pub struct Changes {
    receiver: mpsc::Receiver<Change>,
    files: MemberFiles,
}

/// A change and the member's file, for the scripts.
#[derive(Debug)]
pub struct Notice {
    /// What changed.
    pub change: Change,
    /// The file; `None` where it could not be written, which was logged.
    pub file: Option<MemberFile>,
}

impl Changes {
    /// The next change; the first is this node's own join. `None` after the agent has left. The files are brought up to the change
    /// here: drop the notice when the scripts have run, then ask for the next.
    pub async fn next(&mut self) -> Option<Notice> {
        let change = self.receiver.recv().await?;
        let file = self.files.apply(&change);
        if let Err(error) = &file {
            tracing::warn!("{error}");
        }
        Some(Notice { change, file: file.ok() })
    }
}

/// Starts the agent's task.
pub async fn start(settings: Settings) -> Result<(Agent, Changes), AgentError> {
    let Settings { layout, member, key, seeds } = settings;
    let shown = layout.state().display().to_string();
    let lock = take_lock(&layout).await.map_err(|error| AgentError::State(shown.clone(), error))?;
    let lock = lock.ok_or_else(|| AgentError::Running(shown.clone()))?;
    let files = MemberFiles::empty(&layout).map_err(|error| AgentError::State(shown, error))?;
    let socket = UdpSocket::bind(member.address()).await.map_err(|error| AgentError::Bind(member.address(), error))?;

    let before = State::read(&layout).ok();
    let clock = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let generation = before.as_ref().map_or(clock, |before| clock.max(before.generation.saturating_add(1)));
    let mut contacts = seeds;
    // After a restart the members of old know the way, also where no seed is up.
    contacts.extend(before.iter().flat_map(|before| &before.members).map(|entry| entry.member.address()));

    let (seed, boot) = (random::<32>()?, u64::from_be_bytes(random::<8>()?));
    let me = Identity::new(member, generation, boot);
    let (gossip, first) = Gossip::new(me, key, seed).ok_or(AgentError::Random)?;
    let (sender, receiver) = mpsc::channel(1);
    let (leave, left) = oneshot::channel();
    let mut run = Run::new(gossip, socket, layout, lock);
    run.perform(first);
    let outputs = run.gossip.announce(&contacts);
    run.perform(outputs);
    let trouble = run.trouble.subscribe();
    let task = tokio::spawn(run.run(sender, left));
    Ok((Agent { leave, task, trouble }, Changes { receiver, files }))
}

/// Who looks whether an agent runs holds the lock for a moment, so it is tried some times.
async fn take_lock(layout: &Layout) -> io::Result<Option<Lock>> {
    for _ in 0..10 {
        if let Some(lock) = Lock::take(layout)? {
            return Ok(Some(lock));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

fn random<const N: usize>() -> Result<[u8; N], AgentError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AgentError::Random)?;
    Ok(bytes)
}

type Write = JoinHandle<Result<(), String>>;

/// The end of a write; never where none runs.
async fn end_of(write: &mut Option<Write>) -> Result<(), String> {
    match write {
        Some(write) => write.await.unwrap_or_else(|_| Err("the members' files were not written: the writing was ended".to_owned())),
        None => std::future::pending().await,
    }
}

struct Run {
    gossip: Gossip,
    socket: UdpSocket,
    layout: Layout,
    _lock: Lock,
    timers: BTreeMap<(Instant, u64), Timer>,
    timer_count: u64,
    backlog: Backlog,
    rival: Option<Member>,
    write_at: Option<Instant>,
    written: Option<Instant>,
    write: Option<Write>,
    write_error: Option<String>,
    trouble: watch::Sender<Vec<String>>,
    tell_at: Instant,
    dropped: Refusals,
    unsent: u64,
}

impl Run {
    fn new(gossip: Gossip, socket: UdpSocket, layout: Layout, lock: Lock) -> Self {
        Self {
            gossip,
            socket,
            layout,
            _lock: lock,
            timers: BTreeMap::new(),
            timer_count: 0,
            backlog: Backlog::default(),
            rival: None,
            write_at: None,
            written: None,
            write: None,
            write_error: None,
            trouble: watch::Sender::default(),
            tell_at: Instant::now() + TELL_EVERY,
            dropped: Refusals::new(),
            unsent: 0,
        }
    }

    async fn run(mut self, changes: mpsc::Sender<Change>, mut left: oneshot::Receiver<()>) {
        // One more than allowed, so that a datagram that is too long is seen to be.
        let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
        loop {
            let next = self.next_instant();
            tokio::select! {
                // Also where the agent's handle was dropped.
                _ = &mut left => break,
                received = self.socket.recv_from(&mut buffer) => self.receive(received, &mut buffer),
                () = tokio::time::sleep_until(next) => self.due(),
                permit = changes.reserve(), if self.backlog.is_pending() && !changes.is_closed() => {
                    if let (Ok(permit), Some(change)) = (permit, self.backlog.next_change()) {
                        permit.send(change);
                    }
                }
                result = end_of(&mut self.write) => self.wrote(result),
            }
        }
        let outputs = self.gossip.leave();
        self.perform(outputs);
        if let Some(write) = self.write.take() {
            let _ = write.await;
        }
        let last = self.file_writer();
        let _ = tokio::task::spawn_blocking(last).await;
    }

    fn next_instant(&self) -> Instant {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let write = self.write_at.filter(|_| self.write.is_none());
        [timer, write].into_iter().flatten().fold(self.tell_at, Instant::min)
    }

    fn receive(&mut self, first: io::Result<(usize, SocketAddr)>, buffer: &mut [u8]) {
        let mut received = first;
        for _ in 0..BATCH {
            // An error here is an earlier datagram's, which came back unreachable.
            if let Ok((length, from)) = received {
                let outputs = self.gossip.datagram(from, buffer.get(..length).unwrap_or_default());
                self.perform(outputs);
            }
            received = self.socket.try_recv_from(buffer);
            if received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
        }
    }

    fn due(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            let outputs = self.gossip.timer(entry.remove());
            self.perform(outputs);
        }
        if self.write.is_none() && self.write_at.is_some_and(|at| at <= now) {
            self.write_at = None;
            self.written = Some(now);
            self.write = Some(tokio::task::spawn_blocking(self.file_writer()));
        }
        if self.tell_at <= now {
            self.tell_at = now + TELL_EVERY;
            self.tell_of_dropped();
        }
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(to, datagram) => {
                    // Never waited for: gossip that cannot go now is lost, as in the network.
                    if self.socket.try_send_to(&datagram, to).is_err() {
                        self.unsent += 1;
                    }
                }
                Output::After(after, timer) => {
                    self.timer_count += 1;
                    self.timers.insert((Instant::now() + after, self.timer_count), timer);
                }
                Output::Change(change) => self.change(change),
                Output::Name(claim) => self.claim(claim),
            }
        }
    }

    fn change(&mut self, change: Change) {
        let name = change.member().name();
        tracing::info!(member = %name, address = %change.member().address(), "{}", if matches!(change, Change::Joined(_)) { "joined" } else { "left" });
        self.backlog.record(change, Timestamp::now());
        self.write_soon();
    }

    fn claim(&mut self, claim: Claim) {
        self.rival = match claim {
            Claim::Lost(rival) => {
                tracing::error!(
                    name = %rival.name(), address = %rival.address(),
                    "another node has this node's name and a later claim to it; this node is no member while that one lives: give one of them another name"
                );
                Some(rival)
            }
            Claim::Regained => {
                tracing::info!("this node has its name again");
                None
            }
        };
        self.tell_trouble();
        self.write_soon();
    }

    fn tell_trouble(&self) {
        let rival = self.rival.as_ref().map(|rival| {
            let (name, address) = (rival.name(), rival.address());
            format!("the node at {address} has the name {name} of this node and a later claim to it, so this node is no member")
        });
        let trouble: Vec<String> = self.write_error.clone().into_iter().chain(rival).collect();
        self.trouble.send_if_modified(|before| std::mem::replace(before, trouble.clone()) != trouble);
    }

    fn write_soon(&mut self) {
        let soon = Instant::now() + WRITE_AFTER;
        let at = self.written.map_or(soon, |written| soon.max(written + WRITE_EVERY));
        self.write_at = Some(self.write_at.map_or(at, |planned| planned.min(at)));
    }

    /// Writes the files, away from the sockets: a disk may be slow.
    fn file_writer(&self) -> impl FnOnce() -> Result<(), String> + Send + 'static {
        let me = self.gossip.identity();
        let entries = self.backlog.members().map(|(member, since)| Entry { member: member.clone(), role: member.role(), since });
        let state = State {
            name: me.name(),
            address: me.member().address(),
            generation: me.generation(),
            written: Timestamp::now(),
            name_taken_by: self.rival.as_ref().map(Member::address),
            members: entries.collect(),
            dropped: self.gossip.refusals().iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        };
        let addresses: BTreeMap<NodeName, IpAddr> = self.backlog.members().map(|(member, _)| (member.name(), member.ip())).collect();
        let layout = self.layout.clone();
        move || {
            let hosts = hosts::update(&layout.hosts(), &addresses).map_err(|error: HostsError| error.to_string());
            state.write(&layout).map_err(|error| {
                format!("the list of members cannot be written in {}: {error}; it is tried again", layout.state().display())
            })?;
            hosts.map(|_| ())
        }
    }

    fn wrote(&mut self, result: Result<(), String>) {
        self.write = None;
        if let Err(error) = &result {
            self.write_at = Some(self.write_at.unwrap_or_else(|| Instant::now() + WRITE_AGAIN_AFTER));
            // Once for each cause, not every half minute.
            if self.write_error.as_ref() != Some(error) {
                tracing::warn!("{error}");
            }
        }
        self.write_error = result.err();
        self.tell_trouble();
    }

    fn tell_of_dropped(&mut self) {
        let now = self.gossip.refusals();
        let since = |reason, count: &u64| count - self.dropped.get(reason).copied().unwrap_or(0);
        let fresh: Vec<String> = now.iter().filter(|(r, c)| since(r, c) > 0).map(|(r, c)| format!("{r} {}", since(r, c))).collect();
        if !fresh.is_empty() || self.unsent > 0 {
            tracing::info!(unsent = self.unsent, "datagrams dropped in the last minute: {}", fresh.join(", "));
        }
        self.dropped = now.clone();
        self.unsent = 0;
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
