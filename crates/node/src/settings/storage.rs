//! What the template says of a node's disks.

use serde::Deserialize;

/// The part `storage` of the settings. What is left out is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSettings {
    /// The id of the volume for `/home`; empty: it is on the system's volume.
    pub home_volume: String,
    /// The id of the volume for `/opt/apps`; empty: it is on the system's volume.
    pub apps_volume: String,
    /// A file system of the administrator's as `/home` of all nodes.
    pub home: Option<Home>,
    /// `ScratchConfiguration`: `enabled.xfs`, `enabled.ext4`, or nothing.
    pub scratch: String,
    /// `SwapConfiguration`: `enabled.ephemeral`, `enabled.always`, or nothing.
    pub swap: String,
    /// `SwapSize` in MiB; 0: as much as the memory.
    pub swap_mib: u64,
    /// `SwapSizeMax` in MiB.
    pub swap_max_mib: u64,
}

/// A file system of the administrator's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Home {
    /// EFS, through the access point of this user alone (decision 11).
    Efs {
        /// `fs-…`
        file_system: String,
        /// `fsap-…`
        access_point: String,
    },
    /// FSx for OpenZFS or ONTAP, or any other NFS: `host:/path`.
    Nfs(String),
}
