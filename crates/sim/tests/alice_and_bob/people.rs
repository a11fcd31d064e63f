//! Alice and Bob, what both own, and the worlds without Alice's upload.

use cf_core::names::ClusterName;
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, StackBehaviour};

/// Words that stand in nothing but Bob's things: where Alice reads one, she was told of them.
pub const BOBS_SECRETS: [&str; 2] = ["zebra", "quagga runs"];

/// Names of clusters. Bob has each of them; so may Alice.
pub const CLUSTERS: [&str; 8] = ["demo", "a-b", "b", "zebra", "moving", "pending", "leaving", "broken"];

/// (Alice, Bob): prefixes of one another, one slug for two, one login for two, names that look like keys of ours.
fn pairs() -> Vec<(String, String)> {
    let pair = |alice: &str, bob: &str| (alice.to_owned(), bob.to_owned());
    let long = "u".repeat(40);
    vec![
        pair("alice", "bob"),
        pair("al", "alice"),
        pair("alice", "al"),
        pair("a.b", "a-b"),
        pair("a-b", "a.b"),
        pair("user", "user-a"),
        pair("user-a", "user"),
        pair("Alice", "alice"),
        pair("bob.json", "bob"),
        pair("alice@site.example", "alice"),
        pair(&format!("{long}x"), &format!("{long}y")),
    ]
}

/// Each drop takes a second for each of its one or two files.
const SECONDS_MAX: usize = 2 * super::DROPS_A_CASE;

/// A world with both in it, before Alice's upload.
pub struct TwoUsers {
    pub alice: String,
    pub bob: String,
    /// What Alice has.
    pub what: &'static str,
    pub cloud: Cloud,
    /// `stack/<name>` of each of Bob's.
    pub bobs_stacks: Vec<String>,
    /// Where the world goes by itself, by the seconds that pass before anything else does.
    ends: Vec<Cloud>,
}

/// What Alice has before her upload; each with the name of her cluster `demo` in it.
const ALICES: [&str; 7] = ["nothing", "ready", "creating", "stuck", "gone", "leaving", "unseen"];

/// Every world there is: the people, what Alice has, versioned buckets or not.
pub fn worlds() -> Vec<TwoUsers> {
    let mut worlds = Vec::new();
    for (alice, bob) in pairs() {
        for what in ALICES {
            for versioned in [true, false] {
                worlds.push(stage(&alice, &bob, what, versioned));
            }
        }
    }
    worlds
}

/// One of them.
pub fn stage(alice: &str, bob: &str, what: &'static str, versioned: bool) -> TwoUsers {
    let cloud = cloud(alice, bob, what, versioned);
    let ends = (0..=SECONDS_MAX).map(|seconds| end(&cloud, seconds)).collect();
    let mut stage = TwoUsers { alice: alice.to_owned(), bob: bob.to_owned(), what, cloud, bobs_stacks: Vec::new(), ends };
    stage.bobs_stacks = CLUSTERS.iter().filter_map(|name| stage.stack_of(bob, name)).collect();
    stage
}

impl TwoUsers {
    /// `stack/<name>` for a cluster of this name; none where it cannot have one.
    pub fn stack_of(&self, user: &str, name: &str) -> Option<String> {
        ClusterName::parse(name).ok().map(|_| format!("stack/{}", self.cloud.world.settings.stack_name(&testing::cluster(user, name))))
    }

    /// Where this world has gone without Alice's uploads, each of which takes a second.
    pub fn without(&self, seconds: usize) -> &Cloud {
        &self.ends[seconds]
    }
}

fn end(cloud: &Cloud, seconds: usize) -> Cloud {
    let mut cloud = cloud.clone();
    (0..seconds).for_each(|_| cloud.world.wait(1));
    follow(&mut cloud);
    cloud
}

/// Lets stacks move and everybody's events arrive, the same number of times in every world; then looks at everything.
pub fn follow(cloud: &mut Cloud) {
    for _ in 0..3 {
        cloud.step();
        deliver(cloud);
    }
    cloud.queue.push_back(Event::Sweep);
    deliver(cloud);
}

/// No waiting where an event is given back, so that the clocks of two worlds stay together.
fn deliver(cloud: &mut Cloud) {
    for _ in 0..40 {
        let Some(event) = cloud.queue.pop_front() else { return };
        if cloud.deliver(&event).is_err() {
            cloud.queue.push_back(event);
        }
    }
}

fn cloud(alice: &str, bob: &str, what: &str, versioned: bool) -> Cloud {
    let mut cloud = Cloud::new(testing::settings()).with_profile(alice).with_profile(bob);
    cloud.world.state().store.versioned = versioned;
    bob_at_rest(&mut cloud, bob);
    alice_at_rest(&mut cloud, alice, what);
    // What moves comes last: it must not have come to rest.
    cloud.world.state().stacks.next_behaviour = StackBehaviour::Succeeds;
    let demo = |suffix: &str| format!("home/{alice}/demo.{suffix}");
    match what {
        "creating" => cloud.drop_file(&demo("cf-create"), b"{}"),
        "leaving" => cloud.drop_file(&demo("cf-delete"), b""),
        "unseen" => {
            cloud.drop_file(&demo("cf-create"), b"{}");
            cloud.drain();
            cloud.world.state().hidden_lookups = 1;
            cloud.drop_file(&demo("cf-delete"), b"");
        }
        _ => {}
    }
    cloud.drop_file(&format!("home/{bob}/moving.cf-create"), b"{}");
    cloud.drop_file(&format!("home/{bob}/leaving.cf-delete"), b"");
    cloud.drain();
    cloud.drop_file(&format!("home/{bob}/pending.cf-create"), br#"{"ComputeMaxNodes": "8"}"#);
    let template = cloud.world.settings.template.key();
    let mut state = cloud.world.state();
    // Nothing in memory reads it, and its forty kilobytes would be copied with every case.
    state.store.delete(Bucket::System, &template);
    state.hidden_lookups = 0;
    state.asked.clear();
    state.effects.clear();
    drop(state);
    cloud.outcomes.clear();
    cloud
}

fn bob_at_rest(cloud: &mut Cloud, bob: &str) {
    for name in ["demo", "b", "leaving", "quagga runs/zebra"] {
        cloud.drop_file(&format!("home/{bob}/{name}.cf-create"), b"{}");
    }
    cloud.settle();
    cloud.drop_file(&format!("home/{bob}/b.cf-delete"), b"");
    cloud.drop_file(&format!("home/{bob}/broken.cf-create"), b"no order");
    cloud.world.state().stacks.next_behaviour = StackBehaviour::DeleteFails;
    cloud.drop_file(&format!("home/{bob}/a-b.cf-create"), b"{}");
    cloud.settle();
    cloud.drop_file(&format!("home/{bob}/a-b.cf-delete"), b"");
    cloud.settle();
    let at = cloud.world.now();
    cloud.world.state().store.put(Bucket::User, &format!("home/{bob}/thesis.tex"), b"zebra", at);
    cloud.world.state().store.put(Bucket::Customizer, &format!("customizer/{bob}/configure.d/zebra.sh"), b"#!/bin/sh", at);
}

fn alice_at_rest(cloud: &mut Cloud, alice: &str, what: &str) {
    cloud.world.state().stacks.next_behaviour = if what == "stuck" { StackBehaviour::DeleteFails } else { StackBehaviour::Succeeds };
    let demo = |suffix: &str| format!("home/{alice}/demo.{suffix}");
    if matches!(what, "ready" | "stuck" | "gone" | "leaving") {
        cloud.drop_file(&demo("cf-create"), b"{}");
        cloud.settle();
    }
    if matches!(what, "stuck" | "gone") {
        cloud.drop_file(&demo("cf-delete"), b"");
        cloud.settle();
    }
}
