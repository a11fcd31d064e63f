//! `cf-node service run`: what a service's job runs on its node, as the service's account. It starts the program, watches it, and ends it
//! when Slurm ends the job. Where the program dies, it notes why in the job's comment and queues the job again.
//!
//! Everything that it says goes to the job's output, the service's log.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cf_slurm::service::{Next, Note, PATH, ServiceName, State, Target, at_start, excluded, uses_pid_file};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::owner::Owner;
use super::processes::{Processes, Start};
use super::scheduler::{Scheduler, Which};
use crate::node::NodeName;
use crate::programs::Programs;
use crate::signals::Signals;

/// Between SIGTERM and SIGKILL (facts E.4).
const GRACE: Duration = Duration::from_secs(6);

/// A process that is no child of ours is looked at so often; the end of a child is reported at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two tries of what slurmctld did not take. While it is away the program goes on.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// Slurm's SIGTERM comes so soon after it has queued the job again.
const REQUEUED_WAIT: Duration = Duration::from_secs(10);

/// How long Slurm is asked what a SIGTERM was for.
const ASK_MAX: Duration = Duration::from_secs(20);

/// What is run.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    name: ServiceName,
    target: Target,
    #[arg(long)]
    cwd: String,
    #[arg(last = true)]
    command: Vec<String>,
}

/// The job that this process is in, by the variables that Slurm sets.
#[derive(Debug)]
struct Job {
    id: u64,
    /// How often it was queued again before this run.
    run: u32,
    node: Option<NodeName>,
}

impl Job {
    fn of_environment() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let id = variable("SLURM_JOB_ID").and_then(|id| id.parse().ok());
        Ok(Self {
            id: id.context("this is what a service's job runs, and here is no job: SLURM_JOB_ID is not set. See cf-node service add")?,
            run: variable("SLURM_RESTART_COUNT").and_then(|count| count.parse().ok()).unwrap_or_default(),
            node: variable("SLURMD_NODENAME").and_then(|name| name.parse().ok()),
        })
    }
}

/// Why a run is over.
enum Over {
    /// A signal came that asks for the end.
    Asked,
    /// The program ended, in this way.
    Died(String),
}

/// Runs a service until Slurm ends its job, or its program dies.
pub async fn run(arguments: &RunArguments) -> Result<ExitCode> {
    let job = Job::of_environment()?;
    let slurm = Scheduler::default();
    let mut signals = Signals::listen()?;
    let children = signal(SignalKind::child())?;
    let mut note = known(&slurm, &job).await.unwrap_or_else(|| Note::new(arguments.target, &arguments.command));
    note.up = None;
    let began = Instant::now();
    let over = live(arguments, &job, &slurm, &note, &mut signals, children).await;
    // A program may end by Slurm's SIGTERM before this process hears of its own.
    let state = seen(&slurm, job.id).await;
    let why = match (over, state) {
        (_, Some(state)) if !is_running(&state) => {
            tracing::info!("{} is stopped", arguments.name);
            return Ok(ExitCode::SUCCESS);
        }
        // Slurm does not answer: the whole cluster is about to end, or its login node, which takes this job for lost with its node.
        (Over::Asked, None) => return Ok(ExitCode::FAILURE),
        (Over::Asked, Some(_)) => "was ended by a signal that was not Slurm's".to_owned(),
        (Over::Died(why), _) => why,
    };
    let (note, next) = note.ended(began.elapsed(), &on(&job, &why));
    tracing::warn!("{}: its program {}", arguments.name, note.last);
    again(&slurm, &job, &note, next, &mut signals).await;
    Ok(ExitCode::SUCCESS)
}

fn on(job: &Job, why: &str) -> String {
    job.node.map_or_else(|| why.to_owned(), |node| format!("{why} (on {node})"))
}

/// What the comment says now: of the runs before this one.
async fn known(slurm: &Scheduler, job: &Job) -> Option<Note> {
    let services = slurm.services(Which::Job(job.id)).await;
    let services = services.inspect_err(|why| tracing::warn!("earlier runs are not known, and count no more: {why}")).ok()?;
    services.into_iter().find(|service| service.job == job.id).map(|service| service.note)
}

/// The life of the program. All its processes have ended when this returns.
async fn live(arguments: &RunArguments, job: &Job, slurm: &Scheduler, note: &Note, signals: &mut Signals, mut children: Signal) -> Over {
    // Of this run alone: what an earlier one left in it would name another process by now.
    let folder = match tempfile::Builder::new().prefix("cf-service-").tempdir_in("/tmp") {
        Ok(folder) => folder,
        Err(error) => return Over::Died(format!("could not be started: there is no room for the file of its process id: {error}")),
    };
    let pid_file = folder.path().join("pid");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let command = at_start(&arguments.command, &pid_file.to_string_lossy(), host.trim());
    let environment = environment(&arguments.cwd).await;
    let start = Start {
        command: &command,
        cwd: &arguments.cwd,
        environment: &environment,
        pid_file: uses_pid_file(&arguments.command).then_some(pid_file),
    };
    let mut processes = match Processes::start(&start) {
        Ok(processes) => processes,
        Err(why) => return Over::Died(why),
    };
    tracing::info!("{} starts, run {} of job {}: {}", arguments.name, job.run, job.id, note.command);
    let over = watch(&mut processes, &note.clone().up(job.run), job, slurm, signals, &mut children).await;
    processes.end(GRACE).await;
    over
}

async fn watch(processes: &mut Processes, up: &Note, job: &Job, slurm: &Scheduler, signals: &mut Signals, children: &mut Signal) -> Over {
    let mut noted = false;
    let mut tried: Option<Instant> = None;
    loop {
        if let Some(why) = processes.look() {
            return Over::Died(why);
        }
        if processes.is_up() && !noted && tried.is_none_or(|tried| tried.elapsed() > TRY_EVERY) {
            tried = Some(Instant::now());
            tokio::select! {
                () = signals.next() => return Over::Asked,
                written = slurm.write(job.id, up) => match written {
                    Ok(()) => noted = true,
                    Err(why) => tracing::warn!("Slurm does not know yet that the program runs: {why}"),
                },
            }
            continue;
        }
        tokio::select! {
            () = signals.next() => return Over::Asked,
            _ = children.recv() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// What the program finds in its environment: its account, and Slurm's variables.
async fn environment(cwd: &str) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SLURM"))
        .collect();
    let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
    set("PATH", PATH);
    set("LANG", "C.UTF-8");
    set("PWD", cwd);
    match Owner::caller(&Programs::default()).await {
        Ok(Owner { login, home, shell }) => {
            for (name, value) in [("HOME", &home), ("USER", &login), ("LOGNAME", &login), ("SHELL", &shell)] {
                set(name, value);
            }
        }
        Err(error) => tracing::warn!("HOME and USER are not set: {error:#}"),
    }
    environment
}

/// How Slurm has the job, asked until it answers, at most [`ASK_MAX`] long.
async fn seen(slurm: &Scheduler, job: u64) -> Option<State> {
    let asked = async {
        loop {
            match slurm.services(Which::Job(job)).await {
                Ok(services) => {
                    let found = services.into_iter().find(|service| service.job == job);
                    return found.map_or_else(|| State::Over("unknown".to_owned()), |service| service.state);
                }
                Err(why) => tracing::warn!("Slurm does not answer: {why}"),
            }
            sleep(TRY_EVERY).await;
        }
    };
    timeout(ASK_MAX, asked).await.ok()
}

/// Whether Slurm has left the job alone: it has not ended it, nor queued it again.
fn is_running(state: &State) -> bool {
    matches!(state, State::Alive | State::Starting)
}

/// Queues the job again, however long slurmctld is away. When Slurm has taken it, it ends this process.
async fn again(slurm: &Scheduler, job: &Job, note: &Note, next: Next, signals: &mut Signals) {
    let elsewhere = match job.node.filter(|_| next == Next::Requeue) {
        Some(here) => slurm.nodes().await.map(|nodes| excluded(note.target, here, &nodes)),
        None => Ok(None),
    };
    if let Err(why) = slurm.write(job.id, note).await {
        tracing::warn!("why the program ended is not noted: {why}");
    }
    while let Err(why) = slurm.requeue(job.id, next).await {
        match seen(slurm, job.id).await {
            // It was taken, and `scontrol` told to end before it could say so.
            Some(State::Waiting(_) | State::Held) => break,
            Some(State::Stopping | State::Over(_)) => return,
            _ => tracing::warn!("the job is not queued again yet: {why}"),
        }
        sleep(TRY_EVERY).await;
    }
    // Only a waiting job can be kept from a node. What is started before Slurm's signal would get that too.
    let _ = timeout(REQUEUED_WAIT, signals.next()).await;
    let written = match elsewhere {
        Ok(left) if note.target == Target::Any => slurm.exclude(job.id, left).await,
        Ok(_) => Ok(()),
        Err(why) => Err(why),
    };
    if let Err(why) = written {
        tracing::warn!("the next run may be on this node again: {why}");
    }
}
