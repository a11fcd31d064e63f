//! Services: `cf-node service`, on the engine that is there. What a service is, and all texts, are in [`cf_slurm::service`].
//!
//! - [`command`]: the command line; its verbs are in `verbs`;
//! - `scheduler`: Slurm's programs;
//! - `owner`: the account that a service runs as;
//! - [`run`]: what a service's job runs on its node: it starts the program, watches it, ends it, and queues the job again;
//! - `processes`: the program and all that it starts.

pub mod command;
mod owner;
mod processes;
pub mod run;
mod scheduler;
mod verbs;
