//! What the coordinator knows of steps and their rounds.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::exchange::declaration::Step;
use crate::exchange::round::{Round, Rounds};

impl Coordinator {
    /// The clock when the state was written last: where it goes on after a restart.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// All rounds, by step.
    pub fn steps(&self) -> &BTreeMap<String, Rounds> {
        &self.steps
    }

    /// The steps of the profiles, in order.
    pub fn declared(&self) -> &[Step] {
        &self.plan
    }

    /// The rounds of a step that are kept, the last one at the end.
    pub fn rounds(&self, step: &Step) -> &[Round] {
        self.steps.get(&step.key).map_or(&[], |rounds| &rounds.rounds)
    }

    /// The last round of a step, if it is of the membership and the configuration as they are.
    pub fn current(&self, step: &Step) -> Option<&Round> {
        self.last_round(step).filter(|round| round.changes == self.changes && round.config == step.config)
    }

    /// When the open round has failed, if one is open.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.open().map(|(_, round)| round.deadline_ms)
    }

    /// The open round and its step.
    pub fn open(&self) -> Option<(&Step, &Round)> {
        self.plan.iter().find_map(|step| {
            let round = self.steps.get(&step.key)?.rounds.last()?;
            round.phase().is_some().then_some((step, round))
        })
    }

    pub(super) fn open_mut(&mut self) -> Option<(&Step, &mut Rounds)> {
        let at = self.plan.iter().position(|step| self.last_round(step).is_some_and(|round| round.phase().is_some()))?;
        let step = &self.plan[at];
        self.steps.get_mut(&step.key).map(|rounds| (step, rounds))
    }

    pub(super) fn last_round(&self, step: &Step) -> Option<&Round> {
        self.steps.get(&step.key)?.rounds.last()
    }
}
