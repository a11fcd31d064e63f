//! The coordinator: which round is open, who still owes what, and when it ends. It runs on the login node.
//!
//! Pure: events in, decisions out. Times are milliseconds on the coordinator's own clock, which the caller gives: it counts only
//! while the coordinator runs, so that neither a wall clock that jumps nor a login node that is down ends a round. The state is data;
//! where [`Decision::save`] is set it must be on the disk before anything is answered.

mod rounds;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::exchange::declaration::{Signal, Step};
use crate::exchange::failure::{Failure, Silence, judge, last};
use crate::exchange::round::{Round, RoundState, Rounds, Rules, fits, map_of, shorten};
use crate::exchange::wire::{Answer, ConfigId, Phase, Poll, Refusal, Report, RoundId, Task};
use crate::node::NodeName;

/// What a node's report may take after the script's time is over, in milliseconds: its end, which a script that refuses to end puts off
/// for [`Bounds::grace`](crate::run::Bounds::grace) and some seconds, the node's next poll, and a lost answer.
pub const GRACE_MS: u64 = 25_000;

/// The rounds of a step that are kept.
pub const ROUNDS_KEPT: usize = 8;

/// The machines that are remembered as replaced, for each node.
const RETIRED_KEPT: usize = 8;

/// The state of all rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coordinator {
    epoch: String,
    clock_ms: u64,
    grace_ms: u64,
    rounds_opened: u64,
    /// How often membership has changed. A round is of one such count.
    changes: u64,
    expected: BTreeSet<NodeName>,
    instances: BTreeMap<NodeName, String>,
    retired: BTreeMap<NodeName, Vec<String>>,
    /// By the step's key.
    steps: BTreeMap<String, Rounds>,
    #[serde(skip)]
    plan: Vec<Step>,
    /// What nodes hold that have asked since the open phase began. Not kept: they ask again.
    #[serde(skip)]
    seen: BTreeMap<NodeName, BTreeMap<String, ConfigId>>,
    #[serde(skip)]
    rules: Rules,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Event {
    /// The profiles' steps, in order: at the start, and when profiles were fetched.
    Plan(Vec<Step>),
    /// The nodes that are expected now.
    Expected(BTreeSet<NodeName>),
    /// A node asks.
    Poll(Box<Poll>),
    /// Time has passed.
    Tick,
}

/// What follows.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The state has changed: write it before anything is answered, then wake whoever waits.
    pub save: bool,
    /// The answer to a poll.
    pub answer: Option<Answer>,
    /// Rounds that opened or ended, for the log.
    pub news: Vec<String>,
}

impl Coordinator {
    /// One that knows nothing yet. `epoch` is a random text; `grace_ms` is [`GRACE_MS`] but for tests.
    pub fn new(epoch: String, grace_ms: u64) -> Self {
        Self {
            epoch,
            clock_ms: 0,
            grace_ms,
            rounds_opened: 0,
            changes: 0,
            expected: BTreeSet::new(),
            instances: BTreeMap::new(),
            retired: BTreeMap::new(),
            steps: BTreeMap::new(),
            plan: Vec::new(),
            seen: BTreeMap::new(),
            rules: Rules::default(),
        }
    }

    /// The same with other rules: for tests that plant bugs.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Takes one event. What is late is refused before it is looked at: the time counts first.
    pub fn handle(&mut self, event: Event, now_ms: u64) -> Decision {
        self.clock_ms = self.clock_ms.max(now_ms);
        let mut decision = Decision::default();
        self.expire(&mut decision);
        let poll = match event {
            Event::Plan(plan) => {
                self.plan(plan, &mut decision);
                None
            }
            Event::Expected(expected) => {
                self.expect(expected, &mut decision);
                None
            }
            Event::Poll(poll) => Some(poll),
            Event::Tick => None,
        };
        let mut answer = Answer::default();
        if let Some(poll) = &poll {
            answer.refused = self.meet(poll, &mut decision);
            if let Some(report) = &poll.report {
                answer.acknowledged = Some((report.round.clone(), report.run.clone()));
                if answer.refused.is_none() {
                    self.report(poll.node, report, &mut decision);
                }
            }
        }
        while self.advance(&mut decision) {
            decision.save = true;
            self.seen.clear();
        }
        if let Some(poll) = poll.as_ref().filter(|_| answer.refused.is_none()) {
            self.seen.insert(poll.node, poll.holds.clone());
        }
        if let Some(poll) = &poll {
            if answer.refused.is_none() {
                self.tasks(poll, &mut answer);
            }
            decision.answer = Some(answer);
        }
        decision
    }

    fn end_round(&mut self, failure: Failure, decision: &mut Decision) {
        if let Some((step, rounds)) = self.open_mut()
            && let Some(round) = rounds.rounds.last_mut()
        {
            decision.news.push(format!("step {}, round {}: failed: {failure}", step.key, round.id.number));
            decision.save = true;
            round.fail(failure);
        }
    }

    /// Ends the open round if its time is over.
    fn expire(&mut self, decision: &mut Decision) {
        let Some((step, round)) = self.open() else { return };
        let Some(phase) = round.phase().filter(|_| (self.rules.expired)(self.clock_ms, round.deadline_ms)) else { return };
        let silence = |node: &NodeName| match self.seen.get(node) {
            None => Silence::NotAsking,
            Some(holds) if holds.get(&step.key) == Some(&round.config) => Silence::Asked,
            Some(_) => Silence::OtherProfile,
        };
        let silent = round.members.iter().filter(|node| !round.results(phase).contains_key(node));
        let nodes = silent.map(|node| (*node, silence(node))).collect();
        let failure = Failure::Silent { phase, seconds: step.timeout_seconds, nodes };
        self.end_round(failure, decision);
    }

    fn plan(&mut self, plan: Vec<Step>, decision: &mut Decision) {
        let gone = self.steps.iter().find_map(|(key, rounds)| {
            let round = rounds.rounds.last().filter(|round| round.phase().is_some())?;
            (!plan.iter().any(|step| step.key == *key && step.config == round.config)).then(|| key.clone())
        });
        if let Some(round) = gone.and_then(|key| self.steps.get_mut(&key)).and_then(|rounds| rounds.rounds.last_mut()) {
            round.fail(Failure::OtherProfile);
            decision.save = true;
        }
        let before = self.steps.len();
        self.steps.retain(|key, _| plan.iter().any(|step| step.key == *key));
        decision.save |= self.steps.len() != before;
        self.plan = plan;
    }

    fn expect(&mut self, expected: BTreeSet<NodeName>, decision: &mut Decision) {
        if expected == self.expected {
            return;
        }
        let gone: Vec<NodeName> = self.expected.difference(&expected).copied().collect();
        for node in &gone {
            // A node that comes back is most often a new machine, and no replacement.
            self.instances.remove(node);
            self.seen.remove(node);
        }
        self.expected = expected;
        self.changes += 1;
        decision.save = true;
        let missed: Vec<NodeName> =
            self.open().map_or_else(Vec::new, |(_, round)| gone.into_iter().filter(|node| round.members.contains(node)).collect());
        if !missed.is_empty() {
            self.end_round(Failure::Gone { nodes: missed }, decision);
        }
    }

    /// Takes note of who asks.
    fn meet(&mut self, poll: &Poll, decision: &mut Decision) -> Option<Refusal> {
        let node = poll.node;
        if !self.expected.contains(&node) {
            return Some(Refusal::NotExpected);
        }
        if self.retired.get(&node).is_some_and(|retired| retired.contains(&poll.instance)) {
            return Some(Refusal::Replaced);
        }
        let before = self.instances.insert(node, poll.instance.clone());
        decision.save |= before.as_ref() != Some(&poll.instance);
        if let Some(before) = before.filter(|before| *before != poll.instance) {
            let retired = self.retired.entry(node).or_default();
            retired.push(before);
            if retired.len() > RETIRED_KEPT {
                retired.remove(0);
            }
            self.changes += 1;
            if self.open().is_some_and(|(_, round)| round.members.contains(&node)) {
                self.end_round(Failure::Replaced { node }, decision);
            }
        }
        None
    }

    /// Takes a result, if it is the first one for what the open round waits for; otherwise it is of no use.
    fn report(&mut self, node: NodeName, report: &Report, decision: &mut Decision) {
        let rules = self.rules;
        let Some((step, rounds)) = self.open_mut() else { return };
        let Some(round) = rounds.rounds.last_mut() else { return };
        if report.run.step != step.key || !(rules.counts)(round, node, report) {
            return;
        }
        let mut result = report.result.clone();
        result.stdout = last(&result.stdout, super::wire::TEXT_BYTES_MAX);
        result.stderr = last(&result.stderr, super::wire::TEXT_BYTES_MAX);
        result.outputs.retain(|name, _| step.outputs.iter().any(|output| output.name == *name));
        let judged = judge(step, report.run.phase, node, &result);
        match report.run.phase {
            Phase::Export => round.exports.insert(node, result),
            Phase::Populate => round.populates.insert(node, result),
        };
        let judged = judged.and_then(|()| fits(step, round));
        decision.save = true;
        if let Err(failure) = judged {
            self.end_round(failure, decision);
        }
    }

    /// One move: over the barrier, to the end of the round, or into the next one. Whether there was one.
    fn advance(&mut self, decision: &mut Decision) -> bool {
        let (rules, now, grace) = (self.rules, self.clock_ms, self.grace_ms);
        let Some((step, rounds)) = self.open_mut() else { return self.open_next(decision) };
        let Some(round) = rounds.rounds.last_mut() else { return false };
        let say = |text: &str, round: &Round| format!("step {}, round {}: {text}", step.key, round.id.number);
        match round.state {
            RoundState::Exporting if step.export.is_none() || (rules.complete)(&round.members, &round.exports) => {
                let map = map_of(step, round);
                round.map = Some(map.id());
                round.state = RoundState::Populating;
                round.deadline_ms = now.saturating_add(step.timeout_seconds * 1000).saturating_add(grace);
                decision.news.push(say("all nodes have exported", round));
                rounds.map = Some(map);
            }
            RoundState::Populating if step.populate.is_none() || (rules.complete)(&round.members, &round.populates) => {
                round.state = RoundState::Complete;
                decision.news.push(say("complete", round));
            }
            _ => return false,
        }
        true
    }

    /// The first step whose last round is of another membership or configuration gets its next round; none after a step that failed.
    fn open_next(&mut self, decision: &mut Decision) -> bool {
        if self.expected.is_empty() {
            return false;
        }
        let mut next = None;
        for step in &self.plan {
            match self.current(step).map(|round| &round.state) {
                None => {
                    next = Some(step.clone());
                    break;
                }
                Some(RoundState::Complete) => {}
                Some(_) => break,
            }
        }
        let Some(step) = next else { return false };
        self.rounds_opened += 1;
        let mut round = Round {
            id: RoundId { epoch: self.epoch.clone(), number: self.rounds_opened },
            config: step.config.clone(),
            changes: self.changes,
            members: self.expected.clone(),
            state: RoundState::Exporting,
            deadline_ms: self.clock_ms.saturating_add(step.timeout_seconds * 1000).saturating_add(self.grace_ms),
            map: None,
            exports: BTreeMap::new(),
            populates: BTreeMap::new(),
        };
        decision.news.push(format!("step {}, round {}: opened for {} nodes", step.key, round.id.number, round.members.len()));
        let rounds = self.steps.entry(step.key.clone()).or_default();
        if step.signal == Signal::None {
            let map = map_of(&step, &round);
            round.map = Some(map.id());
            round.state = RoundState::Complete;
            rounds.map = Some(map);
        }
        if let Some(before) = rounds.rounds.last_mut() {
            shorten(before);
        }
        rounds.rounds.push(round);
        let over = rounds.rounds.len().saturating_sub(ROUNDS_KEPT);
        rounds.rounds.drain(..over);
        true
    }

    /// What the node has to run: first what nobody waits for, in the steps' order, then its part of the open round.
    fn tasks(&self, poll: &Poll, answer: &mut Answer) {
        for step in &self.plan {
            let Some(rounds) = self.steps.get(&step.key) else { continue };
            let Some(round) = rounds.rounds.last().filter(|round| round.config == step.config && round.members.contains(&poll.node)) else {
                continue;
            };
            let holds = poll.holds.get(&step.key) == Some(&round.config);
            if step.signal == Signal::None {
                let phases = [Phase::Export, Phase::Populate].into_iter().filter(|phase| holds && step.script(*phase).is_some());
                let tasks = phases.map(|phase| task(step, rounds, round, phase, step.timeout_seconds * 1000));
                answer.tasks.extend(tasks.filter(|task| !poll.ran.contains(&task.run)));
                continue;
            }
            let Some(phase) = round.phase().filter(|phase| !round.results(*phase).contains_key(&poll.node)) else { continue };
            answer.stale |= !holds;
            // In the time of grace no script begins: its result could not come in time.
            let left = round.deadline_ms.saturating_sub(self.grace_ms).saturating_sub(self.clock_ms);
            if holds && left > 0 && step.script(phase).is_some() {
                answer.tasks.push(task(step, rounds, round, phase, left));
            }
        }
    }
}

fn task(step: &Step, rounds: &Rounds, round: &Round, phase: Phase, limit_ms: u64) -> Task {
    let map = if phase == Phase::Populate { rounds.map.clone() } else { None };
    Task { round: round.id.clone(), run: round.run(&step.key, phase), limit_ms, map, report: step.signal == Signal::Wait }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
