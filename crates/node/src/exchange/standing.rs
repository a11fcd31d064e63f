//! What the login node tells its user of the exchange: the steps that failed, and whether those are over that are part of being ready.
//! Pure.
//!
//! A step is part of being ready where its profile says `on-error = "fail-the-node"`: the login node's first boot waits for its round,
//! and fails with it. A step that failed keeps those after it from running, so it counts for them too.

use cf_core::node_report::FailedScript;

use crate::exchange::coordinator::Coordinator;
use crate::exchange::declaration::{Mistake, Step};
use crate::exchange::round::{Round, RoundState};

/// The word of the exchange in place of an event's, in reports.
pub const WORD: &str = "exchange";

/// How the exchange stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What failed in the last round that ended, of each step.
    pub failed: Vec<FailedScript>,
    /// The steps that are part of being ready.
    pub readiness: Readiness,
}

/// Where the steps stand that are part of being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// There is none that has not ended well.
    Settled,
    /// A round is still to open, or to end.
    Pending,
    /// One failed, or cannot be run: in a sentence.
    Failed(String),
}

impl Default for Standing {
    /// That of an exchange which has not begun.
    fn default() -> Self {
        Self { failed: Vec::new(), readiness: Readiness::Pending }
    }
}

impl Standing {
    /// That of the coordinator's rounds.
    pub fn of(coordinator: &Coordinator) -> Self {
        let failed = coordinator.declared().iter().filter_map(|step| {
            let ended = coordinator.rounds(step).iter().rev().find(|round| round.phase().is_none())?;
            failed_step(step, ended)
        });
        Self { failed: failed.collect(), readiness: readiness(coordinator) }
    }

    /// The same beside profiles whose steps cannot be read, so that none of theirs is run.
    #[must_use]
    pub fn and_mistakes(mut self, mistakes: &[Mistake]) -> Self {
        let is_first = |nth: &usize| !mistakes[..*nth].iter().any(|earlier| earlier.profile == mistakes[*nth].profile);
        let of_profiles = (0..mistakes.len()).filter(is_first).map(|nth| mistaken_profile(&mistakes[nth..]));
        self.failed.splice(0..0, of_profiles);
        if let Some(mistake) = mistakes.iter().find(|mistake| mistake.fails_the_node) {
            self.readiness = Readiness::Failed(format!("no step of this profile's exchange is run: {mistake}"));
        }
        self
    }

    /// That of steps of which none is run, for this reason.
    pub fn broken(plan: &[Step], reason: &str) -> Self {
        let outcome = format!("is not run, as no step of the exchange is: {reason}");
        let failed = plan.first().map(|step| FailedScript { outcome, ..failed_script(step.profile(), &step.name) });
        let fails = plan.iter().any(|step| step.fails_the_node);
        let readiness = if fails { Readiness::Failed(format!("no step of the exchange is run: {reason}")) } else { Readiness::Settled };
        Self { failed: failed.into_iter().collect(), readiness }
    }
}

/// What a report says of the profile whose mistake is the first of these.
fn mistaken_profile(mistakes: &[Mistake]) -> FailedScript {
    let first = &mistakes[0];
    let more = mistakes.iter().filter(|mistake| mistake.profile == first.profile).count() - 1;
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let outcome = format!("has mistakes, so no step of it is run: {}{more}", first.without_profile());
    FailedScript { outcome, ..failed_script(&first.profile, crate::profile::settings::FILE) }
}

fn readiness(coordinator: &Coordinator) -> Readiness {
    let plan = coordinator.declared();
    for (nth, step) in plan.iter().enumerate() {
        if !plan[nth..].iter().any(|step| step.fails_the_node) {
            break;
        }
        match coordinator.current(step).map(|round| &round.state) {
            Some(RoundState::Complete) => {}
            Some(RoundState::Failed { failure }) => return Readiness::Failed(format!("the step {} failed: {failure}", step.key)),
            _ => return Readiness::Pending,
        }
    }
    Readiness::Settled
}

/// What a report says of a round that failed.
fn failed_step(step: &Step, round: &Round) -> Option<FailedScript> {
    let RoundState::Failed { failure } = &round.state else { return None };
    let result = failure.culprit().and_then(|(node, phase)| round.results(phase).get(&node));
    Some(failure.failed_script(step, result))
}

/// A failed script of a profile's exchange, without its end.
pub(super) fn failed_script(profile: &str, script: &str) -> FailedScript {
    let shown = |text: &str| crate::profile::shown(std::ffi::OsStr::new(text));
    FailedScript {
        event: WORD.to_owned(),
        profile: shown(profile),
        script: shown(script),
        outcome: String::new(),
        exit_code: None,
        last_lines: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::exchange::coordinator::Event;
    use crate::exchange::declaration::{MissingOutput, Signal};
    use crate::exchange::wire::{ConfigId, End, Poll, Report, RunResult};
    use crate::node::NodeName;

    fn step(name: &str, fails_the_node: bool) -> Step {
        Step {
            key: format!("site/{name}"),
            name: name.to_owned(),
            folder: PathBuf::new(),
            export: Some(format!("export.d/{name}.sh")),
            populate: None,
            inputs: BTreeMap::new(),
            outputs: Vec::new(),
            signal: Signal::Wait,
            timeout_seconds: 10,
            missing_output: MissingOutput::Null,
            fails_the_node,
            config: ConfigId(name.to_owned()),
        }
    }

    /// A login node and a compute node, or the first alone.
    struct Bed(Coordinator);

    impl Bed {
        fn new(plan: Vec<Step>, nodes: u32) -> Self {
            let mut coordinator = Coordinator::new("e".to_owned(), 0);
            coordinator.handle(Event::Plan(plan), 0);
            coordinator.handle(Event::Expected((0..nodes).map(name).collect()), 0);
            Self(coordinator)
        }

        /// A node does what it is asked to, and ends so.
        fn ends(&mut self, rank: u32, code: i32, stderr: &str) {
            let holds = self.0.declared().iter().map(|step| (step.key.clone(), step.config.clone())).collect();
            let poll = Poll { node: name(rank), instance: format!("i-{rank}"), holds, report: None, ran: Vec::new(), wait: false };
            let answer = self.0.handle(Event::Poll(Box::new(poll.clone())), 0).answer.unwrap();
            let task = answer.tasks.into_iter().next().expect("a task");
            let (stdout, stderr) = ("begins\n".to_owned(), stderr.to_owned());
            let result = RunResult { end: End::Exited { code }, stdout, stderr, outputs: BTreeMap::new() };
            let report = Some(Report { round: task.round, run: task.run, result });
            self.0.handle(Event::Poll(Box::new(Poll { report, ..poll })), 0);
        }

        fn standing(&self) -> Standing {
            Standing::of(&self.0)
        }
    }

    fn name(rank: u32) -> NodeName {
        NodeName::compute(rank).unwrap_or(NodeName::LOGIN)
    }

    fn outcomes(standing: &Standing) -> Vec<&str> {
        standing.failed.iter().map(|script| script.outcome.as_str()).collect()
    }

    #[test]
    fn a_script_that_failed_is_shown_with_its_node_code_and_lines_until_a_round_is_complete() {
        let mut bed = Bed::new(vec![step("a", false)], 2);
        assert_eq!(bed.standing(), Standing { failed: Vec::new(), readiness: Readiness::Settled }, "no step is part of being ready");
        bed.ends(0, 0, "");
        bed.ends(1, 7, "no address\n");
        let shown = bed.standing().failed;
        let expected = FailedScript {
            event: "exchange".to_owned(),
            profile: "site".to_owned(),
            script: "export.d/a.sh".to_owned(),
            outcome: "of step a ended with exit code 7 on compute-1".to_owned(),
            exit_code: Some(7),
            last_lines: vec!["begins".to_owned(), "no address".to_owned()],
        };
        assert_eq!(shown, [expected]);
        bed.0.handle(Event::Expected([NodeName::LOGIN].into()), 0);
        assert_eq!(bed.standing().failed, shown, "the next round is open");
        bed.ends(0, 0, "");
        assert_eq!(bed.standing().failed, []);
    }

    #[test]
    fn a_node_that_stays_silent_is_named_when_the_time_is_over_and_no_moment_earlier() {
        let mut bed = Bed::new(vec![step("a", true)], 2);
        bed.ends(0, 0, "");
        bed.0.handle(Event::Tick, 9_999);
        assert_eq!(bed.standing(), Standing::default());
        bed.0.handle(Event::Tick, 10_000);
        let silent = "no result of the export script within 10 s from compute-1 (did not ask for the script; is its agent running?)";
        assert_eq!(outcomes(&bed.standing()), [format!("of step a failed: {silent}")]);
        assert_eq!(bed.standing().failed[0].script, "export.d/a.sh");
        assert_eq!(bed.standing().readiness, Readiness::Failed(format!("the step site/a failed: {silent}")));
    }

    #[test]
    fn a_step_that_is_part_of_being_ready_waits_for_those_before_it_and_fails_with_them() {
        let mut bed = Bed::new(vec![step("first", false), step("ours", true), step("last", false)], 1);
        bed.ends(0, 0, "");
        assert_eq!(bed.standing().readiness, Readiness::Pending);
        bed.ends(0, 0, "");
        assert_eq!(bed.standing().readiness, Readiness::Settled, "whatever becomes of the last");
        bed.ends(0, 1, "");
        assert_eq!((bed.standing().readiness, bed.standing().failed.len()), (Readiness::Settled, 1));
        let mut bed = Bed::new(vec![step("first", false), step("ours", true)], 1);
        bed.ends(0, 3, "");
        let sentence = "the step site/first failed: login1: the export script ended with exit code 3";
        assert_eq!(bed.standing().readiness, Readiness::Failed(sentence.to_owned()));
    }

    #[test]
    fn a_node_that_goes_or_a_map_that_is_too_large_is_told_without_a_script() {
        let mut bed = Bed::new(vec![step("a", false)], 2);
        bed.0.handle(Event::Expected([NodeName::LOGIN].into()), 0);
        assert_eq!(outcomes(&bed.standing()), ["of step a failed: compute-1 left the cluster before the round was complete"]);
        assert_eq!(bed.standing().failed[0].script, "a");
    }

    #[test]
    fn mistakes_are_told_once_for_each_profile_and_fail_a_node_whose_profile_says_so() {
        let mistake = |profile: &str, text: &str| Mistake::new(profile, Some("x".to_owned()), text.to_owned());
        let mistakes = [mistake("a", "one"), mistake("a", "two"), Mistake { fails_the_node: true, ..mistake("b", "three") }];
        let others = || Standing::broken(&[step("c", false)], "no disk");
        let standing = others().and_mistakes(&mistakes);
        let so = "has mistakes, so no step of it is run: exchange step \"x\": ";
        let last = "is not run, as no step of the exchange is: no disk".to_owned();
        assert_eq!(outcomes(&standing), [format!("{so}one; and 1 more"), format!("{so}three"), last]);
        let sentence = "no step of this profile's exchange is run: profile b, exchange step \"x\": three";
        assert_eq!(standing.readiness, Readiness::Failed(sentence.to_owned()));
        assert_eq!(others().and_mistakes(&mistakes[..2]).readiness, Readiness::Settled);
        assert_eq!(others().and_mistakes(&[]), others());
    }

    #[test]
    fn steps_that_cannot_be_coordinated_are_told_and_fail_a_node_whose_profile_says_so() {
        let standing = |fails| Standing::broken(&[step("a", false), step("b", fails)], "no disk");
        assert_eq!(outcomes(&standing(false)), ["is not run, as no step of the exchange is: no disk"]);
        assert_eq!(standing(false).readiness, Readiness::Settled);
        assert_eq!(standing(true).readiness, Readiness::Failed("no step of the exchange is run: no disk".to_owned()));
        assert_eq!(Standing::broken(&[], "no disk"), Standing { failed: Vec::new(), readiness: Readiness::Settled });
    }
}
