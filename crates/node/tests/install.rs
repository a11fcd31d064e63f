//! `cf-node install` as user data run it: the program puts itself in its place.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn install(root: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cf-node")).arg("install").arg("--root").arg(root).output().unwrap()
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
    fs::write(root.path().join("etc/clusterdrop/node.json"), settings.to_string()).unwrap();
    let done = install(root.path());
    let words = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && words.contains("this is a compute node of the cluster demo"), "{words}");

    // What was installed is a program that can install itself again.
    let installed = root.path().join("opt/clusterdrop/bin/cf-node");
    let again = Command::new(&installed).arg("install").arg("--root").arg(root.path()).output().unwrap();
    assert!(String::from_utf8(again.stdout).unwrap().contains("is this program already"));
    assert_eq!(fs::read_link(root.path().join("usr/local/bin/cf-node")).unwrap(), Path::new("/opt/clusterdrop/bin/cf-node"));
}
