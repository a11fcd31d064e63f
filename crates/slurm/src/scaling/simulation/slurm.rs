//! A small Slurm: jobs that take nodes, lightest first; power saving as it calls its programs; nodes that are set down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use rand::RngExt;

use super::world::World;
use crate::scaling::{NodeFacts, Policy, Power};

const IDLE: Duration = Duration::from_mins(2);
const SUSPEND: Duration = Duration::from_secs(40);
const RESUME: Duration = Duration::from_mins(25);
const SILENT: Duration = Duration::from_mins(1);

/// What Slurm calls.
#[derive(Debug, Clone)]
pub enum Call {
    Resume(BTreeSet<NodeName>),
    Suspend(BTreeSet<NodeName>),
    ResumeFailed(BTreeSet<NodeName>),
}

#[derive(Debug, Default)]
pub struct Slurm {
    pub nodes: BTreeMap<NodeName, Node>,
    pub jobs: Vec<Job>,
    /// Calls that the agent has not heard yet.
    pub calls: VecDeque<Call>,
}

#[derive(Debug)]
pub struct Node {
    pub facts: NodeFacts,
    /// Since when its power is so, or since when it is idle.
    pub since: Timestamp,
    /// The machine that registered.
    pub machine: Option<String>,
}

#[derive(Debug)]
pub struct Job {
    size: usize,
    seconds: u64,
    nodes: BTreeSet<NodeName>,
    /// When it ends, once it runs.
    ends_at: Option<Timestamp>,
}

impl Slurm {
    pub fn new(policy: &Policy) -> Self {
        let since = Timestamp::UNIX_EPOCH;
        let node = |name| (name, Node { facts: NodeFacts::default(), since, machine: None });
        Self { nodes: policy.sizes.all_nodes().map(node).collect(), ..Self::default() }
    }

    pub fn submit(&mut self, size: usize, seconds: u64) {
        self.jobs.push(Job { size, seconds, nodes: BTreeSet::new(), ends_at: None });
    }

    pub fn on(&self) -> impl Iterator<Item = NodeName> {
        self.nodes.iter().filter(|(_, node)| node.facts.power == Power::On).map(|(name, _)| *name)
    }

    fn is_taken(&self, name: NodeName) -> bool {
        self.jobs.iter().any(|job| job.nodes.contains(&name))
    }

    /// The jobs of a node that is not to be had any more start again.
    pub fn requeue(&mut self, name: NodeName) {
        for job in self.jobs.iter_mut().filter(|job| job.nodes.contains(&name)) {
            (job.nodes, job.ends_at) = (BTreeSet::new(), None);
        }
    }

    pub fn set(&mut self, name: NodeName, power: Power, now: Timestamp) {
        let node = self.nodes.get_mut(&name).unwrap();
        (node.facts.power, node.since) = (power, now);
        if matches!(power, Power::Off | Power::Stopping) {
            node.machine = None;
        }
    }

    fn schedule(&mut self, now: Timestamp) {
        let free = |node: &Node| matches!(node.facts.power, Power::Off | Power::On) && node.facts.reason.is_none();
        let mut starting = BTreeSet::new();
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            if !job.nodes.is_empty() {
                continue;
            }
            let free = self.nodes.iter().filter(|(name, node)| free(node) && !self.is_taken(**name)).map(|(name, _)| *name);
            let taken: BTreeSet<NodeName> = free.take(job.size).collect();
            if taken.len() == job.size {
                starting.extend(taken.iter().filter(|name| self.nodes[*name].facts.power == Power::Off).copied());
                self.jobs[index].nodes = taken;
            }
        }
        self.start(starting, now);
    }

    pub fn start(&mut self, names: BTreeSet<NodeName>, now: Timestamp) {
        for name in &names {
            self.set(*name, Power::Starting, now);
        }
        if !names.is_empty() {
            self.calls.push_back(Call::Resume(names));
        }
    }

    fn run(&mut self, now: Timestamp) {
        let ready: BTreeSet<NodeName> = self.on().collect();
        for job in self.jobs.iter_mut().filter(|job| !job.nodes.is_empty() && job.ends_at.is_none() && job.nodes.is_subset(&ready)) {
            job.ends_at = Some(now + Duration::from_secs(job.seconds));
        }
        for node in self.jobs.iter().filter(|job| job.ends_at.is_some_and(|at| at <= now)).flat_map(|job| &job.nodes) {
            self.nodes.get_mut(node).unwrap().since = now;
        }
        self.jobs.retain(|job| job.ends_at.is_none_or(|at| at > now));
    }

    fn save_power(&mut self, keeps: bool, now: Timestamp) {
        let (mut idle, mut late) = (BTreeSet::new(), BTreeSet::new());
        for (name, node) in &self.nodes {
            let since = |bound| now >= node.since + bound;
            match node.facts.power {
                Power::On | Power::Silent if !keeps && since(IDLE) && !self.is_taken(*name) => _ = idle.insert(*name),
                Power::Starting if since(RESUME) => _ = late.insert(*name),
                _ => {}
            }
        }
        for name in &idle {
            self.set(*name, Power::Stopping, now);
        }
        for name in &late {
            self.set(*name, Power::Off, now);
            self.nodes.get_mut(name).unwrap().facts.reason = Some("ResumeTimeout reached [slurm@now]".to_owned());
            self.requeue(*name);
        }
        self.calls.extend((!idle.is_empty()).then_some(Call::Suspend(idle)));
        self.calls.extend((!late.is_empty()).then_some(Call::ResumeFailed(late)));
        for node in self.nodes.values_mut().filter(|node| node.facts.power == Power::Stopping && now >= node.since + SUSPEND) {
            // idle_on_node_suspend
            node.facts = NodeFacts::default();
        }
    }
}

impl World {
    pub fn step_slurm(&mut self) {
        if self.strikes(150) {
            let size = self.chance.random_range(1..=self.policy.sizes.maximum);
            let seconds = self.chance.random_range(1..600);
            self.note(&format!("a job of {size} for {seconds} s"));
            self.slurm.submit(usize::try_from(size).unwrap(), seconds);
        }
        let now = self.now;
        self.slurm.schedule(now);
        self.slurm.run(now);
        self.slurm.save_power(self.policy.fixed || self.policy.frozen, now);
        self.miss_machines();
    }

    /// A node whose machine is gone is silent after a while, and its jobs start again.
    fn miss_machines(&mut self) {
        let living: BTreeSet<String> =
            self.groups.values().flat_map(|group| group.machines.values()).filter(|m| m.lives()).map(|m| m.id.clone()).collect();
        let is_gone = |node: &Node| node.machine.as_ref().is_some_and(|machine| !living.contains(machine));
        let gone: Vec<NodeName> = self.slurm.nodes.iter().filter(|(_, node)| is_gone(node)).map(|(name, _)| *name).collect();
        for name in gone {
            let node = self.slurm.nodes.get_mut(&name).unwrap();
            node.machine = None;
            if node.facts.power == Power::On {
                (node.facts.power, node.since) = (Power::Silent, self.now + SILENT);
                self.slurm.requeue(name);
                self.note(&format!("{name} is silent"));
            }
        }
    }

    /// Machines ask, and register.
    pub fn step_machines(&mut self) {
        let now = self.now;
        let machines = self.groups.iter().flat_map(|(group, of)| of.machines.values().map(move |machine| (*group, machine)));
        let due = machines.filter(|(_, machine)| machine.lives());
        let due: Vec<_> =
            due.map(|(group, m)| (group, m.id.clone(), m.asks_at.is_some_and(|at| at <= now), m.node, m.registers_at)).collect();
        for (group, id, asks, node, registers_at) in due {
            match node {
                None if asks => self.machine_asks(group, &id),
                // It has restarted, or its answer was lost.
                Some(_) if asks && self.strikes(1_000) => self.machine_asks(group, &id),
                Some(node) if registers_at.is_some_and(|at| at <= now) => {
                    let shown = self.slurm.nodes.get_mut(&node).unwrap();
                    if shown.machine.is_none() && matches!(shown.facts.power, Power::Starting | Power::Silent) {
                        (shown.facts.power, shown.since, shown.machine) = (Power::On, now, Some(id));
                        // ReturnToService=2, but who was drained stays so.
                        shown.facts.reason = shown.facts.reason.take().filter(|reason| reason.contains("takes this spot machine back"));
                    }
                }
                _ => {}
            }
        }
    }
}
