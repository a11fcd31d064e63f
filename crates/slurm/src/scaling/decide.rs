//! A pass: the book and a reading in, the new book and effects out. Total, and it never fails.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;

use super::Policy;
use super::book::{Book, Place, count};
use super::effect::Effect;
use super::facts::{Facts, Life, NodeFacts, Power};
use super::judge::living;
use super::words::{Closed, Note};
use crate::group::Group;

/// What a pass decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The book to write, before the first effect.
    pub book: Book,
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// When to read and pass again at the latest; `None` until something calls. The agent looks at Slurm's nodes, which costs no call to
    /// AWS, and passes as well when a wanted one is silent.
    pub again: Option<Duration>,
}

/// Compares the book with a reading.
pub fn pass(book: &Book, facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    let mut next = book.clone();
    next.started.get_or_insert(now);
    next.forget(policy, now);
    next.follow_slurm(facts, policy, now);
    let mut notes = next.see_machines(facts, now);
    for (group, of) in &facts.groups {
        notes.extend(next.judge_launches(*group, of, policy, now));
    }
    notes.extend(next.judge_bounds(facts, policy, now));
    next.read_at = Some(facts.at);

    let mut effects = next.ends(facts, policy);
    effects.extend(next.capacity(facts, policy));
    effects.extend(next.doors(facts, policy));
    effects.extend(next.starts(facts, policy, now));
    effects.extend(notes.into_iter().map(Effect::Report));
    next.idle_passes = if effects.is_empty() { book.idle_passes.saturating_add(1) } else { 0 };
    let again = next.again(policy, now);
    Decision { book: next, effects, again }
}

impl Book {
    /// What has run out: names that failed are tried again, groups that rested too, and names that a smaller cluster has not.
    fn forget(&mut self, policy: &Policy, now: Timestamp) {
        self.failed.retain(|_, (_, until)| *until > now);
        for health in self.health.values_mut() {
            health.rests_until = health.rests_until.filter(|until| *until > now);
        }
        let foreign: Vec<NodeName> = self.wanted.keys().copied().filter(|node| policy.sizes.group_of(*node).is_none()).collect();
        for node in foreign {
            self.release(node, now);
        }
    }

    /// Calls of Slurm that this agent did not hear, because it was not there: Slurm shows what it wants.
    fn follow_slurm(&mut self, facts: &Facts, policy: &Policy, now: Timestamp) {
        for (node, of) in &facts.nodes {
            if of.is_lost() || of.is_others() {
                self.lost.remove(node);
            }
            if self.called.get(node).is_some_and(|called| *called >= facts.at) {
                continue;
            }
            match of.power {
                Power::Off | Power::Stopping => self.release(*node, now),
                // A frozen cluster keeps what runs, and starts nothing.
                Power::Starting if policy.frozen => {}
                Power::Starting | Power::On if of.reason.is_none() => self.want(*node, policy.sizes, now),
                Power::Starting | Power::On | Power::Silent => {}
            }
        }
    }

    fn ends(&self, facts: &Facts, policy: &Policy) -> Vec<Effect> {
        if policy.frozen {
            return Vec::new();
        }
        let ending = self.machines.iter().filter(|(_, machine)| machine.place == Place::Ending);
        let lives = |id: &String, group| facts.groups.get(&group).is_some_and(|of| of.machines.get(id) == Some(&Life::Lives));
        let ends = ending.filter(|(id, machine)| lives(id, machine.group));
        ends.map(|(id, machine)| Effect::End { group: machine.group, machine: id.clone() }).collect()
    }

    /// What the desired capacities must become, after the machines that this pass ends, each with decrement.
    fn capacity(&self, facts: &Facts, policy: &Policy) -> Vec<Effect> {
        let mut ends: BTreeMap<Group, u32> = BTreeMap::new();
        for effect in self.ends(facts, policy) {
            if let Effect::End { group, .. } = effect {
                *ends.entry(group).or_default() += 1;
            }
        }
        let (mut lower, mut raise) = (Vec::new(), Vec::new());
        for (group, of) in &facts.groups {
            let ending = ends.get(group).copied().unwrap_or(0);
            let desired = of.desired.saturating_sub(ending);
            let wanted = self.wanted_of(*group, policy.sizes);
            // A group whose figures are not known may have all that it may have.
            let others = Group::ALL.iter().filter(|other| *other != group);
            let taken = others.map(|other| facts.groups.get(other).map_or(policy.sizes.of(*other), |of| of.desired.max(living(of))));
            let room = policy.sizes.maximum.saturating_sub(taken.sum()).min(policy.sizes.of(*group));
            if wanted < desired && ending == 0 {
                // Not while machines end: an end that fails would leave Auto Scaling to choose a victim.
                lower.push((*group, desired, wanted.max(living(of))));
            } else if wanted > desired && !policy.frozen {
                raise.push((*group, desired, wanted.min(room).max(desired)));
            }
        }
        let changes = lower.into_iter().chain(raise).filter(|(_, from, to)| from != to);
        changes.map(|(group, _, desired)| Effect::SetDesired { group, desired }).collect()
    }

    /// Why a node must be closed to jobs, if it must.
    fn closed(&self, node: NodeName, policy: &Policy) -> Option<Closed> {
        if self.is_interrupted(node) {
            return Some(Closed::Interrupted);
        }
        if self.lost.contains(&node) {
            return Some(Closed::Lost);
        }
        if self.wanted.contains_key(&node) {
            return None;
        }
        if let Some((failure, _)) = self.failed.get(&node) {
            return Some(Closed::Failed(failure.clone()));
        }
        let health = policy.sizes.group_of(node).and_then(|group| self.health.get(&group));
        let resting = health.filter(|health| health.rests_until.is_some()).and_then(|health| health.last.clone());
        if policy.frozen {
            return Some(Closed::Frozen);
        }
        let maximum = policy.sizes.maximum;
        let is_full = count(self.wanted.len()) >= maximum;
        resting.map(Closed::Resting).or(is_full.then_some(Closed::Full { maximum }))
    }

    /// Which nodes Slurm must open or close, as it shows them.
    fn doors(&self, facts: &Facts, policy: &Policy) -> Vec<Effect> {
        let mut close: BTreeMap<Closed, Vec<NodeName>> = BTreeMap::new();
        let (mut open, mut reset) = (Vec::new(), Vec::new());
        for (node, of) in facts.nodes.iter().filter(|(node, of)| policy.sizes.group_of(**node).is_some() && !of.is_others()) {
            match (self.closed(*node, policy), of.ours()) {
                (Some(why), ours) if ours != Some(why.to_string().as_str()) && of.power != Power::Stopping => {
                    close.entry(why).or_default().push(*node);
                }
                (None, Some(_)) => self.reopen(*node, of, &mut open, &mut reset),
                // Slurm waited in vain for a node that this agent had not taken.
                (None, None) if of.reason.is_some() && !self.wanted.contains_key(node) => self.reopen(*node, of, &mut open, &mut reset),
                _ => {}
            }
        }
        let mut effects = Vec::new();
        for (why, nodes) in close {
            match why {
                Closed::Interrupted => {
                    effects.push(Effect::Drain { nodes: nodes.clone(), why });
                    effects.extend(nodes.iter().map(|node| Effect::Report(Note::Interrupted { node: *node })));
                    effects.push(Effect::Requeue { nodes });
                }
                why => effects.push(Effect::Close { nodes, why }),
            }
        }
        let lists = [(open, true), (reset, false)].into_iter().filter(|(nodes, _)| !nodes.is_empty());
        effects.extend(lists.map(|(nodes, is_open)| if is_open { Effect::Open { nodes } } else { Effect::Reset { nodes } }));
        effects
    }

    fn reopen(&self, node: NodeName, of: &NodeFacts, open: &mut Vec<NodeName>, reset: &mut Vec<NodeName>) {
        let is_wanted = self.wanted.contains_key(&node);
        let has_machine = self.machines.values().any(|m| matches!(m.place, Place::Node { name, .. } if name == node));
        match of.power {
            // A node whose machine was taken back waits for the next one.
            _ if is_wanted && (!has_machine || of.is_lost()) => {}
            _ if is_wanted => open.push(node),
            Power::Off => open.push(node),
            Power::Stopping => {}
            Power::Starting | Power::On | Power::Silent => reset.push(node),
        }
    }

    /// The nodes that start though no job asks for them: those of a fixed size, or the initial ones until they were there once.
    fn starts(&mut self, facts: &Facts, policy: &Policy, now: Timestamp) -> Vec<Effect> {
        let goal = self.goal(policy, now);
        let up = count(self.wanted.keys().filter(|node| self.is_up(**node)).count());
        self.initial_done |= !policy.fixed && (up >= goal || goal == 0);
        let missing = goal.saturating_sub(count(self.wanted.len()));
        let is_free = |node: &NodeName| {
            let of = facts.nodes.get(node);
            of.is_some_and(|of| of.power == Power::Off && of.reason.is_none()) && self.closed(*node, policy).is_none()
        };
        let nodes: Vec<NodeName> = policy.sizes.all_nodes().filter(is_free).take(usize::try_from(missing).unwrap_or(0)).collect();
        if nodes.is_empty() { Vec::new() } else { vec![Effect::PowerUp { nodes }] }
    }

    /// How many nodes there are to be without a job.
    fn goal(&self, policy: &Policy, now: Timestamp) -> u32 {
        let is_over = self.initial_done || self.started.is_some_and(|at| now >= at + policy.rules.initial_within);
        match policy {
            Policy { fixed: true, sizes, .. } => sizes.maximum,
            _ if is_over => 0,
            _ => policy.initial.min(policy.sizes.maximum),
        }
    }

    /// When the next pass must be: soon while something is awaited, or when something runs out.
    fn again(&self, policy: &Policy, now: Timestamp) -> Option<Duration> {
        let is_at_rest = |place: &Place| match place {
            Place::Node { up, interrupted, .. } => *up && !interrupted,
            Place::Ending => policy.frozen,
            Place::Unplaced => false,
        };
        let is_awaited = self.machines.values().any(|machine| !is_at_rest(&machine.place));
        let waits = Group::ALL.into_iter().any(|group| self.waiting(group, policy.sizes).next().is_some());
        if is_awaited || waits || self.idle_passes == 0 {
            let wait = Duration::from_secs(1 << self.idle_passes.min(16));
            return Some(wait.min(policy.rules.reads_max));
        }
        let ends = self.failed.values().map(|(_, until)| *until).chain(self.health.values().filter_map(|health| health.rests_until));
        let next = ends.min().map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
        let starts = (self.goal(policy, now) > count(self.wanted.len())).then_some(policy.rules.reads_max);
        next.into_iter().chain(starts).min()
    }
}
