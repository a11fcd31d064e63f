//! When machines start and end. Slurm decides which nodes there are to be; this decides what follows from that for the two Auto
//! Scaling groups, and what Slurm must hear in turn. Pure: a [`Book`] that outlives the agent, [`Facts`] read from Slurm and AWS, and
//! a [`pass`] that gives [`Effect`]s.
//!
//! **The shape.** What Slurm calls (`resume`, `suspend`), what a booting machine asks and what EC2 announces change the book at once.
//! Then, and as long as the pass asks for it, facts are read and a pass compares them with the book. The book is on the disk before an
//! effect happens or an answer leaves; effects that were lost are found missing by the next pass, for it looks at what is, never at
//! what it did. So an agent may end between any two effects.
//!
//! **The rules.**
//!
//! 1. A group's desired capacity is the number of its nodes that Slurm wants. The sum of both never passes the maximum.
//! 2. A machine that boots gets the lowest wanted name of its group that no machine has; where there is none it is ended.
//! 3. Desired capacity is lowered only to withdraw what no machine fills, never below the machines just read, so that Auto Scaling
//!    chooses no victim. Machines end by their ids, with decrement.
//! 4. A failed launch that began after the request counts once. The names that no machine will fill go down with its reason, the
//!    capacity is taken back, and the group's other names that are not in use rest for [`Rules::pause`], so that Slurm takes the
//!    nodes on demand. After [`Rules::failures_max`] failures in a row of one kind it is [`Rules::rest`].
//! 5. Where the maximum is reached, the names that are not in use are down with that reason, until there is room.
//! 6. What never comes is given up: a launch without a machine, a machine that never asks, a node that never registers.
//! 7. A machine that is lost while its node is wanted is replaced by its group; the replacement gets the free name.
//! 8. While the size is frozen no machine starts or ends on the agent's order, and the nodes that are off are closed. Capacity that no
//!    machine fills is still withdrawn, and a node that was lost is still replaced.
//!
//! A name that somebody else has set down (`scontrol` by hand) is left as it is.

mod activity;
mod book;
mod decide;
mod effect;
mod facts;
mod judge;
mod words;

use std::time::Duration;

pub use activity::{Trouble, classify};
pub use book::{Answer, Book, Place};
pub use decide::{Decision, pass};
pub use effect::Effect;
pub use facts::{Activity, ActivityStatus, Facts, GroupFacts, Life, NodeFacts, Power, launched};
pub use words::{Closed, Failure, Note, OURS};

use crate::group::Sizes;

/// What a cluster's user and administrator have chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many nodes there may be.
    pub sizes: Sizes,
    /// How many nodes start with the cluster (`ComputeInitialNodes`): a start, no floor.
    pub initial: u32,
    /// Whether all of them run for good (`AutoscalingPolicy=disabled`).
    pub fixed: bool,
    /// Whether the size stays as it is (`cf-node autoscaling disable`).
    pub frozen: bool,
    /// The bounds.
    pub rules: Rules,
}

/// How long what is waited for, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A wanted node for which no machine was launched, and no launch failed, is given up after so long.
    pub launches_within: Duration,
    /// A machine that does not ask which node it is for so long is ended.
    pub asks_within: Duration,
    /// A node that has its name and does not register with Slurm for so long is ended.
    pub registers_within: Duration,
    /// A group rests so long after a failed launch. Longer than a job waits that is queued again ([`Times::requeue`](crate::config::Times)):
    /// it would meet the same group otherwise, and not the nodes on demand.
    pub pause: Duration,
    /// And so long after [`Self::failures_max`] of one kind in a row.
    pub rest: Duration,
    /// See [`Self::rest`].
    pub failures_max: u32,
    /// The initial nodes are tried for so long, so that nothing starts hours later unasked.
    pub initial_within: Duration,
    /// The longest time between two readings while something is awaited. The first is a second, each later one twice as long:
    /// Auto Scaling's describe calls are throttled for the whole account.
    pub reads_max: Duration,
}

impl Default for Rules {
    /// EC2 starts a machine within a minute or two, and says within seconds that it cannot; scripts of a profile may take minutes.
    fn default() -> Self {
        Self {
            launches_within: Duration::from_mins(5),
            asks_within: Duration::from_mins(8),
            registers_within: Duration::from_mins(15),
            pause: Duration::from_mins(5),
            rest: Duration::from_mins(15),
            failures_max: 3,
            initial_within: Duration::from_mins(30),
            reads_max: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
