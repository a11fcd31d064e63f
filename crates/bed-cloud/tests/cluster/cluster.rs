//! A user's cluster `demo` on machines of a test bed, as its user sees it from a laptop, and with what EC2 does to its machines.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cf_bed::Base;
use cf_bed_cloud::{Cloud, Instance, Laptop, Machine};
use cf_local::emulator_client::EmulatorClient;

use crate::user::User;

/// Longer than anything takes here, also beside other tests.
pub const WAIT_MAX: Duration = Duration::from_secs(150);

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

    /// Waits for a state.
    pub fn until<T>(&self, what: &str, seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.cloud.until(what, WAIT_MAX, seen)
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
