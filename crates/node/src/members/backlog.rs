//! What the runner of scripts has yet to hear: the difference between the members that are and those that it was told of.
//!
//! Scripts may run for an hour while members come and go. A queue of changes would grow; this holds each name once, however often it
//! changed meanwhile. A member that joined and left unheard is never told of. Pure.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::{Change, Member};
use crate::node::NodeName;

/// The members, and what was told of them.
#[derive(Debug, Default)]
pub struct Backlog {
    now: BTreeMap<NodeName, (Member, Timestamp)>,
    told: BTreeMap<NodeName, Member>,
    /// Names that may differ between the two, each once, the one that changed first in front.
    names: VecDeque<NodeName>,
}

impl Backlog {
    /// A change, and when it was seen.
    pub fn record(&mut self, change: Change, at: Timestamp) {
        let name = change.member().name();
        match change {
            Change::Joined(member) => self.now.insert(name, (member, at)),
            Change::Left(_) => self.now.remove(&name),
        };
        if !self.names.contains(&name) {
            self.names.push_back(name);
        }
    }

    /// The members, and when each was seen joining.
    pub fn members(&self) -> impl Iterator<Item = (&Member, Timestamp)> {
        self.now.values().map(|(member, since)| (member, *since))
    }

    /// Whether there may be something to tell.
    pub fn is_pending(&self) -> bool {
        !self.names.is_empty()
    }

    /// The next change to tell, which counts as told.
    pub fn next_change(&mut self) -> Option<Change> {
        while let Some(name) = self.names.pop_front() {
            let after = self.now.get(&name).map(|(member, _)| member.clone());
            match (self.told.remove(&name), after) {
                (None, Some(member)) => {
                    self.told.insert(name, member.clone());
                    return Some(Change::Joined(member));
                }
                (Some(before), Some(after)) if before == after => {
                    self.told.insert(name, before);
                }
                (Some(before), after) => {
                    if after.is_some() {
                        self.names.push_front(name);
                    }
                    return Some(Change::Left(before));
                }
                (None, None) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::member;
    use super::*;

    fn at(rank: u32, host: u8) -> Member {
        member(rank, &format!("10.0.0.{host}:7946"))
    }

    #[test]
    fn a_thousand_changes_of_one_member_while_a_script_runs_are_at_most_one_leave_and_one_join() {
        let mut backlog = Backlog::default();
        backlog.record(Change::Joined(at(1, 1)), Timestamp::UNIX_EPOCH);
        assert_eq!(backlog.next_change(), Some(Change::Joined(at(1, 1))));
        for _ in 0..500 {
            backlog.record(Change::Left(at(1, 1)), Timestamp::UNIX_EPOCH);
            backlog.record(Change::Joined(at(1, 2)), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(backlog.names.len(), 1);
        let told: Vec<Change> = std::iter::from_fn(|| backlog.next_change()).collect();
        assert_eq!(told, [Change::Left(at(1, 1)), Change::Joined(at(1, 2))]);
        // One that came and went unheard, and one that is back as it was.
        backlog.record(Change::Joined(at(2, 3)), Timestamp::UNIX_EPOCH);
        backlog.record(Change::Left(at(2, 3)), Timestamp::UNIX_EPOCH);
        backlog.record(Change::Left(at(1, 2)), Timestamp::UNIX_EPOCH);
        backlog.record(Change::Joined(at(1, 2)), Timestamp::UNIX_EPOCH);
        assert_eq!(backlog.next_change(), None);
    }

    proptest! {
        #[test]
        fn what_is_told_alternates_and_ends_at_what_is(steps in prop::collection::vec((0u32..4, 1u8..4, any::<bool>()), 0..80)) {
            let (mut backlog, mut heard) = (Backlog::default(), BTreeMap::new());
            let mut hear = |change: Change| match change {
                Change::Joined(member) => assert!(heard.insert(member.name(), member).is_none()),
                Change::Left(member) => assert_eq!(heard.remove(&member.name()), Some(member)),
            };
            for (rank, host, listens) in steps {
                let before = backlog.now.get(&at(rank, host).name()).map(|(member, _)| member.clone());
                backlog.record(before.map_or(Change::Joined(at(rank, host)), Change::Left), Timestamp::UNIX_EPOCH);
                prop_assert!(backlog.names.len() <= 4);
                if listens {
                    backlog.next_change().into_iter().for_each(&mut hear);
                }
            }
            std::iter::from_fn(|| backlog.next_change()).for_each(&mut hear);
            prop_assert!(heard.values().eq(backlog.members().map(|(member, _)| member)));
        }
    }
}
