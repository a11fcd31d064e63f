//! Spot machines and those on demand, and sizes that a user fixes.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::{Cluster, EMPTY};

#[test]
fn where_spot_has_no_capacity_nodes_come_on_demand_and_the_user_reads_why() -> Result<()> {
    let cluster = Cluster::ready("fay", EMPTY, &[])?;
    cluster.user.fault(&json!({"kind": "launch", "group": "-fay-demo-", "do": "no-capacity", "market": "spot"}))?;
    let job = cluster.sbatch("--nodes=2", "srun hostname | sort")?;
    cluster.until_within("the job on demand", Duration::from_mins(4), || {
        Ok(cluster.ssh(&format!("cat job-{job}")).ok().filter(|hosts| hosts == "compute-5\ncompute-6\n"))
    })?;
    assert_eq!(cluster.desired()?, (json!(0), json!(2)), "what spot did not give is not waited for");
    let note = "2 nodes on demand, because spot had no capacity";
    let shown = |status: &Value| status["scheduler"].to_string().contains(note);
    cluster.until("the fallback in .cf-status", || Ok(shown(&cluster.user.status("demo")?).then_some(())))?;
    cluster.delete().map(drop)
}

#[test]
fn at_a_price_of_zero_all_nodes_are_on_demand() -> Result<()> {
    let cluster = Cluster::ready("dan", r#"{"ComputeInitialNodes": "0", "ComputeSpotPrice": "0", "ComputeMaxNodes": "2"}"#, &[])?;
    assert_eq!(cluster.ssh("srun hostname")?, "compute-1\n");
    assert_eq!(cluster.desired()?, (Value::Null, json!(1)));
    cluster.delete().map(drop)
}

#[test]
fn a_fixed_size_is_there_from_the_start_and_no_node_of_it_is_ended() -> Result<()> {
    let cluster = Cluster::ready("fred", r#"{"AutoscalingPolicy": "disabled", "ComputeMaxNodes": "2"}"#, &[])?;
    cluster.runs(&["compute-1", "compute-2", "login1"])?;
    cluster.until("two idle nodes", || {
        Ok(cluster.ssh("sinfo --noheader --format='%D %t' --nodes=compute-[1-2]")?.contains("2 idle\n").then_some(()))
    })?;
    assert_eq!(cluster.ssh("srun --nodes=2 hostname | sort")?, "compute-1\ncompute-2\n");
    // Slurm's own list of nodes that it never ends.
    assert!(cluster.root("scontrol show config")?.contains("SuspendExcNodes         = compute-[1-4]"), "{}", cluster.slurm());
    assert_eq!(cluster.running()?, ["compute-1", "compute-2", "login1"]);
    cluster.delete().map(drop)
}

#[test]
fn initial_nodes_come_at_the_boot_and_autoscaling_that_is_disabled_keeps_the_size() -> Result<()> {
    let cluster = Cluster::ready("ida", r#"{"ComputeInitialNodes": "1", "ComputeMaxNodes": "4"}"#, &[])?;
    cluster.runs(&["compute-1", "login1"])?;
    cluster
        .until("an idle node", || Ok(cluster.ssh("sinfo --noheader --nodes=compute-1 --format=%t")?.contains("idle\n").then_some(())))?;
    cluster.ssh("sudo cf-node autoscaling disable")?;
    let job = cluster.sbatch("--nodes=2", "hostname")?;
    cluster.until("a job that waits", || Ok(cluster.ssh("squeue --noheader --format=%T")?.contains("PENDING").then_some(())))?;
    assert_eq!((cluster.running()?, cluster.desired()?), (vec!["compute-1".to_owned(), "login1".to_owned()], (json!(1), json!(0))));
    cluster.ssh("sudo cf-node autoscaling enable")?;
    cluster.job_is(&job, "COMPLETED")?;
    cluster.delete().map(drop)
}

#[test]
fn a_spot_machine_that_ec2_takes_back_is_left_and_its_job_runs_again() -> Result<()> {
    let cluster = Cluster::ready("ivy", EMPTY, &[])?;
    let script = "hostname >>runs; [ -n \"$SLURM_RESTART_COUNT\" ] || sleep 600";
    let job = cluster.sbatch("--requeue", script)?;
    cluster.job_is(&job, "RUNNING")?;
    let taken = cluster.machine("compute-1")?;
    cluster.user.fault(&json!({"kind": "interruption", "group": "-ivy-demo-", "instance": taken.instance().id, "seconds": 120}))?;
    // Two minutes' notice: the job leaves the machine before it ends.
    cluster.until("the requeued job", || Ok(cluster.ssh(&format!("scontrol show job {job}"))?.contains("Restarts=1").then_some(())))?;
    assert!(taken.node()?.is_running()?, "its time is not over");
    cluster.until_within("the second run", Duration::from_mins(4), || Ok((cluster.ssh("wc -l <runs")?.trim() == "2").then_some(())))?;
    cluster.job_is(&job, "COMPLETED")?;
    cluster.delete().map(drop)
}
