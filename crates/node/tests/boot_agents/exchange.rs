//! Steps of an exchange on whole clusters: what runs where, and how a failure is reported.

use std::process::Command;

use cf_core::node_report::FailureCode;

use crate::boot_bed::{Bed, RAN, ROOT, wait};
use crate::ready;

#[test]
fn steps_of_an_exchange_run_on_all_nodes_of_a_real_cluster() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "[[exchange]]\nname = \"hosts\"\noutputs = [{ name = \"entry\" }]\n");
    bed.script("alice", "export.d/hosts.sh", "echo $(hostname) > \"$heat_outputs_path.entry\"");
    // From Windows: its round would never be complete if what is cleaned were another script.
    bed.put("profiles/customizer/alice/populate.d/hosts.sh", "#!/bin/sh\r\necho \"$cf_node in $PWD\"\r\n");
    ready(&mut bed, 2);
    let status = || {
        let root = bed.root(1);
        let output =
            Command::new(env!("CARGO_BIN_EXE_cf-node")).args(["exchange", "status", "--json", "--root"]).arg(root).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    wait("a complete round of three", || {
        let status: serde_json::Value = serde_json::from_str(&status()).ok()?;
        let rounds = status["steps"][0]["rounds"].as_array()?;
        rounds
            .iter()
            .any(|round| round["state"] == "complete" && round["members"].as_array().is_some_and(|members| members.len() == 3))
            .then_some(())
    });
    let log = bed.instance_log(1);
    let said = |line: &String| line.contains("[cluster-customizer:populate] login1 in /") && line.ends_with("/01-alice");
    assert!(log.iter().any(said), "{log:?}");
    assert!(bed.report("login1").unwrap().scripts.is_empty());
}

#[test]
fn a_step_that_fails_on_one_node_is_in_the_login_nodes_report_with_node_code_and_last_lines() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "[[exchange]]\nname = \"hosts\"\n");
    bed.script("alice", "export.d/hosts.sh", "[ $cf_node = login1 ] || { echo no address >&2; exit 7; }");
    ready(&mut bed, 1);
    let failed = wait("the failed step", || bed.report("login1").unwrap().scripts.first().cloned());
    let script = (failed.event.as_str(), failed.profile.as_str(), failed.script.as_str());
    assert_eq!(script, ("exchange", "alice", "export.d/hosts.sh"));
    assert_eq!(failed.outcome, "of step hosts ended with exit code 7 on compute-1");
    assert_eq!((failed.exit_code, failed.last_lines.as_slice()), (Some(7), &["no address".to_owned()][..]));
    assert_eq!(bed.report("login1").unwrap().state.to_string(), "ready", "its profile does not say that the node fails with it");
}

#[test]
fn a_login_node_whose_profile_says_so_fails_with_a_step_of_the_exchange() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "on-error = \"fail-the-node\"\n[[exchange]]\nname = \"hosts\"\n");
    bed.script("alice", "export.d/hosts.sh", "echo no address >&2; exit 7");
    bed.noting("alice", "node-started.d/never");
    bed.boot(1, "boot-1");
    let report = bed.wait_for("login1", "failed");
    assert_eq!(report.failure, Some(FailureCode::ExchangeFailed));
    let sentence = "the step alice/hosts failed: login1: the export script ended with exit code 7; its errors end with: no address";
    assert_eq!(report.message, sentence);
    assert_eq!(report.scripts[0].last_lines, ["no address"]);
    wait("the signal", || (bed.signals() == ["exchange-failed false failed"]).then_some(()));
    bed.kill(1);
    bed.boot(1, "boot-1");
    bed.boot(2, "boot-1");
    wait("a compute node gets its number", || bed.report("compute-1"));
    assert_eq!(bed.report("login1").unwrap().failure, Some(FailureCode::ExchangeFailed), "it stays failed");
    assert!(bed.ran(1).is_empty());
}

#[test]
fn a_login_node_is_ready_when_the_steps_of_which_its_profile_says_so_are_complete() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "on-error = \"fail-the-node\"\n[[exchange]]\nname = \"hosts\"\n");
    bed.script("alice", "export.d/hosts.sh", &format!("echo export >> {RAN}; while [ ! -e {ROOT}/go ]; do sleep 0.02; done"));
    bed.script("alice", "populate.d/hosts.sh", &format!("echo populate >> {RAN}"));
    bed.noting("alice", "node-started.d/started");
    bed.boot(1, "boot-1");
    wait("the export", || (bed.ran(1) == ["export"]).then_some(()));
    assert_eq!(bed.report("login1").unwrap().state.to_string(), "configuring");
    std::fs::write(bed.root(1).join("go"), "").unwrap();
    bed.wait_for("login1", "ready");
    assert_eq!(bed.ran(1), ["export", "populate", "started node-started master demo"]);
}

#[test]
fn mistakes_in_the_steps_of_a_profile_are_in_the_report() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "[[exchange]]\nname = \"hosts\"\n");
    ready(&mut bed, 0);
    let failed = wait("the mistake", || bed.report("login1").unwrap().scripts.first().cloned());
    assert_eq!((failed.profile.as_str(), failed.script.as_str()), ("alice", "profile.toml"));
    let outcome = "has mistakes, so no step of it is run: exchange step \"hosts\": it has no script: ";
    assert!(failed.outcome.starts_with(outcome), "{}", failed.outcome);
}

#[test]
fn a_script_for_which_nobody_waits_and_that_fails_is_in_its_own_nodes_report() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "[[exchange]]\nname = \"late\"\nsignal = \"none\"\n");
    bed.script("alice", "export.d/late", "[ $cf_node = login1 ] || exit 9");
    ready(&mut bed, 1);
    let failed = wait("the failed script", || bed.report("compute-1").unwrap().scripts.first().cloned());
    assert_eq!((failed.script.as_str(), failed.exit_code), ("export.d/late", Some(9)));
    assert!(bed.report("login1").unwrap().scripts.is_empty());
}
