//! What failed in AWS, as it is shown: why a cluster was not made, and what is left of it. AWS's words are shown on one line each.

use std::fmt;
use std::sync::LazyLock;

use regex_lite::Regex;

use super::problem::Parts;
use super::{Advice, NodeFailure};
use crate::plain::{SHOWN_MAX, plain};

/// A resource's name, type or id is shown up to so many characters.
const NAME_MAX: usize = 160;

/// AWS's blob for the administrator: base64 in the alphabet for URLs.
static ENCODED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)Encoded authorization failure message:\s*([A-Za-z0-9_-]{20,})").expect("it is tried by the tests"));

/// AWS's words for a user.
pub(super) fn shown(reason: &str) -> String {
    let short = ENCODED.replace_all(reason, "Encoded authorization failure message: (left out here; the administrator has it)");
    plain(&short, SHOWN_MAX)
}

/// The blob in AWS's words that only an administrator can decode.
pub(super) fn encoded(reason: &str) -> Option<&str> {
    ENCODED.captures(reason)?.get(1).map(|blob| blob.as_str())
}

/// A resource that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// Its physical id; empty where it has none.
    pub physical: String,
    /// AWS's words.
    pub reason: String,
    /// What to do about it.
    pub advice: Advice,
    /// Where it is a login node that gave up: why, instead of AWS's words.
    pub node: Option<Box<NodeFailure>>,
}

impl Cause {
    fn resource(&self) -> String {
        format!("{} ({})", plain(&self.logical, NAME_MAX), plain(&self.kind, NAME_MAX))
    }

    /// Why it was not made.
    pub(super) fn of_creation(&self) -> Parts {
        match &self.node {
            Some(failure) => failure.parts(),
            None => Parts::new(self.resource(), shown(&self.reason), self.advice.to_string()),
        }
    }

    /// That it is left.
    pub(super) fn of_removal(&self, next: &str) -> Parts {
        let which = if self.physical.is_empty() {
            self.resource()
        } else {
            format!("{} {} ({})", plain(&self.logical, NAME_MAX), plain(&self.physical, NAME_MAX), plain(&self.kind, NAME_MAX))
        };
        Parts::new(which, format!("it could not be removed: {}", shown(&self.reason)), next)
    }
}

/// What the stack itself says of its failure, where its lists of events say nothing, or could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackReason {
    /// CloudFormation's words, if it has any.
    pub reason: Option<String>,
    /// Whether a list of events could not be read.
    pub is_unread: bool,
}

impl StackReason {
    pub(super) fn parts(&self, next: &str) -> Parts {
        let reason = self.reason.as_deref().map_or_else(|| "CloudFormation gave no reason".to_owned(), shown);
        let unread = if self.is_unread { "; AWS's list of its events cannot be read, so no more is known here" } else { "" };
        Parts::new("the cluster's stack", format!("{reason}{unread}"), next)
    }
}

/// What is left of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// The resources that could not be removed, as far as AWS's lists show.
    pub resources: Vec<Cause>,
    /// The stack's own reason, where no list shows it, or not all could be read.
    pub stack: Option<StackReason>,
}

impl Remains {
    pub(super) fn parts(&self, next: &str) -> Vec<Parts> {
        let resources = self.resources.iter().map(|cause| cause.of_removal(next));
        resources.chain(self.stack.iter().map(|stack| stack.parts(next))).collect()
    }
}

/// What becomes of the parts of a creation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// They are being removed.
    Going,
    /// They have been removed.
    Gone,
    /// The rollback has left some; their removal is tried once more.
    Tried(Vec<Cause>),
    /// They could not be removed.
    Stuck(Vec<Cause>),
}

impl fmt::Display for Rest {
    /// While a rollback is under way nothing is said of its end: it may fail, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Going => "What was made of it is being removed; if that fails, this file says so.",
            Self::Gone => "What was made of it has been removed.",
            Self::Tried(_) => {
                "The rollback left some of what was made of it, which costs money until it is gone; its removal is tried once more."
            }
            Self::Stuck(_) => "What was made of it could not be removed wholly, and may still cost money.",
        })
    }
}
