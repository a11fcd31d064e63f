//! clusterdrop on AWS: events in, and the domain's two traits over the SDK's clients.
//!
//! A function is [`function::run`] with its name; everything that it decides is decided in `cf-core`.

mod client;
mod effects;
pub mod event;
mod fault;
mod first_hour;
pub mod function;
pub mod handle;
mod log;
mod publish;
mod queries;
pub mod reports;
mod settings;
mod stacks;
mod wire;

pub use client::Aws;
pub use settings::{SettingError, settings_from};
