//! How a sweep grows: calls, memory and time from 10 clusters to 2,000, with pages as long as AWS's. Calls and memory are
//! held to their bounds; the time is only told. One test alone in its process: the allocator counts for all of it.
//!
//! To see the table: `cargo test -p cf-sim --test sweep_cost -- --nocapture`

use std::ops::Range;
use std::time::{Duration, Instant};

use cf_core::ledger_cache::KEY;
use cf_core::stack::StackState;
use cf_core::sweep::{self, Found};
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Pages};
use futures_util::FutureExt;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Clusters of one user.
const EACH: usize = 5;

/// Uploads that are worked off before the next come.
const AT_ONCE: usize = 50;

/// Healthy clusters, made by the functions themselves.
fn settle(cloud: &mut Cloud, clusters: Range<usize>) {
    let all: Vec<usize> = clusters.collect();
    for some in all.chunks(AT_ONCE) {
        for nth in some {
            let user = format!("user{}", nth / EACH);
            let at = cloud.world.now();
            cloud.world.state().store.put(Bucket::Customizer, &format!("customizer/{user}/configure.d/user.sh"), b"#!/bin/sh\n", at);
            cloud.drop_file(&format!("home/{user}/cluster{nth}.cf-create"), b"{}");
        }
        cloud.drain();
        while cloud.step() {
            cloud.drain();
        }
    }
}

/// Users who have no cluster any more. Their ledgers stay for good.
fn former(cloud: &Cloud, users: usize) {
    let text = r#"{"revision": 9, "clusters": {"old": {"phase": {"is": "gone", "at": "2026-11-21T10:00:00Z", "end": "deleted"}}}}"#;
    let at = cloud.world.now();
    for nth in 0..users {
        cloud.world.state().store.put(Bucket::System, &format!("ledger/former{nth}.json"), text.as_bytes(), at);
    }
}

/// What one sweep took.
struct Took {
    calls: usize,
    bytes: usize,
    time: Duration,
    found: Found,
}

fn sweep(cloud: &Cloud) -> Took {
    let count = || {
        let state = cloud.world.state();
        state.asked.len() + state.remembered
    };
    let (before, base) = (count(), ALLOCATED.current_usage());
    ALLOCATED.reset_peak_usage();
    let begun = Instant::now();
    let found = sweep::find(&cloud.world, &cloud.world.settings, cloud.world.now()).now_or_never().unwrap().unwrap();
    Took { calls: count() - before, bytes: ALLOCATED.peak_usage() - base, time: begun.elapsed(), found }
}

/// One row of the table: a sweep that reads what it does not know, one that knows all, one after one change.
fn row(cloud: &mut Cloud, clusters: usize, users: usize, unknown: usize) {
    let first = sweep(cloud);
    let then = sweep(cloud);
    // A request that is refused changes its user's ledger, and leaves nothing owed.
    cloud.drop_file("home/user1/cluster5.cf-create", b"[]");
    cloud.drain();
    let changed = sweep(cloud);
    let told = |took: &Took| format!("{:5} {:9} {:7.1}", took.calls, took.bytes / 1024, took.time.as_secs_f64() * 1e3);
    println!("{clusters:8} {users:8} |        {} |       {} | {:5}", told(&first), told(&then), changed.calls);
    for took in [&first, &then, &changed] {
        assert!(took.found.wanting.is_empty() && took.found.unread.is_empty() && took.found.left == 0, "{:?}", took.found);
        assert_eq!(took.found.living, [(StackState::Available, clusters)].into());
        // A function has 128 MB.
        assert!(took.bytes < 4 << 20, "{} KiB for {clusters} clusters and {users} ledgers", took.bytes / 1024);
    }
    // The whole claim: pages of ledgers, pages of stacks, and the cache. What is not known is read, and then remembered.
    let promised = users.div_ceil(Pages::AWS.keys) + clusters.div_ceil(Pages::AWS.stacks) + 1;
    assert_eq!((first.found.read, then.found.read, changed.found.read), (unknown, 0, 1));
    assert_eq!((first.calls, then.calls, changed.calls), (promised + unknown + 1, promised, promised + 2));
    if clusters == 2000 {
        assert!(then.calls * 50 <= clusters, "{} calls for {clusters} clusters", then.calls);
    }
}

#[test]
fn the_calls_of_a_sweep_grow_with_pages_and_not_with_clusters() {
    println!("clusters  ledgers | first: calls       KiB      ms | then: calls       KiB      ms | one changed: calls");
    let mut cloud = Cloud::new(testing::settings());
    cloud.world.state().pages = Pages::AWS;
    let mut has = 0;
    for clusters in [10, 100, 500, 2000] {
        settle(&mut cloud, has..clusters);
        has = clusters;
        cloud.world.state().store.delete(Bucket::System, KEY);
        row(&mut cloud, clusters, clusters / EACH, clusters / EACH);
    }
    former(&cloud, 1000);
    row(&mut cloud, has, has / EACH + 1000, 1000);
}
