//! What is to happen, each at its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use cf_core::stack::StackStatus;

use super::context::LateCall;
use super::delivery::Delivery;

/// What happens.
pub enum ScheduledEvent {
    /// Somebody does what a line of the script says.
    ScriptStep(usize),
    /// An event arrives at a function.
    Delivery(Box<Delivery>),
    /// What a running function waits for is there.
    WakeTask(usize, Waker),
    /// A running function's time is over.
    Timeout(usize),
    /// A stack goes on, if it still has this status.
    StackTransition(usize, StackStatus),
    /// A node of this stack writes something; the key of its dice.
    NodeWrites(usize, u64),
    /// A call arrives that nobody waits for any more.
    LateCall(Box<LateCall>),
    /// The time of a sweep.
    Sweep(u64),
}

/// What happens when; of two at the same time, what was planned first.
struct Due {
    at: i64,
    nth: u64,
    what: ScheduledEvent,
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
pub struct EventQueue {
    due: BinaryHeap<Reverse<Due>>,
    counted: u64,
}

impl EventQueue {
    /// Plans something for a time, in milliseconds.
    pub fn at(&mut self, at: i64, what: ScheduledEvent) {
        self.counted += 1;
        self.due.push(Reverse(Due { at, nth: self.counted, what }));
    }

    /// Takes what comes next, and its time.
    pub fn next(&mut self) -> Option<(i64, ScheduledEvent)> {
        self.due.pop().map(|Reverse(Due { at, what, .. })| (at, what))
    }
}
