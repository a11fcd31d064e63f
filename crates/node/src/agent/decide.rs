//! What the boot of a node does next: a pure function of what is known. [`super::boot`] carries it out.
//!
//! | known | then |
//! |---|---|
//! | the agent ended unexpectedly too often, and the boot is not over | conclude: `agent-failed`; seek the configuration, run no script |
//! | scripts are there, `initialize` has not run | run `initialize` |
//! | no configuration, and the wait is not over | seek it |
//! | no configuration, the wait is over | run `fail`, conclude, seek on |
//! | the login node's configuration, and Slurm does not run | start Slurm; where it does not start in time, as without configuration |
//! | configuration | run `configure`, `start`, `node-started`; conclude |
//! | a compute node, before `node-started`, and Slurm does not run | start Slurm, in the same way |
//! | at the login node's first boot, before `node-started`, steps of the exchange that are part of being ready | wait for their end; conclude where one failed |
//! | a script failed whose profile says `fail-the-node` | conclude at once; seek the configuration, run no script |
//!
//! An event that has ended runs no more in a boot; one that the agent's end interrupted runs again. `initialize` waits for the first
//! fetch of the node's life, for before it there is no script to run; at a reboot it runs at once, with the scripts of the last boot
//! (acceptance checks B5, B23).
//!
//! Slurm starts before `configure` on the login node, so that scripts may use it, and on a compute node after `start`, so that no job
//! runs on a node that is not configured. A node that is ready has Slurm, and one that a script failed is given no job.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use cf_core::node_report::FailureCode;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::node::Role;

/// After so many ends of the agent within [`CRASHES_WITHIN`] that it did not choose, it runs no further script of that boot: one that
/// ends its agent would do so for ever.
pub const CRASHES_MAX: u32 = 5;

/// Ends of the agent that lie further back do not count. Long enough for as many ends, each after all the time that a boot's scripts
/// may take ([`crate::hooks::BOOT_LIMIT`]).
pub const CRASHES_WITHIN: Duration = Duration::from_hours(3);

/// An account that the system has refused for so long it refuses for good: the image has one of that name.
pub const ACCOUNT_WAIT: Duration = Duration::from_secs(10);

/// The events of a boot that follow the configuration.
pub const STAGES: [Event; 3] = [Event::Configure, Event::Start, Event::NodeStarted];

/// How far a node's start came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The node is ready.
    Ready,
    /// It is not, for this reason.
    Failed(FailureCode),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Failed(code) => write!(f, "failed: {code}"),
        }
    }
}

/// How far the search for the configuration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// There is nothing yet.
    Nothing,
    /// A fetch has brought profiles, in this boot or an earlier one.
    Scripts,
    /// All is there.
    Configuration,
}

/// How the steps of the exchange stand that are part of the login node's being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// There is none, or all have ended well.
    Settled,
    /// One has not ended.
    Pending,
    /// One failed, or has not ended in time.
    Failed,
}

/// What is known of a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The node's role.
    pub role: Role,
    /// Whether the node was never configured before this boot.
    pub first_boot: bool,
    /// How often the agent ended in this boot, within [`CRASHES_WITHIN`], without having chosen to.
    pub crashes: u32,
    /// How far the search has come.
    pub reached: Reached,
    /// What stands in its way, as far as it was tried.
    pub obstacle: Option<FailureCode>,
    /// How long it, or Slurm's start, was sought in this boot; scripts that ran meanwhile do not count.
    pub sought: Duration,
    /// How long it is sought before the node fails.
    pub fail_after: Duration,
    /// The events that ended in this boot.
    pub ran: BTreeSet<Event>,
    /// Whether a script failed whose profile says `fail-the-node`.
    pub script_failed: bool,
    /// How many scripts of the user's own profile `configure` ran or tried to run.
    pub own_scripts: usize,
    /// How the exchange stands.
    pub exchange: Exchange,
    /// Whether Slurm runs, or is not to.
    pub has_scheduler: bool,
    /// Whether the user's account has a key to log in with; `None`: not looked at.
    pub key: Option<bool>,
    /// The last conclusion of this boot.
    pub concluded: Option<Verdict>,
}

/// The next step of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Run the scripts of this event.
    Run(Event),
    /// Do the next part of the search for the configuration, within so much time; `None`: within the part's own.
    Seek(Option<Duration>),
    /// Start Slurm, within so much time; `None`: within its own.
    StartScheduler(Option<Duration>),
    /// Wait until the steps of the exchange have ended that are part of being ready.
    AwaitExchange,
    /// Look whether the user's account has a key to log in with.
    CheckKey,
    /// Report this, then signal it.
    Conclude(Verdict),
    /// The boot is over.
    Serve,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(event) => write!(f, "run {event}"),
            Self::Seek(None) => f.write_str("seek the configuration"),
            Self::Seek(Some(within)) => write!(f, "seek the configuration for at most {} s", within.as_secs()),
            Self::StartScheduler(None) => f.write_str("start Slurm"),
            Self::StartScheduler(Some(within)) => write!(f, "start Slurm within at most {} s", within.as_secs()),
            Self::AwaitExchange => f.write_str("wait for the exchange"),
            Self::CheckKey => f.write_str("check the user's SSH key"),
            Self::Conclude(verdict) => write!(f, "conclude: {verdict}"),
            Self::Serve => f.write_str("serve"),
        }
    }
}

/// The next step.
pub fn decide(known: &Snapshot) -> Action {
    if let Some(code) = runs_no_more(known) {
        // It runs no further script of this boot, but is a member and answers: where `initialize` failed it, and after a restart of its
        // agent, that takes the configuration.
        return match conclude(known, Verdict::Failed(code)) {
            Action::Serve if known.reached < Reached::Configuration => Action::Seek(None),
            action => action,
        };
    }
    if !known.ran.contains(&Event::Initialize) && (known.reached >= Reached::Scripts || !known.first_boot) {
        return Action::Run(Event::Initialize);
    }
    if known.reached < Reached::Configuration {
        return without(known, Action::Seek, FailureCode::NoConfiguration);
    }
    if !known.has_scheduler && (known.role == Role::Master || known.ran.contains(&Event::Start)) {
        return without(known, Action::StartScheduler, FailureCode::SchedulerFailed);
    }
    // Where nothing could be fetched until now, `initialize` is still owed.
    let events = [Event::Initialize].into_iter().chain(STAGES);
    if let Some(event) = events.into_iter().find(|event| !known.ran.contains(event)) {
        return if event == Event::NodeStarted { after_exchange(known) } else { Action::Run(event) };
    }
    match known.role {
        Role::Slave => conclude(known, Verdict::Ready),
        Role::Master => login_node(known),
    }
}

/// Why no further script of this boot is run, if so.
fn runs_no_more(known: &Snapshot) -> Option<FailureCode> {
    let has_failed = known.concluded == Some(Verdict::Failed(FailureCode::AgentFailed));
    // No script is left that could end the agent again.
    let is_over = known.concluded.is_some() && known.ran.contains(&Event::NodeStarted);
    if known.script_failed {
        Some(FailureCode::ScriptFailed)
    } else if has_failed || known.crashes > CRASHES_MAX && !is_over {
        Some(FailureCode::AgentFailed)
    } else {
        None
    }
}

/// Seeks what is missing, and fails the node where it does not come in time, but seeks on.
fn without(known: &Snapshot, seek: impl Fn(Option<Duration>) -> Action, code: FailureCode) -> Action {
    let wait = match known.obstacle {
        Some(FailureCode::AccountRefused) => known.fail_after.min(ACCOUNT_WAIT),
        _ => known.fail_after,
    };
    let left = wait.saturating_sub(known.sought);
    if !left.is_zero() {
        return seek(Some(left));
    }
    if !known.ran.contains(&Event::Fail) {
        return Action::Run(Event::Fail);
    }
    let failed = Verdict::Failed(known.obstacle.unwrap_or(code));
    // The obstacle may change later; the conclusion stays.
    if known.concluded.is_none() { Action::Conclude(failed) } else { seek(None) }
}

/// A round that failed in the life of a cluster does not fail a reboot: its members may be others by now.
fn after_exchange(known: &Snapshot) -> Action {
    match known.exchange {
        Exchange::Pending if known.role == Role::Master && known.first_boot => Action::AwaitExchange,
        Exchange::Failed if known.role == Role::Master && known.first_boot => conclude(known, Verdict::Failed(FailureCode::ExchangeFailed)),
        _ => Action::Run(Event::NodeStarted),
    }
}

fn login_node(known: &Snapshot) -> Action {
    let verdict = match known.key {
        // A restart of the agent looks no more: what the user does with the key later is theirs to do.
        _ if known.concluded == Some(Verdict::Ready) => Verdict::Ready,
        _ if known.first_boot && known.own_scripts == 0 => Verdict::Failed(FailureCode::ProfileHasNoScripts),
        None => return Action::CheckKey,
        Some(false) => Verdict::Failed(FailureCode::NoUsableSshKey),
        Some(true) => Verdict::Ready,
    };
    conclude(known, verdict)
}

fn conclude(known: &Snapshot, verdict: Verdict) -> Action {
    if known.concluded == Some(verdict) { Action::Serve } else { Action::Conclude(verdict) }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
