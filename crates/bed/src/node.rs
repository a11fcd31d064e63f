//! A node: a machine of the bed, which runs or is off. A reboot keeps its disk; a new node has an empty one.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use cf_local::{children, last_lines};

use crate::base::Base;
use crate::bed::address;
use crate::disk::Disk;
use crate::forward::Forward;
use crate::holder::{First, Holder, run_in};
use crate::spec::Spec;

/// How long a command of a node may take, in seconds.
const COMMAND_SECONDS_MAX: &str = "60";

/// What the root of a node may not: load modules, set the clock, or reach devices, all of which are this machine's own. A node is no jail
/// all the same: its root may mount, for one.
const WITHOUT: &str = "--bounding-set=-sys_module,-sys_time,-sys_rawio,-mknod";

/// A machine of the bed. It is lost, with its disk, when this is dropped. It may be switched off while a command runs on it.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order: a disk in use cannot be taken away.
    running: Mutex<Option<Running>>,
    disk: Disk,
    spec: Spec,
    network: [u8; 2],
    base: Base,
    holder: Arc<Holder>,
}

#[derive(Debug)]
struct Running {
    first: First,
    /// Its end on the bridge.
    link: String,
    _forwards: Vec<Forward>,
}

impl Node {
    /// A machine that has never run, started.
    pub(crate) fn start(base: &Base, network: [u8; 2], holder: &Arc<Holder>, spec: &Spec) -> Result<Self> {
        spec.check()?;
        let disk = Disk::new(holder, spec.disk_mib)?;
        let node = Self { running: Mutex::new(None), disk, spec: spec.clone(), network, base: base.clone(), holder: Arc::clone(holder) };
        node.power_on()?;
        Ok(node)
    }

    /// Its host name, as it was given.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        address(self.network, self.spec.number)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it runs. A node ends by itself where its first process is killed within.
    pub fn is_running(&self) -> Result<bool> {
        self.running().as_mut().map_or(Ok(false), |running| running.first.is_running())
    }

    /// Starts it where it is off, with the disk that it had: a new boot, whose id, uptime and processes are its own.
    pub fn power_on(&self) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        self.power_off()?;
        let first = self.boot().with_context(|| format!("{} could not be started", self.spec.name))?;
        let link = format!("n{}", self.holder.number());
        self.connect(&first, &link)?;
        let forward = |(at, to): &(SocketAddrV4, SocketAddr)| {
            let script = "ip address show dev lo | grep -q \"inet $1/\" || ip address add \"$1/32\" dev lo";
            if !at.ip().is_loopback() {
                run_in(&first.id(), "--net", script, &[at.ip().to_string()])?;
            }
            Forward::start(&first.id(), *at, *to)
        };
        let forwards = self.spec.forwards.iter().map(forward).collect::<Result<Vec<_>>>()?;
        *self.running() = Some(Running { first, link, _forwards: forwards });
        Ok(())
    }

    /// Ends it as a failure of power does: SIGKILL for its first process, and so for all. Its disk stays.
    pub fn power_off(&self) -> Result<()> {
        let Some(mut running) = self.running().take() else { return Ok(()) };
        running.first.kill()?;
        // The kernel removes it with the node's network, some time later; another node must not find its address taken.
        self.holder.with_network("ip link delete \"$1\" 2>/dev/null || ! ip link show \"$1\" 2>/dev/null", &[&running.link])
    }

    /// Off and on.
    pub fn reboot(&self) -> Result<()> {
        self.power_off()?;
        self.power_on()
    }

    fn boot(&self) -> Result<First> {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let seconds = uptime.split('.').next().context("an uptime")?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id(), "--mount", "--pid", "--net"]);
        command.args(["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child"]);
        // Its uptime begins now: programs compare it with the time at which a machine was asked for.
        command.args(["--time", &format!("--boottime=-{seconds}")]);
        command.args(["sh", "-c", include_str!("scripts/node.sh"), "node", &self.spec.name]);
        command.arg(self.base.folder()).arg(self.disk.folder());
        for (folder, at) in &self.spec.shares {
            command.arg(self.holder.folder().join("shared").join(folder)).arg(at);
        }
        First::start(&self.spec.name, &mut command)
    }

    /// The hardware address follows from the number, so that a node that comes for another one is reached at once.
    fn connect(&self, first: &First, link: &str) -> Result<()> {
        let [first_byte, second, high, low] = self.address().octets();
        let hardware = format!("02:00:{first_byte:02x}:{second:02x}:{high:02x}:{low:02x}");
        let plug = "ip link add \"$1\" type veth peer name eth0 address \"$2\" netns \"$3\" && ip link set \"$1\" master bed up";
        self.holder.with_network(plug, &[link, &hardware, &first.id()])?;
        let script = "ip address add \"$1/16\" dev eth0 && ip link set eth0 up";
        run_in(&first.id(), "--net", script, &[self.address().to_string()])
    }

    /// A program on this node, as root, with nothing in its environment but PATH, HOME and LANG. It is looked for on the node.
    pub fn command(&self, program: &str) -> Result<Command> {
        let running = self.running();
        let running = running.as_ref().with_context(|| format!("{} is off: nothing can run on it", self.spec.name))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &running.first.id(), "--all", "setpriv", WITHOUT, program]).process_group(0);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").env("LANG", "C.UTF-8");
        Ok(command)
    }

    /// What a program prints on this node, as root. It has a minute; where it fails, its last words are in the error. What it leaves in
    /// the background must have closed its output, whose end is waited for.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        self.run_with(words, &[])
    }

    /// The same with a standard input.
    pub fn run_with(&self, words: &[&str], input: &[u8]) -> Result<String> {
        let mut command = self.command("timeout")?;
        command.args(["--kill-after=5", COMMAND_SECONDS_MAX]).args(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("a pipe")?;
        let input = input.to_owned();
        // A program that does not read it to its end is no fault: its status tells.
        let writer = std::thread::spawn(move || pipe.write_all(&input));
        let done = children::output_of(child)?;
        let _ = writer.join();
        if !done.status.success() {
            let all = [done.stdout, done.stderr].concat();
            let (name, last) = (self.name(), last_lines(&String::from_utf8_lossy(&all)));
            bail!("on {name}, `{}` ended with {}:\n{last}", words.join(" "), done.status);
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Writes a file of this node, as root, with the folders above it. The mode is as in `chmod`: 0o755.
    pub fn write(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        self.run_with(&["install", "-D", "-m", &format!("{mode:o}"), "/dev/stdin", path], content.as_ref()).map(drop)
    }

    /// A file of this node. It is read within: a link leads to where it leads there.
    pub fn read(&self, path: &str) -> Result<String> {
        self.run(&["cat", path])
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Where it fails, the bed takes it along in the end.
        let _ = self.power_off();
    }
}
