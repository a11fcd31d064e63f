//! What must hold in every world, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};

use cf_node::exchange::coordinator::{Coordinator, Event};
use cf_node::exchange::declaration::{Signal, Step};
use cf_node::exchange::failure::Failure;
use cf_node::exchange::round::{Round, RoundState};
use cf_node::exchange::wire::{End, ExchangeMap, Phase, RoundId, Run, RunResult, Task};
use cf_node::node::NodeName;

use super::GRACE_MS;

/// What was seen of rounds: who has reported what, and the state.
type Seen = BTreeMap<u64, (RoundState, BTreeMap<(Phase, NodeName), End>)>;

#[derive(Default)]
pub struct Oracle {
    /// All runs of a machine, in order.
    begun: BTreeMap<u64, Vec<(u64, Run)>>,
    /// What scripts have left, by node and run.
    ended: BTreeMap<(NodeName, Run), Vec<RunResult>>,
    /// Runs that a crash may have interrupted: those that began and did not end.
    open: BTreeSet<(NodeName, Run)>,
    /// The map that each round gave to its members.
    maps: BTreeMap<RoundId, ExchangeMap>,
    seen: Seen,
    written: Seen,
    pub late_results: usize,
}

impl Oracle {
    /// A script begins on a machine.
    pub fn script_begins(&mut self, node: NodeName, machine: u64, task: &Task, now_ms: u64) -> Result<(), String> {
        let run = &task.run;
        let before = self.begun.entry(machine).or_default();
        let of_step = before.iter().filter(|(_, other)| other.step == run.step && other.phase == run.phase);
        let twice = match run.phase {
            Phase::Export => of_step.clone().any(|(_, other)| other == run),
            Phase::Populate => of_step.clone().next_back().is_some_and(|(_, other)| other == run),
        };
        if twice {
            return Err(format!("{node}: {run:?} ran twice"));
        }
        if of_step.clone().any(|(round, _)| *round > task.round.number) {
            return Err(format!("{node}: {run:?} began for round {}, after a later one", task.round.number));
        }
        before.push((task.round.number, run.clone()));
        self.open.insert((node, run.clone()));
        if run.phase == Phase::Populate && task.report { self.barrier(node, task, now_ms) } else { Ok(()) }
    }

    /// A populate begins: every member's export has ended well, its output is in the map as it was written, and the map is the one
    /// that all members of the round get.
    fn barrier(&mut self, node: NodeName, task: &Task, now_ms: u64) -> Result<(), String> {
        let Some(map) = &task.map else { return Err(format!("{node}: a populate without a map")) };
        if task.run.map.as_ref() != Some(&map.id()) {
            return Err(format!("{node}: the map is not the one of the run"));
        }
        let first = self.maps.entry(task.round.clone()).or_insert_with(|| map.clone());
        if first != map {
            return Err(format!("{node}: round {} has two maps", task.round.number));
        }
        let export = Run { phase: Phase::Export, map: None, ..task.run.clone() };
        for (member, content) in map.0.get("o").into_iter().flatten() {
            let results = self.ended.get(&(*member, export.clone())).map_or(&[][..], Vec::as_slice);
            let good = |result: &RunResult| result.end == (End::Exited { code: 0 }) && result.outputs.get("o") == content.as_ref();
            if !results.iter().any(good) {
                return Err(format!("{node}: populate began before {member} had exported {content:?} ({now_ms} ms)"));
            }
        }
        Ok(())
    }

    /// A script has ended, and its agent knows it.
    pub fn script_ended(&mut self, node: NodeName, task: &Task, result: &RunResult) {
        self.open.remove(&(node, task.run.clone()));
        self.ended.entry((node, task.run.clone())).or_default().push(result.clone());
    }

    /// The coordinator has written its state.
    pub fn written(&mut self) {
        self.written = self.seen.clone();
    }

    /// The coordinator ended before it wrote: what it decided last is undone.
    pub fn forgotten(&mut self) {
        self.seen = self.written.clone();
    }

    /// The coordinator has taken an event.
    pub fn after_event(&mut self, coordinator: &Coordinator, event: &Event, clock_ms: u64, save: bool) -> Result<(), String> {
        if let Some((_, round)) = coordinator.open()
            && round.deadline_ms <= clock_ms
        {
            return Err(format!("round {} is still open at {clock_ms}, its time was {}", round.id.number, round.deadline_ms));
        }
        if let Event::Poll(poll) = event
            && let Some(report) = &poll.report
            && self
                .seen
                .get(&report.round.number)
                .is_some_and(|(state, _)| !matches!(state, RoundState::Exporting | RoundState::Populating))
        {
            self.late_results += 1;
        }
        // A change that is not written would be seen sooner or later too; not at each event, for speed.
        if !save && !clock_ms.is_multiple_of(16) {
            return Ok(());
        }
        for (key, rounds) in coordinator.steps() {
            for round in &rounds.rounds {
                self.round(key, round, event, clock_ms)?;
            }
        }
        Ok(())
    }

    fn round(&mut self, key: &str, round: &Round, event: &Event, clock_ms: u64) -> Result<(), String> {
        let number = round.id.number;
        let (state, results) = self.seen.entry(number).or_insert_with(|| (RoundState::Exporting, BTreeMap::new()));
        let ended = !matches!(state, RoundState::Exporting | RoundState::Populating);
        let changed = *state != round.state;
        if ended && changed {
            return Err(format!("round {number} had ended as {state:?} and is {:?}", round.state));
        }
        for phase in [Phase::Export, Phase::Populate] {
            for (node, result) in round.results(phase) {
                if results.get(&(phase, *node)).is_some_and(|before| *before != result.end) {
                    return Err(format!("round {number}: the result of {node} changed"));
                }
                if results.insert((phase, *node), result.end.clone()).is_none() {
                    if ended {
                        return Err(format!("round {number} had ended, and took a result of {node}"));
                    }
                    let Event::Poll(poll) = event else { return Err(format!("round {number}: a result without a report")) };
                    let right = poll.report.as_ref().is_some_and(|report| report.round == round.id && report.run == round.run(key, phase));
                    if poll.node != *node || !right {
                        return Err(format!("round {number}: a result of another round or run counts: {:?}", poll.report));
                    }
                }
            }
        }
        *state = round.state.clone();
        if !changed {
            return Ok(());
        }
        match &round.state {
            RoundState::Failed { failure } => self.failure(key, round, failure, clock_ms),
            RoundState::Complete => self.complete(key, round),
            RoundState::Populating | RoundState::Exporting => Ok(()),
        }
    }

    /// A reason names nodes of the round, and is true.
    fn failure(&self, key: &str, round: &Round, failure: &Failure, clock_ms: u64) -> Result<(), String> {
        let number = round.id.number;
        match failure {
            Failure::Silent { phase, nodes, .. } => {
                if clock_ms < round.deadline_ms {
                    return Err(format!("round {number} ended at {clock_ms}, before its time, {}", round.deadline_ms));
                }
                let silent: BTreeSet<NodeName> =
                    round.members.iter().filter(|node| !round.results(*phase).contains_key(node)).copied().collect();
                let named: BTreeSet<NodeName> = nodes.iter().map(|(node, _)| *node).collect();
                if named != silent || named.is_empty() {
                    return Err(format!("round {number}: {named:?} are named, {silent:?} are silent"));
                }
            }
            Failure::Script { node, phase, end, .. } => {
                let run = round.run(key, *phase);
                let truth = self.ended.get(&(*node, run.clone())).is_some_and(|results| results.iter().any(|result| result.end == *end));
                // A machine may also end between the record and the start.
                if !truth && *end != End::Interrupted {
                    return Err(format!("round {number}: {node} is said to have ended {run:?} with {end:?}"));
                }
            }
            Failure::Gone { nodes } if nodes.is_empty() => return Err(format!("round {number}: nobody left")),
            _ => {}
        }
        Ok(())
    }

    /// Every member has run both scripts, and well.
    fn complete(&self, key: &str, round: &Round) -> Result<(), String> {
        let populated = !round.populates.is_empty();
        for phase in [Phase::Export, Phase::Populate].into_iter().filter(|_| populated) {
            let run = round.run(key, phase);
            for node in &round.members {
                let well = |result: &RunResult| result.end == (End::Exited { code: 0 });
                if !self.ended.get(&(*node, run.clone())).is_some_and(|results| results.iter().any(well)) {
                    return Err(format!("round {} is complete without {phase} of {node}", round.id.number));
                }
            }
        }
        Ok(())
    }

    /// When all is quiet again, nothing is open, and the first step that is not complete has a reason.
    /// Each machine then holds what the last map made of it. `machines` are the numbers of those that stand behind the names.
    pub fn at_the_end(
        &self,
        coordinator: &Coordinator,
        plan: &[Step],
        expected: &BTreeSet<NodeName>,
        machines: &BTreeMap<NodeName, u64>,
    ) -> Result<(), String> {
        if let Some((step, round)) = coordinator.open() {
            return Err(format!("{}: round {} is open at the end ({} ms of grace)", step.key, round.id.number, GRACE_MS));
        }
        for step in plan {
            let Some(round) = coordinator.steps().get(&step.key).and_then(|rounds| rounds.rounds.last()) else {
                return Err(format!("{} had no round", step.key));
            };
            if matches!(round.state, RoundState::Failed { .. }) {
                return Ok(());
            }
            if round.members != *expected || round.config != step.config {
                return Err(format!("{}: the last round is of other nodes or another profile", step.key));
            }
            if step.signal == Signal::Wait && round.populates.len() != expected.len() {
                return Err(format!("{}: complete with {} of {} populates", step.key, round.populates.len(), expected.len()));
            }
            let last = round.run(&step.key, Phase::Populate);
            for node in expected.iter().filter(|_| step.signal == Signal::Wait) {
                let begun = machines.get(node).and_then(|machine| self.begun.get(machine)).map_or(&[][..], Vec::as_slice);
                let populate = begun.iter().rev().find(|(_, run)| run.step == step.key && run.phase == Phase::Populate);
                if populate.is_none_or(|(_, run)| *run != last) {
                    return Err(format!("{node}: its last populate was {populate:?}, the last map is {:?}", last.map));
                }
            }
        }
        Ok(())
    }
}
