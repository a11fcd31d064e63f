//! Why did a stack fail, and what is left of it? The first real causes out of its events, not the cancellations that follow
//! them, and the resources whose removal failed.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::fault::Fault;
use crate::stack::{ResourceStatus, StackId};

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
    /// Its status.
    pub status: ResourceStatus,
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

/// What the lists of a stack's events show of its failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// Why it was not made, the earliest first, then what is left of it.
    pub found: Vec<Cause>,
    /// Lists that could not be read, or not to their end: what they would have shown is missing.
    pub unread: Vec<Fault>,
}

/// So many causes of a failed creation are shown; the first is nearly always the one that matters.
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
        let failed = match self.status {
            ResourceStatus::CreateFailed => Failed::Creation,
            ResourceStatus::DeleteFailed => Failed::Removal,
            _ => return None,
        };
        (self.physical != stack && (failed == Failed::Removal || !self.is_cancelled())).then_some(failed)
    }

    fn is_cancelled(&self) -> bool {
        let reason = self.reason.trim().trim_end_matches('.');
        CANCELLED.iter().any(|sentence| reason.eq_ignore_ascii_case(sentence))
    }

    /// Whether the failure lies in a nested stack, whose events show the cause.
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
    /// What nested stacks' failures look like from outside: used where their own lists show nothing.
    outside: Vec<(StackId, Cause)>,
    /// Stacks whose lists showed a failure of this kind.
    explained: BTreeSet<(StackId, Failed)>,
    was_complete: bool,
}

impl Gatherer {
    /// Takes up an event of the list of `stack`; gives the nested stack whose list is to be read too.
    pub fn take(&mut self, event: StackEvent, stack: &StackId, root: &StackId) -> Option<StackId> {
        if event.status == ResourceStatus::DeleteComplete {
            self.gone.insert((event.logical, event.physical));
            return None;
        }
        self.was_complete |= stack == root && event.physical == root.0 && event.status == ResourceStatus::CreateComplete;
        let failed = event.failure(&stack.0)?;
        if failed == Failed::Removal && self.gone.contains(&(event.logical.clone(), event.physical.clone())) {
            return None;
        }
        self.explained.insert((stack.clone(), failed));
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
        let Self { mut found, outside, explained, was_complete, .. } = self;
        found.extend(outside.into_iter().filter(|(id, cause)| !explained.contains(&(id.clone(), cause.failed))).map(|(_, cause)| cause));
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

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "arn:aws:cloudformation:eu-west-2:123456789012:stack/x/1";
    const INNER: &str = "arn:aws:cloudformation:eu-west-2:123456789012:stack/x-Inner/2";

    /// Name, physical id, status, reason.
    type Event<'e> = (&'e str, &'e str, &'e str, &'e str);

    /// Events of one list, newest first.
    fn list(events: &[Event<'_>]) -> Vec<StackEvent> {
        let at = |nth: usize| Timestamp::from_second(1_000_000 - i64::try_from(nth).unwrap()).unwrap();
        let event = |(nth, (logical, physical, status, reason)): (usize, &Event<'_>)| StackEvent {
            at: at(nth),
            logical: (*logical).into(),
            physical: (*physical).into(),
            kind: if physical.starts_with("arn:") { NESTED.into() } else { "AWS::EC2::Instance".into() },
            status: ResourceStatus::parse(status),
            reason: (*reason).into(),
        };
        events.iter().enumerate().map(event).collect()
    }

    fn causes(lists: &[(&str, &[Event<'_>])]) -> Vec<(Failed, String)> {
        let mut gatherer = Gatherer::default();
        for (stack, events) in lists {
            for event in list(events) {
                gatherer.take(event, &StackId((*stack).into()), &StackId(ROOT.into()));
            }
        }
        gatherer.causes().into_iter().map(|c| (c.failed, format!("{}: {}", c.logical, c.reason))).collect()
    }

    #[test]
    fn only_the_exact_sentences_of_a_cancellation_are_left_out() {
        let events = [
            ("A", "", "CREATE_FAILED", "Resource creation cancelled"),
            ("B", "", "CREATE_FAILED", " Resource creation Cancelled. "),
            ("C", "", "CREATE_FAILED", "Resource creation cancelled by the vendor"),
            ("D", "", "UPDATE_FAILED", "no part of a creation"),
            ("E", "e-1", "DELETE_FAILED", "Resource deletion cancelled"),
            ("x", ROOT, "CREATE_FAILED", "The following resource(s) failed to create: [A, B, C]."),
        ];
        let expected = [
            (Failed::Creation, "C: Resource creation cancelled by the vendor".to_owned()),
            (Failed::Removal, "E: Resource deletion cancelled".to_owned()),
        ];
        assert_eq!(causes(&[(ROOT, &events)]), expected);
    }

    #[test]
    fn what_went_at_the_second_attempt_is_not_left() {
        let events = [
            ("Group", "sg-1", "DELETE_FAILED", "still there"),
            ("Node", "i-1", "DELETE_COMPLETE", ""),
            ("Group", "sg-1", "DELETE_FAILED", "at first"),
            ("Node", "i-1", "DELETE_FAILED", "at first"),
        ];
        // Whichever of the two reasons of one resource is shown, it is shown once.
        let left = causes(&[(ROOT, &events)]);
        assert!(left.len() == 1 && left[0].1.starts_with("Group"), "{left:?}");
    }

    #[test]
    fn a_nested_stacks_cause_comes_from_its_own_events_or_else_from_its_parents() {
        let outer = [("Inner", INNER, "CREATE_FAILED", "Embedded stack was not successfully created: [Node]")];
        let inner = [("Node", "i-1", "CREATE_FAILED", "no capacity")];
        assert_eq!(causes(&[(ROOT, &outer), (INNER, &inner)]), [(Failed::Creation, "Node: no capacity".to_owned())]);
        let unread = causes(&[(ROOT, &outer)]);
        assert_eq!(unread, [(Failed::Creation, "Inner: Embedded stack was not successfully created: [Node]".to_owned())]);
    }

    #[test]
    fn an_update_that_failed_does_not_make_a_cluster_one_that_was_never_made() {
        let events = [
            ("Group", "sg-1", "DELETE_FAILED", "has a dependent object"),
            ("Added", "", "CREATE_FAILED", "by an administrator's update"),
            ("x", ROOT, "CREATE_COMPLETE", ""),
        ];
        assert_eq!(causes(&[(ROOT, &events)]), [(Failed::Removal, "Group: has a dependent object".to_owned())]);
    }
}
