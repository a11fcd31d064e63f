//! Slurm on this node: its key, its configuration, its programs, and the daemon, which is started and waited for.
//!
//! systemd starts a daemon again that ends; where it does not run, the agent does ([`crate::agent::scheduling::daemon`]). Neither is
//! enabled at boot: the agent starts it when the node is what it is to be, and with the configuration of this boot.
//!
//! A compute node has no configuration of its own: it fetches the login node's (configless), by its address, so that no name must
//! resolve before the members' table of hosts has it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cf_core::names::ClusterName;
use cf_slurm::config::{ClusterPlan, Flavour, PROGRAMS, Times};
use cf_slurm::group::Group;
use cf_slurm::instance_type::InstanceType;
use rustix::fs::{Gid, Uid};
use tokio::time::{Instant, sleep};

use super::{DaemonState, Machine, cannot_write};
use crate::agent::seek::Found;
use crate::node::Role;
use crate::settings::SchedulerSettings;

/// slurmctld's port (`SlurmctldPort`, slurm.conf(5)).
const PORT: u16 = 6817;

const FOLDER: &str = "etc/slurm";

/// How long a daemon that was started may take to answer. It takes a second on a machine that has nothing else to do.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(200);

/// A daemon that ends is started again for ever, a moment later: a cluster without one is of no use.
const CONTROLLER_UNIT: &str = "\
# By clusterdrop's node agent.
[Unit]
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=1
";

/// The daemon of a role.
const fn daemon(role: Role) -> &'static str {
    match role {
        Role::Master => "slurmctld",
        Role::Slave => "slurmd",
    }
}

/// Where it notes its process where systemd does not run (`SlurmctldPidFile`, `SlurmdPidFile`).
const fn pid_file(role: Role) -> &'static str {
    match role {
        Role::Master => "run/slurmctld.pid",
        Role::Slave => "run/slurmd.pid",
    }
}

impl Machine<'_> {
    /// Writes what Slurm needs, starts the daemon, and waits until it answers. Gives what the user ought to know.
    pub async fn start_scheduler(&self, found: &Found) -> Result<Vec<String>, String> {
        let scheduler = self.settings.scheduler.as_ref().ok_or("the node's settings name no scheduler")?;
        self.environment(found.login).await?;
        let slurm = self.slurm_account().await?;
        self.key(found, slurm)?;
        for (path, text) in PROGRAMS {
            self.put(path.trim_start_matches('/'), text, 0o755)?;
        }
        for folder in ["var/lib/slurm", "var/lib/slurm/slurmctld", "var/log/slurm"] {
            self.folder_of(folder, slurm)?;
        }
        match self.settings.role {
            Role::Master => {
                let is_new = self.configuration(scheduler, found.login)?;
                self.start(is_new, CONTROLLER_UNIT, &[]).await?;
            }
            Role::Slave => {
                self.count_devices(scheduler, found).await?;
                let server = SocketAddr::new(found.login, PORT).to_string();
                let name = found.given.name.to_string();
                let options = ["--conf-server", &server, "-N", &name];
                let unit = compute_unit(&options);
                self.start(false, &unit, &options).await?;
            }
        }
        self.answers(found.login).await?;
        Ok(Vec::new())
    }

    /// Whether the daemon runs.
    pub async fn scheduler_state(&self) -> DaemonState {
        let daemon = daemon(self.settings.role);
        if !self.has_systemd() {
            return DaemonState { runs: self.runs_by_pid_file(), restarts: 0 };
        }
        let shown = self.programs.must("systemctl", &["show", "--property=ActiveState,NRestarts", &format!("{daemon}.service")]).await;
        // systemd that does not answer is no reason to start anything.
        shown.map_or(DaemonState { runs: true, restarts: 0 }, |shown| unit_state(&shown))
    }

    /// The user `slurm` of the package.
    async fn slurm_account(&self) -> Result<(Uid, Gid), String> {
        let line = self.programs.must("getent", &["passwd", "slurm"]).await?;
        let mut numbers = line.trim().split(':').skip(2).map(str::parse::<u32>);
        let (Some(Ok(uid)), Some(Ok(gid))) = (numbers.next(), numbers.next()) else {
            return Err("getent gives no line of the account slurm, which Slurm's package makes".to_owned());
        };
        Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn key(&self, found: &Found, slurm: (Uid, Gid)) -> Result<(), String> {
        let key = format!("{FOLDER}/slurm.key");
        self.put_bytes(&key, found.slurm_key.bytes(), 0o600)?;
        self.give(&key, slurm, 0o600)
    }

    fn folder_of(&self, folder: &str, slurm: (Uid, Gid)) -> Result<(), String> {
        let path = self.at(folder);
        std::fs::create_dir_all(&path).map_err(|error| cannot_write(&path, &error))?;
        self.give(folder, slurm, 0o755)
    }

    /// Gives a file to Slurm's user.
    fn give(&self, path: &str, (uid, gid): (Uid, Gid), mode: u32) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.at(path);
        let permissions = std::fs::Permissions::from_mode(mode);
        let given = rustix::fs::chown(&path, Some(uid), Some(gid)).map_err(std::io::Error::from);
        given.and_then(|()| std::fs::set_permissions(&path, permissions)).map_err(|error| cannot_write(&path, &error))
    }

    /// Writes the login node's configuration; whether it is another one than before.
    fn configuration(&self, scheduler: &SchedulerSettings, login: IpAddr) -> Result<bool, String> {
        let files = plan(scheduler, &self.settings.cluster, self.settings.nodes_max, login, self.flavour())?.files();
        let mut is_new = false;
        for (name, text) in
            [("slurm.conf", Some(files.slurm_conf)), ("gres.conf", files.gres_conf), ("cgroup.conf", Some(files.cgroup_conf))]
        {
            let path = format!("{FOLDER}/{name}");
            match text {
                Some(text) => is_new |= self.put(&path, &text, 0o644)?,
                // That of an image.
                None => is_new |= std::fs::remove_file(self.at(&path)).is_ok(),
            }
        }
        Ok(is_new)
    }

    /// Starts the daemon where it does not run, or runs with another configuration.
    async fn start(&self, is_new: bool, unit: &str, options: &[&str]) -> Result<(), String> {
        let daemon = daemon(self.settings.role);
        if self.has_systemd() {
            return self.start_by_systemd(daemon, is_new, unit).await;
        }
        if self.runs_by_pid_file() {
            if is_new {
                self.programs.must("scontrol", &["reconfigure"]).await?;
            }
            return Ok(());
        }
        // -b: slurmctld believes a node only if it has booted since it was asked for, and compares in whole seconds, the uptime rounded up.
        // A machine of EC2 takes longer than that to boot; one of the bed does not.
        let booted: &[&str] = if self.settings.role == Role::Slave { &["-b"] } else { &[] };
        // It ends when the daemon goes on in the background.
        self.programs.must_whole(daemon, &[booted, options].concat()).await.map(drop)
    }

    async fn start_by_systemd(&self, daemon: &str, is_new: bool, unit: &str) -> Result<(), String> {
        let service = format!("{daemon}.service");
        let is_new_unit = self.put(&format!("etc/systemd/system/{service}.d/clusterdrop.conf"), unit, 0o644)?;
        if is_new_unit {
            self.programs.must("systemctl", &["daemon-reload"]).await?;
        }
        self.programs.must("systemctl", &["disable", "--quiet", &service]).await?;
        let verb = if is_new || is_new_unit { "restart" } else { "start" };
        self.programs.must("systemctl", &[verb, &service]).await.map(drop)
    }

    fn runs_by_pid_file(&self) -> bool {
        let daemon = daemon(self.settings.role);
        let pid = std::fs::read_to_string(self.at(pid_file(self.settings.role))).unwrap_or_default();
        let Ok(pid) = pid.trim().parse::<u32>() else { return false };
        // The number may be another process's by now.
        let process = self.at("proc").join(pid.to_string());
        let is_dead = || std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.contains(") Z "));
        std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == daemon) && !is_dead()
    }

    /// Waits for an answer of slurmctld, as any user gets it.
    async fn answers(&self, login: IpAddr) -> Result<(), String> {
        let until = Instant::now() + self.answers_within;
        let ask: &[&str] = &["--noheader", "--format=%D"];
        loop {
            let answer = self.programs.must("sinfo", ask).await;
            let state = self.scheduler_state().await;
            match answer {
                Ok(_) if state.runs => return Ok(()),
                _ if Instant::now() < until => sleep(LOOK).await,
                Ok(_) => return Err(format!("{} does not stay up: {}", daemon(self.settings.role), self.last_words())),
                Err(reason) => return Err(format!("slurmctld on {login} does not answer: {reason}; {}", self.last_words())),
            }
        }
    }

    /// What the daemon has logged last of what is wrong.
    fn last_words(&self) -> String {
        let log = format!("var/log/slurm/{}.log", daemon(self.settings.role));
        let text = std::fs::read(self.at(&log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let wrong = text.lines().rev().find(|line| line.contains("error: ") || line.contains("fatal: "));
        wrong.map_or_else(|| format!("/{log} has no error"), |line| cf_core::plain::plain(line, 200))
    }

    /// A node that sees fewer GPUs than its type has cannot keep what Slurm promises of it: slurmd would not start, for want of a device
    /// file, and nobody would know why. It is down with that reason (`sinfo -R`).
    async fn count_devices(&self, scheduler: &SchedulerSettings, found: &Found) -> Result<(), String> {
        let group = scheduler.group.unwrap_or(Group::OnDemand);
        let machine = least(scheduler, group)?;
        let Some(gpus) = machine.gpus.filter(|_| self.flavour() == Flavour::Aws) else { return Ok(()) };
        let is_there = |number: &u32| self.at(&format!("dev/nvidia{number}")).exists();
        let there = u32::try_from((0..gpus.count).filter(is_there).count()).unwrap_or_default();
        if there == gpus.count {
            return Ok(());
        }
        let reason = format!("{there} of {} GPUs are there: NVIDIA's driver must be in the image", gpus.count);
        let (name, reason_word) = (format!("nodename={}", found.given.name), format!("reason={reason}"));
        let server = SocketAddr::new(found.login, PORT).to_string();
        // Where it cannot be said, the node does not come all the same, and its own report has the reason.
        let update = [&format!("SLURM_CONF_SERVER={server}"), "scontrol", "update", &name, "state=down", &reason_word];
        if let Err(error) = self.programs.must("env", &update).await {
            tracing::warn!("slurmctld does not know that {reason}: {error}");
        }
        Err(reason)
    }
}

/// The unit of slurmd, beside Debian's own.
fn compute_unit(options: &[&str]) -> String {
    format!("{CONTROLLER_UNIT}ExecStart=\nExecStart=/usr/sbin/slurmd --systemd {}\n", options.join(" "))
}

/// What `systemctl show` prints of a unit.
fn unit_state(shown: &str) -> DaemonState {
    let value = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    // `activating` is also the moment before systemd starts it again.
    let runs = matches!(value("ActiveState"), Some("active" | "activating" | "reloading"));
    DaemonState { runs, restarts: value("NRestarts").and_then(|count| count.parse().ok()).unwrap_or_default() }
}

/// What every machine of a group has.
fn least(scheduler: &SchedulerSettings, group: Group) -> Result<InstanceType, String> {
    InstanceType::least_of(&scheduler.types(group)?).ok_or_else(|| "a group has no type".to_owned())
}

/// What Slurm's configuration is made of.
fn plan(scheduler: &SchedulerSettings, cluster: &str, nodes_max: u32, login: IpAddr, flavour: Flavour) -> Result<ClusterPlan, String> {
    Ok(ClusterPlan {
        cluster: ClusterName::parse(cluster).map_err(|error| error.to_string())?,
        login,
        sizes: scheduler.sizes(nodes_max),
        spot: least(scheduler, Group::Spot)?,
        on_demand: least(scheduler, Group::OnDemand)?,
        times: Times::default(),
        shrinks: !scheduler.fixed,
        flavour,
    })
}

#[cfg(test)]
#[path = "slurm_tests.rs"]
mod tests;
