//! The host name of a node: its name in the cluster, `login1` or `compute-N`. Set at each start of the agent that finds another one.
//!
//! Three things make it last: the kernel's name, which programs see at once; `/etc/hostname`, which systemd reads at the next boot; and
//! a setting of cloud-init, which would otherwise give the machine its old name at each boot (`preserve_hostname`: cloud-init's
//! reference, modules "Set Hostname" and "Update Hostname"). Others find the name in the members' block of `/etc/hosts`.
//!
//! The kernel's name is written as the file that stands for it, below the layout's root: a node below a folder has no kernel of its
//! own, and never renames the machine that it runs on.

use std::io;
use std::path::Path;

use crate::members::store::{self, Written};
use crate::node::{Layout, NodeName};

/// The kernel's name (proc(5), `/proc/sys/kernel/hostname`).
const KERNEL: &str = "proc/sys/kernel/hostname";

/// The name of the next boot (hostname(5)).
const STATIC: &str = "etc/hostname";

/// Where cloud-init has its settings, on machines that have cloud-init.
const CLOUD_INIT: &str = "etc/cloud";

/// Ours among them. They are read in the order of their names, and the last one counts.
const KEEP: &str = "etc/cloud/cloud.cfg.d/99-clusterdrop-host-name.cfg";

const KEEP_TEXT: &str = "# By clusterdrop's node agent: the host name is the node's name in its cluster.\npreserve_hostname: true\n";

/// Why a host name is not set, or will not last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host name {name} is not set, or not for good: {reasons}")]
pub struct HostNameError {
    /// The name.
    pub name: NodeName,
    /// Each file that was not written, and why.
    pub reasons: String,
}

/// Sets the host name; whether it was another one. What can be set is set, also where something else cannot be.
pub fn set(layout: &Layout, name: NodeName) -> Result<bool, HostNameError> {
    let text = format!("{name}\n");
    let parts = [
        (KERNEL, set_kernels(layout, &text)),
        (STATIC, put(layout, STATIC, &text)),
        (KEEP, if layout.root().join(CLOUD_INIT).is_dir() { put(layout, KEEP, KEEP_TEXT) } else { Ok(false) }),
    ];
    let failed: Vec<String> =
        parts.iter().filter_map(|(path, set)| Some(format!("/{path} cannot be written: {}", set.as_ref().err()?))).collect();
    if failed.is_empty() {
        return Ok(parts.iter().any(|(_, set)| matches!(set, Ok(true))));
    }
    Err(HostNameError { name, reasons: failed.join("; ") })
}

fn put(layout: &Layout, path: &str, text: &str) -> io::Result<bool> {
    let path = layout.root().join(path);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    Ok(store::write(&path, text.as_bytes(), 0o644)? != Written::Unchanged)
}

/// The kernel takes a name in one write, and no other file in its place.
fn set_kernels(layout: &Layout, text: &str) -> io::Result<bool> {
    let path = layout.root().join(KERNEL);
    match std::fs::read_to_string(&path) {
        Ok(before) if before == text => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound && layout.root() != Path::new("/") => Ok(false),
        Ok(_) => std::fs::write(&path, text).map(|()| true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine below a folder, with these files.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let layout = Layout::below(folder.path());
        (folder, layout)
    }

    fn read(layout: &Layout, path: &str) -> Option<String> {
        std::fs::read_to_string(layout.root().join(path)).ok()
    }

    #[test]
    fn a_name_is_the_kernels_and_the_next_boots_and_cloud_init_keeps_it() {
        let (_folder, layout) =
            machine(&[(KERNEL, "ip-10-0-0-7\n"), (STATIC, "ip-10-0-0-7\n"), ("etc/cloud/cloud.cfg", "preserve_hostname: false\n")]);
        let name = NodeName::compute(7).unwrap();
        assert_eq!(set(&layout, name), Ok(true));
        assert_eq!(read(&layout, KERNEL).as_deref(), Some("compute-7\n"));
        assert_eq!(read(&layout, STATIC).as_deref(), Some("compute-7\n"));
        assert!(read(&layout, KEEP).unwrap().lines().any(|line| line == "preserve_hostname: true"));
        assert_eq!(set(&layout, name), Ok(false), "it is so already");
        assert_eq!(set(&layout, NodeName::LOGIN), Ok(true));
        assert_eq!(read(&layout, KERNEL).as_deref(), Some("login1\n"));
    }

    #[test]
    fn a_node_below_a_folder_leaves_the_machine_that_it_runs_on_its_name() {
        let own = |path: &str| std::fs::read_to_string(Path::new("/").join(path)).ok();
        let before = (own(KERNEL), own(STATIC));
        let (_folder, layout) = machine(&[]);
        assert_eq!(set(&layout, NodeName::LOGIN), Ok(true));
        assert_eq!(read(&layout, STATIC).as_deref(), Some("login1\n"));
        assert_eq!((read(&layout, KERNEL), read(&layout, KEEP)), (None, None), "it has no kernel and no cloud-init");
        assert_eq!((own(KERNEL), own(STATIC)), before);
    }

    #[test]
    fn what_cannot_be_set_is_told_and_the_rest_is_set() {
        let (_folder, layout) = machine(&[(KERNEL, "old\n"), ("etc/cloud/cloud.cfg", "")]);
        std::fs::create_dir(layout.root().join(STATIC)).unwrap();
        let told = set(&layout, NodeName::LOGIN).unwrap_err().to_string();
        assert!(told.starts_with("the host name login1 is not set, or not for good: /etc/hostname cannot be written: "), "{told}");
        assert!(read(&layout, KERNEL).as_deref() == Some("login1\n") && read(&layout, KEEP).is_some());
    }
}
