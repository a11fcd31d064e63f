//! One pass of scaling: reads Slurm and AWS, lets [`cf_slurm::scaling::pass`] decide, has the book on the disk, and carries the effects
//! out, in their order. Where one fails the rest waits for the next pass, which looks at what is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cf_slurm::group::Group;
use cf_slurm::scaling::{self, Book, Effect, Facts, GroupFacts, NodeFacts, Note, Policy, Power};
use jiff::Timestamp;

use super::keeper::Keeper;
use super::outside::Outside;
use super::slurm;
use crate::node::NodeName;

/// Passes over a world.
pub struct Scaler<'a, O> {
    outside: &'a O,
    keeper: Arc<Keeper>,
    clock: fn() -> Timestamp,
    /// What Slurm was last told to leave running; `None`: it was told nothing since this agent started.
    keeps: Option<bool>,
}

/// What came of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// When the next must be, if nothing calls before and nothing is wrong.
    pub again: Option<Duration>,
    /// What is wrong now.
    pub problems: Vec<String>,
    /// What the user is told.
    pub notes: Vec<Note>,
    /// Whether Slurm did not answer.
    pub is_slurm_silent: bool,
}

impl<'a, O: Outside> Scaler<'a, O> {
    /// A scaler that has not looked yet.
    pub fn new(outside: &'a O, keeper: Arc<Keeper>, clock: fn() -> Timestamp) -> Self {
        Self { outside, keeper, clock, keeps: None }
    }

    /// Passes once.
    pub async fn pass(&mut self) -> Passed {
        let at = (self.clock)();
        let (book, policy) = self.keeper.look();
        let mut passed = Passed::default();
        let is_quiet = is_quiet(&book);
        let mut groups = BTreeMap::new();
        if !is_quiet {
            groups = self.groups(&book, &policy, &mut passed.problems).await;
        }
        let nodes = slurm::nodes(self.outside).await.unwrap_or_else(|error| {
            passed.is_slurm_silent = true;
            passed.problems.push(format!("Slurm does not show its nodes: {error}"));
            BTreeMap::new()
        });
        if is_quiet {
            if passed.is_slurm_silent {
                // Before slurmctld has started nothing is to be read in AWS either.
                return passed;
            }
            groups = self.groups(&book, &policy, &mut passed.problems).await;
        }
        self.keep_running(&policy, &mut passed).await;
        match self.keeper.pass(&Facts { at, groups, nodes }) {
            Ok(decision) => {
                passed.again = decision.again;
                self.carry_out(decision.effects, &mut passed).await;
            }
            Err(error) => passed.problems.push(format!("no machine starts or ends: {error}")),
        }
        passed
    }

    /// Whether Slurm's nodes call for a pass that nothing else calls for: a wanted node is silent, or Slurm and the book differ, because
    /// a call or an effect was lost.
    pub fn calls(&self, nodes: &BTreeMap<NodeName, NodeFacts>, at: Timestamp) -> bool {
        let (book, policy) = self.keeper.look();
        let wanted = |book: &Book| book.wanted().collect::<BTreeSet<_>>();
        let is_silent = |node: NodeName| nodes.get(&node).is_some_and(|of| of.power == Power::Silent);
        if book.wanted().any(is_silent) {
            return true;
        }
        // As if AWS could not be read: nothing is decided about the groups.
        let facts = Facts { at, groups: BTreeMap::new(), nodes: nodes.clone() };
        let decision = scaling::pass(&book, &facts, &policy, at);
        !decision.effects.is_empty() || wanted(&decision.book) != wanted(&book)
    }

    /// The groups, each whole or not at all.
    async fn groups(&self, book: &Book, policy: &Policy, problems: &mut Vec<String>) -> BTreeMap<Group, GroupFacts> {
        let there: Vec<Group> = Group::ALL.into_iter().filter(|group| policy.sizes.of(*group) > 0).collect();
        if there.is_empty() {
            return BTreeMap::new();
        }
        let mut groups = match self.outside.groups(&there).await {
            Ok(groups) => groups,
            Err(error) => {
                problems.push(format!("the groups of machines cannot be read: {error}"));
                return BTreeMap::new();
            }
        };
        for group in there.into_iter().filter(|group| book.awaits(*group, policy.sizes)) {
            match self.outside.activities(group).await {
                Ok(activities) => groups.entry(group).or_default().activities = activities,
                Err(error) => {
                    groups.remove(&group);
                    problems.push(format!("whether {group} machines could be launched cannot be read: {error}"));
                }
            }
        }
        groups
    }

    /// Slurm ends no idle node while the size is frozen. A restart of slurmctld forgets it, so each pass of a frozen cluster says it.
    async fn keep_running(&mut self, policy: &Policy, passed: &mut Passed) {
        let keeps = policy.fixed || policy.frozen;
        // Of a cluster that was never frozen, slurm.conf says it.
        let is_known = !policy.frozen && (self.keeps == Some(keeps) || self.keeps.is_none() && policy.fixed);
        if passed.is_slurm_silent || is_known {
            return;
        }
        match slurm::keep_running(self.outside, policy.sizes, keeps).await {
            Ok(()) => self.keeps = Some(keeps),
            Err(error) => passed.problems.push(format!("Slurm is not told which idle nodes stay: {error}")),
        }
    }

    async fn carry_out(&self, effects: Vec<Effect>, passed: &mut Passed) {
        // What was noted is in the book already: no later pass notes it again.
        let (notes, effects): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(|effect| matches!(effect, Effect::Report(_)));
        for effect in notes {
            tracing::info!("scaling: {effect}");
            if let Effect::Report(note) = effect {
                passed.notes.push(note);
            }
        }
        for effect in effects {
            tracing::info!("scaling: {effect}");
            let done = match &effect {
                Effect::End { machine, .. } => self.outside.end_machine(machine).await.map_err(|error| error.to_string()),
                Effect::SetDesired { group, desired } => {
                    self.outside.set_desired(*group, *desired).await.map_err(|error| error.to_string())
                }
                Effect::Requeue { nodes } => {
                    // Some may not be requeued, which is no reason to hold up the rest.
                    if let Err(error) = slurm::requeue(self.outside, nodes).await {
                        passed.problems.push(format!("scaling: {effect}: {error}"));
                    }
                    Ok(())
                }
                effect => self.scontrol(effect).await,
            };
            if let Err(error) = done {
                passed.problems.push(format!("scaling: {effect}: {error}"));
                return;
            }
        }
    }

    async fn scontrol(&self, effect: &Effect) -> Result<(), String> {
        match effect.scontrol() {
            Some(arguments) => self.outside.slurm("scontrol", &arguments).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Whether no machine is there or awaited.
fn is_quiet(book: &Book) -> bool {
    book.wanted().next().is_none() && book.machines().next().is_none()
}
