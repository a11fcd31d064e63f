//! The exchange among the nodes of a cluster.

use anyhow::Result;
use cf_local::node::Machine;
use serde_json::Value;

use crate::cluster::{Cluster, LOGIN};

const STEP: &str = "[[exchange]]\nname = \"hosts\"\noutputs = [{ name = \"hosts\" }]\n";
const EXPORT: &str = "#!/bin/bash\necho \"$cf_node of $cf_cluster\" > \"$heat_outputs_path.hosts\"\n";

/// Keeps the map as it came.
const SEEN: &str = "#!/bin/bash\nprintf %s \"$hosts\" > \"${0%%/var/lib/clusterdrop/*}/seen\"\n";

/// Each populate, in nanoseconds, with the map that it got.
const TIMED: &str = "#!/bin/bash\necho \"$(date +%s%N) $hosts\" >> \"${0%%/var/lib/clusterdrop/*}/populated\"\n";

fn step<'a>(export: &'a str, populate: &'a str) -> [(&'a str, &'a str); 3] {
    [("profile.toml", STEP), ("export.d/hosts.sh", export), ("populate.d/hosts.sh", populate)]
}

/// The last round of the only step, as the login node knows it.
fn last_round(machine: &Machine) -> Option<Value> {
    let status: Value = serde_json::from_str(&machine.ask(&["exchange", "status", "--json"]).ok()?).ok()?;
    status["steps"][0]["rounds"].as_array()?.last().cloned()
}

#[tokio::test]
async fn f1_the_nodes_of_a_cluster_see_the_same_map_by_rank_with_each_file_as_it_was_written() -> Result<()> {
    let mut cluster = Cluster::ready("f1", &step(EXPORT, SEEN)).await?;
    let nodes = [LOGIN, cluster.add().await?, cluster.add().await?];
    let map = r#"{"0": "login1 of demo\n", "1": "compute-1 of demo\n", "2": "compute-2 of demo\n"}"#;
    for nth in nodes {
        cluster.until(nth, "the whole map", |machine| Ok((machine.read("seen") == map).then_some(()))).await?;
    }
    Ok(())
}

#[tokio::test]
async fn f2_no_populate_of_a_cluster_starts_before_a_slow_export_has_ended() -> Result<()> {
    let slow = "#!/bin/bash\n[ \"$deploy_server_id\" = 0 ] || sleep 2\necho \"$cf_node\" > \"$heat_outputs_path.hosts\"\n\
        date +%s%N >> \"${0%%/var/lib/clusterdrop/*}/exported\"\n";
    let mut cluster = Cluster::ready("f2", &step(slow, TIMED)).await?;
    let compute = cluster.add().await?;
    for nth in [LOGIN, compute] {
        let has_both = |machine: &Machine| Ok(machine.read("populated").contains("compute-1").then_some(()));
        cluster.until(nth, "the populate of both", has_both).await?;
    }
    let exported: u64 = cluster.machine(compute).read("exported").trim().parse()?;
    for nth in [LOGIN, compute] {
        let populated = cluster.machine(nth).read("populated");
        for line in populated.lines().filter(|line| line.contains("compute-1") || nth == compute) {
            let at: u64 = line.split(' ').next().unwrap_or_default().parse()?;
            assert!(at > exported, "node {nth}: {line}, and the export ended at {exported}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn f3_a_failed_export_on_a_node_fails_the_step_with_its_errors_and_no_node_populates() -> Result<()> {
    let breaks =
        "#!/bin/bash\necho x > \"$heat_outputs_path.hosts\"\n[ \"$deploy_server_id\" = 0 ] && exit 0\necho no address >&2\nexit 1\n";
    let mut cluster = Cluster::ready("f3", &step(breaks, TIMED)).await?;
    let compute = cluster.add().await?;
    let failed = |machine: &Machine| Ok(last_round(machine).filter(|round| round["state"] == "failed"));
    let round = cluster.until(LOGIN, "the failed round", failed).await?;
    assert_eq!(round["reason"], "compute-1: the export script ended with exit code 1; its errors end with: no address");
    assert_eq!(
        (&round["export"]["deploy_status_codes"]["1"], &round["export"]["deploy_stderrs"]["1"]),
        (&1.into(), &"no address\n".into())
    );
    assert_eq!(round["populate"]["deploy_status_codes"], serde_json::json!({}));
    assert_eq!(cluster.machine(compute).read("populated"), "");
    // Before there was another node, the login node was a cluster by itself.
    assert!(cluster.machine(LOGIN).read("populated").lines().all(|line| line.ends_with(r#" {"0": "x\n"}"#)));
    let shown = cluster.machine(LOGIN).ask(&["exchange", "status"])?;
    assert!(shown.contains("step f3/hosts: failed") && shown.contains("no address"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn f12_a_cluster_that_grows_has_every_node_in_the_hosts_file_of_each_and_no_line_twice() -> Result<()> {
    let append = "#!/usr/bin/env python3\nimport json, os, pathlib, sys\n\
        path = pathlib.Path(sys.argv[0].split('/var/lib/clusterdrop/')[0], 'etc/machines')\n\
        path.write_text(''.join(line for _, line in sorted(json.loads(os.environ['hosts']).items(), key=lambda item: int(item[0]))))\n";
    let mut cluster = Cluster::ready("f12", &step(EXPORT, append)).await?;
    let mut wanted = "login1 of demo\n".to_owned();
    let mut nodes = vec![LOGIN];
    for name in ["compute-1", "compute-2"] {
        nodes.push(cluster.add().await?);
        wanted += &format!("{name} of demo\n");
        for nth in &nodes {
            cluster
                .until(*nth, &format!("{} machines", nodes.len()), |machine| Ok((machine.read("etc/machines") == wanted).then_some(())))
                .await?;
        }
    }
    for nth in nodes {
        let hosts = |machine: &Machine| {
            let text = machine.read("etc/hosts");
            let named = |name: &str| text.lines().filter(|line| line.split_whitespace().any(|word| word == name)).count();
            Ok((["login1", "compute-1", "compute-2"].map(named) == [1, 1, 1]).then_some(()))
        };
        cluster.until(nth, "each node once in /etc/hosts", hosts).await?;
    }
    Ok(())
}
