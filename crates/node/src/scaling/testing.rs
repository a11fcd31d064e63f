//! A cluster in memory for the tests: Auto Scaling groups and Slurm, behind [`Outside`], and a clock that the test moves. Slurm is asked
//! and answers as its programs do: by their arguments, and by JSON.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cf_slurm::group::{Group, Sizes};
use cf_slurm::host_list;
use cf_slurm::scaling::{Activity, ActivityStatus, GroupFacts, Life, Policy, Power, Rules};
use jiff::Timestamp;

use super::keeper::Keeper;
use super::outside::Outside;
use super::scaler::{Passed, Scaler};
use crate::cloud::CloudError;
use crate::node::{Layout, NodeName};
use crate::request::{Asks, Refusal};

pub const NO_CAPACITY: &str =
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity. Launching EC2 instance failed.";

thread_local! {
    static NOW: Cell<Timestamp> = Cell::new("2026-11-28T12:00:00Z".parse().unwrap());
}

/// The test's clock.
pub fn clock() -> Timestamp {
    NOW.get()
}

pub fn later(time: Duration) {
    NOW.set(clock() + time);
}

/// AWS and Slurm.
#[derive(Debug, Default)]
pub struct World(Mutex<State>);

#[derive(Debug, Default)]
pub struct State {
    pub groups: BTreeMap<Group, Asg>,
    pub nodes: BTreeMap<NodeName, SlurmNode>,
    /// Jobs that run, by their ids.
    pub jobs: BTreeMap<u64, BTreeSet<NodeName>>,
    /// Jobs that Slurm was told to requeue.
    pub requeued: BTreeSet<u64>,
    /// What Slurm leaves running however idle.
    pub stays: String,
    /// The calls of AWS, one a line.
    pub calls: Vec<String>,
    /// What the next calls of this name are answered, before they are carried out.
    pub refusals: BTreeMap<&'static str, Vec<CloudError>>,
    /// Whether slurmctld does not answer.
    pub is_slurm_away: bool,
    /// Whether EC2 takes this machine back.
    pub interruption: Option<String>,
    /// Nodes that Slurm powers up and has not called for yet.
    powered_up: BTreeSet<NodeName>,
}

#[derive(Debug, Default)]
pub struct Asg {
    pub desired: u32,
    /// What was desired at most.
    pub desired_max: u32,
    pub machines: BTreeMap<String, Life>,
    pub activities: Vec<Activity>,
    /// What launches fail with.
    pub outage: Option<&'static str>,
}

#[derive(Debug, Default)]
pub struct SlurmNode {
    pub power: Power,
    pub reason: Option<String>,
    pub is_drained: bool,
}

impl SlurmNode {
    fn states(&self) -> Vec<&'static str> {
        let power: &[&str] = match self.power {
            Power::Off => &["CLOUD", "POWERED_DOWN"],
            Power::Starting => &["CLOUD", "NOT_RESPONDING", "POWERING_UP"],
            Power::On => &["CLOUD"],
            Power::Silent => &["CLOUD", "NOT_RESPONDING"],
            Power::Stopping => &["CLOUD", "POWERING_DOWN"],
        };
        let state: &[&str] = match (&self.reason, self.is_drained) {
            (None, _) => &["IDLE"],
            (Some(_), false) => &["DOWN"],
            (Some(_), true) => &["IDLE", "DRAIN"],
        };
        [state, power].concat()
    }
}

impl World {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn call(&self, name: &'static str, line: String) -> Result<MutexGuard<'_, State>, CloudError> {
        let mut state = self.state();
        state.calls.push(line);
        match state.refusals.get_mut(name).filter(|refusals| !refusals.is_empty()) {
            Some(refusals) => Err(refusals.remove(0)),
            None => Ok(state),
        }
    }
}

impl Outside for World {
    async fn groups(&self, groups: &[Group]) -> Result<BTreeMap<Group, GroupFacts>, CloudError> {
        let state = self.call("describe", "describe groups".to_owned())?;
        let facts = |group: &Group| {
            let of = state.groups.get(group).ok_or(CloudError::Missing(format!("{group}")))?;
            Ok((*group, GroupFacts { desired: of.desired, machines: of.machines.clone(), activities: Vec::new() }))
        };
        groups.iter().map(facts).collect()
    }

    async fn activities(&self, group: Group) -> Result<Vec<Activity>, CloudError> {
        Ok(self.call("activities", format!("describe activities of {group}"))?.groups[&group].activities.clone())
    }

    async fn set_desired(&self, group: Group, desired: u32) -> Result<(), CloudError> {
        let mut state = self.call("set", format!("set {group} {desired}"))?;
        let of = state.groups.get_mut(&group).unwrap();
        (of.desired, of.desired_max) = (desired, of.desired_max.max(desired));
        Ok(())
    }

    async fn end_machine(&self, machine: &str) -> Result<(), CloudError> {
        let mut state = self.call("end", format!("end {machine}"))?;
        for of in state.groups.values_mut() {
            if let Some(life) = of.machines.get_mut(machine) {
                *life = Life::Ends;
                of.desired -= 1;
            }
        }
        Ok(())
    }

    async fn interruption(&self) -> Result<Option<String>, CloudError> {
        Ok(self.call("interruption", "interruption".to_owned())?.interruption.clone())
    }

    async fn slurm(&self, program: &str, arguments: &[String]) -> Result<String, String> {
        let mut state = self.state();
        if state.is_slurm_away {
            return Err(format!("{program} ended with exit code 1: Unable to contact slurm controller (connect failure)"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match (program, arguments.as_slice()) {
            ("scontrol", ["--json", "show", "nodes"]) => Ok(state.show_nodes()),
            ("squeue", ["--json", ..]) => Ok(state.show_jobs()),
            ("scontrol", ["requeue", jobs]) => {
                state.requeued.extend(jobs.split(',').map(|job| job.parse::<u64>().unwrap()));
                Ok(String::new())
            }
            ("scontrol", ["update", excluded]) => {
                state.stays = excluded.strip_prefix("SuspendExcNodes=").unwrap().to_owned();
                Ok(String::new())
            }
            ("scontrol", ["update", nodes, to, reason @ ..]) => {
                state.update(nodes.strip_prefix("NodeName=").unwrap(), to.strip_prefix("State=").unwrap(), reason);
                Ok(String::new())
            }
            other => panic!("Slurm knows no {other:?}"),
        }
    }
}

impl State {
    fn show_nodes(&self) -> String {
        let node = |(name, node): (&NodeName, &SlurmNode)| serde_json::json!({"name": name.to_string(), "state": node.states(), "reason": node.reason.clone().unwrap_or_default()});
        serde_json::json!({"nodes": self.nodes.iter().map(node).collect::<Vec<_>>(), "errors": []}).to_string()
    }

    fn show_jobs(&self) -> String {
        let job = |(id, nodes): (&u64, &BTreeSet<NodeName>)| serde_json::json!({"job_id": id, "job_state": ["RUNNING"], "nodes": host_list::of_nodes(nodes.iter().copied())});
        serde_json::json!({"jobs": self.jobs.iter().map(job).collect::<Vec<_>>(), "errors": []}).to_string()
    }

    fn update(&mut self, nodes: &str, to: &str, reason: &[&str]) {
        for name in host_list::nodes(nodes).unwrap() {
            let node = self.nodes.get_mut(&name).unwrap();
            match to {
                "DOWN" | "DRAIN" => {
                    node.reason = Some(reason[0].strip_prefix("Reason=").unwrap().to_owned());
                    node.is_drained = to == "DRAIN";
                }
                "RESUME" => node.reason = None,
                "POWER_DOWN_FORCE" => (node.power, node.reason) = (Power::Off, None),
                "POWER_UP" => {
                    node.power = Power::Starting;
                    self.powered_up.insert(name);
                }
                other => panic!("no state {other}"),
            }
        }
    }
}

/// The cluster and its login node.
pub struct Cluster {
    pub world: Arc<World>,
    pub keeper: Arc<Keeper>,
    pub policy: Policy,
    pub folder: tempfile::TempDir,
    /// When the next pass is due.
    pub again: Option<Duration>,
    launched: u32,
}

impl Cluster {
    pub fn new(maximum: u32, spot: u32, on_demand: u32) -> Self {
        Self::with(|_| {}, Sizes { maximum, spot, on_demand })
    }

    pub fn with(change: impl FnOnce(&mut Policy), sizes: Sizes) -> Self {
        let mut policy = Policy { sizes, initial: 0, fixed: false, frozen: false, rules: Rules::default() };
        change(&mut policy);
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.state()).unwrap();
        let groups = Group::ALL.into_iter().filter(|group| sizes.of(*group) > 0).map(|group| (group, Asg::default())).collect();
        let nodes = sizes.all_nodes().map(|node| (node, SlurmNode::default())).collect();
        let world = World(Mutex::new(State { groups, nodes, ..State::default() }));
        let keeper = Arc::new(Keeper::open(&layout, policy.clone(), clock).0);
        Self { world: Arc::new(world), keeper, policy, folder, again: None, launched: 0 }
    }

    pub fn layout(&self) -> Layout {
        Layout::below(self.folder.path())
    }

    /// The agent starts again.
    pub fn restart(&mut self) -> Vec<crate::state_file::StateError> {
        let (keeper, errors) = Keeper::open(&self.layout(), self.policy.clone(), clock);
        self.keeper = Arc::new(keeper);
        errors
    }

    /// A second later, one pass. Slurm calls for what the pass has powered up.
    pub async fn pass(&mut self) -> Passed {
        later(Duration::from_secs(1));
        let passed = Scaler::new(self.world.as_ref(), Arc::clone(&self.keeper), clock).pass().await;
        let powered_up = std::mem::take(&mut self.world.state().powered_up);
        if !powered_up.is_empty() {
            self.keeper.resume(&powered_up).unwrap();
        }
        self.again = passed.again;
        passed
    }

    /// Passes until a pass changes nothing.
    pub async fn settle(&mut self) {
        for _ in 0..20 {
            let before = (self.changes(), self.keeper.look().0.wanted().collect::<Vec<_>>());
            let notes = self.pass().await.notes;
            let after = (self.changes(), self.keeper.look().0.wanted().collect::<Vec<_>>());
            if before == after && notes.is_empty() {
                return;
            }
        }
        panic!("passes go on: {:?}", self.world.state().calls);
    }

    /// Slurm resumes the first nodes that are off and open, as many as a job needs. Gives them.
    pub fn job_for(&self, count: usize) -> BTreeSet<NodeName> {
        let nodes: BTreeSet<NodeName> = {
            let mut state = self.world.state();
            let free = state.nodes.iter_mut().filter(|(_, node)| node.power == Power::Off && node.reason.is_none()).take(count);
            free.map(|(name, node)| {
                node.power = Power::Starting;
                *name
            })
            .collect()
        };
        if !nodes.is_empty() {
            self.keeper.resume(&nodes).unwrap();
        }
        nodes
    }

    /// Slurm suspends these nodes.
    pub fn idle(&self, numbers: &[u32]) {
        let nodes: BTreeSet<NodeName> = numbers.iter().map(|number| NodeName::of_rank(*number)).collect();
        for node in &nodes {
            self.world.state().nodes.get_mut(node).unwrap().power = Power::Stopping;
        }
        self.keeper.suspend(&nodes).unwrap();
    }

    /// The groups start what they lack, or fail to; each machine asks, and registers with Slurm. Gives what they were answered.
    pub fn launch(&mut self) -> Vec<(String, Result<NodeName, Refusal>)> {
        let mut asking = Vec::new();
        for (group, of) in &mut self.world.state().groups {
            of.machines.retain(|_, life| *life == Life::Lives);
            while of.machines.len() < of.desired as usize {
                self.launched += 1;
                let (id, began) = (format!("a-{}", self.launched), clock());
                if let Some(message) = of.outage {
                    of.activities.push(Activity { id, began, status: ActivityStatus::Failed, message: message.to_owned(), machine: None });
                    break;
                }
                let machine = format!("i-{}", self.launched);
                of.machines.insert(machine.clone(), Life::Lives);
                asking.push((machine, *group));
            }
        }
        asking
            .into_iter()
            .map(|(machine, group)| {
                let answer = self.ask(&machine, group);
                if let Ok(name) = answer {
                    self.set(name, Power::On);
                }
                (machine, answer)
            })
            .collect()
    }

    pub fn ask(&self, machine: &str, group: Group) -> Result<NodeName, Refusal> {
        self.keeper.ask(&Asks { instance: machine.to_owned(), address: "10.0.0.7".parse().unwrap(), group: Some(group) })
    }

    pub fn set(&self, name: NodeName, power: Power) {
        self.world.state().nodes.get_mut(&name).unwrap().power = power;
    }

    /// Machines that live, and what is desired.
    pub fn size(&self, group: Group) -> (usize, u32) {
        let state = self.world.state();
        state.groups.get(&group).map_or((0, 0), |of| (of.machines.values().filter(|life| **life == Life::Lives).count(), of.desired))
    }

    /// Why a node is closed, without our mark.
    pub fn reason(&self, number: u32) -> Option<String> {
        let reason = self.world.state().nodes[&NodeName::of_rank(number)].reason.clone()?;
        Some(reason.strip_prefix("clusterdrop: ").unwrap_or(&reason).to_owned())
    }

    /// The calls of AWS so far that changed something.
    pub fn changes(&self) -> Vec<String> {
        self.world.state().calls.iter().filter(|call| !call.starts_with("describe")).cloned().collect()
    }
}

pub fn throttled() -> CloudError {
    CloudError::Unreachable("Throttling: Rate exceeded".to_owned())
}
