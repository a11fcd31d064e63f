//! One cluster from upload to receipt, and a file with mistakes.

use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow, bail};
use cf_local::emulator::Emulator;

use super::alice::{Alice, text};
use super::cluster::Cluster;
use super::{give_profile, leave_running, profile, until};
use crate::chore::{headline, show as show_text};

/// The founding example, as it stands in the project's templates.
const EXAMPLE: &str = include_str!("../../../../templates/example.cf-create");

const THREE_MISTAKES: &str = r#"{
    "ComputeSpotPrize": "0.03",
    "MasterInstanceTypeOther": "r4.lage-2C-15.25GB",
    "MasterSystemVolumeSize": 8
}
"#;

/// Seconds for each part of the cluster. The deployment went as fast as it could; a cluster is to be watched.
const SECONDS_EACH: f64 = 0.8;

pub fn show(alice: &Alice, keep: bool, emulator: &Emulator) -> Result<()> {
    give_profile(alice, &[("configure.d/user.sh", profile::KEY)])?;
    alice.expects_a_real_node(SECONDS_EACH)?;
    let cluster = creates(alice)?;
    makes_mistakes(alice)?;
    if keep {
        leave_running(emulator, &[]);
    }
    alice.deletes(|| cluster.end())?;
    headline("That was the whole of it.");
    println!("  `cargo xtask demo --keep` leaves it running to be tried by hand, `cargo xtask demo --nodes` shows what its nodes do among");
    println!("  themselves; docs/administrators.md describes how to deploy it to AWS.\n");
    Ok(())
}

fn creates(alice: &Alice) -> Result<Cluster<'_>> {
    headline("Alice drops a file: s3://af-users-eu-west-2/home/alice/mycluster.cf-create");
    show_text(EXAMPLE);
    alice.drops("mycluster.cf-create", EXAMPLE)?;
    let cluster = followed(alice)?;
    headline("Her answer: mycluster.cf-created");
    show_text(&alice.answer("mycluster.cf-created")?);
    until("the removal of mycluster.cf-create", || Ok(alice.text("mycluster.cf-create")?.is_none().then_some(())))?;
    println!("  (and mycluster.cf-create is gone: it was the work item, and the work is done)");
    headline("What runs in the account");
    let stacks = alice.stacks()?;
    let stack = stacks.first().context("the stack is not there")?;
    show_text(&format!("{} {}", text(&stack["StackName"]), text(&stack["StackStatus"])));
    for tag in stack["Tags"].as_array().into_iter().flatten() {
        show_text(&format!("{} = {}", text(&tag["Key"]), text(&tag["Value"])));
    }
    headline("The administrator's mail");
    let mail = until("the mail", || alice.mail())?;
    show_text(&format!("Subject: {}\n\n{}", text(&mail["Subject"]), text(&mail["BodyText"])));
    Ok(cluster)
}

/// Shows the status file until the cluster is ready. Meanwhile its login node boots: the cluster is ready because that node signals.
pub fn followed(alice: &Alice) -> Result<Cluster<'_>> {
    println!(
        "\n  Her status file, mycluster.cf-status, as it moves. Her login node boots on this machine, by its real user data and agent:\n"
    );
    thread::scope(|scope| {
        let mut booting = Some(scope.spawn(|| Cluster::with_login_node(alice)));
        let mut cluster = None;
        let followed = alice.follow(|| {
            if let Some(ended) = booting.take_if(|booting| booting.is_finished()) {
                cluster = Some(booted(ended)?);
            }
            cluster.as_mut().map_or(Ok(()), Cluster::check)
        });
        match (followed, cluster) {
            (Ok(()), Some(cluster)) => Ok(cluster),
            (Err(error), Some(cluster)) => Err(cluster.explained(0, &error)),
            (Err(error), None) => Err(error),
            (Ok(()), None) => bail!("the cluster is ready, and its login node has not booted yet: somebody else signalled for it"),
        }
    })
}

fn booted<'a>(thread: ScopedJoinHandle<'_, Result<Cluster<'a>>>) -> Result<Cluster<'a>> {
    thread.join().map_err(|_| anyhow!("booting the login node panicked"))?
}

fn makes_mistakes(alice: &Alice) -> Result<()> {
    headline("A file with three mistakes: typos.cf-create");
    show_text(THREE_MISTAKES);
    alice.drops("typos.cf-create", THREE_MISTAKES)?;
    headline("Its answer: typos.cf-failed");
    show_text(&alice.answer("typos.cf-failed")?);
    Ok(())
}
