//! The machines of a user's clusters: each instance that appears gets one, and what EC2 says of it is followed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cf_bed::{Base, Bed, Forward, Node, Spec};
use cf_local::emulator_client::EmulatorClient;
use cf_local::scratch::Scratch;
use cf_local::{deploy, wait};

use crate::aws;
use crate::instance::Instance;
use crate::machine::{Event, Machine};
use crate::metadata::Metadata;

/// The network that a deployment makes (`template.yaml`, Network): instances have the bed's addresses in it.
pub const NETWORK: [u8; 2] = [10, 75];

/// How often the emulator is asked for its instances.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The machines of a user's clusters. They end with this value.
#[derive(Debug)]
pub struct Cloud {
    shared: Arc<Shared>,
    watching: Option<JoinHandle<()>>,
    _aws: Forward,
}

#[derive(Debug)]
struct Shared {
    bed: Bed,
    user: String,
    url: String,
    emulator: SocketAddr,
    aws: EmulatorClient,
    machines: Mutex<BTreeMap<String, Arc<Machine>>>,
    lives: Mutex<Vec<JoinHandle<()>>>,
    /// The first thing that went wrong here: no fault of a cluster's.
    failed: Mutex<Option<String>>,
    is_over: AtomicBool,
    /// How many of the next compute nodes are dark.
    dark: AtomicU32,
    logs: Scratch,
}

impl Cloud {
    /// Begins to play the machines of this user's clusters. `url`: of the emulator, `http://127.0.0.1:4566`.
    pub fn of(user: &str, url: &str, base: &Base) -> Result<Self> {
        let emulator = url.strip_prefix("http://").and_then(|address| address.parse().ok());
        let emulator = emulator.with_context(|| format!("{url} is no address of an emulator such as http://127.0.0.1:4566"))?;
        let bed = Bed::in_network(base, NETWORK)?;
        let forward = bed.forward(aws::PORT, emulator)?;
        let shared = Arc::new(Shared {
            bed,
            user: user.to_owned(),
            url: url.to_owned(),
            emulator,
            aws: EmulatorClient::at(url),
            machines: Mutex::default(),
            lives: Mutex::default(),
            failed: Mutex::default(),
            is_over: AtomicBool::new(false),
            dark: AtomicU32::new(0),
            logs: Scratch::new("cloud")?,
        });
        let watched = Arc::clone(&shared);
        let watching = thread::spawn(move || {
            while !watched.is_over.load(Ordering::Relaxed) {
                if let Err(error) = watched.look() {
                    return watched.fail(&error);
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        Ok(Self { shared, watching: Some(watching), _aws: forward })
    }

    /// Whether all went well here: an error is this bed's, not a cluster's.
    pub fn check(&self) -> Result<()> {
        lock(&self.shared.failed).as_ref().map_or(Ok(()), |why| bail!("{why}"))
    }

    /// All machines that there were, in no order.
    pub fn machines(&self) -> Vec<Arc<Machine>> {
        lock(&self.shared.machines).values().cloned().collect()
    }

    /// The machine of an instance.
    pub fn machine(&self, instance: &str) -> Result<Arc<Machine>> {
        lock(&self.shared.machines).get(instance).cloned().with_context(|| format!("there is no machine of {instance}"))
    }

    /// The machines that run, by their host names.
    pub fn running(&self) -> Result<BTreeMap<String, Arc<Machine>>> {
        let mut named = BTreeMap::new();
        for machine in self.machines() {
            let Ok(node) = machine.node() else { continue };
            if node.is_running()? {
                // It may end meanwhile.
                if let Ok(name) = node.run(&["hostname"]) {
                    named.insert(name.trim().to_owned(), machine);
                }
            }
        }
        Ok(named)
    }

    /// What has happened to all machines so far, in order.
    pub fn events(&self) -> Vec<Event> {
        let mut all: Vec<Event> = self.machines().iter().flat_map(|machine| machine.events()).collect();
        all.sort_by_key(|event| event.at);
        all
    }

    /// A machine is lost with all that runs on it; EC2 terminates its instance, and a group replaces it.
    pub fn lose(&self, instance: &str) -> Result<()> {
        self.machine(instance)?.lose()?;
        deploy::aws(&self.shared.url, &["ec2", "terminate-instances", "--instance-ids", instance]).map(drop)
    }

    /// So many of the next machines without a public address are on, and never boot: EC2 shows them as any other.
    pub fn darken(&self, machines: u32) {
        self.shared.dark.store(machines, Ordering::Relaxed);
    }

    /// Asks EC2 to reboot an instance.
    pub fn reboot(&self, instance: &str) -> Result<()> {
        deploy::aws(&self.shared.url, &["ec2", "reboot-instances", "--instance-ids", instance]).map(drop)
    }

    /// Starts a machine in the bed that is none of EC2's.
    pub fn start(&self, spec: &Spec) -> Result<Node> {
        self.shared.bed.start(spec)
    }

    /// The private address of the machine that has a public one, and runs.
    pub fn private_address(&self, public: Ipv4Addr) -> Result<Ipv4Addr> {
        let (machines, public) = (self.machines(), public.to_string());
        let found = machines.iter().find(|machine| machine.instance().public_address == public && is_on(machine));
        Ok(found.with_context(|| format!("no machine that runs has the address {public}"))?.instance().private_address)
    }

    /// Waits until a condition holds, at most so long; what goes wrong here ends it. Where it does not come, the error has what the
    /// machines printed last.
    pub fn until<T>(&self, what: &str, most: Duration, mut seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let waited = wait::until(what, most, || {
            self.check()?;
            seen()
        });
        waited.with_context(|| self.logs())
    }

    /// What the machines that run, or ran last, printed at the end.
    pub fn logs(&self) -> String {
        let told = |machine: &Arc<Machine>| {
            let events = machine.events();
            let last = events.last().map_or("is about to start", |event| event.what.as_str());
            let id = &machine.instance().id;
            format!("\n== {id} {}: {last}\n{}", machine.instance().private_address, machine.end_of_log())
        };
        self.machines().iter().map(told).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
        for machine in self.machines() {
            let _ = machine.lose();
        }
        for life in std::mem::take(&mut *lock(&self.shared.lives)) {
            let _ = life.join();
        }
    }
}

fn is_on(machine: &Machine) -> bool {
    machine.node().and_then(Node::is_running).unwrap_or(false)
}

impl Shared {
    /// One look at EC2.
    fn look(self: &Arc<Self>) -> Result<()> {
        for instance in &Instance::all_of(&self.user, &self.aws)? {
            let known = lock(&self.machines).get(&instance.id).cloned();
            match known {
                Some(machine) => machine.follow(instance),
                None if instance.runs() => self.begin(instance)?,
                None => {}
            }
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, instance: &Instance) -> Result<()> {
        let Instance { id, private_address, .. } = instance;
        if private_address.octets()[..2] != NETWORK {
            bail!("{id} has the address {private_address}, which is not in the bed's network");
        }
        let endpoint = format!("http://{}:{}", self.bed.address(), aws::PORT);
        let take_one = |left: u32| left.checked_sub(1);
        let is_dark = instance.public_address.is_empty() && self.dark.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one).is_ok();
        let machine = Arc::new(Machine::new(instance, self.log_of(id), &endpoint, is_dark));
        lock(&self.machines).insert(id.clone(), Arc::clone(&machine));
        let shared = Arc::clone(self);
        let life = thread::spawn(move || {
            let lived =
                Metadata::of(&machine.instance().id, shared.emulator).and_then(|metadata| machine.live(&shared.bed, metadata.address()));
            if let Err(error) = lived {
                shared.fail(&anyhow!("{}: {error:#}", machine.instance().id));
            }
        });
        lock(&self.lives).push(life);
        Ok(())
    }

    fn log_of(&self, instance: &str) -> PathBuf {
        self.logs.path().join(format!("{instance}.log"))
    }

    fn fail(&self, error: &anyhow::Error) {
        if !self.is_over.load(Ordering::Relaxed) {
            lock(&self.failed).get_or_insert(format!("{error:#}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
