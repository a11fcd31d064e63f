//! A user's own machine, outside of all clusters: it reaches a login node by its public address, with the user's key.

use std::net::Ipv4Addr;

use anyhow::Result;
use cf_bed::{Node, Spec};

use crate::cloud::Cloud;

/// 10.75.127.250, between the deployment's two subnets (`template.yaml`): no instance has it.
const NUMBER: u16 = 0x7ffa;

const KEY: &str = "/root/.ssh/id_ed25519";

/// ssh that asks nothing: the host key of a first login is believed, and another one than that is refused.
const SSH: [&str; 5] = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new"];

/// The user's machine.
#[derive(Debug)]
pub struct Laptop(Node);

impl Laptop {
    /// A machine with a new key.
    pub fn new(cloud: &Cloud) -> Result<Self> {
        let node = cloud.start(&Spec::new("laptop", NUMBER))?;
        node.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "user@laptop", "-f", KEY])?;
        Ok(Self(node))
    }

    /// A script for `configure.d` of a profile: it lets the user of this Linux account log in with this machine's key.
    pub fn key_script(&self, account: &str) -> Result<String> {
        let key = self.0.read(&format!("{KEY}.pub"))?;
        let file = format!("/home/{account}/.ssh/authorized_keys");
        Ok(format!("#!/bin/sh\n[ \"$2\" = master ] || exit 0\necho '{}' >{file}\n", key.trim()))
    }

    /// Lets this machine reach a public address, as the internet does.
    pub fn reach(&self, cloud: &Cloud, public: Ipv4Addr) -> Result<()> {
        let private = cloud.private_address(public)?.to_string();
        self.0.run(&["ip", "route", "replace", &format!("{public}/32"), "via", &private]).map(drop)
    }

    /// What a command prints on a login node, by ssh. It has a minute.
    pub fn ssh(&self, account: &str, public: Ipv4Addr, command: &str) -> Result<String> {
        self.0.run(&[&SSH[..], &[&format!("{account}@{public}"), command]].concat())
    }
}
