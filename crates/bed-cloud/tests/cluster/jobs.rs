//! Jobs on nodes that start for them, and end after them.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::cluster::{Cluster, EMPTY};

#[test]
fn a_job_of_two_nodes_starts_from_zero_nodes_and_they_go_back_to_zero() -> Result<()> {
    let cluster = Cluster::ready("zoe", EMPTY, &[])?;
    assert_eq!(cluster.ssh("sinfo --noheader --format='%D %t'")?, "8 idle~\n", "four of each group, all off");
    let began = Instant::now();
    let ran = cluster.ssh("srun --nodes=2 hostname | sort")?;
    println!("srun on two nodes from zero: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(ran, "compute-1\ncompute-2\n");
    assert_eq!((cluster.running()?, cluster.desired()?), (names(&["compute-1", "compute-2", "login1"]), (json!(2), json!(0))));
    cluster.power_down("compute-[1-2]")?;
    cluster.runs(&["login1"])?;
    assert_eq!(cluster.desired()?, (json!(0), json!(0)), "nothing is replaced");
    cluster.until("both nodes off", || Ok((cluster.ssh("sinfo --noheader --format='%D %t'")? == "8 idle~\n").then_some(())))?;
    // And once more: names are used again.
    assert_eq!(cluster.ssh("srun hostname")?, "compute-1\n");
    cluster.delete().map(drop)
}

#[test]
fn a_job_array_and_an_mpi_program_run_on_two_nodes() -> Result<()> {
    let cluster = Cluster::ready("mia", EMPTY, &[])?;
    let script = "echo $SLURM_ARRAY_TASK_ID; hostname >>hosts";
    // Two at a time: a job that names no memory takes a whole node.
    cluster.ssh(&format!("sbatch --wait --array=1-6%2 --output=task-%a --wrap '{script}'"))?;
    assert_eq!(cluster.ssh("cat task-*")?, "1\n2\n3\n4\n5\n6\n");
    ensure!(cluster.ssh("sort -u hosts")?.lines().all(|name| name.starts_with("compute-")), "{}", cluster.ssh("cat hosts")?);
    // Ten messages of each size up to 4 KiB. Ranks that wait give way: both share this machine's processors with others.
    let program = "OMPI_MCA_mpi_yield_when_idle=1 srun --mpi=pmix --nodes=2 --ntasks=2 NPopenmpi -n 10 -u 4096 -o measured 2>&1";
    let said = cluster.ssh(program)?;
    // Bytes of a message, megabits a second, seconds.
    let measured = cluster.ssh("cat measured")?;
    let rows: Vec<Vec<f64>> = measured.lines().map(|line| line.split_whitespace().filter_map(|n| n.parse().ok()).collect()).collect();
    ensure!(rows.len() > 10 && rows.iter().all(|row| row.len() == 3 && row[1] > 0.0), "{measured}\n{said}");
    cluster.delete().map(drop)
}

#[test]
fn no_more_nodes_run_than_the_maximum_and_the_work_of_three_is_done_by_two() -> Result<()> {
    let cluster = Cluster::ready("max", r#"{"ComputeInitialNodes": "0", "ComputeMaxNodes": "2"}"#, &[])?;
    let jobs = (0..3).map(|_| cluster.sbatch("--exclusive", "while [ ! -e go ]; do sleep 0.2; done")).collect::<Result<Vec<_>>>()?;
    cluster.runs(&["compute-1", "compute-2", "login1"])?;
    cluster.job_is(&jobs[1], "RUNNING")?;
    // More than the maximum is refused by the group itself, also to root with the node's own rights.
    let name = cluster.group("spot")?["AutoScalingGroupName"].as_str().unwrap_or_default().to_owned();
    let more = ["autoscaling", "set-desired-capacity", "--auto-scaling-group-name", &name, "--desired-capacity", "3"];
    assert!(cluster.user.asked(&more).unwrap_err().to_string().contains("above max value 2"));
    cluster.ssh("touch go")?;
    for job in &jobs {
        cluster.job_is(job, "COMPLETED")?;
    }
    let launched = cluster.cloud.machines().len();
    assert_eq!((launched, cluster.running()?), (3, names(&["compute-1", "compute-2", "login1"])), "a third was never launched");
    cluster.delete().map(drop)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
