//! What adopting remembers, in the system bucket: what stood there before, and what of it all is our doing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bucket::State;
use super::notification;

/// The record of one adopted bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The bucket.
    pub bucket: String,
    /// The deployment that adopted it.
    pub deployment: String,
    /// When it was first looked at.
    pub saved: String,
    /// What stood there then.
    pub before: Before,
    /// What we have added.
    pub added: Added,
}

/// A bucket as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// Its policy, to the letter.
    pub policy: Option<String>,
    /// Its notification configuration as the AWS CLI shows it, so that it can also be restored by hand.
    pub notification: Value,
}

impl Before {
    /// What stands there at a look.
    pub fn of(state: &State) -> Self {
        Self { policy: state.policy.clone(), notification: notification::view(&state.notification) }
    }
}

/// Our doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Statements of the policy.
    pub statements: Vec<Value>,
    /// The trigger.
    pub notification: notification::Added,
}

impl Added {
    /// This, and also what another record has.
    pub fn and(mut self, other: Self) -> Self {
        let more = |list: &mut Vec<Value>, others: Vec<Value>| {
            for other in others {
                if !list.contains(&other) {
                    list.push(other);
                }
            }
        };
        more(&mut self.statements, other.statements);
        more(&mut self.notification.rules, other.notification.rules);
        self.notification.eventbridge |= other.notification.eventbridge;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_records_together_have_everything_once() {
        let added = |statements: &[&str], eventbridge| Added {
            statements: statements.iter().map(|s| json!({"Sid": s})).collect(),
            notification: notification::Added { eventbridge, rules: vec![json!({"Id": "x"})] },
        };
        assert_eq!(added(&["A", "B"], false).and(added(&["B", "C"], true)), added(&["A", "B", "C"], true));
    }
}
