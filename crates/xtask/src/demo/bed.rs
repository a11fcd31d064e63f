//! A whole cluster, from the upload to the receipt, on machines of the test bed: each instance is a node with Debian as its root and with
//! its real user data and agent. Everything that is shown is what a user sees, on a laptop beside it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
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
    headline(&format!("She logs in: ssh alice@{address}"));
    laptop.reach(&cloud, address)?;
    show_text(&until("a login", || Ok(laptop.ssh("alice", address, "hostname; id -un; cf-node members").ok()))?);
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
