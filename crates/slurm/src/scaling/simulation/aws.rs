//! A small Auto Scaling: it launches up to the desired capacity, one activity a machine, tries again where it fails, and ends a machine
//! of its own choice where there are too many, which must never happen.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::world::World;
use crate::group::Group;
use crate::scaling::{Activity, ActivityStatus, GroupFacts, Life};

/// What EC2 answers on a bad day.
const OUTAGES: [&str; 4] = [
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request configuration.",
    "Max spot instance count exceeded. Launching EC2 instance failed.",
    "Your Spot request price of 0.1 is lower than the minimum required Spot request fulfillment price of 0.2.",
    "Client.InternalError: Client error on launch.",
];

#[derive(Debug, Default)]
pub struct Asg {
    pub desired: u32,
    pub machines: BTreeMap<String, Machine>,
    pub activities: Vec<Activity>,
    /// What launches fail with now.
    pub outage: Option<&'static str>,
    /// What Auto Scaling has ended by itself.
    pub victim: Option<String>,
    tries_at: Option<Timestamp>,
}

#[derive(Debug)]
pub struct Machine {
    pub id: String,
    pub launched_at: Timestamp,
    /// When it asks, if it ever does.
    pub asks_at: Option<Timestamp>,
    /// What the login node answered.
    pub node: Option<NodeName>,
    /// When it registers, if it ever does.
    pub registers_at: Option<Timestamp>,
    /// When it dies by itself.
    pub dies_at: Option<Timestamp>,
    /// When it is gone, once it was told to end.
    pub gone_at: Option<Timestamp>,
}

impl Machine {
    pub fn lives(&self) -> bool {
        self.gone_at.is_none()
    }
}

impl Asg {
    pub fn facts(&self) -> GroupFacts {
        let life = |machine: &Machine| if machine.lives() { Life::Lives } else { Life::Ends };
        let machines = self.machines.iter().map(|(id, machine)| (id.clone(), life(machine))).collect();
        let activities = self.activities.iter().rev().take(20).cloned().collect();
        GroupFacts { desired: self.desired, machines, activities }
    }

    pub fn living(&self) -> u32 {
        u32::try_from(self.machines.values().filter(|machine| machine.lives()).count()).unwrap()
    }
}

impl World {
    pub fn step_aws(&mut self) {
        for group in Group::ALL {
            if self.strikes(600) {
                let outage = self.chance.random_bool(0.6).then(|| OUTAGES.choose(&mut self.chance).copied().unwrap());
                self.note(&format!("{group} outage: {outage:?}"));
                self.groups.get_mut(&group).unwrap().outage = outage;
            }
            self.launch(group);
            let of = self.groups.get_mut(&group).unwrap();
            let now = self.now;
            of.machines.retain(|_, machine| machine.gone_at.is_none_or(|at| at > now) && machine.dies_at.is_none_or(|at| at > now));
            // A launch is over some time after its machine has started.
            for activity in
                of.activities.iter_mut().filter(|a| a.status == ActivityStatus::Runs && a.began + Duration::from_secs(100) <= now)
            {
                activity.status = ActivityStatus::Succeeded;
            }
            let read_at = self.agent.disk.read_at;
            while of.living() > of.desired {
                // What was launched between the reading and the call nobody can know: then, and only then, the choice is AWS's.
                let is_race = of.machines.values().any(|machine| machine.lives() && read_at.is_none_or(|at| machine.launched_at >= at));
                let oldest = of.machines.values_mut().filter(|machine| machine.lives()).min_by_key(|machine| machine.launched_at).unwrap();
                oldest.gone_at = Some(now + Duration::from_secs(10));
                if !is_race {
                    of.victim = Some(oldest.id.clone());
                }
            }
        }
    }

    fn launch(&mut self, group: Group) {
        let now = self.now;
        let of = &self.groups[&group];
        let (missing, outage) = (of.desired.saturating_sub(of.living()), of.outage);
        if missing == 0 || of.tries_at.is_some_and(|at| at > now) {
            return;
        }
        // A group that fails records one activity for all that it lacks, as AWS does.
        let count = if outage.is_some() { 1 } else { missing };
        for _ in 0..count {
            let number = self.groups.values().map(|of| of.activities.len()).sum::<usize>();
            let status = if outage.is_some() { ActivityStatus::Failed } else { ActivityStatus::Runs };
            let message = outage.unwrap_or_default().to_owned();
            let machine = outage.is_none().then(|| format!("i-{number}"));
            let activity = Activity { id: format!("a-{number}"), began: now, status, message, machine };
            let machine = outage.is_none().then(|| self.machine(format!("i-{number}")));
            let of = self.groups.get_mut(&group).unwrap();
            of.activities.push(activity);
            of.machines.extend(machine.map(|machine| (machine.id.clone(), machine)));
        }
        let wait = self.chance.random_range(2..40);
        self.groups.get_mut(&group).unwrap().tries_at = Some(now + Duration::from_secs(wait));
        self.note(&format!("{group}: {count} launched, outage {outage:?}"));
    }

    fn machine(&mut self, id: String) -> Machine {
        let mut after = |from, to| self.now + Duration::from_secs(self.chance.random_range(from..to));
        let (mut asks_at, mut registers_at, mut dies_at) = (Some(after(20, 90)), Some(after(95, 160)), None);
        if self.trouble {
            let late = after(400, 1_500);
            let dies = after(10, 2_000);
            match self.chance.random_range(0..20) {
                0 => asks_at = None,
                1 => registers_at = None,
                2 | 3 => (asks_at, registers_at) = (Some(late), Some(late + Duration::from_mins(1))),
                4..7 => dies_at = Some(dies),
                _ => {}
            }
        }
        Machine { id, launched_at: self.now, asks_at, node: None, registers_at, dies_at, gone_at: None }
    }

    /// SetDesiredCapacity.
    pub fn set_desired(&mut self, group: Group, desired: u32) {
        self.note(&format!("{group} desired {desired}"));
        let of = self.groups.get_mut(&group).unwrap();
        of.desired = desired.min(self.policy.sizes.of(group));
        of.tries_at = None;
    }

    /// TerminateInstanceInAutoScalingGroup. One that ends already is no error to the agent, and nothing is decremented twice.
    pub fn end_machine(&mut self, group: Group, id: &str) {
        self.note(&format!("{group} end {id}"));
        let gone = self.now + Duration::from_secs(self.chance.random_range(5..40));
        let of = self.groups.get_mut(&group).unwrap();
        if let Some(machine) = of.machines.get_mut(id).filter(|machine| machine.lives()) {
            machine.gone_at = Some(gone);
            of.desired = of.desired.saturating_sub(1);
        }
    }
}
