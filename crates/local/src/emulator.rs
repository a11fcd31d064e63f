//! The emulator as a process of ours: started on one port of 127.0.0.1, ended with us.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::scratch::Scratch;
use crate::tools::Tool;
use crate::{children, end_of_log, root, wait};

/// How fast the pretended AWS works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds that a resource takes.
    pub resource_seconds: f64,
    /// Seconds until a node signals.
    pub signal_seconds: f64,
    /// Factor for the waits that AWS prescribes: retries, batching windows, timeouts.
    pub clock: f64,
    /// Factor for the time between sweeps.
    pub sweeps: f64,
    /// Factor for how long a failed message stays hidden: eight hours of growing delays are to pass within a test.
    pub visibility: f64,
}

impl Pace {
    /// To be watched.
    pub const DEMO: Self = Self { resource_seconds: 0.05, signal_seconds: 3.0, clock: 0.1, sweeps: 0.1, visibility: 0.1 };
    /// To be waited for.
    pub const TEST: Self = Self { resource_seconds: 0.05, signal_seconds: 0.3, clock: 0.02, sweeps: 0.02, visibility: 0.000_5 };
    /// To be waited for a thousand times.
    pub const RUSH: Self = Self { resource_seconds: 0.01, signal_seconds: 0.02, ..Self::TEST };
    /// To be counted: no sweep comes in between.
    pub const COUNT: Self = Self { sweeps: 1.0, ..Self::TEST };
}

/// A running emulator. It ends when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    /// Its port on 127.0.0.1.
    pub port: u16,
    log: PathBuf,
    // Dropped last, when nothing writes to it any more.
    _scratch: Scratch,
}

/// It is ready in a third of a second on a quiet machine.
const START_MAX: Duration = Duration::from_mins(1);

/// The Region that everything is deployed in.
pub const REGION: &str = "eu-west-2";

impl Emulator {
    /// Starts it on a port, or on any free one.
    pub fn start(port: Option<u16>, pace: Pace) -> Result<Self> {
        let port = match port {
            Some(port) if TcpListener::bind(("127.0.0.1", port)).is_err() => {
                bail!("port {port} of 127.0.0.1 is taken: end what uses it, or choose another with --port")
            }
            Some(port) => port,
            None => TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port(),
        };
        let folder = root().join("target").join("emulator");
        fs::create_dir_all(&folder)?;
        let log = folder.join(format!("{port}.log"));
        let out = File::create(&log)?;
        let scratch = Scratch::new("emulator")?;
        let mut command = Command::new(Tool::Emulator.program("python"));
        command
            .arg(root().join("tools").join("emulator"))
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", scratch.path())
            .env("AWS_DEFAULT_REGION", REGION)
            .env("CLUSTERDROP_RESOURCE_SECONDS", pace.resource_seconds.to_string())
            .env("CLUSTERDROP_SIGNAL_SECONDS", pace.signal_seconds.to_string())
            .env("CLUSTERDROP_CLOCK", pace.clock.to_string())
            .env("CLUSTERDROP_RATE_SCALE", pace.sweeps.to_string())
            .env("CLUSTERDROP_VISIBILITY_SCALE", pace.visibility.to_string())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = children::spawn(&mut command).context("the emulator could not be started")?;
        let mut emulator = Self { child, port, log, _scratch: scratch };
        emulator.wait_until_ready()?;
        Ok(emulator)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let url = format!("{}/_clusterdrop/ready", self.url());
        let ready = wait::until("the emulator", START_MAX, || match self.child.try_wait()? {
            Some(status) => bail!("the emulator ended at once ({status})"),
            None => Ok(ureq::get(&url).call().ok().map(drop)),
        });
        ready.with_context(|| end_of_log(&self.log))
    }

    /// Its address, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It takes its functions with it.
        children::terminate(self.child.id());
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                children::forget(self.child.id());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
