//! The sweep: what to look at when no event came. It reads the ledgers and the living stacks, never `home/`, which holds
//! people's data. A ledger that was not written since the last sweep is not read again (`seen`), so the calls of a sweep
//! grow with pages, not with clusters.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::join;
use jiff::Timestamp;

use crate::effect::Effect;
use crate::effect::Execute;
use crate::fault::Fault;
use crate::ledger_cache::{EntrySummary, LedgerCache, Line};
use crate::names::{Cluster, ClusterName, User};
use crate::observe::Observe;
use crate::observe::{self, LivingStack};
use crate::settings::Settings;
use crate::stack::StackState;

/// What a sweep has found.
#[derive(Debug, Default)]
pub struct Found {
    /// The clusters that want a look: something is owed, or the stack is not what the ledger says.
    pub wanting: Vec<Cluster>,
    /// Ledgers that could not be read. They do not keep the others from being looked at.
    pub unread: Vec<Fault>,
    /// How many ledgers were read.
    pub read: usize,
    /// How many ledgers were left to the next sweeps.
    pub left: usize,
    /// What went wrong with the cache: it costs calls, and nothing else.
    pub cache: Vec<Fault>,
    /// How many clusters' stacks there are in each state.
    pub living: BTreeMap<StackState, usize>,
}

/// Ledgers read side by side.
const SIDE_BY_SIDE: usize = 8;

/// So many ledgers are read in one sweep. Where more have changed, or the cache is lost, each has its turn within a few
/// sweeps; a sweep that took on all of them would run out of time, and leave nothing for the next.
pub const READ_MAX: usize = 1000;

/// About how far apart sweeps are. Nothing but whose turn it is hangs on it.
const SWEEP_SECONDS: usize = 300;

/// Looks for work that no event reported.
pub async fn find<W: Observe + Execute>(world: &W, settings: &Settings, now: Timestamp) -> Result<Found, Fault> {
    let mut found = Found::default();
    let (listed, living, before) = join!(observe::ledgers(world), observe::living(world, settings), observe::seen(world));
    let (listed, living) = (listed?, living?);
    let before = before.unwrap_or_else(|fault| {
        found.cache.push(fault);
        None
    });
    let none = LedgerCache::default();
    let (mut lines, mut unknown) = before.as_ref().unwrap_or(&none).split(listed);
    read(world, turn(&unknown, now), &mut lines, &mut unknown, &mut found).await;
    // Before anybody looks at a cluster: what was read is not to be read again, even if a look hangs.
    let after = LedgerCache::of(&lines);
    if before.as_ref() != Some(&after) {
        found.cache.extend(world.execute(&Effect::WriteLedgerCache(after)).await.err());
    }
    for one in &living {
        *found.living.entry(one.state).or_default() += 1;
    }
    found.wanting = compare(&lines, &living, &unknown);
    Ok(found)
}

/// Reads the ledgers whose turn it is; what could not be read stays unknown.
async fn read<W: Observe>(world: &W, turn: Vec<User>, lines: &mut BTreeMap<User, Line>, unknown: &mut BTreeSet<User>, found: &mut Found) {
    found.read = turn.len();
    found.left = unknown.len() - turn.len();
    for some in turn.chunks(SIDE_BY_SIDE) {
        let ledgers = join_all(some.iter().map(|user| observe::ledger(world, user))).await;
        for (user, ledger) in some.iter().zip(ledgers) {
            match ledger {
                Ok(Some((ledger, etag))) => drop(lines.insert(user.clone(), Line::of(&ledger, etag))),
                // Gone since it was listed.
                Ok(None) => {}
                Err(fault) => {
                    found.unread.push(fault);
                    continue;
                }
            }
            unknown.remove(user);
        }
    }
}

/// Whose ledgers are read now. Where there are too many, each sweep begins where the one before has ended, by the
/// time, so that everybody has a turn even where no cache can be written.
fn turn(unknown: &BTreeSet<User>, now: Timestamp) -> Vec<User> {
    let sweeps = usize::try_from(now.as_second()).unwrap_or(0) / SWEEP_SECONDS;
    let start = if unknown.len() > READ_MAX { sweeps * READ_MAX % unknown.len() } else { 0 };
    unknown.iter().cycle().skip(start).take(unknown.len().min(READ_MAX)).cloned().collect()
}

/// Pure: ledgers against stacks. Of a user whose ledger is not known nothing is said: it is read by one of the next sweeps.
pub fn compare(lines: &BTreeMap<User, Line>, living: &[LivingStack], unknown: &BTreeSet<User>) -> Vec<Cluster> {
    let living: BTreeMap<&Cluster, &LivingStack> = living.iter().map(|one| (&one.cluster, one)).collect();
    let mut wanting = BTreeSet::new();
    for (user, line) in lines {
        for (name, standing) in &line.clusters {
            let cluster = Cluster { user: user.clone(), name: name.clone() };
            let one = living.get(&cluster).copied();
            if !agrees(*standing, one.map(|l| l.state)) || one.is_some_and(|l| has_moved(line, name, l)) {
                wanting.insert(cluster);
            }
        }
    }
    for &cluster in living.keys() {
        let is_known = lines.get(&cluster.user).is_some_and(|l| l.clusters.contains_key(&cluster.name));
        if !is_known && !unknown.contains(&cluster.user) {
            wanting.insert(cluster.clone());
        }
    }
    wanting.into_iter().collect()
}

/// Whether a cluster that stands has another address than the one reported to its user.
fn has_moved(line: &Line, name: &ClusterName, one: &LivingStack) -> bool {
    one.state == StackState::Available && line.logins.get(name).is_some_and(|reported| *reported != one.login)
}

/// Whether what a ledger says fits the stack.
const fn agrees(standing: EntrySummary, stack: Option<StackState>) -> bool {
    matches!(
        (standing, stack),
        (EntrySummary::Ready, Some(StackState::Available | StackState::Changing))
            // What is left of a failed creation may be as hard to delete as a cluster.
            | (EntrySummary::Stuck, Some(StackState::DeleteFailed | StackState::Failed))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Reading, read};
    use crate::ledger::{End, Entry, Ledger, Open, Phase};
    use crate::request::{ETag, RequestId};
    use crate::testing;

    const STATES: [Option<StackState>; 8] = [
        None,
        Some(StackState::Creating),
        Some(StackState::Available),
        Some(StackState::Changing),
        Some(StackState::RollingBack),
        Some(StackState::Failed),
        Some(StackState::Deleting),
        Some(StackState::DeleteFailed),
    ];

    fn one(cluster: &Cluster, state: StackState, login: &str) -> LivingStack {
        LivingStack { cluster: cluster.clone(), state, login: login.to_owned() }
    }

    /// What a sweep wants to look at, by the whole entry.
    fn is_wanting(entry: &Entry, stack: Option<StackState>) -> bool {
        let agrees = matches!(
            (&entry.phase, stack),
            (Phase::Ready, Some(StackState::Available | StackState::Changing))
                | (Phase::Stuck, Some(StackState::DeleteFailed | StackState::Failed))
                | (Phase::New | Phase::Gone { .. }, None)
        );
        entry.is_owed() || !agrees
    }

    #[test]
    fn a_line_says_all_that_a_sweep_asks_of_an_entry() {
        let at = Timestamp::UNIX_EPOCH;
        let Reading::Request(key) = read("home/alice/demo.cf-create") else { panic!("a request") };
        let phases = [
            Phase::New,
            Phase::Creating { since: at },
            Phase::Ready,
            Phase::Failing,
            Phase::Deleting { since: at },
            Phase::Unwanted { since: at },
            Phase::Stuck,
            Phase::Gone { at, end: End::Deleted },
        ];
        let cluster = testing::cluster("alice", "demo");
        let mut wanted = 0;
        for phase in phases {
            for open in [vec![], vec![Open { key: key.clone(), request: RequestId::from_tag("00"), joined: true, seen: 0 }]] {
                for stack in STATES {
                    let entry = Entry { phase, open: open.clone(), ..Entry::default() };
                    let ledger = Ledger { revision: 1, clusters: [(cluster.name.clone(), entry.clone())].into(), ..Ledger::default() };
                    let lines = [(cluster.user.clone(), Line::of(&ledger, ETag(String::new())))].into();
                    let living: Vec<_> = stack.map(|state| one(&cluster, state, "")).into_iter().collect();
                    let got = compare(&lines, &living, &BTreeSet::new());
                    let want: Vec<_> = is_wanting(&entry, stack).then(|| cluster.clone()).into_iter().collect();
                    assert_eq!(got, want, "{entry:?} and {stack:?}");
                    wanted += want.len();
                }
            }
        }
        assert_eq!(wanted, 8 * 16 - 6, "all but a cluster that stands, one that is stuck, and nothing where nothing should be");
    }

    /// The policies are put to effects by how these print (`tests/iam/effects.mjs`); this one is in no plan's snapshot.
    #[test]
    fn what_is_remembered_prints_as_the_policies_are_asked() {
        let line = Line { etag: ETag(String::new()), clusters: BTreeMap::new(), logins: BTreeMap::new() };
        let lines = ["a", "b", "c"].map(|user| (User::parse(user).unwrap(), line.clone())).into();
        let prints = format!("  outside_plans: {}\n", Effect::WriteLedgerCache(LedgerCache::of(&lines)));
        assert!(include_str!("../../../tests/iam/effects.yaml").contains(&prints), "{prints}");
    }

    #[test]
    fn a_cluster_whose_address_has_changed_is_looked_at() {
        let cluster = testing::cluster("alice", "demo");
        let reported = |login: Option<&str>| {
            let entry = Entry { phase: Phase::Ready, login: login.map(str::to_owned), ..Entry::default() };
            let ledger = Ledger { revision: 1, clusters: [(cluster.name.clone(), entry)].into(), ..Ledger::default() };
            [(cluster.user.clone(), Line::of(&ledger, ETag(String::new())))].into()
        };
        let wanted = |login, state, now| compare(&reported(login), &[one(&cluster, state, now)], &BTreeSet::new()).len();
        assert_eq!(wanted(Some("192.0.2.1"), StackState::Available, "192.0.2.1"), 0);
        assert_eq!(wanted(Some("192.0.2.1"), StackState::Available, "192.0.2.2"), 1);
        assert_eq!(wanted(Some("192.0.2.1"), StackState::Available, ""), 1);
        // While it is changed its outputs are the old ones, or half of each; and what was never reported cannot have changed.
        assert_eq!(wanted(Some("192.0.2.1"), StackState::Changing, "192.0.2.2"), 0);
        assert_eq!(wanted(None, StackState::Available, "192.0.2.2"), 0);
    }

    #[test]
    fn clusters_of_users_with_unread_ledgers_are_not_selected() {
        let clusters = [testing::cluster("alice", "demo"), testing::cluster("bob", "demo")];
        let living = clusters.clone().map(|cluster| one(&cluster, StackState::Creating, ""));
        assert_eq!(compare(&BTreeMap::new(), &living, &BTreeSet::new()), clusters);
        assert_eq!(compare(&BTreeMap::new(), &living, &[clusters[0].user.clone()].into()), clusters[1..]);
    }

    #[test]
    fn everybody_has_a_turn_even_where_nothing_is_remembered() {
        let all: BTreeSet<User> = (0..READ_MAX * 3 + 7).map(|n| User::parse(&format!("u{n}")).unwrap()).collect();
        let sweep = |nth: i64| turn(&all, Timestamp::from_second(1_795_257_600 + nth * 300).unwrap());
        assert_eq!(sweep(0).len(), READ_MAX);
        let read: BTreeSet<User> = (0..4).flat_map(sweep).collect();
        assert_eq!(read, all);
        let few: BTreeSet<User> = all.iter().take(9).cloned().collect();
        assert_eq!(turn(&few, Timestamp::UNIX_EPOCH), few.into_iter().collect::<Vec<_>>());
    }
}
