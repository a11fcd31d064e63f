//! Waiting for a state, with a bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often it is looked for.
const EVERY: Duration = Duration::from_millis(50);

/// Waits until `seen` gives something, at most so long.
pub async fn until<T>(what: &str, most: Duration, mut seen: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + most;
    while Instant::now() < end {
        if let Some(found) = seen().await? {
            return Ok(found);
        }
        tokio::time::sleep(EVERY).await;
    }
    bail!("{what} did not come within {} s", most.as_secs())
}
