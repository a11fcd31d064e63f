//! What the nodes of a cluster do among themselves: a login node and four compute nodes, each a process of its own. Everything that is
//! shown is read where its user or a node would read it, and waited for: where something does not come, the demo ends with what, and
//! with the last lines of that node's log.

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail};
use cf_local::emulator::{Emulator, Pace};
use cf_local::node::Machine;
use serde_json::Value;

use super::alice::{Alice, text};
use super::cluster::Cluster;
use super::{give_profile, leave_running, life, profile, until};
use crate::chore::{headline, show as show_text, step};

const FILE: &str = r#"{
    "ComputeInitialNodes": "0",
    "ComputeMaxNodes": "8"
}
"#;

const COMPUTE_NODES: usize = 4;

/// A report that comes too soon after the last write of the status file is hidden for as little as the emulator hides it: ten seconds.
pub const PACE: Pace = Pace { visibility: 0.05, ..Pace::DEMO };

/// Seconds for each part of the cluster: the nodes are what is to be watched.
const SECONDS_EACH: f64 = 0.1;

// Which of the five is which: the login node, one whose files are shown, one without a scratch disk, one that is lost.
const LOGIN: usize = 0;
const SHOWN: usize = 1;
const DISKLESS: usize = 3;
const LOST: usize = 4;

pub fn show(alice: &Alice, keep: bool, emulator: &Emulator) -> Result<()> {
    let began = Instant::now();
    give_profile(alice, profile::ALICE)?;
    alice.expects_a_real_node(SECONDS_EACH)?;
    headline("Alice drops a file: s3://af-users-eu-west-2/home/alice/mycluster.cf-create");
    show_text(FILE);
    alice.drops("mycluster.cf-create", FILE)?;
    let mut cluster = life::followed(alice)?;
    step("the four machines of her Auto Scaling group boot; one of them lacks its scratch disk", || {
        cluster.add_compute_nodes(COMPUTE_NODES, |number, machine| match usize::from(number) - 1 {
            DISKLESS => Ok(()),
            _ => Ok(fs::create_dir(machine.folder().join("scratch"))?),
        })
    })?;
    let names = they_meet(&mut cluster)?;
    they_run_the_profile(&mut cluster, &names)?;
    they_exchange_addresses(&mut cluster, &names)?;
    one_is_lost(&mut cluster, &names)?;
    alice_reads_what_failed(alice, &mut cluster, &names)?;
    if keep {
        leave_running(emulator, &commands(&cluster));
    }
    alice.deletes(|| cluster.end())?;
    headline("That was the whole of it.");
    println!(
        "  It took {:.0} s from her profile on. What these nodes ran lies in crates/xtask/profiles/alice;",
        began.elapsed().as_secs_f64()
    );
    println!("  docs/administrators.md describes how to write a profile, and to try it on one's own machine.\n");
    Ok(())
}

/// All five know all five. Gives their names.
fn they_meet(cluster: &mut Cluster<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for nth in 0..=COMPUTE_NODES {
        names.push(cluster.until(nth, "the list of five members", |machine| {
            let Some(listed) = json(machine, &["members", "--json"]) else { return Ok(None) };
            let is_whole = listed["members"].as_array().is_some_and(|members| members.len() == COMPUTE_NODES + 1);
            Ok(is_whole.then(|| text(&listed["name"]).to_owned()))
        })?);
    }
    headline("They find each other, by gossip that only the cluster's secret opens. `cf-node members` on login1:");
    show_text(&cluster.nodes[LOGIN].machine.ask(&["members"])?);
    Ok(names)
}

fn they_run_the_profile(cluster: &mut Cluster<'_>, names: &[String]) -> Result<()> {
    for nth in 0..=COMPUTE_NODES {
        cluster.until(nth, "the end of the node's boot", |machine| Ok(logged(machine, &["node-started"]).last().map(drop)))?;
    }
    headline(&format!("They run Alice's profile, event by event. /var/log/clusterware/instance.log on {}:", names[SHOWN]));
    show_text(&logged(&cluster.nodes[SHOWN].machine, &["configure", "start"]).join("\n"));
    Ok(())
}

fn they_exchange_addresses(cluster: &mut Cluster<'_>, names: &[String]) -> Result<()> {
    cluster.until(LOGIN, "a complete round of the exchange with all five", |machine| {
        let Some(status) = json(machine, &["exchange", "status", "--json"]) else { return Ok(None) };
        let round = status["steps"][0]["rounds"].as_array().and_then(|rounds| rounds.last().cloned()).unwrap_or_default();
        if round["state"] == "failed" {
            bail!("the exchange failed: {}", text(&round["reason"]));
        }
        let has_all = round["members"].as_array().is_some_and(|members| members.len() == COMPUTE_NODES + 1);
        Ok((has_all && round["state"] == "complete").then_some(()))
    })?;
    headline("They exchange addresses: none reads them before all have written theirs. `cf-node exchange status` on login1:");
    show_text(&cluster.nodes[LOGIN].machine.ask(&["exchange", "status"])?);
    let all = cluster.nodes[LOGIN].machine.read("etc/machines");
    if all.lines().count() != COMPUTE_NODES + 1 {
        bail!("the round is complete, and /etc/machines on login1 has not five lines:\n{all}");
    }
    for nth in 0..=COMPUTE_NODES {
        cluster.until(nth, "the same /etc/machines", |machine| Ok((machine.read("etc/machines") == all).then_some(())))?;
    }
    println!("  /etc/machines on {}, the same on all five:", names[SHOWN]);
    show_text(&all);
    Ok(())
}

fn one_is_lost(cluster: &mut Cluster<'_>, names: &[String]) -> Result<()> {
    let lost = names[LOST].as_str();
    headline(&format!("A machine is lost: SIGKILL for the agent of {lost}, without a word to the others"));
    let (began, lost_at) = (Instant::now(), cluster.nodes[LOST].address);
    cluster.lose(LOST)?;
    let leaves = |machine: &Machine| -> Vec<String> {
        logged(machine, &["member-leave"]).into_iter().filter(|line| line.contains(&format!("] {lost} at {lost_at} "))).collect()
    };
    for nth in [SHOWN, LOGIN, DISKLESS, SHOWN + 1] {
        let what = format!("the leave of {lost} in instance.log, and a hosts file without it");
        cluster.until(nth, &what, |machine| Ok((!leaves(machine).is_empty() && !has_host(machine, lost)).then_some(())))?;
        if nth == SHOWN {
            println!("  {:.1} s later, instance.log and /etc/hosts on {}:", began.elapsed().as_secs_f64(), names[SHOWN]);
        }
    }
    let machine = &cluster.nodes[SHOWN].machine;
    show_text(&leaves(machine).join("\n"));
    show_text(&machine.read("etc/hosts"));
    Ok(())
}

fn alice_reads_what_failed(alice: &Alice, cluster: &mut Cluster<'_>, names: &[String]) -> Result<()> {
    let waited = until("the failed script in mycluster.cf-status", || {
        cluster.check()?;
        let status = alice.status()?.unwrap_or_default();
        let failed = status["failed_scripts"].as_array().cloned().unwrap_or_default();
        let is_it = |failed: &Value| {
            failed["node"] == names[DISKLESS].as_str()
                && text(&failed["script"]) == "30-scratch.sh"
                && failed["exit_code"] == 3
                && failed["last_lines"].as_array().is_some_and(|lines| !lines.is_empty())
        };
        Ok(failed.iter().any(is_it).then_some(()))
    });
    waited.map_err(|error| cluster.explained(DISKLESS, &error))?;
    headline(&format!("A script failed on {}, which lacks its disk. Alice reads it in mycluster.cf-status:", names[DISKLESS]));
    show_text(&alice.text("mycluster.cf-status")?.unwrap_or_default());
    Ok(())
}

/// What one may try on the nodes that are left running.
fn commands(cluster: &Cluster<'_>) -> Vec<String> {
    let machine = &cluster.nodes[SHOWN].machine;
    let (agent, root) = (machine.agent().display().to_string(), machine.folder().display().to_string());
    vec![
        format!("{agent} members --root {root}"),
        format!("{agent} exchange status --root {root}"),
        format!("tail {root}/var/log/clusterware/instance.log"),
    ]
}

/// What a command of a node prints, as JSON; `None` where it has nothing to print yet.
fn json(machine: &Machine, words: &[&str]) -> Option<Value> {
    serde_json::from_str(&machine.ask(words).ok()?).ok()
}

/// The lines of a node's instance.log about these events.
fn logged(machine: &Machine, events: &[&str]) -> Vec<String> {
    let log = machine.read("var/log/clusterware/instance.log");
    let is_of = |line: &&str| events.iter().any(|event| line.contains(&format!("[cluster-customizer:{event}]")));
    log.lines().filter(is_of).map(str::to_owned).collect()
}

/// Whether a node's hosts file has a line of this name.
fn has_host(machine: &Machine, name: &str) -> bool {
    machine.read("etc/hosts").lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}
