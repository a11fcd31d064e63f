//! What is to be done with a node's disks and shared folders: a pure function of what is there.
//!
//! | what | where | rule |
//! |---|---|---|
//! | `/home`, `/opt/apps` | login node | the settings' volume, by its id, on older types by its device; without one the system's |
//! | `/home`, `/opt/apps` | compute node | the login node's, by NFS |
//! | `/home` | both | the administrator's EFS or NFS file system, where there is one |
//! | `/scratch`, `/scratch2`, … | both | the disks that the instance brings, where `ScratchConfiguration` is enabled |
//! | swap | both | `enabled.ephemeral`: on such a disk only; `enabled.always`: else on the system's |
//!
//! An empty disk gets a file system; one that holds anything is mounted or left, and never formatted. A mount point that is there
//! already stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::disks::{Content, Disk};
use crate::settings::{Home, StorageSettings};

/// Room that a swap file leaves on its file system, in MiB.
const ROOM_MIB: u64 = 2_048;

/// Where the swap file lies where scratch is disabled.
const SWAP_FOLDER: &str = "/var/lib/clusterdrop-swap";

/// NFS from the login node: a job waits for a login node that reboots, and does not lose its files (`hard`); one try each time, for the
/// agent tries again.
const NFS_OPTIONS: &str = "vers=4.2,hard,noatime,_netdev,retry=0";

/// A folder that nodes share, and the device as which the template attaches its volume (`/dev/sdf`, `/dev/sdg`) on a machine of Xen.
#[derive(Clone, Copy)]
struct Shared {
    at: &'static str,
    device: &'static str,
}

const HOME: Shared = Shared { at: "/home", device: "/dev/xvdf" };
const APPS: Shared = Shared { at: "/opt/apps", device: "/dev/xvdg" };

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The login node's address, on a compute node.
    pub login: Option<IpAddr>,
    /// All disks.
    pub disks: Vec<Disk>,
    /// All mount points.
    pub mounts: BTreeSet<String>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether there is swap.
    pub has_swap: bool,
    /// Free MiB of the file systems of these folders.
    pub free_mib: BTreeMap<String, u64>,
    /// Whether there is a program `mount.efs`.
    pub has_efs: bool,
}

/// What is done to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Makes a file system on an empty disk.
    Format {
        /// The device.
        device: String,
        /// `ext4` or `xfs`.
        kind: &'static str,
    },
    /// Mounts something.
    Mount {
        /// What: `UUID=…`, `host:/path`, `fs-…:/`.
        source: String,
        /// Where.
        at: String,
        /// As what; `auto` for disks.
        kind: &'static str,
        /// With these options.
        options: String,
        /// For whom.
        open: Open,
    },
    /// Makes a swap file and uses it.
    Swap {
        /// The file.
        file: String,
        /// Its size.
        mib: u64,
    },
}

/// For whom a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// As its file system has it; and at each boot, by `/etc/fstab`, before people log in.
    AtBoot,
    /// As its file system has it.
    Now,
    /// Everybody may write, as in `/tmp`.
    ToAll,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { device, kind } => write!(f, "make {kind} on the empty disk {device}"),
            Self::Mount { source, at, kind, options, open } => {
                let more = match open {
                    Open::AtBoot => ", at each boot",
                    Open::Now => "",
                    Open::ToAll => ", for all",
                };
                write!(f, "mount {source} at {at} ({kind}: {options}{more})")
            }
            Self::Swap { file, mib } => write!(f, "make {mib} MiB of swap in {file}"),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In this order; after them the next look decides again.
    pub effects: Vec<Effect>,
    /// What the user ought to know.
    pub notes: Vec<String>,
    /// What keeps the node from being one.
    pub obstacle: Option<String>,
}

/// The plan.
pub fn decide(facts: &Facts, settings: &StorageSettings) -> Plan {
    let mut plan = Plan::default();
    home(facts, settings, &mut plan);
    shared(APPS, &settings.apps_volume, facts, &mut plan);
    let scratch = scratch(facts, settings, &mut plan);
    swap(facts, settings, scratch.as_deref(), &mut plan);
    plan
}

fn home(facts: &Facts, settings: &StorageSettings, plan: &mut Plan) {
    if facts.mounts.contains(HOME.at) {
        return;
    }
    match &settings.home {
        None => shared(HOME, &settings.home_volume, facts, plan),
        Some(Home::Efs { .. }) if !facts.has_efs => {
            plan.obstacle.get_or_insert_with(|| {
                "the home is on EFS, and the node's image has no mount.efs: it must have amazon-efs-utils".to_owned()
            });
        }
        Some(Home::Efs { file_system, access_point }) => {
            let options = format!("tls,accesspoint={access_point},_netdev");
            plan.effects.push(mount(format!("{file_system}:/"), "/home", "efs", options, Open::Now));
        }
        Some(Home::Nfs(source)) => plan.effects.push(mount(source.clone(), "/home", "nfs", NFS_OPTIONS.to_owned(), Open::Now)),
    }
}

/// A folder of the login node that the others see too.
fn shared(Shared { at, device }: Shared, volume: &str, facts: &Facts, plan: &mut Plan) {
    if facts.mounts.contains(at) {
        return;
    }
    if let Some(login) = facts.login {
        let host = if login.is_ipv6() { format!("[{login}]") } else { login.to_string() };
        plan.effects.push(mount(format!("{host}:{at}"), at, "nfs", NFS_OPTIONS.to_owned(), Open::Now));
        return;
    }
    if volume.is_empty() {
        return;
    }
    // Xen shows no ids, and keeps the device's name but for its beginning.
    let is_xen = facts.disks.iter().all(|disk| disk.path.starts_with("/dev/xvd"));
    let is_it = |disk: &&Disk| disk.is_volume(volume) || is_xen && disk.path == device;
    let Some(disk) = facts.disks.iter().find(is_it) else {
        plan.obstacle.get_or_insert(format!("the volume {volume} for {at} is not attached to this machine (yet)"));
        return;
    };
    match disk.content() {
        Content::Empty => plan.effects.push(Effect::Format { device: disk.path.clone(), kind: "ext4" }),
        Content::FileSystem(uuid) => {
            let options = "defaults,nofail,x-systemd.device-timeout=30".to_owned();
            plan.effects.push(mount(format!("UUID={uuid}"), at, "auto", options, Open::AtBoot));
        }
        Content::Other(what) => {
            plan.obstacle.get_or_insert(format!("the volume {volume} for {at} is not used: {what}, and only an empty one is formatted"));
        }
    }
}

fn mount(source: String, at: &str, kind: &'static str, options: String, open: Open) -> Effect {
    Effect::Mount { source, at: at.to_owned(), kind, options, open }
}

/// Gives the folder of the first disk that the instance brought, once it is mounted.
fn scratch(facts: &Facts, settings: &StorageSettings, plan: &mut Plan) -> Option<String> {
    let kind = match settings.scratch.as_str() {
        "enabled.xfs" => Some("xfs"),
        "enabled.ext4" => Some("ext4"),
        _ => None,
    };
    let mut disks: Vec<&Disk> = facts.disks.iter().filter(|disk| disk.is_instance_store()).collect();
    disks.sort_by(|one, other| (one.path.len(), &one.path).cmp(&(other.path.len(), &other.path)));
    let folder = |nth: usize| match (kind, nth) {
        (Some(_), 0) => "/scratch".to_owned(),
        (Some(_), nth) => format!("/scratch{}", nth + 1),
        (None, _) => SWAP_FOLDER.to_owned(),
    };
    // Without scratch, one for swap.
    let wanted = if kind.is_some() { disks.len() } else { usize::from(settings.swap.starts_with("enabled")) };
    for (nth, disk) in disks.iter().enumerate().take(wanted) {
        let at = folder(nth);
        if facts.mounts.contains(&at) || disk.is_mounted() {
            continue;
        }
        match disk.content() {
            Content::Empty => plan.effects.push(Effect::Format { device: disk.path.clone(), kind: kind.unwrap_or("ext4") }),
            Content::FileSystem(uuid) => {
                let open = if kind.is_some() { Open::ToAll } else { Open::Now };
                plan.effects.push(mount(format!("UUID={uuid}"), &at, "auto", "defaults,noatime".to_owned(), open));
            }
            Content::Other(what) => plan.notes.push(format!("{} is not used for {at}: {what}", disk.path)),
        }
    }
    Some(folder(0)).filter(|at| facts.mounts.contains(at))
}

fn swap(facts: &Facts, settings: &StorageSettings, ephemeral: Option<&str>, plan: &mut Plan) {
    let is_always = settings.swap == "enabled.always";
    if facts.has_swap || !(is_always || settings.swap == "enabled.ephemeral") {
        return;
    }
    // What is on its way decides first.
    if !plan.effects.is_empty() {
        return;
    }
    let wanted = if settings.swap_mib == 0 { facts.memory_mib } else { settings.swap_mib };
    let mib = wanted.min(settings.swap_max_mib);
    let folder = match ephemeral {
        Some(folder) => folder,
        None if is_always => "/",
        None => return,
    };
    let free = facts.free_mib.get(folder).copied().unwrap_or_default();
    if mib == 0 {
        return;
    }
    if free < mib + ROOM_MIB {
        plan.notes.push(format!("there is no swap: {mib} MiB are wanted, and {folder} has {free} MiB free, of which {ROOM_MIB} MiB stay"));
        return;
    }
    plan.effects.push(Effect::Swap { file: format!("{}/swapfile", folder.trim_end_matches('/')), mib });
}
