//! The rules of `tests/rules`: what the two templates promise about security, in cfn-guard's language.
//! A rule counts only where a broken template was seen to fail by it, a sound one to pass, and one of ours to be about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_local::children;
use cf_local::root;
use cf_local::tools::{self, Tool};
use serde_json::Value;

use crate::transcript::Transcript;

/// Rules about every template, about `template.yaml`, and about `templates/cluster.yaml`.
const FOLDERS: [&str; 3] = ["both", "deployment", "cluster"];

/// What cfn-guard ends with where rules and expectations differ, and where a template breaks a rule.
const UNEXPECTED: i32 = 7;
const BROKEN: i32 = 19;

pub fn run(out: &Transcript) -> Result<()> {
    let rules = prove()?;
    let deployment = translate(&root().join("template.yaml"), "template.json")?;
    let mut met = judge(out, &deployment, "template.yaml, as SAM translates it,", &["both", "deployment"])?;
    met.extend(judge(out, &root().join("templates/cluster.yaml"), "templates/cluster.yaml", &["both", "cluster"])?);
    let idle: Vec<&str> = rules.iter().filter(|rule| !met.contains(*rule)).map(String::as_str).collect();
    if !idle.is_empty() {
        bail!("nothing in either template is what these rules are about, so they promise nothing: {}", idle.join(", "));
    }
    out.say(&format!("  {} rules: each catches what it should, and both templates keep them", rules.len()));
    Ok(())
}

fn folder(name: &str) -> PathBuf {
    root().join("tests/rules").join(name)
}

/// Tries each rule on the small templates beside it, and returns the names of all.
fn prove() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for name in FOLDERS {
        let said = guard(&["test", "--output-format", "json", "--dir", &folder(name).to_string_lossy()], UNEXPECTED)?;
        let mut seen = BTreeSet::new();
        for file in list(&said) {
            for case in list(&file["test_cases"]) {
                for rule in list(&case["passed_rules"]) {
                    seen.insert((text(&rule["name"]), text(&rule["evaluated"])));
                }
                wrong.extend(list(&case["failed_rules"]).iter().map(|rule| {
                    format!("{}: {} should be {}, and is {}", case["name"], rule["name"], rule["expected"], rule["evaluated"])
                }));
            }
        }
        for rule in named(&folder(name))? {
            for (end, what) in [("FAIL", "broken template that it catches"), ("PASS", "sound template that it lets pass")] {
                if !seen.contains(&(rule.clone(), end.to_owned())) {
                    wrong.push(format!("{rule}: tests/rules/{name}/tests has no {what}"));
                }
            }
            if !names.insert(rule.clone()) {
                wrong.push(format!("{rule}: two rules are called so"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("the rules are not proven:\n  {}", wrong.join("\n  "));
    }
    Ok(names)
}

/// The names of all rules in a folder.
fn named(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "guard") {
            let content = fs::read_to_string(&path)?;
            let rules = content.lines().filter_map(|line| line.strip_prefix("rule "));
            names.extend(rules.filter_map(|rule| rule.split_whitespace().next().map(str::to_owned)));
        }
    }
    Ok(names)
}

/// What CloudFormation gets of a template, as a file of that name: SAM makes functions, their failure queues and their queues' readers of a
/// short hand.
pub fn translate(template: &Path, name: &str) -> Result<PathBuf> {
    let script = folder("translate.py");
    let mut python = Command::new(Tool::Sam.program("python"));
    let what = format!("the translation of {}", template.display());
    let said = tools::run(python.arg(script).arg(template), &what, "is it a SAM template?")?;
    let path = root().join("target/rules").join(name);
    fs::create_dir_all(root().join("target/rules"))?;
    fs::write(&path, said)?;
    Ok(path)
}

/// Puts the rules of some folders to a template, and returns the names of those that it keeps (not those that are about nothing in it).
fn judge(out: &Transcript, template: &Path, what: &str, folders: &[&str]) -> Result<BTreeSet<String>> {
    let mut arguments = vec!["validate".to_owned(), "--data".to_owned(), template.to_string_lossy().into_owned()];
    for name in folders {
        arguments.extend(["--rules".to_owned(), folder(name).to_string_lossy().into_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = guard(&[&arguments[..], &["--structured", "--output-format", "json", "--show-summary", "none"]].concat(), BROKEN)?;
    let report = &report[0];
    let broken: Vec<String> = list(&report["not_compliant"]).iter().map(|rule| text(&rule["Rule"]["name"])).collect();
    if !broken.is_empty() {
        // The same again, for people: with places and values.
        children::status(out.takes(Command::new(Tool::Guard.program("cfn-guard")).args(&arguments))?)?;
        bail!("{what} breaks {}: see above where, and tests/rules why it is a rule", broken.join(", "));
    }
    Ok(list(&report["compliant"]).iter().map(text).collect())
}

/// Runs cfn-guard, and reads what it says. It may end well, or as `also` says.
fn guard(arguments: &[&str], also: i32) -> Result<Value> {
    let output =
        children::output(Command::new(Tool::Guard.program("cfn-guard")).args(arguments)).context("cfn-guard could not be started")?;
    let known = output.status.success() || output.status.code() == Some(also);
    match serde_json::from_slice(&output.stdout) {
        Ok(said) if known => Ok(said),
        _ => bail!("cfn-guard {} ended with {}: {}", arguments[0], output.status, String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
