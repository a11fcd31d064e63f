//! The acceptance checks of the customiser and of the exchange (`crates/node/CHECKS.md`) that concern S3, other nodes or what the user
//! reads, from end to end: the agent that was deployed, fetched and started by the cluster's own user data, on a login node and compute
//! nodes; the buckets of the emulator; real scripts; and the commands as people give them.
//!
//! Each test has a user, a cluster and a part of the loopback network of its own. What a role may not do is not seen here, for the
//! emulator lets everybody do everything (`tests/iam` and `tests/tests/live_iam` judge rights); where a test needs a refusal, it orders one.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod exchange;
mod failures;
mod live;
mod profiles;
mod pushed;
mod queue;
