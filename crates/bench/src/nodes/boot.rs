//! The boot of a login node: its agent, beside curl and bash that fetch the same from the same emulator and run the same scripts, in
//! turns. The difference is what the agent adds to the fetches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cf_local::deploy::aws;
use cf_local::emulator::{Emulator, Pace, REGION};
use cf_local::node::environment;
use cf_local::scratch::Scratch;
use cf_local::{children, end_of_log, root, wait};
use serde::Serialize;

use super::process::resident_mebibytes;
use crate::figures::{Spread, spread};

/// The bucket of the profiles, and the one that reports go to.
const PROFILES: &str = "bench-customizer";
const SYSTEM: &str = "bench-system";

/// The emulator's account.
const ACCOUNT: &str = "000000000000";

/// A profile without a script in configure.d is refused.
const FIRST: &str = "#!/bin/bash\n";

/// The last script of a boot notes its own time: whoever looked for it would be late.
const LAST: &str = "#!/bin/bash\ndate +%s%N > \"${0%%/var/lib/clusterdrop/*}/booted\"\n";

/// The addresses of the nodes: a later one must not hear of an earlier one.
const NETWORK: &str = "127.92.0";

/// How long one boot may take.
const BOOT_MAX: Duration = Duration::from_mins(1);

/// Seconds from the start of the process to the script of `node-started`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Boots {
    /// The agent's.
    pub agent: Spread,
    /// Those of curl and bash.
    pub plain: Spread,
    /// What the agent took more, turn by turn.
    pub beyond: Spread,
    /// MiB that the agent has resident when its boot is over.
    pub resident: Spread,
}

/// One boot.
struct Boot {
    seconds: f64,
    resident: f64,
}

/// An emulator with what a login node asks for.
struct Site {
    emulator: Emulator,
    folder: Scratch,
    secret: String,
}

/// Measures so many boots of each.
pub fn measure(program: &Path, turns: usize) -> Result<Boots> {
    let site = Site::new()?;
    let boots = (1..=turns).map(|turn| Ok((site.agent(program, turn)?, site.plain(turn)?))).collect::<Result<Vec<_>>>()?;
    let of = |figure: fn(&(Boot, Boot)) -> f64| spread(&boots.iter().map(figure).collect::<Vec<_>>()).context("no turn was asked for");
    Ok(Boots {
        agent: of(|(agent, _)| agent.seconds)?,
        plain: of(|(_, plain)| plain.seconds)?,
        beyond: of(|(agent, plain)| agent.seconds - plain.seconds)?,
        resident: of(|(agent, _)| agent.resident)?,
    })
}

impl Site {
    fn new() -> Result<Self> {
        let (emulator, folder) = (Emulator::start(None, Pace::TEST)?, Scratch::new("bench-boot")?);
        let url = emulator.url();
        for bucket in [PROFILES, SYSTEM] {
            aws(&url, &["s3", "mb", &format!("s3://{bucket}")])?;
        }
        for (script, text) in [("configure.d/first", FIRST), ("node-started.d/last", LAST)] {
            let file = folder.path().join("script");
            fs::write(&file, text)?;
            aws(&url, &["s3", "cp", &file.display().to_string(), &format!("s3://{PROFILES}/customizer/alice/{script}")])?;
        }
        let text = "a secret of the benchmark only, of sixty-four characters or more, 0123456789";
        let made = ["secretsmanager", "create-secret", "--name", "bench", "--secret-string", text, "--query", "ARN", "--output", "text"];
        let secret = aws(&url, &made)?.trim().to_owned();
        Ok(Self { emulator, folder, secret })
    }

    fn agent(&self, program: &Path, turn: usize) -> Result<Boot> {
        let machine = self.machine("agent", turn)?;
        fs::write(machine.join("etc/clusterdrop/node.json"), self.settings())?;
        let mut command = self.command(program, &machine);
        command.arg("boot").arg("--root").arg(&machine).args(["--instance", "i-1", "--boot", "boot-1"]);
        command.args(["--address", &format!("{NETWORK}.{turn}")]);
        Self::boot(command, &machine)
    }

    fn plain(&self, turn: usize) -> Result<Boot> {
        let machine = self.machine("plain", turn)?;
        let mut command = self.command(Path::new("bash"), &machine);
        command.arg(root().join("crates/bench/src/nodes/plain-boot.sh"));
        command.env("ENDPOINT", self.emulator.url()).env("BUCKET", PROFILES).env("SECRET", &self.secret);
        Self::boot(command, &machine)
    }

    /// A folder for a machine that has not booted.
    fn machine(&self, kind: &str, turn: usize) -> Result<PathBuf> {
        let machine = self.folder.path().join(format!("{kind}-{turn}"));
        for inner in ["var/log", "etc/clusterdrop"] {
            fs::create_dir_all(machine.join(inner))?;
        }
        fs::write(machine.join("passwd"), "root:x:0:0:root:/root:/bin/bash\n")?;
        Ok(machine)
    }

    fn command(&self, program: &Path, machine: &Path) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, machine, &self.emulator.url());
        command
    }

    /// From the start of the command to the time that the last script wrote.
    fn boot(mut command: Command, machine: &Path) -> Result<Boot> {
        let log = machine.join("output");
        let output = fs::File::create(&log)?;
        let booted = machine.join("booted");
        let (began, since) = (nanoseconds_now()?, Instant::now());
        let mut child = children::spawn(command.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null()))?;
        let seen = wait::until("the script of node-started", BOOT_MAX, || {
            let text = fs::read_to_string(&booted).unwrap_or_default();
            Ok(text.trim().parse::<i128>().ok())
        });
        // The script of curl and bash has ended, or is about to.
        let resident = resident_mebibytes(child.id()).unwrap_or_default();
        children::terminate(child.id());
        child.wait()?;
        children::forget(child.id());
        let seen = seen.with_context(|| format!("the last lines of its log:\n{}", end_of_log(&log)))?;
        #[expect(clippy::cast_precision_loss, reason = "a minute has far fewer nanoseconds than 2^52")]
        let seconds = (seen - began) as f64 / 1e9;
        if seconds < 0.0 || seconds > since.elapsed().as_secs_f64() {
            bail!("the machine's clock was set while a boot was measured: {seconds} s");
        }
        Ok(Boot { seconds, resident })
    }

    fn settings(&self) -> String {
        let stack = format!("arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/bench/1");
        serde_json::json!({
            "role": "master", "cluster": "bench", "user": "alice", "request": "0123456789abcdef", "login": "alice",
            "region": REGION, "account": ACCOUNT, "stack": stack, "customizer_bucket": PROFILES, "profile": "alice",
            "system_bucket": SYSTEM, "secret": self.secret, "nodes_max": 4,
        })
        .to_string()
    }
}

fn nanoseconds_now() -> Result<i128> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("the machine's clock is before 1970")?;
    Ok(i128::try_from(now.as_nanos())?)
}
