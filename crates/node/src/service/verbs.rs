//! What the verbs of `cf-node service` do: each reads what Slurm has, and none keeps anything beside it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use cf_slurm::scaling::Power;
use cf_slurm::service::{Ask, Service, ServiceName, State, Wish, table};
use tokio::time::sleep;

use super::command::AddArguments;
use super::owner::Owner;
use super::scheduler::{Scheduler, Which};
use crate::programs::Programs;

/// How long the end of a service is waited for: the program has six seconds, Slurm takes 30 s more (`KillWait`) where the agent does not
/// answer, and a lost node is given up after a minute (`SlurmdTimeout`).
const END_MAX: Duration = Duration::from_secs(90);

/// Between two looks at what ends.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// `add`: refused before there is a job, or there is one.
pub async fn add(arguments: &AddArguments) -> Result<ExitCode> {
    let (owner, is_other) = Owner::of_service(arguments.user.as_deref(), &Programs::default()).await?;
    let cwd = arguments.cwd.as_deref().unwrap_or(&owner.home);
    let log = format!("{}/service-{}.log", owner.home.trim_end_matches('/'), arguments.name);
    let AddArguments { name, target, command, cpus, memory, .. } = arguments;
    let wish = Wish { name, target, cwd, log: &log, command, cpus: *cpus, memory_mib: *memory };
    let ask = Ask::check(&wish).map_err(|broken| anyhow!(broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    let slurm = Scheduler::default();
    if let Some(other) = holder(&slurm, &ask.name).await? {
        bail!(taken(&other));
    }
    let job = slurm
        .submit(&ask, is_other.then_some(owner.login.as_str()))
        .await
        .map_err(|why| anyhow!("Slurm does not take the service {}: {why}", ask.name))?;
    // Of two that are added at once, the first one stays.
    if let Some(other) = holder(&slurm, &ask.name).await?.filter(|other| other.job < job) {
        slurm.cancel(job).await.map_err(|why| anyhow!("{}\nIts own job {job} is left: {why}", taken(&other)))?;
        bail!(taken(&other));
    }
    println!("The service {} is job {job}, for {}. `cf-node service status {}` says when it runs.", ask.name, ask.target, ask.name);
    println!("What it prints: {log}");
    Ok(ExitCode::SUCCESS)
}

/// The service that has a name.
async fn holder(slurm: &Scheduler, name: &ServiceName) -> Result<Option<Service>> {
    let services = slurm.services(Which::Named(name)).await.map_err(|why| anyhow!(why))?;
    Ok(services.into_iter().find(Service::is_active))
}

fn taken(other: &Service) -> String {
    let Service { name, job, owner, .. } = other;
    format!(
        "there is a service {name} already: job {job} of {owner}, {}. Take another name, or first: cf-node service remove {name}",
        other.state()
    )
}

/// `list`.
pub async fn list(json: bool) -> Result<ExitCode> {
    let services = listed(&Scheduler::default()).await?;
    if json {
        let shown: Vec<_> = services.iter().map(as_json).collect();
        println!("{}", serde_json::to_string_pretty(&shown)?);
    } else {
        print!("{}", table(&services));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(service: &Service) -> serde_json::Value {
    let Service { name, job, owner, note, state, node, restarts, log } = service;
    serde_json::json!({
        "name": name, "job": job, "user": owner, "target": note.target, "command": note.command, "state": state.to_string(),
        "detail": service.state(), "node": node, "restarts": restarts, "last_failure": note.last, "log": log,
    })
}

/// Those that are there.
async fn listed(slurm: &Scheduler) -> Result<Vec<Service>> {
    let services = slurm.services(Which::All).await.map_err(|why| anyhow!(why))?;
    Ok(services.into_iter().filter(|service| !matches!(service.state, State::Over(_))).collect())
}

/// `status`: whether it runs, and if not, why.
pub async fn status(name: &ServiceName) -> Result<ExitCode> {
    let slurm = Scheduler::default();
    let services = slurm.services(Which::Named(name)).await.map_err(|why| anyhow!(why))?;
    // The one that has the name, or the last one that had it.
    let Some(service) = services.iter().find(|service| service.is_active()).or(services.last()) else {
        bail!("{}", unknown(name.to_string().as_str(), &listed(&slurm).await?));
    };
    println!("{}", service.detail());
    if service.state != State::Alive {
        return Ok(ExitCode::FAILURE);
    }
    // Slurm has a job as running until it has given its node up.
    let nodes = slurm.nodes().await.map_err(|why| anyhow!(why))?;
    let power = service.node.parse().ok().and_then(|node| nodes.get(&node)).map(|facts| facts.power);
    if power == Some(Power::Silent) {
        println!("But {} does not answer now. If it stays so, the service starts again.", service.node);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(text: &str, services: &[Service]) -> String {
    if services.is_empty() {
        return format!("there is no service {text}: there is none at all");
    }
    let names: Vec<String> = services.iter().map(|service| service.name.to_string()).collect();
    format!("there is no service {text}; there is {}", names.join(", "))
}

/// `remove`: one, by its name or index, or all.
pub async fn remove(service: Option<&str>) -> Result<ExitCode> {
    let slurm = Scheduler::default();
    let services = listed(&slurm).await?;
    let chosen = match service {
        None => services,
        Some(text) => vec![find(&services, text).cloned().ok_or_else(|| anyhow!(unknown(text, &services)))?],
    };
    if chosen.is_empty() {
        println!("There is no service.");
    }
    let mut failed = Vec::new();
    let mut ending = Vec::new();
    for service in chosen {
        match end(&slurm, &service).await {
            Ok(()) => ending.push(service),
            Err(why) => failed.push(format!("{} is not removed: {why}", service.name)),
        }
    }
    failed.extend(see_off(&slurm, ending).await);
    if failed.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(anyhow!(failed.join("\n"))) }
}

/// The service of a name that has it still, else one that ends; or the one at an index.
fn find<'a>(services: &'a [Service], text: &str) -> Option<&'a Service> {
    if let Ok(index) = text.parse::<usize>() {
        return services.get(index);
    }
    let mut named = services.iter().filter(|service| service.name.to_string() == text);
    named.clone().find(|service| service.is_active()).or_else(|| named.next())
}

/// Asks Slurm to end a service's job. One that is over meanwhile is ended too.
async fn end(slurm: &Scheduler, service: &Service) -> Result<(), String> {
    let Err(why) = slurm.cancel(service.job).await else { return Ok(()) };
    let now = slurm.services(Which::Named(&service.name)).await?;
    if now.iter().any(|other| other.job == service.job && other.is_active()) { Err(why) } else { Ok(()) }
}

/// Waits until the processes of these have ended, and says so of each. Returns what is left.
async fn see_off(slurm: &Scheduler, mut ending: Vec<Service>) -> Vec<String> {
    let began = Instant::now();
    while !ending.is_empty() {
        let there = match slurm.services(Which::All).await {
            Ok(services) => services,
            Err(why) => return vec![format!("the end of {} cannot be seen: {why}", names(&ending))],
        };
        let is_there = |service: &Service| there.iter().any(|other| other.job == service.job && !matches!(other.state, State::Over(_)));
        ending.retain(|service| {
            let stays = is_there(service);
            if !stays {
                println!("{} is removed.", service.name);
            }
            stays
        });
        if ending.is_empty() || began.elapsed() > END_MAX {
            break;
        }
        // Somebody may have queued it again at the same time, as for a node that is lost.
        for service in there.iter().filter(|other| other.is_active() && ending.iter().any(|service| service.job == other.job)) {
            if let Err(why) = slurm.cancel(service.job).await {
                tracing::debug!("{} is not ended yet: {why}", service.name);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    let left = |service: &Service| {
        let Service { name, node, job, .. } = service;
        format!(
            "{name} will not start again, but after {} s Slurm has not seen the end of its processes on {node} (job {job}). Does the node \
             answer? scontrol show node {node}",
            END_MAX.as_secs()
        )
    };
    ending.iter().map(left).collect()
}

fn names(services: &[Service]) -> String {
    services.iter().map(|service| service.name.to_string()).collect::<Vec<_>>().join(", ")
}
