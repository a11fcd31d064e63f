//! The world of the simulation: nodes, a network with faults, virtual time. One seed, one run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::planted::{self, Bug};
use crate::members::gossip::{Claim, Gossip, Output, Refusals, Timer};
use crate::members::identity::Identity;
use crate::members::seal::ClusterKey;
use crate::members::{Change, Member, PORT};
use crate::node::NodeName;

/// Virtual time, since the start.
pub type Time = Duration;

/// The most datagrams that nodes send in a second of one run, on average over the run and per node. A handshake, a probe, an
/// announcement and some gossip are below ten; answers to answers without end are thousands.
pub const DATAGRAMS_PER_SECOND_MAX: f64 = 60.0;

/// What the network does to a datagram, in chances of 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub lost: f64,
    pub doubled: f64,
    /// Comes up to two seconds late, so also after later ones.
    pub late: f64,
    pub corrupted: f64,
    /// Recorded, and sent again up to a minute later, to its receiver or to anyone.
    pub replayed: f64,
}

/// A network that loses one in a hundred.
pub const LOSSY: Faults = Faults { lost: 0.01, doubled: 0.0, late: 0.0, corrupted: 0.0, replayed: 0.0 };
/// A network without faults.
pub const CALM: Faults = Faults { lost: 0.0, ..LOSSY };
/// A network and an attacker at their worst.
pub const WILD: Faults = Faults { lost: 0.1, doubled: 0.05, late: 0.1, corrupted: 0.02, replayed: 0.05 };

enum Event {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Timer { at: SocketAddr, boot: u32, timer: Timer },
}

/// A node that runs.
pub struct Node {
    pub gossip: Gossip,
    pub boot: u32,
    /// Its side of a partition.
    pub side: u8,
}

/// What a node said of its members, and when.
#[derive(Debug, Clone)]
pub struct Report {
    pub at: Time,
    pub by: NodeName,
    pub boot: u32,
    pub change: Change,
}

pub struct World {
    pub now: Time,
    pub random: StdRng,
    pub faults: Faults,
    pub nodes: BTreeMap<SocketAddr, Node>,
    pub reports: Vec<Report>,
    pub rivals: Vec<(Time, NodeName, Option<SocketAddr>)>,
    /// Broken rules, as they were seen.
    pub broken: Vec<String>,
    pub delivered: u64,
    /// The seconds that nodes have lived, together.
    lived: f64,
    events: BTreeMap<(Time, u64), Event>,
    event_count: u64,
    boots: u32,
    /// The seconds that a node's clock is behind at its next start.
    pub clock_behind: u64,
    /// What each boot accepted: no datagram twice.
    accepted: BTreeMap<(SocketAddr, u32), BTreeSet<Vec<u8>>>,
    watch_replays: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            random: StdRng::seed_from_u64(seed),
            faults: CALM,
            nodes: BTreeMap::new(),
            reports: Vec::new(),
            rivals: Vec::new(),
            broken: Vec::new(),
            delivered: 0,
            lived: 0.0,
            events: BTreeMap::new(),
            event_count: 0,
            boots: 0,
            clock_behind: 0,
            accepted: BTreeMap::new(),
            watch_replays: false,
        }
    }

    /// The address of the node with this rank; ranks above 255 take another network.
    pub fn address(rank: u32) -> SocketAddr {
        let [_, _, high, low] = rank.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], PORT))
    }

    /// Starts a node, with rank 0 and these as seeds.
    pub fn start(&mut self, rank: u32, at: SocketAddr, seeds: &[SocketAddr]) {
        self.boots += 1;
        let name = NodeName::compute(rank).unwrap_or(NodeName::LOGIN);
        let tags = BTreeMap::from([("aws_instanceid".to_owned(), format!("i-{:017x}", self.boots))]);
        let member = Member::new(name, at, tags).unwrap();
        // Milliseconds since some day; each start is later than the last.
        let clock = 1_900_000_000_000 + u64::try_from(self.now.as_millis()).unwrap() - 1_000 * std::mem::take(&mut self.clock_behind);
        let me = Identity::new(member, clock, self.random.random());
        let (gossip, first) = Gossip::new(me, ClusterKey::new(&[7; 32]), self.random.random()).unwrap();
        self.nodes.insert(at, Node { gossip, boot: self.boots, side: 0 });
        self.perform(at, first);
        let seeds: Vec<SocketAddr> = seeds.iter().copied().chain([Self::address(0)]).collect();
        let outputs = self.nodes.get_mut(&at).map(|node| node.gossip.announce(&seeds)).unwrap_or_default();
        self.perform(at, outputs);
    }

    /// Ends a node without a word.
    pub fn kill(&mut self, at: SocketAddr) {
        self.nodes.remove(&at);
    }

    /// Ends a node that tells the others.
    pub fn leave(&mut self, at: SocketAddr) {
        let outputs = self.nodes.get_mut(&at).map(|node| node.gossip.leave()).unwrap_or_default();
        self.perform(at, outputs);
        self.nodes.remove(&at);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.watch_replays = self.faults.replayed > 0.0 || self.faults.doubled > 0.0;
        self.lived += span.as_secs_f64() * f64::from(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        while !self.is_storm() {
            let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) else { break };
            self.now = entry.key().0;
            match entry.remove() {
                Event::Datagram { from, to, bytes } => self.deliver(from, to, &bytes),
                Event::Timer { at, boot, timer } => {
                    let node = self.nodes.get_mut(&at).filter(|node| node.boot == boot);
                    let outputs = node.map(|node| node.gossip.timer(timer)).unwrap_or_default();
                    self.perform(at, outputs);
                }
            }
        }
        self.now = end;
    }

    /// Whether nodes send without end; the first that is seen breaks a rule and ends the run.
    fn is_storm(&mut self) -> bool {
        let sent = f64::from(u32::try_from(self.delivered).unwrap_or(u32::MAX));
        let storm = sent > 20_000.0 + DATAGRAMS_PER_SECOND_MAX * self.lived;
        if storm && self.broken.last().is_none_or(|last| !last.ends_with("storm")) {
            self.broken.push(format!("{:?}: {sent} datagrams are a storm", self.now));
        }
        storm
    }

    /// Lets time pass until this holds, looking each 100 ms; how long it took, or `None` where it never did within the span.
    pub fn run_until(&mut self, span: Duration, holds: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begin = self.now;
        while self.now < begin + span {
            if holds(self) {
                return Some(self.now.saturating_sub(begin));
            }
            self.run(Duration::from_millis(100));
        }
        holds(self).then(|| self.now.saturating_sub(begin))
    }

    /// Whether every living node lists exactly the living ones of its side, at their addresses.
    pub fn agrees(&self) -> bool {
        self.nodes.values().all(|node| {
            let living = self.nodes.iter().filter(|(_, other)| other.side == node.side);
            let living: BTreeSet<SocketAddr> = living.map(|(at, _)| *at).collect();
            let listed: Vec<SocketAddr> = node.gossip.members().map(Member::address).collect();
            listed.len() == living.len() && listed.iter().all(|at| living.contains(at))
        })
    }

    /// All datagrams that were dropped, by reason.
    pub fn refusals(&self) -> Refusals {
        let mut sum = Refusals::new();
        for (reason, count) in self.nodes.values().flat_map(|node| node.gossip.refusals()) {
            *sum.entry(*reason).or_default() += count;
        }
        sum
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(&to) else { return };
        self.delivered += 1;
        let before = node.gossip.accepted();
        let outputs = node.gossip.datagram(from, bytes);
        if self.watch_replays && node.gossip.accepted() > before {
            let accepted = self.accepted.entry((to, node.boot)).or_default();
            if !accepted.insert(bytes.to_vec()) {
                self.broken.push(format!("{:?}: {to} accepted one datagram twice", self.now));
            }
        }
        self.perform(to, outputs);
    }

    fn perform(&mut self, at: SocketAddr, outputs: Vec<Output>) {
        let Some(node) = self.nodes.get(&at) else { return };
        let (boot, side, by) = (node.boot, node.side, node.gossip.identity().name());
        for output in outputs {
            match output {
                Output::Send(to, bytes) => self.send(at, side, to, bytes),
                Output::After(after, timer) => self.schedule(after, Event::Timer { at, boot, timer }),
                Output::Name(Claim::Lost(rival)) => self.rivals.push((self.now, by, Some(rival.address()))),
                Output::Name(Claim::Regained) => self.rivals.push((self.now, by, None)),
                Output::Change(change) => {
                    let report = Report { at: self.now, by, boot, change };
                    if planted::is(Bug::ReportedTwice) && self.reports.len() % 40 == 39 {
                        self.reports.push(report.clone());
                    }
                    self.reports.push(report);
                }
            }
        }
    }

    fn send(&mut self, from: SocketAddr, side: u8, to: SocketAddr, bytes: Vec<u8>) {
        let cut = self.nodes.get(&to).is_some_and(|node| node.side != side);
        let faults = self.faults;
        if faults.replayed > 0.0 && self.random.random_bool(faults.replayed) {
            let anyone = self.random.random_bool(0.3).then(|| self.anyone()).flatten().unwrap_or(to);
            let after = Duration::from_millis(self.random.random_range(100..60_000));
            self.schedule(after, Event::Datagram { from, to: anyone, bytes: bytes.clone() });
        }
        if cut || self.random.random_bool(faults.lost) {
            return;
        }
        if faults.doubled > 0.0 && self.random.random_bool(faults.doubled) {
            let after = self.delay();
            self.schedule(after, Event::Datagram { from, to, bytes: bytes.clone() });
        }
        let mut bytes = bytes;
        if faults.corrupted > 0.0 && self.random.random_bool(faults.corrupted) {
            let (place, bit) = (self.random.random_range(0..bytes.len()), self.random.random_range(0..8));
            bytes[place] ^= 1u8 << bit;
        }
        let after = self.delay();
        self.schedule(after, Event::Datagram { from, to, bytes });
    }

    fn anyone(&mut self) -> Option<SocketAddr> {
        let place = self.random.random_range(0..self.nodes.len().max(1));
        self.nodes.keys().nth(place).copied()
    }

    fn delay(&mut self) -> Duration {
        let late = self.faults.late > 0.0 && self.random.random_bool(self.faults.late);
        Duration::from_micros(if late { self.random.random_range(10_000..2_000_000) } else { self.random.random_range(100..1_500) })
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now + after, self.event_count), event);
    }
}
