//! Tests of a participant, event by event.

use super::*;
use crate::exchange::wire::{ConfigId, ExchangeMap, MapId, Refusal};

fn run(phase: Phase, config: &str, map: Option<&str>) -> Run {
    Run { step: "site/a".to_owned(), phase, config: ConfigId(config.to_owned()), map: map.map(|map| MapId(map.to_owned())) }
}

fn task(round: u64, run: Run) -> Task {
    let map = run.map.is_some().then(ExchangeMap::default);
    Task { round: RoundId { epoch: "e".to_owned(), number: round }, run, limit_ms: 1000, map, report: true }
}

fn export(round: u64, config: &str) -> Task {
    task(round, run(Phase::Export, config, None))
}

fn populate(round: u64, map: &str) -> Task {
    task(round, run(Phase::Populate, "c", Some(map)))
}

fn new() -> Participant {
    Participant::new(NodeName::LOGIN, "i".to_owned())
}

fn ask(participant: &mut Participant, tasks: &[Task]) -> Decision {
    participant.handle(Event::Answer(Answer { tasks: tasks.to_vec(), ..Answer::default() }))
}

fn good() -> RunResult {
    RunResult::ended(End::Exited { code: 0 })
}

fn report(decision: &Decision) -> Option<&Report> {
    match &decision.then {
        Then::Poll { report, .. } => report.as_ref(),
        Then::Run { .. } => None,
    }
}

fn runs(decision: &Decision) -> Option<(&Task, bool)> {
    match &decision.then {
        Then::Run { task, again } => Some((task, *again)),
        Then::Poll { .. } => None,
    }
}

#[test]
fn a_script_is_recorded_before_it_starts_and_reported_until_that_is_acknowledged() {
    let mut node = new();
    assert!(matches!(node.handle(Event::Start), Decision { save: false, then: Then::Poll { after_ms: 0, report: None, wait: true, .. } }));
    let started = ask(&mut node, &[export(1, "c")]);
    assert!(started.save && runs(&started) == Some((&export(1, "c"), false)));
    assert!(serde_json::to_string(&node).unwrap().contains("\"result\":null"), "what is written says that it runs");
    let ended = node.handle(Event::Ended(good()));
    assert!(ended.save && report(&ended).is_some_and(|report| report.run == run(Phase::Export, "c", None)));
    let lost = node.handle(Event::NoAnswer);
    assert_eq!(report(&lost), report(&ended));
    let done = report(&ended).map(|report| (report.round.clone(), report.run.clone()));
    let acknowledged = node.handle(Event::Answer(Answer { acknowledged: done, ..Answer::default() }));
    assert!(acknowledged.save && report(&acknowledged).is_none());
}

#[test]
fn a_run_that_a_restart_interrupts_has_failed_and_never_runs_again() {
    let mut node = new();
    ask(&mut node, &[export(1, "c")]);
    let mut node: Participant = serde_json::from_str(&serde_json::to_string(&node).unwrap()).unwrap();
    let started = node.handle(Event::Start);
    assert!(started.save && report(&started).is_some_and(|report| report.result.end == End::Interrupted));
    for round in [1, 2, 3] {
        let asked = ask(&mut node, &[export(round, "c")]);
        assert!(report(&asked).is_some_and(|report| report.round.number == round && report.result.end == End::Interrupted));
    }
    assert!(runs(&ask(&mut node, &[export(4, "other")])).is_some_and(|(_, again)| again), "another configuration is another script");
}

#[test]
fn a_later_round_gets_the_result_that_is_there() {
    let mut node = new();
    ask(&mut node, &[export(1, "c")]);
    node.handle(Event::Ended(good()));
    let again = ask(&mut node, &[export(2, "c")]);
    assert!(again.save && report(&again).is_some_and(|report| report.round.number == 2 && report.result == good()));
}

#[test]
fn a_populate_runs_once_for_a_map_and_again_after_another() {
    let mut node = new();
    let does = |node: &mut Participant, round, map| {
        let decision = ask(node, &[populate(round, map)]);
        let started = runs(&decision).is_some();
        if started {
            node.handle(Event::Ended(good()));
        }
        started
    };
    assert!(does(&mut node, 1, "two nodes"));
    assert!(!does(&mut node, 2, "two nodes"));
    assert!(does(&mut node, 3, "three nodes"));
    assert!(!does(&mut node, 2, "two nodes"), "an answer that came late");
    assert!(does(&mut node, 4, "two nodes"), "the machine holds the effects of the three nodes' map");
}

#[test]
fn rounds_of_a_coordinator_that_lost_its_state_are_no_old_ones() {
    let mut node = new();
    ask(&mut node, &[export(9, "c")]);
    node.handle(Event::Ended(good()));
    let mut first = export(1, "other");
    assert!(runs(&ask(&mut node, &[first.clone()])).is_none());
    first.round.epoch = "another".to_owned();
    assert!(runs(&ask(&mut node, &[first])).is_some());
}

#[test]
fn where_nobody_waits_a_populate_follows_its_own_good_export() {
    let detached = |task: Task| Task { report: false, ..task };
    let tasks = [detached(export(1, "c")), detached(populate(1, "m"))];
    let mut node = new();
    assert_eq!(runs(&ask(&mut node, &tasks)).map(|(task, _)| task.run.phase), Some(Phase::Export));
    let ended = node.handle(Event::Ended(good()));
    assert!(matches!(&ended.then, Then::Poll { report: None, ran, .. } if *ran == [tasks[0].run.clone()]));
    assert_eq!(runs(&ask(&mut node, &tasks[1..])).map(|(task, _)| task.run.phase), Some(Phase::Populate));

    let mut failing = new();
    ask(&mut failing, &tasks);
    failing.handle(Event::Ended(RunResult::ended(End::Exited { code: 1 })));
    assert!(runs(&ask(&mut failing, &tasks[1..])).is_none());
}

#[test]
fn a_node_that_nobody_answers_asks_ever_more_seldom_to_a_bound() {
    let mut node = new();
    let waits: Vec<u64> = (0..20)
        .map(|_| match node.handle(Event::NoAnswer).then {
            Then::Poll { after_ms, .. } => after_ms,
            Then::Run { .. } => panic!("nothing to run"),
        })
        .collect();
    assert_eq!(waits[..6], [250, 500, 1000, 2000, 4000, 4000]);
    assert!(waits[6..].iter().all(|wait| *wait == 4000));
    ask(&mut node, &[]);
    assert!(matches!(node.handle(Event::NoAnswer).then, Then::Poll { after_ms: 250, .. }), "an answer begins anew");
}

#[test]
fn a_node_that_takes_no_part_or_has_another_profile_asks_no_more_than_once_a_second() {
    for answer in [Answer { refused: Some(Refusal::Unsaved), ..Answer::default() }, Answer { stale: true, ..Answer::default() }] {
        assert!(matches!(new().handle(Event::Answer(answer)).then, Then::Poll { after_ms: IDLE_MS, .. }));
    }
}

#[test]
fn the_exports_that_are_kept_have_a_bound() {
    let mut node = new();
    for nth in 0..EXPORTS_KEPT as u64 + 5 {
        ask(&mut node, &[export(nth + 1, &format!("c{nth}"))]);
        node.handle(Event::Ended(good()));
    }
    assert_eq!(node.exports["site/a"].len(), EXPORTS_KEPT);
    assert_eq!(node.exports["site/a"].last().unwrap().run.config.0, format!("c{}", EXPORTS_KEPT + 4));
}
