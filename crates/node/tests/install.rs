//! `cf-node install` as user data run it: the program puts itself in its place.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn install(root: &Path) -> Output {
    // User data keep what they write for root.
    let call = format!("umask 077; exec {} install --root {}", env!("CARGO_BIN_EXE_cf-node"), root.display());
    Command::new("sh").args(["-c", &call]).output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_program_installs_itself_once_and_refuses_a_node_without_settings() {
    let root = tempfile::tempdir().unwrap();
    let refused = install(root.path());
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("nothing is installed: the node's settings") && words.contains("user data write them"), "{words}");

    let settings = serde_json::json!({
        "role": "slave", "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "eu-west-2",
        "account": "123456789012", "stack": "arn:stack", "customizer_bucket": "profiles", "profile": "alice",
        "system_bucket": "system", "secret": "arn:secret", "nodes_max": 4
    });
    fs::create_dir_all(root.path().join("etc/clusterdrop")).unwrap();
    let node_json = root.path().join("etc/clusterdrop/node.json");
    fs::write(&node_json, settings.to_string()).unwrap();
    fs::set_permissions(&node_json, fs::Permissions::from_mode(0o600)).unwrap();
    let done = install(root.path());
    let words = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && words.contains("this is a compute node of the cluster demo"), "{words}");

    // What was installed is a program that can install itself again.
    let installed = root.path().join("opt/clusterdrop/bin/cf-node");
    let again = Command::new(&installed).arg("install").arg("--root").arg(root.path()).output().unwrap();
    assert!(String::from_utf8(again.stdout).unwrap().contains("is this program already"));
    assert_eq!(fs::read_link(root.path().join("usr/local/bin/cf-node")).unwrap(), Path::new("/opt/clusterdrop/bin/cf-node"));

    // Whoever is logged in may run it: it is on their PATH, and reads the settings.
    for folder in ["opt", "opt/clusterdrop", "opt/clusterdrop/bin", "usr", "usr/local", "usr/local/bin", "etc/systemd/system"] {
        assert_eq!(mode(&root.path().join(folder)), 0o755, "{folder}");
    }
    assert_eq!((mode(&installed), mode(&node_json)), (0o755, 0o644));
}
