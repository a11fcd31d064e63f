//! crates/node/CHECKS.md names for each acceptance check of the node agent the tests that show it.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use cf_local::root;

use crate::named::{known, rows, wrong_in};
use crate::transcript::Transcript;

const DOCUMENT: &str = "crates/node/CHECKS.md";

/// The acceptance checks that the agent has to pass: of the customiser (B), of services and their clusters (E), of the exchange (F).
const CHECKS: [(char, RangeInclusive<u32>); 4] = [('B', 1..=23), ('E', 2..=3), ('E', 8..=14), ('F', 1..=12)];

pub fn check(out: &Transcript) -> Result<()> {
    let known = known()?;
    let text = fs::read_to_string(root().join(DOCUMENT))?;
    let rows = rows(&text);
    let mut wrong: Vec<String> = rows.iter().flat_map(|row| wrong_in(row, &known)).collect();
    wrong.extend(missing(&rows));
    if !wrong.is_empty() {
        bail!("{DOCUMENT}:\n  {}", wrong.join("\n  "));
    }
    out.say(&format!("  {} checks and bad inputs, each with its tests", rows.len()));
    Ok(())
}

/// The checks without a row of their own.
fn missing(rows: &[&str]) -> Vec<String> {
    let listed: BTreeSet<&str> = rows.iter().filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
    let wanted = CHECKS.into_iter().flat_map(|(letter, numbers)| numbers.map(move |number| format!("{letter}{number}")));
    wanted.filter(|check| !listed.contains(check.as_str())).map(|check| format!("no row is of {check}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_a_row_is_missing() {
        let text = "| check | tests |\n| --- | --- |\n| B1 | `a` |\n| F12 | `b` |\n";
        let missing = missing(&rows(text));
        assert_eq!(missing.len(), 42);
        assert_eq!((missing[0].as_str(), missing[42 - 1].as_str()), ("no row is of B2", "no row is of F11"));
    }
}
