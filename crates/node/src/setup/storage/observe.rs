//! What disks and mounts the machine has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::decide::Facts;
use super::disks;
use crate::setup::Machine;

/// File systems on which swap may lie.
const FOLDERS: [&str; 3] = ["/", "/scratch", "/var/lib/clusterdrop-swap"];

impl Machine<'_> {
    pub(super) async fn observe(&self, login: Option<IpAddr>) -> Result<Facts, String> {
        // What udev has not looked at yet would be taken for empty. It answers at once where it is at rest.
        if let Err(error) = self.programs.must("udevadm", &["settle", "--timeout=30"]).await {
            tracing::warn!("{error}");
        }
        let shown = self.programs.must("lsblk", &["--json", "--bytes", "--output", disks::COLUMNS]).await?;
        let read = |path: &str| std::fs::read_to_string(self.at(path)).unwrap_or_default();
        let mounts = mount_points(&read("proc/self/mounts"));
        let free = |folder: &str| free_mib(&self.at(folder.trim_start_matches('/')));
        let there = FOLDERS.into_iter().filter(|folder| *folder == "/" || mounts.contains(*folder));
        let free_mib: BTreeMap<String, u64> = there.filter_map(|folder| Some((folder.to_owned(), free(folder)?))).collect();
        Ok(Facts {
            login,
            disks: disks::read(&shown)?,
            memory_mib: memory_mib(&read("proc/meminfo")),
            // The first line is a heading (proc(5), /proc/swaps).
            has_swap: read("proc/swaps").lines().count() > 1,
            free_mib,
            has_efs: ["sbin/mount.efs", "usr/sbin/mount.efs"].iter().any(|program| self.at(program).exists()),
            mounts,
        })
    }
}

/// The second word of each line of `/proc/self/mounts`; blanks in it are written as `\040` (fstab(5)).
pub(super) fn mount_points(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split(' ').nth(1)).map(|at| at.replace("\\040", " ")).collect()
}

/// `MemTotal` of `/proc/meminfo`, in MiB.
pub(super) fn memory_mib(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

fn free_mib(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize) / (1024 * 1024))
}
