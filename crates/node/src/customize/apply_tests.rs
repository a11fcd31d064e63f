//! Profiles and events on a running node, with real scripts: acceptance checks B15, B17 and B19.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::customize::testing::Node;
use crate::customize::trigger::{On, TriggerError};

fn name(text: &str) -> ProfileName {
    text.parse().unwrap()
}

fn node() -> Node {
    let node = Node::new();
    node.script("alice", "configure.d/own.sh");
    node.members(&[0, 2]);
    node
}

fn with_foo() -> Node {
    let node = node();
    for event in ["configure", "start", "node-started", "member-join", "member-leave", "fail"] {
        node.script("foo", &format!("{event}.d/{event}.sh"));
    }
    node
}

async fn trigger(node: &Node, event: Event, profile: Option<&ProfileName>, only: &[&str]) -> Result<Summary, TriggerError> {
    let (facts, members) = (node.applier.facts(), members(&node.layout).unwrap());
    let on = On { hooks: &node.applier.hooks, layout: &node.layout, facts: &facts, failures: &node.applier.failures };
    let only: BTreeSet<String> = only.iter().map(|name| (*name).to_owned()).collect();
    on.trigger(event, profile, &members, &only).await
}

#[tokio::test]
async fn b17_an_applied_profile_runs_its_events_and_member_join_for_each_member_and_nothing_else_runs() {
    let node = with_foo();
    fs::create_dir_all(node.layout.members()).unwrap();
    fs::write(node.layout.members().join("login1"), "cw_MEMBER_ip='10.0.0.1'\n").unwrap();
    let summary = node.applier.apply(&name("account/foo")).await.unwrap();
    assert_eq!((summary.scripts, summary.failed, summary.problems.len()), (5, 0, 0), "{summary:?}");
    let out = node.out();
    let lines: Vec<&str> = out.lines().collect();
    let stages =
        ["foo configure.sh: configure master demo", "foo start.sh: start master demo", "foo node-started.sh: node-started master demo"];
    assert_eq!(lines[..3], stages);
    assert_eq!(
        lines[3],
        format!("foo member-join.sh: member-join master demo {} login1 10.0.0.1", node.layout.members().join("login1").display())
    );
    assert!(
        lines[4].starts_with("foo member-join.sh: member-join master demo /") && lines[4].ends_with(" compute-2 10.0.0.3"),
        "{}",
        lines[4]
    );
    assert_eq!(lines.len(), 5);
    assert_eq!(lists::more(&node.layout).0, ["foo"], "it stays this node's, also after a reboot");
    let left: Vec<_> = fs::read_dir(node.layout.members()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["login1"], "a member's file that was made for the scripts is gone");
}

#[tokio::test]
async fn b17_applied_again_the_profile_is_fetched_and_run_again() {
    let node = with_foo();
    node.applier.apply(&name("foo")).await.unwrap();
    fs::remove_file(node.bucket.path("customizer/foo/start.d/start.sh")).unwrap();
    node.script("foo", "configure.d/added.sh");
    let before = node.out().lines().count();
    node.applier.apply(&name("foo")).await.unwrap();
    let out = node.out();
    let lines: Vec<&str> = out.lines().skip(before).collect();
    assert_eq!(lines[0], "foo added.sh: configure master demo");
    assert!(!lines.iter().any(|line| line.contains("start.sh: start ")), "what was removed runs no more (B15): {lines:?}");
    assert_eq!(lists::more(&node.layout).0, ["foo"]);
}

#[tokio::test]
async fn b17_a_profile_of_the_boot_is_refused_by_its_scripts_its_tag_or_its_manifest_and_leaves_nothing() {
    let refused = |error: ApplyError| matches!(&error, ApplyError::Startup { .. }) && error.to_string().contains("slave add");
    let node = with_foo();
    node.script("foo", "initialize.d/boot.sh");
    assert!(refused(node.applier.apply(&name("foo")).await.unwrap_err()));
    node.bucket.write("customizer/foo/manifest.txt", "configure.d/configure.sh\ninitialize.d/boot.sh\n");
    node.bucket.store.refuse("list profiles/customizer/foo/");
    assert!(refused(node.applier.apply(&name("foo")).await.unwrap_err()));
    // A manifest that conceals them is found out by what was fetched.
    node.bucket.write("customizer/foo/manifest.txt", "configure.d/configure.sh\n");
    assert!(refused(node.applier.apply(&name("foo")).await.unwrap_err()));
    node.bucket.store.allow_all();
    fs::remove_dir_all(node.bucket.path("customizer/foo/initialize.d")).unwrap();
    node.bucket.write("customizer/index.yml", "profiles: {foo: {manifest: [], tags: [startup]}}");
    assert!(refused(node.applier.apply(&name("foo")).await.unwrap_err()));
    assert_eq!(node.out(), "", "nothing was run");
    assert_eq!(lists::more(&node.layout).0, [""; 0]);
    assert_eq!(crate::customize::list::lines(&node.layout, false), ["account/alice"]);
}

#[tokio::test]
async fn a_profile_that_is_not_there_or_cannot_be_read_is_not_applied_and_the_node_is_as_it_was() {
    let node = node();
    assert!(matches!(node.applier.apply(&name("none")).await, Err(ApplyError::Missing(_))));
    node.bucket.store.refuse("list profiles/");
    node.bucket.store.refuse("get profiles/");
    assert!(matches!(node.applier.apply(&name("foo")).await, Err(ApplyError::Unreadable(..))));
    node.bucket.store.allow_all();
    node.bucket.write("customizer/foo/manifest.txt", "configure.d/a.sh\n");
    fs::remove_dir_all(node.bucket.path("customizer/foo")).unwrap();
    node.bucket.write("customizer/gone", "a file, so no profile");
    node.bucket.store.refuse("list profiles/customizer/gone/");
    assert!(node.applier.apply(&name("gone")).await.is_err());
    assert_eq!(lists::more(&node.layout).0, [""; 0]);
}

/// A fetch that does not end.
struct Endless(Arc<tokio::sync::Notify>);

impl Fetch for Endless {
    async fn fetch(&self, more: &[String]) -> Result<Fetched, FetchError> {
        assert_eq!(more, ["foo"]);
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_apply_that_is_stopped_while_it_fetches_leaves_no_profile_that_a_boot_would_run() {
    let node = with_foo();
    let begun = Arc::default();
    let Applier { store, settings, layout, hooks, failures, .. } = &*node.applier;
    let (store, settings, hooks, failures) = (Arc::clone(store), settings.clone(), Arc::clone(hooks), Arc::clone(failures));
    let applier = Applier { store, fetch: Endless(Arc::clone(&begun)), settings, layout: layout.clone(), hooks, failures };
    let profile = name("foo");
    tokio::select! {
        ended = applier.apply(&profile) => panic!("the fetch has ended: {ended:?}"),
        () = begun.notified() => {}
    }
    assert_eq!(lists::more(&node.layout).0, [""; 0]);
    assert!(node.applier.apply(&profile).await.unwrap().is_well(), "it can be applied then");
    assert_eq!(lists::more(&node.layout).0, ["foo"]);
}

#[tokio::test]
async fn a_failed_script_is_in_the_summary_and_reported_and_ends_the_events_where_the_profile_says_so() {
    let node = with_foo();
    node.bucket.write("customizer/foo/configure.d/z.sh", "#!/bin/sh\necho no such package >&2\nexit 3\n");
    let summary = node.applier.apply(&name("foo")).await.unwrap();
    assert_eq!((summary.scripts, summary.failed), (6, 1));
    assert_eq!((summary.failures[0].exit_code, summary.failures[0].last_lines[0].as_str()), (Some(3), "no such package"));
    assert_eq!(node.reported.lock().unwrap().iter().filter(|report| report.failures().count() > 0).count(), 1);
    node.bucket.write("customizer/foo/profile.toml", "on-error = \"fail-the-node\"\n");
    let summary = node.applier.apply(&name("foo")).await.unwrap();
    assert_eq!(summary.scripts, 2, "configure's two, and no other event");
    assert!(summary.problems[0].contains("left out"), "{:?}", summary.problems);
}

#[tokio::test]
async fn b19_a_trigger_runs_the_events_scripts_of_one_profile_or_of_all() {
    let node = with_foo();
    node.applier.apply(&name("foo")).await.unwrap();
    let run = async |event, profile: Option<&str>| {
        let before = node.out().lines().count();
        let summary = trigger(&node, event, profile.map(name).as_ref(), &[]).await.unwrap();
        assert!(summary.is_well());
        node.out().lines().skip(before).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(run(Event::Configure, Some("account/foo")).await, ["foo configure.sh: configure master demo"]);
    let all = run(Event::Configure, None).await;
    assert_eq!(all, ["foo configure.sh: configure master demo", "alice own.sh: configure master demo"], "the user's own last");
    assert_eq!(run(Event::Fail, None).await, ["foo fail.sh: fail master demo"]);
    assert_eq!(run(Event::MemberJoin, None).await.len(), 2);
    node.script("foo", "initialize.d/boot.sh");
    node.applier.pull().await.unwrap();
    assert_eq!(run(Event::Initialize, None).await, ["foo boot.sh: "], "as at a reboot: no arguments");
}

#[tokio::test]
async fn b19_member_leave_and_what_is_not_there_fail_and_run_nothing() {
    let node = with_foo();
    node.applier.apply(&name("foo")).await.unwrap();
    let before = node.out();
    assert!(matches!(trigger(&node, Event::MemberLeave, None, &[]).await, Err(TriggerError::MemberLeave)));
    let unknown = trigger(&node, Event::Configure, Some(&name("bar")), &[]).await.unwrap_err().to_string();
    assert!(unknown.contains("which has foo, alice"), "{unknown}");
    assert!(matches!(trigger(&node, Event::Start, None, &["login1"]).await, Err(TriggerError::NoMembers(_))));
    assert!(matches!(trigger(&node, Event::MemberJoin, None, &["compute-9"]).await, Err(TriggerError::UnknownMember(_))));
    assert_eq!(node.out(), before);
    trigger(&node, Event::MemberJoin, None, &["compute-2"]).await.unwrap();
    assert!(node.out().strip_prefix(&before).unwrap().trim_end().ends_with("compute-2 10.0.0.3"));
}

#[tokio::test]
async fn b15_a_pull_fetches_again_and_runs_nothing() {
    let node = with_foo();
    node.applier.apply(&name("foo")).await.unwrap();
    let before = node.out();
    fs::remove_file(node.bucket.path("customizer/foo/configure.d/configure.sh")).unwrap();
    assert_eq!(node.applier.pull().await.unwrap().profiles, ["foo", "alice"]);
    assert_eq!(node.out(), before);
    trigger(&node, Event::Configure, None, &[]).await.unwrap();
    assert_eq!(node.out().strip_prefix(&before).unwrap(), "alice own.sh: configure master demo\n");
}
