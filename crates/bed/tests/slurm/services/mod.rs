//! `cf-node service` with Debian's Slurm: the acceptance checks E8 to E14 (crates/node/CHECKS.md).

mod checks;
mod failures;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;

/// A program of a service. It writes its process id where it is told to, notes its start, and stays until it is ended.
const PROGRAM: &str = "/home/alice/space";

/// What a service is started with: user, folder, host name of its node, arguments, one line a start.
const STARTS: &str = "/home/alice/starts";

/// `space daemon FILE …` forks and returns, `space stay …` does not, `space deaf …` does not and hears no SIGTERM.
const SPACE: &str = r#"#!/bin/bash
how=$1; shift
note() { echo "$(id -un) $PWD $(hostname) $*" >>/home/alice/starts; }
case $how in
daemon) setsid bash -c 'echo $$ >"$1"; exec sleep 3600' daemon "${1#--pid-file=}" & note "$@" ;;
deaf) trap '' TERM; note "$@"; while :; do sleep 1; done ;;
stay) note "$@"; exec sleep 3600 ;;
fail) note "$@"; echo "no such world" >&2; exit 3 ;;
esac
"#;

/// A cluster on which alice has her program.
fn cluster() -> Result<Cluster> {
    let cluster = Cluster::with_agent()?;
    cluster.login.write(PROGRAM, 0o755, SPACE)?;
    Ok(cluster)
}

/// How `cf-node service` ends, and what it prints: output and errors.
struct Said {
    code: i32,
    text: String,
}

impl Said {
    fn must(self, code: i32) -> Result<String> {
        ensure!(self.code == code, "exit status {}, not {code}: {}", self.code, self.text);
        Ok(self.text)
    }
}

fn service_of(cluster: &Cluster, user: &str, words: &str) -> Result<Said> {
    let mut command = cluster.login.command("runuser")?;
    let done = command.args(["-u", user, "--", "/opt/clusterdrop/bin/cf-node", "service"]).args(words.split_whitespace()).output()?;
    let text = [done.stdout, done.stderr].concat();
    Ok(Said { code: done.status.code().context("an exit status")?, text: String::from_utf8_lossy(&text).into_owned() })
}

/// `cf-node service` of alice; the words are separated by blanks.
fn service(cluster: &Cluster, words: &str) -> Result<Said> {
    service_of(cluster, "alice", words)
}

/// The lines that services have left at their starts.
fn starts(cluster: &Cluster) -> Vec<String> {
    let text = cluster.login.run(&["cat", STARTS]).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a service's status is 0. Gives what it prints.
fn alive(cluster: &Cluster, name: &str) -> Result<String> {
    let seen = cluster.until(&format!("the service {name}"), || {
        let said = service(cluster, &format!("status {name}"))?;
        Ok((said.code == 0).then_some(said.text))
    });
    seen.with_context(|| {
        let status = service(cluster, &format!("status {name}")).map(|said| said.text).unwrap_or_default();
        let log = cluster.login.run(&["tail", "-n", "20", &format!("/home/alice/service-{name}.log")]).unwrap_or_default();
        format!("{status}\nits log:\n{log}")
    })
}

/// The node of a service that runs, by what its status prints.
fn node_of(status: &str) -> Result<String> {
    let (_, after) = status.split_once("running on ").with_context(|| format!("a node in {status:?}"))?;
    Ok(after.split_whitespace().next().context("a node")?.to_owned())
}
