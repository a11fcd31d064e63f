//! Profiles on nodes that run: applied, given to compute nodes, triggered.

use anyhow::Result;

use crate::cluster::{Cluster, LOGIN};
use crate::common::nodes::NOTE;

/// Notes that a member joined, if the file of its fourth argument describes the member.
const MEMBER: &str = "#!/bin/bash\n. \"$4\" && [ \"$cw_MEMBER_ip\" = \"$6\" ] && [ -n \"$cw_MEMBER_tags\" ] &&\n\
    echo \"${0##*/} $1 $2 $3 $5 $6 $cw_MEMBER_role\" >> \"${0%%/var/lib/clusterdrop/*}/ran\"\n";

/// A profile with a script for each event that `apply` runs, and for two that it does not.
async fn put_profile(cluster: &Cluster, profile: &str) -> Result<()> {
    for (path, text) in [
        ("configure.d/a.sh", NOTE),
        ("start.d/b.sh", NOTE),
        ("node-started.d/c.sh", NOTE),
        ("member-join.d/d.sh", MEMBER),
        ("fail.d/e.sh", NOTE),
        ("member-leave.d/f.sh", NOTE),
    ] {
        cluster.put(&format!("{profile}/{path}"), text).await?;
    }
    Ok(())
}

/// What the scripts of such a profile note of a cluster of two.
fn applied(cluster: &Cluster, role: &str, compute: usize) -> Vec<String> {
    let join = |name: &str, nth, of: &str| format!("d.sh member-join {role} demo {name} {} {of}", cluster.address(nth));
    let stage = |script: &str, event: &str| format!("{script} {event} {role} demo");
    let [a, b, c] = [stage("a.sh", "configure"), stage("b.sh", "start"), stage("c.sh", "node-started")];
    vec![a, b, c, join("login1", LOGIN, "master"), join("compute-1", compute, "slave")]
}

#[tokio::test]
async fn b17_a_profile_is_applied_at_once_here_or_on_another_node_and_one_with_initialize_is_refused() -> Result<()> {
    let own = [("configure.d/own.sh", NOTE), ("node-started.d/own.sh", NOTE), ("member-join.d/own.sh", NOTE)];
    let mut cluster = Cluster::ready("b17", &own).await?;
    put_profile(&cluster, "b17-foo").await?;
    let compute = cluster.add().await?;
    cluster.all_have_met(2).await?;
    for nth in [LOGIN, compute] {
        cluster.forget(nth)?;
    }
    let printed = cluster.customize(LOGIN, "apply account/b17-foo")?;
    assert!(printed.ends_with("\n5 scripts succeeded\n"), "{printed}");
    let wanted = applied(&cluster, "master", compute);
    cluster.has_run(LOGIN, &wanted.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    assert_eq!(cluster.customize(LOGIN, "list")?, "account/b17-foo\naccount/b17\n");
    assert_eq!(cluster.machine(compute).read("ran"), "");
    assert_eq!(cluster.customize(LOGIN, "apply -n compute-1 b17-foo")?, "compute-1: 5 scripts succeeded\n");
    let wanted = applied(&cluster, "slave", compute);
    cluster.has_run(compute, &wanted.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    assert_eq!(cluster.machine(LOGIN).read("ran").lines().count(), 5, "not here again");

    put_profile(&cluster, "b17-boot").await?;
    cluster.put("b17-boot/initialize.d/first.sh", NOTE).await?;
    cluster.refused(
        LOGIN,
        "apply b17-boot",
        "the profile b17-boot is not applied to a running node, because it has scripts in initialize.d",
    )?;
    cluster.refused(LOGIN, "apply b17-nothing", "the profile b17-nothing has no files in the bucket")?;
    cluster.refused(LOGIN, "apply -n compute-9 b17-foo", "compute-9 is not a member of this cluster")?;
    assert_eq!(cluster.customize(LOGIN, "list")?, "account/b17-foo\naccount/b17\n");
    assert_eq!(cluster.machine(LOGIN).read("ran").lines().count(), 5);
    Ok(())
}

#[tokio::test]
async fn b18_what_the_login_node_lists_for_compute_nodes_is_for_those_that_boot_later() -> Result<()> {
    let mut cluster = Cluster::ready("b18", &[("configure.d/own.sh", NOTE)]).await?;
    for profile in ["b18-foo", "b18-bar"] {
        cluster.put(&format!("{profile}/configure.d/{profile}.sh"), NOTE).await?;
    }
    let running = cluster.add().await?;
    let added = "compute nodes get b18-foo from their next configuration on; those that run stay as they are\n";
    assert_eq!(cluster.customize(LOGIN, "slave add account/b18-foo")?, added);
    cluster.customize(LOGIN, "slave add b18-bar")?;
    assert_eq!(cluster.customize(LOGIN, "slave list")?, "account/b18-foo\naccount/b18-bar\n");
    cluster.refused(LOGIN, "slave add account/b18-foo", "b18-foo is in the list already")?;
    cluster.refused(LOGIN, "slave add feature/b18-foo", "there is no repository \"feature\"")?;
    cluster.customize(LOGIN, "slave remove b18-bar")?;
    cluster.refused(LOGIN, "slave remove b18-bar", "b18-bar is not in the list")?;
    for verb in ["list", "add b18-bar", "remove b18-foo"] {
        cluster.refused(running, &format!("slave {verb}"), "this is a compute node, and the list is the login node's")?;
    }
    assert_eq!(cluster.customize(LOGIN, "slave list")?, "account/b18-foo\n");

    let later = cluster.add().await?;
    cluster.has_run(later, &["b18-foo.sh configure slave demo", "own.sh configure slave demo"]).await?;
    assert_eq!(cluster.customize(later, "list")?, "account/b18-foo\naccount/b18\n");
    for nth in [LOGIN, running] {
        assert_eq!(cluster.customize(nth, "list")?, "account/b18\n");
        assert_eq!(cluster.machine(nth).read("ran").lines().count(), 1, "node {nth}");
    }
    Ok(())
}

#[tokio::test]
async fn b19_a_trigger_runs_one_profiles_scripts_and_what_cannot_be_triggered_runs_nothing() -> Result<()> {
    let own = [("configure.d/own.sh", NOTE), ("member-join.d/own.sh", NOTE), ("member-leave.d/own.sh", NOTE)];
    let mut cluster = Cluster::ready("b19", &own).await?;
    put_profile(&cluster, "b19-foo").await?;
    cluster.all_have_met(1).await?;
    cluster.customize(LOGIN, "apply b19-foo")?;
    cluster.forget(LOGIN)?;
    cluster.customize(LOGIN, "trigger configure account/b19-foo")?;
    cluster.has_run(LOGIN, &["a.sh configure master demo"]).await?;
    cluster.customize(LOGIN, "trigger configure")?;
    let both = ["a.sh configure master demo", "a.sh configure master demo", "own.sh configure master demo"];
    cluster.has_run(LOGIN, &both).await?;
    cluster.forget(LOGIN)?;
    cluster.customize(LOGIN, "trigger -m login1 member-join b19-foo")?;
    let joined = format!("d.sh member-join master demo login1 {} master", cluster.address(LOGIN));
    cluster.has_run(LOGIN, &[&joined]).await?;

    cluster.forget(LOGIN)?;
    cluster.refused(LOGIN, "trigger member-leave", "member-leave cannot be triggered")?;
    cluster.refused(LOGIN, "trigger periodic", "there is no event \"periodic\"")?;
    cluster.refused(LOGIN, "trigger configure b19-bar", "the profile b19-bar is not on this node, which has b19-foo, b19")?;
    cluster.refused(LOGIN, "trigger -m compute-7 member-join", "compute-7 is not a member of this cluster")?;
    assert_eq!(cluster.machine(LOGIN).read("ran"), "");
    Ok(())
}
