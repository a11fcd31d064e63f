//! A whole cluster, from the upload to the receipt, on machines of the test bed: each instance is a node with Debian as its root and with
//! its real user data and agent. Everything that is shown is what a user sees, on a laptop beside it.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use cf_bed::Base;
use cf_bed_cloud::{Cloud, Event, Laptop};
use cf_local::emulator::Emulator;

use super::alice::Alice;
use super::{give_profile, leave_running, until};
use crate::chore::{headline, show as show_text, step};

/// No node before there is a job.
const FILE: &str = r#"{
    "ComputeInitialNodes": "0",
    "ComputeMaxNodes": "4"
}
"#;

/// Seconds for each part of the cluster: the machines are what is to be watched.
const SECONDS_EACH: f64 = 0.1;

/// Longer than a machine's end takes, whose agent says goodbye first.
const END_MAX: Duration = Duration::from_secs(40);

pub fn show(alice: &Alice, base: &Base, keep: bool, emulator: &Emulator) -> Result<()> {
    let began = Instant::now();
    let cloud = step("a bridge for the machines, and Alice's laptop beside it", || Cloud::of("alice", &alice.url, base))?;
    let laptop = Laptop::new(&cloud)?;
    give_profile(alice, &[("configure.d/user.sh", &laptop.key_script("alice")?)])?;
    alice.expects_a_real_node(SECONDS_EACH)?;
    headline("Alice drops a file: s3://af-users-eu-west-2/home/alice/mycluster.cf-create");
    show_text(FILE);
    alice.drops("mycluster.cf-create", FILE)?;
    println!("\n  Her status file, mycluster.cf-status, as it moves. Her login node boots by its real user data and agent:\n");
    let mut told = Told::default();
    alice
        .follow(|| {
            told.tell(&cloud);
            cloud.check()
        })
        .with_context(|| cloud.logs())?;
    told.tell(&cloud);
    headline("Her answer: mycluster.cf-created");
    let address = alice.answer("mycluster.cf-created")?;
    show_text(&address);
    let address: Ipv4Addr = address.trim().parse().with_context(|| format!("{address:?} is no address"))?;
    laptop.reach(&cloud, address)?;
    let her = Session { cloud: &cloud, laptop: &laptop, address };
    her.looks_around()?;
    her.runs_a_job(&mut told)?;
    her.reads_her_status(alice, &mut told)?;
    her.gives_nodes_back(&mut told)?;
    if keep {
        leave_running(emulator, &[]);
    }
    alice.deletes(|| Ok(()))?;
    cloud.until("the end of all machines", END_MAX, || Ok(cloud.running()?.is_empty().then_some(())))?;
    told.tell(&cloud);
    headline("That was the whole of it.");
    println!("  It took {:.0} s from the bridge on.\n", began.elapsed().as_secs_f64());
    Ok(())
}

/// Alice at her laptop, logged in.
struct Session<'a> {
    cloud: &'a Cloud,
    laptop: &'a Laptop,
    address: Ipv4Addr,
}

impl Session<'_> {
    /// What a command prints on the login node.
    fn ssh(&self, command: &str) -> Result<String> {
        self.laptop.ssh("alice", self.address, command).with_context(|| self.cloud.logs())
    }

    /// Shows a command and what it prints.
    fn shows(&self, command: &str) -> Result<()> {
        let said = self.ssh(command)?;
        show_text(&format!("$ {command}\n{}", said.trim_end()));
        Ok(())
    }

    fn looks_around(&self) -> Result<()> {
        headline(&format!("She logs in from her laptop: ssh alice@{}", self.address));
        self.shows("hostname")?;
        self.shows("sinfo")
    }

    /// A job of two nodes, where there is none. What the machines do meanwhile is shown as it happens.
    fn runs_a_job(&self, told: &mut Told) -> Result<()> {
        headline("No compute node runs. She starts a job of two nodes: Slurm asks for machines, and the agent gets them");
        let began = Instant::now();
        let said = thread::scope(|scope| {
            let job = scope.spawn(|| self.ssh("srun --nodes=2 hostname"));
            while !job.is_finished() {
                told.tell(self.cloud);
                thread::sleep(Duration::from_millis(100));
            }
            job.join().map_err(|_| anyhow!("the job panicked"))?
        })?;
        told.tell(self.cloud);
        show_text(&format!("$ srun --nodes=2 hostname\n{}", said.trim_end()));
        println!("  It ran {:.1} s after its submission, from zero nodes.", began.elapsed().as_secs_f64());
        self.shows("sinfo")
    }

    /// What a portal would show of it.
    fn reads_her_status(&self, alice: &Alice, told: &mut Told) -> Result<()> {
        let status = until("the two nodes in mycluster.cf-status", || {
            told.tell(self.cloud);
            let Some(text) = alice.text("mycluster.cf-status")? else { return Ok(None) };
            Ok((text.contains("\"running\": 2") || text.contains("compute-[1-2]")).then_some(text))
        })?;
        headline("Her status file, mycluster.cf-status, shows what runs");
        show_text(&status);
        Ok(())
    }

    /// Back to zero. Slurm does it by itself, ten minutes after the last job; a demo need not wait for that.
    fn gives_nodes_back(&self, told: &mut Told) -> Result<()> {
        headline("Slurm ends nodes that are idle for ten minutes. She does not wait for that, and ends them at once");
        self.shows("sudo scontrol update nodename=compute-[1-2] state=power_down")?;
        self.cloud.until("the end of both nodes", END_MAX, || {
            told.tell(self.cloud);
            Ok((self.cloud.running()?.len() == 1).then_some(()))
        })?;
        told.tell(self.cloud);
        self.shows("sinfo")
    }
}

/// What has been told of the machines so far.
#[derive(Default)]
struct Told(usize);

impl Told {
    fn tell(&mut self, cloud: &Cloud) {
        let events = cloud.events();
        let Some(first) = events.first().map(|event| event.at) else { return };
        for Event { at, instance, what } in events.iter().skip(self.0) {
            println!("    {:6.1} s  {instance} {what}", (*at - first).as_secs_f64());
        }
        self.0 = events.len();
    }
}
