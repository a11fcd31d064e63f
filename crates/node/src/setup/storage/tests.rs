//! What is done with which disks, and that it is done.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use super::decide::{Facts, Plan, decide};
use super::*;
use crate::settings::{Home, StorageSettings};
use crate::setup::testing::Below;

const ROOT: &str = r#"{"path": "/dev/nvme0n1", "type": "disk", "serial": "vol0aaaa", "model": "Amazon Elastic Block Store", "size": 17179869184,
    "ro": false, "fstype": null, "pttype": "gpt", "uuid": null, "mountpoints": [null], "children": [{"path": "/dev/nvme0n1p1"}]}"#;

/// A disk with these differences from an empty one.
fn disk(path: &str, differences: &str) -> String {
    let empty = r#""type": "disk", "serial": null, "model": null, "size": 1073741824, "ro": false, "fstype": null, "pttype": null, "uuid": null,
        "mountpoints": [null]"#;
    let mut disk: serde_json::Value = serde_json::from_str(&format!("{{\"path\": \"{path}\", {empty}}}")).unwrap();
    let differences: serde_json::Value = serde_json::from_str(differences).unwrap();
    for (name, value) in differences.as_object().unwrap() {
        disk[name] = value.clone();
    }
    disk.to_string()
}

const STORE: &str = r#"{"model": "Amazon EC2 NVMe Instance Storage", "serial": "AWS1234"}"#;

fn facts(disks: &[String]) -> Facts {
    let json = format!("{{\"blockdevices\": [{ROOT}, {}]}}", disks.join(", "));
    let json = json.replace(", ]", "]");
    let free_mib = [("/".to_owned(), 12_000), ("/scratch".to_owned(), 100_000)].into();
    Facts { disks: disks::read(&json).unwrap(), memory_mib: 8_000, free_mib, ..Facts::default() }
}

fn compute(facts: Facts) -> Facts {
    Facts { login: Some("10.75.0.9".parse().unwrap()), ..facts }
}

fn volumes() -> StorageSettings {
    StorageSettings { home_volume: "vol-0bbbb".into(), apps_volume: "vol-0cccc".into(), ..StorageSettings::default() }
}

fn effects(plan: &Plan) -> Vec<String> {
    plan.effects.iter().map(ToString::to_string).collect()
}

fn at(mounts: &[&str]) -> BTreeSet<String> {
    mounts.iter().map(|at| (*at).to_owned()).collect()
}

#[test]
fn c14_each_volume_is_found_by_its_id_and_formatted_only_where_it_is_empty() {
    let home = disk("/dev/nvme2n1", r#"{"serial": "vol0bbbb"}"#);
    let apps = disk("/dev/nvme1n1", r#"{"serial": "vol0cccc", "fstype": "ext4", "uuid": "a-b"}"#);
    let plan = decide(&facts(&[apps, home]), &volumes());
    let mount = "mount UUID=a-b at /opt/apps (auto: defaults,nofail,x-systemd.device-timeout=30, at each boot)";
    assert_eq!(effects(&plan), ["make ext4 on the empty disk /dev/nvme2n1", mount]);
    assert_eq!(plan.obstacle, None);
    // On no volume of their own both are the system's.
    assert_eq!(decide(&facts(&[]), &StorageSettings::default()), Plan::default());
}

#[test]
fn c14_a_volume_that_holds_anything_else_is_never_formatted() {
    for (differences, why) in [
        (r#"{"fstype": "LVM2_member", "uuid": "x"}"#, "it holds LVM2_member"),
        (r#"{"fstype": "ext4"}"#, "it holds ext4"),
        (r#"{"pttype": "gpt"}"#, "it has a partition table (gpt)"),
        (r#"{"children": [{"path": "/dev/nvme1n1p1"}]}"#, "it has partitions"),
        (r#"{"ro": true}"#, "it can only be read"),
        (r#"{"size": 0}"#, "it can only be read"),
    ] {
        let mut differences: serde_json::Value = serde_json::from_str(differences).unwrap();
        differences["serial"] = "vol0bbbb".into();
        let settings = StorageSettings { apps_volume: String::new(), ..volumes() };
        let plan = decide(&facts(&[disk("/dev/nvme1n1", &differences.to_string())]), &settings);
        assert_eq!(effects(&plan), [""; 0]);
        let obstacle = format!("the volume vol-0bbbb for /home is not used: {why}, and only an empty one is formatted");
        assert_eq!(plan.obstacle.as_deref(), Some(obstacle.as_str()));
    }
}

#[test]
fn a_volume_that_is_not_attached_yet_is_waited_for_and_what_is_mounted_already_stays() {
    let settings = StorageSettings { apps_volume: String::new(), ..volumes() };
    let missing = decide(&facts(&[]), &settings).obstacle.unwrap();
    assert!(missing.starts_with("the volume vol-0bbbb for /home is not attached to this machine (yet)"), "{missing}");
    let mounted = Facts { mounts: at(&["/", "/home"]), ..facts(&[]) };
    assert_eq!(decide(&mounted, &settings), Plan::default());
    let other = disk("/dev/nvme1n1", r#"{"serial": "vol0bbbbb"}"#);
    assert!(decide(&facts(&[other]), &settings).obstacle.is_some(), "an id that only begins alike");
}

#[test]
fn on_a_machine_of_xen_a_volume_is_the_device_as_which_the_template_attaches_it() {
    let xen = |disks: &[String]| Facts {
        disks: disks::read(&format!("{{\"blockdevices\": [{}]}}", disks.join(", "))).unwrap(),
        ..Facts::default()
    };
    let (root, home, apps) = (disk("/dev/xvda", r#"{"pttype": "gpt"}"#), disk("/dev/xvdf", "{}"), disk("/dev/xvdg", "{}"));
    let made = ["make ext4 on the empty disk /dev/xvdf", "make ext4 on the empty disk /dev/xvdg"];
    assert_eq!(effects(&decide(&xen(&[root.clone(), home.clone(), apps]), &volumes())), made);
    assert!(decide(&xen(&[root]), &volumes()).obstacle.is_some());
    assert!(decide(&facts(&[home]), &volumes()).effects.is_empty(), "where disks show their ids no name counts");
}

#[test]
fn compute_nodes_have_home_and_apps_of_the_login_node() {
    let plan = decide(&compute(facts(&[])), &StorageSettings::default());
    let nfs = |at| format!("mount 10.75.0.9:{at} at {at} (nfs: vers=4.2,hard,noatime,_netdev,retry=0)");
    assert_eq!(effects(&plan), [nfs("/home"), nfs("/opt/apps")]);
    let there = Facts { mounts: at(&["/home", "/opt/apps"]), ..compute(facts(&[])) };
    assert_eq!(decide(&there, &StorageSettings::default()), Plan::default());
}

#[test]
fn a_home_of_the_administrators_is_the_same_on_all_nodes() {
    let efs = Home::Efs { file_system: "fs-1".into(), access_point: "fsap-2".into() };
    let settings = StorageSettings { home: Some(efs), ..StorageSettings::default() };
    let there = Facts { has_efs: true, ..facts(&[]) };
    assert_eq!(effects(&decide(&there, &settings)), ["mount fs-1:/ at /home (efs: tls,accesspoint=fsap-2,_netdev)"]);
    assert_eq!(effects(&decide(&compute(there), &settings)).len(), 2, "and the login node's /opt/apps");
    let plan = decide(&facts(&[]), &settings);
    assert!(plan.effects.is_empty() && plan.obstacle.unwrap().contains("no mount.efs: it must have amazon-efs-utils"));
    let nfs = StorageSettings { home: Some(Home::Nfs("fs.example:/fsx/alice".into())), ..StorageSettings::default() };
    assert!(effects(&decide(&facts(&[]), &nfs))[0].starts_with("mount fs.example:/fsx/alice at /home (nfs: "));
}

#[test]
fn scratch_is_on_the_disks_that_the_instance_brings_and_on_no_other() {
    let scratch = |scratch: &str| StorageSettings { scratch: scratch.to_owned(), ..StorageSettings::default() };
    let ours = [disk("/dev/nvme10n1", STORE), disk("/dev/nvme2n1", STORE), disk("/dev/nvme3n1", r#"{"serial": "vol0dddd"}"#)];
    let made = ["make xfs on the empty disk /dev/nvme2n1", "make xfs on the empty disk /dev/nvme10n1"];
    assert_eq!(effects(&decide(&facts(&ours), &scratch("enabled.xfs"))), made);
    assert_eq!(effects(&decide(&facts(&ours), &scratch("enabled.ext4")))[0], "make ext4 on the empty disk /dev/nvme2n1");
    for off in ["disabled", "", "enabled.btrfs"] {
        assert_eq!(decide(&facts(&ours), &scratch(off)), Plan::default());
    }
    let whole = |uuid: &str| format!(r#"{{"model": "Amazon EC2 NVMe Instance Storage", "fstype": "xfs", "uuid": "{uuid}"}}"#);
    let formatted = facts(&[disk("/dev/nvme1n1", &whole("a")), disk("/dev/nvme2n1", &whole("b"))]);
    let mount = |uuid, at| format!("mount UUID={uuid} at {at} (auto: defaults,noatime, for all)");
    assert_eq!(effects(&decide(&formatted, &scratch("enabled.xfs"))), [mount("a", "/scratch"), mount("b", "/scratch2")]);
    let used = facts(&[disk("/dev/nvme1n1", r#"{"model": "Amazon EC2 NVMe Instance Storage", "pttype": "dos"}"#)]);
    let plan = decide(&used, &scratch("enabled.xfs"));
    assert_eq!((plan.effects.len(), plan.notes), (0, vec!["/dev/nvme1n1 is not used for /scratch: it has a partition table (dos)".into()]));
}

#[test]
fn swap_is_as_large_as_the_memory_or_as_asked_for_and_never_above_its_maximum() {
    let settings = |swap: &str, swap_mib, swap_max_mib| StorageSettings {
        scratch: "enabled.xfs".into(),
        swap: swap.into(),
        swap_mib,
        swap_max_mib,
        ..StorageSettings::default()
    };
    let mounted = Facts { mounts: at(&["/scratch"]), ..facts(&[disk("/dev/nvme1n1", STORE)]) };
    let made = |facts: &Facts, settings: &StorageSettings| effects(&decide(facts, settings));
    assert_eq!(made(&mounted, &settings("enabled.ephemeral", 0, 16_384)), ["make 8000 MiB of swap in /scratch/swapfile"]);
    assert_eq!(made(&mounted, &settings("enabled.ephemeral", 0, 4_096)), ["make 4096 MiB of swap in /scratch/swapfile"]);
    assert_eq!(made(&mounted, &settings("enabled.always", 2_000, 4_096)), ["make 2000 MiB of swap in /scratch/swapfile"]);
    for (swap, mib) in [("disabled", 16_384), ("", 16_384), ("enabled.ephemeral", 0)] {
        assert_eq!(decide(&mounted, &settings(swap, 0, mib)), Plan::default(), "{swap} {mib}");
    }
    assert_eq!(decide(&Facts { has_swap: true, ..mounted }, &settings("enabled.always", 0, 16_384)), Plan::default());
    // Without such a disk: on the system's, or nowhere.
    assert_eq!(decide(&facts(&[]), &settings("enabled.ephemeral", 0, 16_384)), Plan::default());
    assert_eq!(made(&facts(&[]), &settings("enabled.always", 0, 16_384)), ["make 8000 MiB of swap in /swapfile"]);
}

#[test]
fn swap_leaves_room_on_its_disk_and_has_one_of_the_instances_also_without_scratch() {
    let settings = StorageSettings { swap: "enabled.always".into(), swap_max_mib: 16_384, ..StorageSettings::default() };
    let free = |mib| Facts { free_mib: [("/".to_owned(), mib)].into(), ..facts(&[]) };
    assert_eq!(decide(&free(10_048), &settings).effects.len(), 1);
    let plan = decide(&free(10_047), &settings);
    let note = "there is no swap: 8000 MiB are wanted, and / has 10047 MiB free, of which 2048 MiB stay";
    assert_eq!((plan.effects.len(), plan.notes), (0, vec![note.to_owned()]));
    let plan = decide(&facts(&[disk("/dev/nvme1n1", STORE), disk("/dev/nvme2n1", STORE)]), &settings);
    assert_eq!(effects(&plan), ["make ext4 on the empty disk /dev/nvme1n1"], "one is enough");
    let whole = r#"{"model": "Amazon EC2 NVMe Instance Storage", "fstype": "ext4", "uuid": "a"}"#;
    let plan = decide(&facts(&[disk("/dev/nvme1n1", whole)]), &settings);
    assert_eq!(effects(&plan), ["mount UUID=a at /var/lib/clusterdrop-swap (auto: defaults,noatime)"]);
}

#[test]
fn mount_points_and_memory_are_read_as_the_kernel_writes_them() {
    let mounts = "/dev/nvme0n1p1 / ext4 rw 0 0\nx:/home /a\\040b nfs4 rw 0 0\n";
    assert_eq!(observe::mount_points(mounts), at(&["/", "/a b"]));
    assert_eq!(observe::memory_mib("MemFree: 1 kB\nMemTotal:        8140812 kB\n"), 7_950);
    assert!(disks::read("{}").unwrap_err().starts_with("lsblk prints what is no list of disks"));
}

/// A login node whose home has a volume of its own, with stand-ins that note what becomes of it.
fn login() -> Below {
    let mut node = Below::new("master");
    node.settings.storage = StorageSettings { home_volume: "vol-0bbbb".into(), ..StorageSettings::default() };
    let empty = disk("/dev/nvme1n1", r#"{"serial": "vol0bbbb"}"#);
    let whole = disk("/dev/nvme1n1", r#"{"serial": "vol0bbbb", "fstype": "ext4", "uuid": "a-b"}"#);
    let lsblk = format!(
        "if [ -e \"$here/formatted\" ]; then echo '{{\"blockdevices\": [{whole}]}}'; else echo '{{\"blockdevices\": [{empty}]}}'; fi"
    );
    let mounts = format!("mkdir -p {0}/proc/self && echo \"$5 $6 ext4 rw 0 0\" >> {0}/proc/self/mounts", node.root.path().display());
    node.stand_ins.add("lsblk", &lsblk).add("mkfs.ext4", "touch \"$here/formatted\"").add("mount", &mounts);
    node.stand_ins.add("wipefs", "").add("udevadm", "").add("systemctl", "").add("exportfs", "");
    node
}

#[tokio::test]
async fn c14_a_new_volume_is_formatted_mounted_noted_for_the_next_boot_and_shared_once() {
    let node = login();
    node.write("etc/fstab", "UUID=r / ext4 defaults 0 1");
    let networks = ["10.75.0.0/16".parse().unwrap(), "10.76.0.0/16".parse().unwrap()];
    for _ in 0..2 {
        assert_eq!(node.machine().storage(None, &networks).await, Ok(Vec::new()));
    }
    let done = |program: &str| node.stand_ins.calls().iter().filter(|call| call.starts_with(program)).count();
    assert_eq!((done("mkfs.ext4 -qm1 /dev/nvme1n1"), done("mount ")), (1, 1));
    let fstab = "UUID=r / ext4 defaults 0 1\nUUID=a-b /home auto defaults,nofail,x-systemd.device-timeout=30 0 2\n";
    assert_eq!(node.read("etc/fstab"), fstab);
    let rights = "(rw,sync,no_subtree_check,no_root_squash)";
    let line = |folder| format!("{folder} 10.75.0.0/16{rights} 10.76.0.0/16{rights}\n");
    assert!(node.read(EXPORTS).ends_with(&format!("{}{}", line("/home"), line("/opt/apps"))), "{}", node.read(EXPORTS));
    assert!(node.root.path().join("opt/apps").is_dir());
    assert!(node.stand_ins.calls().contains(&"systemctl enable --now --quiet nfs-server.service".to_owned()));
}

#[tokio::test]
async fn a_disk_on_which_lsblk_sees_nothing_and_wipefs_something_is_not_formatted() {
    let node = login();
    node.stand_ins.add("wipefs", "echo LVM2_member");
    let error = node.machine().storage(None, &[]).await.unwrap_err();
    assert_eq!(error, "/dev/nvme1n1 is not formatted: it holds LVM2_member");
    assert!(!node.stand_ins.calls().iter().any(|call| call.starts_with("mkfs")));
}

#[tokio::test]
async fn what_has_no_effect_is_not_done_for_ever_and_a_failure_has_the_programs_words() {
    let node = login();
    node.stand_ins.add("mkfs.ext4", "");
    let error = node.machine().storage(None, &[]).await.unwrap_err();
    assert_eq!(error, "this was done and has no effect: make ext4 on the empty disk /dev/nvme1n1");
    node.stand_ins.add("mkfs.ext4", "echo 'No space' >&2; exit 1");
    assert_eq!(node.machine().storage(None, &[]).await.unwrap_err(), "mkfs.ext4 ended with exit code 1: No space");
}

#[tokio::test]
async fn where_systemd_does_not_run_disks_and_folders_are_left_as_they_are() {
    let node = login();
    node.remove("run/systemd");
    assert_eq!(node.machine().storage(None, &[]).await, Ok(Vec::new()));
    assert_eq!(node.stand_ins.calls(), [""; 0]);
}

#[tokio::test]
async fn a_swap_file_is_made_once_and_used_again_at_a_reboot() {
    let node = Below::new("slave");
    let file = node.root.path().join("swapfile");
    let fallocate = format!("truncate -s 2M {}", file.display());
    node.stand_ins.add("fallocate", &fallocate).add("mkswap", "").add("swapon", "");
    let effect = decide::Effect::Swap { file: "/swapfile".to_owned(), mib: 2 };
    node.machine().carry_out(&effect).await.unwrap();
    node.machine().carry_out(&effect).await.unwrap();
    assert_eq!(
        node.stand_ins.calls(),
        ["fallocate --length 2MiB /swapfile", "mkswap --quiet /swapfile", "swapon /swapfile", "swapon /swapfile"]
    );
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}
