//! LocalEmu as a process of ours: the local AWS that enforces IAM, on one port of 127.0.0.1, by TLS and without.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::emulator::REGION;
use crate::scratch::Scratch;
use crate::tools::Tool;
use crate::{children, end_of_log, root, wait};

/// A running LocalEmu. It ends when this is dropped.
#[derive(Debug)]
pub struct LocalEmu {
    child: Child,
    /// Its port.
    pub port: u16,
    folder: PathBuf,
    // Dropped last, when nothing writes to it any more.
    _scratch: Scratch,
}

/// It takes four seconds on a quiet machine; the first time, Python compiles it.
const START_MAX: Duration = Duration::from_mins(3);

/// The folder of the LocalEmu on a port: its log, its certificate, whatever it writes.
pub fn folder(port: u16) -> PathBuf {
    root().join("target").join("localemu").join(port.to_string())
}

/// The certificate that it made for itself; who does not trust it cannot speak TLS with it.
pub fn certificate(port: u16) -> PathBuf {
    folder(port).join("tls.pem.crt")
}

impl LocalEmu {
    /// Starts it on a free port, empty.
    pub fn start() -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = folder(port);
        fs::create_dir_all(&folder)?;
        let scratch = Scratch::new("localemu")?;
        let out = File::create(folder.join("log"))?;
        let mut command = Command::new(Tool::LocalEmu.program("python"));
        command
            .arg(root().join("tools").join("localemu"))
            .env("GATEWAY_PORT", port.to_string())
            .env("CLUSTERDROP_FOLDER", &folder)
            .env("TMPDIR", scratch.path())
            .env("AWS_DEFAULT_REGION", REGION)
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = children::spawn(&mut command).context("LocalEmu could not be started")?;
        let mut started = Self { child, port, folder, _scratch: scratch };
        started.wait_until_ready()?;
        Ok(started)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/_localemu/health", self.port);
        let ready = wait::until("LocalEmu", START_MAX, || match self.child.try_wait()? {
            Some(status) => bail!("LocalEmu ended at once ({status})"),
            None => Ok(ureq::get(&url).call().ok().map(drop)),
        });
        ready.with_context(|| end_of_log(&self.folder.join("log")))
    }
}

impl Drop for LocalEmu {
    fn drop(&mut self) {
        // It keeps nothing, and a polite request to end hangs more often than not.
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::forget(self.child.id());
    }
}
