//! The plan is run once in a long while, by somebody in another place: what it names must be there, and what it says must be whole.

use std::collections::BTreeSet;
use std::process::Command;

use super::*;

const TEMPLATE: &str = include_str!("../../../template.yaml");
const SAMCONFIG: &str = include_str!("../../../samconfig.toml");

/// The contents of the fences that begin so.
fn fences(begin: &str) -> Vec<&'static str> {
    PLAN.split(&format!("\n{begin}\n")).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

fn commands() -> String {
    fences("```sh").join("\n")
}

/// Every word that stands between the two texts.
fn between(text: &str, before: &str, after: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).map(str::to_owned).collect()
}

/// The names of the first level below a section of the template.
fn section(name: &str) -> BTreeSet<&'static str> {
    let rest = TEMPLATE.split(&format!("\n{name}:\n")).nth(1).unwrap_or_default();
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    lines.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':')).filter(|name| !name.starts_with([' ', '#'])).collect()
}

#[test]
fn every_command_says_what_is_printed_and_what_to_do_if_it_is_not() {
    let steps: Vec<&str> = PLAN.split("\n```sh\n").skip(1).collect();
    assert!(steps.len() >= 10, "{}", steps.len());
    for step in steps {
        let rest = step.split_once("\n```\n").map(|(_, rest)| rest).unwrap_or_default();
        assert!(rest.starts_with("Prints:\n```\n") && rest.contains("\n```\nIf not: "), "{step}");
    }
    for part in [
        "change set is accepted",
        "cluster comes up",
        "## 3. Jobs",
        "Missing keys are 404",
        "tag conditions, and a refused",
        "Tokens and keys",
    ] {
        assert_eq!(PLAN.matches(part).count(), 1, "{part}");
    }
}

#[test]
fn the_plan_names_only_what_the_deployment_has() {
    let commands = commands();
    let (outputs, resources, parameters) = (section("Outputs"), section("Resources"), section("Parameters"));
    assert!(outputs.contains("SystemBucketName") && resources.contains("CfCreate") && parameters.contains("Prefix"));
    let asked = between(&commands, "$(output ", ")");
    assert!(asked.len() >= 2, "{asked:?}");
    for name in asked {
        assert!(outputs.contains(name.as_str()), "the output {name}");
    }
    let named = between(&commands, "LogicalResourceId=='", "'");
    assert!(!named.is_empty());
    for name in named {
        assert!(resources.contains(name.as_str()), "the resource {name}");
    }
    let given: BTreeSet<&str> = fences("```sh")
        .iter()
        .flat_map(|fence| fence.split([' ', '"', '\n']))
        .filter_map(|word| word.split_once('='))
        // Queries compare with two of them.
        .filter(|(_, value)| !value.starts_with('='))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().any(|c| c.is_ascii_lowercase()))
        .filter(|name| !matches!(*name, "Id" | "Name" | "ContextKeyName" | "StrictHostKeyChecking" | "ConnectTimeout"))
        .collect();
    assert!(given.len() >= 9, "{given:?}");
    for name in given {
        assert!(parameters.contains(name), "the parameter {name}");
    }
    for name in PLAN.split("$PREFIX-").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next()) {
        // In a loop the function's name is a variable; in a query the prefix stands alone.
        assert!(name.is_empty() || TEMPLATE.contains(&format!("${{Prefix}}-{name}\n")), "the name {name:?}");
    }
    for function in ["cf-create", "cf-delete", "cf-watch"] {
        assert!(TEMPLATE.contains(&format!("FunctionName: !Sub ${{Prefix}}-{function}\n")));
    }
    assert!(TEMPLATE.contains("/aws/lambda/${Prefix}-cf-create") && SAMCONFIG.contains("[trial.deploy.parameters]"));
    assert!(commands.contains(cf_core::first_hour::PROBE) && commands.contains(cf_core::first_hour::KEY));
}

/// What the plan asks Slurm for, and looks for in a status file, is what a cluster has.
#[test]
fn the_jobs_of_the_plan_are_ones_that_a_cluster_takes() {
    let jobs = PLAN.split("\n## 3. Jobs\n").nth(1).and_then(|rest| rest.split("\n## 4. ").next()).unwrap_or_default();
    let parameters = include_str!("../../../templates/cluster.yaml");
    for line in jobs.lines().filter(|line| line.starts_with("echo '{")) {
        let body = line.split('\'').nth(1).unwrap_or_default();
        let asked: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).unwrap();
        for (name, value) in asked {
            assert!(parameters.contains(&format!("\n  {name}:\n")), "the parameter {name}");
            let is_listed = |value: &str| parameters.contains(&format!("\n      - {value}\n"));
            assert!(value.as_str().is_none_or(is_listed), "{name} = {value}");
        }
    }
    let partition = cf_core::testing::scheduler_report().partition;
    assert!(jobs.contains(&format!("\n{partition}*\n")) && jobs.contains(&format!("\"partition\": \"{partition}\"")));
    assert!(jobs.contains("\"login_command\": \"ssh smoke@"));
}

/// bash reads each block without running it.
#[test]
fn the_commands_are_sound_shell() {
    for fence in fences("```sh") {
        let read = Command::new("bash").args(["-n", "-c", fence]).output().unwrap();
        assert!(read.status.success(), "{fence}\n{}", String::from_utf8_lossy(&read.stderr));
    }
}

/// Nothing is asked of an account to print it, and it begins with the names and ends with the clean-up.
#[test]
fn it_is_printed_without_an_account() {
    assert!(run(true).is_ok() && run(false).is_err());
    let order: Vec<usize> = (0..=7).map(|part| PLAN.find(&format!("\n## {part}. ")).unwrap_or_default()).collect();
    assert!(order.is_sorted() && order[0] > 0, "{order:?}");
}
