//! The process of one agent.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::wait;

/// A running agent, killed when this is dropped.
pub struct Agent {
    process: Child,
    root: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    pub fn start(root: &Path, store: &Path, address: Ipv4Addr, machine: u8, boot: &str, [fail_after_ms, boot_limit_ms]: [u64; 2]) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(root.join("log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "agent_process", "--nocapture", "--test-threads=1"]);
        command.env("AGENT_ROOT", root).env("AGENT_STORE", store).env("AGENT_ADDRESS", address.to_string());
        command.env("AGENT_INSTANCE", format!("i-{machine}")).env("AGENT_BOOT", boot).env("AGENT_FAIL_AFTER_MS", fail_after_ms.to_string());
        command.env("AGENT_BOOT_LIMIT_MS", boot_limit_ms.to_string());
        let process = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it printed, in all its processes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    pub fn terminate(&self) {
        let id = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("the agent ends", || self.process.try_wait().unwrap())
    }
}
