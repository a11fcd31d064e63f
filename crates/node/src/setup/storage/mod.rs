//! Disks and shared folders: `/home` and `/opt/apps` on volumes of their own or on the system's, from the login node on compute nodes;
//! `/scratch` and swap on the disks that an instance brings.
//!
//! Each round looks at what is there (`observe`), decides what is missing (`decide`, pure), and does it (`execute`), until nothing
//! is. A mount point that is there already is left as it is. Where systemd does not run there are no disks of the node's own and no
//! NFS: what is there stays (in the test bed `/home` is one folder for all nodes).

use std::net::IpAddr;

use decide::{Facts, decide};

use super::Machine;
use crate::node::Role;
use crate::proxy::Network;

pub mod decide;
pub mod disks;
mod execute;
mod observe;

/// Format, mount, and what follows from that; and as many again for what another program does meanwhile.
const ROUNDS_MAX: usize = 8;

/// What the login node shares.
const EXPORTS: &str = "etc/exports.d/clusterdrop.exports";

impl Machine<'_> {
    /// Brings all of it where it is to be. Gives what the user ought to know; an error says what stands in the way.
    pub async fn storage(&self, login: Option<IpAddr>, networks: &[Network]) -> Result<Vec<String>, String> {
        if !self.has_systemd() {
            tracing::info!("systemd does not run here: disks and shared folders are left as they are");
            return Ok(Vec::new());
        }
        let mut before = None;
        for _ in 0..ROUNDS_MAX {
            let facts: Facts = self.observe(login).await?;
            let plan = decide(&facts, &self.settings.storage);
            for effect in &plan.effects {
                tracing::info!("storage: {effect}");
                self.carry_out(effect).await?;
            }
            if plan.effects.is_empty() {
                if let Some(obstacle) = plan.obstacle {
                    return Err(obstacle);
                }
                if self.settings.role == Role::Master {
                    self.share(networks).await?;
                }
                return Ok(plan.notes);
            }
            if before.as_ref() == Some(&plan.effects) {
                return Err(format!("this was done and has no effect: {}", plan.effects[0]));
            }
            before = Some(plan.effects);
        }
        Err("the node's disks change again and again".to_owned())
    }

    /// Shares folders by NFS with the cluster's network; its security group keeps other clusters out.
    async fn share(&self, networks: &[Network]) -> Result<(), String> {
        let folders: &[&str] = if self.settings.storage.home.is_some() { &["/opt/apps"] } else { &["/home", "/opt/apps"] };
        for folder in folders {
            let path = self.at(folder.trim_start_matches('/'));
            std::fs::create_dir_all(&path).map_err(|error| super::cannot_write(&path, &error))?;
        }
        self.put(EXPORTS, &exports(folders, networks), 0o644)?;
        self.programs.must("systemctl", &["enable", "--now", "--quiet", "nfs-server.service"]).await?;
        self.programs.must("exportfs", &["-ra"]).await.map(drop)
    }
}

/// The text of exports(5). Root of a compute node is the cluster's user, who has all rights on the login node too, and scripts of profiles
/// run as root in their home: root stays root.
fn exports(folders: &[&str], networks: &[Network]) -> String {
    let mut text = "# Written by clusterdrop at each start of the login node; edits are lost.\n".to_owned();
    for folder in folders {
        let clients: Vec<String> = networks.iter().map(|network| format!("{network}(rw,sync,no_subtree_check,no_root_squash)")).collect();
        text += &format!("{folder} {}\n", clients.join(" "));
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
