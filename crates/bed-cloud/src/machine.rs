//! One machine of EC2, from its launch to its end: a node of the bed, and what a machine's own system does on it. It plays cloud-init
//! (host keys, user data once) and systemd (sshd, and the agent by the rules of its unit, `crates/node/units/cf-node.service`).

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cf_bed::{Bed, Node, Spec};
use cf_local::{children, end_of_log};

use crate::aws;
use crate::instance::Instance;

/// `RestartSec` of the agent's unit.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// `TimeoutStopSec` of the agent's unit.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A host key is made once; sshd needs its folder at each boot.
const SSHD: &str = "ssh-keygen -A >/dev/null && install -d -m 755 /run/sshd && /usr/sbin/sshd";

/// What people's own programs find, once they have logged in. The agent has lines of its own there.
const ENVIRONMENT: &str = "grep -qsx \"$1\" /etc/environment || echo \"$1\" >>/etc/environment";

/// As the unit has it: it starts where the agent is installed and the node has settings. $$ is the agent's own id after `exec`.
const AGENT: &str = "echo $$ >/run/agent.pid && exec /opt/clusterdrop/bin/cf-node boot";
const IS_INSTALLED: &str = "test -e /etc/systemd/system/cf-node.service && test -e /etc/clusterdrop/node.json";

/// What EC2 wants of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It is on, and has been rebooted so often.
    On(u64),
    /// It is stopped, and may be started again.
    Off,
    /// It is terminated: its system is told, and then it is off.
    Gone,
    /// It is off at once.
    Lost,
}

/// What happened to a machine, and when.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Of which instance.
    pub instance: String,
    /// In a few words.
    pub what: String,
}

/// A machine of EC2 on the bed.
#[derive(Debug)]
pub struct Machine {
    instance: Instance,
    node: OnceLock<Node>,
    wanted: Mutex<Wanted>,
    changed: Condvar,
    events: Mutex<Vec<Event>>,
    log: PathBuf,
    endpoint: String,
    is_dark: bool,
}

impl Machine {
    /// Of an instance that runs. `log` takes what user data and agent print, also where the machine is lost. A dark one is on, and nothing
    /// runs on it: EC2 shows no difference.
    pub(crate) fn new(instance: &Instance, log: PathBuf, endpoint: &str, is_dark: bool) -> Self {
        Self {
            is_dark,
            instance: instance.clone(),
            node: OnceLock::new(),
            wanted: Mutex::new(Wanted::On(instance.reboots)),
            changed: Condvar::new(),
            events: Mutex::default(),
            log,
            endpoint: endpoint.to_owned(),
        }
    }

    /// Its instance, as it was launched.
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Its node; none where it has not started yet. It may be off.
    pub fn node(&self) -> Result<&Node> {
        self.node.get().with_context(|| format!("{} has not started yet", self.instance.id))
    }

    /// The last lines of what user data and agent have printed.
    pub fn end_of_log(&self) -> String {
        end_of_log(&self.log)
    }

    /// What has happened so far.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// Follows what EC2 says of its instance.
    pub(crate) fn follow(&self, instance: &Instance) {
        let wanted = match instance {
            gone if gone.is_gone() => Wanted::Gone,
            on if on.runs() => Wanted::On(on.reboots),
            _ => Wanted::Off,
        };
        self.want(wanted);
    }

    /// Ends it as a failure of power does, now.
    pub(crate) fn lose(&self) -> Result<()> {
        self.want(Wanted::Lost);
        self.note("is lost: its power fails");
        self.node.get().map_or(Ok(()), Node::power_off)
    }

    fn want(&self, wanted: Wanted) {
        let mut now = lock(&self.wanted);
        // What is lost or gone does not come back.
        if !matches!(*now, Wanted::Lost | Wanted::Gone) || wanted == Wanted::Lost {
            *now = wanted;
        }
        self.changed.notify_all();
    }

    fn note(&self, what: impl Into<String>) {
        lock(&self.events).push(Event { at: Instant::now(), instance: self.instance.id.clone(), what: what.into() });
    }

    /// The machine's life. It ends with the instance, and then nothing of it runs any more.
    pub(crate) fn live(&self, bed: &Bed, metadata: SocketAddr) -> Result<()> {
        let mut state = *lock(&self.wanted);
        let node = bed.start(&self.spec(metadata)?)?;
        self.note(format!("is on, at {}", node.address()));
        let node = self.node.get_or_init(|| node);
        let mut is_first = true;
        loop {
            match state {
                Wanted::On(_) => {
                    self.run(node, state, is_first)?;
                    is_first = false;
                    node.power_off()?;
                }
                Wanted::Off => self.wait(state),
                Wanted::Gone | Wanted::Lost => {
                    node.power_off()?;
                    self.note("is off for good");
                    return Ok(());
                }
            }
            state = *lock(&self.wanted);
            if matches!(state, Wanted::On(_)) {
                node.power_on()?;
                self.note("is on again");
            }
        }
    }

    fn spec(&self, metadata: SocketAddr) -> Result<Spec> {
        let Instance { id, private_address, .. } = &self.instance;
        let [_, _, high, low] = private_address.octets();
        let name = format!("ip-{}", private_address.to_string().replace('.', "-"));
        let stack = self.instance.stack().with_context(|| format!("the user data of {id} name no stack"))?;
        let to_metadata = "169.254.169.254:80".parse().context("an address")?;
        Ok(Spec::new(&name, u16::from_be_bytes([high, low])).share(&format!("home-{stack}"), "/home").forward(to_metadata, metadata))
    }

    /// One boot, until something else is wanted; then what runs on it is told to end.
    fn run(&self, node: &Node, state: Wanted, is_first: bool) -> Result<()> {
        if self.is_dark {
            self.note("does not boot");
            self.wait(state);
            return Ok(());
        }
        let booted = self.boot(node, state, is_first).and_then(|()| self.keep_agent(node, state));
        // A machine that loses its power meanwhile is no fault of this program.
        if self.is_still(state) { booted } else { Ok(()) }
    }

    fn boot(&self, node: &Node, state: Wanted, is_first: bool) -> Result<()> {
        let public = &self.instance.public_address;
        if !public.is_empty() {
            node.run(&["ip", "address", "add", &format!("{public}/32"), "dev", "lo"])?;
        }
        node.run(&["sh", "-c", ENVIRONMENT, "sh", &format!("{}={}", aws::ENDPOINT, self.endpoint)])?;
        node.run(&["sh", "-c", SSHD])?;
        if !is_first {
            return Ok(());
        }
        let script = "/var/lib/cloud/user-data";
        node.write(script, 0o700, aws::in_bed(&self.instance.user_data, &self.endpoint)?)?;
        self.note("runs its user data");
        let mut child = self.start(node, script, &[])?;
        match self.ended(&mut child, state)? {
            Some(status) if status.success() => self.note("has run its user data"),
            Some(status) => self.note(format!("has run its user data, which ended with {status}")),
            None => {}
        }
        Ok(())
    }

    /// The agent as its unit has it: started again where it fails, told to end where the machine does.
    fn keep_agent(&self, node: &Node, state: Wanted) -> Result<()> {
        while self.is_still(state) {
            if node.run(&["sh", "-c", IS_INSTALLED]).is_err() {
                self.note("has no agent");
                self.wait(state);
                return Ok(());
            }
            let mut child = self.start(node, "sh", &["-c", AGENT])?;
            self.note("runs its agent");
            match self.ended(&mut child, state)? {
                None => return self.stop(node, &mut child),
                Some(status) if status.success() => {
                    self.note("has an agent that ended by itself");
                    self.wait(state);
                }
                Some(status) => {
                    self.note(format!("has an agent that ended with {status}: it is started again"));
                    self.wait_for(state, RESTART_AFTER);
                }
            }
        }
        Ok(())
    }

    /// SIGTERM, and as long as the unit gives it. Whatever is there then ends with the power.
    fn stop(&self, node: &Node, child: &mut Child) -> Result<()> {
        if *lock(&self.wanted) != Wanted::Lost && node.run(&["sh", "-c", "kill -TERM \"$(cat /run/agent.pid)\""]).is_ok() {
            let end = Instant::now() + STOP_MAX;
            while Instant::now() < end && child.try_wait()?.is_none() && *lock(&self.wanted) != Wanted::Lost {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        node.power_off()?;
        child.wait()?;
        children::forget(child.id());
        Ok(())
    }

    fn start(&self, node: &Node, program: &str, arguments: &[&str]) -> Result<Child> {
        let mut log = File::options().create(true).append(true).open(&self.log)?;
        writeln!(log, "# {} {program} {}", self.instance.id, arguments.join(" "))?;
        let mut command = node.command(program)?;
        command.args(arguments).env(aws::ENDPOINT, &self.endpoint).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        children::spawn(&mut command)
    }

    /// How a process ended; none where something else is wanted before.
    fn ended(&self, child: &mut Child, state: Wanted) -> Result<Option<ExitStatus>> {
        while self.is_still(state) {
            if let Some(status) = child.try_wait()? {
                children::forget(child.id());
                return Ok(Some(status));
            }
            self.wait_for(state, LOOK_EVERY);
        }
        Ok(None)
    }

    fn is_still(&self, state: Wanted) -> bool {
        *lock(&self.wanted) == state
    }

    /// Waits until something else is wanted.
    fn wait(&self, state: Wanted) {
        let wanted = lock(&self.wanted);
        drop(self.changed.wait_while(wanted, |wanted| *wanted == state));
    }

    fn wait_for(&self, state: Wanted, most: Duration) {
        let wanted = lock(&self.wanted);
        drop(self.changed.wait_timeout_while(wanted, most, |wanted| *wanted == state));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
