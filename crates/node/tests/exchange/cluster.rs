//! A cluster of real agents, which speak over loopback and run real scripts.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The founding document's example, in sh and Python 3: the address and name of every node in every node's table of hosts. Its
/// block is written anew each time, so that growth leaves no line twice.
pub const EXPORT_HOSTS: &str = r#"#!/bin/sh
echo "10.0.0.$deploy_server_id $cf_node" > "${heat_outputs_path}.hosts"
"#;
pub const POPULATE_HOSTS: &str = r"#!/usr/bin/env python3
import json, os
BEGIN, END = '# exchange begin\n', '# exchange end\n'
path = os.environ['table']
path = path.replace('NODE', os.environ['cf_node'])
before = open(path).read() if os.path.exists(path) else '127.0.0.1 localhost\n'
kept = before.split(BEGIN)[0]
hosts = json.loads(os.environ['hosts'])
block = ''.join(line.rstrip() + '\n' for line in hosts.values() if line is not None)
open(path, 'w').write(kept + BEGIN + block + END)
";

pub const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster on this machine: a folder for each node, one profile.
pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub agents: BTreeMap<String, Child>,
    pub options: Vec<String>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for agent in self.agents.values_mut() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

pub fn node(rank: u32) -> String {
    if rank == 0 { "login1".to_owned() } else { format!("compute-{rank}") }
}

impl Cluster {
    /// `toml` declares the steps; each script is a path in the profile and its text.
    pub fn new(toml: &str, scripts: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        let cluster = Self { folder, address, agents: BTreeMap::new(), options: Vec::new() };
        cluster.profile(toml, scripts);
        cluster
    }

    pub fn profile(&self, toml: &str, scripts: &[(&str, &str)]) {
        let profile = self.path("site");
        let _ = fs::remove_dir_all(&profile);
        for folder in ["export.d", "populate.d"] {
            fs::create_dir_all(profile.join(folder)).unwrap();
        }
        fs::write(profile.join("profile.toml"), toml).unwrap();
        for (path, text) in scripts {
            // In a child's hands this file must never be open for writing ("text file busy"): it is written before any child starts.
            let text = text.replace('@', &self.folder.path().display().to_string());
            fs::write(profile.join(path), text).unwrap();
            fs::set_permissions(profile.join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn expect(&self, ranks: &[u32]) {
        let names: Vec<String> = ranks.iter().map(|rank| node(*rank)).collect();
        // Never half of it.
        fs::write(self.path("expected.new"), names.join("\n")).unwrap();
        fs::rename(self.path("expected.new"), self.path("expected")).unwrap();
    }

    pub fn start(&mut self, rank: u32) {
        let name = node(rank);
        let child = Command::new(env!("CARGO_BIN_EXE_cf-node"))
            .args(["exchange", "run", "--node", &name, "--coordinator", &self.address.to_string(), "--grace-ms", "500"])
            .arg("--root")
            .arg(self.path(&name))
            .arg("--key-file")
            .arg(self.path("key"))
            .arg("--profile")
            .arg(self.path("site"))
            .arg("--expected-file")
            .arg(self.path("expected"))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path(&format!("{name}.log"))).unwrap())
            .spawn()
            .unwrap();
        self.agents.insert(name, child);
    }

    pub fn run(&mut self, ranks: &[u32]) {
        self.expect(ranks);
        for rank in ranks {
            self.start(*rank);
        }
    }

    pub fn kill(&mut self, rank: u32) {
        let mut agent = self.agents.remove(&node(rank)).unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    pub fn status(&self, rank: u32) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_cf-node"))
            .args(["exchange", "status", "--json", "--root"])
            .arg(self.path(&node(rank)))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The last round of the first step, once it satisfies this.
    pub fn round_where(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status(0);
            let round = status["steps"][0]["rounds"].as_array().and_then(|rounds| rounds.last()).cloned().unwrap_or_default();
            if is(&round) {
                return round;
            }
            assert!(begun.elapsed() < PATIENCE, "no round {what}: {status:#}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub fn ended(&self, state: &str) -> Value {
        let round = self.round_where("has ended", |round| matches!(round["state"].as_str(), Some("complete" | "failed")));
        assert_eq!(round["state"], state, "{round:#}\n{}", self.logs());
        round
    }

    pub fn logs(&self) -> String {
        self.agents.keys().map(|name| format!("{name}:\n{}", self.read(&format!("{name}.log")))).collect()
    }

    pub fn wait_for(&self, what: &str, is: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is() {
            assert!(begun.elapsed() < PATIENCE, "{what} did not come\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
