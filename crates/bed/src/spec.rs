//! What a machine of the bed is given at its start.

use std::net::{SocketAddr, SocketAddrV4};

use anyhow::{Result, bail};

/// The most that a host name holds on Linux, in bytes.
const NAME_MAX: usize = 64;

/// What a machine is given at its start.
#[derive(Debug, Clone)]
pub struct Spec {
    pub(crate) name: String,
    pub(crate) number: u16,
    pub(crate) disk_mib: u32,
    pub(crate) shares: Vec<(String, String)>,
    pub(crate) forwards: Vec<(SocketAddrV4, SocketAddr)>,
}

impl Spec {
    /// A machine of this host name, at the address of this number (2 to 65,534): 10.77.0.11 is that of 11. Its disk holds 512 MiB
    /// beside the base.
    pub fn new(name: &str, number: u16) -> Self {
        Self { name: name.to_owned(), number, disk_mib: 512, shares: Vec::new(), forwards: Vec::new() }
    }

    /// A disk of this size. It is kept in memory, as much of it as is written.
    #[must_use]
    pub fn disk_mib(self, disk_mib: u32) -> Self {
        Self { disk_mib, ..self }
    }

    /// A folder of the bed of this name, at an absolute path; all nodes that are given it see the same files. It stands for a file system
    /// that nodes share.
    #[must_use]
    pub fn share(mut self, folder: &str, at: &str) -> Self {
        self.shares.push((folder.to_owned(), at.to_owned()));
        self
    }

    /// Forwards connections of this machine alone to `at`, such as 169.254.169.254:80, to an address outside, from each start on.
    #[must_use]
    pub fn forward(mut self, at: SocketAddrV4, to: SocketAddr) -> Self {
        self.forwards.push((at, to));
        self
    }

    /// Refuses what cannot be a machine, or would lead out of the bed.
    pub(crate) fn check(&self) -> Result<()> {
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !is_name(&self.name) || self.name.starts_with(['-', '.']) || self.name.len() > NAME_MAX {
            bail!("{:?} is no host name: letters, digits and hyphens, {NAME_MAX} at most", self.name);
        }
        if !(2..u16::MAX).contains(&self.number) {
            bail!("{} is no number of a node: 2 to 65,534", self.number);
        }
        if let Some((folder, at)) =
            self.shares.iter().find(|(folder, at)| !is_name(folder) || folder.starts_with('.') || !at.starts_with('/'))
        {
            bail!("{folder:?} at {at:?} is no folder to share: a plain name, and an absolute path");
        }
        Ok(())
    }
}
