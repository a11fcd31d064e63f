//! Disks, as `lsblk --json` shows them.

use serde::Deserialize;

/// The columns that are asked for.
pub const COLUMNS: &str = "PATH,TYPE,SERIAL,MODEL,SIZE,RO,FSTYPE,PTTYPE,UUID,MOUNTPOINTS";

/// The model of a disk that an instance brings (EC2 user guide, "Instance store volumes": NVMe ones show it).
const INSTANCE_STORE: &str = "Amazon EC2 NVMe Instance Storage";

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Disk {
    /// Its device, such as `/dev/nvme1n1`.
    pub path: String,
    /// `disk`, `loop`, `rom`.
    #[serde(rename = "type", default)]
    kind: String,
    /// On NVMe the id of its EBS volume without the hyphen: `vol0123456789abcdef0` (EC2 user guide, "Identify the EBS device").
    #[serde(default)]
    serial: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    ro: bool,
    /// The file system on it.
    #[serde(default)]
    fstype: Option<String>,
    #[serde(default)]
    pttype: Option<String>,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    mountpoints: Vec<Option<String>>,
    #[serde(default)]
    children: Vec<serde_json::Value>,
}

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing: it may be formatted.
    Empty,
    /// A file system that can be mounted, with its UUID.
    FileSystem(String),
    /// Something else, in words. It is never formatted.
    Other(String),
}

#[derive(Deserialize)]
struct Shown {
    blockdevices: Vec<Disk>,
}

/// Reads what lsblk prints.
///
/// # Errors
/// Why it is not of that form.
pub fn read(json: &str) -> Result<Vec<Disk>, String> {
    let shown: Shown = serde_json::from_str(json).map_err(|error| format!("lsblk prints what is no list of disks: {error}"))?;
    Ok(shown.blockdevices.into_iter().filter(|disk| disk.kind == "disk").collect())
}

impl Disk {
    /// Whether it is this EBS volume, `vol-0123456789abcdef0`.
    pub fn is_volume(&self, id: &str) -> bool {
        self.serial.as_deref().is_some_and(|serial| serial.trim() == id.replacen('-', "", 1))
    }

    /// Whether the instance brought it, and takes it along.
    pub fn is_instance_store(&self) -> bool {
        self.model.as_deref().is_some_and(|model| model.trim() == INSTANCE_STORE)
    }

    /// Whether it is mounted somewhere.
    pub fn is_mounted(&self) -> bool {
        self.mountpoints.iter().any(Option::is_some)
    }

    /// What is on it.
    pub fn content(&self) -> Content {
        match (&self.fstype, &self.uuid, &self.pttype) {
            _ if self.ro || self.size == 0 => Content::Other("it can only be read".to_owned()),
            (Some(kind), Some(uuid), _) if matches!(kind.as_str(), "ext4" | "xfs") => Content::FileSystem(uuid.clone()),
            (Some(kind), ..) => Content::Other(format!("it holds {kind}")),
            (None, _, Some(table)) => Content::Other(format!("it has a partition table ({table})")),
            (None, ..) if !self.children.is_empty() => Content::Other("it has partitions".to_owned()),
            (None, ..) => Content::Empty,
        }
    }
}
