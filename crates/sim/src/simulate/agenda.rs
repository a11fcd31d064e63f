//! What is to happen, each at its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use cf_core::stack::StackStatus;

use super::stage::Orphan;
use super::travel::Delivery;

/// What happens.
pub enum Happening {
    /// Somebody does what a line of the script says.
    Step(usize),
    /// An event arrives at a function.
    Arrive(Box<Delivery>),
    /// What a running function waits for is there.
    Wake(usize, Waker),
    /// A running function's time is over.
    Deadline(usize),
    /// A stack goes on, if it still has this status.
    Move(usize, StackStatus),
    /// A call arrives that nobody waits for any more.
    Land(Box<Orphan>),
    /// The time of a sweep.
    Tick(u64),
}

/// What happens when; of two at the same time, what was planned first.
struct Due {
    at: i64,
    nth: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.nth) == (other.at, other.nth)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.nth).cmp(&(other.at, other.nth))
    }
}

/// The queue of things to come.
#[derive(Default)]
pub struct Agenda {
    due: BinaryHeap<Reverse<Due>>,
    counted: u64,
}

impl Agenda {
    /// Plans something for a time, in milliseconds.
    pub fn at(&mut self, at: i64, what: Happening) {
        self.counted += 1;
        self.due.push(Reverse(Due { at, nth: self.counted, what }));
    }

    /// Takes what comes next, and its time.
    pub fn next(&mut self) -> Option<(i64, Happening)> {
        self.due.pop().map(|Reverse(Due { at, what, .. })| (at, what))
    }
}
