//! Agents as processes, each at a loopback address of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use cf_local::scratch::Scratch;
use cf_local::wait;
use serde::Deserialize;

/// How long a cluster may take to agree on who is in it.
const AGREE_MAX: Duration = Duration::from_mins(5);

/// Some running agents. They end when this is dropped.
pub struct Agents {
    program: PathBuf,
    folder: Scratch,
    port: u16,
    environment: Vec<(&'static str, PathBuf)>,
    /// By rank: 0 is the login node.
    running: BTreeMap<u32, Child>,
}

/// What is read of `members.json`.
#[derive(Deserialize)]
struct Listed {
    members: Vec<serde::de::IgnoredAny>,
}

impl Agents {
    /// None yet.
    pub fn new(program: PathBuf) -> Result<Self> {
        let folder = Scratch::new("bench-nodes")?;
        fs::write(folder.path().join("key"), [42; 32])?;
        // A port that is free on one address of the loopback network is free on all that only these agents use.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { program, folder, port, environment: Vec::new(), running: BTreeMap::new() })
    }

    /// Gives the agents that are started from now on these variables.
    pub fn set_environment(&mut self, variables: &[(&'static str, &Path)]) {
        self.environment = variables.iter().map(|(name, value)| (*name, value.to_path_buf())).collect();
    }

    /// Where their files lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log of one.
    pub fn log(&self, rank: u32) -> PathBuf {
        self.root(rank).join("log")
    }

    /// Starts one more.
    pub fn start(&mut self, rank: u32) -> Result<()> {
        let name = if rank == 0 { "login1".to_owned() } else { format!("compute-{rank}") };
        let root = self.root(rank);
        fs::create_dir_all(root.join("etc"))?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
        let log = fs::File::create(self.log(rank))?;
        let child = Command::new(&self.program)
            .args(["gossip", "--name", &name, "--tag", "aws_machinetype=c5.large"])
            .args(["--bind", &self.address(rank).to_string(), "--seed", &self.address(0).to_string()])
            .arg("--key-file")
            .arg(self.folder.path().join("key"))
            .arg("--root")
            .arg(&root)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        self.running.insert(rank, child);
        Ok(())
    }

    /// Starts as many as are missing to so many, and waits until all list all.
    pub fn start_up_to(&mut self, count: u32) -> Result<()> {
        for rank in 0..count {
            if !self.running.contains_key(&rank) {
                self.start(rank)?;
            }
        }
        self.wait_for_all()
    }

    /// Ends one without a word.
    pub fn kill(&mut self, rank: u32) -> Result<()> {
        let mut child = self.running.remove(&rank).context("it is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Waits until each agent lists as many members as there are agents.
    pub fn wait_for_all(&self) -> Result<()> {
        let mut missing: Vec<u32> = self.running.keys().copied().collect();
        wait::until("a list of all members on every node", AGREE_MAX, || {
            missing.retain(|rank| self.listed(*rank) != Some(self.running.len()));
            Ok(missing.is_empty().then_some(()))
        })
    }

    /// The process of one.
    pub fn process(&self, rank: u32) -> Result<u32> {
        self.running.get(&rank).map(Child::id).context("it is not running")
    }

    /// All processes, the login node's first.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.running.values().map(Child::id)
    }

    fn listed(&self, rank: u32) -> Option<usize> {
        let text = fs::read(self.root(rank).join("var/lib/clusterdrop/members.json")).ok()?;
        serde_json::from_slice::<Listed>(&text).ok().map(|listed| listed.members.len())
    }

    fn root(&self, rank: u32) -> PathBuf {
        self.folder.path().join(rank.to_string())
    }

    fn address(&self, rank: u32) -> SocketAddrV4 {
        let [_, _, high, low] = (rank + 1).to_be_bytes();
        SocketAddrV4::new(Ipv4Addr::new(127, 91, high, low), self.port)
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
