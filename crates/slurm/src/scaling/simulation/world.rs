//! The world of a simulation: its clock, its chance, its parts, and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::agent::Agent;
use super::aws::Asg;
use super::slurm::Slurm;
use crate::group::{Group, Sizes};
use crate::scaling::{Place, Policy, Rules};

/// Seconds of trouble, and then at most so many until all is well.
const TROUBLE: u32 = 5_400;
const CALM_MAX: u32 = 28_800;

/// Seconds within which such capacity is withdrawn, with some calls that fail.
const LEFT_OVER_MAX: u32 = 60;

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Capacity that no machine fills is never taken back.
    NeverWithdraws,
    /// A machine gets its answer before the book is on the disk.
    AnswersBeforeItWrites,
    /// The other group's machines are not counted against the maximum.
    CountsOneGroup,
    /// Machines are ended by lowering the capacity.
    LetsAwsChoose,
    /// What Slurm shows is not read: a call that was lost stays lost.
    ForgetsLostCalls,
    /// Names that failed are never opened again.
    NeverReopens,
}

impl Flaw {
    pub const ALL: [Self; 6] = [
        Self::NeverWithdraws,
        Self::AnswersBeforeItWrites,
        Self::CountsOneGroup,
        Self::LetsAwsChoose,
        Self::ForgetsLostCalls,
        Self::NeverReopens,
    ];
}

/// What went wrong, in words.
pub type Problem = String;

/// All of it.
pub struct World {
    pub chance: StdRng,
    pub now: Timestamp,
    pub policy: Policy,
    pub groups: BTreeMap<Group, Asg>,
    pub slurm: Slurm,
    pub agent: Agent,
    /// Whether things may go wrong.
    pub trouble: bool,
    pub flaw: Option<Flaw>,
    /// For how many seconds, with an agent that is there, a group has had capacity that nobody wants.
    left_over: BTreeMap<Group, u32>,
    /// What happened, for who reads a failure.
    pub log: Vec<String>,
}

impl World {
    pub fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let spot = chance.random_range(0..6);
        let on_demand = chance.random_range(if spot == 0 { 1..6 } else { 0..6 });
        let maximum = chance.random_range(1..=spot + on_demand);
        let sizes = Sizes { maximum, spot, on_demand };
        let fixed = flaw.is_none() && chance.random_bool(0.1);
        let policy = Policy { sizes, initial: chance.random_range(0..=maximum), fixed, frozen: false, rules: Rules::default() };
        Self {
            now: "2026-11-28T12:00:00Z".parse().unwrap(),
            groups: Group::ALL.map(|group| (group, Asg::default())).into(),
            slurm: Slurm::new(&policy),
            agent: Agent::default(),
            trouble: true,
            left_over: BTreeMap::new(),
            log: Vec::new(),
            chance,
            policy,
            flaw,
        }
    }

    /// Trouble, then calm. In the end nothing is left, or the fixed size is there.
    pub fn live(mut self) -> Result<(), Problem> {
        for _ in 0..TROUBLE {
            self.second()?;
        }
        self.calm();
        for _ in 0..CALM_MAX {
            self.second()?;
            if self.is_at_rest() {
                return self.check_nothing_is_called_for();
            }
        }
        Err(self.problem("it does not come to rest"))
    }

    /// Every launch fails for good.
    pub fn live_without_capacity(mut self) -> Result<(), Problem> {
        self.trouble = false;
        self.policy.fixed = false;
        for group in self.groups.values_mut() {
            group.outage = Some("Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity.");
        }
        self.slurm.submit(1, 60);
        let mut reasons = BTreeSet::new();
        for _ in 0..3_600 {
            self.second()?;
            reasons.extend(self.slurm.nodes.values().filter_map(|node| node.facts.ours().map(str::to_owned)));
        }
        let groups = Group::ALL.into_iter().filter(|group| self.policy.sizes.of(*group) > 0);
        for group in groups {
            if !reasons.contains(&format!("{group} had no capacity")) {
                return Err(self.problem(&format!("{group} failed and nobody said so: {reasons:?}")));
            }
        }
        let tries = self.groups.values().map(|group| group.activities.len()).max().unwrap_or(0);
        if tries > 40 { Err(self.problem(&format!("it tried {tries} times in an hour"))) } else { Ok(()) }
    }

    fn calm(&mut self) {
        self.trouble = false;
        self.policy.frozen = false;
        self.agent.hears_of_the_switch(self.now);
        for group in self.groups.values_mut() {
            group.outage = None;
        }
        self.log.push("calm".to_owned());
    }

    fn second(&mut self) -> Result<(), Problem> {
        self.now += std::time::Duration::from_secs(1);
        self.step_aws();
        self.step_machines();
        self.step_slurm();
        self.step_root();
        self.step_agent();
        self.check_left_over()?;
        self.check()
    }

    /// Root freezes the size, and lets it go again.
    fn step_root(&mut self) {
        let seconds = if self.policy.frozen { 300 } else { 2_000 };
        if self.strikes(seconds) {
            self.policy.frozen = !self.policy.frozen;
            self.note(&format!("frozen: {}", self.policy.frozen));
            self.agent.hears_of_the_switch(self.now);
        }
    }

    /// Capacity that neither a machine fills nor Slurm wants would start a machine hours later, unasked.
    fn check_left_over(&mut self) -> Result<(), Problem> {
        for (group, of) in &self.groups {
            let wanted = self.agent.disk.wanted_of(*group, self.policy.sizes);
            let is_left = of.desired > wanted.max(of.living()) && !self.agent.is_away(self.now);
            let seconds = self.left_over.entry(*group).or_default();
            *seconds = if is_left { *seconds + 1 } else { 0 };
        }
        let late = self.left_over.iter().find(|(_, seconds)| **seconds > LEFT_OVER_MAX).map(|(group, _)| *group);
        late.map_or(Ok(()), |group| Err(self.problem(&format!("{group} is left with capacity that nobody wants"))))
    }

    fn check(&self) -> Result<(), Problem> {
        let sizes = self.policy.sizes;
        let desired: u32 = self.groups.values().map(|group| group.desired).sum();
        if desired > sizes.maximum || self.groups.iter().any(|(group, of)| of.desired > sizes.of(*group)) {
            return Err(self.problem("more are desired than the maximum"));
        }
        if let Some(victim) = self.groups.values().find_map(|group| group.victim.as_ref()) {
            return Err(self.problem(&format!("Auto Scaling chose {victim} to end")));
        }
        if let Some(renamed) = &self.agent.renamed {
            return Err(self.problem(renamed));
        }
        if let Some(unasked) = &self.agent.unasked {
            return Err(self.problem(&format!("{unasked} were asked for, and Slurm wanted fewer")));
        }
        let mut named = BTreeSet::new();
        for machine in self.groups.values().flat_map(|group| group.machines.values()).filter(|machine| machine.lives()) {
            let id = machine.id.as_str();
            let is_ending = self.agent.disk.machines().any(|(known, _, place)| known == id && *place == Place::Ending);
            if let Some(node) = machine.node.filter(|_| !is_ending)
                && !named.insert(node)
            {
                return Err(self.problem(&format!("{node} is two machines")));
            }
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        let machines: usize = self.groups.values().map(|group| group.machines.len()).sum();
        let expected = if self.policy.fixed { self.policy.sizes.maximum } else { 0 };
        let desired: u32 = self.groups.values().map(|group| group.desired).sum();
        let jobs_ran = self.slurm.jobs.is_empty();
        jobs_ran && self.agent.sleeps() && u32::try_from(machines) == Ok(expected) && desired == expected && self.doors_are_right()
    }

    fn doors_are_right(&self) -> bool {
        let is_full = self.policy.fixed;
        self.slurm.nodes.values().all(|node| is_full || node.facts.reason.is_none())
    }

    fn check_nothing_is_called_for(&self) -> Result<(), Problem> {
        let wanted: Vec<NodeName> = self.agent.disk.wanted().collect();
        let on: Vec<NodeName> = self.slurm.on().collect();
        if wanted == on { Ok(()) } else { Err(self.problem(&format!("{wanted:?} are wanted and {on:?} are there"))) }
    }

    pub fn problem(&self, what: &str) -> Problem {
        let last = self.log.len().saturating_sub(60);
        format!("{what}\nat {} with {:?}\n{}\n{:#?}", self.now, self.policy.sizes, self.log[last..].join("\n"), self.slurm.jobs)
    }

    pub fn note(&mut self, what: &str) {
        self.log.push(format!("{:.0} {what}", self.now));
    }

    /// Once in so many seconds, while there is trouble.
    pub fn strikes(&mut self, seconds: u32) -> bool {
        self.trouble && self.chance.random_ratio(1, seconds)
    }
}
