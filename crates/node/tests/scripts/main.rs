//! The scripts of profiles on a node, as real processes: the acceptance checks B4 to B9 and B22; `bad` has what bad scripts do.

mod bad;
mod bed;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cf_node::event::{Event, Occasion};
use cf_node::node::Role;
use cf_node::run::Outcome;
use tokio::time::timeout;

use bed::*;

#[tokio::test]
async fn b4_a_configure_script_runs_once_a_boot_with_the_events_name_the_role_and_the_cluster() {
    for role in [Role::Master, Role::Slave] {
        let mut node = Node::new();
        node.facts.role = role;
        node.script("emacs.sh", &format!("#!/bin/bash\necho \"$(id -u) $# $1 $2 $3\" >> {}\n", node.out().display()));
        let ran = format!("{} 3 configure {role} demo\n", rustix::process::geteuid().as_raw());
        node.boot().await;
        assert_eq!(node.written(), ran);
        node.facts.first_boot = false;
        node.boot().await;
        assert_eq!(node.written(), ran.repeat(2));
    }
}

#[tokio::test]
async fn b5_initialize_gets_once_on_the_first_boot_and_nothing_later_and_finds_its_event_in_the_environment() {
    let mut node = Node::new();
    node.file("01-mine/initialize.d/10", format!("echo \"$CUSTOMIZER_EVENT: $# $*\" >> {}", node.out().display()));
    node.boot().await;
    node.facts.first_boot = false;
    node.boot().await;
    assert_eq!(node.written(), "initialize: 1 once\ninitialize: 0 \n");
}

#[tokio::test]
async fn b6_profiles_run_in_the_order_declared_and_scripts_by_the_bytes_of_their_names() {
    let node = Node::new();
    for (profile, script) in [("02-abc", "a"), ("01-zed", "2-b"), ("01-zed", "10-a"), ("01-zed", "B"), ("01-zed", "a")] {
        let content = format!("echo \"$CUSTOMIZER_PROFILE ${{0##*/}}\" >> {}", node.out().display());
        node.file(format!("{profile}/configure.d/{script}"), content);
    }
    for _ in 0..2 {
        fs::write(node.out(), "").unwrap();
        node.configure().await;
        assert_eq!(node.written(), "zed 10-a\nzed 2-b\nzed B\nzed a\nabc a\n");
    }
}

#[tokio::test]
async fn b7_a_binary_a_python_script_and_one_without_extension_run_and_a_left_over_a_dot_file_and_a_directory_do_not() {
    let node = Node::new();
    let sh = format!("#!/bin/sh\necho \"${{0##*/}}\" >> {}\n", node.out().display());
    let binary = node.script("10-true", "");
    fs::copy("/bin/true", &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
    node.script(
        "20.py",
        &format!("#!/usr/bin/env python3\nimport sys\nprint('python', sys.argv[1:], file=open('{}', 'a'))\n", node.out().display()),
    );
    node.script("30", &sh);
    node.script("40~", &sh);
    node.script(".50", &sh);
    node.script("60/70", &sh);
    node.script("README.md", &sh);
    std::os::unix::fs::symlink(node.script("30", &sh), node.layout.profiles().join("01-mine/configure.d/80")).unwrap();
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10-true", &OK), ("20.py", &OK), ("30", &OK)]);
    assert_eq!(node.written(), "python ['configure', 'master', 'demo']\n30\n");
    for skipped in [
        "skipping mine/40~: left over by an editor",
        "skipping mine/.50: a hidden file",
        "skipping mine/README.md: a text or data by its name",
        "skipping mine/80: a symbolic link, which is not followed",
    ] {
        assert!(node.log_has(skipped), "{skipped}: {:#?}", node.log());
    }
}

#[tokio::test]
async fn b8_exit_code_3_is_seen_and_later_scripts_and_events_run() {
    let node = Node::new();
    node.script("10", "seq 1 12\necho to the log >&2\nexit 3");
    node.script("20", "echo fine");
    node.file("01-mine/start.d/30", "true");
    let report = node.configure().await;
    assert_eq!(outcomes(&report), [("10", &Outcome::Exit(3)), ("20", &OK)]);
    assert_eq!(report.event, Event::Configure);
    assert!(!report.node_failed);
    let mut last = report.scripts[0].last_lines.clone();
    // The two streams may overtake each other.
    last.sort();
    assert_eq!(last, ["10", "11", "12", "4", "5", "6", "7", "8", "9", "to the log"]);
    assert!(report.scripts[1].last_lines.is_empty());
    assert!(
        node.log_has("script mine/10 starts and has 900 s") && node.log_has("script mine/10 ended with exit code 3"),
        "{:#?}",
        node.log()
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["scripts"][0]["outcome"], serde_json::json!({"exit": 3}));
    assert_eq!(outcomes(&node.run(Occasion::Stage(Event::Start)).await), [("30", &OK)]);
}

#[tokio::test]
async fn b9_each_line_of_both_streams_is_in_the_log_with_the_prefix_and_its_own_time() {
    let node = Node::new();
    node.script("10", "for n in 1 2 3; do echo out $n; sleep 0.05; echo err $n >&2; sleep 0.05; done; printf 'no line end'");
    node.configure().await;
    let log = fs::read_to_string(node.layout.instance_log()).unwrap();
    let lines = ["out 1", "err 1", "out 2", "err 2", "out 3", "err 3", "no line end"];
    // The clock goes on by a second with each line; the first is that of the script's start.
    for (nth, line) in lines.iter().enumerate() {
        let whole = format!("Jan  1 00:00:{:02} [cluster-customizer:configure] {line}\n", nth + 1);
        assert!(log.contains(&whole), "{whole}{log}");
    }
}

#[tokio::test]
async fn b22_a_script_has_no_input_and_no_login_environment_and_reaches_the_agent_by_its_full_path() {
    let node = Node::new();
    node.script("10", "if read answer; then echo got it; else echo no input; fi; tty; pwd");
    node.script("20", "tr '\\0' '\\n' < /proc/$$/environ");
    node.script("30", &format!("#!/bin/bash\n{} --version && type -t alces || echo no function\n", env!("CARGO_BIN_EXE_cf-node")));
    let report = timeout(PATIENCE, node.configure()).await.unwrap();
    assert!(report.scripts.iter().all(|script| script.outcome.is_success() || script.script == "10"), "{report:?}");
    let log: Vec<String> = node.log().iter().map(|line| line.replace("[cluster-customizer:configure] ", "")).collect();
    let folder = node.layout.profiles().join("01-mine");
    for line in ["no input", "not a tty", folder.to_str().unwrap(), "no function", concat!("cf-node ", env!("CARGO_PKG_VERSION"))] {
        assert!(log.iter().any(|logged| logged == line), "{line}: {log:#?}");
    }
    let mut environment: Vec<&str> = log.iter().filter(|line| line.contains('=')).map(String::as_str).collect();
    environment.sort_unstable();
    for of_each_run in ["CUSTOMIZER_RUN=", "CUSTOMIZER_TURN="] {
        let at = environment.iter().position(|entry| entry.starts_with(of_each_run)).unwrap();
        environment.remove(at);
    }
    assert_eq!(
        environment,
        [
            "CUSTOMIZER_CLUSTER=demo",
            "CUSTOMIZER_EVENT=configure",
            "CUSTOMIZER_PROFILE=mine",
            "CUSTOMIZER_ROLE=master",
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
    );
}
