//! Debian's Slurm on a bed, set up by hand: that the bed is machine enough for it. Later the agent sets it up.

mod cluster;
mod services;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cluster::Cluster;

const OFF: &str = "compute-1 idle~, compute-2 idle~";

#[test]
fn a_job_of_two_nodes_runs_from_zero_nodes_and_they_go_back_to_zero() -> Result<()> {
    let cluster = Cluster::start()?;
    assert_eq!((cluster.states()?.as_str(), cluster.running()), (OFF, Vec::new()));
    let began = Instant::now();
    let mut ran: Vec<String> = cluster.as_user(&["srun", "--nodes=2", "hostname"])?.lines().map(str::to_owned).collect();
    println!("srun on two nodes from zero: {:.1} s", began.elapsed().as_secs_f64());
    ran.sort();
    assert_eq!(ran, ["compute-1", "compute-2"]);
    assert_eq!(cluster.running(), ran, "what ran the job are machines of the bed");
    cluster.until("the end of both nodes", || Ok((cluster.running().is_empty() && cluster.states()? == OFF).then_some(())))?;
    let mut asked = cluster.asked()?;
    asked.sort();
    assert_eq!(asked, ["resume compute-1", "resume compute-2", "suspend compute-1", "suspend compute-2"]);
    Ok(())
}

#[test]
fn a_job_whose_node_is_lost_runs_again_on_another_machine() -> Result<()> {
    let cluster = Cluster::start()?;
    // It ends only where it is not its first run.
    let script = "echo \"$(hostname) $(cat /proc/sys/kernel/random/boot_id) ${SLURM_RESTART_COUNT:-0}\" >>/home/alice/runs
        [ -n \"$SLURM_RESTART_COUNT\" ] || sleep 600";
    let submitted = Instant::now();
    let job = cluster.as_user(&["sbatch", "--parsable", "--requeue", "--output=/home/alice/output", "--wrap", script])?;
    let runs = |count: usize| {
        let text = cluster.login.run(&["cat", "/home/alice/runs"]).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Ok((lines.len() >= count).then_some(lines))
    };
    let first = cluster.until("the job's first run", || runs(1))?;
    println!("sbatch to the first line of the job: {:.1} s", submitted.elapsed().as_secs_f64());
    let lost = first[0].strip_suffix(" 0").context("a machine and a first run")?.to_owned();
    cluster.lose(lost.split(' ').next().context("a node")?)?;
    let all = cluster.until("the job's second run", || runs(2))?;
    println!("from its submission to its second run: {:.1} s", submitted.elapsed().as_secs_f64());
    // It may have the name of the lost one.
    let second = all[1].strip_suffix(" 1").context("a machine and a second run")?;
    assert_ne!(second, lost);
    cluster.until("the end of the job", || {
        let shown = cluster.login.run(&["scontrol", "show", "job", job.trim()])?;
        Ok(shown.contains("JobState=COMPLETED").then_some(()))
    })?;
    Ok(())
}

#[test]
fn ranks_of_an_mpi_program_on_two_nodes_exchange_messages() -> Result<()> {
    let cluster = Cluster::start()?;
    // By UCX, on TCP: Open MPI's own way, ob1, ends now and then with a segmentation fault where a message comes before its receiver has
    // left MPI_Init (https://github.com/open-mpi/ompi/issues/12495, open; seen here in 2 of 50 runs).
    let by_ucx = ["OMPI_MCA_pml=ucx", "OMPI_MCA_pml_ucx_tls=any", "OMPI_MCA_pml_ucx_devices=any", "UCX_TLS=tcp,self"];
    // A rank that waits gives way: both share this machine's processors with others.
    let how = [&["env", "OMPI_MCA_mpi_yield_when_idle=1"], &by_ucx[..]].concat();
    let placed = ["srun", "--mpi=pmix", "--nodes=2", "--ntasks=2", "--output=/home/alice/output"];
    // Ten messages of each size up to 4 KiB.
    let program = ["NPopenmpi", "-n", "10", "-u", "4096", "-o", "/home/alice/measured"];
    let ran = cluster.as_user(&[&how[..], &placed, &program].concat());
    ran.with_context(|| cluster.login.read("/home/alice/output").unwrap_or_default())?;
    // Bytes of a message, megabits a second, seconds.
    let measured = cluster.login.read("/home/alice/measured")?;
    let rows: Vec<Vec<f64>> = measured.lines().map(|line| line.split_whitespace().filter_map(|n| n.parse().ok()).collect()).collect();
    ensure!(rows.len() > 10 && rows.iter().all(|row| row.len() == 3 && row[1] > 0.0), "{measured}");
    assert_eq!(cluster.running(), ["compute-1", "compute-2"]);
    Ok(())
}
