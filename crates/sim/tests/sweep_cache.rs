//! What sweeps remember is a cache: with it, without it, with any rubbish in its place, a sweep finds the same.

use std::collections::BTreeSet;

use cf_core::ledger::{self, Ledger};
use cf_core::ledger_cache::KEY;
use cf_core::names::Cluster;
use cf_core::sweep::{self, Found, READ_MAX};
use cf_core::testing;
use cf_sim::simulate::dice::Draws;
use cf_sim::{Bucket, Cloud, Event};
use futures_util::FutureExt;

fn find(cloud: &Cloud) -> Found {
    sweep::find(&cloud.world, &cloud.world.settings, cloud.world.now()).now_or_never().unwrap().unwrap()
}

/// What a sweep finds that remembers nothing.
fn find_anew(cloud: &Cloud) -> Vec<Cluster> {
    let copy = cloud.clone();
    copy.world.state().store.delete(Bucket::System, KEY);
    let found = find(&copy);
    assert_eq!(found.left, 0);
    found.wanting
}

fn remembered(cloud: &Cloud) -> Option<String> {
    cloud.world.state().store.text(Bucket::System, KEY)
}

/// Two clusters that stand, one that is owed, and nothing remembered.
fn three() -> Cloud {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice").with_profile("bob").with_profile("carol");
    cloud.drop_file("home/alice/demo.cf-create", b"{}");
    cloud.drop_file("home/bob/demo.cf-create", b"{}");
    cloud.settle();
    cloud.drop_file("home/carol/demo.cf-create", b"{}");
    cloud.drain();
    {
        let mut state = cloud.world.state();
        state.store.delete(Bucket::System, KEY);
        state.remembered = 0;
    }
    cloud
}

#[test]
fn whatever_happens_between_sweeps_a_cache_changes_nothing_of_what_they_find() {
    let (mut wanting, mut reused) = (BTreeSet::new(), 0);
    for seed in 0..60 {
        let mut draws = Draws::new(seed, "sweeps");
        let mut cloud = Cloud::new(testing::settings()).with_profile("alice").with_profile("bob").with_profile("carol");
        for _ in 0..40 {
            let user = ["alice", "bob", "carol"][draws.index(3)];
            match draws.below(7) {
                0 | 1 => cloud.drop_file(&format!("home/{user}/demo.cf-create"), b"{}"),
                2 => cloud.drop_file(&format!("home/{user}/demo.cf-delete"), b""),
                // Events are lost, stacks are removed by hand, ledgers are lost.
                3 => drop(cloud.queue.pop_front()),
                4 => {
                    let mut state = cloud.world.state();
                    let at = state.now;
                    let ids: Vec<_> = state.stacks.all_living().map(|s| s.stack.id.clone()).collect();
                    if let Some(id) = ids.first() {
                        let _ = state.stacks.delete(id, at);
                    }
                }
                5 if draws.below(4) == 0 => {
                    cloud.world.state().store.delete(Bucket::System, &format!("ledger/{user}.json"));
                }
                _ => drop(cloud.step()),
            }
            if draws.below(2) == 0 {
                cloud.drain();
            }
            let want = find_anew(&cloud);
            let found = find(&cloud);
            let listed = cloud.world.state().store.list(Bucket::System, ledger::PREFIX).count();
            assert_eq!(found.wanting, want, "seed {seed}");
            reused += listed - found.read;
            wanting.extend(want.into_iter().map(|cluster| (seed, cluster)));
        }
    }
    // Otherwise this would have shown nothing.
    assert!(wanting.len() > 100 && reused > 1000, "{} clusters wanted a look, {reused} lines were used again", wanting.len());
}

#[test]
fn what_was_remembered_is_used_and_only_what_has_changed_is_read() {
    let mut cloud = three();
    let first = find(&cloud);
    assert_eq!((first.read, first.wanting.len()), (3, 1), "{first:?}");
    let again = find(&cloud);
    assert_eq!((again.read, &again.wanting), (0, &first.wanting), "{again:?}");
    assert_eq!(cloud.world.state().remembered, 1, "nothing has changed, so nothing is written");
    cloud.drop_file("home/bob/demo.cf-delete", b"");
    cloud.drain();
    let after = find(&cloud);
    assert_eq!((after.read, after.wanting.len()), (1, 2), "{after:?}");
}

#[test]
fn rubbish_in_its_place_is_replaced() {
    for rubbish in
        [&b""[..], b"{", b"[1]", b"\xff\xfe", br#"{"format":0,"ledgers":{}}"#, br#"{"format":1,"ledgers":{"no user":{"etag":""}}}"#]
    {
        let cloud = three();
        let want = find(&cloud).wanting;
        let (good, at) = (remembered(&cloud), cloud.world.now());
        cloud.world.state().store.put(Bucket::System, KEY, rubbish, at);
        let found = find(&cloud);
        assert_eq!((found.read, &found.wanting), (3, &want), "{rubbish:?}");
        assert_eq!(remembered(&cloud), good, "{rubbish:?}");
        assert_eq!(find(&cloud).read, 0);
    }
}

#[test]
fn a_line_counts_for_the_very_version_of_the_ledger_only() {
    let cloud = three();
    let want = find(&cloud).wanting;
    // Somebody has made alice's cluster owed and carol's not, under versions that no ledger has.
    let lie = remembered(&cloud).unwrap().replace("\"ready\"", "\"stuck\"").replace("\"owed\"", "\"ready\"").replace("\\\"\",", "0\\\"\",");
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::System, KEY, lie.as_bytes(), at);
    let found = find(&cloud);
    assert_eq!((found.read, &found.wanting), (3, &want), "{lie}");
}

#[test]
fn a_cache_that_can_be_neither_read_nor_written_costs_calls_and_nothing_else() {
    let mut cloud = three();
    let want = find_anew(&cloud);
    cloud.world.state().cache_lost = true;
    for _ in 0..2 {
        let found = find(&cloud);
        assert_eq!((found.read, &found.wanting, found.unread.len()), (3, &want, 0));
        let calls: Vec<_> = found.cache.iter().map(|fault| <&str>::from(fault.call)).collect();
        assert_eq!(calls, ["s3:GetObject", "s3:PutObject"]);
    }
    assert_eq!(cloud.deliver(&Event::Sweep), Ok(()), "the sweep itself has not failed");
    cloud.settle();
    assert_eq!(cloud.findings_at_rest(), []);
}

/// Ledgers of so many users, each of whom is owed something.
fn crowd(users: usize) -> Cloud {
    let cloud = three();
    let carol = cloud.world.state().store.text(Bucket::System, "ledger/carol.json").unwrap();
    let at = cloud.world.now();
    for nth in 0..users {
        let text = carol.replace("carol", &format!("user{nth}"));
        assert!(serde_json::from_str::<Ledger>(&text).unwrap().clusters.values().all(cf_core::ledger::Entry::is_owed));
        cloud.world.state().store.put(Bucket::System, &format!("ledger/user{nth}.json"), text.as_bytes(), at);
    }
    cloud
}

#[test]
fn of_thousands_that_have_changed_each_has_its_turn() {
    for cache_lost in [false, true] {
        let cloud = crowd(2 * READ_MAX);
        cloud.world.state().cache_lost = cache_lost;
        let (mut wanting, mut read) = (BTreeSet::new(), Vec::new());
        for _ in 0..3 {
            let found = find(&cloud);
            assert!(found.read <= READ_MAX && found.unread.is_empty());
            // A stack whose ledger is not known yet is not taken for one that nobody knows.
            let mistaken: Vec<_> = found.wanting.iter().filter(|c| ["alice", "bob"].contains(&c.user.as_str())).collect();
            assert!(mistaken.is_empty(), "{mistaken:?}");
            read.push((found.read, found.left));
            wanting.extend(found.wanting);
            cloud.world.wait(300);
        }
        assert_eq!(wanting.len(), 2 * READ_MAX + 1);
        let remembering = [(READ_MAX, READ_MAX + 3), (READ_MAX, 3), (3, 0)];
        let not = [(READ_MAX, READ_MAX + 3); 3];
        assert_eq!(read, if cache_lost { not } else { remembering });
    }
}
