//! The calls that the functions made, kept for `tests/iam/calls.mjs`, which puts each to its function's policy.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::deployment::Deployment;
use cf_local::recorded;

/// Keeps what was called since the last recording, with the one name that differs from deployment to deployment.
pub fn save(deployment: &Deployment, name: &str) -> Result<()> {
    let mut calls = deployment.take_function_calls()?;
    calls["values"] = json!({"SystemBucket": deployment.system_bucket});
    fs::create_dir_all(recorded())?;
    fs::write(recorded().join(format!("{name}.json")), calls.to_string())?;
    Ok(())
}
