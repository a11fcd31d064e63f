//! Slurm as a cluster of clusterdrop uses it, without its programs: texts and facts in, texts and decisions out.
//!
//! It is a crate of its own, and no module of cf-node, for three reasons: its `clippy.toml` forbids clocks, files and the environment,
//! as that of cf-core does, so that "pure" is a lint; the simulation of [`scaling`] compiles and runs without the AWS SDK; and the
//! test bed needs the configuration without the agent. What reads the facts and carries the effects out is cf-node's part.
//!
//! - [`host_list`]: several nodes in one word, `compute-[1-3,7]`;
//! - [`group`]: the two groups of machines, and which nodes are whose;
//! - [`instance_type`]: what a machine will have, before there is one;
//! - [`config`]: `slurm.conf` and its two companions;
//! - [`scaling`]: when machines start and end;
//! - [`service`]: programs that run until they are removed;
//! - [`view`]: what Slurm answers of nodes and jobs.

pub mod config;
pub mod group;
pub mod host_list;
pub mod instance_type;
pub mod scaling;
pub mod service;
pub mod view;
