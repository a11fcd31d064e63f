//! Machines that are lost, or never come.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cluster::{Cluster, EMPTY};

/// A little more than the agent waits for a machine to ask which node it is (`asks_within`, cf_slurm::scaling::Rules).
const PATIENCE: Duration = Duration::from_mins(9);

#[test]
fn a_job_whose_node_is_lost_runs_again_on_another_machine() -> Result<()> {
    let cluster = Cluster::ready("kim", EMPTY, &[])?;
    // It ends only where it is not its first run.
    let script = "echo \"$(hostname) $(cat /proc/sys/kernel/random/boot_id) ${SLURM_RESTART_COUNT:-0}\" >>runs; \
        [ -n \"$SLURM_RESTART_COUNT\" ] || sleep 600";
    let job = cluster.sbatch("--requeue", script)?;
    let first = cluster.until("the first run", || Ok(cluster.ssh("cat runs").ok().filter(|runs| runs.ends_with('\n'))))?;
    let name = first.split(' ').next().context("a node")?;
    let lost = cluster.machine(name)?.instance().id.clone();
    cluster.cloud.lose(&lost)?;
    // The node is down a minute after it was lost, and its job starts again a minute later.
    cluster.until_within("the second run", Duration::from_mins(4), || Ok((cluster.ssh("cat runs")?.lines().count() == 2).then_some(())))?;
    cluster.job_is(&job, "COMPLETED")?;
    let runs = cluster.ssh("cat runs")?;
    let (first, second) = runs.trim().split_once('\n').context("two runs")?;
    assert!(first.ends_with(" 0") && second.ends_with(" 1"), "{runs}");
    assert_ne!(first.split(' ').nth(1), second.split(' ').nth(1), "another boot of another machine");
    cluster.delete().map(drop)
}

#[test]
fn a_machine_that_never_reports_is_ended_and_its_user_reads_why() -> Result<()> {
    let cluster = Cluster::ready("nora", EMPTY, &[])?;
    cluster.cloud.darken(1);
    let job = cluster.sbatch("", "hostname")?;
    let dark = cluster.until("the machine", || {
        let mut machines = cluster.cloud.machines().into_iter();
        Ok(machines.find(|machine| machine.events().iter().any(|event| event.what == "does not boot")))
    })?;
    // The agent has seen it in its group.
    let id = dark.instance().id.clone();
    cluster
        .until("the machine in the agent's book", || Ok(cluster.root(&format!("grep -F {id} /var/lib/clusterdrop/scaling.json")).ok()))?;
    cluster.ages(PATIENCE)?;
    cluster.until("its end", || Ok((!dark.node()?.is_running()?).then_some(())))?;
    let reason = "the machine started and never reported to the login node (spot)";
    cluster.until("the reason in Slurm", || Ok(cluster.ssh("sinfo --list-reasons --format=%E")?.contains(reason).then_some(())))?;
    let shown = |status: &serde_json::Value| status["scheduler"].to_string().contains(reason);
    cluster.until("the reason in .cf-status", || Ok(shown(&cluster.user.status("demo")?).then_some(())))?;
    cluster.until_within("the job, on another machine", Duration::from_mins(4), || {
        Ok(cluster.ssh(&format!("cat job-{job}")).ok().filter(|host| host.starts_with("compute-")))
    })?;
    cluster.delete().map(drop)
}

#[test]
fn a_login_node_that_is_rebooted_under_a_job_knows_its_nodes_again() -> Result<()> {
    let cluster = Cluster::ready("ruth", EMPTY, &[])?;
    let job = cluster.sbatch("", "hostname; while [ ! -e go ]; do sleep 0.2; done")?;
    cluster.job_is(&job, "RUNNING")?;
    let machine = cluster.machine("compute-1")?.instance().id.clone();
    let boot = cluster.ssh("cat /proc/sys/kernel/random/boot_id")?;
    cluster.cloud.reboot(&cluster.login()?.instance().id)?;
    cluster.until("sinfo after the reboot", || {
        let asked = cluster.ssh("cat /proc/sys/kernel/random/boot_id; sinfo --noheader --nodes=compute-1 --format=%t");
        Ok(asked.ok().filter(|answer| !answer.starts_with(&boot) && answer.contains("alloc")))
    })?;
    cluster.ssh("touch go")?;
    cluster.job_is(&job, "COMPLETED")?;
    assert_eq!(cluster.ssh(&format!("cat job-{job}"))?, "compute-1\n");
    assert_eq!((cluster.machine("compute-1")?.instance().id.clone(), cluster.desired()?), (machine, (json!(1), json!(0))));
    cluster.delete().map(drop)
}
