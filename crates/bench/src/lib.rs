//! The yardstick: the functions' real binaries, each as a fresh process, under a small Lambda and against a stub of AWS;
//! beside them, in turns, a floor (a Lambda in Rust that does nothing) and a baseline (the original's calls in Python).
//!
//! Times are for people to look at, and only as ratios within one run. What can fail a build is counted: [`counts`].

pub mod binaries;
pub mod counts;
pub mod figures;
mod instructions;
mod lambda;
mod libraries;
mod run;
mod share;
mod start;
mod stub;
mod subject;
mod table;
mod valgrind;

pub use run::{How, run};

use std::path::PathBuf;

/// Where logs and results go.
pub fn folder() -> PathBuf {
    cf_e2e::root().join("target").join("bench")
}
