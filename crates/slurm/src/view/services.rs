//! `squeue --json`, for the jobs of services.

use cf_core::plain::plain;

use super::queue::{Job, Queue};
use super::{ViewError, read};
use crate::service::{Note, Service, ServiceName, State};

/// Characters of a path that are shown.
const LOG_CHARS_MAX: usize = 300;

/// The services, in the order in which they were added. A job that only has a service's name is none.
pub fn services(json: &[u8]) -> Result<Vec<Service>, ViewError> {
    let queue: Queue = read("squeue", json)?;
    let mut services: Vec<Service> = queue.jobs.into_iter().filter_map(service).collect();
    services.sort_by_key(|service| service.job);
    Ok(services)
}

fn service(job: Job) -> Option<Service> {
    let (name, note) = (ServiceName::of_job(&job.name)?, Note::read(&job.comment)?);
    let state = state(&job, &note);
    Some(Service {
        name,
        job: job.id,
        owner: job.user_name,
        note,
        state,
        node: job.nodes,
        restarts: job.restart_cnt,
        log: plain(&job.standard_output, LOG_CHARS_MAX),
    })
}

fn state(job: &Job, note: &Note) -> State {
    let is = |word: &str| job.is(word);
    if is("PENDING") {
        let is_held = job.state_reason.starts_with("JobHeld") || is("REQUEUE_HOLD") || is("SPECIAL_EXIT");
        return if is_held { State::Held } else { State::Waiting(job.state_reason.clone()) };
    }
    if is("COMPLETING") {
        return State::Stopping;
    }
    if is("SUSPENDED") || is("STOPPED") {
        return State::Suspended;
    }
    match (is("RUNNING"), is("CONFIGURING"), note.up == Some(job.restart_cnt)) {
        (true, false, true) => State::Alive,
        (true, ..) | (_, true, _) => State::Starting,
        (false, false, _) => State::Over(job.states.join("+")),
    }
}
