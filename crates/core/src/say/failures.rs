//! The answers about what failed: why it was not made, what is left of it, and what to do. AWS's words are shown on one line each.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::answers::{failure, name, not_removed};
use crate::advice::{Situation, advice, advice_on};
use crate::causes::Cause;
use crate::facts::Facts;
use crate::ledger::Phase;
use crate::plain::{SHOWN_MAX, plain};
use crate::problem::Problem;
use crate::stack::{StackState, StackStatus};

/// A resource's name, type or id is shown up to so many characters.
const NAME_MAX: usize = 160;

const NO_REASON: &str = "CloudFormation gave no reason";

/// AWS's blob for the administrator: base64 in the alphabet for URLs.
static ENCODED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)Encoded authorization failure message:\s*([A-Za-z0-9_-]{20,})").expect("it is tried by the tests"));

/// AWS's words for a user.
fn shown(reason: &str) -> String {
    let short = ENCODED.replace_all(reason, "Encoded authorization failure message: (left out here; the administrator has it)");
    plain(&short, SHOWN_MAX)
}

/// The blob in AWS's words that only an administrator can decode.
pub fn encoded(reason: &str) -> Option<&str> {
    ENCODED.captures(reason)?.get(1).map(|blob| blob.as_str())
}

fn resource(cause: &Cause) -> String {
    format!("{} ({})", plain(&cause.logical, NAME_MAX), plain(&cause.kind, NAME_MAX))
}

/// Why it was not made: AWS's causes, and the stack's own reason where a list is missing.
fn why(facts: &Facts<'_>) -> Vec<Problem> {
    let mut problems = of_creation(facts);
    if problems.is_empty() || !facts.causes.unread.is_empty() {
        problems.push(own(facts, "tell the administrator, who sees the stack's events"));
    }
    problems
}

/// The stack's own reason.
fn own(facts: &Facts<'_>, next: &str) -> Problem {
    let reason = facts.stack().and_then(|s| s.reason.as_deref()).map_or_else(|| NO_REASON.to_owned(), shown);
    let unread = if facts.causes.unread.is_empty() { "" } else { "; AWS's list of its events cannot be read, so no more is known here" };
    Problem::new("the cluster's stack", format!("{reason}{unread}"), next)
}

/// What is left of it; `next` is what to do about each.
fn left(facts: &Facts<'_>, next: &str) -> Vec<Problem> {
    let told = |cause: &Cause| {
        let which = if cause.physical.is_empty() {
            resource(cause)
        } else {
            format!("{} {} ({})", plain(&cause.logical, NAME_MAX), plain(&cause.physical, NAME_MAX), plain(&cause.kind, NAME_MAX))
        };
        Problem::new(which, format!("it could not be removed: {}", shown(&cause.reason)), next)
    };
    facts.causes.left().map(told).collect()
}

/// What is left, or the stack's own reason where no list tells.
fn left_or_own(facts: &Facts<'_>, next: &str) -> Vec<Problem> {
    let mut problems = left(facts, next);
    if problems.is_empty() || !facts.causes.unread.is_empty() {
        problems.push(own(facts, next));
    }
    problems
}

fn again(facts: &Facts<'_>) -> String {
    format!("drop {}.cf-delete again to try once more; the administrator has been told", name(facts))
}

/// While a rollback is under way nothing is said of its end: it may fail, too.
pub fn failed(facts: &Facts<'_>) -> String {
    let mut problems = why(facts);
    let rest = match facts.stack().map(|s| s.status) {
        Some(StackStatus::DeleteFailed) => {
            problems.extend(left(facts, &again(facts)));
            "What was made of it could not be removed wholly, and may still cost money."
        }
        Some(StackStatus::RollbackFailed) => {
            problems.extend(left(facts, "nothing yet: its removal is tried once more; if that fails, this file says so"));
            "The rollback left some of what was made of it, which costs money until it is gone; its removal is tried once more."
        }
        Some(StackStatus::RollbackComplete | StackStatus::DeleteComplete) => "What was made of it has been removed.",
        _ => "What was made of it is being removed; if that fails, this file says so.",
    };
    failure(&format!("The cluster {} could not be made. {rest}", name(facts)), &problems)
}

/// Why it was not made, as far as AWS's lists tell.
fn of_creation(facts: &Facts<'_>) -> Vec<Problem> {
    let told = |cause: &Cause| Problem::new(resource(cause), shown(&cause.reason), advice(cause, facts.site.template));
    facts.causes.of_creation().map(told).collect()
}

/// The removal failed. Of a cluster whose creation had failed before, this takes the place of the answer that said why.
pub fn stuck(facts: &Facts<'_>) -> String {
    let entry = facts.entry();
    let of_creation = of_creation(facts);
    let was_made = entry.login.is_some() || (of_creation.is_empty() && entry.phase != Phase::Failing);
    let mut problems = if was_made { Vec::new() } else { of_creation };
    problems.extend(left_or_own(facts, &again(facts)));
    let what =
        if was_made { "could not be removed wholly" } else { "could not be made, and what was made of it could not be removed wholly" };
    failure(&format!("The cluster {} {what}. What is left may still cost money.", name(facts)), &problems)
}

/// An earlier cluster of this name is not gone: what is left of it is said again, for this takes the place of the answer that did.
pub fn leftover(facts: &Facts<'_>) -> String {
    if facts.stack().is_some_and(|s| s.status.state() == StackState::Planned) {
        return planned(facts);
    }
    let next = format!("drop {}.cf-delete to try the removal again, or choose another name", name(facts));
    let mut problems = vec![Problem::new("its name", "an earlier cluster of this name could not be removed wholly", &next)];
    problems.extend(left_or_own(facts, &next));
    failure(&format!("The cluster {} cannot be started. What is left of the earlier one may still cost money.", name(facts)), &problems)
}

/// The name is held by a change set that nobody has executed.
fn planned(facts: &Facts<'_>) -> String {
    failure(
        &format!("The cluster {} cannot be started.", name(facts)),
        &[Problem::new(
            "its name",
            "a change set of the administrator's, which nobody has executed, holds it (REVIEW_IN_PROGRESS); nothing is made of it",
            format!("drop {}.cf-delete to remove it, ask the administrator, or choose another name", name(facts)),
        )],
    )
}

pub fn declined(facts: &Facts<'_>, why: &str) -> String {
    let next = match Situation::of(why) {
        Situation::Unknown => "tell the administrator, who has been sent this too".to_owned(),
        _ => advice_on("", why, facts.site.template),
    };
    failure(
        &format!("The cluster {} was not started. Nothing was made.", name(facts)),
        &[Problem::new("the start of the stack", format!("CloudFormation refused it: {}", shown(why)), next)],
    )
}

pub fn undeletable(facts: &Facts<'_>, why: &str) -> String {
    let next = if why.contains("TerminationProtection") {
        format!(
            "ask the administrator to take the protection off (aws cloudformation update-termination-protection \
             --no-enable-termination-protection --stack-name {}), then drop {}.cf-delete again",
            facts.site.stack_name(&facts.cluster),
            name(facts)
        )
    } else {
        "tell the administrator, who has been sent this too".to_owned()
    };
    let mut problems = vec![Problem::new("the removal of its stack", format!("CloudFormation refused it: {}", shown(why)), next)];
    problems.extend(left(facts, &again(facts)));
    let what = match facts.stack().map(|stack| stack.status) {
        Some(StackStatus::RollbackComplete) => {
            "could not be made. What was made of it has been removed, but its stack could not be, and holds the name."
        }
        Some(status) if status.state() == StackState::Failed => {
            "could not be made, and what was made of it could not be removed. What is left may still cost money."
        }
        _ => return not_removed(facts, &problems),
    };
    // It takes the place of the answer that said why there is no cluster.
    problems.splice(0..0, self::why(facts));
    failure(&format!("The cluster {} {what}", name(facts)), &problems)
}
