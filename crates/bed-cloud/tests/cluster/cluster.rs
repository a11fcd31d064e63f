//! A user's cluster `demo` on machines of a test bed, as its user sees it from a laptop, and with what EC2 does to its machines.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cf_bed::Base;
use cf_bed_cloud::{Cloud, Instance, Laptop, Machine};
use cf_local::emulator_client::EmulatorClient;
use jiff::Timestamp;
use serde_json::Value;

use crate::user::User;

/// Longer than anything takes here, also beside other tests.
pub const WAIT_MAX: Duration = Duration::from_secs(150);

/// No compute node before it is wanted.
pub const EMPTY: &str = r#"{"ComputeInitialNodes": "0", "ComputeMaxNodes": "4"}"#;

/// A user, the user's cluster, and what it runs on.
pub struct Cluster {
    pub user: User,
    pub cloud: Cloud,
    pub address: Ipv4Addr,
    laptop: Laptop,
}

impl Cluster {
    /// A cluster that is ready, made by this request. `profile`: more files of the user's own profile than the one with the key.
    pub fn ready(user: &str, request: &str, profile: &[(&str, &str)]) -> Result<Self> {
        cf_bed::possible()?;
        let base = Base::prepare(&|what| println!("{what}"))?;
        let user = User::new(user)?;
        let cloud = Cloud::of(&user.name, &user.url, &base)?;
        let laptop = Laptop::new(&cloud)?;
        user.give("configure.d/00-key.sh", &laptop.key_script(&user.name)?)?;
        for (path, text) in profile {
            user.give(path, text)?;
        }
        let began = Instant::now();
        user.drop_file("demo.cf-create", request)?;
        let answer = user.answer("demo.cf-created").and_then(|answer| cloud.check().map(|()| answer));
        let answer = answer.with_context(|| cloud.logs())?;
        println!("{}: ready {:.1} s after the upload", user.name, began.elapsed().as_secs_f64());
        let address = answer.trim().parse().with_context(|| format!("{answer:?} is no address"))?;
        laptop.reach(&cloud, address)?;
        Ok(Self { user, cloud, address, laptop })
    }

    /// What a command prints, which its user runs on the login node by ssh.
    pub fn ssh(&self, command: &str) -> Result<String> {
        self.laptop.ssh(&self.user.name, self.address, command).with_context(|| self.cloud.logs())
    }

    /// What a command prints, which root runs on the login node.
    pub fn root(&self, script: &str) -> Result<String> {
        self.login()?.node()?.run(&["sh", "-c", script]).with_context(|| self.cloud.logs())
    }

    /// The machine of the login node.
    pub fn login(&self) -> Result<Arc<Machine>> {
        let public = self.address.to_string();
        let mut machines = self.cloud.machines().into_iter();
        machines.find(|machine| machine.instance().public_address == public).context("there is no login node")
    }

    /// The host names of the machines that run.
    pub fn running(&self) -> Result<Vec<String>> {
        Ok(self.cloud.running()?.into_keys().collect())
    }

    /// The machine that has this host name.
    pub fn machine(&self, name: &str) -> Result<Arc<Machine>> {
        self.cloud.running()?.remove(name).with_context(|| format!("{name} does not run"))
    }

    /// Waits until exactly these machines run.
    pub fn runs(&self, names: &[&str]) -> Result<()> {
        self.until(&format!("exactly {names:?}"), || Ok((self.running()? == names).then_some(())))
    }

    /// A group as Auto Scaling describes it: `spot` or `ondemand`.
    pub fn group(&self, word: &str) -> Result<Value> {
        let login = self.login()?;
        let stack = login.instance().tags.get("aws:cloudformation:stack-name").context("the login node is of no stack")?;
        let name = format!("{stack}-{word}");
        let groups = self.user.asked(&["autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", &name])?;
        Ok(groups["AutoScalingGroups"][0].clone())
    }

    /// The desired capacities of the groups, spot and on demand; null where there is none.
    pub fn desired(&self) -> Result<(Value, Value)> {
        Ok((self.group("spot")?["DesiredCapacity"].clone(), self.group("ondemand")?["DesiredCapacity"].clone()))
    }

    /// Slurm ends these nodes now, as it does by itself ten minutes after their last job (SuspendTime, which nothing changes while slurmctld
    /// runs).
    pub fn power_down(&self, nodes: &str) -> Result<()> {
        self.root(&format!("scontrol update nodename={nodes} state=power_down")).map(drop)
    }

    /// Submits a batch job, and gives its number.
    pub fn sbatch(&self, options: &str, script: &str) -> Result<String> {
        let submit = format!("sbatch --parsable --output=job-%j {options} --wrap '{script}'");
        Ok(self.ssh(&submit)?.trim().to_owned())
    }

    /// Waits until a job is in a state, such as COMPLETED.
    pub fn job_is(&self, job: &str, state: &str) -> Result<()> {
        let shown = || self.ssh(&format!("scontrol show job {job}"));
        let found = self.until(&format!("{state} of job {job}"), || Ok(shown()?.contains(&format!("JobState={state} ")).then_some(())));
        found.with_context(|| format!("{}\n{}", shown().unwrap_or_default(), self.slurm()))
    }

    /// Slurm's nodes, reasons, queue and last words, for an error.
    pub fn slurm(&self) -> String {
        self.root("sinfo -N -o \"%n %T %E\"; squeue; tail -n 40 /var/log/slurm/slurmctld.log").unwrap_or_default()
    }

    /// Time passes for the agent's book, as if all in it were so much longer ago: the agent is killed, and its unit starts it again.
    pub fn ages(&self, by: Duration) -> Result<()> {
        const BOOK: &str = "/var/lib/clusterdrop/scaling.json";
        self.root("kill -KILL \"$(cat /run/agent.pid)\"")?;
        let node = self.login()?;
        let mut book: Value = serde_json::from_str(&node.node()?.read(BOOK)?)?;
        age(&mut book, by);
        node.node()?.write(BOOK, 0o600, serde_json::to_vec(&book)?)
    }

    /// Waits for a state.
    pub fn until<T>(&self, what: &str, seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.until_within(what, WAIT_MAX, seen)
    }

    /// Waits for a state that may take longer.
    pub fn until_within<T>(&self, what: &str, most: Duration, seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.cloud.until(what, most, seen).with_context(|| self.slurm())
    }

    /// Drops the file that deletes it, and waits until nothing of it runs. Gives the user and the receipt.
    pub fn delete(self) -> Result<(User, String)> {
        let Self { user, cloud, .. } = self;
        user.drop_file("demo.cf-delete", "")?;
        let receipt = user.answer("demo.cf-deleted").with_context(|| cloud.logs())?;
        cloud.until("the end of all machines", WAIT_MAX, || Ok(cloud.running()?.is_empty().then_some(())))?;
        for instance in Instance::all_of(&user.name, &EmulatorClient::at(&user.url))? {
            assert_eq!(instance.state, "terminated", "{}", instance.id);
        }
        Ok((user, receipt))
    }
}

/// Moves each moment in a state into the past. Those that are still to come are bounds, and come sooner.
fn age(state: &mut Value, by: Duration) {
    match state {
        Value::String(text) => {
            if let Ok(moment) = text.parse::<Timestamp>() {
                *text = (moment - by).to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| age(value, by)),
        Value::Object(fields) => fields.values_mut().for_each(|value| age(value, by)),
        _ => {}
    }
}
