//! Why did a stack fail, and what is left of it? The first real causes out of its events, not the cancellations that follow
//! them, and the resources whose removal failed.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::fault::Fault;
use crate::stack::StackId;

/// An event of a stack, as DescribeStackEvents gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEvent {
    /// When.
    pub at: Timestamp,
    /// The resource's name in the template.
    pub logical: String,
    /// Its physical id; for a nested stack its stack id.
    pub physical: String,
    /// Its type, `AWS::EC2::Instance`.
    pub kind: String,
    /// Its status, `CREATE_FAILED`.
    pub status: String,
    /// AWS's words.
    pub reason: String,
}

/// What it was that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failed {
    /// `CREATE_FAILED`: it was not made.
    Creation,
    /// `DELETE_FAILED`: it is left, and may cost money.
    Removal,
}

/// One real cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// When it failed.
    pub at: Timestamp,
    /// What failed.
    pub failed: Failed,
    /// The resource's name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// Its physical id, where it has one: a resource that could not be deleted is found by it.
    pub physical: String,
    /// AWS's words.
    pub reason: String,
}

/// What the lists of a stack's events tell of its failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// Why it was not made, the earliest first, then what is left of it.
    pub found: Vec<Cause>,
    /// Lists that could not be read, or not to their end: what they would have told is missing.
    pub unread: Vec<Fault>,
}

/// So many causes of a failed creation are told; the first is nearly always the one that matters.
pub const CAUSES_MAX: usize = 5;

/// So many resources that are left are kept. More than a stack of ours has.
pub const LEFT_MAX: usize = 100;

/// The type of a stack within a stack, and of the stack itself in its own events.
pub const NESTED: &str = "AWS::CloudFormation::Stack";

/// What AWS says of a resource that it gave up because another failed, and nothing else (aws-scalable-big-blue-button-example#36,
/// kumahq/kuma#1696). A resource whose removal was cancelled is left all the same.
const CANCELLED: [&str; 2] = ["Resource creation cancelled", "Resource update cancelled"];

impl StackEvent {
    /// What failed, if anything did of itself. A stack's own failure only repeats the names of the resources that failed.
    pub fn failure(&self, stack: &str) -> Option<Failed> {
        let failed = match self.status.as_str() {
            "CREATE_FAILED" => Failed::Creation,
            "DELETE_FAILED" => Failed::Removal,
            _ => return None,
        };
        (self.physical != stack && (failed == Failed::Removal || !self.is_cancelled())).then_some(failed)
    }

    fn is_cancelled(&self) -> bool {
        let reason = self.reason.trim().trim_end_matches('.');
        CANCELLED.iter().any(|sentence| reason.eq_ignore_ascii_case(sentence))
    }

    /// Whether the failure lies in a nested stack, whose events tell the cause.
    pub fn nested(&self) -> Option<&str> {
        (self.kind == NESTED && !self.physical.is_empty()).then_some(self.physical.as_str())
    }

    fn cause(self, failed: Failed) -> Cause {
        let Self { at, logical, physical, kind, reason, .. } = self;
        Cause { at, failed, logical, kind, physical, reason }
    }
}

/// Gathers the events of a stack and of those nested in it, each list newest first.
#[derive(Debug, Default)]
pub struct Gatherer {
    found: Vec<Cause>,
    /// Resources that went in the end, whatever was said of them before.
    gone: BTreeSet<(String, String)>,
    /// What nested stacks' failures look like from outside: told where their own lists tell nothing.
    outside: Vec<(StackId, Cause)>,
    /// Stacks whose lists told of a failure of this kind.
    told: BTreeSet<(StackId, Failed)>,
    was_complete: bool,
}

impl Gatherer {
    /// Takes up an event of the list of `stack`; gives the nested stack whose list is to be read too.
    pub fn take(&mut self, event: StackEvent, stack: &StackId, root: &StackId) -> Option<StackId> {
        if event.status == "DELETE_COMPLETE" {
            self.gone.insert((event.logical, event.physical));
            return None;
        }
        self.was_complete |= stack == root && event.physical == root.0 && event.status == "CREATE_COMPLETE";
        let failed = event.failure(&stack.0)?;
        if failed == Failed::Removal && self.gone.contains(&(event.logical.clone(), event.physical.clone())) {
            return None;
        }
        self.told.insert((stack.clone(), failed));
        let inner = event.nested().map(|id| StackId(id.to_owned()));
        let cause = event.cause(failed);
        match &inner {
            Some(id) => self.outside.push((id.clone(), cause)),
            None => self.found.push(cause),
        }
        inner
    }

    /// The causes: of a creation only where it did not succeed (an administrator's later update may have failed), the earliest
    /// few; then all that is left. Each resource once.
    pub fn causes(self) -> Vec<Cause> {
        let Self { mut found, outside, told, was_complete, .. } = self;
        found.extend(outside.into_iter().filter(|(id, cause)| !told.contains(&(id.clone(), cause.failed))).map(|(_, cause)| cause));
        found.sort_by(|a, b| a.failed.cmp(&b.failed).then(a.at.cmp(&b.at)).then_with(|| a.logical.cmp(&b.logical)));
        let mut seen = BTreeSet::new();
        found.retain(|c| seen.insert((c.failed, c.logical.clone(), c.physical.clone())));
        let (creation, removal): (Vec<_>, Vec<_>) = found.into_iter().partition(|c| c.failed == Failed::Creation);
        let creation = creation.into_iter().filter(|_| !was_complete).take(CAUSES_MAX);
        creation.chain(removal.into_iter().take(LEFT_MAX)).collect()
    }
}

impl Causes {
    /// Why it was not made.
    pub fn of_creation(&self) -> impl Iterator<Item = &Cause> {
        self.found.iter().filter(|c| c.failed == Failed::Creation)
    }

    /// What is left of it.
    pub fn left(&self) -> impl Iterator<Item = &Cause> {
        self.found.iter().filter(|c| c.failed == Failed::Removal)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.logical, self.kind, self.reason)
    }
}
