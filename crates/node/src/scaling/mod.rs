//! Scaling on a node: what carries out [`cf_slurm::scaling`], which decides.
//!
//! On the login node:
//!
//! - [`keeper`]: the book, on the disk before an answer leaves or an effect happens;
//! - [`calls`]: a socket for what Slurm calls and what root asks; [`command`]: the other end, `cf-node resume` and so on;
//! - [`slurm`]: what Slurm shows, and what it is asked for, by its own programs;
//! - [`outside`]: the seam to AWS and to those programs; [`aws`]: the Auto Scaling groups, by the SDK;
//! - [`scaler`]: one pass: read, decide, write, carry out; [`service`]: the task that passes when something calls, and as long as
//!   something is awaited.
//!
//! On a compute node [`interruption`] looks whether EC2 takes the machine back, and tells the login node.
//!
//! **What it costs.** A cluster in which nothing is awaited makes no call to AWS. A pass makes one (DescribeAutoScalingGroups), one
//! more for each group with a node that waits for its machine (DescribeScalingActivities), and one for each change.

pub mod aws;
pub mod calls;
pub mod command;
pub mod interruption;
pub mod keeper;
pub mod outside;
pub mod scaler;
pub mod service;
pub mod slurm;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use cf_slurm::scaling::{Policy, Rules};

use crate::settings::NodeSettings;

/// What the cluster's user and administrator have chosen; `None` where there is no scheduler.
pub fn policy(settings: &NodeSettings) -> Option<Policy> {
    let scheduler = settings.scheduler.as_ref()?;
    Some(Policy {
        sizes: scheduler.sizes(settings.nodes_max),
        initial: scheduler.initial_nodes,
        fixed: scheduler.fixed,
        frozen: false,
        rules: Rules::default(),
    })
}
