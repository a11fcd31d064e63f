//! Why did a stack fail? The first real causes out of its events, not the cancellations that follow them.

use std::fmt;

use jiff::Timestamp;

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

/// One real cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// When it failed.
    pub at: Timestamp,
    /// The resource's name in the template.
    pub logical: String,
    /// Its type.
    pub kind: String,
    /// Its physical id, where it has one: a resource that could not be deleted is found by it.
    pub physical: String,
    /// AWS's words.
    pub reason: String,
}

/// So many causes are told; the first is nearly always the one that matters.
pub const CAUSES_MAX: usize = 5;

/// The type of a stack within a stack, and of the stack itself in its own events.
pub const NESTED: &str = "AWS::CloudFormation::Stack";

impl StackEvent {
    /// Whether a resource failed of itself. AWS words a cancellation as "Resource creation cancelled" (also
    /// "… update cancelled"), and a stack's own failure only repeats the names of the resources that failed.
    pub fn is_root_failure(&self, stack: &str) -> bool {
        self.status.ends_with("_FAILED") && self.physical != stack && !self.reason.to_ascii_lowercase().contains("cancelled")
    }

    /// Whether the failure lies in a nested stack, whose events tell the cause.
    pub fn nested(&self) -> Option<&str> {
        (self.kind == NESTED && !self.physical.is_empty()).then_some(self.physical.as_str())
    }
}

/// The earliest causes of a list, each resource once.
pub fn first(mut causes: Vec<Cause>) -> Vec<Cause> {
    causes.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.logical.cmp(&b.logical)));
    let mut seen = Vec::new();
    causes.retain(|c| {
        let key = (c.logical.clone(), c.physical.clone());
        let is_new = !seen.contains(&key);
        seen.push(key);
        is_new
    });
    causes.truncate(CAUSES_MAX);
    causes
}

impl From<StackEvent> for Cause {
    fn from(event: StackEvent) -> Self {
        Self { at: event.at, logical: event.logical, kind: event.kind, physical: event.physical, reason: event.reason }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.logical, self.kind, self.reason)
    }
}
