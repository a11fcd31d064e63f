//! The Auto Scaling groups of a cluster, by the SDK.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::Builder;
use aws_sdk_autoscaling::types::{self, LifecycleState, ScalingActivityStatusCode};
use cf_slurm::group::Group;
use cf_slurm::scaling::{Activity, ActivityStatus, GroupFacts, Life, launched};
use jiff::Timestamp;

use crate::cloud::CloudError;
use crate::cloud::aws::problem;

/// Activities that are read: one page (API reference, DescribeScalingActivities: at most 100).
const ACTIVITIES: i32 = 100;

/// The groups.
#[derive(Debug, Clone)]
pub struct Groups {
    client: Client,
    /// For what must not be repeated.
    once: Client,
    stack: String,
}

impl Groups {
    /// Those of the cluster whose stack has this name.
    pub fn new(config: &SdkConfig, stack: &str) -> Self {
        let once = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::new(config), once: Client::from_conf(once), stack: stack.to_owned() }
    }

    /// The template names them so (decision 4).
    fn name(&self, group: Group) -> String {
        format!("{}-{}", self.stack, group.word())
    }

    /// DescribeAutoScalingGroups, of both groups in one call.
    ///
    /// # Errors
    /// Also where one of them is not there.
    pub async fn describe(&self, groups: &[Group]) -> Result<BTreeMap<Group, GroupFacts>, CloudError> {
        let names = groups.iter().map(|group| self.name(*group)).collect();
        let described = self.client.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names)).send().await;
        let described = described.map_err(|error| problem(&error).0)?;
        let found = |group: &Group| {
            let name = self.name(*group);
            let of = described.auto_scaling_groups().iter().find(|of| of.auto_scaling_group_name() == Some(&name));
            of.map(|of| (*group, facts(of))).ok_or(CloudError::Missing(format!("the Auto Scaling group {name}")))
        };
        groups.iter().map(found).collect()
    }

    /// DescribeScalingActivities.
    pub async fn activities(&self, group: Group) -> Result<Vec<Activity>, CloudError> {
        let asked = self.client.describe_scaling_activities().auto_scaling_group_name(self.name(group)).max_records(ACTIVITIES);
        let described = asked.send().await.map_err(|error| problem(&error).0)?;
        Ok(described.activities().iter().filter_map(activity).collect())
    }

    /// SetDesiredCapacity, without cooldown. It names a figure, so that a second attempt changes nothing.
    pub async fn set_desired(&self, group: Group, desired: u32) -> Result<(), CloudError> {
        let desired = i32::try_from(desired).unwrap_or(i32::MAX);
        let set = self.client.set_desired_capacity().auto_scaling_group_name(self.name(group)).desired_capacity(desired);
        set.honor_cooldown(false).send().await.map(|_| ()).map_err(|error| problem(&error).0)
    }

    /// TerminateInstanceInAutoScalingGroup with decrement, once. An instance that no group has any more is a success.
    pub async fn end(&self, machine: &str) -> Result<(), CloudError> {
        let end = self.once.terminate_instance_in_auto_scaling_group().instance_id(machine).should_decrement_desired_capacity(true);
        match end.send().await.map_err(|error| problem(&error).0) {
            // "Instance Id not found - No managed instance found for instance ID: i-…" (ValidationError).
            Err(CloudError::Denied(words)) if words.contains("Instance Id not found") => Ok(()),
            ended => ended.map(|_| ()),
        }
    }
}

fn facts(group: &types::AutoScalingGroup) -> GroupFacts {
    let machine = |instance: &types::Instance| Some((instance.instance_id()?.to_owned(), life(instance.lifecycle_state())));
    GroupFacts {
        desired: group.desired_capacity().and_then(|desired| u32::try_from(desired).ok()).unwrap_or(0),
        machines: group.instances().iter().filter_map(machine).collect(),
        activities: Vec::new(),
    }
}

fn life(state: Option<&LifecycleState>) -> Life {
    let ends = state.is_some_and(|state| ["Terminat", "Detach"].iter().any(|word| state.as_str().starts_with(word)));
    if ends { Life::Ends } else { Life::Lives }
}

/// A launch. Other activities end machines.
fn activity(activity: &types::Activity) -> Option<Activity> {
    let description = activity.description().filter(|description| description.starts_with("Launching a new EC2 instance"))?;
    let machine = launched(description).map(str::to_owned);
    let status = match activity.status_code()? {
        // One that has its machine and is cancelled was ended on its way, by us.
        ScalingActivityStatusCode::Cancelled if machine.is_some() => ActivityStatus::Succeeded,
        ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled => ActivityStatus::Failed,
        ScalingActivityStatusCode::Successful => ActivityStatus::Succeeded,
        _ => ActivityStatus::Runs,
    };
    let began = activity.start_time()?;
    let began = Timestamp::new(began.secs(), i32::try_from(began.subsec_nanos()).unwrap_or(0)).ok()?;
    let message = activity.status_message().unwrap_or_default().to_owned();
    Some(Activity { id: activity.activity_id()?.to_owned(), began, status, message, machine })
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
