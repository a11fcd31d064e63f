//! Whole clusters of real agents on loopback addresses: boots, reboots, crashes, joins and leaves. The tests `b…` are acceptance checks
//! of the Alces customiser (facts/seeds.md B).

mod boot_bed;
mod exchange;
mod interrupted;
mod profiles;
mod unwanted;

use std::process::Command;

use boot_bed::{Bed, PATIENCE, RAN, ROOT, wait};
use cf_core::node_report::FailureCode;
use cf_node::node::Layout;

/// The process of one agent, which the other tests start.
#[test]
#[ignore = "does nothing but in the processes that the other tests start"]
fn agent_process() {
    boot_bed::run_agent();
}

/// A login node and compute nodes, all ready.
fn ready(bed: &mut Bed, compute_nodes: u8) {
    for machine in 1..=compute_nodes + 1 {
        bed.boot(machine, "boot-1");
    }
    bed.wait_for("login1", "ready");
    for number in 1..=compute_nodes {
        bed.wait_for(&format!("compute-{number}"), "ready");
    }
}

#[test]
fn a_login_node_boots_runs_its_profile_reports_and_signals_in_this_order() {
    let mut bed = Bed::new();
    for event in ["initialize", "configure", "start", "node-started", "member-join"] {
        bed.noting("alice", &format!("{event}.d/{event}"));
    }
    bed.boot(1, "boot-1");
    let report = bed.wait_for("login1", "ready");
    assert_eq!((report.instance.as_str(), report.address), ("i-1", Some(bed.address(1).into())));
    assert_eq!((report.failure, report.message.as_str(), report.scripts.len(), report.host_keys.len()), (None, "", 0, 1));
    wait("the signal", || (bed.signals() == ["i-1 true ready"]).then_some(()));
    wait("its own join", || (bed.ran_with(1, "member-join").len() == 1).then_some(()));
    let stages: Vec<String> = bed.ran(1).into_iter().filter(|line| !line.starts_with("member")).collect();
    let [a, b, c, d] =
        ["initialize once", "configure configure master demo", "start start master demo", "node-started node-started master demo"];
    assert_eq!(stages, [a, b, c, d]);
}

/// Notes `<event> <name> <ip>` and whether the file of argument 4 names the member as it is.
const MEMBER_SCRIPT: &str =
    ". \"$4\" && echo \"$1 $5 $6 $cw_MEMBER_ip $cw_MEMBER_role $cw_MEMBER_tags $cw_MEMBER_name\" >> \"${0%%/var/lib/clusterdrop/*}/ran\"";

#[test]
fn b10_a_join_is_seen_on_every_node_also_the_joiner_with_a_readable_file() {
    let mut bed = Bed::new();
    bed.script("alice", "member-join.d/m", MEMBER_SCRIPT);
    ready(&mut bed, 2);
    let ip = |machine| bed.address(machine).to_string();
    for machine in 1..=3 {
        let joins = wait("three joins", || Some(bed.ran_with(machine, "member-join")).filter(|joins| joins.len() == 3));
        let login = format!("member-join login1 {0} {0} master aws_instanceid=i-1 ", ip(1));
        assert!(joins.contains(&login), "{joins:?} lacks {login:?}");
        wait("the hosts", || {
            let mut hosts = bed.hosts(machine);
            hosts.retain(|name| name == "login1" || name.starts_with("compute-"));
            (hosts == ["login1", "compute-1", "compute-2"]).then_some(())
        });
    }
}

#[test]
fn b11_a_leave_and_a_loss_are_seen_on_the_others_with_a_file_that_names_the_member() {
    let mut bed = Bed::new();
    bed.script("alice", "member-leave.d/m", MEMBER_SCRIPT);
    ready(&mut bed, 2);
    wait("all know each other", || (1..=3).all(|machine| bed.hosts(machine).contains(&"compute-2".to_owned())).then_some(()));
    // Which machine is which node is a race between the two.
    let second = bed.report("compute-2").unwrap().instance;
    let (kept, lost) = if second == "i-3" { (2, 3) } else { (3, 2) };
    bed.kill(lost);
    let leaves = wait("the loss", || Some(bed.ran_with(1, "member-leave")).filter(|leaves| !leaves.is_empty()));
    let ip = bed.address(lost);
    assert_eq!(leaves, [format!("member-leave compute-2 {ip} {ip} slave aws_instanceid=i-{lost} compute-2")]);
    bed.stop(kept);
    wait("the leave", || (bed.ran_with(1, "member-leave compute-1").len() == 1).then_some(()));
    assert_eq!(bed.report("compute-1").unwrap().state.to_string(), "ready", "a compute node that ends reports nothing");
}

#[test]
fn b12_without_a_configuration_fail_runs_with_the_scripts_known_so_far_and_the_node_goes_on_trying() {
    let mut bed = Bed::new();
    bed.fail_after_ms = 1_500;
    bed.noting("alice", "fail.d/f");
    bed.noting("alice", "configure.d/c");
    // No login node runs.
    bed.boot(2, "boot-1");
    wait("fail", || (bed.ran(2) == ["f fail slave demo"]).then_some(()));
    let report = bed.wait_for("compute-i-2", "failed");
    assert_eq!(report.failure, Some(FailureCode::NoConfiguration));
    assert_eq!(report.message, "the login node has not reported its address yet");
    bed.kill(2);
    bed.boot(2, "boot-1");
    bed.boot(1, "boot-1");
    bed.wait_for("compute-1", "ready");
    bed.wait_for("compute-i-2", "leaving");
    assert_eq!(bed.ran(2), ["f fail slave demo", "c configure slave demo"]);
}

#[test]
fn b12_a_login_node_without_network_fails_with_the_reason_and_is_ready_when_it_comes() {
    let mut bed = Bed::new();
    bed.fail_after_ms = 1_000;
    bed.noting("alice", "fail.d/f");
    bed.cut_network();
    bed.boot(1, "boot-1");
    wait("the failure", || bed.agent(1).log().contains("the node failed: the profile alice cannot be fetched").then_some(()));
    bed.restore_network();
    let report = bed.wait_for("login1", "ready");
    let words = "the profile alice cannot be fetched";
    assert_eq!(report.failure, Some(FailureCode::ProfileUnreadable), "the answer for the stack, which failed, is made of it");
    assert!(report.message.starts_with(words), "{}", report.message);
    wait("the signal", || (bed.signals().len() == 1).then_some(()));
    assert!(bed.signals()[0].starts_with("profile-unreadable false"), "the first conclusion counts: {:?}", bed.signals());
    assert_eq!(bed.ran(1).len(), 0, "no script was known when the time was over");
}

#[test]
fn b23_nodes_that_reboot_without_network_configure_with_their_last_scripts_and_say_so() {
    let mut bed = Bed::new();
    bed.noting("alice", "configure.d/c");
    ready(&mut bed, 1);
    bed.stop(2);
    bed.stop(1);
    bed.cut_network();
    bed.boot(1, "boot-2");
    bed.boot(2, "boot-2");
    for machine in [1, 2] {
        wait("the second boot", || (bed.ran_with(machine, "c ").len() == 2).then_some(()));
        let log = |bed: &mut Bed| bed.agent(machine).log();
        wait("the reason", || log(&mut bed).contains("the scripts that were fetched last stay").then_some(()));
    }
    bed.restore_network();
    wait("the report", || bed.report("login1").filter(|report| report.message.contains("the scripts that were fetched last stay")));
}

#[test]
fn a_node_whose_script_fails_it_reports_before_it_signals() {
    let mut bed = Bed::new();
    bed.put("profiles/customizer/alice/profile.toml", "on-error = \"fail-the-node\"\n");
    bed.script("alice", "configure.d/50-breaks", "echo it is broken; exit 7");
    bed.noting("alice", "start.d/never");
    bed.boot(1, "boot-1");
    let report = bed.wait_for("login1", "failed");
    assert_eq!(report.failure, Some(FailureCode::ScriptFailed));
    assert!(report.message.contains("alice/50-breaks of configure ended with exit code 7"), "{}", report.message);
    assert_eq!(report.scripts[0].last_lines, ["it is broken"]);
    wait("the signal", || (bed.signals() == ["script-failed false failed"]).then_some(()));
    assert_eq!(bed.ran(1).len(), 0);
    bed.kill(1);
    bed.boot(1, "boot-1");
    bed.boot(2, "boot-1");
    wait("a compute node gets its number", || bed.report("compute-1"));
    let report = bed.report("login1").unwrap();
    assert_eq!((report.failure, report.state.to_string().as_str()), (Some(FailureCode::ScriptFailed), "failed"), "it stays failed");
}

#[test]
fn a_login_node_without_a_key_or_without_a_script_of_its_users_is_not_ready() {
    let mut bed = Bed::new();
    bed.script("alice", "configure.d/00-key", "true");
    bed.boot(1, "boot-1");
    assert_eq!(bed.wait_for("login1", "failed").failure, Some(FailureCode::NoUsableSshKey));
    let mut bed = Bed::new();
    bed.remove("profiles/customizer/alice/configure.d/00-key");
    bed.put("profiles/customizer/alice/configure.d/README~", "text");
    bed.boot(1, "boot-1");
    assert_eq!(bed.wait_for("login1", "failed").failure, Some(FailureCode::ProfileHasNoScripts));
}

#[test]
fn a_second_agent_refuses_and_the_first_goes_on() {
    let mut bed = Bed::new();
    ready(&mut bed, 0);
    let mut second = bed.spawn(1, "boot-1");
    assert!(!second.wait_for_end().success());
    assert!(second.log().contains("another agent runs on this node"), "{}", second.log());
    assert_eq!(bed.report("login1").unwrap().state.to_string(), "ready");
}

#[test]
fn names_survive_the_login_node_and_a_lost_machines_name_goes_to_its_replacement() {
    let mut bed = Bed::new();
    ready(&mut bed, 3);
    let machine_of = |bed: &Bed, node: &str| bed.report(node).unwrap().instance;
    let before: Vec<String> = (1..=3).map(|number| machine_of(&bed, &format!("compute-{number}"))).collect();
    bed.kill(1);
    bed.boot(1, "boot-1");
    bed.kill(2);
    bed.boot(2, "boot-2");
    let own = before.iter().position(|instance| instance == "i-2").unwrap() + 1;
    wait("the name that it had", || bed.agent(2).log().contains(&format!("node=compute-{own}")).then_some(()));
    bed.kill(3);
    let lost = before.iter().position(|instance| instance == "i-3").unwrap() + 1;
    bed.boot(5, "boot-1");
    wait("the lost machine's name", || bed.report(&format!("compute-{lost}")).filter(|report| report.instance == "i-5"));
}

#[test]
fn a_killed_agent_goes_on_where_it_was_and_signals_once() {
    let mut bed = Bed::new();
    bed.script("alice", "configure.d/10-long", &format!("echo long >> {RAN}; while [ ! -e {ROOT}/go ]; do sleep 0.05; done"));
    bed.noting("alice", "configure.d/20-later");
    bed.boot(1, "boot-1");
    wait("the long script", || (bed.ran(1) == ["long"]).then_some(()));
    bed.kill(1);
    std::fs::write(bed.root(1).join("go"), "").unwrap();
    bed.boot(1, "boot-1");
    let report = bed.wait_for("login1", "ready");
    assert!(report.message.contains("ended unexpectedly and was started again (1 times"), "{}", report.message);
    assert_eq!(bed.ran(1), ["long", "long", "20-later configure master demo"], "an event that was interrupted runs again, whole");
    wait("the signal", || (!bed.signals().is_empty()).then_some(()));
    bed.kill(1);
    bed.boot(1, "boot-1");
    let report = wait("the second crash", || bed.report("login1").filter(|report| report.message.contains("(2 times")));
    assert_eq!((report.state.to_string().as_str(), report.host_keys.len()), ("ready", 1), "what was reported stays");
    assert_eq!(bed.signals(), ["i-1 true ready"]);
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_and_the_login_node_reports_it() {
    let mut bed = Bed::new();
    ready(&mut bed, 1);
    wait("both know each other", || bed.hosts(1).contains(&"compute-1".to_owned()).then_some(()));
    let begin = std::time::Instant::now();
    bed.stop(2);
    wait("the leave", || (!bed.hosts(1).contains(&"compute-1".to_owned())).then_some(()));
    assert!(begin.elapsed() < PATIENCE / 2);
    bed.stop(1);
    assert_eq!(bed.report("login1").unwrap().state.to_string(), "leaving");
    bed.boot(1, "boot-1");
    bed.wait_for("login1", "ready");
}

#[test]
fn a_node_has_its_name_as_host_name_and_the_machine_that_it_runs_on_keeps_its_own() {
    let kernel = "proc/sys/kernel/hostname";
    let own = || std::fs::read_to_string(format!("/{kernel}")).unwrap();
    let before = own();
    let mut bed = Bed::new();
    for machine in [1, 2] {
        std::fs::create_dir_all(bed.root(machine).join("proc/sys/kernel")).unwrap();
        std::fs::write(bed.root(machine).join(kernel), "old\n").unwrap();
    }
    // A folder in the way.
    std::fs::create_dir_all(bed.root(2).join("etc/hostname")).unwrap();
    bed.script("alice", "configure.d/name", &format!("cat {ROOT}/{kernel} >> {RAN}"));
    ready(&mut bed, 1);
    assert_eq!((bed.ran(1), bed.ran(2)), (vec!["login1".to_owned()], vec!["compute-1".to_owned()]), "scripts find the name");
    assert_eq!(std::fs::read_to_string(bed.root(1).join("etc/hostname")).unwrap(), "login1\n");
    let message = bed.report("compute-1").unwrap().message;
    assert!(message.starts_with("the host name compute-1 is not set, or not for good: /etc/hostname cannot be written: "), "{message}");
    assert_eq!(own(), before);
}

#[test]
fn an_agent_that_can_keep_no_state_reports_that_and_signals() {
    let mut bed = Bed::new();
    let state = Layout::below(bed.root(1)).state();
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    std::fs::write(&state, "no folder").unwrap();
    bed.boot(1, "boot-1");
    assert!(!bed.agent(1).wait_for_end().success());
    let report = bed.report("login1").unwrap();
    assert_eq!((report.state.to_string().as_str(), report.failure), ("failed", Some(FailureCode::AgentFailed)));
    assert!(report.message.starts_with("the agent cannot keep its state in "), "{}", report.message);
    assert_eq!(bed.signals(), ["agent-failed false failed"]);
}

#[test]
fn the_state_of_another_machine_is_not_this_ones() {
    let mut bed = Bed::new();
    bed.script("alice", "initialize.d/i", &format!("echo \"$*\" >> {RAN}"));
    ready(&mut bed, 1);
    bed.stop(2);
    let image = Layout::below(bed.root(2)).state();
    let copy = Layout::below(bed.root(3)).state();
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-a").args([&image, &copy]).status().unwrap().success());
    bed.boot(3, "boot-1");
    bed.wait_for("compute-2", "ready");
    assert_eq!(bed.ran(3), ["once"], "its first boot, and another number");
}

/// `cargo xtask demo --nodes` shows this on the emulator.
#[test]
fn the_profile_of_the_demo_does_on_real_agents_what_the_demo_shows() {
    let mut bed = Bed::new();
    bed.remove("profiles/customizer/alice/configure.d/00-key");
    let profile = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/profiles/alice");
    let target = bed.store().join("profiles/customizer");
    assert!(Command::new("cp").arg("-r").args([&profile, &target]).status().unwrap().success());
    std::fs::create_dir_all(bed.root(2).join("scratch")).unwrap();
    ready(&mut bed, 2);
    let machines = |machine| std::fs::read_to_string(bed.root(machine).join("etc/machines")).unwrap_or_default();
    let all = wait("three machines", || Some(machines(1)).filter(|all| all.lines().count() == 3));
    assert!(all.starts_with(&format!("{}\tlogin1\n", bed.address(1))), "{all}");
    for machine in [2, 3] {
        wait("the same machines everywhere", || (machines(machine) == all).then_some(()));
    }
    let reports = ["compute-1", "compute-2"].map(|node| bed.report(node).unwrap());
    let failed: Vec<_> =
        reports.iter().flat_map(|report| report.scripts.iter().map(move |script| (report.instance.as_str(), script))).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((failed[0].0, failed[0].1.script.as_str(), failed[0].1.exit_code), ("i-3", "30-scratch.sh", Some(3)));
    // The two streams of a script have no order between them.
    assert!(failed[0].1.last_lines.iter().any(|line| line == "no disk at /scratch: this machine came without one"), "{failed:?}");
    let joined = " [cluster-customizer:member-join] compute-1 at 127.";
    wait("the join in the log", || bed.instance_log(1).iter().any(|line| line.contains(joined)).then_some(()));
    assert!(bed.instance_log(1).iter().any(|line| line.ends_with("] alice can log in to demo")), "{:?}", bed.instance_log(1));
}
