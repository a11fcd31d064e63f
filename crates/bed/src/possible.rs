//! Whether this machine can have a bed: it takes root, and a kernel that gives out namespaces.

use std::process::Command;

use anyhow::{Result, bail};
use cf_local::{children, last_lines, scratch::Scratch};

/// What must be installed; each is in Debian's base system or a package named so.
const PROGRAMS: [&str; 10] = ["apt-get", "dpkg-deb", "hostname", "ip", "mount", "nsenter", "perl", "pivot_root", "setpriv", "unshare"];

/// Everything that a node needs of the kernel, tried once.
const TRIED: &str = r#"set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/lower" "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mknod "$1/null" c 1 3
ip link add bed type bridge
ip link add one type veth peer name other"#;

/// Whether this machine can have a bed. The error is one line: what is missing, and what to do.
pub fn possible() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the test bed needs root, which makes namespaces and mounts: run it as root");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        bail!("the test bed needs Debian or Ubuntu with {}: install what is missing", missing.join(", "));
    }
    let scratch = Scratch::new("bed")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--uts", "--ipc", "--net", "--time", "--fork", "--", "sh", "-c", TRIED, "bed"]).arg(scratch.path());
    let tried = children::output(&mut command)?;
    if !tried.status.success() {
        let why = last_lines(&String::from_utf8_lossy(&tried.stderr)).replace('\n', "; ");
        bail!("the test bed needs namespaces, overlays and bridges, and this machine refuses them: {why}");
    }
    Ok(())
}
