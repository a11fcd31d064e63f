//! Clusters in memory: what Slurm wants, what AWS does, and what comes of it. The tests `c…` are acceptance checks (facts/seeds.md C).

mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_slurm::group::{Group, Sizes};
use cf_slurm::scaling::{Life, Power};

use super::scaler::Scaler;
use super::testing::{Cluster, NO_CAPACITY, clock, later, throttled};
use crate::cloud::CloudError;
use crate::node::NodeName;
use crate::request::{Asks, Refusal};

const DAY_MINUTES: u32 = 24 * 60;

fn node(number: u32) -> NodeName {
    NodeName::of_rank(number)
}

#[tokio::test]
async fn c8_without_initial_nodes_none_runs_and_the_first_job_starts_one() {
    let mut cluster = Cluster::new(4, 4, 2);
    cluster.settle().await;
    assert_eq!((cluster.changes(), cluster.again), (vec![], None));
    cluster.job_for(1);
    cluster.settle().await;
    assert_eq!(cluster.changes(), ["set spot 1"]);
    assert_eq!(cluster.launch(), [("i-1".to_owned(), Ok(node(1)))]);
    cluster.settle().await;
    assert_eq!((cluster.size(Group::Spot), cluster.size(Group::OnDemand), cluster.again), ((1, 1), (0, 0), None));
}

#[tokio::test]
async fn c8_a_fixed_cluster_runs_exactly_its_maximum_and_replaces_what_it_loses() {
    let mut cluster = Cluster::with(|policy| policy.fixed = true, Sizes { maximum: 3, spot: 2, on_demand: 2 });
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    let size = |cluster: &Cluster| (cluster.size(Group::Spot), cluster.size(Group::OnDemand));
    assert_eq!(size(&cluster), ((2, 2), (1, 1)));
    cluster.world.state().groups.get_mut(&Group::Spot).unwrap().machines.remove("i-1");
    cluster.set(node(1), Power::Silent);
    later(Duration::from_mins(1));
    cluster.settle().await;
    assert_eq!(cluster.launch(), [("i-4".to_owned(), Ok(node(1)))]);
    cluster.settle().await;
    assert_eq!(size(&cluster), ((2, 2), (1, 1)));
}

#[tokio::test]
async fn initial_nodes_start_once_slurm_answers_and_are_no_floor() {
    let mut cluster = Cluster::with(|policy| policy.initial = 2, Sizes { maximum: 4, spot: 4, on_demand: 0 });
    cluster.world.state().is_slurm_away = true;
    assert!(cluster.pass().await.is_slurm_silent);
    assert_eq!(cluster.world.state().calls, [""; 0], "before slurmctld has started nothing is asked of AWS");
    cluster.world.state().is_slurm_away = false;
    cluster.settle().await;
    cluster.settle().await;
    assert_eq!(cluster.changes(), ["set spot 2"]);
    cluster.launch();
    cluster.settle().await;
    cluster.idle(&[1, 2]);
    cluster.settle().await;
    for number in [1, 2] {
        cluster.set(node(number), Power::Off);
    }
    cluster.settle().await;
    assert_eq!(cluster.size(Group::Spot), (0, 0));
}

#[tokio::test]
async fn c9_work_for_3_nodes_and_a_maximum_of_2_gives_2_nodes_and_never_more() {
    let mut cluster = Cluster::new(2, 3, 2);
    assert_eq!(cluster.job_for(3).len(), 3);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    assert_eq!((cluster.size(Group::Spot), cluster.size(Group::OnDemand)), ((2, 2), (0, 0)));
    assert_eq!(cluster.reason(3).unwrap(), "the cluster has its maximum of 2 nodes");
    assert_eq!(cluster.world.state().groups[&Group::Spot].desired_max, 2);
    cluster.idle(&[1]);
    cluster.settle().await;
    cluster.set(node(1), Power::Off);
    cluster.settle().await;
    assert_eq!((cluster.reason(3), cluster.size(Group::Spot)), (None, (1, 1)), "there is room again");
}

#[tokio::test]
async fn c10_a_node_ends_only_when_slurm_gives_it_and_by_its_own_id() {
    let mut cluster = Cluster::new(3, 3, 0);
    cluster.job_for(3);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    // 1 is busy, 3 has a job that starts. Slurm gives 2, which it has drained of work.
    cluster.world.state().jobs.insert(7, BTreeSet::from([node(1)]));
    cluster.idle(&[2]);
    cluster.settle().await;
    assert_eq!(cluster.changes(), ["set spot 3", "end i-2"], "capacity goes down with the machine, and AWS chooses none");
    let state = cluster.world.state();
    let machines = &state.groups[&Group::Spot].machines;
    assert_eq!((machines["i-1"], machines["i-2"], machines["i-3"]), (Life::Lives, Life::Ends, Life::Lives));
}

#[tokio::test]
async fn c11_while_autoscaling_is_disabled_nothing_starts_or_ends_also_after_a_restart() {
    let mut cluster = Cluster::new(4, 4, 0);
    cluster.job_for(2);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    cluster.keeper.set_switch(false).unwrap();
    cluster.settle().await;
    let before = cluster.changes();
    assert_eq!(cluster.world.state().stays, "compute-[1-4]", "Slurm ends no idle node");
    assert!(cluster.reason(3).unwrap().starts_with("autoscaling is disabled"), "{:?}", cluster.reason(3));
    assert_eq!(cluster.restart().len(), 0);
    // Slurm gave one all the same, and wants another.
    cluster.idle(&[1]);
    cluster.keeper.resume(&BTreeSet::from([node(3)])).unwrap();
    for _ in 0..10 {
        later(Duration::from_mins(5));
        cluster.pass().await;
    }
    assert_eq!((cluster.changes(), cluster.size(Group::Spot)), (before, (2, 2)));
    assert!(cluster.keeper.switch().disabled_since.is_some());

    cluster.keeper.set_switch(true).unwrap();
    cluster.settle().await;
    cluster.set(node(1), Power::Off);
    cluster.settle().await;
    assert_eq!((cluster.size(Group::Spot), cluster.reason(3), cluster.reason(4)), ((1, 1), None, None));
    assert_eq!(cluster.world.state().stays, "");
    assert_eq!(cluster.job_for(1), [node(1)].into());
    cluster.settle().await;
    assert_eq!(cluster.size(Group::Spot), (1, 2));
}

#[tokio::test]
async fn c12_a_price_of_0_is_a_cluster_on_demand_alone() {
    let mut cluster = Cluster::new(2, 0, 2);
    cluster.job_for(1);
    cluster.settle().await;
    assert_eq!(cluster.launch(), [("i-1".to_owned(), Ok(node(1)))]);
    cluster.settle().await;
    assert_eq!(cluster.changes(), ["set on demand 1"]);
}

#[tokio::test]
async fn c12_a_machine_that_ec2_takes_back_leaves_slurm_its_jobs_start_again_and_another_replaces_it() {
    let mut cluster = Cluster::new(2, 2, 0);
    cluster.job_for(1);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    cluster.world.state().jobs.insert(41, BTreeSet::from([node(1)]));
    assert_eq!(cluster.keeper.interrupted("i-1").unwrap(), Some(node(1)));
    let notes = cluster.pass().await.notes;
    assert_eq!(notes[0].to_string(), "compute-1: EC2 takes this spot machine back; its jobs start again elsewhere");
    assert_eq!(cluster.reason(1).unwrap(), "EC2 takes this spot machine back within two minutes");
    assert!(cluster.world.state().nodes[&node(1)].is_drained);
    assert_eq!(cluster.world.state().requeued, [41].into());
    // Two minutes later it is gone, and its group starts the next.
    later(Duration::from_mins(2));
    cluster.world.state().groups.get_mut(&Group::Spot).unwrap().machines.remove("i-1");
    cluster.set(node(1), Power::Silent);
    cluster.settle().await;
    assert_eq!(cluster.launch(), [("i-2".to_owned(), Ok(node(1)))]);
    cluster.settle().await;
    assert_eq!((cluster.reason(1), cluster.size(Group::Spot)), (None, (1, 1)));
}

#[tokio::test]
async fn spot_that_has_no_capacity_is_withdrawn_and_its_user_reads_of_the_nodes_on_demand() {
    let mut cluster = Cluster::new(2, 2, 2);
    cluster.world.state().groups.get_mut(&Group::Spot).unwrap().outage = Some(NO_CAPACITY);
    cluster.job_for(2);
    cluster.settle().await;
    cluster.launch();
    let notes = cluster.pass().await.notes;
    assert_eq!(notes[0].to_string(), "compute-[1-2]: spot had no capacity");
    assert_eq!((cluster.size(Group::Spot), cluster.reason(1).unwrap()), ((0, 0), "spot had no capacity".to_owned()));
    assert_eq!(cluster.job_for(2), [node(3), node(4)].into(), "Slurm takes the heavier nodes");
    cluster.settle().await;
    let (book, policy) = cluster.keeper.look();
    assert_eq!(book.fallback(policy.sizes).unwrap().to_string(), "2 nodes on demand, because spot had no capacity");
    assert_eq!(cluster.launch().len(), 2);
    assert_eq!(cluster.size(Group::OnDemand), (2, 2));
}

#[tokio::test]
async fn a_machine_that_comes_too_late_is_refused_for_good_and_ended() {
    let mut cluster = Cluster::new(2, 2, 0);
    cluster.job_for(1);
    cluster.settle().await;
    // Slurm does not want it any more, and AWS has started it all the same.
    cluster.world.state().groups.get_mut(&Group::Spot).unwrap().machines.insert("i-9".to_owned(), Life::Lives);
    cluster.idle(&[1]);
    assert_eq!(cluster.ask("i-9", Group::Spot), Err(Refusal::TooLate));
    cluster.job_for(1);
    assert_eq!(cluster.ask("i-9", Group::Spot), Err(Refusal::TooLate), "the refusal is final");
    assert!(Refusal::TooLate.is_final());
    cluster.settle().await;
    assert!(cluster.changes().contains(&"end i-9".to_owned()), "{:?}", cluster.changes());
}

#[tokio::test]
async fn a_throttled_call_is_a_problem_until_it_is_taken_and_nothing_is_lost_or_done_twice() {
    let mut cluster = Cluster::new(8, 8, 0);
    cluster.world.state().refusals.insert("set", vec![throttled(); 2]);
    cluster.job_for(3);
    let problem = "scaling: set the desired capacity of spot to 3: AWS cannot be reached: Throttling: Rate exceeded";
    assert_eq!(cluster.pass().await.problems, [problem]);
    // Slurm calls meanwhile, and the agent starts again.
    cluster.job_for(2);
    cluster.restart();
    assert_eq!(cluster.pass().await.problems, [problem.replace("to 3", "to 5")]);
    assert_eq!(cluster.pass().await.problems, [""; 0]);
    assert_eq!(cluster.size(Group::Spot), (0, 5));
    assert_eq!(cluster.launch().len(), 5);
    cluster.world.state().refusals.insert("end", vec![throttled()]);
    cluster.idle(&[4, 5]);
    assert_eq!(cluster.pass().await.problems.len(), 1);
    cluster.settle().await;
    assert_eq!(cluster.size(Group::Spot), (3, 3));
}

#[tokio::test]
async fn two_passes_at_once_ask_for_no_more_than_slurm_wants() {
    let cluster = Cluster::new(20, 20, 0);
    cluster.job_for(7);
    let pass = || async {
        let mut scaler = Scaler::new(cluster.world.as_ref(), cluster.keeper.clone(), clock);
        for _ in 0..3 {
            scaler.pass().await;
            cluster.job_for(2);
            tokio::task::yield_now().await;
        }
        scaler.pass().await
    };
    tokio::join!(pass(), pass(), pass());
    let state = cluster.world.state();
    let of = &state.groups[&Group::Spot];
    assert_eq!((of.desired, of.desired_max), (20, 20), "{:?}", state.calls);
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_left_alone_and_the_other_goes_on() {
    let mut cluster = Cluster::new(4, 2, 2);
    cluster.job_for(4);
    cluster.world.state().refusals.insert("activities", vec![throttled(); 1]);
    let problems = cluster.pass().await.problems;
    assert_eq!(problems, ["whether spot machines could be launched cannot be read: AWS cannot be reached: Throttling: Rate exceeded"]);
    assert_eq!(cluster.changes(), ["set on demand 2"]);
    cluster.world.state().refusals.insert("describe", vec![CloudError::Denied("AccessDenied: no".to_owned())]);
    assert_eq!(cluster.pass().await.problems, ["the groups of machines cannot be read: AWS refuses it: AccessDenied: no"]);
    cluster.settle().await;
    assert_eq!((cluster.size(Group::Spot), cluster.size(Group::OnDemand)), ((0, 2), (0, 2)));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_starts_and_names_nothing_until_it_does() {
    let mut cluster = Cluster::new(2, 2, 0);
    cluster.job_for(1);
    cluster.pass().await;
    let state = cluster.layout().state();
    std::fs::remove_dir_all(&state).unwrap();
    assert_eq!(cluster.ask("i-1", Group::Spot), Err(Refusal::Unsaved));
    assert!(cluster.keeper.resume(&BTreeSet::from([node(2)])).is_err());
    assert!(cluster.pass().await.problems[0].starts_with("no machine starts or ends: the state cannot be written"));
    std::fs::create_dir_all(&state).unwrap();
    assert_eq!(cluster.ask("i-1", Group::Spot), Ok(node(1)));
}

#[tokio::test]
async fn a_name_survives_the_login_node_and_a_lost_book_is_written_anew_from_the_members() {
    let mut cluster = Cluster::new(3, 3, 0);
    cluster.job_for(2);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    cluster.restart();
    assert_eq!(cluster.ask("i-2", Group::Spot), Ok(node(2)));
    std::fs::write(cluster.layout().state().join("scaling.json"), "{").unwrap();
    assert_eq!(cluster.restart().len(), 1);
    let member = |instance: &str| Asks { instance: instance.to_owned(), address: "10.0.0.7".parse().unwrap(), group: None };
    cluster.keeper.adopt(&BTreeMap::from([(NodeName::LOGIN, member("i-0")), (node(1), member("i-1")), (node(2), member("i-2"))]));
    assert_eq!(*cluster.keeper.expected().borrow(), [NodeName::LOGIN, node(1), node(2)].into());
    let before = cluster.changes();
    cluster.settle().await;
    assert_eq!((cluster.ask("i-2", Group::Spot), cluster.changes()), (Ok(node(2)), before), "no machine is ended for the loss");
    // A book that is there believes no member.
    cluster.restart();
    cluster.keeper.adopt(&BTreeMap::from([(node(3), member("i-3"))]));
    assert_eq!(cluster.keeper.expected().borrow().len(), 3);
}

#[tokio::test]
async fn a_machine_gets_names_of_the_group_that_aws_shows_it_in_whatever_it_says() {
    let mut cluster = Cluster::new(4, 2, 2);
    cluster.keeper.resume(&BTreeSet::from([node(1), node(3)])).unwrap();
    for number in [1, 3] {
        cluster.set(node(number), Power::Starting);
    }
    cluster.settle().await;
    cluster.world.state().groups.get_mut(&Group::Spot).unwrap().machines.insert("i-a".to_owned(), Life::Lives);
    cluster.pass().await;
    assert_eq!(cluster.ask("i-a", Group::OnDemand), Ok(node(1)), "a spot machine is a spot node");
    // One that no group has holds a name until the next reading, and ends nothing.
    assert_eq!(cluster.ask("i-made-up", Group::OnDemand), Ok(node(3)));
    cluster.pass().await;
    cluster.world.state().groups.get_mut(&Group::OnDemand).unwrap().machines.insert("i-b".to_owned(), Life::Lives);
    assert_eq!(cluster.ask("i-b", Group::OnDemand), Ok(node(3)));
    assert!(!cluster.changes().iter().any(|call| call.starts_with("end")), "{:?}", cluster.changes());
    let asks = Asks { instance: "i-c".to_owned(), address: "10.0.0.7".parse().unwrap(), group: None };
    assert_eq!(cluster.keeper.ask(&asks), Err(Refusal::NoGroup));
    assert_eq!(cluster.ask("../i", Group::Spot), Err(Refusal::NoInstance));
}

#[tokio::test]
async fn a_call_that_was_lost_is_found_by_a_look_at_slurm_that_costs_no_call_to_aws() {
    let mut cluster = Cluster::new(2, 2, 0);
    cluster.settle().await;
    let before = cluster.world.state().calls.len();
    let nodes = async |cluster: &Cluster| super::slurm::nodes(cluster.world.as_ref()).await.unwrap();
    let calls = async |cluster: &Cluster| {
        later(Duration::from_secs(20));
        Scaler::new(cluster.world.as_ref(), cluster.keeper.clone(), clock).calls(&nodes(cluster).await, clock())
    };
    assert!(!calls(&cluster).await, "nothing is wanted");
    cluster.set(node(1), Power::Starting);
    assert!(calls(&cluster).await, "Slurm wants a node that the agent has not heard of");
    assert_eq!(cluster.world.state().calls.len(), before);
    cluster.settle().await;
    cluster.launch();
    cluster.settle().await;
    assert!(!calls(&cluster).await, "all is as it should be");
    cluster.set(node(1), Power::Silent);
    assert!(calls(&cluster).await, "a wanted node is silent");
}

#[tokio::test]
async fn a_cluster_that_idles_for_a_day_makes_next_to_no_calls_to_aws() {
    let mut cluster = Cluster::new(100, 100, 100);
    cluster.settle().await;
    let mut due = cluster.again;
    for _ in 0..DAY_MINUTES {
        later(Duration::from_mins(1));
        let nodes = super::slurm::nodes(cluster.world.as_ref()).await.unwrap();
        let calls = Scaler::new(cluster.world.as_ref(), cluster.keeper.clone(), clock).calls(&nodes, clock());
        if calls || due.is_some() {
            cluster.pass().await;
            due = cluster.again;
        }
    }
    assert_eq!(cluster.world.state().calls, ["describe groups"], "the one when the agent started");
}
