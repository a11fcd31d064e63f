//! `cf-node boot` with Debian's real Slurm, on machines of the test bed: a login node and a compute node that form a cluster. How machines
//! come by themselves, and the whole way from an upload, is shown elsewhere.

mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cf_local::wait;
use cluster::{Cluster, WAIT_MAX};

/// The limit for the boot of a login node whose packages are there.
const LOGIN_BOOT_MAX: Duration = Duration::from_mins(1);

/// The limit for a job on an empty cluster, beyond its node's own boot.
const BEYOND_BOOT_MAX: Duration = Duration::from_secs(3);

#[test]
fn a_login_node_and_a_compute_node_form_a_cluster_that_runs_a_job_and_survives_its_daemon_and_a_reboot() -> Result<()> {
    let cluster = Cluster::new()?;
    let mut login = cluster.machine(0, "i-0a")?;
    let began = Instant::now();
    login.boot()?;
    cluster.until_ready(&login, "login1")?;
    println!("a login node was ready after {:.1} s", began.elapsed().as_secs_f64());
    ensure!(began.elapsed() <= LOGIN_BOOT_MAX, "{}", login.log());
    assert_eq!(login.node.run(&["sinfo", "--noheader", "--format=%P %D %T"])?.trim(), "compute* 2 idle~");
    assert_eq!(login.node.read("/run/slurm-in-configure")?.trim(), "compute*", "scripts of profiles may use Slurm");
    assert_eq!(login.node.run(&["stat", "-c", "%a %U %s", "/etc/slurm/slurm.key"])?.trim(), "600 slurm 1024");
    let hosts = login.node.read("/etc/hosts")?;
    ensure!(hosts.contains("10.77.0.10\tlogin1"), "{hosts}");

    // A job that waits for a node, which then comes.
    let job = "srun sh -c 'hostname; id -u; printenv OMPI_MCA_pml http_proxy'";
    let job = login.as_user(&[job])?.spawn()?;
    let instance = cluster.until_launched(&login)?;
    let mut compute = cluster.machine(1, &instance)?;
    let began = Instant::now();
    compute.boot()?;
    cluster.until_ready(&compute, "compute-1")?;
    let (booted, output) = (began.elapsed(), cf_local::children::output_of(job)?);
    let (ran, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    println!("the compute node was ready after {:.1} s, its job ended after {:.1} s", booted.as_secs_f64(), began.elapsed().as_secs_f64());
    let uid = login.node.run(&["id", "-u", "alice"])?;
    assert_eq!(ran, format!("compute-1\n{uid}ucx\nhttp://10.77.0.10:3128\n"), "{said}\n{}\n{}", login.log(), compute.log());
    ensure!(began.elapsed() <= booted + BEYOND_BOOT_MAX, "{}", login.log());
    assert_eq!(compute.node.run(&["id", "-u", "alice"])?, uid);

    // slurmctld writes its state down some seconds after a change. Without that a controller that is killed takes the node for one that is
    // off, and its machine is ended.
    login.node.run(&["scontrol", "update", "nodename=compute-1", "comment=on-the-disk"])?;
    wait::until("the node on slurmctld's disk", WAIT_MAX, || {
        Ok(login.node.run(&["grep", "-aq", "on-the-disk", "/var/lib/slurm/slurmctld/node_state"]).is_ok().then_some(()))
    })?;

    // A controller that is killed is there again, and that is reported.
    let before = login.node.read("/run/slurmctld.pid")?;
    login.node.run(&["kill", "-9", before.trim()])?;
    wait::until("another slurmctld that answers", WAIT_MAX, || {
        let now = login.node.read("/run/slurmctld.pid")?;
        Ok((now != before && login.node.run(&["sinfo"]).is_ok()).then_some(()))
    })?;
    let again = |report: &serde_json::Value| report["message"].as_str().is_some_and(|text| text.contains("started again (1 times)"));
    cluster.until_reported(&login, "login1", "the report says so", again)?;

    // Both machines are after a reboot what they were.
    login.reboot()?;
    compute.reboot()?;
    cluster.until_ready(&login, "login1")?;
    let ran = wait::until("a job after the reboot", WAIT_MAX, || {
        let output = login.as_user(&["srun --immediate=20 --nodelist=compute-1 hostname"])?.output()?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    })?;
    assert_eq!(ran, "compute-1\n");
    Ok(())
}

#[test]
fn a_login_node_with_a_full_disk_says_so_in_its_report() -> Result<()> {
    let cluster = Cluster::new()?;
    let mut login = cluster.machine(0, "i-0a")?;
    login.node.run(&["sh", "-c", "mkdir -p /var/lib/clusterdrop && dd if=/dev/zero of=/var/big bs=1M 2>/dev/null; true"])?;
    login.boot()?;
    let full = |report: &serde_json::Value| report["message"].as_str().is_some_and(|text| text.contains("full"));
    cluster.until_reported(&login, "login1", "the report names the disk", full)?;
    Ok(())
}
