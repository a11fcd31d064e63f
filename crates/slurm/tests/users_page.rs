//! What the users' page promises of Slurm is what the configuration, the reasons and the report have.

use std::time::Duration;

use cf_core::node_report::{ENTRIES_MAX, NOTES_MAX, SchedulerReport};
use cf_slurm::config::{PARTITION, Times};
use cf_slurm::group::Group;
use cf_slurm::scaling::{Closed, Failure, OURS, Trouble};
use cf_slurm::service::{FAILURES_MAX, QUICK};

const PAGE: &str = include_str!("../../../docs/users.md");

/// The text under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("there is no section {heading:?}"));
    rest.split("\n## ").next().unwrap_or_default()
}

fn has(section: &str, words: &str) {
    let on_one_line = section.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(on_one_line.contains(words), "the page does not say {words:?}");
}

#[test]
fn the_first_job_meets_the_partition_features_and_times_of_the_configuration() {
    let page = section("The first job");
    has(page, &format!("one partition, `{PARTITION}`"));
    for group in Group::ALL {
        has(page, &format!("--constraint={}", group.word()));
    }
    let times = Times::default();
    assert_eq!((times.idle, times.requeue), (Duration::from_mins(10), Duration::from_mins(1)));
    has(page, "had no job for ten minutes is ended");
    has(page, "start again from their beginning, a minute later at the earliest");
}

#[test]
fn a_service_is_held_and_missed_after_the_times_that_it_gives() {
    let page = section("Services");
    assert_eq!((FAILURES_MAX, QUICK), (5, Duration::from_mins(1)));
    has(page, "After five runs in a row that were shorter than a minute the service is held");
    let times = Times::default();
    assert_eq!((times.lost, times.requeue), (Duration::from_mins(1), Duration::from_mins(1)));
    has(page, "a node within a minute; Slurm then waits one more minute");
}

#[test]
fn the_reasons_that_it_explains_are_those_that_a_node_gets() {
    let page = section("The first job");
    let failure = |trouble| Closed::Failed(Failure::new(Group::Spot, trouble, ""));
    let before = |closed: &Closed, varies: &str| format!("`{OURS}{}", closed.to_string().split(varies).next().unwrap_or_default());
    has(page, &format!("`{OURS}{}`", failure(Trouble::NoCapacity)));
    has(page, &format!("`{OURS}{}`", failure(Trouble::PriceTooLow)));
    has(page, &before(&failure(Trouble::Quota), "spot"));
    has(page, &before(&failure(Trouble::NotInZone), "("));
    has(page, &before(&Closed::Full { maximum: 8 }, "8"));
}

#[test]
fn the_example_of_a_portal_is_a_report_and_its_limits_are_those_of_one() {
    let states = section("States");
    let (_, rest) = states.split_once("\"scheduler\": ").expect("an example");
    let json = rest.split("\n```").next().unwrap_or_default();
    let report: SchedulerReport = serde_json::from_str(json).expect("a report");
    assert_eq!(report.clone().bounded(), report);
    assert_eq!(report.notes, ["2 nodes on demand, because spot had no capacity"]);
    assert_eq!((ENTRIES_MAX, NOTES_MAX), (12, 5));
    has(states, "At most twelve entries");
    has(states, "at most five sentences");
}
