//! The texts of some plans, as they are, and Slurm's own word on them where it is installed.

use std::fs;
use std::process::Command;

use super::*;

fn plan() -> ClusterPlan {
    ClusterPlan {
        cluster: ClusterName::parse("My-Cluster").unwrap(),
        login: "10.0.1.5".parse().unwrap(),
        sizes: Sizes { maximum: 8, spot: 8, on_demand: 4 },
        spot: InstanceType::find("c6i.2xlarge").unwrap(),
        on_demand: InstanceType::find("c6i.2xlarge").unwrap(),
        times: Times::default(),
        shrinks: true,
        flavour: Flavour::Aws,
    }
}

fn gpus() -> ClusterPlan {
    let (spot, on_demand) = (InstanceType::find("g5.48xlarge").unwrap(), InstanceType::find("g4dn.xlarge").unwrap());
    ClusterPlan { spot, on_demand, sizes: Sizes { maximum: 1, spot: 1, on_demand: 1 }, ..plan() }
}

fn fixed_in_the_bed() -> ClusterPlan {
    let on_demand = InstanceType::find("g4dn.12xlarge").unwrap();
    ClusterPlan { on_demand, sizes: Sizes { maximum: 2, spot: 0, on_demand: 2 }, shrinks: false, flavour: Flavour::Bed, ..plan() }
}

fn printed(files: &Files) -> String {
    let part = |name: &str, text: &str| format!("== {name}\n{text}");
    let mut text = part("slurm.conf", &files.slurm_conf);
    text += &files.gres_conf.as_deref().map_or_else(|| "== no gres.conf\n".to_owned(), |file| part("gres.conf", file));
    text + &part("cgroup.conf", &files.cgroup_conf)
}

#[test]
fn the_configuration_of_a_cluster_on_aws() {
    insta::assert_snapshot!(printed(&plan().files()));
}

#[test]
fn the_configuration_of_nodes_with_gpus() {
    insta::assert_snapshot!(printed(&gpus().files()));
}

#[test]
fn the_configuration_of_a_fixed_size_on_demand_in_the_bed() {
    insta::assert_snapshot!(printed(&fixed_in_the_bed().files()));
}

#[test]
fn every_program_that_the_configuration_names_is_written_and_no_other() {
    let text = plan().files().slurm_conf;
    let mut named: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(_, value)| value).collect();
    named.retain(|value| value.starts_with("/opt/"));
    named.sort_unstable();
    let mut written = PROGRAMS.map(|(path, _)| path);
    written.sort_unstable();
    assert_eq!(named, written);
    assert!(PROGRAMS.iter().all(|(_, text)| text.starts_with("#!/bin/sh\n")));
}

#[test]
fn a_name_of_any_cluster_is_one_for_slurm() {
    let longest = "A".repeat(ClusterName::LENGTH_MAX);
    for name in ["a", "My-2nd-Cluster", &longest] {
        let text = ClusterPlan { cluster: ClusterName::parse(name).unwrap(), ..plan() }.files().slurm_conf;
        let line = text.lines().find_map(|line| line.strip_prefix("ClusterName=")).unwrap();
        assert!(
            (1..=40).contains(&line.len()) && line.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{line}"
        );
    }
}

#[test]
fn the_agents_bounds_end_before_slurms_so_that_the_reason_is_the_agents() {
    let rules = crate::scaling::Rules::default();
    assert!(rules.asks_within + rules.registers_within < Times::default().resume);
}

#[test]
fn a_job_that_is_queued_again_meets_a_group_that_still_rests() {
    // With room for Slurm's own rhythm: it looks at its queue each minute at the latest.
    assert!(crate::scaling::Rules::default().pause >= Times::default().requeue + Duration::from_mins(2));
}

/// Asks the slurmctld of the system below the folder that `CLUSTERDROP_SLURM_ROOT` names (a debootstrap of Debian 13 with slurmctld and
/// slurm-client), as root: a controller starts on an empty state in a network of its own, and shows the nodes that it has read. Without
/// that variable there is nothing to ask.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that runs a real program")]
fn slurm_itself_accepts_the_texts() {
    let Ok(root) = std::env::var("CLUSTERDROP_SLURM_ROOT") else { return };
    for plan in [plan(), gpus(), fixed_in_the_bed()] {
        let Files { slurm_conf, gres_conf, cgroup_conf } = plan.files();
        let etc = |name: &str| format!("{root}/etc/{name}");
        fs::create_dir_all(etc("slurm")).unwrap();
        fs::write(etc("slurm/slurm.conf"), slurm_conf).unwrap();
        fs::write(etc("slurm/gres.conf"), gres_conf.unwrap_or_default()).unwrap();
        fs::write(etc("slurm/cgroup.conf"), cgroup_conf).unwrap();
        fs::write(etc("hosts"), format!("127.0.0.1 localhost\n{} login1\n", plan.login)).unwrap();
        fs::write(etc("resolv.conf"), "").unwrap();
        let network = format!("ip link set lo up && ip address add {}/32 dev lo && mount -t proc proc {root}/proc", plan.login);
        let script = format!("{network} && exec chroot {root} bash -c '{CONTROLLER}'");
        let namespaces = ["--uts", "--net", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", &script];
        let out = Command::new("unshare").args(namespaces).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{text}");
        // There is no program that sends mail, there was no state, and Debian's own plugstack.conf has a glob.
        let is_known = |line: &&str| ["MailProg", "state", "plugstack", "NOTE: "].iter().any(|word| line.contains(word));
        assert_eq!(text.lines().filter(|line| line.contains("error:") && !is_known(line)).collect::<Vec<_>>(), [""; 0], "{text}");
        for node in plan.sizes.all_nodes() {
            assert!(text.contains(&format!("NodeName={node} ")), "{node} in {text}");
        }
    }
}

/// Starts a controller, waits until it answers, shows its nodes, and ends it.
const CONTROLLER: &str = r"
set -e
hostname login1
mkdir -p /var/lib/slurm/slurmctld /var/log/slurm /opt/clusterdrop/bin
rm -rf /var/lib/slurm/slurmctld/*
for program in slurm-resume slurm-suspend slurm-resume-failed slurm-await-nodes; do ln -sf /bin/true /opt/clusterdrop/bin/$program; done
[ -e /etc/slurm/slurm.key ] || head -c 1024 /dev/urandom > /etc/slurm/slurm.key
chown -R slurm:slurm /var/lib/slurm /var/log/slurm /etc/slurm/slurm.key
chmod 600 /etc/slurm/slurm.key
slurmctld -D 2>&1 &
for try in $(seq 100); do scontrol ping 2>/dev/null | grep -q UP && break; sleep 0.1; done
scontrol --oneliner show nodes
kill %1
wait
";
