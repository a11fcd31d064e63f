//! The one sentence in `.cf-status`.

use std::fmt;

use jiff::Timestamp;

use super::Advice;
use super::scheduler::Scheduler;
use crate::node_report::SchedulerReport;
use crate::status::Progress;

/// What `.cf-status` says beside its state.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum StateText {
    /// CreateStack is being called.
    Starting,
    /// CloudFormation has not taken the stack for so long that its user hears of it.
    NotTaken {
        /// Since when the create is accepted.
        since: Timestamp,
    },
    /// Its resources are being made.
    Creating(Option<Progress>),
    /// Log in.
    Ready {
        /// The address.
        login: String,
        /// Why compute nodes do not come, if that is what was heard of them last.
        nodes: Option<NodesMissing>,
        /// What its login node reports of Slurm, where it runs that.
        scheduler: Option<Box<SchedulerReport>>,
    },
    /// The stack is complete and has no address.
    NoLogin,
    /// The creation failed, or was refused.
    Failed,
    /// The stack is being removed.
    Deleting,
    /// The same, once a change that is under way has ended.
    DeletingAfterChange,
    /// The same, once the rollback of a failed creation has ended.
    DeletingAfterRollback,
    /// The same, once the start that is under way can be seen.
    DeletingAfterStart,
    /// It is gone, as its user asked.
    Deleted,
    /// It is gone, and its user did not ask for that.
    Removed,
    /// The removal failed.
    Stuck,
}

/// Why Auto Scaling starts no compute nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodesMissing {
    /// In AWS's words, on one line.
    pub reason: String,
    /// What its user is to do.
    pub advice: Advice,
}

impl StateText {
    /// The same with what a ready cluster's login node reports of Slurm.
    #[must_use]
    pub fn with_scheduler(mut self, report: Option<&SchedulerReport>) -> Self {
        if let Self::Ready { scheduler, .. } = &mut self {
            *scheduler = report.cloned().map(Box::new);
        }
        self
    }
}

fn ready(f: &mut fmt::Formatter<'_>, login: &str, nodes: Option<&NodesMissing>, scheduler: Option<&SchedulerReport>) -> fmt::Result {
    write!(f, "The cluster is ready: log in at {login}.")?;
    match (nodes, scheduler) {
        (None, _) => {}
        (Some(NodesMissing { reason, advice }), None) => {
            write!(f, " Compute nodes cannot be started: {reason}. What to do: {advice}; AWS goes on trying by itself.")?;
        }
        // Slurm asks for nodes, and its login node takes back what was asked for in vain.
        (Some(NodesMissing { reason, advice }), Some(_)) => {
            write!(f, " A compute node could not be started when one was asked for last: {reason}. What to do: {advice}.")?;
        }
    }
    scheduler.map_or(Ok(()), |report| fmt::Display::fmt(&Scheduler(report), f))
}

impl fmt::Display for StateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("The cluster is being started."),
            Self::NotTaken { since } => write!(
                f,
                "The cluster is to be started, but CloudFormation has not taken it yet, since {}. It is tried again every few minutes, and \
                 you need do nothing; if it stays so for an hour, tell your administrator.",
                since.strftime("%F %T UTC")
            ),
            Self::Creating(Some(p)) => write!(f, "The cluster is being made: {} of {} parts are finished.", p.done, p.total),
            Self::Creating(None) => f.write_str("The cluster is being made."),
            Self::Ready { login, nodes, scheduler } => ready(f, login, nodes.as_ref(), scheduler.as_deref()),
            Self::NoLogin => f.write_str("The cluster was made, but has no login address; see the .cf-failed file."),
            Self::Failed => f.write_str("The cluster could not be made; the .cf-failed file says why."),
            Self::Deleting => f.write_str("The cluster is being removed."),
            Self::DeletingAfterChange => f.write_str("The cluster will be removed as soon as a change that is under way has ended."),
            Self::DeletingAfterRollback => f.write_str("The cluster could not be made, and is being removed."),
            Self::DeletingAfterStart => f.write_str("The cluster will be removed as soon as its start, which is under way, can be seen."),
            Self::Deleted => f.write_str("The cluster is gone."),
            Self::Removed => f.write_str("The cluster was removed, and not by a .cf-delete file of yours."),
            Self::Stuck => f.write_str("The cluster could not be removed wholly; the .cf-failed file says what is left."),
        }
    }
}
