//! What the agent remembers of scaling: which nodes Slurm wants, which machine is which, what failed. It is JSON on the login node's
//! disk, written before an effect happens or an answer leaves.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Policy;
use super::activity::Trouble;
use super::words::{Failure, Note};
use crate::group::{Group, Sizes};

/// Machines in the book at most. Root on a node may ask in the name of machines that do not exist; the next pass forgets those, and
/// a cluster has at most some hundred.
const MACHINES_MAX: usize = 4_000;

/// The book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// The nodes that Slurm wants, each with the moment since which it waits for a machine.
    pub(super) wanted: BTreeMap<NodeName, Timestamp>,
    /// When Slurm last called for a node, to start or to end it. A reading that began before is older than the call.
    pub(super) called: BTreeMap<NodeName, Timestamp>,
    /// The machines by their ids.
    pub(super) machines: BTreeMap<String, Machine>,
    /// The nodes whose machine is gone, until Slurm shows that they are down: its jobs start again elsewhere then. Slurm itself would see
    /// nothing where the group replaces the machine before the node is silent for long.
    pub(super) lost: BTreeSet<NodeName>,
    /// The nodes that could not be had a moment ago, and until when they are down.
    pub(super) failed: BTreeMap<NodeName, (Failure, Timestamp)>,
    /// How the groups do.
    pub(super) health: BTreeMap<Group, Health>,
    /// When the first pass was.
    pub(super) started: Option<Timestamp>,
    /// Whether the initial nodes were there once.
    pub(super) initial_done: bool,
    /// When the last reading began.
    pub(super) read_at: Option<Timestamp>,
    /// How many passes changed nothing since one did.
    pub(super) idle_passes: u32,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Its group.
    pub group: Group,
    /// What it is.
    pub place: Place,
    /// Since when it is that.
    pub since: Timestamp,
}

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// It was seen in its group, and has not asked.
    Unplaced,
    /// A node.
    Node {
        /// Which.
        name: NodeName,
        /// Whether it has registered with Slurm.
        up: bool,
        /// Whether EC2 takes it back.
        interrupted: bool,
    },
    /// It is to end.
    Ending,
}

/// How a group does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Health {
    /// The failed activities of the last reading: they are judged.
    pub judged: BTreeSet<String>,
    /// The last failure since a node of the group registered.
    pub last: Option<Failure>,
    /// How many of its kind came in a row.
    pub in_a_row: u32,
    /// Until when the group's free nodes are not tried.
    pub rests_until: Option<Timestamp>,
}

/// The answer to a machine that asks which node it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This one.
    Node(NodeName),
    /// None: no node is wanted of it, or no more. It is ended.
    TooLate,
}

impl Book {
    /// Slurm wants these nodes. Those beyond the maximum, of a group that rests, or of a frozen cluster are not taken: the next pass
    /// closes them.
    pub fn resume(&mut self, nodes: &BTreeSet<NodeName>, policy: &Policy, now: Timestamp) {
        for node in nodes {
            self.called.insert(*node, now);
            if !policy.frozen {
                self.want(*node, policy.sizes, now);
            }
        }
        self.idle_passes = 0;
    }

    /// Slurm does not want these nodes any more. Their machines end, and their names are free at once.
    pub fn suspend(&mut self, nodes: &BTreeSet<NodeName>, now: Timestamp) {
        for node in nodes {
            self.called.insert(*node, now);
            self.release(*node, now);
        }
        self.idle_passes = 0;
    }

    /// Slurm has waited in vain for these nodes, and has set them down itself.
    pub fn resume_failed(&mut self, nodes: &BTreeSet<NodeName>, policy: &Policy, now: Timestamp) {
        for node in nodes.iter().filter(|node| self.wanted.contains_key(*node)).copied().collect::<Vec<_>>() {
            let Some(group) = policy.sizes.group_of(node) else { continue };
            self.give_up(&[node], &Failure::new(group, Trouble::NeverRegistered, ""), policy, now);
        }
        self.idle_passes = 0;
    }

    /// A machine asks which node it is. The answer is the same however often it asks. `machine` is checked by the caller to be an
    /// instance id, and bounded in length.
    pub fn ask(&mut self, machine: &str, group: Group, policy: &Policy, now: Timestamp) -> Answer {
        self.idle_passes = 0;
        match self.machines.get(machine).map(|known| &known.place) {
            Some(Place::Node { name, .. }) => return Answer::Node(*name),
            Some(Place::Ending) => return Answer::TooLate,
            Some(Place::Unplaced) | None => {}
        }
        if self.machines.len() >= MACHINES_MAX {
            return Answer::TooLate;
        }
        let free = self.waiting(group, policy.sizes).next();
        let place = free.map_or(Place::Ending, |name| Place::Node { name, up: false, interrupted: false });
        self.machines.insert(machine.to_owned(), Machine { group, place, since: now });
        free.map_or(Answer::TooLate, Answer::Node)
    }

    /// EC2 has announced that it takes a machine back. Gives the node that it is.
    pub fn interrupted(&mut self, machine: &str) -> Option<NodeName> {
        self.idle_passes = 0;
        match &mut self.machines.get_mut(machine)?.place {
            Place::Node { name, interrupted, .. } => {
                *interrupted = true;
                Some(*name)
            }
            Place::Unplaced | Place::Ending => None,
        }
    }

    /// A member of the cluster says that it is this node. A book that was lost is written anew so; one that knows better is not changed.
    pub fn adopt(&mut self, machine: &str, node: NodeName, policy: &Policy, now: Timestamp) {
        let is_known = self.machines.get(machine).is_some_and(|known| known.place != Place::Unplaced);
        let Some(group) = policy.sizes.group_of(node).filter(|_| !is_known) else { return };
        self.want(node, policy.sizes, now);
        if self.waiting(group, policy.sizes).any(|waiting| waiting == node) {
            let place = Place::Node { name: node, up: false, interrupted: false };
            self.machines.insert(machine.to_owned(), Machine { group, place, since: now });
        }
    }

    /// Which machine is which node, also what ends.
    pub fn machines(&self) -> impl Iterator<Item = (&str, Group, &Place)> {
        self.machines.iter().map(|(id, machine)| (id.as_str(), machine.group, &machine.place))
    }

    /// The nodes that Slurm wants.
    pub fn wanted(&self) -> impl Iterator<Item = NodeName> {
        self.wanted.keys().copied()
    }

    /// Whether a node of the group waits for its machine: only then its activities matter.
    pub fn awaits(&self, group: Group, sizes: Sizes) -> bool {
        self.waiting(group, sizes).next().is_some()
    }

    /// What the status reports while nodes on demand stand in for spot ones.
    pub fn fallback(&self, sizes: Sizes) -> Option<Note> {
        let failure = self.health.get(&Group::Spot)?.last.clone()?;
        let nodes = self.wanted_of(Group::OnDemand, sizes);
        (nodes > 0).then_some(Note::Fallback { nodes, failure })
    }

    /// Takes a node as wanted, if there is room and its group does not rest.
    pub(super) fn want(&mut self, node: NodeName, sizes: Sizes, now: Timestamp) {
        let Some(group) = sizes.group_of(node) else { return };
        let rests = self.health.get(&group).is_some_and(|health| health.rests_until.is_some());
        let has_room = count(self.wanted.len()) < sizes.maximum;
        if !self.wanted.contains_key(&node) && has_room && !rests && !self.failed.contains_key(&node) {
            self.wanted.insert(node, now);
        }
    }

    /// A node is not wanted any more; its machine, if it has one, is to end.
    pub(super) fn release(&mut self, node: NodeName, now: Timestamp) {
        self.wanted.remove(&node);
        self.lost.remove(&node);
        for machine in self.machines.values_mut() {
            if matches!(machine.place, Place::Node { name, .. } if name == node) {
                (machine.place, machine.since) = (Place::Ending, now);
            }
        }
    }

    /// Nodes that could not be had: they are not wanted, and down for a while; so are the free ones of their group.
    pub(super) fn give_up(&mut self, nodes: &[NodeName], failure: &Failure, policy: &Policy, now: Timestamp) {
        let health = self.health.entry(failure.group).or_default();
        let rules = policy.rules;
        let until = now + if health.in_a_row >= rules.failures_max { rules.rest } else { rules.pause };
        health.rests_until = health.rests_until.max(Some(until));
        for node in nodes {
            self.release(*node, now);
            self.failed.insert(*node, (failure.clone(), until));
        }
    }

    /// The wanted nodes of a group that have no machine, in order.
    pub(super) fn waiting(&self, group: Group, sizes: Sizes) -> impl Iterator<Item = NodeName> + '_ {
        let is_placed = |node| self.machines.values().any(|m| matches!(m.place, Place::Node { name, .. } if name == node));
        self.wanted.keys().copied().filter(move |node| sizes.group_of(*node) == Some(group) && !is_placed(*node))
    }

    /// How many nodes of a group are wanted.
    pub(super) fn wanted_of(&self, group: Group, sizes: Sizes) -> u32 {
        count(self.wanted.keys().filter(|node| sizes.group_of(**node) == Some(group)).count())
    }

    /// Whether a node's machine has registered.
    pub(super) fn is_up(&self, node: NodeName) -> bool {
        self.machines.values().any(|m| matches!(m.place, Place::Node { name, up: true, .. } if name == node))
    }

    /// Whether EC2 takes a node's machine back.
    pub(super) fn is_interrupted(&self, node: NodeName) -> bool {
        self.machines.values().any(|m| matches!(m.place, Place::Node { name, interrupted: true, .. } if name == node))
    }
}

/// A length as a count of nodes; there are never as many as would not fit.
pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
