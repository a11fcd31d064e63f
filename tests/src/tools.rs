//! Pinned tools in a folder that git ignores: the emulator, and SAM with what it builds and checks with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{children, root};

/// A Python environment of the project's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// MiniStack under our launcher, and the AWS CLI.
    Emulator,
    /// SAM, cargo-lambda, zig, cfn-lint.
    Sam,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Emulator => "emulator",
            Self::Sam => "sam",
        }
    }

    /// Where it is installed.
    pub fn folder(self) -> PathBuf {
        root().join(".tools").join(self.name())
    }

    /// One of its programs.
    pub fn program(self, name: &str) -> PathBuf {
        self.folder().join("bin").join(name)
    }

    fn requirements(self) -> PathBuf {
        root().join("tools").join(format!("requirements-{}.txt", self.name()))
    }

    fn constraints(self) -> PathBuf {
        root().join("tools").join(format!("constraints-{}.txt", self.name()))
    }

    /// Installs it where it is not there in the pinned versions; tells `say` what it does.
    pub fn install(self, say: &dyn Fn(&str)) -> Result<()> {
        let stamp = self.folder().join("installed");
        let wanted = fingerprint(&[self.requirements(), self.constraints()])?;
        if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
            return Ok(());
        }
        say(&format!("installing {} into .tools/{} (once; about half a minute)", self.contents(), self.name()));
        let python = python()?;
        // A half-made environment of an interrupted run is not mended, but made anew.
        if self.folder().exists() {
            fs::remove_dir_all(self.folder())?;
        }
        run(Command::new(python).args(["-m", "venv"]).arg(self.folder()), "python3 -m venv", "is the package python3-venv installed?")?;
        let pip = [&["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"][..]].concat();
        run(
            Command::new(self.program("python")).args(pip).arg(self.requirements()),
            "pip install",
            "is the Python package index within reach?",
        )?;
        fs::write(stamp, wanted)?;
        Ok(())
    }

    const fn contents(self) -> &'static str {
        match self {
            Self::Emulator => "the local AWS",
            Self::Sam => "SAM, cargo-lambda and cfn-lint",
        }
    }
}

/// The first Python 3 that is new enough for the pinned tools.
fn python() -> Result<&'static str> {
    for candidate in ["python3", "python3.13", "python3.12", "python3.11", "python3.10"] {
        let new_enough = Command::new(candidate).args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).output();
        if new_enough.is_ok_and(|o| o.status.success()) {
            return Ok(candidate);
        }
    }
    bail!("there is no Python 3.10 or newer: install python3, then try again")
}

fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("{} is part of the project", file.display()))?);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Runs a command to its end; where it fails, its last words are in the error.
pub fn run(command: &mut Command, what: &str, hint: &str) -> Result<String> {
    let output = children::output(command).with_context(|| format!("{what} could not be started: {hint}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let all = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last: Vec<&str> = all.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = last[last.len().saturating_sub(12)..].join("\n  ");
    bail!("{what} failed: {hint}\n  {last}")
}

/// The program of a name on PATH, with a folder of ours before it.
pub fn path_with(folder: &Path) -> String {
    let old = std::env::var("PATH").unwrap_or_default();
    format!("{}:{old}", folder.display())
}
