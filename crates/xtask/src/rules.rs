//! The rules of `tests/rules`: what the two templates promise about security, in cfn-guard's language.
//! A rule counts only where one of our templates keeps it, and breaks it after a change (`tests/rules/broken.py`).

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
    let deployment = translate(&root().join("template.yaml"), "template.json")?;
    let cluster = root().join("templates/cluster.yaml");
    let mut met = judge(out, &deployment, "template.yaml, as SAM translates it,", &["both", "deployment"])?;
    met.extend(judge(out, &cluster, "templates/cluster.yaml", &["both", "cluster"])?);
    let rules = prove(&generate_tests(&deployment, &cluster)?)?;
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

/// Writes cfn-guard's tests, whose inputs are both templates with a change each. Returns their folder, where `<folder>/<name>.json` tests
/// `tests/rules/<folder>/<name>.guard`.
fn generate_tests(deployment: &Path, cluster: &Path) -> Result<PathBuf> {
    let tests = root().join("target/rules/tests");
    let mut python = Command::new(Tool::Sam.program("python"));
    python.arg(folder("broken.py")).arg(deployment).arg(cluster).arg(&tests);
    tools::run(&mut python, "tests/rules/broken.py", "does each case change what is in the template?")?;
    Ok(tests)
}

/// Tries each rule on its tests, and returns the names of all.
fn prove(tests: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for name in FOLDERS {
        for rules in files(&folder(name))? {
            let tests = tests.join(name).join(rules.file_name().unwrap_or_default()).with_extension("json");
            let caught = caught(&rules, &tests, &mut wrong)?;
            for rule in named(&rules)? {
                if !caught.contains(&rule) {
                    wrong.push(format!("{rule}: tests/rules/{name} has no broken template that it catches"));
                }
                if !names.insert(rule.clone()) {
                    wrong.push(format!("{rule}: two rules are called so"));
                }
            }
        }
    }
    if !wrong.is_empty() {
        bail!("the rules are not proven:\n  {}", wrong.join("\n  "));
    }
    Ok(names)
}

/// Tries the rules of a file on its tests. Returns those that failed as they should, and adds to `wrong` what came out otherwise.
fn caught(rules: &Path, tests: &Path, wrong: &mut Vec<String>) -> Result<BTreeSet<String>> {
    let files = ["--rules-file", &rules.to_string_lossy(), "--test-data", &tests.to_string_lossy()];
    let said = guard(&[&["test", "--output-format", "json"], &files[..]].concat(), UNEXPECTED)?;
    let mut caught = BTreeSet::new();
    for case in list(&said["test_cases"]) {
        let as_expected = list(&case["passed_rules"]).iter();
        caught.extend(as_expected.filter(|rule| rule["evaluated"] == "FAIL").map(|rule| text(&rule["name"])));
        for rule in list(&case["failed_rules"]) {
            wrong.push(format!("{}: {} should be {}, and is {}", case["name"], rule["name"], rule["expected"], rule["evaluated"]));
        }
    }
    Ok(caught)
}

/// The files of rules in a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "guard")).collect())
}

/// The names of all rules in a file.
fn named(rules: &Path) -> Result<Vec<String>> {
    let content = fs::read_to_string(rules)?;
    let names = content.lines().filter_map(|line| line.strip_prefix("rule "));
    Ok(names.filter_map(|rule| rule.split_whitespace().next().map(str::to_owned)).collect())
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
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    // A file of rules that it cannot read is an error in what it prints, and none in how it ends.
    if !known || said.is_null() || !said["error"].is_null() {
        let why = text(&said["error"]) + String::from_utf8_lossy(&output.stderr).trim();
        bail!("cfn-guard {} ended with {}: {why}", arguments[0], output.status);
    }
    Ok(said)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
