//! The next step of a boot, by what is known.

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
        has_scheduler: true,
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
            Action::Seek(_) | Action::StartScheduler(_) | Action::AwaitExchange => {}
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

#[test]
fn slurm_runs_on_the_login_node_before_configure_and_on_a_compute_node_after_start() {
    let taken = |role| {
        let known = Snapshot { reached: Reached::Configuration, has_scheduler: false, ..first_boot(role) };
        steps(known, |known, action| known.has_scheduler |= matches!(action, Action::StartScheduler(_)))
    };
    let slurm = "start Slurm within at most 300 s";
    let login = ["run initialize", slurm, "run configure", "run start", "run node-started", "check the user's SSH key", "conclude: ready"];
    assert_eq!(taken(Role::Master), [&login[..], &["serve"]].concat());
    let compute = ["run initialize", "run configure", "run start", slurm, "run node-started", "conclude: ready", "serve"];
    assert_eq!(taken(Role::Slave), compute);
}

#[test]
fn a_node_whose_slurm_does_not_start_in_time_fails_with_that_and_is_ready_when_it_does() {
    let obstacle = Some(FailureCode::SchedulerFailed);
    let mut known = Snapshot { reached: Reached::Configuration, has_scheduler: false, obstacle, ..first_boot(Role::Master) };
    known.ran.insert(Event::Initialize);
    known.sought = Duration::from_millis(299_999);
    assert_eq!(decide(&known), Action::StartScheduler(Some(Duration::from_millis(1))));
    known.sought = Duration::from_mins(5);
    let mut late = 0;
    let taken = steps(known, |known, action| {
        late += usize::from(action == Action::StartScheduler(None));
        known.has_scheduler = late == 2;
    });
    let failed = ["run fail", "conclude: failed: scheduler-failed", "start Slurm", "start Slurm"];
    assert_eq!(taken[..4], failed);
    assert_eq!(taken.last().unwrap(), "serve");
    assert_eq!(taken[taken.len() - 2], "conclude: ready");
}

#[test]
fn a_compute_node_that_a_script_failed_is_given_no_job() {
    let known = Snapshot { reached: Reached::Configuration, has_scheduler: false, ..first_boot(Role::Slave) };
    let taken = steps(known, |known, action| known.script_failed |= action == Action::Run(Event::Start));
    assert_eq!(taken, ["run initialize", "run configure", "run start", "conclude: failed: script-failed", "serve"]);
}
