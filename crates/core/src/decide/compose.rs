//! From what was seen to what is said of it: each message with what it speaks of.

use jiff::Timestamp;

use crate::advice::{Situation, advice, advice_on};
use crate::causes;
use crate::facts::{Facts, Setback};
use crate::ledger::{Accepted, End, NodeNews, Phase, Tied};
use crate::living::Living;
use crate::message::{Advice, Cause, Difference, FailedCreation, Full, Message, News, NodesMissing, Remains, Rest, StackReason, StateText};
use crate::names::ClusterName;
use crate::stack::{StackState, StackStatus};

pub fn name(facts: &Facts<'_>) -> ClusterName {
    facts.cluster.name.clone()
}

// ---- answers

pub fn created(login: &str) -> Message {
    Message::Created { login: login.to_owned() }
}

pub fn no_login(facts: &Facts<'_>) -> Message {
    let output = facts.site.template.metadata.login_output.clone();
    Message::NoLogin { cluster: name(facts), stack: facts.site.stack_name(&facts.cluster), output }
}

pub fn differs(facts: &Facts<'_>, differences: Vec<Difference>) -> Message {
    Message::Differs { cluster: name(facts), differences }
}

pub fn withdrawn(facts: &Facts<'_>, tied: Option<&Tied>) -> Message {
    Message::Withdrawn { cluster: name(facts), tied: tied.map(|tied| tied.at) }
}

pub fn no_such(facts: &Facts<'_>, tied: Option<&Tied>) -> Message {
    let others = facts.ledger.living().filter(|name| **name != facts.cluster.name).cloned().collect();
    Message::NoSuchCluster { cluster: name(facts), others, tied: tied.map(|tied| tied.at) }
}

pub fn deleted(facts: &Facts<'_>, at: Timestamp) -> Message {
    let types = Living::of(facts, &facts.entry()).types();
    Message::Deleted { cluster: name(facts), at, stack: facts.site.stack_name(&facts.cluster), types }
}

pub fn removed(facts: &Facts<'_>, at: Timestamp) -> Message {
    let types = Living::of(facts, &facts.entry()).types();
    Message::Removed { cluster: name(facts), at, stack: facts.site.stack_name(&facts.cluster), types }
}

/// The receipt of what is gone already.
pub fn receipt(facts: &Facts<'_>) -> Message {
    match facts.entry().phase {
        Phase::Gone { at, end: End::Failed } => Message::ClearedAway { cluster: name(facts), at },
        Phase::Gone { at, end: End::Removed } => removed(facts, at),
        Phase::Gone { at, .. } => deleted(facts, at),
        _ => deleted(facts, facts.now),
    }
}

// ---- failures

fn cause(facts: &Facts<'_>, cause: &causes::Cause) -> Cause {
    let causes::Cause { logical, kind, physical, reason, .. } = cause.clone();
    Cause { logical, kind, physical, reason, advice: advice(cause, facts.site.template) }
}

fn of_creation(facts: &Facts<'_>) -> Vec<Cause> {
    facts.causes.of_creation().map(|found| cause(facts, found)).collect()
}

fn left(facts: &Facts<'_>) -> Vec<Cause> {
    facts.causes.left().map(|found| cause(facts, found)).collect()
}

/// The stack's own reason, where the lists of its events do not tell all.
fn stack_reason(facts: &Facts<'_>, found: &[Cause]) -> Option<StackReason> {
    let is_unread = !facts.causes.unread.is_empty();
    let reason = || facts.stack().and_then(|stack| stack.reason.clone());
    (found.is_empty() || is_unread).then(|| StackReason { reason: reason(), is_unread })
}

fn remains(facts: &Facts<'_>) -> Remains {
    let resources = left(facts);
    Remains { stack: stack_reason(facts, &resources), resources }
}

pub fn failed(facts: &Facts<'_>) -> Message {
    let causes = of_creation(facts);
    let rest = match facts.stack().map(|stack| stack.status) {
        Some(StackStatus::DeleteFailed) => Rest::Stuck(left(facts)),
        Some(StackStatus::RollbackFailed) => Rest::Tried(left(facts)),
        Some(StackStatus::RollbackComplete | StackStatus::DeleteComplete) => Rest::Gone,
        _ => Rest::Going,
    };
    Message::Failed { cluster: name(facts), stack: stack_reason(facts, &causes), causes, rest }
}

pub fn stuck(facts: &Facts<'_>) -> Message {
    let (entry, causes) = (facts.entry(), of_creation(facts));
    let was_made = entry.login.is_some() || (causes.is_empty() && entry.phase != Phase::Failing);
    Message::Stuck { cluster: name(facts), was_made, causes: if was_made { Vec::new() } else { causes }, remains: remains(facts) }
}

/// What holds the name: a change set, or what is left of an earlier cluster.
pub fn leftover(facts: &Facts<'_>) -> Message {
    if facts.stack().is_some_and(|stack| stack.status.state() == StackState::Planned) {
        return Message::Planned { cluster: name(facts) };
    }
    Message::Leftover { cluster: name(facts), remains: remains(facts) }
}

pub fn declined(facts: &Facts<'_>, why: &str) -> Message {
    let advice = match Situation::of(why) {
        Situation::Unknown => Advice::AdministratorKnows,
        _ => advice_on("", why, facts.site.template),
    };
    Message::Declined { cluster: name(facts), why: why.to_owned(), advice }
}

pub fn undeletable(facts: &Facts<'_>, why: &str) -> Message {
    Message::Undeletable {
        cluster: name(facts),
        stack: facts.site.stack_name(&facts.cluster),
        why: why.to_owned(),
        is_protected: why.contains("TerminationProtection"),
        creation: failed_creation(facts),
        left: left(facts),
    }
}

/// How the creation failed, by its stack.
fn failed_creation(facts: &Facts<'_>) -> Option<FailedCreation> {
    let status = facts.stack().map(|stack| stack.status).filter(|status| status.state() == StackState::Failed)?;
    let causes = of_creation(facts);
    Some(FailedCreation { stack: stack_reason(facts, &causes), causes, is_cleared: status == StackStatus::RollbackComplete })
}

// ---- states

pub fn ready(facts: &Facts<'_>, login: &str, nodes: Option<&NodeNews>) -> StateText {
    let missing = |reason: String| NodesMissing { advice: advice_on("", &reason, facts.site.template), reason };
    StateText::Ready { login: login.to_owned(), nodes: nodes.and_then(|news| news.failure.clone()).map(missing) }
}

pub fn deleting(facts: &Facts<'_>) -> StateText {
    match facts.stack().map(|stack| stack.status.state()) {
        Some(StackState::Changing) => StateText::DeletingAfterChange,
        Some(StackState::RollingBack) => StateText::DeletingAfterRollback,
        _ => StateText::Deleting,
    }
}

// ---- mails

pub fn ready_news(accepted: &Accepted, login: &str) -> News {
    News::Ready { login: login.to_owned(), asked_by: accepted.key.clone(), accepted: accepted.at }
}

pub fn no_login_news(accepted: &Accepted) -> News {
    News::NoLogin { asked_by: accepted.key.clone() }
}

pub fn failed_news(facts: &Facts<'_>, accepted: &Accepted, told: &Message) -> News {
    News::Failed { asked_by: accepted.key.clone(), told: told.clone(), full: full(facts) }
}

pub fn stuck_news(facts: &Facts<'_>, told: &Message) -> News {
    News::Stuck { told: told.clone(), full: full(facts) }
}

/// What a user's answer leaves out.
fn full(facts: &Facts<'_>) -> Full {
    let refused = match &facts.setback {
        Some(Setback::Create(fault) | Setback::Delete(fault)) => Some(("The stack".to_owned(), fault.why.clone())),
        None => None,
    };
    let reasons = facts.causes.found.iter().map(|cause| (cause.logical.clone(), cause.reason.clone())).chain(refused);
    Full { reasons: reasons.collect(), unread: facts.causes.unread.iter().map(ToString::to_string).collect() }
}
