//! The documents against the project: links lead somewhere, paths exist, and every alarm is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cf_local::root;

/// The documents for people, outside the folders of tests and tools, which have a README each.
fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = in_folder(root()).chain(in_folder(root().join("docs")));
    all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A document without its code blocks.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut is_code = false;
    let outside = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    text.lines().filter(outside).fold(String::new(), |text, line| text + line + "\n")
}

/// GitHub's anchors of a document's headings: letters, digits and hyphens, in lower case.
fn anchors(path: &Path) -> BTreeSet<String> {
    let kept = |c: char| c.is_alphanumeric() || " -_".contains(c);
    let text = prose(path);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| heading.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    for document in documents() {
        for target in prose(&document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let path = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            assert!(path.exists(), "{}: {target}", document.display());
            assert!(anchor.is_none_or(|anchor| anchors(&path).contains(anchor)), "{}: {target}", document.display());
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let folders = ["crates/", "docs/", "events/", "iam/", "templates/", "tests/", "tools/"];
    let mut paths = 0;
    for document in documents().into_iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        for named in prose(&document).split('`').skip(1).step_by(2).filter(|code| folders.iter().any(|folder| code.starts_with(folder))) {
            assert!(root().join(named).exists(), "{}: {named}", document.display());
            paths += 1;
        }
    }
    assert!(paths > 40, "{paths}");
}

#[test]
fn every_alarm_is_explained_to_the_administrator() {
    let template = include_str!("../../../template.yaml");
    let names = template.lines().filter_map(|line| line.trim().strip_prefix("AlarmName: !Sub ${Prefix}-"));
    let alarms: BTreeSet<&str> = names.collect();
    let text = include_str!("../../../docs/administrators.md");
    let rows = text.split("\n| alarm |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default().lines().skip(2);
    let cells = rows.filter_map(|row| row.trim_start_matches('|').split('|').next());
    let explained: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| !name.contains('=')).collect();
    assert!(alarms.len() > 20, "{alarms:?}");
    assert_eq!(explained, alarms);
}
