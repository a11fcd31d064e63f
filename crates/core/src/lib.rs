//! clusterdrop's domain: what is asked, what is there, what to do about it, and what people read of it.
//!
//! The flow, from an event to its last effect:
//!
//! 1. [`reconcile::wake`] is called with what woke a function, and finds out which cluster that concerns.
//! 2. [`reconcile::reconcile`] is one pass over that cluster, in rounds:
//!    - [`observe::look`] sends queries and returns a [`snapshot::Snapshot`];
//!    - [`decide::decide`] is pure: it answers uploads that can change nothing ([`mod@decide::triage`]), or names the one action for
//!      create, delete, phase and stack ([`decide::table`]), and returns a [`decide::Plan`];
//!    - the plan's [`effect::Effect`]s are carried out in order, up to the first fault;
//!    - [`reconcile::Outcome`] takes down what was done. Where the plan asks for it, or another pass was quicker, there is
//!      another round.
//! 3. [`reconcile::Environment::report`] gets the outcome, for logs and metrics.
//!
//! Only observing and executing reach the world, through [`observe::Observe`] and [`effect::Execute`]. Every text that people
//! read is a value of [`message`].

pub mod advice;
pub mod body;
pub mod causes;
pub mod characters;
mod cluster_parameters;
pub mod decide;
pub mod effect;
pub mod fault;
pub mod first_hour;
pub mod foundation;
pub mod instance_type;
pub mod key;
pub mod ledger;
pub mod ledger_cache;
mod lookalike;
pub mod message;
pub mod names;
pub mod node_name;
pub mod node_report;
pub mod node_reports;
pub mod node_signal;
pub mod number;
pub mod observe;
pub mod plain;
pub mod profile;
pub mod reconcile;
pub mod region;
pub mod request;
pub mod requested_parameters;
pub mod settings;
pub mod snapshot;
pub mod stack;
pub mod status;
pub mod sweep;
pub mod template;
pub mod testing;
pub mod verb;
