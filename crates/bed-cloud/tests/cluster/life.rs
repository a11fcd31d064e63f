//! The life of a cluster and of its machines.

use anyhow::Result;
use serde_json::Value;

use crate::cluster::{Cluster, EMPTY};

#[test]
fn a_user_logs_in_at_the_address_of_the_answer_and_after_the_deletion_nothing_runs() -> Result<()> {
    let cluster = Cluster::ready("lena", EMPTY, &[])?;
    assert_eq!(cluster.ssh("hostname; id -un; pwd")?, "login1\nlena\n/home/lena\n");
    assert_eq!(cluster.running()?, ["login1"]);
    assert_eq!(cluster.user.status("demo")?["state"], "ready");
    let (user, receipt) = cluster.delete()?;
    assert!(receipt.starts_with("The cluster demo is gone since "), "{receipt}");
    assert_eq!(
        user.files()?.into_iter().filter(|name| !name.contains(".logs/")).collect::<Vec<_>>(),
        ["demo.cf-deleted", "demo.cf-status"]
    );
    let all = user.asked(&["cloudformation", "list-stacks"])?;
    let is_own = |stack: &&Value| stack["StackName"].as_str().is_some_and(|name| name.starts_with("clusterdrop-lena-"));
    let states: Vec<&Value> =
        all["StackSummaries"].as_array().into_iter().flatten().filter(is_own).map(|stack| &stack["StackStatus"]).collect();
    // Of earlier runs, too.
    assert!(!states.is_empty() && states.iter().all(|state| *state == "DELETE_COMPLETE"), "{states:?}");
    Ok(())
}

#[test]
fn a_login_node_that_is_rebooted_is_the_same_one_with_the_same_host_key_and_files() -> Result<()> {
    let cluster = Cluster::ready("rob", EMPTY, &[("start.d/note.sh", "#!/bin/sh\necho \"$@\" >>/home/rob/started\n")])?;
    cluster.until("the end of the first boot", || Ok(cluster.ssh("cat started").ok()))?;
    let before = cluster.ssh("cat /proc/sys/kernel/random/boot_id; echo kept >file")?;
    let login = cluster.login()?;
    cluster.cloud.reboot(&login.instance().id)?;
    // A host key that is another one would be refused.
    cluster.until("a login after the reboot", || {
        let boot = cluster.ssh("cat /proc/sys/kernel/random/boot_id").ok();
        Ok(boot.filter(|boot| *boot != before))
    })?;
    assert_eq!(cluster.ssh("hostname; cat file")?, "login1\nkept\n");
    cluster.until("the second start", || Ok((cluster.ssh("cat started")?.lines().count() == 2).then_some(())))?;
    assert_eq!(cluster.running()?, ["login1"]);
    let ran: Vec<String> = login.events().into_iter().map(|event| event.what).filter(|what| what.contains("user data")).collect();
    assert_eq!(ran, ["runs its user data", "has run its user data"], "once for an instance");
    cluster.delete().map(drop)
}
