//! Scripts that fail, and where the user reads of it.

use anyhow::Result;
use cf_core::message::node_failure;
use cf_core::node_report::FailureCode;
use cf_core::status::State;

use crate::cluster::{Cluster, LOGIN};
use crate::common::nodes::NOTE;

const BREAKS: &str = "#!/bin/bash\necho \"installing emacs\"\necho \"E: no such package\"\nexit 3\n";

#[tokio::test]
async fn b8_a_script_that_exits_3_stops_nothing_and_its_user_reads_it_in_the_status_file() -> Result<()> {
    let profile = [("configure.d/50-emacs.sh", BREAKS), ("configure.d/60-later.sh", NOTE), ("start.d/10-next.sh", NOTE)];
    let mut cluster = Cluster::ready("b8", &profile).await?;
    cluster.has_run(LOGIN, &["60-later.sh configure master demo", "10-next.sh start master demo"]).await?;
    let compute = cluster.add().await?;
    cluster.has_run(compute, &["60-later.sh configure slave demo", "10-next.sh start slave demo"]).await?;
    let key = cluster.user.key("demo.cf-status");
    let shown = cluster.user.deployment.until("both failures in the status file", async || {
        let status = cluster.user.deployment.status(&key).await?;
        Ok(status.filter(|status| status.reported.failed_scripts.len() == 2))
    });
    let shown = shown.await?;
    assert_eq!(shown.state, State::Ready);
    for (failed, node) in shown.reported.failed_scripts.iter().zip(["login1", "compute-1"]) {
        let script = &failed.script;
        assert_eq!((failed.node.to_string().as_str(), script.event.as_str(), script.profile.as_str()), (node, "configure", "b8"));
        assert_eq!((script.script.as_str(), script.exit_code), ("50-emacs.sh", Some(3)));
        assert_eq!(script.last_lines, ["installing emacs", "E: no such package"]);
    }
    assert!(cluster.user.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn b8_a_script_that_fails_the_login_node_is_in_the_answer_with_its_last_lines() -> Result<()> {
    let profile = [
        ("profile.toml", "on-error = \"fail-the-node\"\n"),
        ("configure.d/50-emacs.sh", BREAKS),
        ("configure.d/60-later.sh", NOTE),
        ("start.d/10-next.sh", NOTE),
    ];
    let mut cluster = Cluster::of("b8f", &profile).await?;
    cluster.order(str::to_owned).await?;
    cluster.begin(LOGIN)?;
    let answer = cluster.user.answer("demo.cf-failed").await?;
    assert!(answer.contains(&node_failure(FailureCode::ScriptFailed, "")), "{answer}");
    let script =
        "The script \"50-emacs.sh\" (profile \"b8f\", event \"configure\") is reported as \"ended with exit code 3\". Its last lines:\n";
    assert!(answer.contains(script) && answer.contains("  | installing emacs\n    | E: no such package\n"), "{answer}");
    let later = "The script \"60-later.sh\" (profile \"b8f\", event \"configure\") is reported as \"is not run: 50-emacs.sh failed";
    assert!(answer.contains(later), "{answer}");
    assert!(cluster.user.text("demo.cf-created").await?.is_none());
    assert_eq!(cluster.machine(LOGIN).read("ran"), "", "neither a later script nor a later event");
    let log = cluster.user.answer("demo.logs/instance.log").await?;
    assert!(log.contains(" [cluster-customizer:configure] E: no such package\n"), "{log}");
    Ok(())
}

#[tokio::test]
async fn b8_a_script_that_fails_when_it_is_applied_is_printed_and_its_user_reads_it_too() -> Result<()> {
    let cluster = Cluster::ready("b8a", &[]).await?;
    cluster.put("b8-foo/start.d/50-emacs.sh", BREAKS).await?;
    cluster.put("b8-foo/node-started.d/10-next.sh", NOTE).await?;
    let ended = cluster.tried(LOGIN, "apply b8-foo", &[])?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failed = "b8-foo/50-emacs.sh (start) ended with exit code 3\n    installing emacs\n    E: no such package\n1 of 2 scripts failed";
    assert!(ended.out.contains(failed), "{}", ended.out);
    assert_eq!(cluster.machine(LOGIN).read("ran"), "10-next.sh node-started master demo\n");
    let key = cluster.user.key("demo.cf-status");
    let shown = cluster.user.deployment.until("the failure in the status file", async || {
        let status = cluster.user.deployment.status(&key).await?;
        Ok(status.and_then(|status| status.reported.failed_scripts.into_iter().next()))
    });
    let script = shown.await?.script;
    assert_eq!((script.profile.as_str(), script.event.as_str(), script.exit_code), ("b8-foo", "start", Some(3)));
    Ok(())
}
