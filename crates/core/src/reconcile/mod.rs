//! From what wakes a function to its last effect: the loop observe -> decide -> execute -> report, for one cluster after the
//! other. The functions and the simulator run this same code, each in an [`Environment`] of its own.

mod execute;
mod invalid_key;
mod outcome;
mod pass;
mod sweep;

use std::future::Future;

use jiff::Timestamp;

pub use invalid_key::{answer_invalid_key, answer_look_alike};
pub use outcome::{Counts, Outcome};
pub use pass::{Purpose, reconcile};

use crate::effect::Execute;
use crate::fault::Fault;
use crate::first_hour::{self, PROBE};
use crate::key::{self, Reading};
use crate::ledger::NodeNews;
use crate::message::KeyProblem;
use crate::names::Cluster;
use crate::node_report::ReportKey;
use crate::observe::Observe;
use crate::observe::{self, Subject};
use crate::settings::Settings;
use crate::stack::{Stack, StackId, StackState};
use crate::sweep::Found;

/// What wakes a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// An object was created in the user bucket, at this key.
    Upload(String),
    /// A stack, or a resource of it, changed its status.
    Stack(StackId),
    /// An instance was launched for an Auto Scaling group, or could not be.
    Instance {
        /// The group's name.
        group: String,
        /// When, and why not.
        news: NodeNews,
    },
    /// An object was created in the system bucket, at this key, where nodes put their reports.
    Report(String),
    /// The clock: look for work that no event reported.
    Sweep,
}

/// The time, and waiting: a function's, or a world's in memory.
pub trait Clock: Sync {
    /// The time in whole seconds: people read it.
    fn now(&self) -> Timestamp;

    /// Waits after the `nth` conflict (from 0). The limit grows with `nth`; the wait is random below it, so that passes do not retry
    /// together.
    fn back_off(&self, nth: usize) -> impl Future<Output = ()> + Send;
}

/// What a series of calls is for. AWS answers all of them alike; the simulator draws its faults by it.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'c> {
    /// An upload, and its cluster where its key names one.
    Upload(Option<&'c Cluster>),
    /// Reading the event's stack, before its cluster is known.
    Stack,
    /// The pass over the cluster that the stack belongs to.
    StackOf(&'c Cluster),
    /// The pass over the cluster whose node reports.
    Report(&'c Cluster),
    /// What a sweep looks through.
    Sweep,
    /// A cluster that a sweep found.
    Swept(&'c Cluster),
}

/// Where functions run: on AWS, or in a world in memory.
pub trait Environment: Sync {
    /// The deployment's settings, with this function's rights.
    fn settings(&self) -> &Settings;

    /// The time.
    fn clock(&self) -> &impl Clock;

    /// The way to the world.
    fn world(&self, scope: Scope<'_>) -> impl Observe + Execute + Send;

    /// Takes down what was done.
    fn report(&self, report: Report<'_>);

    /// Whether a sweep looks for uploads that S3 did not report. Only a bucket that was there before its deployment has any.
    fn has_first_hour(&self) -> bool {
        true
    }
}

/// What is to be logged and counted.
#[derive(Debug)]
pub enum Report<'r> {
    /// A pass over a cluster has ended, well or not.
    Pass(&'r Cluster, &'r Outcome),
    /// The event's file is not there: it was answered and removed since, its user removed it, or the key is not the one it has.
    WithoutUpload(&'r str),
    /// A file's key cannot be a request's; it is answered now.
    InvalidKey(&'r str, &'r KeyProblem),
    /// A file's name only looks like a request's; it is answered now.
    LookAlike(&'r str, &'r KeyProblem),
    /// An event reports nothing of ours, and why.
    NotOurs(&'r str, &'static str),
    /// What was put at this key, where nodes put their reports, is none.
    NoReport(&'r str),
    /// S3 reported the probe.
    Probe,
    /// What a sweep found, before it looks at any cluster.
    Found(&'r Found),
    /// What a sweep did for uploads that S3 did not report, and how many of them failed.
    FirstHour(&'r first_hour::Look, usize),
    /// A fault that keeps nothing else from being done.
    Fault(&'r str, &'r Fault),
    /// A sweep has ended: clusters looked at, faults, and how many stacks live, by state.
    Swept(usize, usize, &'r std::collections::BTreeMap<StackState, usize>),
}

/// Handles what has woken a function. An error gives the event back, to be tried again.
pub async fn wake<E: Environment>(env: &E, wake: &Wake) -> Result<(), Fault> {
    match wake {
        Wake::Upload(key) => upload(env, key).await,
        Wake::Stack(id) => stack(env, id).await,
        Wake::Instance { group, news } => instance(env, group, news).await,
        Wake::Report(key) => self::report(env, key).await,
        Wake::Sweep => sweep::sweep(env).await,
    }
}

async fn upload<E: Environment>(env: &E, key: &str) -> Result<(), Fault> {
    if key == PROBE {
        env.report(Report::Probe);
        return first_hour::answer(&env.world(Scope::Upload(None))).await;
    }
    match key::read(key) {
        Reading::Request(upload) => {
            let cluster = upload.cluster.clone();
            let world = env.world(Scope::Upload(Some(&cluster)));
            pass(env, &world, Subject { cluster: cluster.clone(), upload: Some(upload), stack: None, reports: false }, Purpose::Cluster)
                .await
        }
        Reading::Refused { problem, .. } => {
            env.report(Report::InvalidKey(key, &problem));
            if !answer_invalid_key(&env.world(Scope::Upload(None)), key).await? {
                env.report(Report::WithoutUpload(key));
            }
            Ok(())
        }
        Reading::LooksLike { problem, .. } => {
            env.report(Report::LookAlike(key, &problem));
            answer_look_alike(&env.world(Scope::Upload(None)), key).await
        }
        Reading::NotARequest => {
            env.report(Report::NotOurs(key, "its name is no request's"));
            Ok(())
        }
    }
}

/// The stack of an event, if it is a cluster's of this deployment. The event says only where to look; the stack's tags say whose.
async fn cluster_of<E: Environment>(env: &E, id: &StackId) -> Result<Option<(Cluster, Box<Stack>)>, Fault> {
    let seen = observe::stack(&env.world(Scope::Stack), id).await?;
    Ok(seen.and_then(|stack| Some((stack.cluster(&env.settings().deployment)?, stack))))
}

async fn stack<E: Environment>(env: &E, id: &StackId) -> Result<(), Fault> {
    let Some((cluster, stack)) = cluster_of(env, id).await? else {
        env.report(Report::NotOurs(&id.0, "it is no cluster's stack of this deployment"));
        return Ok(());
    };
    let world = env.world(Scope::StackOf(&cluster));
    pass(env, &world, Subject { cluster: cluster.clone(), upload: None, stack: Some(stack), reports: false }, Purpose::Cluster).await
}

/// What the groups of a cluster's compute nodes are called: the stack's name, and one of these.
const GROUPS: [&str; 2] = ["-spot", "-ondemand"];

/// In clusters that an older deployment made: the stack's name, this, and letters of CloudFormation's.
const OLD_GROUP: &str = "-ComputeGroup-";

/// The name of the stack that an Auto Scaling group belongs to, if it is one of a cluster's.
fn stack_of_group(group: &str) -> Option<&str> {
    let old = || group.rsplit_once(OLD_GROUP).map(|(stack, _)| stack);
    GROUPS.iter().find_map(|ending| group.strip_suffix(ending)).or_else(old)
}

async fn instance<E: Environment>(env: &E, group: &str, news: &NodeNews) -> Result<(), Fault> {
    let named = stack_of_group(group).map(|stack| StackId(stack.to_owned()));
    let found = match &named {
        Some(name) => cluster_of(env, name).await?,
        None => None,
    };
    let Some((cluster, stack)) = found else {
        env.report(Report::NotOurs(group, "it is no group of this deployment's clusters"));
        return Ok(());
    };
    let world = env.world(Scope::StackOf(&cluster));
    pass(env, &world, Subject { cluster: cluster.clone(), upload: None, stack: Some(stack), reports: false }, Purpose::Instances(news))
        .await
}

/// A node's report. Its key says whose it is: a node's role may write below its own cluster's folder and nowhere else.
async fn report<E: Environment>(env: &E, key: &str) -> Result<(), Fault> {
    let Some(ReportKey { cluster, .. }) = ReportKey::read(key) else {
        env.report(Report::NoReport(key));
        return Ok(());
    };
    let world = env.world(Scope::Report(&cluster));
    pass(env, &world, Subject { cluster: cluster.clone(), upload: None, stack: None, reports: true }, Purpose::Reports).await
}

/// One pass over one cluster, and its report.
async fn pass<E: Environment, W: Observe + Execute>(env: &E, world: &W, subject: Subject, purpose: Purpose<'_>) -> Result<(), Fault> {
    // Boxed: a pass's future is large, and every caller's would hold it.
    let mut outcome = Box::pin(reconcile(world, env.settings(), &subject, purpose, env.clock())).await;
    env.report(Report::Pass(&subject.cluster, &outcome));
    if let Some(fault) = outcome.fault.take() {
        return Err(fault);
    }
    if let Some(upload) = subject.upload.filter(|_| outcome.is_without_upload) {
        env.report(Report::WithoutUpload(&upload.to_string()));
    }
    Ok(())
}
