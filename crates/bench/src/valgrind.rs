//! Valgrind, which counts instructions: the machine's own, or the distribution's package, unpacked into `.tools/valgrind`
//! without any rights. Where neither can be had, nothing is counted, and the run says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cf_local::{root, tools};

/// A Valgrind that runs.
#[derive(Debug, Clone)]
pub struct Valgrind {
    program: PathBuf,
    /// Where its tools lie, if not where it was built for.
    library: Option<PathBuf>,
}

impl Valgrind {
    /// Finds or installs it.
    pub fn find() -> Result<Self> {
        let own = Self { program: "valgrind".into(), library: None };
        if own.runs() {
            return Ok(own);
        }
        let folder = root().join(".tools").join("valgrind");
        if let Some(unpacked) = Self::unpacked(&folder) {
            return Ok(unpacked);
        }
        install(&folder)?;
        Self::unpacked(&folder).context("the package has no Valgrind that runs here")
    }

    fn unpacked(folder: &Path) -> Option<Self> {
        let library = ["usr/libexec/valgrind", "usr/lib/valgrind"].iter().map(|at| folder.join(at)).find(|at| at.is_dir())?;
        let found = Self { program: folder.join("usr/bin/valgrind"), library: Some(library) };
        found.runs().then_some(found)
    }

    fn runs(&self) -> bool {
        let mut command = Command::new(&self.program);
        command.arg("--version").envs(self.library.iter().map(|at| ("VALGRIND_LIB", at)));
        command.output().is_ok_and(|output| output.status.success())
    }

    /// What a program is run under to have its instructions counted into a file.
    pub fn wrapper(&self, counted: &Path) -> Vec<String> {
        let library = self.library.iter().flat_map(|at| ["env".to_owned(), format!("VALGRIND_LIB={}", at.display())]);
        let rest = [
            self.program.display().to_string(),
            "--tool=callgrind".to_owned(),
            "--quiet".to_owned(),
            format!("--callgrind-out-file={}", counted.display()),
        ];
        library.chain(rest).collect()
    }
}

/// By apt with lists and a cache of its own, which takes no rights.
fn install(folder: &Path) -> Result<()> {
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join("apt").join(part))?;
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(folder).args(["--quiet", "--option"]);
        command.arg(format!("Dir::State::lists={}", folder.join("apt/lists").display())).arg("--option");
        command.arg(format!("Dir::Cache={}", folder.join("apt/cache").display())).args(args);
        tools::run(&mut command, &format!("apt-get {}", args.join(" ")), "is this Debian or Ubuntu, and its archive within reach?")
    };
    apt(&["update"])?;
    apt(&["download", "valgrind"])?;
    let package = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.context("apt-get has downloaded nothing")?;
    tools::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(folder), "dpkg-deb", "is this Debian or Ubuntu?")?;
    fs::remove_file(package)?;
    Ok(fs::remove_dir_all(folder.join("apt"))?)
}
