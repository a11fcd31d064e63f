//! The driver around foca and the seal. Pure: datagrams and timers go in; datagrams, timers and changes come out as data.
//!
//! What it adds to SWIM:
//!
//! - **Joining by address.** A request to join names no member; who gets it puts itself in. While a node knows no other member, it
//!   asks again every [`ASK_EVERY`].
//! - **Learning the list.** An answer to a request lists some ten members at random. A node that has just come among others asks on,
//!   until some rounds bring nothing new ([`LEARN_EVERY`]); gossip alone would take minutes to give it two hundred.
//! - **Changes by comparison.** After each input the members are compared with those that were reported, so joins and leaves of a
//!   name alternate by construction, and a boot that replaced another is a leave and a join.
//! - **One name, two nodes.** foca alone would let them declare each other dead for ever. Here the lower claim to a name is told of the
//!   higher one by whoever hears it. It takes the name where the higher claim is dead; otherwise it leaves the
//!   cluster, says so ([`Output::Name`]), and asks again every [`ASK_EVERY`], until the name is free.
//! - **An old name for us.** Who still speaks to an earlier boot of ours gets our present identity at once, not after a failed probe.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use foca::{Foca, Message, NoCustomBroadcast, PostcardCodec, State};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::effects::Effects;
use super::identity::Identity;
use super::protocol::config;
use super::seal::{ClusterKey, Refusal, Seal};
use super::wire::{self, Packet};
use super::{Change, Member, RANK_MAX};
use crate::node::NodeName;

/// How often a node that knows no member asks its contacts.
pub const ASK_EVERY: Duration = Duration::from_secs(2);

/// How often a node that learns the list of members asks for more of it.
pub const LEARN_EVERY: Duration = Duration::from_millis(300);

/// How many members it asks each time.
const LEARN_FROM: usize = 2;

/// After so many rounds without a new member it has learned the list: a round lists twenty members, so the last of 200 is missed by
/// all of them once in twenty times, and then found by the announcements that never end.
const LEARN_QUIET_ROUNDS: u8 = 30;

/// The most addresses that are asked: the seeds, and members of old.
pub const CONTACTS_MAX: usize = 24;

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Send(SocketAddr, Vec<u8>),
    /// Hand this timer back after this time.
    After(Duration, Timer),
    /// The membership changed.
    Change(Change),
    /// This node's name changed hands.
    Name(Claim),
}

/// How this node's claim to its name goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This other node has a later claim to the name. This node is no member while that one lives.
    Lost(Member),
    /// The name is this node's again.
    Regained,
}

/// A timer of the driver, to hand back.
#[derive(Debug, Clone)]
pub struct Timer(Due);

#[derive(Debug, Clone)]
enum Due {
    /// foca's, of its instance with this number.
    Foca(u32, foca::Timer<Identity>),
    /// See [`ASK_EVERY`].
    Ask,
    /// See [`LEARN_EVERY`]: of which foca instance, how many members it knew at the last round, and how many rounds brought none.
    Learn { instance: u32, known: usize, quiet: u8 },
}

/// How many datagrams were dropped, by reason.
pub type Refusals = BTreeMap<Refusal, u64>;

/// One node's part in the gossip.
pub struct Gossip {
    foca: Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>,
    /// The number of the foca instance: a node that lost its name begins a new one.
    instance: u32,
    random: StdRng,
    seal: Seal,
    reported: BTreeMap<NodeName, Identity>,
    contacts: VecDeque<SocketAddr>,
    rival: Option<Identity>,
    left: bool,
    refusals: Refusals,
    accepted: u64,
}

impl Gossip {
    /// A node that starts, and what it does first: it reports itself as a member. The seed must be 32 fresh random bytes.
    /// `None` never happens (see [`Seal::new`]).
    pub fn new(me: Identity, key: ClusterKey, seed: [u8; 32]) -> Option<(Self, Vec<Output>)> {
        let mut random = StdRng::from_seed(seed);
        let seal = Seal::new(key, random.fork())?;
        let foca = Foca::new(me.clone(), config(), random.fork(), PostcardCodec);
        let joined = Output::Change(Change::Joined(me.member().clone()));
        let gossip = Self {
            foca,
            instance: 0,
            random,
            seal,
            reported: BTreeMap::from([(me.name(), me)]),
            contacts: VecDeque::new(),
            rival: None,
            left: false,
            refusals: Refusals::new(),
            accepted: 0,
        };
        Some((gossip, vec![joined, Output::After(ASK_EVERY, Timer(Due::Ask))]))
    }

    /// Who this node is; its claim may have risen since it started.
    pub fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// The members that were reported, with this node.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.reported.values().map(Identity::member)
    }

    /// How many datagrams were dropped, by reason.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// How many messages were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Asks the nodes at these addresses to join, now and again while no member is known.
    pub fn announce(&mut self, seeds: &[SocketAddr]) -> Vec<Output> {
        if self.left {
            return Vec::new();
        }
        for seed in seeds {
            self.add_contact(*seed);
        }
        let mut effects = Effects::default();
        self.ask_contacts(&mut effects);
        self.finish(effects)
    }

    /// Tells the others that this node leaves. Afterwards nothing is answered.
    pub fn leave(&mut self) -> Vec<Output> {
        let mut effects = Effects::default();
        // Losing the news would cost the others a failed probe, so it goes to some more of them than foca alone tells.
        if self.foca.leave_cluster(&mut effects).is_ok() {
            let _ = self.foca.gossip(&mut effects);
            let _ = self.foca.gossip(&mut effects);
        }
        self.left = true;
        effects.timers.clear();
        effects.changed = false;
        self.finish(effects)
    }

    /// A datagram came.
    pub fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Output> {
        if self.left {
            return Vec::new();
        }
        let mut effects = Effects::default();
        let opened = self.seal.open(from, bytes, &mut effects.sealed);
        let result = opened.and_then(|payload| payload.map_or(Ok(()), |payload| self.message(&payload, &mut effects)));
        if let Err(refusal) = result {
            *self.refusals.entry(refusal).or_default() += 1;
        }
        self.finish(effects)
    }

    /// A timer is due.
    pub fn timer(&mut self, timer: Timer) -> Vec<Output> {
        let mut effects = Effects::default();
        match timer.0 {
            _ if self.left => {}
            Due::Foca(instance, timer) if instance == self.instance => {
                // Its errors here are probes out of step after a pause; foca goes on by itself.
                let _ = self.foca.handle_timer(timer, &mut effects);
            }
            Due::Foca(..) => {}
            Due::Ask => {
                effects.ask = true;
                if self.foca.num_members() == 0 {
                    self.ask_contacts(&mut effects);
                }
            }
            Due::Learn { instance, known, quiet } if instance == self.instance => self.learn(known, quiet, &mut effects),
            Due::Learn { .. } => {}
        }
        self.finish(effects)
    }

    /// Asks some members for the others, and goes on while that brings new ones.
    fn learn(&mut self, known: usize, quiet: u8, effects: &mut Effects) {
        let members: Vec<Identity> = self.foca.iter_members().map(|member| member.id().clone()).collect();
        let quiet = if members.len() > known { 0 } else { quiet + 1 };
        if members.is_empty() || self.rival.is_some() || quiet >= LEARN_QUIET_ROUNDS {
            return;
        }
        for _ in 0..LEARN_FROM {
            let asked = self.random.random_range(0..members.len());
            if let Some(asked) = members.get(asked) {
                let _ = self.foca.announce(asked.clone(), &mut *effects);
            }
        }
        effects.learn = Some((members.len(), quiet));
    }

    /// A message that was sealed by a member of this cluster.
    fn message(&mut self, payload: &[u8], effects: &mut Effects) -> Result<(), Refusal> {
        self.accepted += 1;
        let packet = wire::read(payload).map_err(|_| Refusal::Malformed)?;
        if packet.claims().any(|(identity, _)| identity.name().rank() > RANK_MAX || identity.is_anyone()) {
            return Err(Refusal::Malformed);
        }
        if self.name_is_claimed(&packet, effects) {
            return Ok(());
        }
        // That the others count this name's lower claim as dead is known; foca would take the sender for a member of ours.
        if self.rival.is_some() && packet.header.message == Message::TurnUndead {
            return Ok(());
        }
        // An answer to what this node asked while it had its name: it would take the name back with it.
        if self.rival.is_some() && packet.header.message == Message::Feed && packet.header.dst != *self.foca.identity() {
            return Ok(());
        }
        self.tell_loser(&packet, effects);
        let header = &packet.header;
        let me = self.foca.identity();
        let rewritten = match header.message {
            Message::Announce if header.dst.is_anyone() => Some(wire::write_announce(header, me.clone()).map_err(|_| Refusal::Malformed)?),
            _ => None,
        };
        if header.dst.name() == me.name() && me.beats(&header.dst) && rewritten.is_none() {
            let _ = self.foca.announce(header.src.clone(), &mut *effects);
        }
        let data = rewritten.as_deref().unwrap_or(payload);
        self.foca.handle_data(data, effects).map_err(|_| Refusal::Malformed)
    }

    /// Whether the message is of a higher claim to this node's name; then it is not for foca.
    fn name_is_claimed(&mut self, packet: &Packet, effects: &mut Effects) -> bool {
        let me = self.foca.identity().clone();
        let higher = packet.claims().filter(|(other, _)| other.name() == me.name() && !other.is_same_boot(&me) && other.beats(&me));
        let Some((other, state)) =
            higher.max_by(|(a, _), (b, _)| if a.beats(b) { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less })
        else {
            return false;
        };
        if state == State::Down {
            let _ = self.foca.change_identity(me.above(other), &mut *effects);
            effects.changed = true;
            self.set_rival(None, effects);
            self.ask_contacts(effects);
            return true;
        }
        if self.rival.is_none() {
            let known: Vec<SocketAddr> = self.members().map(Member::address).filter(|address| *address != me.member().address()).collect();
            for address in known {
                self.add_contact(address);
            }
            self.instance += 1;
            self.foca = Foca::new(me.renewed(), config(), self.random.fork(), PostcardCodec);
            effects.timers.clear();
            effects.changed = true;
        }
        self.set_rival(Some(other.clone()), effects);
        true
    }

    /// Tells the sender if its name has a higher claim. Without it the sender would only learn that it counts as dead.
    fn tell_loser(&mut self, packet: &Packet, effects: &mut Effects) {
        let sender = &packet.header.src;
        let me = self.foca.identity();
        let of_us = (sender.name() == me.name()).then(|| foca::Member::alive(me.clone()));
        let known = || self.foca.iter_membership_state().find(|known| known.id().name() == sender.name()).cloned();
        let Some(holder) = of_us.or_else(known) else { return };
        if !holder.id().is_same_boot(sender)
            && holder.id().beats(sender)
            && let Ok(news) = wire::write_news(me, sender, &holder)
        {
            effects.sends.insert(0, (sender.member().address(), news));
        }
    }

    fn set_rival(&mut self, rival: Option<Identity>, effects: &mut Effects) {
        if rival.as_ref().map(Identity::member) != self.rival.as_ref().map(Identity::member) {
            effects.claim = Some(rival.as_ref().map_or(Claim::Regained, |rival| Claim::Lost(rival.member().clone())));
        }
        self.rival = rival;
    }

    fn add_contact(&mut self, address: SocketAddr) {
        if address == self.foca.identity().member().address() || self.contacts.contains(&address) {
            return;
        }
        // The first are the seeds; they stay.
        if self.contacts.len() < CONTACTS_MAX {
            self.contacts.push_back(address);
        }
    }

    fn ask_contacts(&mut self, effects: &mut Effects) {
        let dead = self.foca.iter_membership_state().map(|dead| dead.id().member().address());
        let all: Vec<SocketAddr> = self.contacts.iter().copied().chain(dead).take(CONTACTS_MAX).collect();
        for address in all {
            let _ = self.foca.announce(Identity::anyone_at(address), &mut *effects);
        }
    }

    fn finish(&mut self, effects: Effects) -> Vec<Output> {
        let mut sealed = effects.sealed;
        for (to, payload) in effects.sends {
            self.seal.send(to, &payload, &mut sealed);
        }
        let mut outputs: Vec<Output> = sealed.into_iter().map(|(to, datagram)| Output::Send(to, datagram)).collect();
        outputs.extend(effects.timers.into_iter().map(|(after, timer)| Output::After(after, Timer(Due::Foca(self.instance, timer)))));
        if effects.ask {
            outputs.push(Output::After(ASK_EVERY, Timer(Due::Ask)));
        }
        let was_alone = self.reported.len() <= 1;
        if effects.changed {
            self.report(&mut outputs);
        }
        let begins = was_alone && self.rival.is_none() && self.foca.num_members() > 0;
        if let Some((known, quiet)) = effects.learn.or(begins.then_some((0, 0))) {
            outputs.push(Output::After(LEARN_EVERY, Timer(Due::Learn { instance: self.instance, known, quiet })));
        }
        // A node that has members again has its name.
        if self.rival.is_some() && self.foca.num_members() > 0 {
            self.rival = None;
            outputs.push(Output::Name(Claim::Regained));
        }
        outputs.extend(effects.claim.map(Output::Name));
        outputs
    }

    /// Reports what differs from what was reported.
    fn report(&mut self, outputs: &mut Vec<Output>) {
        let me = self.foca.identity();
        let active = self.foca.iter_members().map(foca::Member::id).chain([me]);
        let now: BTreeMap<NodeName, Identity> = active.map(|identity| (identity.name(), identity.clone())).collect();
        for (name, before) in &self.reported {
            if now.get(name).is_none_or(|after| !after.is_same_boot(before)) {
                outputs.push(Output::Change(Change::Left(before.member().clone())));
            }
        }
        for (name, after) in &now {
            if self.reported.get(name).is_none_or(|before| !after.is_same_boot(before)) {
                outputs.push(Output::Change(Change::Joined(after.member().clone())));
            }
        }
        self.reported = now;
    }
}

#[cfg(test)]
#[path = "gossip_tests.rs"]
mod tests;
