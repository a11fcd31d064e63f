//! What a process takes, as Linux reports it in /proc (proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// The memory that is resident, in MiB (`VmRSS`).
pub fn resident_mebibytes(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).context(path)?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kibibytes.context("no VmRSS")? / 1024.0)
}

/// The seconds of processors that it has taken since its start, in user and in system mode.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).context(path)?;
    // The name before the last parenthesis may hold anything.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("too few fields");
    #[expect(clippy::cast_precision_loss, reason = "a hundred ticks a second")]
    let a_second = rustix::param::clock_ticks_per_second() as f64;
    Ok((ticks(11)? + ticks(12)?) / a_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_takes_time() {
        let me = std::process::id();
        let before = cpu_seconds(me).unwrap();
        let mut sum = 0_u64;
        // Work that the optimizer keeps, until a tick has passed.
        while cpu_seconds(me).unwrap() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let memory = resident_mebibytes(me).unwrap();
        assert!((1.0..10_000.0).contains(&memory), "{memory}");
    }
}
