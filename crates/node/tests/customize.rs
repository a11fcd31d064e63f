//! `cf-node customize` on a node, as root uses it: a process of its own beside the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cf_node::node::Layout;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// A login node whose one profile is on its disk.
struct Node(TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        let settings = serde_json::json!({
            "role": "master", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
            "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles", "profile": "alice",
            "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4,
        });
        write(&node.layout().settings(), &settings.to_string());
        node
    }

    fn layout(&self) -> Layout {
        Layout::below(self.0.path())
    }

    fn script(&self, path: &str, content: &str) {
        write(&self.layout().profiles().join("01-alice").join(path), content);
    }

    /// What scripts write into.
    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn customize(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cf-node"));
        command.args(["customize", "--root"]).arg(self.0.path()).args(arguments).stdout(Stdio::null()).spawn().unwrap()
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Waits for a file that ends with a line, and returns it.
fn written(path: &Path) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
            _ => assert!(Instant::now() < end, "{} is not written", path.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_signal_that_stops_a_trigger_ends_the_script_that_runs_and_no_later_one_begins() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let node = Node::new();
        let (pid, later) = (node.out("pid"), node.out("later"));
        node.script("configure.d/10", &format!("echo $$ > {}; exec sleep 1000", pid.display()));
        node.script("configure.d/20", &format!("touch {}", later.display()));
        let mut trigger = node.customize(&["trigger", "configure"]);
        let script = written(&pid);
        kill_process(Pid::from_raw(trigger.id().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(trigger.wait().unwrap().code(), Some(130), "{signal:?}");
        let end = Instant::now() + PATIENCE;
        while lives(&script) {
            assert!(Instant::now() < end, "{signal:?}: the script goes on without its command");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!later.exists(), "{signal:?}");
        let again = node.customize(&["trigger", "start"]).wait().unwrap();
        assert!(again.success(), "{signal:?}: the turn is free");
    }
}

#[test]
fn a_command_that_a_script_calls_does_not_wait_for_the_scripts_own_end() {
    let node = Node::new();
    let (called, ran) = (node.out("called"), node.out("ran"));
    let command = format!("{} customize --root {} trigger start", env!("CARGO_BIN_EXE_cf-node"), node.0.path().display());
    node.script("configure.d/10", &format!("{command}; echo $? > {}", called.display()));
    node.script("start.d/10", &format!("echo start > {}", ran.display()));
    assert!(node.customize(&["trigger", "configure"]).wait().unwrap().success());
    assert_eq!((written(&ran).as_str(), written(&called).as_str()), ("start", "0"));
}
