//! Pinned tools in a folder that git ignores: the emulators, SAM with what it builds and checks with, four that only check, and a
//! baseline.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{children, last_lines, root};

/// Tools that are installed together, in a folder of the project's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// MiniStack under our launcher, and the AWS CLI.
    Emulator,
    /// SAM and cfn-lint.
    Sam,
    /// cargo-lambda and Zig, which SAM builds functions with. Apart from it, so that functions can compile while it is installed.
    CargoLambda,
    /// cargo-deny and ShellCheck.
    Checks,
    /// cargo-machete, which finds libraries that nothing uses.
    Machete,
    /// cfn-guard.
    Guard,
    /// An IAM simulator.
    Iam,
    /// LocalEmu under our launcher: the local AWS that enforces IAM.
    LocalEmu,
    /// What the benchmark's baseline in Python is written with.
    Bench,
}

/// Who installs it.
enum Kind {
    /// pip, into a virtual environment.
    Python,
    /// npm, into a folder.
    Npm,
    /// cargo, which compiles it: no package index has it.
    Cargo,
}

impl Tool {
    /// All there are.
    pub const ALL: [Self; 9] =
        [Self::CargoLambda, Self::Emulator, Self::Sam, Self::Checks, Self::Machete, Self::Guard, Self::Iam, Self::LocalEmu, Self::Bench];

    const fn name(self) -> &'static str {
        match self {
            Self::Emulator => "emulator",
            Self::Sam => "sam",
            Self::CargoLambda => "cargo-lambda",
            Self::Checks => "checks",
            Self::Machete => "machete",
            Self::Guard => "guard",
            Self::Iam => "iam",
            Self::LocalEmu => "localemu",
            Self::Bench => "bench",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Emulator | Self::Sam | Self::CargoLambda | Self::Checks | Self::LocalEmu | Self::Bench => Kind::Python,
            Self::Guard | Self::Iam => Kind::Npm,
            Self::Machete => Kind::Cargo,
        }
    }

    /// The files under `tools` that say which versions; the first is what is asked for.
    const fn pins(self) -> &'static [&'static str] {
        match self {
            Self::Emulator => &["requirements-emulator.txt", "constraints-emulator.txt"],
            Self::Sam => &["requirements-sam.txt", "constraints-sam.txt"],
            Self::CargoLambda => &["requirements-cargo-lambda.txt"],
            Self::Checks => &["requirements-checks.txt"],
            Self::Machete => &["cargo-machete.txt"],
            Self::Guard => &["guard/package.json", "guard/package-lock.json"],
            Self::Iam => &["iam/package.json", "iam/package-lock.json"],
            Self::LocalEmu => &["requirements-localemu.txt", "constraints-localemu.txt"],
            Self::Bench => &["requirements-bench.txt", "constraints-bench.txt"],
        }
    }

    /// LocalEmu's package says 3.10, but it is written in the language of 3.13.
    const fn python_minor_min(self) -> u8 {
        if matches!(self, Self::LocalEmu) { 13 } else { 10 }
    }

    /// Whether this machine can have it.
    pub fn is_possible(self) -> bool {
        !matches!(self.kind(), Kind::Python) || python(self.python_minor_min()).is_ok()
    }

    /// What people call it.
    pub const fn contents(self) -> &'static str {
        match self {
            Self::Emulator => "the local AWS",
            Self::Sam => "SAM and cfn-lint",
            Self::CargoLambda => "cargo-lambda",
            Self::Checks => "cargo-deny and ShellCheck",
            Self::Machete => "cargo-machete",
            Self::Guard => "cfn-guard",
            Self::Iam => "an IAM simulator",
            Self::LocalEmu => "the local AWS that enforces IAM",
            Self::Bench => "boto3 and Lambda's runtime for Python",
        }
    }

    /// Where it is installed.
    pub fn folder(self) -> PathBuf {
        root().join(".tools").join(self.name())
    }

    /// One of its programs.
    pub fn program(self, name: &str) -> PathBuf {
        match self.kind() {
            Kind::Python | Kind::Cargo => self.folder().join("bin").join(name),
            Kind::Npm => self.folder().join(guard_programs()).join(name),
        }
    }

    /// Whether it is there in the pinned versions.
    pub fn is_installed(self) -> Result<bool> {
        let wanted = fingerprint(&self.pinned())?;
        Ok(fs::read_to_string(self.stamp()).is_ok_and(|have| have == wanted))
    }

    /// Says which versions are there, once all of it is.
    fn stamp(self) -> PathBuf {
        self.folder().join("installed")
    }

    fn pinned(self) -> Vec<PathBuf> {
        self.pins().iter().map(|file| root().join("tools").join(file)).collect()
    }

    /// Installs it where it is not there in the pinned versions; tells `say` what it does.
    pub fn install(self, say: &dyn Fn(&str)) -> Result<()> {
        if self.is_installed()? {
            return Ok(());
        }
        let pins = self.pinned();
        say(&format!("installing {} into .tools/{} (once; half a minute to two)", self.contents(), self.name()));
        // A half-made folder of an interrupted run is not mended, but made anew.
        if self.folder().exists() {
            fs::remove_dir_all(self.folder())?;
        }
        match self.kind() {
            Kind::Python => self.install_by_pip(&pins)?,
            Kind::Npm => self.install_by_npm(&pins)?,
            Kind::Cargo => self.install_by_cargo(&pins[0])?,
        }
        fs::write(self.stamp(), fingerprint(&pins)?)?;
        Ok(())
    }

    fn install_by_pip(self, pins: &[PathBuf]) -> Result<()> {
        run(
            Command::new(python(self.python_minor_min())?).args(["-m", "venv"]).arg(self.folder()),
            "python3 -m venv",
            "is the package python3-venv installed?",
        )?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(self.program("python")).args(pip).arg(&pins[0]), "pip install", "is the Python package index within reach?")?;
        Ok(())
    }

    fn install_by_npm(self, pins: &[PathBuf]) -> Result<()> {
        fs::create_dir_all(self.folder())?;
        for file in pins {
            fs::copy(file, self.folder().join(file.file_name().context("a pin is a file")?))?;
        }
        // "legacy": the package is a plug-in, and what it plugs into, the whole CDK, is not wanted. No scripts are run.
        let npm = ["ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(
            Command::new("npm").args(npm).current_dir(self.folder()),
            "npm ci",
            "is npm (of Node.js 20 or newer) installed, and its registry within reach?",
        )?;
        Ok(())
    }

    /// The pin is a line `name@version`; `--locked` takes the libraries that its authors built it with.
    fn install_by_cargo(self, pin: &Path) -> Result<()> {
        let pin = fs::read_to_string(pin)?;
        let mut command = Command::new("cargo");
        command.args(["install", "--locked", "--quiet", "--root"]).arg(self.folder()).arg(pin.trim());
        // Beside what is installed, not in the project's own `target`, whose profiles are other ones.
        command.env("CARGO_TARGET_DIR", self.folder().join("target"));
        run(&mut command, "cargo install", "is crates.io within reach?")?;
        fs::remove_dir_all(self.folder().join("target"))?;
        Ok(())
    }
}

/// cfn-guard comes compiled, one program for each system, inside a package of AWS for another tool.
fn guard_programs() -> PathBuf {
    let system = if cfg!(target_os = "macos") { "macos" } else { "ubuntu" };
    Path::new("node_modules/@cdklabs/cdk-validator-cfnguard/bin").join(system).join(std::env::consts::ARCH)
}

/// The first Python 3 that is new enough: by its name on PATH, or one that pyenv has beside the one in use.
fn python(minor_min: u8) -> Result<PathBuf> {
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"].map(PathBuf::from);
    let test = format!("import sys; sys.exit(sys.version_info < (3, {minor_min}))");
    let new_enough = |python: &PathBuf| Command::new(python).args(["-c", &test]).output().is_ok_and(|o| o.status.success());
    let found = names.into_iter().chain(pyenv()).find(new_enough);
    found.with_context(|| format!("there is no Python 3.{minor_min} or newer: install python3.{minor_min}, then try again"))
}

fn pyenv() -> Vec<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    let Some(folder) = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(home) else { return Vec::new() };
    let versions = fs::read_dir(folder.join("versions")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin").join("python3")).collect()
}

fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("{} is part of the project", file.display()))?);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// How the system tells of `ENOSPC`, and most programs after it; npm and Go write it small.
const DISK_FULL: &str = "no space left on device";

/// Runs a command to its end; where it fails, its last words are in the error.
pub fn run(command: &mut Command, what: &str, hint: &str) -> Result<String> {
    let output = children::output(command).with_context(|| format!("{what} could not be started: {hint}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let all = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last = last_lines(&all).replace('\n', "\n  ");
    // A full disk is told in the last words of many programs, below a guess of ours that points elsewhere.
    let hint = if all.to_lowercase().contains(DISK_FULL) { "the disk is full: make room, then try again" } else { hint };
    bail!("{what} failed: {hint}\n  {last}")
}

/// PATH with the programs of these tools before all others.
pub fn path_with(tools: &[Tool]) -> String {
    let ours = tools.iter().map(|tool| format!("{}:", tool.folder().join("bin").display())).collect::<String>();
    ours + &env::var("PATH").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(script: &str) -> String {
        let ended = run(Command::new("sh").args(["-c", script]), "pip install", "is the Python package index within reach?");
        ended.map_or_else(|error| error.to_string(), |said| format!("went well: {said}"))
    }

    #[test]
    fn a_command_that_fails_tells_its_last_words_and_what_to_do() {
        assert_eq!(failed("echo no route; exit 1"), "pip install failed: is the Python package index within reach?\n  no route");
    }

    #[test]
    fn a_full_disk_is_called_one() {
        for words in ["OSError: [Errno 28] No space left on device", "npm error nospc ENOSPC: no space left on device, write"] {
            let said = failed(&format!("echo '{words}' >&2; exit 1"));
            assert!(said.starts_with("pip install failed: the disk is full: make room, then try again\n"), "{said}");
        }
    }
}
