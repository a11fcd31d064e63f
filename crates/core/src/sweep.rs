//! The sweep: what to look at when no event came. It reads the ledger and the living stacks, never `home/`, which
//! holds people's data.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Fault;
use crate::ledger::{Entry, Ledger, Phase};
use crate::names::{Cluster, User};
use crate::observe::{self, Observe};
use crate::site::Site;
use crate::stack::{Stack, StackState};

/// The clusters that want a look: something is owed, or the stack is not what the ledger says.
pub async fn wanting<W: Observe>(world: &W, site: &Site) -> Result<Vec<Cluster>, Fault> {
    let (users, stacks) = observe::everything(world, site).await?;
    let mut ledgers = BTreeMap::new();
    for user in users {
        if let Some((ledger, _)) = observe::ledger(world, &user).await? {
            ledgers.insert(user, ledger);
        }
    }
    Ok(compare(&ledgers, &stacks, site))
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
