//! What the boot of a node does next: a pure function of what is known. [`super::boot`] carries it out.
//!
//! | known | then |
//! |---|---|
//! | the agent ended unexpectedly too often, and the boot is not over | conclude: `agent-failed`; seek the configuration, run no script |
//! | scripts are there, `initialize` has not run | run `initialize` |
//! | no configuration, and the wait is not over | seek it |
//! | no configuration, the wait is over | run `fail`, conclude, seek on |
//! | configuration | run `configure`, `start`, `node-started`; conclude |
//! | at the login node's first boot, before `node-started`, steps of the exchange that are part of being ready | wait for their end; conclude where one failed |
//! | a script failed whose profile says `fail-the-node` | conclude at once; seek the configuration, run no script |
//!
//! An event that has ended runs no more in a boot; one that the agent's end interrupted runs again. `initialize` waits for the first
//! fetch of the node's life, for before it there is no script to run; at a reboot it runs at once, with the scripts of the last boot
//! (acceptance checks B5, B23).

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
    /// How long it was sought in this boot; scripts that ran meanwhile do not count.
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
        return without_configuration(known);
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

fn without_configuration(known: &Snapshot) -> Action {
    let wait = match known.obstacle {
        Some(FailureCode::AccountRefused) => known.fail_after.min(ACCOUNT_WAIT),
        _ => known.fail_after,
    };
    let left = wait.saturating_sub(known.sought);
    if !left.is_zero() {
        return Action::Seek(Some(left));
    }
    if !known.ran.contains(&Event::Fail) {
        return Action::Run(Event::Fail);
    }
    let failed = Verdict::Failed(known.obstacle.unwrap_or(FailureCode::NoConfiguration));
    // The obstacle may change later; the conclusion stays.
    if known.concluded.is_none() { Action::Conclude(failed) } else { Action::Seek(None) }
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
mod tests {
    use super::*;

    fn first_boot(role: Role) -> Snapshot {
        Snapshot {
            role,
            first_boot: true,
            crashes: 0,
            reached: Reached::Nothing,
            obstacle: None,
            sought: Duration::ZERO,
            fail_after: Duration::from_mins(5),
            ran: BTreeSet::new(),
            script_failed: false,
            own_scripts: 1,
            exchange: Exchange::Settled,
            key: None,
            concluded: None,
        }
    }

    /// Carries a boot out, with this after each step, and lists the steps.
    fn steps(mut known: Snapshot, mut then: impl FnMut(&mut Snapshot, Action)) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        loop {
            let action = decide(&known);
            assert!(steps.len() < 40, "{steps:?}");
            steps.push(action.to_string());
            match action {
                Action::Run(event) => _ = known.ran.insert(event),
                Action::Conclude(verdict) => known.concluded = Some(verdict),
                Action::CheckKey => known.key = Some(true),
                Action::Seek(_) | Action::AwaitExchange => {}
                Action::Serve => return steps,
            }
            then(&mut known, action);
        }
    }

    #[test]
    fn a_first_boot_fetches_initializes_configures_and_is_ready() {
        let mut seeks = 0;
        let taken = steps(first_boot(Role::Master), |known, action| {
            if matches!(action, Action::Seek(_)) {
                seeks += 1;
                known.reached = if seeks == 2 { Reached::Configuration } else { Reached::Scripts };
            }
        });
        assert_eq!(
            taken,
            [
                "seek the configuration for at most 300 s",
                "run initialize",
                "seek the configuration for at most 300 s",
                "run configure",
                "run start",
                "run node-started",
                "check the user's SSH key",
                "conclude: ready",
                "serve"
            ]
        );
    }

    #[test]
    fn b12_without_a_configuration_fail_runs_when_the_time_is_over_and_the_search_goes_on() {
        let mut known = Snapshot { obstacle: Some(FailureCode::NoConfiguration), ..first_boot(Role::Slave) };
        known.sought = Duration::from_millis(299_999);
        assert_eq!(decide(&known), Action::Seek(Some(Duration::from_millis(1))));
        known.sought = Duration::from_mins(5);
        let mut late = 0;
        let taken = steps(known, |known, action| {
            if action == Action::Seek(None) {
                late += 1;
                known.obstacle = Some(FailureCode::SecretUnreadable);
                known.reached = if late == 3 { Reached::Configuration } else { Reached::Nothing };
            }
        });
        let late = "seek the configuration";
        let after = ["run initialize", "run configure", "run start", "run node-started", "conclude: ready", "serve"];
        assert_eq!(taken, [&["run fail", "conclude: failed: no-configuration", late, late, late][..], &after].concat());
    }

    #[test]
    fn an_account_that_is_refused_is_not_sought_as_long_as_the_network() {
        let known = Snapshot { obstacle: Some(FailureCode::AccountRefused), ..first_boot(Role::Master) };
        let at = |sought| decide(&Snapshot { sought, ..known.clone() });
        assert_eq!(at(ACCOUNT_WAIT.checked_sub(Duration::from_millis(1)).unwrap()), Action::Seek(Some(Duration::from_millis(1))));
        assert_eq!(at(ACCOUNT_WAIT), Action::Run(Event::Fail));
    }

    #[test]
    fn b23_a_reboot_initializes_with_the_last_scripts_before_it_asks_anybody() {
        let known = Snapshot { first_boot: false, ..first_boot(Role::Slave) };
        assert_eq!(decide(&known), Action::Run(Event::Initialize));
    }

    #[test]
    fn a_login_node_is_ready_only_with_a_key_and_with_a_script_of_its_users_profile() {
        let ran: BTreeSet<Event> = [Event::Initialize].into_iter().chain(STAGES).collect();
        let ended = Snapshot { reached: Reached::Configuration, ran, ..first_boot(Role::Master) };
        assert_eq!(decide(&ended), Action::CheckKey);
        let with = |own_scripts, key, first_boot| decide(&Snapshot { own_scripts, key: Some(key), first_boot, ..ended.clone() });
        assert_eq!(with(1, true, true), Action::Conclude(Verdict::Ready));
        assert_eq!(with(1, false, true), Action::Conclude(Verdict::Failed(FailureCode::NoUsableSshKey)));
        assert_eq!(with(0, true, true), Action::Conclude(Verdict::Failed(FailureCode::ProfileHasNoScripts)));
        assert_eq!(with(0, true, false), Action::Conclude(Verdict::Ready), "at a reboot a profile of the first boot only runs nothing");
        let slave = Snapshot { role: Role::Slave, own_scripts: 0, ..ended };
        assert_eq!(decide(&slave), Action::Conclude(Verdict::Ready));
    }

    #[test]
    fn a_first_boot_waits_for_the_steps_that_are_part_of_being_ready_and_fails_with_them() {
        let ran = [Event::Initialize, Event::Configure, Event::Start].into();
        let known = Snapshot { reached: Reached::Configuration, ran, exchange: Exchange::Pending, ..first_boot(Role::Master) };
        let ends = |exchange| {
            steps(known.clone(), |known, action| known.exchange = if action == Action::AwaitExchange { exchange } else { known.exchange })
        };
        let ready = ["wait for the exchange", "run node-started", "check the user's SSH key", "conclude: ready", "serve"];
        assert_eq!(ends(Exchange::Settled), ready);
        assert_eq!(ends(Exchange::Failed), ["wait for the exchange", "conclude: failed: exchange-failed", "serve"]);
        for exchange in [Exchange::Pending, Exchange::Failed] {
            let reboot = Snapshot { first_boot: false, exchange, ..known.clone() };
            assert_eq!(decide(&reboot), Action::Run(Event::NodeStarted), "what failed in an earlier boot");
            let compute = Snapshot { role: Role::Slave, exchange, ..known.clone() };
            assert_eq!(decide(&compute), Action::Run(Event::NodeStarted), "the login node's word");
        }
    }

    #[test]
    fn a_script_that_fails_the_node_ends_the_boot_at_once() {
        let known = Snapshot { reached: Reached::Configuration, ..first_boot(Role::Master) };
        let taken = steps(known, |known, action| known.script_failed |= action == Action::Run(Event::Configure));
        assert_eq!(taken, ["run initialize", "run configure", "conclude: failed: script-failed", "serve"]);
    }

    #[test]
    fn a_node_that_failed_is_still_a_member_after_a_restart_of_its_agent() {
        let known = Snapshot { reached: Reached::Scripts, ..first_boot(Role::Slave) };
        let taken = steps(known, |known, action| {
            known.script_failed |= action == Action::Run(Event::Initialize);
            if action == Action::Seek(None) {
                known.reached = Reached::Configuration;
            }
        });
        assert_eq!(taken, ["run initialize", "conclude: failed: script-failed", "seek the configuration", "serve"]);
    }

    #[test]
    fn an_agent_that_ends_again_and_again_runs_no_further_script() {
        let known = Snapshot { crashes: CRASHES_MAX, reached: Reached::Scripts, ..first_boot(Role::Master) };
        assert_eq!(decide(&known), Action::Run(Event::Initialize));
        let over = Snapshot { crashes: CRASHES_MAX + 1, ..known };
        let found = |known: &mut Snapshot, action| {
            if action == Action::Seek(None) {
                known.reached = Reached::Configuration;
            }
        };
        let taken = ["conclude: failed: agent-failed", "seek the configuration", "serve"];
        assert_eq!(steps(over.clone(), found), taken, "it is a member and answers all the same");
        // Later, when some of the ends lie far back.
        let later = Snapshot { crashes: 1, concluded: Some(Verdict::Failed(FailureCode::AgentFailed)), ..over };
        assert_eq!(steps(later, found), taken[1..], "of this boot");
    }

    #[test]
    fn a_boot_that_is_over_stays_as_it_was_concluded_however_often_the_agent_ends() {
        let ran: BTreeSet<Event> = [Event::Initialize].into_iter().chain(STAGES).collect();
        let over = Snapshot { crashes: CRASHES_MAX + 1, reached: Reached::Scripts, ran, ..first_boot(Role::Master) };
        let ready = Snapshot { concluded: Some(Verdict::Ready), ..over.clone() };
        assert_eq!(decide(&ready), Action::Seek(Some(Duration::from_mins(5))), "it is a member and answers");
        let ready = Snapshot { reached: Reached::Configuration, ..ready };
        assert_eq!(decide(&ready), Action::Serve, "whatever became of the user's key");
        let agent_failed = Action::Conclude(Verdict::Failed(FailureCode::AgentFailed));
        assert_eq!(decide(&over), agent_failed, "where the conclusion itself is what ends it");
    }
}
