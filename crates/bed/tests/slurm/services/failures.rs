//! What becomes of a service whose program or whose node dies.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{PROGRAM, alive, cluster, node_of, service, starts};
use crate::cluster::Cluster;

/// A service that died runs again within so long on this cluster: Slurm waits 5 s here (`cred_expire`; 60 s on AWS), and a node starts.
const AGAIN_MAX: Duration = Duration::from_mins(1);

/// A node that is lost is down after 10 s here (`SlurmdTimeout`; 60 s on AWS).
const LOST_MAX: Duration = Duration::from_secs(90);

/// Waits for the start of this number of a service whose last argument is its name, and until it is alive. Gives its node.
fn next_start(cluster: &Cluster, name: &str, number: usize, most: Duration) -> Result<String> {
    let began = Instant::now();
    let count = || starts(cluster).iter().filter(|line| line.ends_with(name)).count();
    cluster.until("the next start", || Ok((count() >= number).then_some(())))?;
    let took = began.elapsed();
    println!("{name} runs again after {:.1} s", took.as_secs_f64());
    ensure!(took < most, "{name} ran again after {took:?} only");
    node_of(&alive(cluster, name)?)
}

/// Kills the program of a service on its node: all that it is.
fn kill(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.on(node, |node| node.run(&["pkill", "-KILL", "-u", "alice", "sleep"])).map(drop)
}

#[test]
fn e11_an_any_service_whose_program_dies_runs_again_elsewhere_and_a_named_node_is_not_left() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add space any -- {PROGRAM} daemon PIDFILE space"))?.must(0)?;
    let first = node_of(&alive(&cluster, "space")?)?;
    kill(&cluster, &first)?;
    let second = next_start(&cluster, "space", 2, AGAIN_MAX)?;
    assert_ne!(second, first);
    kill(&cluster, &second)?;
    assert_eq!(next_start(&cluster, "space", 3, AGAIN_MAX)?, first, "it leaves the node on which it died last");
    let status = service(&cluster, "status space")?.must(0)?;
    ensure!(status.contains("restarts: 2") && status.contains("Last failure: its program was ended by signal 9 (SIGKILL)"), "{status}");
    service(&cluster, "remove space")?.must(0)?;

    service(&cluster, &format!("add pinned {second} -- {PROGRAM} stay pinned"))?.must(0)?;
    assert_eq!(node_of(&alive(&cluster, "pinned")?)?, second);
    kill(&cluster, &second)?;
    assert_eq!(next_start(&cluster, "pinned", 2, AGAIN_MAX)?, second);
    Ok(())
}

#[test]
fn e11_an_any_service_whose_node_is_lost_runs_again_elsewhere_and_one_on_a_named_node_waits_for_it() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add space any -- {PROGRAM} stay space"))?.must(0)?;
    let lost = node_of(&alive(&cluster, "space")?)?;
    service(&cluster, &format!("add pinned {lost} -- {PROGRAM} stay pinned"))?.must(0)?;
    alive(&cluster, "pinned")?;
    cluster.lose(&lost)?;
    assert_ne!(next_start(&cluster, "space", 2, LOST_MAX)?, lost);
    // Until there is another machine of that name.
    assert_eq!(next_start(&cluster, "pinned", 2, LOST_MAX)?, lost);
    let boots = |node: &str| cluster.asked().map(|asked| asked.iter().filter(|line| **line == format!("resume {node}")).count());
    assert_eq!(boots(&lost)?, 2);
    Ok(())
}

#[test]
fn a_service_that_fails_each_time_is_held_and_says_why_and_goes_on_when_it_is_released() -> Result<()> {
    let cluster = cluster()?;
    service(&cluster, &format!("add fails any -- {PROGRAM} fail x"))?.must(0)?;
    let held = cluster.until("the service that is held", || {
        let said = service(&cluster, "status fails")?;
        Ok(said.text.contains("fails is held").then_some(said.text))
    })?;
    assert_eq!(starts(&cluster).len(), 5);
    ensure!(held.contains("its program ended with exit code 3 (on compute-"), "{held}");
    ensure!(cluster.login.read("/home/alice/service-fails.log")?.matches("no such world").count() == 5);
    let release = held.lines().find_map(|line| line.split_once("scontrol release ")).map(|(_, job)| job.trim().to_owned());
    cluster.as_user(&["sed", "-i", "s/^fail)/never)/; s/^stay)/fail)/", PROGRAM])?;
    cluster.as_user(&["scontrol", "release", &release.unwrap_or_default()])?;
    alive(&cluster, "fails").map(drop)
}
