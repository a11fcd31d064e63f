//! Keeps the book of scaling on the login node's disk. Whatever changes it (Slurm's calls, machines that ask, passes) does so here, one
//! after the other; where the disk does not take a change, it has not happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cf_slurm::scaling::{self, Answer, Book, Decision, Facts, Policy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::node::{Layout, NodeName};
use crate::request::{Asks, Refusal, is_instance};
use crate::state_file::{self, StateError};

/// The keeper, one for all tasks of the login node's agent.
#[derive(Debug)]
pub struct Keeper {
    inner: Mutex<Inner>,
    paths: Paths,
    clock: fn() -> Timestamp,
    opened: Timestamp,
    /// Whether the book was lost, so that members are believed for a while.
    lost: bool,
    calls: Notify,
    expected: watch::Sender<BTreeSet<NodeName>>,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    policy: Policy,
    switch: Switch,
}

#[derive(Debug)]
struct Paths {
    book: PathBuf,
    switch: PathBuf,
}

/// Whether autoscaling is switched off by root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Since when the size stays as it is; `None`: autoscaling is on.
    pub disabled_since: Option<Timestamp>,
}

impl Keeper {
    /// The keeper with what an earlier process left. What cannot be read is begun anew, and the errors come beside the keeper.
    pub fn open(layout: &Layout, policy: Policy, clock: fn() -> Timestamp) -> (Self, Vec<StateError>) {
        let paths = Paths { book: layout.state().join("scaling.json"), switch: layout.state().join("autoscaling.json") };
        let mut errors = Vec::new();
        let (book, switch) = (state_file::load::<Book>(&paths.book), state_file::load::<Switch>(&paths.switch));
        let lost = book.is_err();
        let book = book.unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let switch = switch.unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let mut inner = Inner { book: book.unwrap_or_default(), policy, switch: switch.unwrap_or_default() };
        inner.policy.frozen = inner.switch.disabled_since.is_some();
        let expected = watch::Sender::new(expected(&inner.book));
        let keeper = Self { inner: Mutex::new(inner), paths, clock, opened: clock(), lost, calls: Notify::new(), expected };
        (keeper, errors)
    }

    /// Waits until the book has changed by something else than a pass. A change that nobody has waited for counts.
    pub async fn called(&self) {
        self.calls.notified().await;
    }

    /// The nodes that the exchange expects, as they change: the login node and those that Slurm wants.
    pub fn expected(&self) -> watch::Receiver<BTreeSet<NodeName>> {
        self.expected.subscribe()
    }

    /// The book and the policy, as they are now.
    pub fn look(&self) -> (Book, Policy) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.book.clone(), inner.policy.clone())
    }

    /// Whether autoscaling is switched off.
    pub fn switch(&self) -> Switch {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).switch
    }

    /// Slurm wants these nodes.
    pub fn resume(&self, nodes: &BTreeSet<NodeName>) -> Result<(), StateError> {
        self.call(|book, policy, now| book.resume(nodes, policy, now))
    }

    /// Slurm does not want these nodes any more.
    pub fn suspend(&self, nodes: &BTreeSet<NodeName>) -> Result<(), StateError> {
        self.call(|book, _, now| book.suspend(nodes, now))
    }

    /// Slurm has waited in vain for these nodes.
    pub fn resume_failed(&self, nodes: &BTreeSet<NodeName>) -> Result<(), StateError> {
        self.call(|book, policy, now| book.resume_failed(nodes, policy, now))
    }

    /// EC2 has announced that it takes a machine back. Gives the node that it is.
    pub fn interrupted(&self, machine: &str) -> Result<Option<NodeName>, StateError> {
        self.call(|book, _, _| book.interrupted(machine))
    }

    /// A machine asks which node it is. It gets names of the group that AWS shows it in, whatever it says; before AWS was read, those of
    /// the group that it names, until the next reading.
    ///
    /// # Errors
    /// Why the machine is no node now.
    pub fn ask(&self, asks: &Asks) -> Result<NodeName, Refusal> {
        if !is_instance(&asks.instance) {
            return Err(Refusal::NoInstance);
        }
        let claimed = asks.group.ok_or(Refusal::NoGroup)?;
        let answer = self.call(|book, policy, now| {
            let known = book.machines().find(|(id, ..)| *id == asks.instance).map(|(_, group, _)| group);
            book.ask(&asks.instance, known.unwrap_or(claimed), policy, now)
        });
        match answer {
            Ok(Answer::Node(name)) => Ok(name),
            Ok(Answer::TooLate) => Err(Refusal::TooLate),
            Err(error) => {
                tracing::error!("which machine is which node: {error}");
                Err(Refusal::Unsaved)
            }
        }
    }

    /// Takes the word of members for which node they are, where the book was lost and as long as a machine may take to ask.
    pub fn adopt(&self, members: &BTreeMap<NodeName, Asks>) {
        let (_, policy) = self.look();
        if !self.lost || (self.clock)() >= self.opened + policy.rules.asks_within {
            return;
        }
        let members = members.iter().filter(|(name, machine)| **name != NodeName::LOGIN && is_instance(&machine.instance));
        let adopted =
            self.change(|book, policy, now| members.for_each(|(name, machine)| book.adopt(&machine.instance, *name, policy, now)));
        match adopted {
            Ok(((), true)) => self.calls.notify_one(),
            Ok(((), false)) => {}
            Err(error) => tracing::error!("which machine is which node: {error}"),
        }
    }

    /// A pass: the decision on a reading, whose book is on the disk when this returns.
    pub fn pass(&self, facts: &Facts) -> Result<Decision, StateError> {
        let decided = self.change(|book, policy, now| {
            let decision = scaling::pass(book, facts, policy, now);
            *book = decision.book.clone();
            decision
        });
        decided.map(|(decision, _)| decision)
    }

    /// Switches autoscaling on or off.
    pub fn set_switch(&self, enabled: bool) -> Result<Switch, StateError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.switch.disabled_since.is_none() != enabled {
            let switch = Switch { disabled_since: (!enabled).then(self.clock) };
            state_file::save(&self.paths.switch, &switch)?;
            inner.switch = switch;
            inner.policy.frozen = !enabled;
        }
        let switch = inner.switch;
        drop(inner);
        self.calls.notify_one();
        Ok(switch)
    }

    /// A change that the next pass must see.
    fn call<T>(&self, change: impl FnOnce(&mut Book, &Policy, Timestamp) -> T) -> Result<T, StateError> {
        let (answer, _) = self.change(change)?;
        self.calls.notify_one();
        Ok(answer)
    }

    /// Changes the book, and writes it down; also gives whether anything has changed.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &Policy, Timestamp) -> T) -> Result<(T, bool), StateError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut book = inner.book.clone();
        let answer = change(&mut book, &inner.policy, (self.clock)());
        let is_changed = book != inner.book;
        if is_changed {
            state_file::save(&self.paths.book, &book)?;
            inner.book = book;
        }
        let expected = expected(&inner.book);
        drop(inner);
        self.expected.send_if_modified(|before| std::mem::replace(before, expected.clone()) != expected);
        Ok((answer, is_changed))
    }
}

/// The nodes that were resumed and not given up (decision 23).
fn expected(book: &Book) -> BTreeSet<NodeName> {
    book.wanted().chain([NodeName::LOGIN]).collect()
}
