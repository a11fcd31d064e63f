//! A cluster of real agents on one machine: each is a process of its own, at its own loopback address, below its own folder. A folder
//! stands for S3, a file in it for CloudFormation. What no machine without AWS has is in [`TestWorld`]; the rest is what ships.
//!
//! The process is this test program again, started with a test that only runs when the environment says so: nothing of this is in
//! what ships.

mod node;
mod world;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cf_core::node_report::NodeReport;
use cf_node::node::Layout;

pub use node::Agent;
pub use world::run_agent;

/// A lost node is known after some seven seconds; a busy machine may take its time.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The cluster's name.
pub const CLUSTER: &str = "demo";

/// The folder that stands for the node's `/`, in a script: its profile lies in the agent's state.
pub const ROOT: &str = "\"${0%%/var/lib/clusterdrop/*}\"";

/// Where scripts note that they ran.
pub const RAN: &str = "\"${0%%/var/lib/clusterdrop/*}\"/ran";

/// Waits until something is there.
pub fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_or(look, || what.to_owned())
}

/// The same; what was missing is described only where it never comes.
pub fn wait_or<T>(mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "never seen within {PATIENCE:?}: {}", what());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A cluster, and the world that it is in.
pub struct Bed {
    folder: tempfile::TempDir,
    agents: BTreeMap<u8, Agent>,
    /// Its part of the loopback network: no two processes have the same.
    network: [u8; 2],
    /// `site_profiles` of the nodes' settings.
    pub site_profiles: Vec<String>,
    /// How long nodes seek their configuration before `fail`, in milliseconds.
    pub fail_after_ms: u64,
    /// How long all scripts of a boot may take, in milliseconds.
    pub boot_limit_ms: u64,
}

impl Bed {
    /// A world with a secret and a profile of the user that writes a key; no node.
    pub fn new() -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let folder = tempfile::tempdir().unwrap();
        let network = [64 + high % 128, low];
        let bed =
            Self { folder, agents: BTreeMap::new(), network, site_profiles: Vec::new(), fail_after_ms: 60_000, boot_limit_ms: 1_440_000 };
        bed.put("secrets/cluster", "a secret of this cluster only, 0123456789");
        bed.script("alice", "configure.d/00-key", &format!("echo ssh-ed25519 AAAA alice > {ROOT}/home/alice/.ssh/authorized_keys"));
        bed
    }

    /// The folder that stands for S3.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("s3")
    }

    /// Puts an object: `bucket/key`.
    pub fn put(&self, key: &str, content: &str) {
        let path = self.store().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        std::fs::remove_file(self.store().join(key)).unwrap();
    }

    /// Puts a script of a profile; these are its lines after the first.
    pub fn script(&self, profile: &str, path: &str, lines: &str) {
        self.put(&format!("profiles/customizer/{profile}/{path}"), &format!("#!/bin/sh\n{lines}\n"));
    }

    /// Puts a script that notes its name and its arguments.
    pub fn noting(&self, profile: &str, path: &str) {
        self.script(profile, path, &format!("echo \"$(basename \"$0\") $*\" >> {RAN}"));
    }

    /// S3 and the rest of AWS cannot be reached, by any node.
    pub fn cut_network(&self) {
        self.put("offline", "");
    }

    /// They can again.
    pub fn restore_network(&self) {
        self.remove("offline");
    }

    /// The address of a machine.
    pub fn address(&self, machine: u8) -> std::net::Ipv4Addr {
        [127, self.network[0], self.network[1], machine].into()
    }

    /// Where a machine's files lie.
    pub fn root(&self, machine: u8) -> PathBuf {
        self.folder.path().join(format!("machine-{machine}"))
    }

    /// Starts the agent of a machine in this boot: 1 is the login node, others are compute nodes.
    pub fn boot(&mut self, machine: u8, boot: &str) {
        let agent = self.spawn(machine, boot);
        self.agents.insert(machine, agent);
    }

    /// Starts an agent that the bed does not keep.
    pub fn spawn(&self, machine: u8, boot: &str) -> Agent {
        let root = self.root(machine);
        self.write_settings(machine);
        Agent::start(&root, &self.store(), self.address(machine), machine, boot, [self.fail_after_ms, self.boot_limit_ms])
    }

    fn write_settings(&self, machine: u8) {
        let layout = Layout::below(self.root(machine));
        std::fs::create_dir_all(layout.settings().parent().unwrap()).unwrap();
        if !layout.hosts().exists() {
            std::fs::write(layout.hosts(), "127.0.0.1 localhost\n").unwrap();
        }
        let (role, resource) = if machine == 1 { ("master", "LoginNode") } else { ("slave", "") };
        let settings = serde_json::json!({
            "role": role, "cluster": CLUSTER, "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
            "account": "123456789012", "stack": "arn:stack", "resource": resource, "customizer_bucket": "profiles",
            "site_profiles": self.site_profiles, "profile": "alice", "system_bucket": "system", "secret": "arn:secret", "nodes_max": 3,
            "user_bucket": "homes", "logs": format!("home/alice/{CLUSTER}.logs/"),
        });
        std::fs::write(layout.settings(), settings.to_string()).unwrap();
    }

    /// The agent of a machine.
    pub fn agent(&mut self, machine: u8) -> &mut Agent {
        self.agents.get_mut(&machine).unwrap()
    }

    /// Ends a machine by SIGKILL.
    pub fn kill(&mut self, machine: u8) {
        self.agents.remove(&machine).unwrap();
    }

    /// Ends an agent by SIGTERM, and waits for its end.
    pub fn stop(&mut self, machine: u8) {
        let mut agent = self.agents.remove(&machine).unwrap();
        agent.terminate();
        assert!(agent.wait_for_end().success(), "{}", agent.log());
    }

    /// The report of a node, if it has written one.
    pub fn report(&self, node: &str) -> Option<NodeReport> {
        let path = self.store().join(format!("system/nodes/alice/{CLUSTER}/00000000000000aa/{node}.json"));
        Some(NodeReport::parse(&std::fs::read(path).ok()?).unwrap())
    }

    /// Waits until a node's report is in this state.
    pub fn wait_for(&self, node: &str, state: &str) -> NodeReport {
        wait_or(
            || self.report(node).filter(|report| report.state.to_string() == state),
            || format!("{node} is {state}; last report: {:?}; logs: {}", self.report(node), self.logs()),
        )
    }

    fn logs(&self) -> String {
        self.agents.values().map(|agent| format!("\n--- {}\n{}", agent.root().display(), agent.log())).collect()
    }

    /// The signals that CloudFormation got, each as `<id> <success> <state of the login node's report at this moment>`.
    pub fn signals(&self) -> Vec<String> {
        lines(&self.store().join("signals"))
    }

    /// What scripts noted on a machine.
    pub fn ran(&self, machine: u8) -> Vec<String> {
        lines(&self.root(machine).join("ran"))
    }

    /// What scripts noted on a machine that begins so.
    pub fn ran_with(&self, machine: u8, beginning: &str) -> Vec<String> {
        self.ran(machine).into_iter().filter(|line| line.starts_with(beginning)).collect()
    }

    /// The lines of a machine's instance log.
    pub fn instance_log(&self, machine: u8) -> Vec<String> {
        lines(&Layout::below(self.root(machine)).instance_log())
    }

    /// The names in a machine's table of hosts, within the members' block.
    pub fn hosts(&self, machine: u8) -> Vec<String> {
        let hosts = lines(&Layout::below(self.root(machine)).hosts());
        hosts
            .iter()
            .filter_map(|line| line.split_whitespace().nth(1))
            .filter(|name| *name != "localhost" && *name != "clusterdrop")
            .map(str::to_owned)
            .collect()
    }
}

/// Makes a file executable.
pub fn executable(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
