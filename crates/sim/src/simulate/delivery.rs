//! How an event travels: EventBridge, Lambda's own retries, the failure queues, and what waits there for a person.

use std::sync::{Mutex, PoisonError};

use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::observe::Observe;
use cf_core::reconcile::{self, Clock, Environment, Outcome, Report, Scope, Wake};
use cf_core::settings::Settings;
use jiff::Timestamp;

use super::caller::Caller;
use super::context::{Function, RunContext};
use super::dice::{named, under};

/// Where an event waits for its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Lambda's own, of asynchronous invocations.
    Lambda,
    /// The queue that gathers progress.
    Progress,
    /// The queue of nodes' reports.
    Reports,
    /// What failed three times.
    Failures,
    /// What failed there four times more.
    Late,
}

/// An event on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it reports.
    pub work: Wake,
    /// To which function.
    pub to: Function,
    /// Where it waits.
    pub queue: Queue,
    /// How often it was tried from there.
    pub tries: u64,
    /// How often a fault has ended it there. A report that comes too early is given back without one.
    pub faults: u64,
    /// What tells its dice apart from all others'.
    pub key: u64,
}

const MINUTE: i64 = 60_000;

impl Delivery {
    /// The next attempt after a failed one, and after how many milliseconds; `None` once it is parked. By template.yaml: two
    /// more attempts by Lambda, then four by cf-watch three minutes apart, then twelve an hour apart.
    pub fn again(mut self) -> Option<(i64, Self)> {
        self.tries += 1;
        self.key = under(self.key, self.tries);
        let (wait, queue) = match (self.queue, self.tries) {
            (Queue::Lambda, 1) => (MINUTE, Queue::Lambda),
            (Queue::Lambda, 2) => (2 * MINUTE, Queue::Lambda),
            (Queue::Lambda, _) => (MINUTE, Queue::Failures),
            (Queue::Progress, ..5) => (12 * MINUTE, Queue::Progress),
            (Queue::Reports, ..5) => (3 * MINUTE, Queue::Reports),
            (Queue::Failures, ..4) => (3 * MINUTE, Queue::Failures),
            (Queue::Failures, _) => (3 * MINUTE, Queue::Late),
            (Queue::Late, ..12) => (60 * MINUTE, Queue::Late),
            (Queue::Progress | Queue::Reports | Queue::Late, _) => return None,
        };
        if queue != self.queue {
            (self.tries, self.faults) = (0, 0);
            self.to = Function::Watch;
        }
        self.queue = queue;
        Some((wait, self))
    }

    /// What it reports, for the log.
    pub fn shown(&self) -> String {
        match &self.work {
            Wake::Upload(key) | Wake::Report(key) => key.clone(),
            Wake::Stack(id) => id.name().unwrap_or_default().to_owned(),
            Wake::Instance { group, .. } => group.clone(),
            Wake::Sweep => "the sweep".into(),
        }
    }
}

/// One invocation of a function, in its run.
struct Invocation<'r, 'b> {
    context: &'r RunContext<'b>,
    task: usize,
    function: Function,
    key: u64,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Environment for Invocation<'_, '_> {
    fn settings(&self) -> &Settings {
        self.context.settings(self.function)
    }

    fn clock(&self) -> &impl Clock {
        self.context
    }

    fn world(&self, scope: Scope<'_>) -> impl Observe + Execute + Send {
        let (cluster, part) = match scope {
            Scope::Upload(cluster) => (cluster, 1),
            Scope::Stack => (None, 2),
            Scope::StackOf(cluster) => (Some(cluster), 3),
            Scope::Report(cluster) => (Some(cluster), 6),
            Scope::Sweep => (None, 4),
            Scope::Swept(cluster) => (Some(cluster), under(5, named(cluster.user.as_str()) ^ named(cluster.name.as_str()).rotate_left(7))),
        };
        let mut caller = Caller::new(self.context, self.task, self.function, cluster.cloned(), under(self.key, part));
        caller.is_of_reports = matches!(scope, Scope::Report(_));
        caller
    }

    fn report(&self, report: Report<'_>) {
        if let Report::Pass(_, outcome) = report
            && outcome.fault.is_none()
        {
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome.clone());
        }
    }

    /// Every bucket of the simulator is made with its deployment.
    fn has_first_hour(&self) -> bool {
        false
    }
}

/// What a function does with an event.
pub async fn handle(context: &RunContext<'_>, task: usize, delivery: Delivery) -> Result<Vec<Outcome>, Fault> {
    let invocation = Invocation { context, task, function: delivery.to, key: delivery.key, outcomes: Mutex::default() };
    reconcile::wake(&invocation, &delivery.work).await?;
    Ok(invocation.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The run's virtual clock. Who loses a race looks again at once: that is the harder way.
impl Clock for RunContext<'_> {
    fn now(&self) -> Timestamp {
        self.clock()
    }

    async fn back_off(&self, _: usize) {}
}
