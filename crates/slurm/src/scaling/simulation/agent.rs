//! The agent of a simulation: it hears calls, reads, passes and carries out, and ends between any two of these.

use std::collections::BTreeSet;
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use rand::RngExt;

use super::slurm::Call;
use super::world::{Flaw, World};
use crate::group::Group;
use crate::scaling::{Answer, Book, Effect, Facts, Power, pass};

#[derive(Debug, Default)]
pub struct Agent {
    /// The book as it is on the disk.
    pub disk: Book,
    /// When it passes next.
    passes_at: Option<Timestamp>,
    /// A reading that has begun and is not decided on yet.
    reading: Option<Facts>,
    /// Capacity that it asked for and Slurm did not.
    pub unasked: Option<String>,
    /// A machine that it called another node before.
    pub renamed: Option<String>,
    /// It is not there until then.
    away_until: Option<Timestamp>,
}

impl Agent {
    /// Whether it is not there.
    pub fn is_away(&self, now: Timestamp) -> bool {
        self.away_until.is_some_and(|until| until > now)
    }

    /// The switch is on the disk: an agent that is away reads it when it comes back.
    pub fn hears_of_the_switch(&mut self, now: Timestamp) {
        self.passes_at = Some(now);
    }

    /// Whether nothing is awaited.
    pub fn sleeps(&self) -> bool {
        self.passes_at.is_none() && self.reading.is_none() && self.away_until.is_none()
    }
}

impl World {
    pub fn step_agent(&mut self) {
        let now = self.now;
        if self.agent.is_away(now) {
            if self.strikes(3) {
                // The program that Slurm called has given up; its call is lost.
                self.slurm.calls.pop_front();
            }
            return;
        }
        if self.agent.away_until.take().is_some() || self.agent.disk == Book::default() {
            self.agent.passes_at = Some(now);
        }
        self.hear();
        if self.strikes(400) {
            self.interrupt();
        }
        let misses = |(name, node): (&NodeName, &super::slurm::Node)| {
            node.facts.power == Power::Silent && self.agent.disk.wanted().any(|wanted| wanted == *name)
        };
        let looks = now.as_second() % 20 == 0 && self.slurm.nodes.iter().any(misses);
        match self.agent.reading.take() {
            Some(facts) => self.decide(&facts),
            None if looks || self.agent.passes_at.is_some_and(|at| at <= now) => self.read(),
            None => {}
        }
    }

    fn hear(&mut self) {
        let now = self.now;
        while let Some(call) = self.slurm.calls.pop_front() {
            self.log.push(format!("{now:.0} {call:?}"));
            match call {
                Call::Resume(nodes) => self.agent.disk.resume(&nodes, &self.policy, now),
                Call::Suspend(nodes) => self.agent.disk.suspend(&nodes, now),
                Call::ResumeFailed(nodes) => self.agent.disk.resume_failed(&nodes, &self.policy, now),
            }
            self.agent.passes_at = Some(now);
            if self.strikes(8) {
                return self.end_agent();
            }
        }
    }

    fn read(&mut self) {
        let groups = self.groups.iter().map(|(group, of)| (*group, of.facts())).collect();
        let nodes = self.slurm.nodes.iter().map(|(name, node)| (*name, node.facts.clone())).collect();
        self.agent.reading = Some(Facts { at: self.now, groups, nodes });
        self.agent.passes_at = None;
    }

    fn decide(&mut self, facts: &Facts) {
        let mut facts = facts.clone();
        if self.flaw == Some(Flaw::ForgetsLostCalls) {
            facts.nodes.clear();
        }
        let decision = pass(&self.agent.disk, &facts, &self.policy, self.now);
        self.agent.disk = decision.book;
        self.agent.passes_at = decision.again.map(|wait| self.now + wait);
        for effect in decision.effects {
            if self.strikes(25) {
                return self.end_agent();
            }
            if self.strikes(25) {
                self.note(&format!("throttled: {effect}"));
                return;
            }
            self.log.push(format!("{:.0}   {effect}", self.now));
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let now = self.now;
        let grows = |group: Group, desired| desired > self.groups[&group].desired;
        if self.policy.frozen && matches!(effect, Effect::End { .. } | Effect::PowerUp { .. })
            || matches!(effect, Effect::SetDesired { group, desired } if self.policy.frozen && grows(group, desired))
        {
            self.agent.unasked = Some(format!("while the size was frozen: {effect}"));
        }
        match effect {
            Effect::End { group, .. } if self.flaw == Some(Flaw::LetsAwsChoose) => {
                let desired = self.groups[&group].desired.saturating_sub(1);
                self.set_desired(group, desired);
            }
            Effect::End { group, machine } => self.end_machine(group, &machine),
            Effect::SetDesired { group, desired } => {
                let is_lower = desired < self.groups[&group].desired;
                let wanted = self.agent.disk.wanted().filter(|node| self.policy.sizes.group_of(*node) == Some(group)).count();
                let wanted = u32::try_from(wanted).unwrap();
                let is_unasked = !is_lower && desired > wanted;
                self.agent.unasked = self.agent.unasked.take().or_else(|| is_unasked.then(|| format!("{desired} of {group}")));
                match self.flaw {
                    Some(Flaw::NeverWithdraws) if is_lower => {}
                    Some(Flaw::CountsOneGroup) if !is_lower => self.set_desired(group, wanted + 1),
                    _ => self.set_desired(group, desired),
                }
            }
            Effect::Close { nodes, why } => self.close(&nodes, &why.to_string(), true),
            Effect::Drain { nodes, why } => self.close(&nodes, &why.to_string(), false),
            Effect::Requeue { nodes } => nodes.into_iter().for_each(|node| self.slurm.requeue(node)),
            Effect::Open { .. } | Effect::Reset { .. } if self.flaw == Some(Flaw::NeverReopens) => {}
            Effect::Open { nodes } => {
                for node in nodes {
                    self.slurm.nodes.get_mut(&node).unwrap().facts.reason = None;
                }
            }
            Effect::Reset { nodes } => nodes.into_iter().for_each(|node| self.slurm.set(node, Power::Stopping, now)),
            Effect::PowerUp { nodes } => {
                let off = |node: &NodeName| self.slurm.nodes[node].facts.power == Power::Off;
                let names: BTreeSet<NodeName> = nodes.into_iter().filter(off).collect();
                self.slurm.start(names, now);
            }
            Effect::Report(_) => {}
        }
    }

    fn close(&mut self, nodes: &[NodeName], why: &str, requeues: bool) {
        for node in nodes {
            self.slurm.nodes.get_mut(node).unwrap().facts.reason = Some(format!("{}{why}", crate::scaling::OURS));
            if requeues {
                self.slurm.requeue(*node);
            }
        }
    }

    pub fn machine_asks(&mut self, group: Group, id: &str) {
        if self.agent.is_away(self.now) {
            return;
        }
        let mut book = self.agent.disk.clone();
        let answer = book.ask(id, group, &self.policy, self.now);
        self.note(&format!("{id} asks: {answer:?}"));
        let is_lost = self.flaw == Some(Flaw::AnswersBeforeItWrites) && self.chance.random_bool(0.2);
        if !is_lost {
            self.agent.disk = book;
        }
        self.agent.passes_at = Some(self.now);
        let machine = self.groups.get_mut(&group).unwrap().machines.get_mut(id).unwrap();
        if let (Some(before), Answer::Node(node)) = (machine.node, &answer)
            && before != *node
        {
            self.agent.renamed = Some(format!("{id} was {before} and is {node}"));
        }
        match answer {
            Answer::Node(node) => machine.node = Some(node),
            Answer::TooLate => machine.asks_at = None,
        }
    }

    /// EC2 takes a spot machine back in two minutes.
    fn interrupt(&mut self) {
        let dies = self.now + Duration::from_mins(2);
        let Some(machine) = self.groups.get_mut(&Group::Spot).unwrap().machines.values_mut().find(|machine| machine.lives()) else {
            return;
        };
        machine.dies_at = Some(dies);
        let id = machine.id.clone();
        self.agent.disk.interrupted(&id);
        self.agent.passes_at = Some(self.now);
        self.note(&format!("{id} is interrupted"));
    }

    fn end_agent(&mut self) {
        self.note("the agent ends");
        self.agent.reading = None;
        self.agent.away_until = Some(self.now + Duration::from_secs(self.chance.random_range(3..60)));
    }
}
