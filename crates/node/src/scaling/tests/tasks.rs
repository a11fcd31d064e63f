//! The tasks, in real time: a call, a problem that comes and goes, a machine that EC2 takes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cf_slurm::group::Group;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::interruption;
use super::super::service::{Reports, Shown, follow};
use super::super::testing::{Cluster, World, clock, throttled};
use super::node;
use crate::agent::desk::Desk;
use crate::customize::{remote, testing};
use crate::link::{self, Counters, Limits, LinkKey};

/// A busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(30);

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "never seen: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_call_is_carried_out_at_once_and_what_is_wrong_is_reported_until_it_is_over() {
    let cluster = Cluster::new(4, 4, 0);
    let shown = watch::Sender::new(Shown::default());
    let (problems, seen) = watch::channel(Vec::new());
    let mut report = |now: Vec<String>| drop(problems.send_replace(now));
    let reports = Reports { problems: &mut report, shown: &shown };
    let desired = || cluster.size(Group::Spot).1;
    let story = async {
        until("Slurm is shown", || shown.borrow().summary.is_some()).await;
        let calls = cluster.world.state().calls.len();
        let began = Instant::now();
        cluster.job_for(2);
        until("two machines are desired", || desired() == 2).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(cluster.world.state().calls.len() - calls <= 5, "{:?}", cluster.world.state().calls);
        cluster.world.state().refusals.insert("set", vec![throttled(); 2]);
        cluster.job_for(1);
        until("a problem", || seen.borrow().len() == 1).await;
        until("its end", || seen.borrow().is_empty() && desired() == 3).await;
        cluster.keeper.set_switch(false).unwrap();
        until("what the user reads", || shown.borrow().notes.iter().any(|note| note.starts_with("autoscaling is disabled since"))).await;
    };
    tokio::select! {
        () = follow(cluster.world.as_ref(), Arc::clone(&cluster.keeper), reports, clock) => panic!("it ended"),
        () = story => {}
    }
}

#[tokio::test]
async fn c12_a_machine_that_ec2_takes_back_tells_the_login_node_until_it_has_written_it_down() {
    let mut cluster = Cluster::new(2, 2, 0);
    cluster.job_for(1);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    let desk = Arc::new(Desk::with_scheduler(&cluster.layout(), Arc::clone(&cluster.keeper), None));
    let customize = Arc::new(remote::Desk::applying(Arc::clone(&testing::Node::new().applier)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (login, key) = (listener.local_addr().unwrap(), LinkKey::derive(&[1; 32]));
    let handler = move |_, request| {
        let (desk, customize) = (Arc::clone(&desk), Arc::clone(&customize));
        async move { desk.answer(request, &customize).await }
    };
    let serve = link::serve(listener, key.clone(), Limits::default(), Arc::new(Counters::default()), handler);
    // The login node's disk takes nothing at first.
    let state = cluster.layout().state();
    std::fs::remove_dir_all(&state).unwrap();
    let machine = World::default();
    let told = async {
        assert_eq!(interruption::notice(&machine, Duration::from_millis(5)).await, "the end");
        interruption::tell(login, &key, "i-1").await;
    };
    let story = async {
        until("it looks more than once", || machine.state().calls.len() > 3).await;
        machine.state().refusals.insert("interruption", vec![throttled()]);
        machine.state().interruption = Some("the end".to_owned());
        std::fs::create_dir_all(&state).unwrap();
    };
    tokio::select! {
        () = serve => panic!("it ended"),
        _ = async { tokio::join!(told, story) } => {}
    }
    cluster.pass().await;
    assert!(cluster.world.state().nodes[&node(1)].is_drained);
    cluster.restart();
    assert_eq!(cluster.keeper.interrupted("i-1").unwrap(), Some(node(1)), "it is on the disk");
}
