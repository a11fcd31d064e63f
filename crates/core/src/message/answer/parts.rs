//! The parts of the answers that are failures: what was asked, what stands in the way, what to do next.

use jiff::Timestamp;

use super::super::failure::{Cause, Remains, Rest, StackReason};
use super::super::problem::Parts;
use super::super::time;
use super::{Difference, FailedCreation};
use crate::names::{ClusterName, StackName};

impl FailedCreation {
    pub(super) fn parts(&self) -> Vec<Parts> {
        of_creation(&self.causes, self.stack.as_ref())
    }
}

impl Difference {
    pub(super) fn parts(&self, cluster: &ClusterName) -> Parts {
        let Self { parameter, has, asked } = self;
        Parts::new(
            format!("{parameter} = {asked:?}"),
            format!("the cluster {cluster} exists with {parameter} = {has:?}"),
            format!("keep it as it is, or drop {cluster}.cf-delete first and create it anew"),
        )
    }
}

pub fn not_removed(cluster: &ClusterName) -> String {
    format!("The cluster {cluster} was not removed.")
}

pub fn again(cluster: &ClusterName) -> String {
    format!("drop {cluster}.cf-delete again to try once more; the administrator has been told")
}

pub fn unprotect(cluster: &ClusterName, stack: &StackName) -> String {
    format!(
        "ask the administrator to take the protection off (aws cloudformation update-termination-protection \
         --no-enable-termination-protection --stack-name {stack}), then drop {cluster}.cf-delete again"
    )
}

pub fn no_login(cluster: &ClusterName, stack: &StackName, output: &str) -> Parts {
    Parts::new(
        "the login address",
        format!("the stack {stack} is complete and has no output {output}"),
        format!("the cluster runs and costs money; drop {cluster}.cf-delete to remove it, and tell the administrator"),
    )
}

pub fn overtaken(cluster: &ClusterName) -> Parts {
    Parts::new(
        format!("{cluster}.cf-delete"),
        "a later .cf-create asks for this cluster",
        "drop the .cf-delete again if you want it removed after all",
    )
}

pub fn withdrawn(cluster: &ClusterName, tied: Option<Timestamp>) -> Parts {
    match tied {
        Some(at) => in_one_second(cluster, at),
        None => Parts::new(
            format!("{cluster}.cf-create"),
            "a later .cf-delete took it back",
            "upload it again if you want the cluster after all",
        ),
    }
}

pub fn in_one_second(cluster: &ClusterName, at: Timestamp) -> Parts {
    Parts::new(
        format!("{cluster}.cf-create"),
        format!(
            "a .cf-delete came within the same second ({}), and S3 does not tell which of the two is later: the delete counts",
            time(at)
        ),
        "upload it again if you want the cluster",
    )
}

pub fn no_such(cluster: &ClusterName, others: &[ClusterName], tied: Option<Timestamp>) -> Vec<Parts> {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let have = if others.is_empty() { "you have no clusters".to_owned() } else { format!("you have {}", others.join(", ")) };
    let no_such = Parts::new(
        format!("the removal of {cluster}"),
        format!("there is no cluster of yours with this name; {have}"),
        "check the name: capitals count",
    );
    // It is written over the answer that said so.
    [no_such].into_iter().chain(tied.map(|at| in_one_second(cluster, at))).collect()
}

pub fn failed(cluster: &ClusterName, causes: &[Cause], stack: Option<&StackReason>, rest: &Rest) -> (String, Vec<Parts>) {
    let mut problems = of_creation(causes, stack);
    let next = match rest {
        Rest::Tried(_) => "nothing yet: its removal is tried once more; if that fails, this file says so".to_owned(),
        Rest::Going | Rest::Gone | Rest::Stuck(_) => again(cluster),
    };
    let left = match rest {
        Rest::Tried(left) | Rest::Stuck(left) => left.as_slice(),
        Rest::Going | Rest::Gone => &[],
    };
    problems.extend(left.iter().map(|cause| cause.of_removal(&next)));
    (format!("The cluster {cluster} could not be made. {rest}"), problems)
}

pub fn of_creation(causes: &[Cause], stack: Option<&StackReason>) -> Vec<Parts> {
    let stack = stack.map(|stack| stack.parts("tell the administrator, who sees the stack's events"));
    causes.iter().map(Cause::of_creation).chain(stack).collect()
}

pub fn leftover(cluster: &ClusterName, remains: &Remains) -> (String, Vec<Parts>) {
    let next = format!("drop {cluster}.cf-delete to try the removal again, or choose another name");
    let mut problems = vec![Parts::new("its name", "an earlier cluster of this name could not be removed wholly", &next)];
    problems.extend(remains.parts(&next));
    (format!("The cluster {cluster} cannot be started. What is left of the earlier one may still cost money."), problems)
}

pub fn planned(cluster: &ClusterName) -> Parts {
    Parts::new(
        "its name",
        "a change set of the administrator's, which nobody has executed, holds it (REVIEW_IN_PROGRESS); nothing is made of it",
        format!("drop {cluster}.cf-delete to remove it, ask the administrator, or choose another name"),
    )
}
