//! Slurm's configuration for a cluster: `slurm.conf` and its companions `gres.conf` and `cgroup.conf`, as texts from one plan.
//!
//! The login node has the files; compute nodes get them from slurmctld (configless). What each line is for stands above it in the
//! text itself, because the users of a cluster are root on it and read it.

mod gres;
mod slurm_conf;

use std::net::IpAddr;
use std::time::Duration;

use cf_core::names::ClusterName;
pub use slurm_conf::{JOB_ENVIRONMENT, PROLOG, RESUME_FAIL_PROGRAM, RESUME_PROGRAM, SUSPEND_PROGRAM, TASK_ENVIRONMENT};

use crate::group::{Group, Sizes};
use crate::instance_type::InstanceType;

/// The partition, the only one.
pub const PARTITION: &str = "compute";

/// The weight of a node of each group: Slurm takes the lightest nodes that it can have, so those on demand only where spot has none.
pub const WEIGHTS: [(Group, u32); 2] = [(Group::Spot, 1), (Group::OnDemand, 100)];

/// The programs that `slurm.conf` names, each with its path. The first four run as SlurmUser on the login node, the last one as the
/// job's user on its nodes.
pub const PROGRAMS: [(&str, &str); 5] = [
    (RESUME_PROGRAM, include_str!("programs/resume.sh")),
    (SUSPEND_PROGRAM, include_str!("programs/suspend.sh")),
    (RESUME_FAIL_PROGRAM, include_str!("programs/resume-failed.sh")),
    (PROLOG, include_str!("programs/await-nodes.sh")),
    (TASK_ENVIRONMENT, include_str!("programs/task-environment.sh")),
];

/// What a cluster is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlan {
    /// The user's name for it.
    pub cluster: ClusterName,
    /// The private address of the login node, whose name is `login1`.
    pub login: IpAddr,
    /// How many nodes.
    pub sizes: Sizes,
    /// The type of spot machines. Read where there are any.
    pub spot: InstanceType,
    /// The type of machines on demand.
    pub on_demand: InstanceType,
    /// How long things take.
    pub times: Times,
    /// Whether idle nodes are ended. `false` is `AutoscalingPolicy=disabled`.
    pub shrinks: bool,
    /// Where the nodes run.
    pub flavour: Flavour,
}

/// Where the nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Machines with systemd and control groups of their own.
    Aws,
    /// Namespaces on one machine: no control groups, no devices, and as many processors as that machine has, whatever the type says.
    Bed,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// A node without a job is ended after so long.
    pub idle: Duration,
    /// Slurm's own bound for a node's start. The agent's are shorter, so that the reason is the agent's (`scaling::Rules`).
    pub resume: Duration,
    /// A node's name is used again so long after it was given to be ended.
    pub suspend: Duration,
    /// A node that does not answer for so long is down, and its jobs start elsewhere.
    pub lost: Duration,
    /// A requeued job starts again after so long at the earliest (`cred_expire`; Slurm's default is 120 s). It is also how long a
    /// slurmd may take to begin a job's step.
    pub requeue: Duration,
}

impl Default for Times {
    /// Ten minutes of idleness: EC2 counts seconds, at least 60, and a node's start costs a user minutes.
    fn default() -> Self {
        Self {
            idle: Duration::from_mins(10),
            resume: Duration::from_mins(25),
            suspend: Duration::from_mins(1),
            lost: Duration::from_mins(1),
            requeue: Duration::from_mins(1),
        }
    }
}

/// The files, as they lie in `/etc/slurm` of the login node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `slurm.conf`.
    pub slurm_conf: String,
    /// `gres.conf`, where nodes have GPUs.
    pub gres_conf: Option<String>,
    /// `cgroup.conf`.
    pub cgroup_conf: String,
}

impl ClusterPlan {
    /// The texts.
    pub fn files(&self) -> Files {
        Files {
            slurm_conf: slurm_conf::text(self),
            gres_conf: gres::text(self),
            cgroup_conf: match self.flavour {
                Flavour::Aws => CGROUP_CONF,
                Flavour::Bed => NO_CGROUP_CONF,
            }
            .to_owned(),
        }
    }

    /// The type of a group's machines.
    pub fn machine(&self, group: Group) -> &InstanceType {
        match group {
            Group::Spot => &self.spot,
            Group::OnDemand => &self.on_demand,
        }
    }

    /// The groups that have nodes.
    fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        Group::ALL.into_iter().filter(|group| self.sizes.of(*group) > 0)
    }
}

/// A job gets the cores, the memory and the devices that it asked for, and no others.
const CGROUP_CONF: &str = "\
# Written by clusterdrop at each start of the login node; edits are lost.
ConstrainCores=yes
ConstrainRAMSpace=yes
ConstrainDevices=yes
";

/// Without it slurmd looks for control groups, and ends where it may not make any.
const NO_CGROUP_CONF: &str = "\
# Written by clusterdrop at each start of the login node; edits are lost.
CgroupPlugin=disabled
";

#[cfg(test)]
mod tests;
