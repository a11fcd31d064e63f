//! The stage for everything that runs on the emulator: tools installed, emulator started, the deployment on it, and a
//! user's and an administrator's view of it. The demo and the end-to-end tests stand on it alike.

pub mod children;
pub mod cli;
pub mod deploy;
pub mod emulator;
pub mod function;
pub mod invocations;
pub mod live;
pub mod localemu;
pub mod messages;
pub mod record;
pub mod scratch;
pub mod stand;
pub mod tools;

use std::path::PathBuf;

/// The project's folder.
pub fn root() -> PathBuf {
    // This crate lies one below it.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
