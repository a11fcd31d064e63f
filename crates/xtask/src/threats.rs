//! THREAT_MODEL.md names for each threat what shows the defence.

use std::fs;

use anyhow::{Result, bail};
use cf_local::root;

use crate::named::{known, rows, wrong_in};
use crate::transcript::Transcript;

pub fn check(out: &Transcript) -> Result<()> {
    let known = known()?;
    let text = fs::read_to_string(root().join("THREAT_MODEL.md"))?;
    let threats = rows(&text);
    let wrong: Vec<String> = threats.iter().flat_map(|row| wrong_in(row, &known)).collect();
    if threats.is_empty() || !wrong.is_empty() {
        bail!("THREAT_MODEL.md: {} threats\n  {}", threats.len(), wrong.join("\n  "));
    }
    out.say(&format!("  {} threats, each with what shows its defence", threats.len()));
    Ok(())
}
