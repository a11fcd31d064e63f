//! Tables in documents name tests, rules and groups of the decision table. A name that does not exist shows nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cf_local::root;

/// Where tests, rules and groups of the decision table stand, and how a line begins that gives one its name.
const PLACES: [(&str, &str, &[&str]); 6] = [
    ("crates", "rs", &["fn ", "async fn "]),
    ("tests/src", "rs", &["fn "]),
    ("tests/tests", "rs", &["fn ", "async fn "]),
    ("tests/rules", "guard", &["rule "]),
    ("tests/iam/table", "yaml", &["- group: "]),
    ("tools/emulator/selfcheck", "py", &["def "]),
];

/// Every name that a table may give.
pub fn known() -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for (folder, extension, begins) in PLACES {
        names_in(&root().join(folder), extension, begins, &mut known)?;
    }
    Ok(known)
}

/// The rows of a document's tables, without those that give the columns their names.
pub fn rows(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let is_ruler = |line: &str| line.starts_with("| ---");
    let is_row = |at: usize, line: &str| line.starts_with("| ") && !is_ruler(line) && !lines.get(at + 1).is_some_and(|next| is_ruler(next));
    lines.iter().enumerate().filter(|(at, line)| is_row(*at, line)).map(|(_, line)| *line).collect()
}

/// The names in a row's last column that nothing has.
pub fn wrong_in(row: &str, known: &BTreeSet<String>) -> Vec<String> {
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
