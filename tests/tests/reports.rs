//! What nodes report, from the object that a node puts to the user's status file: S3's notification, the queue, cf-watch.

mod common;

use anyhow::{Context, Result};
use cf_core::names::{Cluster, ClusterName, User};
use cf_core::node_report::{BYTES_MAX, ReportKey};
use cf_core::request::RequestId;
use common::{TestUser, stage};
use serde_json::{Value, json};

/// The key of a report of this user's cluster `demo`.
fn key(s: &TestUser, request: &RequestId, node: &str) -> Result<String> {
    let cluster = Cluster { user: User::parse(&s.user)?, name: ClusterName::parse("demo")? };
    Ok(ReportKey { cluster, request: request.clone(), node: node.to_owned() }.key())
}

async fn put(s: &TestUser, key: &str, bytes: Vec<u8>) -> Result<()> {
    s.deployment.s3.put_object().bucket(&s.deployment.system_bucket).key(key).body(bytes.into()).send().await?;
    Ok(())
}

fn report(state: &str, script: &str) -> Value {
    let failed = json!({"event": "configure", "profile": "p", "script": script, "outcome": "ended with exit code 3", "exit_code": 3,
        "last_lines": ["E: no such package"]});
    json!({"state": state, "scripts": [failed], "updated": "2026-11-21T09:00:00Z"})
}

/// A new failure is shown ten seconds after the file was written last: the first attempt may come too early, and then comes again.
#[tokio::test]
async fn a_script_that_failed_is_read_in_the_status_file_and_what_is_no_report_is_not() -> Result<()> {
    let s = stage("rita").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    let status = async || s.deployment.status(&s.key("demo.cf-status")).await;
    let request = status().await?.context("there is a status file")?.request;
    // A node may put anything below its cluster's folder.
    let folder = key(&s, &request, "login1")?.replace("login1.json", "");
    for (name, bytes) in [
        ("compute-2.json", b"{\"state\": \"gone\"}".to_vec()),
        ("compute-3.json", vec![b' '; BYTES_MAX + 1]),
        ("compute-400.json", report("failed", "beyond.sh").to_string().into_bytes()),
        ("login2.json", report("failed", "nobodys.sh").to_string().into_bytes()),
        ("jobs/login1.json", report("failed", "deeper.sh").to_string().into_bytes()),
        ("a b+c%.json", report("failed", "odd.sh").to_string().into_bytes()),
    ] {
        put(&s, &format!("{folder}{name}"), bytes).await?;
    }
    put(&s, &key(&s, &RequestId::from_tag("00000000000000ff"), "login1")?, report("failed", "earlier.sh").to_string().into_bytes()).await?;
    put(&s, &key(&s, &request, "login1")?, report("ready", "10-emacs.sh").to_string().into_bytes()).await?;
    let shown =
        s.deployment.until("the script that failed", async || Ok(status().await?.filter(|s| !s.reported.failed_scripts.is_empty())));
    let shown = shown.await?.reported;
    let scripts: Vec<_> = shown.failed_scripts.iter().map(|failed| (failed.node.to_string(), failed.script.script.as_str())).collect();
    assert_eq!(scripts, [("login1".to_owned(), "10-emacs.sh")]);
    let nodes: Vec<_> = shown.nodes.iter().map(|(node, state)| (node.to_string(), state.as_str())).collect();
    assert_eq!(nodes, [("login1".to_owned(), "ready")]);
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}
