//! Whose reports count: of this user, this cluster and this life of it, and of no other.

use super::*;

#[test]
fn a_users_nodes_are_not_in_anothers_files_and_an_earlier_lifes_not_in_a_later_ones() {
    let mut cloud = ready();
    cloud.drop_file("home/bob/demo.cf-create", b"{}");
    cloud.settle();
    let bobs = request(&cloud);
    let bytes = serde_json::to_vec(&report(NodeState::Failed)).unwrap();
    let before = cloud.text(STATUS);
    // Bob's node writes below its own folder, with Bob's request and with Alice's.
    let alices = cloud.world.state().stacks.all()[0].stack.request().unwrap();
    for request in [bobs, alices.clone()] {
        let cluster = testing::cluster("bob", "demo");
        cloud.put_report(&ReportKey { cluster, request, node: LOGIN.to_string() }.key(), &bytes);
        cloud.drain();
    }
    assert_eq!(cloud.text(STATUS), before);
    // Alice's cluster goes, and another of its name comes; a node of the first writes late.
    cloud.drop_file("home/alice/demo.cf-delete", b"");
    cloud.settle();
    cloud.drop_file(CREATE, b"{}");
    cloud.settle();
    assert_ne!(request(&cloud), alices);
    cloud.put_report(&ReportKey { cluster: testing::cluster("alice", "demo"), request: alices, node: LOGIN.to_string() }.key(), &bytes);
    cloud.drain();
    assert_eq!((status(&cloud).state, nodes(&cloud)), (State::Ready, vec![]));
}

/// The ledger and the status file are of one create, and the stack that is there of another: whatever lies in the folder of either, it is
/// not known whose nodes these are.
#[test]
fn nodes_of_a_stack_that_was_not_made_for_the_accepted_create_are_not_shown() {
    let mut cloud = ready();
    let (user, another) = (testing::cluster("alice", "demo").user, RequestId::from_tag("00000000000000ff"));
    let made_for = request(&cloud);
    for (bucket, key) in [(Bucket::System, ledger::key(&user)), (Bucket::User, STATUS.to_owned())] {
        let mut state = cloud.world.state();
        let (at, text) = (state.now, state.store.text(bucket, &key).unwrap());
        state.store.put(bucket, &key, text.replace(made_for.as_str(), another.as_str()).as_bytes(), at);
    }
    cloud.world.wait(60);
    for request in [another, made_for] {
        let cluster = testing::cluster("alice", "demo");
        let key = ReportKey { cluster, request, node: LOGIN.to_string() }.key();
        cloud.put_report(&key, &serde_json::to_vec(&report(NodeState::Failed)).unwrap());
        cloud.drain();
        assert_eq!(nodes(&cloud), [], "{key}");
    }
}

/// What lies there from before the create was accepted was not written by its nodes. It is not even read, but for the login node's report
/// where a crowd hides it in the listing.
#[test]
fn what_is_older_than_the_cluster_is_not_shown() {
    for crowd in [0, 1_000] {
        let mut cloud = ready();
        let bytes = serde_json::to_vec(&report(NodeState::Failed)).unwrap();
        let accepted = status(&cloud).since;
        let (old, new) = (accepted - jiff::SignedDuration::from_hours(1), accepted + jiff::SignedDuration::from_secs(1));
        let crowd: Vec<String> = (100..100 + crowd).map(|nth| key(&cloud, &format!("compute-{nth}"))).collect();
        let keys = [("login1", old), ("compute-1", new), ("compute-2", old)].map(|(node, at)| (key(&cloud, node), at));
        {
            let mut state = cloud.world.state();
            for (key, at) in crowd.iter().map(|key| (key, new)).chain(keys.iter().map(|(key, at)| (key, *at))) {
                state.store.put(Bucket::System, key, &bytes, at);
            }
            state.asked.clear();
        }
        cloud.deliver(&Event::Report(keys[0].0.clone())).unwrap();
        assert_eq!(nodes(&cloud), [shows("compute-1", "failed")]);
        let reads = cloud.world.state().asked.iter().filter(|asked| asked.is::<ReadReport>()).count();
        assert_eq!(reads, if crowd.is_empty() { 1 } else { 2 });
    }
}

/// The plan that starts the next cluster is made on a look at the failed one.
#[test]
fn a_cluster_that_follows_a_failed_one_does_not_show_its_nodes() {
    let mut cloud = Cloud::new(testing::settings()).with_profile("alice");
    cloud.world.state().stacks.next_behaviour = StackBehaviour::Fails;
    cloud.drop_file(CREATE, b"{}");
    cloud.drain();
    put(&mut cloud, "login1", &report(NodeState::Failed));
    cloud.world.state().stacks.next_behaviour = StackBehaviour::Succeeds;
    cloud.step();
    cloud.drain();
    cloud.drop_file(CREATE, b"{\"ComputeMaxNodes\": \"4\"}");
    cloud.settle();
    let second = request(&cloud);
    let effects = cloud.world.state().effects.clone();
    let shown = effects.iter().filter_map(|effect| match effect {
        Effect::WriteStatus { status, .. } if status.request == second => Some(status.reported.nodes.len()),
        _ => None,
    });
    assert_eq!(shown.max(), Some(0), "the second cluster's nodes have not reported");
}
