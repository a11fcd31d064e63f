//! The one sentence in `.cf-status`, by situation.

use jiff::Timestamp;

use crate::advice::advice_on;
use crate::facts::Facts;
use crate::ledger::NodeNews;
use crate::stack::StackState;
use crate::status::Progress;

pub fn starting() -> String {
    "The cluster is being started.".into()
}

pub fn not_taken(since: Timestamp) -> String {
    format!(
        "The cluster is to be started, but CloudFormation has not taken it yet, since {}. It is tried again every few minutes, and you need \
         do nothing; if it stays so for an hour, tell your administrator.",
        since.strftime("%F %T UTC")
    )
}

pub fn creating(progress: Option<Progress>) -> String {
    match progress {
        Some(p) => format!("The cluster is being made: {} of {} parts are finished.", p.done, p.total),
        None => "The cluster is being made.".into(),
    }
}

/// With the reason why compute nodes do not come, if that is what was heard of them last.
pub fn ready(facts: &Facts<'_>, login: &str, nodes: Option<&NodeNews>) -> String {
    let ready = format!("The cluster is ready: log in at {login}.");
    match nodes.and_then(|news| news.failure.as_deref()) {
        Some(reason) => {
            let next = advice_on("", reason, facts.site.template);
            format!("{ready} Compute nodes cannot be started: {reason}. What to do: {next}; AWS goes on trying by itself.")
        }
        None => ready,
    }
}

pub fn no_login() -> String {
    "The cluster was made, but has no login address; see the .cf-failed file.".into()
}

pub fn failed() -> String {
    "The cluster could not be made; the .cf-failed file says why.".into()
}

pub fn deleting(facts: &Facts<'_>) -> String {
    match facts.stack().map(|s| s.status.state()) {
        Some(StackState::Changing) => "The cluster will be removed as soon as a change that is under way has ended.".into(),
        Some(StackState::RollingBack) => "The cluster could not be made, and is being removed.".into(),
        _ => "The cluster is being removed.".into(),
    }
}

pub fn unwished() -> String {
    "The cluster will be removed as soon as its start, which is under way, can be seen.".into()
}

pub fn deleted() -> String {
    "The cluster is gone.".into()
}

pub fn removed() -> String {
    "The cluster was removed, and not by a .cf-delete file of yours.".into()
}

pub fn stuck() -> String {
    "The cluster could not be removed wholly; the .cf-failed file says what is left.".into()
}
