//! What a plan changes in the ledger, for the log: a reader sees from where to where a cluster goes without its files.

use std::collections::BTreeSet;
use std::fmt;

use crate::ledger::{Entry, MailKind, Phase};

/// From an entry to the one that a plan writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The phase before.
    pub before: Phase,
    /// The phase after.
    pub after: Phase,
    /// The keys of uploads that are noted as open.
    pub opened: Vec<String>,
    /// The keys of uploads that are no longer open: answered, withdrawn or replaced.
    pub closed: Vec<String>,
    /// Mails that are claimed.
    pub claimed: Vec<MailKind>,
}

impl Change {
    /// What differs between two entries; nothing where none is written.
    pub fn between(before: &Entry, after: Option<&Entry>) -> Self {
        let after = after.unwrap_or(before);
        let known: BTreeSet<_> = before.open.iter().map(|open| &open.request).collect();
        let left: BTreeSet<_> = after.open.iter().map(|open| &open.request).collect();
        let key = |open: &crate::ledger::Open| open.key.to_string();
        Self {
            before: before.phase,
            after: after.phase,
            opened: after.open.iter().filter(|open| !known.contains(&open.request)).map(key).collect(),
            closed: before.open.iter().filter(|open| !left.contains(&open.request)).map(key).collect(),
            claimed: after.mails.iter().filter(|claim| !before.mails.contains(claim)).map(|claim| claim.kind).collect(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.before)?;
        if self.before != self.after {
            write!(f, " -> {}", self.after)?;
        }
        let keys = [("opens", &self.opened), ("closes", &self.closed)];
        for (what, keys) in keys.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            write!(f, " · {what} {}", keys.join(", "))?;
        }
        for kind in &self.claimed {
            write!(f, " · claims mail {kind}")?;
        }
        Ok(())
    }
}
