//! The smoke test against a real account: its plan, to be run by an administrator. The text is `tests/smoke/plan.md`; nothing here calls
//! AWS.

use anyhow::{Result, bail};

/// The plan as it is printed.
const PLAN: &str = include_str!("../../../tests/smoke/plan.md");

/// Prints the plan.
pub fn run(plan: bool) -> Result<()> {
    if !plan {
        bail!("the smoke test runs commands in your account, so it is for you to run: `cargo xtask smoke --plan` prints them");
    }
    print!("{PLAN}");
    Ok(())
}

#[cfg(test)]
#[path = "smoke_tests.rs"]
mod tests;
