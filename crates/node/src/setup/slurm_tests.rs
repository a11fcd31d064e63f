//! Slurm on machines whose programs are stand-ins: what is written, and which programs are run. Real ones: `crates/bed/tests/agent`.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::account::Account;
use crate::agent::keys::Keys;
use crate::cloud::Identity;
use crate::node::NodeName;
use crate::request::Given;
use crate::setup::testing::Below;

/// What the agent has found of a node of this name.
fn found(name: &str) -> Found {
    let keys = Keys::of("Zk3vQ8pTr6WmXc1dNy5hBf9jLs2gAe7u").unwrap();
    let name: NodeName = name.parse().unwrap();
    Found {
        identity: Identity { instance: "i-1".to_owned(), address: "10.75.0.9".parse().unwrap() },
        given: Given { name, profiles: Vec::new(), inputs: std::collections::BTreeMap::new() },
        login: "10.75.0.9".parse().unwrap(),
        cluster_key: keys.cluster,
        link_key: keys.link,
        slurm_key: keys.slurm,
        account: Account { login: "alice".into(), home: "/home/alice".into(), keys: "/home/alice/.ssh/authorized_keys".into() },
        is_last_answer: false,
    }
}

/// A machine whose Slurm answers as soon as its daemon was started. Its user is who runs the test.
fn node(role: &str) -> Below {
    let node = Below::new(role);
    let me = std::fs::metadata(node.root.path()).unwrap();
    let (daemon, pid) = if role == "master" { ("slurmctld", "slurmctld.pid") } else { ("slurmd", "slurmd.pid") };
    let root = node.root.path().display();
    let run = format!("mkdir -p {root}/proc/7 {root}/run && echo {daemon} > {root}/proc/7/comm && echo 7 > {root}/run/{pid}");
    node.stand_ins
        .add("getent", &format!("echo slurm:x:{}:{}::/:/bin/false", me.uid(), me.gid()))
        .add("systemctl", "case $1 in start|restart) echo active > \"$here/state\";; show) echo \"ActiveState=$(cat \"$here/state\" || echo inactive)\"; echo NRestarts=2;; esac")
        .add(daemon, &run)
        .add("scontrol", "")
        .add("sinfo", "echo 4");
    node
}

fn without_systemd(role: &str) -> Below {
    let node = node(role);
    node.remove("run/systemd");
    node
}

fn calls(node: &Below) -> Vec<String> {
    let is_start = |call: &String| !call.starts_with("getent") && !call.starts_with("sinfo") && !call.contains(" show ");
    node.stand_ins.calls().into_iter().filter(is_start).map(|call| call.trim().to_owned()).collect()
}

#[tokio::test]
async fn c16_a_login_node_has_the_clusters_key_for_slurm_alone_and_the_configuration_of_its_settings() {
    let node = node("master");
    node.machine().start_scheduler(&found("login1")).await.unwrap();
    let key = node.root.path().join("etc/slurm/slurm.key");
    assert_eq!(std::fs::read(&key).unwrap(), found("login1").slurm_key.bytes());
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    let conf = node.read("etc/slurm/slurm.conf");
    assert!(conf.contains("ClusterName=demo\nSlurmctldHost=login1(10.75.0.9)\n"), "{conf}");
    assert!(conf.contains("NodeName=compute-[5-8] CPUs=2 "), "{conf}");
    assert!(node.read("etc/slurm/cgroup.conf").contains("ConstrainCores=yes"));
    for (path, text) in PROGRAMS {
        assert_eq!(node.read(path.trim_start_matches('/')), text);
    }
    assert!(node.read("etc/systemd/system/slurmctld.service.d/clusterdrop.conf").contains("Restart=always\n"));
    assert_eq!(
        calls(&node),
        ["systemctl daemon-reload", "systemctl disable --quiet slurmctld.service", "systemctl restart slurmctld.service"]
    );
}

#[tokio::test]
async fn a_controller_that_runs_is_left_alone_and_one_of_another_configuration_is_started_again() {
    let node = node("master");
    let machine = node.machine();
    machine.start_scheduler(&found("login1")).await.unwrap();
    machine.start_scheduler(&found("login1")).await.unwrap();
    assert_eq!(calls(&node)[3..], ["systemctl disable --quiet slurmctld.service", "systemctl start slurmctld.service"]);
    node.write("etc/slurm/slurm.conf", "ClusterName=of-an-image\n");
    machine.start_scheduler(&found("login1")).await.unwrap();
    assert_eq!(calls(&node).last().unwrap(), "systemctl restart slurmctld.service");
    assert_eq!(machine.scheduler_state().await, DaemonState { runs: true, restarts: 2 });
}

#[tokio::test]
async fn a_compute_node_fetches_its_configuration_from_the_login_nodes_address() {
    let node = node("slave");
    node.machine().start_scheduler(&found("compute-3")).await.unwrap();
    let unit = node.read("etc/systemd/system/slurmd.service.d/clusterdrop.conf");
    assert!(unit.ends_with("ExecStart=\nExecStart=/usr/sbin/slurmd --systemd --conf-server 10.75.0.9:6817 -N compute-3\n"), "{unit}");
    assert!(!node.root.path().join("etc/slurm/slurm.conf").exists());
    assert_eq!(node.read("etc/slurm/slurm.key").len(), 0, "no text");
    assert_eq!(calls(&node).last().unwrap(), "systemctl restart slurmd.service");
}

#[tokio::test]
async fn where_systemd_does_not_run_the_daemon_is_started_once_and_known_by_its_process() {
    let node = without_systemd("slave");
    let machine = node.machine();
    assert_eq!(machine.scheduler_state().await, DaemonState { runs: false, restarts: 0 });
    for _ in 0..2 {
        machine.start_scheduler(&found("compute-3")).await.unwrap();
    }
    assert_eq!(calls(&node), ["slurmd -b --conf-server 10.75.0.9:6817 -N compute-3"]);
    assert!(machine.scheduler_state().await.runs);
    // It ended, and its number is another process's.
    node.write("proc/7/comm", "sleep\n");
    assert!(!machine.scheduler_state().await.runs);
    node.write("proc/7/comm", "slurmd\n");
    node.write("proc/7/stat", "7 (slurmd) Z 1 7 7\n");
    assert!(!machine.scheduler_state().await.runs, "it ended, and nobody has taken note");
}

#[tokio::test]
async fn a_node_that_shows_fewer_gpus_than_its_type_has_is_down_with_that_reason() {
    let mut node = node("slave");
    let scheduler = node.settings.scheduler.as_mut().unwrap();
    (scheduler.group, scheduler.spot_types) = (Some(Group::Spot), "g4dn.12xlarge".to_owned());
    for number in [0, 1, 2] {
        node.write(&format!("dev/nvidia{number}"), "");
    }
    let reason = "3 of 4 GPUs are there: NVIDIA's driver must be in the image";
    assert_eq!(node.machine().start_scheduler(&found("compute-3")).await.unwrap_err(), reason);
    assert_eq!(calls(&node), [format!("scontrol update nodename=compute-3 state=down reason={reason}")]);
    node.write("dev/nvidia3", "");
    node.machine().start_scheduler(&found("compute-3")).await.unwrap();
}

#[tokio::test]
async fn a_controller_that_does_not_answer_is_waited_for_and_its_own_last_error_is_the_reason() {
    let node = without_systemd("master");
    node.stand_ins.add("sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1");
    node.write("var/log/slurm/slurmctld.log", "[1] error: first\n[2] fatal: mkdir(/var/lib/slurm): No space left on device\n[3] debug\n");
    let error = node.machine().start_scheduler(&found("login1")).await.unwrap_err();
    assert!(error.starts_with("slurmctld on 10.75.0.9 does not answer: sinfo ended with exit code 1: slurm_load"), "{error}");
    assert!(error.ends_with("[2] fatal: mkdir(/var/lib/slurm): No space left on device"), "{error}");
}

#[tokio::test]
async fn without_slurms_account_or_a_place_for_its_files_the_reason_is_named() {
    let node = node("master");
    node.write("etc/slurm", "a file");
    let error = node.machine().start_scheduler(&found("login1")).await.unwrap_err();
    assert!(error.contains("etc/slurm/slurm.key cannot be written: "), "{error}");
    node.stand_ins.add("getent", "exit 2");
    assert_eq!(node.machine().start_scheduler(&found("login1")).await.unwrap_err(), "getent ended with exit code 2");
}
