//! What a reading shows to have failed: launches, machines that never ask, nodes that never register, machines that are gone.

use cf_core::node_name::NodeName;
use jiff::Timestamp;

use super::activity::{Trouble, classify};
use super::book::{Book, Health, Machine, Place, count};
use super::facts::{Activity, ActivityStatus, Facts, GroupFacts, Life, NodeFacts, Power};
use super::words::{Failure, Note};
use super::{Policy, Rules};
use crate::group::Group;

impl Book {
    /// Brings the machines up to date with the reading: new ones are noted, gone ones forgotten, and a node of one waits again.
    pub(super) fn see_machines(&mut self, facts: &Facts, now: Timestamp) -> Vec<Note> {
        let mut notes = Vec::new();
        for (group, of) in &facts.groups {
            for (id, _) in of.machines.iter().filter(|(_, life)| **life == Life::Lives) {
                let machine = Machine { group: *group, place: Place::Unplaced, since: now };
                self.machines.entry(id.clone()).or_insert(machine);
            }
            let is_there = |id: &String| of.machines.get(id) == Some(&Life::Lives);
            let gone = |(id, machine): &(&String, &Machine)| machine.group == *group && machine.since < facts.at && !is_there(id);
            for id in self.machines.iter().filter(gone).map(|(id, _)| id.clone()).collect::<Vec<_>>() {
                if let Some(Machine { place: Place::Node { name, up, interrupted }, .. }) = self.machines.remove(&id) {
                    // It may have registered since the last reading. The jobs of one that EC2 takes back were started elsewhere.
                    let has_registered = |node: &NodeFacts| matches!(node.power, Power::On | Power::Silent);
                    if !interrupted && (up || facts.nodes.get(&name).is_some_and(has_registered)) {
                        self.lost.insert(name);
                    }
                    // The group may have tried to replace it since the last reading.
                    let since = self.read_at.unwrap_or(now);
                    self.wanted.entry(name).and_modify(|waits| *waits = since.max(*waits));
                    notes.push(Note::Lost { node: name });
                }
            }
        }
        self.see_registrations(facts);
        notes
    }

    fn see_registrations(&mut self, facts: &Facts) {
        for machine in self.machines.values_mut().filter(|machine| machine.since < facts.at) {
            let Place::Node { name, up, .. } = &mut machine.place else { continue };
            // One that is down for its lost machine is up when its next machine has registered, which ends that (ReturnToService=2).
            let is_on = |node: &NodeFacts| node.power == Power::On && !node.is_lost();
            if !*up && facts.nodes.get(name).is_some_and(is_on) {
                *up = true;
                let health = self.health.entry(machine.group).or_default();
                (health.last, health.in_a_row, health.rests_until) = (None, 0, None);
            }
        }
    }

    /// Judges each failed launch that began after the request, once.
    pub(super) fn judge_launches(&mut self, group: Group, facts: &GroupFacts, policy: &Policy, now: Timestamp) -> Vec<Note> {
        let waiting: Vec<NodeName> = self.waiting(group, policy.sizes).collect();
        let asked = waiting.iter().filter_map(|node| self.wanted.get(node)).min().copied();
        let health = self.health.entry(group).or_default();
        let failed = || facts.activities.iter().filter(|activity| activity.status == ActivityStatus::Failed);
        let mut fresh: Vec<&Activity> =
            failed().filter(|a| !health.judged.contains(&a.id) && asked.is_some_and(|at| at <= a.began)).collect();
        health.judged = failed().map(|activity| activity.id.clone()).collect();
        fresh.sort_by_key(|activity| activity.began);
        let mut failures = fresh.iter().map(|activity| Failure::new(group, classify(&activity.message), &activity.message));
        if fresh.is_empty() {
            return Vec::new();
        }
        let notes = failures.by_ref().filter_map(|failure| health.note(failure, policy.rules, now)).last();
        let last = health.last.clone();
        let unfilled = waiting.len().saturating_sub(self.coming(group, facts));
        let Some(failure) = last.filter(|_| unfilled > 0) else { return Vec::new() };
        let given_up = &waiting[waiting.len() - unfilled..];
        self.give_up(given_up, &failure, policy, now);
        let failed = Note::Failed { nodes: given_up.to_vec(), failure };
        [Some(failed), notes].into_iter().flatten().collect()
    }

    /// How many of the nodes that wait will have a machine: it is there and has not asked, or its launch goes on and it is not there
    /// yet. (An activity goes on for a while after its machine has started.)
    fn coming(&self, group: Group, facts: &GroupFacts) -> usize {
        let unplaced = self.machines.values().filter(|machine| machine.group == group && machine.place == Place::Unplaced).count();
        let is_there = |activity: &Activity| activity.machine.as_ref().is_some_and(|machine| self.machines.contains_key(machine));
        let launches = facts.activities.iter().filter(|activity| activity.status == ActivityStatus::Runs && !is_there(activity)).count();
        unplaced + launches
    }

    /// Gives up what has been awaited for too long.
    pub(super) fn judge_bounds(&mut self, facts: &Facts, policy: &Policy, now: Timestamp) -> Vec<Note> {
        let mut notes = Vec::new();
        let rules = policy.rules;
        for (id, machine) in self.machines.clone() {
            let trouble = match machine.place {
                Place::Unplaced if now >= machine.since + rules.asks_within => Trouble::NeverAsked,
                Place::Node { up: false, .. } if now >= machine.since + rules.registers_within => Trouble::NeverRegistered,
                _ => continue,
            };
            let node = match machine.place {
                Place::Node { name, .. } => Some(name),
                // Whose machine it would have been: the last that waits gets none.
                _ => self.waiting(machine.group, policy.sizes).last(),
            };
            self.machines.insert(id, Machine { place: Place::Ending, since: now, ..machine });
            notes.extend(self.fail(node, machine.group, trouble, policy, now));
        }
        for (group, of) in &facts.groups {
            let group = *group;
            let waiting: Vec<NodeName> = self.waiting(group, policy.sizes).collect();
            let coming = self.coming(group, of);
            let late = |node: &&NodeName| self.wanted.get(*node).is_some_and(|since| now >= *since + rules.launches_within);
            for node in waiting.iter().skip(coming).filter(late).copied().collect::<Vec<_>>() {
                notes.extend(self.fail(Some(node), group, Trouble::NotLaunched, policy, now));
            }
        }
        notes
    }

    fn fail(&mut self, node: Option<NodeName>, group: Group, trouble: Trouble, policy: &Policy, now: Timestamp) -> Vec<Note> {
        let failure = Failure::new(group, trouble, "");
        let resting = self.health.entry(group).or_default().note(failure.clone(), policy.rules, now);
        let nodes: Vec<NodeName> = node.into_iter().collect();
        self.give_up(&nodes, &failure, policy, now);
        let failed = (!nodes.is_empty()).then_some(Note::Failed { nodes, failure });
        failed.into_iter().chain(resting).collect()
    }
}

impl Health {
    /// Counts a failure. Gives what is reported where the group rests for long from now on.
    fn note(&mut self, failure: Failure, rules: Rules, now: Timestamp) -> Option<Note> {
        let is_same = self.last.as_ref().is_some_and(|last| last.trouble == failure.trouble);
        self.in_a_row = if is_same { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(failure.clone());
        let rest = Note::Resting { failure, in_a_row: self.in_a_row, rest: rules.rest, until: now + rules.rest };
        (self.in_a_row >= rules.failures_max).then_some(rest)
    }
}

/// How many machines of a group live or are being launched.
pub(super) fn living(facts: &GroupFacts) -> u32 {
    let machines = facts.machines.values().filter(|life| **life == Life::Lives).count();
    count(machines)
}
