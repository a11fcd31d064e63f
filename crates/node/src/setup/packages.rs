//! The packages of Slurm and of shared folders, from the distribution, where they are missing. An image of the administrator's that has
//! them needs no archive.
//!
//! A package starts its service as soon as it is unpacked, with the configuration that it brings: `policy-rc.d`, which Debian's scripts
//! ask (invoke-rc.d(8)), forbids it until the agent has written its own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Machine;
use crate::node::Role;
use crate::programs::ProgramError;
use crate::proxy;

/// How long one run of apt-get may take: some 120 MB over a small machine's network, and their unpacking.
const TIME_MAX: Duration = Duration::from_mins(10);

/// What all runs of apt-get have: others (cloud-init, unattended upgrades) may be at it at the same time after a boot, and an archive
/// that does not answer is not waited for longer than the agent's next try.
const OPTIONS: [&str; 6] = [
    "--quiet",
    "--yes",
    "--option=DPkg::Lock::Timeout=120",
    "--option=Acquire::Retries=2",
    "--option=Acquire::http::Timeout=20",
    "--option=Acquire::Languages=none",
];

const POLICY: &str = "usr/sbin/policy-rc.d";

/// No service is started or stopped.
const POLICY_TEXT: &str =
    "#!/bin/sh\n# By clusterdrop's node agent, while it installs packages: it starts their services itself.\nexit 101\n";

/// What dpkg wants where an earlier run of it was cut off.
const INTERRUPTED: &str = "dpkg was interrupted";

/// What a node needs.
fn wanted(role: Role, has_systemd: bool, has_xfs: bool) -> Vec<&'static str> {
    let mut wanted = match role {
        Role::Master => vec!["slurmctld", "slurm-client"],
        Role::Slave => vec!["slurmd", "slurm-client", "openmpi-bin"],
    };
    // Where systemd does not run, no folder is shared by NFS, and no disk is set up.
    if has_systemd {
        wanted.push(if role == Role::Master { "nfs-kernel-server" } else { "nfs-common" });
    }
    if has_systemd && has_xfs {
        wanted.push("xfsprogs");
    }
    wanted
}

/// Those that are not installed, by what dpkg-query prints: a package and its state on each line.
fn missing(wanted: &[&'static str], installed: &str) -> Vec<&'static str> {
    let is_installed = |package: &str| {
        installed.lines().any(|line| line.split_once(' ').is_some_and(|(name, state)| name == package && state == "installed"))
    };
    wanted.iter().copied().filter(|package| !is_installed(package)).collect()
}

impl Machine<'_> {
    /// Installs what is missing. `login`: the login node, through whose proxy a compute node reaches the archive.
    pub async fn packages(&self, login: Option<IpAddr>) -> Result<(), String> {
        self.allow_services();
        let wanted = wanted(self.settings.role, self.has_systemd(), self.settings.storage.scratch == "enabled.xfs");
        let missing = self.missing(&wanted).await?;
        if missing.is_empty() {
            return Ok(());
        }
        tracing::info!("the packages {} are installed", missing.join(", "));
        self.put(POLICY, POLICY_TEXT, 0o755)?;
        let installed = self.install(&missing, login).await;
        self.allow_services();
        installed.map_err(|reason| format!("the packages {} cannot be installed: {reason}", missing.join(", ")))?;
        // What an archive calls success leaves no package out.
        let left = self.missing(&wanted).await?;
        if left.is_empty() { Ok(()) } else { Err(format!("apt-get succeeded, and the packages {} are not installed", left.join(", "))) }
    }

    async fn missing(&self, wanted: &[&'static str]) -> Result<Vec<&'static str>, String> {
        let format = "--showformat=${Package} ${db:Status-Status}\n";
        match self.programs.run("dpkg-query", &[&["--show", format], wanted].concat()).await {
            // It ends with 1 where it does not know one of them.
            Ok(ended) if matches!(ended.code, Some(0 | 1)) => Ok(missing(wanted, &ended.output)),
            Ok(ended) => Err(format!("dpkg-query {}", ended.outcome())),
            Err(ProgramError::Absent(_)) => {
                Err("the node's image is no Debian: Slurm comes from the packages of Debian 13; use an image of it".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn install(&self, packages: &[&str], login: Option<IpAddr>) -> Result<(), String> {
        let proxy: Vec<String> = login.map_or_else(Vec::new, |login| {
            let proxy = SocketAddr::new(login, proxy::PORT);
            ["http", "https"].map(|scheme| format!("--option=Acquire::{scheme}::Proxy=http://{proxy}")).into()
        });
        let options: Vec<&str> = OPTIONS.into_iter().chain(proxy.iter().map(String::as_str)).collect();
        self.apt(&[&options, &["update"][..]].concat()).await?;
        let install = ["install", "--no-install-recommends", "--option=Dpkg::Options::=--force-confold"];
        let installed = self.apt(&[&options, &install[..], packages].concat()).await;
        if !installed.as_ref().is_err_and(|reason| reason.contains(INTERRUPTED)) {
            return installed;
        }
        self.programs.run_long("dpkg", &["--configure", "--pending"], TIME_MAX).await.map_err(|error| error.to_string())?;
        self.apt(&[&options, &install[..], packages].concat()).await
    }

    async fn apt(&self, arguments: &[&str]) -> Result<(), String> {
        let ended = self.programs.run_long("apt-get", arguments, TIME_MAX).await.map_err(|error| error.to_string())?;
        if ended.is_success() {
            return Ok(());
        }
        // Warnings stand before what it fails with.
        let code = ended.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        Err(format!("apt-get ended with {code}: {}", ended.last_lines.join(" / ")))
    }

    /// Also after an agent that ended in between. Another's is left.
    fn allow_services(&self) {
        let policy = self.at(POLICY);
        if std::fs::read_to_string(&policy).is_ok_and(|text| text == POLICY_TEXT)
            && let Err(error) = std::fs::remove_file(&policy)
        {
            tracing::error!("{} cannot be removed, so that packages start no services: {error}", policy.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::testing::Below;

    /// Knows the packages that the file `installed` names, one a line.
    const DPKG_QUERY: &str = r#"code=0; shift 2
for package; do grep -qx "$package" "$here/installed" && echo "$package installed" || { echo "dpkg-query: no packages found matching $package" >&2; code=1; }; done
exit $code"#;
    /// Installs what follows the options, and notes whether services may start meanwhile.
    const APT_GET: &str = r#"case " $* " in *" update "*) exit 0;; esac
for word; do case $word in -*|install) ;; *) echo "$word" >> "$here/installed";; esac; done"#;

    fn node(role: &str, installed: &str) -> Below {
        let node = Below::new(role);
        std::fs::write(node.stand_ins.folder().join("installed"), installed).unwrap();
        let policy = node.root.path().join(POLICY);
        let notes = format!("sh {} 2>/dev/null; echo \"policy $?\" >> \"$here/calls\"\n", policy.display());
        node.stand_ins.add("dpkg-query", DPKG_QUERY).add("apt-get", &format!("{notes}{APT_GET}"));
        node
    }

    fn apt_calls(node: &Below) -> Vec<String> {
        node.stand_ins.calls().into_iter().filter(|call| call.starts_with("apt-get") || call.starts_with("policy")).collect()
    }

    #[tokio::test]
    async fn nothing_is_fetched_where_everything_is_there() {
        let node = node("master", "slurmctld\nslurm-client\nnfs-kernel-server\n");
        node.machine().packages(None).await.unwrap();
        assert_eq!(apt_calls(&node), [""; 0]);
        node.remove("run/systemd");
        std::fs::write(node.stand_ins.folder().join("installed"), "slurmctld\nslurm-client\n").unwrap();
        node.machine().packages(None).await.unwrap();
        assert_eq!(apt_calls(&node), [""; 0], "without systemd no folder is shared by NFS");
    }

    #[tokio::test]
    async fn what_is_missing_is_installed_through_the_login_node_and_no_service_starts_meanwhile() {
        let mut node = node("slave", "slurm-client\n");
        node.settings.storage.scratch = "enabled.xfs".to_owned();
        node.machine().packages(Some("10.75.0.9".parse().unwrap())).await.unwrap();
        let calls = apt_calls(&node);
        let proxy = "--option=Acquire::http::Proxy=http://10.75.0.9:3128 --option=Acquire::https::Proxy=http://10.75.0.9:3128";
        assert!(calls[0].ends_with(&format!("{proxy} update")), "{calls:?}");
        assert!(calls[2].ends_with("--force-confold slurmd openmpi-bin nfs-common xfsprogs"), "{calls:?}");
        assert!(calls[2].contains(proxy) && calls[2].contains("--no-install-recommends"), "{calls:?}");
        assert_eq!((calls[1].as_str(), calls[3].as_str()), ("policy 101", "policy 101"));
        assert!(!node.root.path().join(POLICY).exists(), "from now on services may start");
        node.machine().packages(None).await.unwrap();
        assert_eq!(apt_calls(&node).len(), 4, "a reboot installs nothing");
    }

    #[tokio::test]
    async fn an_archive_that_cannot_be_reached_is_named_with_apts_last_lines() {
        let node = node("master", "");
        let lines = "echo 'W: something old' >&2; for i in 1 2 3; do echo \"E: Failed to fetch $i\" >&2; done; exit 100";
        node.stand_ins.add("apt-get", lines);
        let error = node.machine().packages(None).await.unwrap_err();
        let expected = "the packages slurmctld, slurm-client, nfs-kernel-server cannot be installed: apt-get ended with exit code 100: \
                        E: Failed to fetch 1 / E: Failed to fetch 2 / E: Failed to fetch 3";
        assert_eq!(error, expected);
        assert!(!node.root.path().join(POLICY).exists(), "also then");
    }

    #[tokio::test]
    async fn a_run_of_dpkg_that_was_cut_off_is_brought_to_its_end_first() {
        let node = node("master", "");
        let cut_off = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
        let guard = format!("case \" $* \" in *install*) [ -e \"$here/whole\" ] || {{ echo \"{cut_off}\" >&2; exit 100; }};; esac\n");
        node.stand_ins.add("apt-get", &format!("{guard}{APT_GET}")).add("dpkg", "touch \"$here/whole\"");
        node.machine().packages(None).await.unwrap();
        assert!(node.stand_ins.calls().contains(&"dpkg --configure --pending".to_owned()));
    }

    #[tokio::test]
    async fn a_policy_of_the_images_own_and_an_image_without_dpkg_are_respected() {
        let node = node("master", "slurmctld\nslurm-client\nnfs-kernel-server\n");
        node.write(POLICY, "#!/bin/sh\nexit 101\n");
        node.machine().packages(None).await.unwrap();
        assert!(node.root.path().join(POLICY).exists());
        node.write(POLICY, POLICY_TEXT);
        node.machine().packages(None).await.unwrap();
        assert!(!node.root.path().join(POLICY).exists(), "what an agent left that ended in between");
        node.stand_ins.add("dpkg-query", "echo 'no database' >&2; exit 2");
        assert_eq!(node.machine().packages(None).await.unwrap_err(), "dpkg-query ended with exit code 2: no database");
    }

    #[test]
    fn a_package_that_is_only_half_installed_is_missing() {
        let installed = "slurmctld half-configured\nslurm-client installed\nslurm installed\n";
        assert_eq!(missing(&["slurmctld", "slurm-client", "slurmd"], installed), ["slurmctld", "slurmd"]);
    }
}
