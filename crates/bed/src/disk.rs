//! Disks of nodes, which are in memory and go with the bed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::holder::Holder;

/// A disk: a tmpfs in the bed, with the upper part of a node's root. It goes when this is dropped.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    holder: Arc<Holder>,
}

impl Disk {
    /// An empty one of this size.
    pub fn new(holder: &Arc<Holder>, mib: u32) -> Result<Self> {
        let folder = holder.folder().join(format!("disk-{}", holder.number()));
        let script = "mkdir \"$1\" && mount -t tmpfs -o \"size=$2m,mode=755\" disk \"$1\" && cd \"$1\" && mkdir upper work root";
        holder.with_mounts(script, &[folder.as_os_str(), mib.to_string().as_ref()])?;
        Ok(Self { folder, holder: Arc::clone(holder) })
    }

    /// Where it is, within the bed.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Where it fails, the bed takes it along in the end.
        let _ = self.holder.with_mounts("umount --lazy \"$1\" && rmdir \"$1\"", &[self.folder.as_os_str()]);
    }
}
