//! Auto Scaling's answers, by a server that gives them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use cf_slurm::scaling::classify;

use super::super::outside::Outside;
use super::super::scaler::Scaler;
use super::super::testing::{Cluster, World, clock};
use super::*;
use crate::fake_http::{Answer, Request, Server, configuration};

fn answer(action: &str, result: &str) -> Answer {
    let space = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
    let body = format!("<{action}Response xmlns=\"{space}\"><{action}Result>{result}</{action}Result></{action}Response>");
    Answer::Whole(200, vec![], body.into_bytes())
}

fn refusal(code: &str, message: &str) -> Answer {
    let body = format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
    Answer::Whole(400, vec![], body.into_bytes())
}

/// What a request asks for: its fields, without the version.
fn asked(request: &Request) -> String {
    let body = String::from_utf8(request.body.clone()).unwrap();
    body.split('&').filter(|field| !field.starts_with("Version=")).collect::<Vec<_>>().join(" ")
}

async fn groups(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> (Groups, Server) {
    let server = Server::start(answer).await;
    (Groups::new(&configuration(&server.url).await, "cd-alice-demo-x"), server)
}

fn group(name: &str, desired: u32, machines: &[(&str, &str)]) -> String {
    let machine =
        |(id, state): &(&str, &str)| format!("<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState></member>");
    let machines: String = machines.iter().map(machine).collect();
    format!(
        "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><DesiredCapacity>{desired}</DesiredCapacity>\
         <Instances>{machines}</Instances></member>"
    )
}

#[tokio::test]
async fn both_groups_are_read_in_one_call_and_one_that_is_not_there_is_an_error() {
    let states = [("i-1", "Pending"), ("i-2", "InService"), ("i-3", "Terminating:Wait"), ("i-4", "Detaching"), ("i-5", "Standby")];
    let members = group("cd-alice-demo-x-spot", 3, &states) + &group("cd-alice-demo-x-ondemand", 0, &[]);
    let (of, server) =
        groups(move |_, _| answer("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{members}</AutoScalingGroups>"))).await;
    let facts = of.describe(&Group::ALL).await.unwrap();
    let machines: Vec<(&str, Life)> = facts[&Group::Spot].machines.iter().map(|(id, life)| (id.as_str(), *life)).collect();
    assert_eq!(facts[&Group::Spot].desired, 3);
    assert_eq!(machines, [("i-1", Life::Lives), ("i-2", Life::Lives), ("i-3", Life::Ends), ("i-4", Life::Ends), ("i-5", Life::Lives)]);
    assert_eq!(facts[&Group::OnDemand], GroupFacts::default());
    let names = "AutoScalingGroupNames.member.1=cd-alice-demo-x-spot AutoScalingGroupNames.member.2=cd-alice-demo-x-ondemand";
    assert_eq!(server.asked().iter().map(asked).collect::<Vec<_>>(), [format!("Action=DescribeAutoScalingGroups {names}")]);

    let (of, _server) = groups(|_, _| answer("DescribeAutoScalingGroups", "<AutoScalingGroups></AutoScalingGroups>")).await;
    let missing = CloudError::Missing("the Auto Scaling group cd-alice-demo-x-spot".to_owned());
    assert_eq!(of.describe(&[Group::Spot]).await, Err(missing));
}

#[tokio::test]
async fn activities_are_launches_that_go_on_succeeded_or_failed_with_awss_words() {
    let activity = |id: &str, what: &str, status: &str, more: &str| {
        format!(
            "<member><ActivityId>{id}</ActivityId><Description>{what}</Description><Cause>c</Cause><StartTime>2026-11-28T12:00:00.250Z</StartTime>\
             <StatusCode>{status}</StatusCode>{more}</member>"
        )
    };
    let words = "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity. Launching EC2 instance failed.";
    let failed = format!("<StatusMessage>{words}</StatusMessage>");
    let launching = "Launching a new EC2 instance";
    let members = [
        activity("a-5", "Terminating EC2 instance: i-9", "Failed", ""),
        activity("a-4", &format!("{launching}.  Status Reason: {words}"), "Failed", &failed),
        activity("a-3", &format!("{launching}: i-3"), "Cancelled", ""),
        activity("a-2", &format!("{launching}: i-2"), "InProgress", ""),
        activity("a-1", &format!("{launching}: i-1"), "Successful", ""),
        activity("a-0", launching, "Cancelled", ""),
    ]
    .concat();
    let (of, server) = groups(move |_, _| answer("DescribeScalingActivities", &format!("<Activities>{members}</Activities>"))).await;
    let read = of.activities(Group::OnDemand).await.unwrap();
    let shown: Vec<_> = read.iter().map(|activity| (activity.id.as_str(), activity.status, activity.machine.as_deref())).collect();
    let [failed, succeeded, runs] = [ActivityStatus::Failed, ActivityStatus::Succeeded, ActivityStatus::Runs];
    assert_eq!(
        shown,
        [
            ("a-4", failed, None),
            ("a-3", succeeded, Some("i-3")),
            ("a-2", runs, Some("i-2")),
            ("a-1", succeeded, Some("i-1")),
            ("a-0", failed, None)
        ]
    );
    assert_eq!((read[0].began, read[0].message.as_str()), ("2026-11-28T12:00:00.250Z".parse().unwrap(), words));
    assert_eq!(classify(&read[0].message), cf_slurm::scaling::Trouble::NoCapacity);
    assert_eq!(
        server.asked().iter().map(asked).collect::<Vec<_>>(),
        ["Action=DescribeScalingActivities AutoScalingGroupName=cd-alice-demo-x-ondemand MaxRecords=100"]
    );
}

#[tokio::test]
async fn capacity_that_is_throttled_is_asked_for_again_and_a_machine_is_ended_once() {
    let throttled = |number| if number < 2 { refusal("Throttling", "Rate exceeded") } else { answer("SetDesiredCapacity", "") };
    let (of, server) = groups(move |number, _| throttled(number)).await;
    assert_eq!(of.set_desired(Group::Spot, 3).await, Ok(()));
    let set = "Action=SetDesiredCapacity AutoScalingGroupName=cd-alice-demo-x-spot DesiredCapacity=3 HonorCooldown=false";
    assert_eq!(server.asked().iter().map(asked).collect::<Vec<_>>(), [set; 3]);

    for lost in [
        Answer::Silence,
        Answer::Cut(200, b"<Term".to_vec(), 3),
        Answer::error(500, "InternalFailure"),
        refusal("Throttling", "Rate exceeded"),
    ] {
        let (of, server) = groups(move |_, _| lost.clone()).await;
        assert!(matches!(of.end("i-1").await, Err(CloudError::Unreachable(_))));
        let end = "Action=TerminateInstanceInAutoScalingGroup InstanceId=i-1 ShouldDecrementDesiredCapacity=true";
        assert_eq!(server.asked().iter().map(asked).collect::<Vec<_>>(), [end], "a second attempt could decrement twice");
    }
    let (of, _server) =
        groups(|_, _| refusal("ValidationError", "Instance Id not found - No managed instance found for instance ID: i-1")).await;
    assert_eq!(of.end("i-1").await, Ok(()), "it is gone");
    let (of, _server) = groups(|_, _| refusal("AccessDenied", "not authorized")).await;
    assert_eq!(of.end("i-1").await, Err(CloudError::Denied("AccessDenied: not authorized".to_owned())));
}

/// The groups over HTTP, and Slurm in memory.
struct OnTheWire {
    groups: Groups,
    slurm: Arc<World>,
}

impl Outside for OnTheWire {
    async fn groups(&self, groups: &[Group]) -> Result<BTreeMap<Group, GroupFacts>, CloudError> {
        self.groups.describe(groups).await
    }

    async fn activities(&self, group: Group) -> Result<Vec<Activity>, CloudError> {
        self.groups.activities(group).await
    }

    async fn set_desired(&self, group: Group, desired: u32) -> Result<(), CloudError> {
        self.groups.set_desired(group, desired).await
    }

    async fn end_machine(&self, machine: &str) -> Result<(), CloudError> {
        self.groups.end(machine).await
    }

    async fn interruption(&self) -> Result<Option<String>, CloudError> {
        Ok(None)
    }

    async fn slurm(&self, program: &str, arguments: &[String]) -> Result<String, String> {
        self.slurm.slurm(program, arguments).await
    }
}

#[tokio::test]
async fn a_hundred_nodes_of_both_groups_are_resumed_by_one_call_in_two_seconds_and_five_calls_to_aws() {
    let desired = Arc::new(Mutex::new(BTreeMap::from([("spot".to_owned(), 0), ("ondemand".to_owned(), 0)])));
    let kept = Arc::clone(&desired);
    let server = Server::start(move |_, request| {
        let fields: BTreeMap<String, String> = asked(request)
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let mut desired = kept.lock().unwrap();
        match fields["Action"].as_str() {
            "DescribeAutoScalingGroups" => {
                let members: String = desired.iter().map(|(word, desired)| group(&format!("demo-{word}"), *desired, &[])).collect();
                answer("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{members}</AutoScalingGroups>"))
            }
            "DescribeScalingActivities" => answer("DescribeScalingActivities", "<Activities></Activities>"),
            "SetDesiredCapacity" => {
                let word = fields["AutoScalingGroupName"].strip_prefix("demo-").unwrap().to_owned();
                desired.insert(word, fields["DesiredCapacity"].parse().unwrap());
                answer("SetDesiredCapacity", "")
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let cluster = Cluster::new(100, 60, 60);
    let groups = Groups::new(&configuration(&server.url).await, "demo");
    let outside = OnTheWire { groups, slurm: Arc::clone(&cluster.world) };
    let began = Instant::now();
    assert_eq!(cluster.job_for(100).len(), 100);
    let passed = Scaler::new(&outside, Arc::clone(&cluster.keeper), clock).pass().await;
    assert_eq!(passed.problems, [""; 0]);
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    assert_eq!(*desired.lock().unwrap(), BTreeMap::from([("spot".to_owned(), 60), ("ondemand".to_owned(), 40)]));
    assert_eq!(server.asked().len(), 5, "{:?}", server.asked().iter().map(asked).collect::<Vec<_>>());
}
