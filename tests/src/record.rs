//! The calls that the functions made, kept for `tests/iam/calls.mjs`, which puts each to its function's policy.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::root;
use crate::stand::Stand;

/// Where the recordings lie, one file for each deployment.
pub fn folder() -> PathBuf {
    root().join("target/recorded")
}

/// Keeps what was called since the last recording, with the one name that differs from deployment to deployment.
pub fn save(stand: &Stand, name: &str) -> Result<()> {
    let mut recorded = stand.take_function_calls()?;
    recorded["values"] = json!({"SystemBucket": stand.system_bucket});
    fs::create_dir_all(folder())?;
    fs::write(folder().join(format!("{name}.json")), recorded.to_string())?;
    Ok(())
}
