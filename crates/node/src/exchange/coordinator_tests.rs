//! Tests of the coordinator, event by event.

use std::path::PathBuf;

use super::*;
use crate::exchange::declaration::{MissingOutput, Output};
use crate::exchange::round::{MAP_BYTES_MAX, OLD_TEXT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::exchange::wire::{End, RunResult, by_rank};

const GRACE: u64 = 500;
const TIMEOUT_MS: u64 = 10_000;

fn node(rank: u32) -> NodeName {
    NodeName::compute(rank).unwrap_or(NodeName::LOGIN)
}

fn step(name: &str) -> Step {
    Step {
        key: format!("site/{name}"),
        name: name.to_owned(),
        folder: PathBuf::new(),
        export: Some("export.d/x".to_owned()),
        populate: Some("populate.d/x".to_owned()),
        inputs: BTreeMap::new(),
        outputs: vec![Output { name: "o".to_owned(), error: false }, Output { name: "e".to_owned(), error: true }],
        signal: Signal::Wait,
        timeout_seconds: TIMEOUT_MS / 1000,
        missing_output: MissingOutput::Null,
        fails_the_node: false,
        config: ConfigId(format!("config of {name}")),
    }
}

/// A coordinator and its nodes, which do at once what they are asked.
struct Bed {
    coordinator: Coordinator,
    plan: Vec<Step>,
    now: u64,
}

impl Bed {
    fn new(plan: Vec<Step>, nodes: u32) -> Self {
        let mut bed = Self { coordinator: Coordinator::new("e".to_owned(), GRACE), plan: plan.clone(), now: 1_000 };
        bed.handle(Event::Plan(plan));
        bed.expect(0..nodes);
        bed
    }

    fn handle(&mut self, event: Event) -> Decision {
        self.coordinator.handle(event, self.now)
    }

    fn expect(&mut self, ranks: impl IntoIterator<Item = u32>) -> Decision {
        self.handle(Event::Expected(ranks.into_iter().map(node).collect()))
    }

    fn poll(&self, rank: u32, report: Option<Report>) -> Poll {
        let holds = self.plan.iter().map(|step| (step.key.clone(), step.config.clone())).collect();
        Poll { node: node(rank), instance: format!("i-{rank}"), holds, report, ran: Vec::new(), wait: false }
    }

    fn ask(&mut self, rank: u32) -> Answer {
        let poll = self.poll(rank, None);
        self.handle(Event::Poll(Box::new(poll))).answer.unwrap()
    }

    /// The node's only task.
    fn task(&mut self, rank: u32) -> Task {
        let tasks = self.ask(rank).tasks;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.into_iter().next().unwrap()
    }

    fn report(&mut self, rank: u32, task: &Task, result: RunResult) -> Decision {
        let report = Report { round: task.round.clone(), run: task.run.clone(), result };
        let poll = self.poll(rank, Some(report));
        self.handle(Event::Poll(Box::new(poll)))
    }

    fn does(&mut self, rank: u32, phase: Phase) {
        let task = self.task(rank);
        assert_eq!(task.run.phase, phase);
        let answer = self.report(rank, &task, good(rank)).answer.unwrap();
        assert_eq!(answer.acknowledged, Some((task.round, task.run)));
    }

    fn complete(&mut self, ranks: &[u32]) {
        for phase in [Phase::Export, Phase::Populate] {
            for rank in ranks {
                self.does(*rank, phase);
            }
        }
    }

    fn last(&self, name: &str) -> &Round {
        self.coordinator.steps()[&format!("site/{name}")].rounds.last().unwrap()
    }

    fn failure(&self, name: &str) -> &Failure {
        match &self.last(name).state {
            RoundState::Failed { failure } => failure,
            other => panic!("{other:?}"),
        }
    }
}

fn good(rank: u32) -> RunResult {
    RunResult { outputs: [("o".to_owned(), format!("node {rank}\n"))].into(), ..RunResult::ended(End::Exited { code: 0 }) }
}

#[test]
fn nobody_populates_before_everybody_has_exported_and_all_get_one_map() {
    let mut bed = Bed::new(vec![step("a")], 3);
    bed.does(0, Phase::Export);
    bed.does(2, Phase::Export);
    for rank in [0, 2] {
        assert_eq!(bed.ask(rank).tasks, [], "it waits for node 1");
    }
    bed.does(1, Phase::Export);
    let maps: Vec<Task> = (0..3).map(|rank| bed.task(rank)).collect();
    let map = maps[0].map.clone().unwrap();
    assert!(maps.iter().all(|task| task.map.as_ref() == Some(&map) && task.run.map == Some(map.id())));
    assert_eq!(by_rank(&map.0["o"]), r#"{"0": "node 0\n", "1": "node 1\n", "2": "node 2\n"}"#);
    assert_eq!(map.0.len(), 1, "an error output is in no map");
    for rank in 0..3 {
        bed.does(rank, Phase::Populate);
    }
    assert_eq!(bed.last("a").state, RoundState::Complete);
    assert_eq!(bed.coordinator.open(), None);
    assert_eq!(bed.ask(0), Answer::default());
}

#[test]
fn a_round_ends_at_its_time_and_not_a_millisecond_earlier() {
    let mut bed = Bed::new(vec![step("a")], 3);
    bed.does(0, Phase::Export);
    let task = bed.task(1);
    bed.now += TIMEOUT_MS + GRACE - 1;
    assert!(!bed.handle(Event::Tick).save);
    assert_eq!(bed.last("a").state, RoundState::Exporting);
    bed.now += 1;
    assert!(bed.report(1, &task, good(1)).save, "the time counts first: this result is late");
    let expected =
        Failure::Silent { phase: Phase::Export, seconds: 10, nodes: vec![(node(1), Silence::Asked), (node(2), Silence::NotAsking)] };
    assert_eq!(*bed.failure("a"), expected);
    assert!(!bed.last("a").exports.contains_key(&node(1)));
}

#[test]
fn a_result_in_the_last_millisecond_counts_and_populates_have_their_own_time() {
    let mut bed = Bed::new(vec![step("a")], 2);
    bed.does(0, Phase::Export);
    let task = bed.task(1);
    bed.now += TIMEOUT_MS + GRACE - 1;
    bed.report(1, &task, good(1));
    assert_eq!(bed.last("a").state, RoundState::Populating);
    bed.does(0, Phase::Populate);
    bed.now += TIMEOUT_MS + GRACE - 1;
    bed.handle(Event::Tick);
    assert_eq!(bed.last("a").state, RoundState::Populating);
    bed.now += 1;
    bed.handle(Event::Tick);
    assert!(matches!(bed.failure("a"), Failure::Silent { phase: Phase::Populate, nodes, .. } if nodes[0].0 == node(1)));
}

#[test]
fn a_script_gets_what_is_left_of_the_time_and_none_begins_in_the_time_of_grace() {
    let mut bed = Bed::new(vec![step("a")], 1);
    assert_eq!(bed.task(0).limit_ms, TIMEOUT_MS);
    bed.now += TIMEOUT_MS - 1;
    assert_eq!(bed.task(0).limit_ms, 1);
    bed.now += 1;
    assert_eq!(bed.ask(0).tasks, []);
}

#[test]
fn the_first_failure_ends_the_round_and_later_results_change_nothing() {
    let mut bed = Bed::new(vec![step("a"), step("b")], 3);
    let (first, second) = (bed.task(1), bed.task(2));
    bed.report(1, &first, RunResult { stderr: "no\n".to_owned(), ..RunResult::ended(End::Exited { code: 3 }) });
    let before = bed.last("a").clone();
    assert!(
        matches!(bed.failure("a"), Failure::Script { node, end: End::Exited { code: 3 }, stderr, .. } if node.rank() == 1 && stderr == "no\n")
    );
    let decision = bed.report(2, &second, good(2));
    assert!(!decision.save && decision.answer.unwrap().acknowledged.is_some(), "acknowledged, so that it is not sent again");
    assert_eq!(*bed.last("a"), before);
    assert_eq!(bed.ask(0).tasks, [], "no later step begins");
    assert!(!bed.coordinator.steps().contains_key("site/b"));
}

#[test]
fn error_outputs_and_refused_missing_ones_fail_and_allowed_ones_are_null() {
    let wrote = |name: &str| RunResult { outputs: [(name.to_owned(), "x".to_owned())].into(), ..RunResult::ended(End::Exited { code: 0 }) };
    let mut bed = Bed::new(vec![step("a")], 1);
    let task = bed.task(0);
    bed.report(0, &task, wrote("e"));
    assert!(matches!(bed.failure("a"), Failure::ErrorOutput { output, .. } if output == "e"));

    let mut strict = Bed::new(vec![Step { missing_output: MissingOutput::Refuse, ..step("a") }], 1);
    let task = strict.task(0);
    strict.report(0, &task, wrote("undeclared"));
    assert!(matches!(strict.failure("a"), Failure::MissingOutput { output, .. } if output == "o"));

    let mut lenient = Bed::new(vec![step("a")], 1);
    let task = lenient.task(0);
    lenient.report(0, &task, wrote("undeclared"));
    assert_eq!(by_rank(&lenient.task(0).map.unwrap().0["o"]), r#"{"0": null}"#);
}

#[test]
fn a_late_joiner_opens_a_round_of_all_steps_after_the_open_one() {
    let mut bed = Bed::new(vec![step("a"), step("b")], 2);
    bed.does(0, Phase::Export);
    bed.expect(0..3);
    assert_eq!(bed.last("a").members.len(), 2, "the open round goes on");
    assert_eq!(bed.ask(2).tasks, []);
    bed.does(1, Phase::Export);
    bed.does(0, Phase::Populate);
    bed.does(1, Phase::Populate);
    assert_eq!((bed.last("a").id.number, bed.last("a").members.len()), (2, 3), "and the first step comes again, before the second");
    bed.complete(&[0, 1, 2]);
    assert_eq!(bed.last("b").id.number, 3);
    bed.complete(&[0, 1, 2]);
    assert_eq!(bed.coordinator.open(), None);
}

#[test]
fn a_node_that_is_given_up_ends_the_open_round_and_the_others_begin_again() {
    let mut bed = Bed::new(vec![step("a")], 3);
    bed.does(0, Phase::Export);
    bed.expect(0..2);
    let rounds = &bed.coordinator.steps()["site/a"].rounds;
    assert_eq!(rounds[0].state, RoundState::Failed { failure: Failure::Gone { nodes: vec![node(2)] } });
    assert_eq!((rounds[1].state.clone(), rounds[1].members.len()), (RoundState::Exporting, 2));
    assert_eq!(bed.ask(2).refused, Some(Refusal::NotExpected));
    bed.complete(&[0, 1]);
    // A node that goes when nothing is open leads to another round, too: the map is another one.
    bed.expect(0..1);
    assert_eq!(bed.last("a").members.len(), 1);
    assert!(!bed.expect(0..1).save, "the same nodes are no news");
}

#[test]
fn a_failed_round_is_not_tried_again_until_nodes_or_profile_are_others() {
    let mut bed = Bed::new(vec![step("a")], 1);
    let task = bed.task(0);
    bed.report(0, &task, RunResult::ended(End::Interrupted));
    bed.now += 10 * TIMEOUT_MS;
    bed.handle(Event::Tick);
    assert_eq!(bed.ask(0).tasks, []);
    let other = Step { config: ConfigId("other".to_owned()), ..step("a") };
    bed.plan = vec![other.clone()];
    bed.handle(Event::Plan(vec![other]));
    bed.complete(&[0]);
    assert_eq!(bed.last("a").state, RoundState::Complete);
}

#[test]
fn another_machine_of_the_same_name_is_a_change_and_the_old_one_is_sent_away() {
    let mut bed = Bed::new(vec![step("a")], 2);
    bed.complete(&[0, 1]);
    let replaced = |bed: &Bed| Poll { instance: "i-new".to_owned(), ..bed.poll(1, None) };
    let poll = replaced(&bed);
    bed.handle(Event::Poll(Box::new(poll)));
    assert_eq!((bed.last("a").id.number, &bed.last("a").state), (2, &RoundState::Exporting));
    assert_eq!(bed.ask(1).refused, Some(Refusal::Replaced));
    let poll = replaced(&bed);
    assert_eq!(bed.handle(Event::Poll(Box::new(poll))).answer.unwrap().tasks.len(), 1);

    let mut open = Bed::new(vec![step("a")], 2);
    open.does(1, Phase::Export);
    let poll = replaced(&open);
    open.handle(Event::Poll(Box::new(poll)));
    assert_eq!(open.coordinator.steps()["site/a"].rounds[0].state, RoundState::Failed { failure: Failure::Replaced { node: node(1) } });
}

#[test]
fn a_node_with_another_profile_gets_no_script_and_is_named_for_it() {
    let mut bed = Bed::new(vec![step("a")], 1);
    let mut poll = bed.poll(0, None);
    poll.holds.insert("site/a".to_owned(), ConfigId("older".to_owned()));
    let answer = bed.handle(Event::Poll(Box::new(poll))).answer.unwrap();
    assert!(answer.stale && answer.tasks.is_empty());
    bed.now += TIMEOUT_MS + GRACE;
    bed.handle(Event::Tick);
    assert!(matches!(bed.failure("a"), Failure::Silent { nodes, .. } if *nodes == [(node(0), Silence::OtherProfile)]));
}

#[test]
fn a_profile_that_changes_ends_the_open_round() {
    let mut bed = Bed::new(vec![step("a")], 1);
    let other = Step { config: ConfigId("other".to_owned()), ..step("a") };
    bed.handle(Event::Plan(vec![other]));
    let rounds = &bed.coordinator.steps()["site/a"].rounds;
    assert_eq!(rounds[0].state, RoundState::Failed { failure: Failure::OtherProfile });
    assert_eq!(rounds[1].state, RoundState::Exporting);
    bed.handle(Event::Plan(Vec::new()));
    assert!(bed.coordinator.steps().is_empty() && bed.coordinator.open().is_none());
}

#[test]
fn a_map_that_no_variable_holds_ends_the_round_before_any_populate() {
    let sized =
        |bytes: usize| RunResult { outputs: [("o".to_owned(), "a".repeat(bytes))].into(), ..RunResult::ended(End::Exited { code: 0 }) };
    let frame = r#"{"0": "", "1": ""}"#.len();
    for (bytes, fits) in [(VALUE_BYTES_MAX - frame, true), (VALUE_BYTES_MAX - frame + 1, false)] {
        let mut bed = Bed::new(vec![step("a")], 2);
        let (first, second) = (bed.task(0), bed.task(1));
        bed.report(0, &first, sized(1));
        bed.report(1, &second, sized(bytes - 1));
        assert_eq!(bed.last("a").state == RoundState::Populating, fits, "{:?}", bed.last("a").state);
    }
}

#[test]
fn all_maps_of_a_step_together_have_a_bound_too() {
    let names: Vec<String> = (0..9).map(|nth| format!("o{nth}")).collect();
    let outputs = names.iter().map(|name| Output { name: name.clone(), error: false }).collect();
    let mut bed = Bed::new(vec![Step { outputs, ..step("a") }], 1);
    let task = bed.task(0);
    let value = "a".repeat(VALUE_BYTES_MAX - r#"{"0": ""}"#.len());
    let outputs = names.into_iter().map(|name| (name, value.clone())).collect();
    bed.report(0, &task, RunResult { outputs, ..RunResult::ended(End::Exited { code: 0 }) });
    assert_eq!(*bed.failure("a"), Failure::MapsTooLarge { bytes: 9 * VALUE_BYTES_MAX, bytes_max: MAP_BYTES_MAX });
}

#[test]
fn where_nobody_waits_the_step_is_complete_at_once_and_each_node_gets_both_scripts() {
    let mut bed = Bed::new(vec![Step { signal: Signal::None, ..step("a") }, step("b")], 2);
    assert_eq!(bed.last("a").state, RoundState::Complete);
    let tasks = bed.ask(0).tasks;
    let phases: Vec<(Phase, bool)> = tasks.iter().map(|task| (task.run.phase, task.report)).collect();
    assert_eq!(phases, [(Phase::Export, false), (Phase::Populate, false), (Phase::Export, true)]);
    assert_eq!(by_rank(&tasks[1].map.as_ref().unwrap().0["o"]), r#"{"0": null, "1": null}"#);
    let poll = Poll { ran: vec![tasks[0].run.clone(), tasks[1].run.clone()], ..bed.poll(0, None) };
    assert_eq!(bed.handle(Event::Poll(Box::new(poll))).answer.unwrap().tasks.len(), 1, "what it has started it is not asked again");
}

#[test]
fn steps_without_one_of_the_scripts_have_one_phase() {
    let mut bed = Bed::new(vec![Step { populate: None, ..step("a") }, Step { export: None, ..step("b") }], 2);
    bed.does(0, Phase::Export);
    bed.does(1, Phase::Export);
    bed.does(0, Phase::Populate);
    bed.does(1, Phase::Populate);
    assert_eq!((&bed.last("a").state, &bed.last("b").state), (&RoundState::Complete, &RoundState::Complete));
}

#[test]
fn a_restart_goes_on_where_the_state_was_written() {
    let mut bed = Bed::new(vec![step("a")], 2);
    bed.does(0, Phase::Export);
    bed.now += 2_000;
    let task = bed.task(1);
    bed.report(1, &task, RunResult::ended(End::Exited { code: 0 }));
    let text = serde_json::to_string(&bed.coordinator).unwrap();
    bed.coordinator = serde_json::from_str(&text).unwrap();
    assert_eq!(bed.coordinator.clock_ms(), bed.now);
    let plan = bed.plan.clone();
    assert!(!bed.handle(Event::Plan(plan)).save, "the same steps are no news");
    bed.does(0, Phase::Populate);
    bed.does(1, Phase::Populate);
    assert_eq!((bed.last("a").id.number, &bed.last("a").state), (1, &RoundState::Complete));
}

#[test]
fn rounds_and_their_texts_are_bounded() {
    let mut bed = Bed::new(vec![step("a")], 2);
    for turn in 0..u32::try_from(ROUNDS_KEPT).unwrap() + 3 {
        for rank in 0..=1 - turn % 2 {
            let task = bed.task(rank);
            bed.report(rank, &task, RunResult { stdout: "é".repeat(100_000), ..good(rank) });
        }
        bed.expect(0..=turn % 2);
    }
    let rounds = &bed.coordinator.steps()["site/a"].rounds;
    assert_eq!(rounds.len(), ROUNDS_KEPT);
    let texts = |round: &Round| round.exports.values().map(|result| result.stdout.len()).max().unwrap_or_default();
    assert!(rounds[..ROUNDS_KEPT - 1].iter().all(|round| texts(round) <= OLD_TEXT_BYTES_MAX));
    assert!(serde_json::to_vec(&bed.coordinator).unwrap().len() < 200_000);
}

#[test]
fn a_node_that_is_not_expected_and_an_empty_cluster_do_nothing() {
    let mut bed = Bed::new(vec![step("a")], 0);
    assert!(bed.coordinator.open().is_none());
    assert_eq!(bed.ask(0).refused, Some(Refusal::NotExpected));
    bed.expect([0]);
    assert_eq!(bed.ask(7).refused, Some(Refusal::NotExpected));
}
