//! From what was observed to each message with its values.

use jiff::Timestamp;

use crate::advice::{FailureKind, advice, advice_on};
use crate::causes;
use crate::cluster_parameters::ClusterParameters;
use crate::ledger::{Accepted, End, NodeNews, Phase, Tied};
use crate::message::{
    Advice, Cause, Difference, FailedCreation, Full, Message, News, NodeFailure, NodesMissing, Remains, Rest, StackReason, StateText,
};
use crate::names::ClusterName;
use crate::node_reports::LOGIN;
use crate::node_signal::Signal;
use crate::snapshot::{Refusal, Snapshot};
use crate::stack::{StackState, StackStatus};

pub fn name(snapshot: &Snapshot<'_>) -> ClusterName {
    snapshot.cluster.name.clone()
}

// ---- answers

pub fn created(login: &str) -> Message {
    Message::Created { login: login.to_owned() }
}

pub fn no_login(snapshot: &Snapshot<'_>) -> Message {
    let output = snapshot.settings.template.metadata.login_output.clone();
    Message::NoLogin { cluster: name(snapshot), stack: snapshot.settings.stack_name(&snapshot.cluster), output }
}

pub fn differs(snapshot: &Snapshot<'_>, differences: Vec<Difference>) -> Message {
    Message::Differs { cluster: name(snapshot), differences }
}

pub fn withdrawn(snapshot: &Snapshot<'_>, tied: Option<&Tied>) -> Message {
    Message::Withdrawn { cluster: name(snapshot), tied: tied.map(|tied| tied.at) }
}

pub fn no_such(snapshot: &Snapshot<'_>, tied: Option<&Tied>) -> Message {
    let others = snapshot.ledger.living().filter(|name| **name != snapshot.cluster.name).cloned().collect();
    Message::NoSuchCluster { cluster: name(snapshot), others, tied: tied.map(|tied| tied.at) }
}

pub fn deleted(snapshot: &Snapshot<'_>, at: Timestamp) -> Message {
    let types = ClusterParameters::of(snapshot, &snapshot.entry()).types();
    Message::Deleted { cluster: name(snapshot), at, stack: snapshot.settings.stack_name(&snapshot.cluster), types }
}

pub fn removed(snapshot: &Snapshot<'_>, at: Timestamp) -> Message {
    let types = ClusterParameters::of(snapshot, &snapshot.entry()).types();
    Message::Removed { cluster: name(snapshot), at, stack: snapshot.settings.stack_name(&snapshot.cluster), types }
}

/// The receipt of what is gone already.
pub fn receipt(snapshot: &Snapshot<'_>) -> Message {
    match snapshot.entry().phase {
        Phase::Gone { at, end: End::Failed } => Message::ClearedAway { cluster: name(snapshot), at },
        Phase::Gone { at, end: End::Removed } => removed(snapshot, at),
        Phase::Gone { at, .. } => deleted(snapshot, at),
        _ => deleted(snapshot, snapshot.now),
    }
}

// ---- failures

fn cause(snapshot: &Snapshot<'_>, cause: &causes::Cause) -> Cause {
    let causes::Cause { logical, kind, physical, reason, .. } = cause.clone();
    let node = login_failure(snapshot, &reason).map(Box::new);
    Cause { logical, kind, physical, reason, advice: advice(cause, snapshot.settings.template), node }
}

/// Why the login node gave up: by the code that its signal carries, or, where its signal did not come, by its report.
fn login_failure(snapshot: &Snapshot<'_>, reason: &str) -> Option<NodeFailure> {
    let report = snapshot.reports.read().and_then(|reports| reports.by_node.get(&LOGIN));
    let code = match Signal::read(reason)? {
        Signal::Failure(code) => code,
        Signal::Missing => report?.failure?,
    };
    let (scripts, more_scripts) = report.map(|report| (report.scripts.clone(), report.more_scripts)).unwrap_or_default();
    // Its words are of the failure that it reports, which may be an earlier one.
    let message = report.filter(|report| report.failure == Some(code)).map(|report| report.message.clone()).unwrap_or_default();
    Some(NodeFailure { code, message, scripts, more_scripts })
}

fn of_creation(snapshot: &Snapshot<'_>) -> Vec<Cause> {
    snapshot.causes.of_creation().map(|found| cause(snapshot, found)).collect()
}

fn left(snapshot: &Snapshot<'_>) -> Vec<Cause> {
    snapshot.causes.left().map(|found| cause(snapshot, found)).collect()
}

/// The stack's own reason, where the lists of its events do not show all.
fn stack_reason(snapshot: &Snapshot<'_>, found: &[Cause]) -> Option<StackReason> {
    let is_unread = !snapshot.causes.unread.is_empty();
    let reason = || snapshot.stack().and_then(|stack| stack.reason.clone());
    (found.is_empty() || is_unread).then(|| StackReason { reason: reason(), is_unread })
}

fn remains(snapshot: &Snapshot<'_>) -> Remains {
    let resources = left(snapshot);
    Remains { stack: stack_reason(snapshot, &resources), resources }
}

pub fn failed(snapshot: &Snapshot<'_>) -> Message {
    let causes = of_creation(snapshot);
    let rest = match snapshot.stack().map(|stack| stack.status) {
        Some(StackStatus::DeleteFailed) => Rest::Stuck(left(snapshot)),
        Some(StackStatus::RollbackFailed) => Rest::Tried(left(snapshot)),
        Some(StackStatus::RollbackComplete | StackStatus::DeleteComplete) => Rest::Gone,
        _ => Rest::Going,
    };
    Message::Failed { cluster: name(snapshot), stack: stack_reason(snapshot, &causes), causes, rest }
}

pub fn stuck(snapshot: &Snapshot<'_>) -> Message {
    let (entry, causes) = (snapshot.entry(), of_creation(snapshot));
    let was_made = entry.login.is_some() || (causes.is_empty() && entry.phase != Phase::Failing);
    Message::Stuck { cluster: name(snapshot), was_made, causes: if was_made { Vec::new() } else { causes }, remains: remains(snapshot) }
}

/// What holds the name: a change set, or what is left of an earlier cluster.
pub fn leftover(snapshot: &Snapshot<'_>) -> Message {
    if snapshot.stack().is_some_and(|stack| stack.status.state() == StackState::InReview) {
        return Message::Planned { cluster: name(snapshot) };
    }
    Message::Leftover { cluster: name(snapshot), remains: remains(snapshot) }
}

pub fn declined(snapshot: &Snapshot<'_>, why: &str) -> Message {
    let advice = match FailureKind::of(why) {
        FailureKind::Unknown => Advice::AdministratorKnows,
        _ => advice_on("", why, snapshot.settings.template),
    };
    Message::Declined { cluster: name(snapshot), why: why.to_owned(), advice }
}

pub fn undeletable(snapshot: &Snapshot<'_>, why: &str) -> Message {
    Message::Undeletable {
        cluster: name(snapshot),
        stack: snapshot.settings.stack_name(&snapshot.cluster),
        why: why.to_owned(),
        is_protected: why.contains("TerminationProtection"),
        creation: failed_creation(snapshot),
        left: left(snapshot),
    }
}

/// How the creation failed, by its stack.
fn failed_creation(snapshot: &Snapshot<'_>) -> Option<FailedCreation> {
    let status = snapshot.stack().map(|stack| stack.status).filter(|status| status.state() == StackState::Failed)?;
    let causes = of_creation(snapshot);
    Some(FailedCreation { stack: stack_reason(snapshot, &causes), causes, is_cleared: status == StackStatus::RollbackComplete })
}

// ---- states

pub fn ready(snapshot: &Snapshot<'_>, login: &str, nodes: Option<&NodeNews>) -> StateText {
    let missing = |reason: String| NodesMissing { advice: advice_on("", &reason, snapshot.settings.template), reason };
    StateText::Ready { login: login.to_owned(), nodes: nodes.and_then(|news| news.failure.clone()).map(missing), scheduler: None }
}

pub fn deleting(snapshot: &Snapshot<'_>) -> StateText {
    match snapshot.stack().map(|stack| stack.status.state()) {
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

pub fn failed_news(snapshot: &Snapshot<'_>, accepted: &Accepted, answer: &Message) -> News {
    News::Failed { asked_by: accepted.key.clone(), answer: answer.clone(), full: full(snapshot) }
}

pub fn stuck_news(snapshot: &Snapshot<'_>, answer: &Message) -> News {
    News::Stuck { answer: answer.clone(), full: full(snapshot) }
}

/// What a user's answer leaves out.
fn full(snapshot: &Snapshot<'_>) -> Full {
    let refused = match &snapshot.refusal {
        Some(Refusal::Create(fault) | Refusal::Delete(fault)) => Some(("The stack".to_owned(), fault.why.clone())),
        None => None,
    };
    let reasons = snapshot.causes.found.iter().map(|cause| (cause.logical.clone(), cause.reason.clone())).chain(refused);
    Full { reasons: reasons.collect(), unread: snapshot.causes.unread.iter().map(ToString::to_string).collect() }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
pub(super) mod tests;
