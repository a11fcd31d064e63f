//! Waiting for a state, with a bound: nothing reports a port that opens, or a file that comes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often it is looked for.
const EVERY: Duration = Duration::from_millis(50);

/// Waits until `seen` gives something, at most so long.
pub fn until<T>(what: &str, most: Duration, mut seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + most;
    while Instant::now() < end {
        if let Some(found) = seen()? {
            return Ok(found);
        }
        thread::sleep(EVERY);
    }
    bail!("{what} did not come within {} s", most.as_secs())
}
