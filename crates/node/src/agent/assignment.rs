//! Which machine is which compute node: the login node's book of numbers. Pure; [`super::desk`] writes it to the disk.
//!
//! **The rules.**
//!
//! 1. A machine that asks again gets the number that it has.
//! 2. Another gets the lowest free number. A number is free that nobody holds, or whose holder is given up.
//! 3. A holder is given up when it has been away for [`Rules::given_up_after`]. Away is who is no member of the gossip; who never was
//!    one is away from the assignment on, and after a start of this agent everybody is, until the gossip knows better. A holder that
//!    comes back before another took its number keeps it.
//! 4. Where no number is free, the holder that is away longest gives its number to who asks, if that is at least [`Rules::away_min`]:
//!    the group of machines starts no more than there are numbers, so one of its machines is gone for good. A machine that only
//!    reboots is away for less, or there is another one that is away longer.
//! 5. Where even that gives none, the machine is refused, and asks again.
//!
//! A given-up machine that asks again is a machine without a number (rule 2).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::node::NodeName;
use crate::request::{Asks as Machine, Refusal, is_instance};

/// When a number is taken from a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A holder that is away for so long is given up.
    pub given_up_after: Duration,
    /// A holder that is away for so long is given up if its number is needed. The gossip sees a loss within some seconds.
    pub away_min: Duration,
}

impl Default for Rules {
    /// A reboot takes one or two minutes, a lost spot node's replacement comes after about two.
    fn default() -> Self {
        Self { given_up_after: Duration::from_mins(10), away_min: Duration::from_mins(1) }
    }
}

/// The machine that is a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its EC2 id.
    pub instance: String,
    /// Its private address.
    pub address: IpAddr,
    /// Since when it is away, by this agent's clock; `None` while it is a member.
    #[serde(skip)]
    away_since: Option<Duration>,
    /// Whether its number is free for others.
    #[serde(default)]
    given_up: bool,
}

/// The book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    holders: BTreeMap<NodeName, Holder>,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<T> {
    /// The answer.
    pub answer: T,
    /// Whether the book has changed: write it first.
    pub save: bool,
}

impl Assignment {
    /// After a start of the agent: whoever is there has yet to be seen.
    pub fn start(&mut self) {
        for holder in self.holders.values_mut() {
            holder.away_since = Some(Duration::ZERO);
        }
    }

    /// A machine asks which node it is. `now` is the time since the agent's start.
    pub fn ask(&mut self, asks: &Machine, nodes_max: u32, rules: &Rules, now: Duration) -> Decision<Result<NodeName, Refusal>> {
        if !is_instance(&asks.instance) {
            return Decision { answer: Err(Refusal::NoInstance), save: false };
        }
        if let Some((name, holder)) = self.holders.iter_mut().find(|(_, holder)| holder.instance == asks.instance) {
            let fresh = Holder { address: asks.address, given_up: false, ..holder.clone() };
            if holder.given_up {
                holder.away_since = Some(now);
            }
            let save = (holder.address, holder.given_up) != (fresh.address, fresh.given_up);
            (holder.address, holder.given_up) = (fresh.address, fresh.given_up);
            return Decision { answer: Ok(*name), save };
        }
        let Some(name) = self.lowest_free(nodes_max).or_else(|| self.longest_away(nodes_max, rules, now)) else {
            return Decision { answer: Err(Refusal::Full { nodes_max }), save: false };
        };
        let holder = Holder { instance: asks.instance.clone(), address: asks.address, away_since: Some(now), given_up: false };
        self.holders.insert(name, holder);
        Decision { answer: Ok(name), save: true }
    }

    fn lowest_free(&self, nodes_max: u32) -> Option<NodeName> {
        let is_free = |name: &NodeName| self.holders.get(name).is_none_or(|holder| holder.given_up);
        (1..=nodes_max).filter_map(NodeName::compute).find(is_free)
    }

    fn longest_away(&self, nodes_max: u32, rules: &Rules, now: Duration) -> Option<NodeName> {
        let away = self.holders.iter().filter_map(|(name, holder)| Some((holder.away_since?, *name)));
        let longest = away.filter(|(since, name)| now.saturating_sub(*since) >= rules.away_min && name.rank() <= nodes_max).min();
        longest.map(|(_, name)| name)
    }

    /// Who is a member now. Those who have been away too long are given up. A member whose number nobody holds gets it: a book that was
    /// lost is written anew so.
    pub fn present(&mut self, members: &BTreeMap<NodeName, Machine>, rules: &Rules, now: Duration) -> Decision<()> {
        let mut save = self.adopt(members);
        for (name, holder) in &mut self.holders {
            if members.get(name).is_some_and(|machine| machine.instance == holder.instance) {
                // Only its own machine takes a name back that was given up and not yet given to another.
                save |= std::mem::take(&mut holder.given_up);
                holder.away_since = None;
            } else {
                let since = *holder.away_since.get_or_insert(now);
                if !holder.given_up && now.saturating_sub(since) >= rules.given_up_after {
                    holder.given_up = true;
                    save = true;
                }
            }
        }
        Decision { answer: (), save }
    }

    fn adopt(&mut self, members: &BTreeMap<NodeName, Machine>) -> bool {
        let mut adopted = false;
        for (name, machine) in members.iter().filter(|(name, _)| **name != NodeName::LOGIN) {
            let is_known = self.holders.contains_key(name) || self.holders.values().any(|holder| holder.instance == machine.instance);
            if !is_known && is_instance(&machine.instance) {
                let (instance, address) = (machine.instance.clone(), machine.address);
                self.holders.insert(*name, Holder { instance, address, away_since: None, given_up: false });
                adopted = true;
            }
        }
        adopted
    }

    /// The nodes that an exchange expects: the login node, and who holds a number and is not given up.
    pub fn expected(&self) -> BTreeSet<NodeName> {
        let holders = self.holders.iter().filter(|(_, holder)| !holder.given_up).map(|(name, _)| *name);
        holders.chain([NodeName::LOGIN]).collect()
    }

    /// Who holds which number, also who is given up.
    pub fn holders(&self) -> &BTreeMap<NodeName, Holder> {
        &self.holders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { given_up_after: Duration::from_mins(10), away_min: Duration::from_mins(1) };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn node(number: u32) -> NodeName {
        NodeName::compute(number).unwrap()
    }

    fn machine(instance: &str) -> Machine {
        Machine { instance: instance.to_owned(), address: "10.0.0.7".parse().unwrap(), group: None }
    }

    fn ask(book: &mut Assignment, instance: &str, at: u64) -> Result<NodeName, Refusal> {
        book.ask(&machine(instance), 2, &RULES, seconds(at)).answer
    }

    fn see(book: &mut Assignment, members: &[(u32, &str)], at: u64) {
        let members =
            members.iter().map(|(number, instance)| (NodeName::compute(*number).unwrap_or(NodeName::LOGIN), machine(instance))).collect();
        book.present(&members, &RULES, seconds(at));
    }

    #[test]
    fn a_machine_keeps_its_number_however_often_it_asks_and_another_gets_the_next() {
        let mut book = Assignment::default();
        assert_eq!(ask(&mut book, "i-a", 0), Ok(node(1)));
        assert_eq!(ask(&mut book, "i-b", 0), Ok(node(2)));
        assert_eq!(ask(&mut book, "i-a", 1), Ok(node(1)));
        assert_eq!(ask(&mut book, "i-c", 1), Err(Refusal::Full { nodes_max: 2 }));
        assert_eq!(ask(&mut book, "", 1), Err(Refusal::NoInstance));
        let asks = machine("i-a");
        assert!(!book.ask(&asks, 2, &RULES, seconds(2)).save, "nothing has changed");
        let moved = Machine { address: "10.0.0.8".parse().unwrap(), ..asks };
        assert!(book.ask(&moved, 2, &RULES, seconds(2)).save, "its address has");
        assert_eq!(Assignment::default().ask(&moved, 0, &RULES, seconds(0)).answer, Err(Refusal::Full { nodes_max: 0 }));
    }

    #[test]
    fn a_node_that_is_away_gives_its_number_up_when_another_needs_it_and_no_moment_earlier() {
        let mut book = Assignment::default();
        ask(&mut book, "i-a", 0).unwrap();
        ask(&mut book, "i-b", 0).unwrap();
        see(&mut book, &[(1, "i-a"), (2, "i-b")], 10);
        see(&mut book, &[(1, "i-a")], 20);
        assert_eq!(ask(&mut book, "i-c", 79), Err(Refusal::Full { nodes_max: 2 }));
        assert_eq!(ask(&mut book, "i-c", 80), Ok(node(2)));
        assert_eq!(ask(&mut book, "i-b", 81), Err(Refusal::Full { nodes_max: 2 }), "the old machine has no number any more");
    }

    #[test]
    fn a_node_that_stays_away_is_expected_no_more_and_comes_back_to_its_number_if_it_is_free() {
        let mut book = Assignment::default();
        ask(&mut book, "i-a", 0).unwrap();
        see(&mut book, &[(1, "i-a")], 10);
        see(&mut book, &[], 20);
        see(&mut book, &[], 619);
        assert_eq!(book.expected(), [NodeName::LOGIN, node(1)].into());
        see(&mut book, &[], 620);
        assert_eq!(book.expected(), [NodeName::LOGIN].into());
        see(&mut book, &[(1, "i-a")], 630);
        assert_eq!(book.expected(), [NodeName::LOGIN, node(1)].into());
        see(&mut book, &[], 640);
        see(&mut book, &[], 1_240);
        assert_eq!(ask(&mut book, "i-c", 1_241), Ok(node(1)), "the lowest free number, before one that nobody ever held");
        see(&mut book, &[(1, "i-a")], 1_250);
        assert_eq!(book.holders()[&node(1)].instance, "i-c", "a member of that name with another machine is not its holder");
    }

    #[test]
    fn after_a_restart_a_holder_has_its_time_to_be_seen() {
        let mut book = Assignment::default();
        ask(&mut book, "i-a", 0).unwrap();
        ask(&mut book, "i-b", 0).unwrap();
        let mut again: Assignment = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
        again.start();
        assert_eq!(ask(&mut again, "i-c", 59), Err(Refusal::Full { nodes_max: 2 }));
        see(&mut again, &[(1, "i-a")], 59);
        assert_eq!(ask(&mut again, "i-c", 60), Ok(node(2)));
    }

    #[test]
    fn a_book_that_was_lost_is_written_anew_by_the_members_that_are_there() {
        let mut book = Assignment::default();
        see(&mut book, &[(0, "i-login"), (2, "i-b")], 0);
        assert_eq!(ask(&mut book, "i-c", 0), Ok(node(1)));
        assert_eq!(ask(&mut book, "i-b", 0), Ok(node(2)));
        see(&mut book, &[(1, "i-b")], 0);
        assert_eq!(book.holders()[&node(1)].instance, "i-c", "a number that is held is nobody else's, whatever a member says");
    }

    #[test]
    fn numbers_above_a_smaller_maximum_are_given_to_nobody() {
        let mut book = Assignment::default();
        ask(&mut book, "i-a", 0).unwrap();
        ask(&mut book, "i-b", 0).unwrap();
        see(&mut book, &[(1, "i-a")], 0);
        assert_eq!(book.ask(&machine("i-c"), 1, &RULES, seconds(1_000)).answer, Err(Refusal::Full { nodes_max: 1 }));
    }
}
