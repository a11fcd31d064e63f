//! Real answers of Slurm 24.11.5, and others.

use cf_core::node_name::NodeName;

use super::*;
use crate::scaling::Power;

const NODES: &[u8] = include_bytes!("samples/nodes.json");
const SQUEUE: &[u8] = include_bytes!("samples/squeue.json");
const SINFO: &[u8] = include_bytes!("samples/sinfo.json");

/// One node in these states.
fn node(states: &str, reason: &str) -> (Power, Option<String>) {
    let states: Vec<&str> = states.split('+').collect();
    let json = serde_json::json!({"nodes": [{"name": "compute-1", "state": states, "reason": reason}], "errors": []});
    let facts = nodes(json.to_string().as_bytes()).unwrap().remove(&NodeName::of_rank(1)).unwrap();
    (facts.power, facts.reason)
}

#[test]
fn nodes_are_read_from_a_real_answer() {
    let nodes = nodes(NODES).unwrap();
    let shown = |number| (nodes[&NodeName::of_rank(number)].power, nodes[&NodeName::of_rank(number)].reason.as_deref());
    assert_eq!(shown(1), (Power::Starting, None));
    assert_eq!(shown(2), (Power::Starting, Some("clusterdrop: spot had no capacity")));
    assert_eq!(nodes[&NodeName::of_rank(2)].ours(), Some("spot had no capacity"));
    assert_eq!(shown(9), (Power::Starting, None));
    assert_eq!(shown(12), (Power::Off, None), "Slurm keeps the reason of a node that is open again");
    assert_eq!(nodes.len(), 4);
}

#[test]
fn what_slurm_does_about_a_nodes_power_comes_before_its_answering() {
    for (states, power) in [
        ("IDLE+CLOUD+POWERED_DOWN+NOT_RESPONDING", Power::Off),
        ("DOWN+CLOUD+POWER_DOWN+NOT_RESPONDING", Power::Stopping),
        ("IDLE+CLOUD+POWERING_DOWN", Power::Stopping),
        ("IDLE+CLOUD+NOT_RESPONDING+POWERING_UP", Power::Starting),
        ("MIXED+CLOUD", Power::On),
        ("ALLOCATED+CLOUD+NOT_RESPONDING", Power::Silent),
        ("SOME_NEW_STATE", Power::On),
    ] {
        assert_eq!(node(states, "").0, power, "{states}");
    }
}

#[test]
fn a_reason_counts_only_while_the_node_is_closed() {
    assert_eq!(node("IDLE+CLOUD", "clusterdrop: x").1, None);
    assert_eq!(node("IDLE+CLOUD+DRAIN", "mine").1.as_deref(), Some("mine"));
    assert_eq!(node("DOWN+CLOUD", "").1.as_deref(), Some("no reason is given"));
}

#[test]
fn jobs_and_the_partition_are_read_from_real_answers() {
    let jobs = jobs(SQUEUE).unwrap();
    assert_eq!((jobs.waiting, jobs.starting, jobs.running), (0, 2, 0));
    assert_eq!(jobs.by_node[&NodeName::of_rank(2)], [1].into());
    assert_eq!(jobs.by_node[&NodeName::of_rank(9)], [2].into());
    assert_eq!(partitions(SINFO).unwrap(), [Partition { name: "compute".into(), nodes: 12, is_up: true }]);
}

#[test]
fn a_user_is_shown_what_runs_what_starts_and_why_the_rest_does_not() {
    let summary = Summary::new(&nodes(NODES).unwrap(), jobs(SQUEUE).unwrap());
    let lines =
        ["Jobs: 0 running, 2 starting, 0 waiting", "Nodes starting: 2 (compute-[1,9])", "Nodes down: 1 (compute-2): spot had no capacity"];
    assert_eq!(summary.to_string(), lines.join("\n"));
    assert_eq!(Summary::default().to_string(), "Jobs: 0 running, 0 starting, 0 waiting", "a cluster that nobody uses has no node");
}

#[test]
fn each_task_of_an_array_that_waits_is_a_job() {
    let waiting = |array: &str| {
        let json = serde_json::json!({"jobs": [{"job_id": 7, "job_state": ["PENDING"], "array_task_string": array}]});
        jobs(json.to_string().as_bytes()).unwrap().waiting
    };
    for (array, tasks) in [("", 1), ("1-10", 10), ("1,3,5-7", 5), ("0-99%4", 100), ("1,3,...", 2), ("nonsense", 1)] {
        assert_eq!(waiting(array), tasks, "{array}");
    }
}

#[test]
fn an_answer_that_is_none_says_what_was_asked_and_what_came() {
    let error = jobs(b"slurm_load_jobs error").unwrap_err();
    assert_eq!(error.to_string(), "squeue answered what Slurm 24.11 does not: expected value at line 1 column 1");
    let down = br#"{"jobs": [], "errors": [{"description": "Failure to query jobs", "error": "Unable to contact slurm controller"}]}"#;
    assert_eq!(jobs(down).unwrap_err().to_string(), "squeue failed: Failure to query jobs: Unable to contact slurm controller");
    assert!(nodes(br#"{"nodes": [{"name": "compute-1", "state": "IDLE"}]}"#).unwrap_err().to_string().contains("scontrol show nodes"));
    assert!(partitions(b"{}").is_err());
    assert_eq!(nodes(br#"{"nodes": [{"name": "other-1", "state": []}, {"name": "login1", "state": []}]}"#).unwrap().len(), 0);
}
