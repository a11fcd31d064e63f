//! Machines of the test bed with the real agent, against the emulator. There is no stack: a group, a secret and a profile are made by hand,
//! and a machine is started for each instance that the group gets.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cf_bed::{Base, Bed, Forward, Node, Spec};
use cf_local::emulator::{Emulator, Pace, REGION};
use cf_local::{deploy, wait};
use serde_json::{Value, json};

/// Longer than any boot here, also where other programs are at work.
pub const WAIT_MAX: Duration = Duration::from_mins(2);

/// The emulator, as nodes reach it.
const PORT: u16 = 4566;

const AGENT: &str = "/opt/clusterdrop/bin/cf-node";

/// The on-demand group of a stack of the name that the settings have.
const GROUP: &str = "demo-ondemand";

const REPORTS: &str = "s3://system/nodes/Alice.B/My-Cluster/00000000000000aa";

/// A secret, a profile, and machines as they are wanted.
pub struct Cluster {
    emulator: Emulator,
    bed: Bed,
    program: Vec<u8>,
    _forward: Forward,
}

/// A machine and its agent.
pub struct Machine {
    pub node: Node,
    instance: String,
    url: String,
    agent: Option<Child>,
}

impl Cluster {
    pub fn new() -> Result<Self> {
        cf_bed::possible()?;
        let bed = Bed::new(&Base::prepare(&|what| println!("{what}"))?)?;
        let emulator = Emulator::start(None, Pace::TEST)?;
        let folder = tempfile::tempdir()?;
        let aws = |words: &[&str]| deploy::aws(&emulator.url(), words);
        for bucket in ["profiles", "system"] {
            aws(&["s3", "mb", &format!("s3://{bucket}")])?;
        }
        aws(&["secretsmanager", "create-secret", "--name", "cluster", "--secret-string", "Zk3vQ8pTr6WmXc1dNy5hBf9jLs2gAe7u"])?;
        let configuration = ["--launch-configuration-name", "machines"];
        let launch = ["--image-id", "ami-12345678", "--instance-type", "c6i.large"];
        aws(&[&["autoscaling", "create-launch-configuration"], &configuration[..], &launch].concat())?;
        let sizes = ["--min-size", "0", "--max-size", "2", "--availability-zones", &format!("{REGION}a")];
        aws(&[&["autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", GROUP], &configuration[..], &sizes].concat())?;
        let script = folder.path().join("00-key");
        fs::write(&script, include_str!("profile.sh"))?;
        aws(&["s3", "cp", &script.display().to_string(), "s3://profiles/customizer/Alice.B/configure.d/00-key"])?;
        let forward = bed.forward(PORT, SocketAddr::from(([127, 0, 0, 1], emulator.port)))?;
        // A program of a test build is mostly what a debugger reads.
        let stripped = folder.path().join("cf-node");
        let status = Command::new("strip").arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_cf-node")).status()?;
        ensure!(status.success(), "strip ended with {status}");
        Ok(Self { program: fs::read(stripped)?, emulator, bed, _forward: forward })
    }

    /// Waits until the login node's agent has had a machine started; its EC2 id.
    pub fn until_launched(&self, login: &Machine) -> Result<String> {
        let ids = ["--query", "AutoScalingGroups[].Instances[].InstanceId", "--output", "text"];
        let describe = [&["autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", GROUP], &ids[..]].concat();
        let launched = wait::until("an instance of the group", WAIT_MAX, || {
            let id = deploy::aws(&self.emulator.url(), &describe)?.trim().to_owned();
            Ok((!id.is_empty()).then_some(id))
        });
        launched.with_context(|| login.log())
    }

    /// A machine that has never run, with its settings and the agent, which is not started. 0 is the login node.
    pub fn machine(&self, number: u16, instance: &str) -> Result<Machine> {
        let name = format!("ip-10-77-0-{}", 10 + number);
        let node = self.bed.start(&Spec::new(&name, 10 + number).share("home", "/home"))?;
        node.write(AGENT, 0o755, &self.program)?;
        node.write("/etc/clusterdrop/node.json", 0o644, settings(number).to_string())?;
        let url = format!("http://{}:{PORT}", self.bed.address());
        Ok(Machine { node, instance: instance.to_owned(), url, agent: None })
    }

    /// The report of a node.
    pub fn report(&self, node: &str) -> Option<Value> {
        let text = deploy::aws(&self.emulator.url(), &["s3", "cp", &format!("{REPORTS}/{node}.json"), "-"]).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until a node reports this.
    pub fn until_reported(&self, machine: &Machine, node: &str, what: &str, seen: impl Fn(&Value) -> bool) -> Result<Value> {
        let waited = wait::until(what, WAIT_MAX, || Ok(self.report(node).filter(&seen)));
        waited.with_context(|| format!("{:?}\n{}", self.report(node), machine.log()))
    }

    /// Waits until a node is ready.
    pub fn until_ready(&self, machine: &Machine, node: &str) -> Result<Value> {
        self.until_reported(machine, node, &format!("{node} is ready"), |report| report["state"] == "ready")
    }
}

fn settings(number: u16) -> Value {
    let role = if number == 0 { "master" } else { "slave" };
    let mut settings = json!({
        "role": role, "cluster": "My-Cluster", "user": "Alice.B", "request": "00000000000000aa", "login": "alice", "region": REGION,
        "account": "000000000000", "stack": "arn:aws:cloudformation:eu-west-2:000000000000:stack/demo/1", "customizer_bucket": "profiles",
        "profile": "Alice.B", "system_bucket": "system", "secret": "cluster", "nodes_max": 2,
        "scheduler": {"spot_types": "c6i.large", "on_demand_types": "c6i.large", "spot_max": 0, "on_demand_max": 2, "initial_nodes": 0,
            "fixed": false, "outbound": "proxy"},
    });
    if number > 0 {
        settings["scheduler"]["group"] = "on-demand".into();
    }
    settings
}

impl Machine {
    /// Starts the agent, as its unit does where systemd runs.
    pub fn boot(&mut self) -> Result<()> {
        let mut command = self.node.command(AGENT)?;
        command.args(["boot", "--instance", &self.instance, "--address", &self.node.address().to_string()]);
        command
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        self.agent = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        Ok(())
    }

    /// Off and on, with the disk that it had.
    pub fn reboot(&mut self) -> Result<()> {
        self.node.power_off()?;
        self.end();
        self.node.power_on()?;
        self.boot()
    }

    fn end(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    /// The agent's log, and what Slurm's daemons say.
    pub fn log(&self) -> String {
        let files = "tail -n 40 /var/log/clusterdrop.log /var/log/slurm/*.log";
        self.node.run(&["sh", "-c", &format!("{files} 2>&1")]).unwrap_or_else(|error| format!("{error:#}"))
    }

    /// A command of the user.
    pub fn as_user(&self, words: &[&str]) -> Result<Command> {
        let mut command = self.node.command("runuser")?;
        command.args(["-l", "alice", "-c", &words.join(" ")]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.node.power_off();
        self.end();
    }
}
