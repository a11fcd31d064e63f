//! A Slurm cluster on a bed, set up by hand: a login node with slurmctld, and what starts and ends compute nodes as Slurm asks for them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cf_bed::{Base, Bed, Node, Spec};
use cf_local::wait;

/// Longer than Slurm needs for anything here, also where other tests run beside it.
const WAIT_MAX: Duration = Duration::from_secs(150);

const ASKED: &str = "/var/log/slurm/asked";
const KEY_BYTES: usize = 1024;

/// The login node, and compute nodes as they are wanted.
pub struct Cluster {
    pub login: Node,
    compute: Arc<Compute>,
    asked: Child,
}

/// The part of AWS: it starts and ends machines.
struct Compute {
    bed: Bed,
    key: Vec<u8>,
    nodes: Mutex<BTreeMap<String, Node>>,
    /// The first thing that went wrong.
    failed: Mutex<Option<String>>,
}

impl Cluster {
    /// A login node whose slurmctld answers, and no compute nodes.
    pub fn start() -> Result<Self> {
        cf_bed::possible()?;
        let bed = Bed::new(&Base::prepare(&|what| println!("{what}"))?)?;
        let mut key = vec![0; KEY_BYTES];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        let login = bed.start(&spec("login1", 10))?;
        prepare(&login, &key)?;
        start_controller(&login)?;
        let compute = Arc::new(Compute { bed, key, nodes: Mutex::default(), failed: Mutex::default() });
        let asked = login.command("tail")?.args(["-n", "+1", "-f", ASKED]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut cluster = Self { login, compute, asked };
        let lines = BufReader::new(cluster.asked.stdout.take().context("a pipe")?).lines();
        let compute = Arc::clone(&cluster.compute);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Err(error) = compute.serve(&line) {
                    lock(&compute.failed).get_or_insert(format!("{line}: {error:#}"));
                }
            }
        });
        Ok(cluster)
    }

    /// The same, with the agent's program on every node.
    pub fn with_agent() -> Result<Self> {
        let cluster = Self::start()?;
        cluster.login.write("/opt/clusterdrop/bin/cf-node", 0o755, std::fs::read(agent()?)?)?;
        Ok(cluster)
    }

    /// A machine that runs.
    pub fn on<T>(&self, name: &str, what: impl FnOnce(&Node) -> Result<T>) -> Result<T> {
        what(lock(&self.compute.nodes).get(name).with_context(|| format!("{name} does not run"))?)
    }

    /// What a command of the user prints.
    pub fn as_user(&self, words: &[&str]) -> Result<String> {
        let said = self.login.run(&[&["runuser", "-u", "alice", "--"], words].concat());
        said.with_context(|| {
            format!("slurmctld: {}", self.login.run(&["tail", "-n", "30", "/var/log/slurm/slurmctld.log"]).unwrap_or_default())
        })
    }

    /// The state of each node as Slurm has it: `compute-1 idle~` where it is off.
    pub fn states(&self) -> Result<String> {
        Ok(self.login.run(&["sinfo", "--noheader", "--Node", "--format=%n %t"])?.trim().replace('\n', ", "))
    }

    /// The machines that run.
    pub fn running(&self) -> Vec<String> {
        lock(&self.compute.nodes).keys().cloned().collect()
    }

    /// Which machines Slurm has asked for and given back so far.
    pub fn asked(&self) -> Result<Vec<String>> {
        Ok(self.login.read(ASKED)?.lines().map(str::to_owned).collect())
    }

    /// A machine is lost with all that runs on it.
    pub fn lose(&self, name: &str) -> Result<()> {
        lock(&self.compute.nodes).remove(name).map(drop).with_context(|| format!("{name} does not run"))
    }

    /// Waits for a state of the cluster. Where it does not come, the error has Slurm's own words.
    pub fn until<T>(&self, what: &str, mut seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let waited = wait::until(what, WAIT_MAX, || match lock(&self.compute.failed).take() {
            Some(failed) => bail!("{failed}"),
            None => seen(),
        });
        waited.with_context(|| {
            let log = self.login.run(&["tail", "-n", "40", "/var/log/slurm/slurmctld.log"]).unwrap_or_default();
            format!("nodes {:?}; machines {:?}; slurmctld:\n{log}", self.states(), self.running())
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.asked.kill();
        let _ = self.asked.wait();
    }
}

impl Compute {
    /// One line of what Slurm asks for.
    fn serve(&self, line: &str) -> Result<()> {
        let (what, name) = line.split_once(' ').context("a word and a name")?;
        let number: u16 = name.strip_prefix("compute-").context("a compute node")?.parse()?;
        // Also a machine of this name that is there: what Slurm asks for is another one.
        let gone = lock(&self.nodes).remove(name);
        drop(gone);
        if what == "resume" {
            let node = self.bed.start(&spec(name, 10 + number))?;
            prepare(&node, &self.key)?;
            // -b: slurmctld believes a node only if it has booted since it was asked for, and compares in whole seconds, the uptime
            // rounded up. A machine of EC2 takes longer than that; one of a bed does not.
            node.run(&["slurmd", "-b", "--conf-server", "login1:6817", "-N", name])?;
            lock(&self.nodes).insert(name.to_owned(), node);
        }
        Ok(())
    }
}

/// A machine with what all nodes share.
fn spec(name: &str, number: u16) -> Spec {
    Spec::new(name, number).share("home", "/home").share("clusterdrop", "/opt/clusterdrop")
}

/// The same on every node: names, the cluster's key, the user.
fn prepare(node: &Node, key: &[u8]) -> Result<()> {
    node.write("/etc/hosts", 0o644, "127.0.0.1 localhost\n10.77.0.10 login1\n10.77.0.11 compute-1\n10.77.0.12 compute-2\n")?;
    node.write("/etc/slurm/slurm.key", 0o600, key)?;
    node.run(&["chown", "slurm:", "/etc/slurm/slurm.key"])?;
    for (user, uid) in [("alice", "2000"), ("bob", "2001")] {
        let home = format!("/home/{user}");
        node.run(&["useradd", "--uid", uid, "--no-create-home", "--shell", "/bin/bash", user])?;
        node.run(&["install", "-d", "-o", user, &home])?;
    }
    Ok(())
}

/// The agent's program, which is compiled beside these tests where the workspace's are.
fn agent() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let program = test.ancestors().nth(2).context("a folder of cargo's")?.join("cf-node");
    ensure!(program.exists(), "{} is not there: cargo build -p cf-node", program.display());
    Ok(program)
}

fn start_controller(login: &Node) -> Result<()> {
    login.write("/etc/slurm/slurm.conf", 0o644, include_str!("slurm.conf"))?;
    login.write("/etc/slurm/cgroup.conf", 0o644, "CgroupPlugin=disabled\n")?;
    for name in ["resume", "suspend"] {
        login.write(&format!("/usr/local/sbin/{name}"), 0o755, include_str!("power.sh"))?;
    }
    login.write("/usr/local/sbin/prolog", 0o755, include_str!("prolog.sh"))?;
    login.run(&["install", "-o", "slurm", "-m", "644", "/dev/null", ASKED])?;
    login.run(&["install", "-d", "-o", "slurm", "/var/spool/slurmctld"])?;
    login.run(&["slurmctld"])?;
    wait::until("an answer of slurmctld", WAIT_MAX, || Ok(login.run(&["scontrol", "ping"]).ok().map(drop)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
