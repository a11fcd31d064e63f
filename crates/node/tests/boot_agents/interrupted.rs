//! Agents and machines that end at a bad moment, and scripts that take too long: what stays, and what runs afterwards.

use cf_core::node_report::FailureCode;

use crate::boot_bed::{Bed, CLUSTER, RAN, ROOT, wait};
use crate::ready;

#[test]
fn a_login_node_that_was_ready_stays_so_however_often_its_agent_is_killed_and_answers_the_others() {
    let mut bed = Bed::new();
    bed.noting("alice", "configure.d/c");
    ready(&mut bed, 0);
    wait("the signal", || (bed.signals().len() == 1).then_some(()));
    for crash in 1..=7 {
        bed.kill(1);
        bed.boot(1, "boot-1");
        wait("the agent is back", || bed.report("login1").filter(|report| report.message.contains(&format!("({crash} times"))));
    }
    bed.boot(2, "boot-1");
    bed.wait_for("compute-1", "ready");
    let report = bed.report("login1").unwrap();
    assert_eq!((report.state.to_string().as_str(), report.failure), ("ready", None));
    assert_eq!(bed.ran(1).len(), 1, "nothing ran again");
    assert_eq!(bed.signals(), ["i-1 true ready"]);
}

#[test]
fn a_login_node_whose_scripts_end_its_agent_runs_them_no_more_and_still_answers_the_others() {
    let mut bed = Bed::new();
    bed.script("alice", "configure.d/10-long", &format!("echo long >> {RAN}; while [ ! -e {ROOT}/go ]; do sleep 0.05; done"));
    for run in 1..=6 {
        bed.boot(1, "boot-1");
        wait("the script runs", || (bed.ran(1).len() == run).then_some(()));
        bed.kill(1);
    }
    bed.boot(1, "boot-1");
    bed.boot(2, "boot-1");
    let report = bed.wait_for("login1", "failed");
    assert_eq!(report.failure, Some(FailureCode::AgentFailed));
    std::fs::write(bed.root(2).join("go"), "").unwrap();
    bed.wait_for("compute-1", "ready");
    assert_eq!((bed.ran(1).len(), bed.signals()), (6, vec!["agent-failed false failed".to_owned()]));
    let report = bed.report("login1").unwrap();
    assert_eq!((report.state.to_string().as_str(), report.failure), ("failed", Some(FailureCode::AgentFailed)), "it stays failed");
}

#[test]
fn a_script_that_a_killed_agent_left_running_ends_before_it_runs_again() {
    let mut bed = Bed::new();
    // Notes each run, and whether one of an earlier run still lives.
    let lines = format!(
        "for other in $(cat {ROOT}/pids 2>/dev/null); do grep -q '^State:.[^ZX]' /proc/$other/status 2>/dev/null && echo beside >> {RAN}; done\n\
         setsid sleep 1000 & echo $! >> {ROOT}/pids; echo $$ >> {ROOT}/pids\n\
         echo run >> {RAN}; while [ ! -e {ROOT}/go ]; do sleep 0.05; done"
    );
    bed.script("alice", "configure.d/10-long", &lines);
    // What a script that has ended left running goes on.
    bed.script("alice", "initialize.d/service", &format!("setsid sleep 1000 >/dev/null 2>&1 & echo $! > {ROOT}/service"));
    bed.boot(1, "boot-1");
    wait("the first run", || (bed.ran(1) == ["run"]).then_some(()));
    bed.kill(1);
    bed.boot(1, "boot-1");
    wait("the second run", || (bed.ran(1).iter().filter(|line| *line == "run").count() == 2).then_some(()));
    assert_eq!(bed.ran(1), ["run", "run"], "no run beside another");
    std::fs::write(bed.root(1).join("go"), "").unwrap();
    bed.wait_for("login1", "ready");
    let service = std::fs::read_to_string(bed.root(1).join("service")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.trim())).unwrap_or_default();
    assert!(status.contains("\nState:\tS"), "a service that a script started lives on: {status}");
    let runs = bed.root(1).join("var/lib/clusterdrop/runs");
    assert_eq!(std::fs::read_dir(runs).unwrap().count(), 0, "no note of a run stays");
    for pid in [service.trim()].into_iter().chain(std::fs::read_to_string(bed.root(1).join("pids")).unwrap().lines()) {
        let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn a_machine_whose_name_was_given_away_does_not_take_it_back_by_its_last_answer() {
    let mut bed = Bed::new();
    ready(&mut bed, 1);
    assert_eq!(bed.report("compute-1").unwrap().instance, "i-2");
    bed.kill(2);
    for machine in 3..=5 {
        bed.boot(machine, "boot-1");
    }
    wait("the name is another machine's", || bed.report("compute-1").filter(|report| report.instance != "i-2"));
    for number in 1..=3 {
        bed.wait_for(&format!("compute-{number}"), "ready");
    }
    // Longer than it waits for the login node before it takes what it was answered last.
    bed.fail_after_ms = 3_000;
    bed.boot(2, "boot-2");
    let failed = "the node failed: the login node gives this machine no number";
    wait(failed, || bed.agent(2).log().contains(failed).then_some(()));
    assert_ne!(bed.report("compute-1").unwrap().instance, "i-2", "its report is the new machine's");
    // A number becomes free.
    let (machine, node) = (3..=5)
        .find_map(|machine| {
            (1..=3).find_map(|number| {
                let report = bed.report(&format!("compute-{number}"))?;
                (report.instance == format!("i-{machine}") && number != 1).then_some((machine, format!("compute-{number}")))
            })
        })
        .unwrap();
    bed.kill(machine);
    wait("it is the node whose number became free", || bed.report(&node).filter(|report| report.instance == "i-2"));
}

#[test]
fn a_node_that_gets_another_name_starts_again_under_it_and_that_is_no_crash() {
    let mut bed = Bed::new();
    ready(&mut bed, 1);
    bed.stop(1);
    bed.stop(2);
    // The login node does not answer, so the machine takes its last answer.
    bed.boot(2, "boot-2");
    wait("the last answer is taken", || bed.agent(2).log().contains("starts with what it was told at its last start").then_some(()));
    let book = bed.root(1).join("var/lib/clusterdrop/assignment.json");
    let text = std::fs::read_to_string(&book).unwrap();
    std::fs::write(&book, text.replace("compute-1", "compute-2")).unwrap();
    bed.boot(1, "boot-1");
    assert!(!bed.agent(2).wait_for_end().success(), "systemd starts it again");
    assert!(bed.agent(2).log().contains("this machine is compute-2 now"), "{}", bed.agent(2).log());
    bed.boot(2, "boot-2");
    let report = bed.wait_for("compute-2", "ready");
    assert_eq!((report.instance.as_str(), report.message.contains("ended unexpectedly")), ("i-2", false), "{}", report.message);
}

#[test]
fn scripts_of_joins_share_the_time_of_the_boot_so_that_its_signal_comes_in_time() {
    let mut bed = Bed::new();
    bed.boot_limit_ms = 10_000;
    bed.script("alice", "member-join.d/hangs", "sleep 1000");
    // So the join's turn is between `start` and `node-started`.
    bed.script("alice", "start.d/takes-a-while", &format!("until grep -q login1 {ROOT}/etc/hosts; do sleep 0.05; done; sleep 1"));
    bed.boot(1, "boot-1");
    let report = bed.wait_for("login1", "ready");
    let hangs = report.scripts.iter().find(|script| script.script == "hangs").unwrap();
    assert!(hangs.outcome.contains("was killed"), "{hangs:?}");
    wait("the signal", || (bed.signals() == ["i-1 true ready"]).then_some(()));
}

#[test]
fn the_account_is_there_on_every_node_before_a_script_writes_a_key_into_it() {
    let mut bed = Bed::new();
    ready(&mut bed, 1);
    for (machine, node) in [(1, "login1"), (2, "compute-1")] {
        let keys = std::fs::read_to_string(bed.root(machine).join("home/alice/.ssh/authorized_keys")).unwrap();
        assert_eq!((keys.as_str(), bed.report(node).unwrap().scripts.len()), ("ssh-ed25519 AAAA alice\n", 0), "{node}");
    }
}

#[test]
fn a_login_node_that_fails_without_its_configuration_uploads_its_logs() {
    let mut bed = Bed::new();
    bed.fail_after_ms = 500;
    bed.remove("secrets/cluster");
    bed.boot(1, "boot-1");
    assert_eq!(bed.wait_for("login1", "failed").failure, Some(FailureCode::SecretUnreadable));
    let log = bed.store().join(format!("homes/home/alice/{CLUSTER}.logs/instance.log"));
    let text = wait("the log of the failure", || std::fs::read_to_string(&log).ok());
    assert!(text.contains("[cluster-customizer:fail] no scripts"), "{text}");
}
