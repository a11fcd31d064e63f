//! Makes the machine what its settings say, where they name a scheduler: a login node with Slurm's controller, or a compute node with
//! its daemon. Each part finds out what is there, and changes what is not: a second time, and at a reboot, nothing changes.
//!
//! - [`packages`]: Debian's own, where they are missing;
//! - [`storage`]: disks, shared folders, swap;
//! - [`environment`]: how jobs and people on the node reach the Internet, and what MPI programs get;
//! - [`slurm`]: the configuration and the daemon, by systemd or, where it does not run, without.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cf_slurm::config::Flavour;

use crate::members::store;
use crate::node::Layout;
use crate::programs::Programs;
use crate::settings::NodeSettings;

pub mod environment;
pub mod packages;
pub mod slurm;
pub mod storage;

/// A machine that a node's settings are for.
#[derive(Debug)]
pub struct Machine<'a> {
    /// What the template names.
    pub settings: &'a NodeSettings,
    /// Where its files lie.
    pub layout: &'a Layout,
    /// Its programs.
    pub programs: Programs,
    /// How long a daemon that was started may take to answer: [`slurm::ANSWERS_WITHIN`].
    pub answers_within: Duration,
}

/// Slurm's daemon of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonState {
    /// Whether it runs, or is about to: systemd starts it again by itself.
    pub runs: bool,
    /// How often systemd has started it again, since its unit was started; without systemd 0.
    pub restarts: u32,
}

impl Machine<'_> {
    /// Whether systemd runs, as sd_booted(3) finds it out.
    pub fn has_systemd(&self) -> bool {
        self.at("run/systemd/system").is_dir()
    }

    /// Where the nodes run. Namespaces of the test bed have no systemd.
    pub fn flavour(&self) -> Flavour {
        if self.has_systemd() { Flavour::Aws } else { Flavour::Bed }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.layout.root().join(path)
    }

    /// Writes a file, whole; whether it was another one.
    fn put(&self, path: &str, text: &str, mode: u32) -> Result<bool, String> {
        self.put_bytes(path, text.as_bytes(), mode)
    }

    fn put_bytes(&self, path: &str, bytes: &[u8], mode: u32) -> Result<bool, String> {
        let path = self.at(path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| store::write(&path, bytes, mode));
        written.map(|written| written != store::Written::Unchanged).map_err(|error| cannot_write(&path, &error))
    }
}

/// Why a file is not there, with what to do.
fn cannot_write(path: &Path, error: &io::Error) -> String {
    let full = if error.kind() == io::ErrorKind::StorageFull { ": the node's disk is full; give it a larger one" } else { "" };
    format!("{} cannot be written: {error}{full}", path.display())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::programs::tests::StandIns;

    /// A machine below a folder, with stand-ins of the system's programs.
    pub(crate) struct Below {
        pub(crate) stand_ins: StandIns,
        pub(crate) root: tempfile::TempDir,
        pub(crate) settings: NodeSettings,
        layout: Layout,
    }

    impl Below {
        /// One of this role, which systemd runs.
        pub(crate) fn new(role: &str) -> Self {
            let settings = serde_json::json!({
                "role": role, "cluster": "Demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
                "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles", "profile": "alice",
                "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4,
                "scheduler": {"spot_types": "c6i.large", "on_demand_types": "c6i.large", "spot_max": 4, "on_demand_max": 4,
                    "initial_nodes": 0, "fixed": false, "outbound": "proxy"}
            });
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
            let layout = Layout::below(root.path());
            Self { stand_ins: StandIns::new(), root, settings: serde_json::from_value(settings).unwrap(), layout }
        }

        pub(crate) fn machine(&self) -> Machine<'_> {
            Machine {
                settings: &self.settings,
                layout: &self.layout,
                programs: self.stand_ins.programs(),
                answers_within: Duration::from_millis(300),
            }
        }

        /// A file; empty where it is not there.
        pub(crate) fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.root.path().join(path)).unwrap_or_default()
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn remove(&self, path: &str) {
            std::fs::remove_dir_all(self.root.path().join(path)).unwrap();
        }
    }
}
