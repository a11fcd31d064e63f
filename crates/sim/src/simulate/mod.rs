//! The simulator: whole lives of clusters on a virtual clock, from a seed. People drop, replace and withdraw files, an
//! administrator works by hand, stacks fail and hang, events come late, twice or never, functions die between any two calls,
//! and calls are lost, late and throttled. At every step nothing may be said that is not true and nobody may touch what is
//! another's; and once the faults have ended, two sweeps later nobody is owed anything.
//!
//! A run ([`run`]) is a queue of things that happen at their time (`event_queue.rs`). Functions are the real domain's futures, polled when
//! their call's answer has come, so that many run at once and meet between any two calls. Every fall of the dice has its own
//! key ([`dice`]), so a seed replays exactly, and a failing run is shrunk by leaving things out ([`mod@shrink`]).

mod answers;
pub mod bug;
mod caller;
mod context;
mod delivery;
pub mod dice;
mod event_queue;
pub mod fault_plan;
mod nodes;
mod oracle;
pub mod plain;
mod reasons;
mod run;
mod run_settings;
pub mod script;
pub mod shrink;
mod stack_transitions;
mod steps;
pub mod tally;
mod trace;

pub use bug::Bug;
pub use fault_plan::FaultKind;
pub use run::run;
pub use run_settings::{Report, RunSettings};
pub use shrink::shrink;
pub use tally::Tally;
