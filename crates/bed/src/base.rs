//! The base: Debian with the packages of `tools/bed.txt`, which every node has as the lower part of its root. It is made once, by
//! mmdebstrap, which Debian's own archive gives out; apt checks the archive's signature of all of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cf_local::{root, tools};
use sha2::{Digest, Sha256};

/// The release that the image of the nodes has on AWS (public parameter `/aws/service/debian/release/13`).
const SUITE: &str = "trixie";
const ARCHIVE: &str = "http://deb.debian.org/debian";
/// Of the package debian-archive-keyring, which Debian has and Ubuntu offers.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How the base is made, beside its packages. Documentation and translations are left out; dpkg need not wait for the disk after each
/// package, since a base that is not whole is made anew.
const OPTIONS: [&str; 7] = [
    "--mode=root",
    "--variant=minbase",
    "--format=directory",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=force-unsafe-io",
];

/// Counts up where `as_blank_machine` changes, so that the base is made anew.
const RECIPE: u32 = 1;

/// A base that is there, whole. Nodes never write into it.
#[derive(Debug, Clone)]
pub struct Base {
    folder: PathBuf,
}

impl Base {
    /// Makes the base where it is not there: it fetches 30 MB of indexes and 120 MB of packages, takes one to two minutes on two cores, and
    /// 415 MB in `.tools/bed`. Says so to `say`. Another program that makes it at the same time is waited for. A base that was not finished
    /// is made anew; one of other packages is removed, with the nodes that stand on it.
    pub fn prepare(say: &dyn Fn(&str)) -> Result<Self> {
        let list = fs::read_to_string(root().join("tools/bed.txt")).context("tools/bed.txt is part of the project")?;
        let packages = packages(&list)?;
        let home = home();
        let base = Self { folder: home.join(name(&packages)) };
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        lock.lock().with_context(|| format!("{} cannot be locked", home.join("lock").display()))?;
        if base.folder.exists() {
            return Ok(base);
        }
        let began = Instant::now();
        say(&format!(
            "making Debian {SUITE} with {} packages and what they need in .tools/bed (once; one to three minutes)",
            packages.len()
        ));
        remove_others(&home)?;
        let (apt, part) = (home.join("apt"), home.join("base.part"));
        install_mmdebstrap(&apt)?;
        make(&apt, &part, &packages)?;
        as_blank_machine(&part)?;
        fs::remove_dir_all(apt)?;
        fs::rename(part, &base.folder)?;
        say(&format!("made {} in {:.0} s", base.folder.display(), began.elapsed().as_secs_f64()));
        Ok(base)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Where bases lie, and where disks are mounted, for their own beds only.
pub fn home() -> PathBuf {
    root().join(".tools/bed")
}

/// One package a line; lines with `#` are for people.
fn packages(text: &str) -> Result<Vec<&str>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let is_name = |line: &str| {
        line.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && line.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
    };
    match lines.iter().find(|line| !is_name(line)) {
        Some(line) => bail!("tools/bed.txt has {line:?}, which is no package's name: one name a line, in small letters"),
        None => Ok(lines),
    }
}

/// The folder of a base is named after all that it is made from.
fn name(packages: &[&str]) -> String {
    let made_from = format!("{RECIPE} {SUITE} {ARCHIVE} {} {}", OPTIONS.join(" "), packages.join(" "));
    let digest: String = Sha256::digest(made_from).iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("base-{digest}")
}

/// What an earlier run did not finish, and bases of other packages.
fn remove_others(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with("base") || name == "apt");
        if is_ours {
            fs::remove_dir_all(entry.path()).with_context(|| format!("{} cannot be removed", entry.path().display()))?;
        }
    }
    Ok(())
}

/// By apt with sources, lists and a cache of its own: this machine's are not changed. Its settings count, such as a proxy.
fn install_mmdebstrap(folder: &Path) -> Result<()> {
    if !Path::new(KEYS).exists() {
        bail!("the test bed needs {KEYS}, by which Debian's packages are checked: install debian-archive-keyring");
    }
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let sources = folder.join("sources.list");
    fs::write(&sources, format!("deb [signed-by={KEYS}] {ARCHIVE} {SUITE} main\n"))?;
    let options = [
        format!("Dir::Etc::SourceList={}", sources.display()),
        "Dir::Etc::SourceParts=-".to_owned(),
        format!("Dir::State::Lists={}", folder.join("lists").display()),
        format!("Dir::Cache={}", folder.join("cache").display()),
        "Acquire::Languages=none".to_owned(),
        // What it downloads goes into a folder of ours, which its own user may not write to.
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(folder).arg("--quiet").args(options.iter().flat_map(|option| ["--option", option.as_str()])).args(args);
        tools::run(&mut command, &format!("apt-get {}", args.join(" ")), "is Debian's archive within reach?")
    };
    apt(&["update"])?;
    apt(&["download", "mmdebstrap"])?;
    let package = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.context("apt-get has downloaded nothing")?;
    tools::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(folder), "dpkg-deb -x", "is the disk full?")?;
    Ok(())
}

/// In mount and process namespaces of its own, and killed with this program: what it mounts and starts does not stay.
fn make(apt: &Path, part: &Path, packages: &[&str]) -> Result<()> {
    let programs = apt.join("usr/bin");
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "perl"])
        .arg(programs.join("mmdebstrap"))
        .args(OPTIONS)
        .arg(format!("--keyring={KEYS}"))
        .arg(format!("--include={}", packages.join(",")))
        .args([SUITE.as_ref(), part.as_os_str(), ARCHIVE.as_ref()])
        // Its helper, mmtarfilter, is found by name.
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default()));
    tools::run(&mut command, "mmdebstrap", "is Debian's archive within reach, and Python 3.10 or newer installed?")?;
    Ok(())
}

/// Takes away what mmdebstrap copied from this machine, and what each machine makes for itself at its first boot.
fn as_blank_machine(part: &Path) -> Result<()> {
    let etc = part.join("etc");
    // Without a name server every unknown name is refused at once. Nodes find each other by their hosts files.
    fs::write(etc.join("resolv.conf"), "")?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n")?;
    fs::write(etc.join("machine-id"), "")?;
    fs::remove_file(etc.join("hostname")).or_else(|error| if etc.join("hostname").exists() { Err(error) } else { Ok(()) })?;
    for entry in fs::read_dir(etc.join("ssh"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_the_lines_that_are_not_for_people() {
        assert_eq!(packages("# why\nslurmd\n\n  libc6 \n").expect("names"), ["slurmd", "libc6"]);
        for wrong in ["slurmd slurmctld", "slurmd # the daemon", "--mode=fakechroot", "a,b", "Slurm", "slurmd=24.11"] {
            assert!(packages(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_not_finished_and_other_bases_are_removed_and_nothing_else() -> Result<()> {
        let home = cf_local::scratch::Scratch::new("bed")?;
        for folder in ["base.part/etc", "base-0123/etc", "apt/lists", "disks"] {
            fs::create_dir_all(home.path().join(folder))?;
        }
        fs::write(home.path().join("lock"), "")?;
        remove_others(home.path())?;
        let mut left = fs::read_dir(home.path())?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        left.sort();
        assert_eq!(left, ["disks", "lock"]);
        Ok(())
    }

    #[test]
    fn a_base_of_other_packages_is_another_one() {
        assert_eq!(name(&["a", "b"]), name(&["a", "b"]));
        assert_ne!(name(&["a", "b"]), name(&["a"]));
        assert_ne!(name(&["ab"]), name(&["a", "b"]));
    }
}
