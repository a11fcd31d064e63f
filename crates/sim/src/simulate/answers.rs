//! Every sentence that the functions say, and what must be true for it. Judged by the world's history, not by the ledger.
//! A sentence may be as old as the look that it comes from: it must have been true at some moment since that began.

use std::collections::BTreeSet;

use cf_core::key::{Answer, Reading, Verb, read};
use cf_core::ledger::OPEN_MAX;
use cf_core::message::{Cause, FailedCreation, Message, Problem, Remains, Rest, StackReason};
use cf_core::names::Cluster;
use cf_core::node_report::FailureCode;
use cf_core::node_reports::LOGIN as LOGIN_NODE;
use cf_core::settings::Settings;
use cf_core::stack::{StackState as S, StackStatus};
use jiff::SignedDuration;

use super::oracle::{AnswerKind, End, Oracle, Put, was};
use super::reasons::{SIGNALLED, reason_of};
use crate::cloudformation::{LOGIN, SimStack};
use crate::finding::{Finding, FindingKind};
use crate::world::State;

/// DescribeStacks lags by so many milliseconds at most (caller.rs).
const LAG_MAX: i64 = 10_000;

/// What one sentence is judged by.
struct AnswerCheck<'a> {
    oracle: &'a Oracle,
    cluster: &'a Cluster,
    key: &'a str,
    message: &'a Message,
    state: &'a State,
    settings: &'a Settings,
}

/// Returns why an answer is untrue, or `None` if it is true.
pub fn why_untrue(
    oracle: &Oracle,
    cluster: &Cluster,
    key: &str,
    message: &Message,
    state: &State,
    settings: &Settings,
) -> Option<&'static str> {
    // A world that begins in the middle has a past that nobody wrote down.
    if oracle.has_past {
        return None;
    }
    let court = AnswerCheck { oracle, cluster, key, message, state, settings };
    if !key.ends_with(message.answer().suffix()) {
        return Some("it stands in another answer's file");
    }
    court.why_untrue()
}

impl AnswerCheck<'_> {
    /// This cluster's stacks, dead ones too.
    fn stacks(&self) -> impl Iterator<Item = &SimStack> {
        let deployment = &self.settings.deployment;
        self.state.stacks.all().iter().filter(move |s| s.stack.cluster(deployment).as_ref() == Some(self.cluster))
    }

    /// When the look began, and as long before as DescribeStacks may lag.
    fn since(&self) -> jiff::Timestamp {
        let age = self.oracle.now() - self.oracle.round_began_at;
        self.state.now - SignedDuration::from_millis(age + LAG_MAX)
    }

    /// Whether a stack of this cluster had a status like this since then.
    fn recently(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.stacks().any(|s| was(s, self.since(), &wanted))
    }

    /// Whether a stack of this cluster ever had a status like this.
    fn ever(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.stacks().any(|s| s.history.iter().any(|(_, status)| wanted(*status)))
    }

    /// The very stack that was made for the request in hand.
    fn its_stacks(&self) -> impl Iterator<Item = &SimStack> {
        self.stacks().filter(|s| self.oracle.in_hand(self.cluster).any(|request| s.stack.request().as_ref() == Some(request)))
    }

    /// Whether that ever had a status like this.
    fn its_stack_was(&self, wanted: impl Fn(StackStatus) -> bool) -> bool {
        self.its_stacks().any(|s| s.history.iter().any(|(_, status)| wanted(*status)))
    }

    /// Whether there was a moment since then when this cluster did not live.
    fn was_absent(&self) -> bool {
        let covers = |s: &SimStack| {
            let begun = s.history.first().is_some_and(|(at, _)| *at <= self.since());
            begun && s.stack.status != StackStatus::DeleteComplete
        };
        !self.stacks().any(covers)
    }

    /// Whether a stack that is not ours had the cluster's name since then.
    fn has_foreign(&self) -> bool {
        let name = self.settings.stack_name(self.cluster);
        let is_it = |s: &&SimStack| s.stack.id.name() == Some(name.as_str()) && s.stack.cluster(&self.settings.deployment).is_none();
        self.state.stacks.all().iter().any(|s| is_it(&s) && was(s, self.since(), |status| status != StackStatus::DeleteComplete))
    }

    /// Whether a stack that is not ours has the cluster's name now.
    fn is_taken(&self) -> bool {
        let name = self.settings.stack_name(self.cluster);
        self.state.stacks.living(name.as_str()).is_some_and(|s| s.stack.cluster(&self.settings.deployment).is_none())
    }

    fn deleted(&self) -> Option<&'static str> {
        // While another's stack bears the name, none of ours can arrive.
        if self.oracle.has_flight(self.cluster) && !self.is_taken() {
            return Some("a CreateStack is still on its way");
        }
        (!self.was_absent()).then_some("it lives")
    }

    /// True if `holds` is true for an upload beside this answer. Also true if no upload was listed there when the round began, or all
    /// were withdrawn since: nobody is misled.
    fn holds_beside(&self, verb: Verb, holds: impl Fn(&Put) -> bool) -> bool {
        let stem = self.key.strip_suffix(Answer::Failed.suffix()).unwrap_or_default();
        let key = format!("{stem}{}", verb.suffix());
        let is_misled = |put: &Put| put.at <= self.oracle.listed_at && !matches!(put.end, End::Withdrawn { .. });
        !self.oracle.recent(&key).any(is_misled) || self.oracle.recent(&key).flat_map(|put| self.oracle.with_twins(put)).any(holds)
    }

    /// Each message, and what must be so.
    fn why_untrue(&self) -> Option<&'static str> {
        let is_failed = |s: StackStatus| matches!(s.state(), S::Failed | S::RollingBack);
        let lives = || self.recently(|s| s.state() != S::Deleted);
        let (is_true, lie) = match self.message {
            Message::Created { login } => {
                (login == LOGIN && self.recently(|s| s.state() == S::Available), "it does not stand at this address")
            }
            Message::Deleted { .. } | Message::Removed { .. } | Message::ClearedAway { .. } => return self.deleted(),
            // Somebody may have removed it before anybody looked, but then its events still show the cause.
            Message::Failed { causes, stack, rest, .. } => {
                let is_going = matches!(rest, Rest::Going | Rest::Gone);
                let is_cause = self.is_cause(causes, stack.as_ref(), rest, is_failed);
                (is_cause && !(is_going && self.stays_stuck()), "it did not fail for this cause")
            }
            Message::Stuck { was_made, causes, remains, .. } => {
                let is_stuck = self.ever(|s| s.state() == S::DeleteFailed) && self.names_what_is_left(remains);
                let has_cause = *was_made || !self.its_stack_was(is_failed) || self.shows_cause(causes, remains.stack.as_ref());
                (is_stuck && has_cause, "its removal did not fail, or what is left is not named")
            }
            Message::Undeletable { creation, .. } => {
                let has_failed = self.its_stack_was(is_failed);
                let shows = |creation: &FailedCreation| has_failed && self.shows_cause(&creation.causes, creation.stack.as_ref());
                let is_cleared = creation.as_ref().is_none_or(|c| c.is_cleared == self.recently(|s| s == StackStatus::RollbackComplete));
                (creation.as_ref().is_none_or(shows) && is_cleared, "its creation did not fail so")
            }
            Message::Declined { why, .. } => (why.contains("LimitExceeded"), "CloudFormation has not refused it"),
            Message::Refused { problems, .. } => (self.breaks_a_rule(problems), "it breaks no rule"),
            Message::Differs { .. } => (lives(), "there is none that it could differ from"),
            Message::Occupied { .. } => (self.has_foreign(), "its name is free"),
            Message::Leftover { remains, .. } => (lives() && self.names_what_is_left(remains), "nothing is left of it, or it is not named"),
            Message::Planned { .. } => (self.recently(|s| s.state() == S::InReview), "there is no change set"),
            Message::Withdrawn { tied, .. } => (self.is_create_superseded(tied.is_some()), "no later delete supersedes it"),
            Message::RemovedWhileMade { .. } => {
                (self.its_stack_was(|s| matches!(s.state(), S::Deleting | S::Deleted)), "nobody removed its stack")
            }
            Message::NoLogin { .. } => (self.stands_without_login(), "it has a login, or does not stand"),
            Message::NoSuchCluster { .. } => (self.was_absent(), "there is one"),
            Message::Overtaken { .. } => (self.is_delete_superseded(), "no later create supersedes it"),
            Message::NotRemoved { .. } => (self.is_crowded(), "no other files wait"),
            Message::WrongKey(_) | Message::LookAlike(_) => (false, "its key is a request's"),
        };
        (!is_true).then_some(lie)
    }

    fn stands_without_login(&self) -> bool {
        self.stacks().any(|s| s.stack.outputs.is_empty() && was(s, self.since(), |status| status.state() == S::Available))
    }

    /// Whether what is left of it has not gone on its way since the look began.
    fn stays_stuck(&self) -> bool {
        let is_left = |status: StackStatus| status.state() == S::DeleteFailed || status == StackStatus::RollbackFailed;
        self.stacks().any(|s| is_left(s.stack.status)) && !self.recently(|status| !is_left(status) && status != StackStatus::DeleteComplete)
    }

    /// Where the list of its events was not read, the stack's own reason has to do.
    fn is_unread(&self, stack: &SimStack) -> bool {
        stack.is_unreadable || self.oracle.unread.contains(&stack.stack.id)
    }

    /// What is left is named, unless the list that names it could not be read.
    fn names_what_is_left(&self, remains: &Remains) -> bool {
        let is_unread = || remains.stack.is_some() && self.stacks().any(|s| self.is_unread(s));
        !self.stays_stuck() || !remains.resources.is_empty() || is_unread()
    }

    /// The cause that is shown is the one that it had: the failure of its creation, with advice that fits it, or, where somebody
    /// removed it meanwhile, that of its removal.
    fn is_cause(&self, causes: &[Cause], stack: Option<&StackReason>, rest: &Rest, is_failed: impl Fn(StackStatus) -> bool) -> bool {
        let is_unread = || stack.is_some() && self.its_stacks().any(|s| self.is_unread(s));
        let names_left = match rest {
            Rest::Stuck(left) => !left.is_empty() || is_unread(),
            Rest::Tried(left) => !left.is_empty(),
            Rest::Going | Rest::Gone => false,
        };
        (names_left && self.its_stack_was(|s| s.state() == S::DeleteFailed))
            || (self.its_stack_was(is_failed) && self.shows_cause(causes, stack))
    }

    fn shows_cause(&self, causes: &[Cause], stack: Option<&StackReason>) -> bool {
        self.its_stacks().any(|s| {
            let said = reason_of(&s.words);
            let is_it = |cause: &Cause| cause.reason == s.words && cause.advice == (said.advice)() && self.shows_node(cause, s);
            causes.iter().any(is_it) || (stack.is_some() && self.is_unread(s))
        })
    }

    /// What is shown of the login node is what its signal says, and what a report of this life's login node says.
    fn shows_node(&self, cause: &Cause, stack: &SimStack) -> bool {
        let Some(node) = &cause.node else { return stack.words != SIGNALLED };
        let request = stack.stack.request();
        let is_its_own = |script| request.as_ref().is_some_and(|r| self.oracle.nodes.has_script(self.cluster, r, LOGIN_NODE, script));
        stack.words == SIGNALLED && node.code == FailureCode::ScriptFailed && node.scripts.iter().all(is_its_own)
    }

    fn breaks_a_rule(&self, problems: &[Problem]) -> bool {
        self.holds_beside(Verb::Create, |put| !put.is_valid_request || put.was_withheld)
            || problems.iter().any(|problem| match problem {
                Problem::NoProfile { user, .. } => self.oracle.without_profile.contains(user),
                Problem::Crowded { .. } => self.is_crowded(),
                Problem::Spread { .. } => true,
                // Every deployment of the simulator has made its own.
                Problem::OldFoundation { .. } => false,
                Problem::File(_) | Problem::Value { .. } | Problem::Parameter(_) => false,
            })
    }

    /// Whether this cluster ever had files at more keys than may wait.
    fn is_crowded(&self) -> bool {
        let all = Verb::ALL.into_iter().flat_map(|verb| self.oracle.of(self.cluster, verb));
        all.map(|put| &put.key).collect::<BTreeSet<_>>().len() > OPEN_MAX
    }

    /// A delete came later; or, if the answer says so, within the same second.
    fn is_create_superseded(&self, is_tie: bool) -> bool {
        let supersedes = |delete: &Put, create: &Put| if is_tie { delete.modified == create.modified } else { delete.at >= create.at };
        self.holds_beside(Verb::Create, |create| self.oracle.of(self.cluster, Verb::Delete).any(|delete| supersedes(delete, create)))
    }

    fn is_delete_superseded(&self) -> bool {
        self.holds_beside(Verb::Delete, |delete| self.oracle.of(self.cluster, Verb::Create).any(|create| create.at > delete.at))
    }
}

impl Oracle {
    /// What does not hold once nothing moves any more: the last request of each cluster decides whether it lives.
    pub fn check_last_requests(&self, state: &State, settings: &Settings) -> Vec<Finding> {
        if self.has_past {
            return Vec::new();
        }
        let mut clusters: Vec<Cluster> =
            self.puts.iter().filter_map(|put| if let Reading::Request(k) = read(&put.key) { Some(k.cluster) } else { None }).collect();
        clusters.sort();
        clusters.dedup();
        clusters.iter().filter_map(|cluster| self.check_last_request(cluster, state, settings)).collect()
    }

    fn check_last_request(&self, cluster: &Cluster, state: &State, settings: &Settings) -> Option<Finding> {
        let requests = Verb::ALL.into_iter().flat_map(|verb| self.of(cluster, verb).map(move |put| (put, verb)));
        let requests: Vec<(&Put, Verb)> = requests.filter(|(put, _)| put.is_valid_request).collect();
        let (last, verb) = requests.iter().copied().max_by_key(|(put, _)| put.at)?;
        // Of files of one second it may be unknown which was the last.
        if requests.iter().any(|(put, other)| *other != verb && put.modified == last.modified) {
            return judge_tie(last, &requests);
        }
        let mine: Vec<&SimStack> =
            state.stacks.all().iter().filter(|s| s.stack.cluster(&settings.deployment).as_ref() == Some(cluster)).collect();
        let living = mine.iter().find(|s| s.stack.status != StackStatus::DeleteComplete);
        let End::Settled { answers, .. } = &last.end else { return None };
        match (verb, living) {
            (Verb::Delete, Some(stack)) if matches!(answers.last(), Some(AnswerKind::Deleted | AnswerKind::NoSuch)) => {
                let what = format!("{cluster}: its last request was a delete, answered as done, and it lives ({})", stack.stack.status);
                Some(Finding::new(FindingKind::LastRequestNotCarriedOut, what))
            }
            (Verb::Create, None) if answers.last() == Some(&AnswerKind::Created) => {
                let was_removed = mine.iter().any(|s| self.by_hand.contains(&s.stack.id));
                let what = || format!("{cluster}: its last request was a create, answered with its address, and it is gone");
                (!was_removed).then(|| Finding::new(FindingKind::LastRequestNotCarriedOut, what()))
            }
            _ => None,
        }
    }
}

/// A create that came after a delete of the same second hears of itself, whatever became of the delete.
fn judge_tie(last: &Put, requests: &[(&Put, Verb)]) -> Option<Finding> {
    let unheard = |(put, verb): &&(&Put, Verb)| {
        let is_earlier = |(delete, other): &(&Put, Verb)| *other == Verb::Delete && delete.modified == put.modified && delete.at < put.at;
        let is_tied = *verb == Verb::Create && put.modified == last.modified && requests.iter().any(is_earlier);
        is_tied && matches!(&put.end, End::Settled { answers, .. } if answers.iter().all(|t| *t == AnswerKind::Deleted))
    };
    requests.iter().find(unheard).map(|(put, _)| Finding::new(FindingKind::TieUnanswered, &put.key))
}
