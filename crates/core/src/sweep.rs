//! The sweep: what to look at when no event came. It reads the ledger and the living stacks, never `home/`, which
//! holds people's data.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::fault::Fault;
use crate::ledger::{Entry, Ledger, Phase};
use crate::names::{Cluster, User};
use crate::observe::{self, Observe};
use crate::site::Site;
use crate::stack::{Stack, StackState};

/// What a sweep has found.
#[derive(Debug, Default)]
pub struct Found {
    /// The clusters that want a look: something is owed, or the stack is not what the ledger says.
    pub wanting: Vec<Cluster>,
    /// Ledgers that could not be read. They do not keep the others from being looked at.
    pub unread: Vec<Fault>,
    /// How many clusters' stacks there are in each state.
    pub living: BTreeMap<StackState, usize>,
}

/// Ledgers read side by side.
const SIDE_BY_SIDE: usize = 8;

/// Looks for what nobody told of.
pub async fn find<W: Observe>(world: &W, site: &Site) -> Result<Found, Fault> {
    let (users, stacks) = observe::everything(world, site).await?;
    let mut ledgers = BTreeMap::new();
    let mut unread = Vec::new();
    for some in users.chunks(SIDE_BY_SIDE) {
        let read = join_all(some.iter().map(|user| observe::ledger(world, user))).await;
        for (user, ledger) in some.iter().zip(read) {
            match ledger {
                Ok(Some((ledger, _))) => drop(ledgers.insert(user.clone(), ledger)),
                Ok(None) => {}
                Err(fault) => unread.push(fault),
            }
        }
    }
    let mut living = BTreeMap::new();
    for stack in &stacks {
        *living.entry(stack.status.state()).or_default() += 1;
    }
    Ok(Found { wanting: compare(&ledgers, &stacks, site), unread, living })
}

/// Pure: ledgers against stacks.
pub fn compare(ledgers: &BTreeMap<User, Ledger>, stacks: &[Stack], site: &Site) -> Vec<Cluster> {
    let living: BTreeMap<Cluster, StackState> = stacks
        .iter()
        .filter_map(|s| Some((s.cluster(&site.deployment)?, s.status.state())))
        .filter(|(_, s)| *s != StackState::Gone)
        .collect();
    let mut wanting = BTreeSet::new();
    for (user, ledger) in ledgers {
        for (name, entry) in &ledger.clusters {
            let cluster = Cluster { user: user.clone(), name: name.clone() };
            if entry.is_owed() || !agrees(entry, living.get(&cluster).copied()) {
                wanting.insert(cluster);
            }
        }
    }
    for cluster in living.keys() {
        if !ledgers.get(&cluster.user).is_some_and(|l| l.clusters.contains_key(&cluster.name)) {
            wanting.insert(cluster.clone());
        }
    }
    wanting.into_iter().collect()
}

/// Whether a ledger entry to which nothing is owed fits the stack.
const fn agrees(entry: &Entry, stack: Option<StackState>) -> bool {
    matches!(
        (&entry.phase, stack),
        (Phase::Ready, Some(StackState::Standing | StackState::Changing))
            // What is left of a failed creation may be as hard to delete as a cluster.
            | (Phase::Stuck, Some(StackState::Stuck | StackState::Failed))
            | (Phase::New | Phase::Gone { .. }, None)
    )
}
