//! What scaling needs of AWS and of Slurm's programs: one seam, so that tests have both in memory.

use std::collections::BTreeMap;
use std::future::Future;

use cf_slurm::group::Group;
use cf_slurm::scaling::{Activity, GroupFacts};

use crate::cloud::CloudError;

/// AWS's groups and Slurm's programs. Each call has its own time limit and attempts.
pub trait Outside: Send + Sync + 'static {
    /// These groups, without their activities.
    fn groups(&self, groups: &[Group]) -> impl Future<Output = Result<BTreeMap<Group, GroupFacts>, CloudError>> + Send;

    /// The launches that a group tried last.
    fn activities(&self, group: Group) -> impl Future<Output = Result<Vec<Activity>, CloudError>> + Send;

    /// Sets a group's desired capacity.
    fn set_desired(&self, group: Group, desired: u32) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Ends a machine of a group, which then desires one less. One that is gone is a success. It is attempted once: a second attempt
    /// could decrement twice.
    fn end_machine(&self, machine: &str) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// When EC2 takes this machine back, as its instance metadata have it (`spot/instance-action`); `None`: it does not.
    fn interruption(&self) -> impl Future<Output = Result<Option<String>, CloudError>> + Send;

    /// Runs one of Slurm's programs. Gives what it printed, or in words why it failed.
    fn slurm(&self, program: &str, arguments: &[String]) -> impl Future<Output = Result<String, String>> + Send;
}
