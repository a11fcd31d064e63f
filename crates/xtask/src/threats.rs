//! THREAT_MODEL.md names for each threat what shows the defence. A name that does not exist shows nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cf_local::root;

use crate::transcript::Transcript;

/// Where tests, rules and groups of the decision table stand, and how a line begins that gives one its name.
const PLACES: [(&str, &str, &[&str]); 5] = [
    ("crates", "rs", &["fn ", "async fn "]),
    ("tests/src", "rs", &["fn "]),
    ("tests/tests", "rs", &["fn ", "async fn "]),
    ("tests/rules", "guard", &["rule "]),
    ("tests/iam/table", "yaml", &["- group: "]),
];

pub fn check(out: &Transcript) -> Result<()> {
    let mut known = BTreeSet::new();
    for (folder, extension, begins) in PLACES {
        names_in(&root().join(folder), extension, begins, &mut known)?;
    }
    let text = fs::read_to_string(root().join("THREAT_MODEL.md"))?;
    let threats: Vec<&str> =
        text.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| ---") && !l.starts_with("| could ")).collect();
    let wrong: Vec<String> = threats.iter().flat_map(|row| wrong_in(row, &known)).collect();
    if threats.is_empty() || !wrong.is_empty() {
        bail!("THREAT_MODEL.md: {} threats\n  {}", threats.len(), wrong.join("\n  "));
    }
    out.say(&format!("  {} threats, each with what shows its defence", threats.len()));
    Ok(())
}

/// The names in a row's last column that nothing has.
fn wrong_in(row: &str, known: &BTreeSet<String>) -> Vec<String> {
    let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
    if named.is_empty() {
        return vec![format!("nothing is named that shows: {row}")];
    }
    named.into_iter().filter(|name| !known.contains(*name)).map(|name| format!("there is no {name:?}")).collect()
}

fn names_in(folder: &Path, extension: &str, begins: &[&str], known: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            names_in(&path, extension, begins, known)?;
        } else if path.extension().is_some_and(|e| e == extension) {
            names_of(&fs::read_to_string(&path)?, extension == "rs", begins, known);
        }
    }
    Ok(())
}

/// A function counts only where it says that it is a test, and is run.
fn names_of(text: &str, is_code: bool, begins: &[&str], known: &mut BTreeSet<String>) {
    let mut attributes = String::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            attributes += line;
            continue;
        }
        let counts = !is_code || attributes.contains("test]") && !attributes.contains("ignore");
        attributes.clear();
        if let Some(rest) = begins.iter().find_map(|begin| line.strip_prefix(begin)).filter(|_| counts) {
            let name = rest.split(['(', '{']).next().unwrap_or_default().split(" when ").next().unwrap_or_default();
            known.insert(name.trim().to_owned());
        }
    }
}
