//! Made-up sites and names for the tests of this crate and of those around it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::key::{self, Reading, UploadKey};
use crate::names::{Cluster, ClusterName, User};
use crate::node_report::{FailedScript, JobsReport, NodeReport, NodeState, NodesReport, NodesState, SchedulerReport};
use crate::region::Region;
use crate::settings::{Function, MailRoute, OwnImages, Settings};
use crate::template::{SystemValue, default_template};

/// A deployment as an administrator could have made it.
pub fn settings() -> Settings {
    Settings {
        prefix: "clusterdrop".into(),
        deployment: "cluster-service".into(),
        url_suffix: "amazonaws.com".into(),
        user_bucket: "af-users-eu-west-2".into(),
        customizer_bucket: "alces-flight-abcdefghijklnmop".into(),
        system_bucket: "cluster-service-system".into(),
        service_role: "arn:aws:iam::123456789012:role/clusterdrop-service".into(),
        foundation_record: None,
        nodes_max: 32,
        node_logs: true,
        own_images: OwnImages::default(),
        fixed: BTreeMap::from([
            (SystemValue::AccessNetwork, "192.0.2.0/24".into()),
            (SystemValue::Vpc, "vpc-0a1b2c3d".into()),
            (SystemValue::Subnet, "subnet-0a1b2c3d".into()),
            (SystemValue::ComputeSubnet, "subnet-0a1b2c3d".into()),
            (SystemValue::AgentX86, "0a".repeat(32)),
            (SystemValue::AgentArm, "0b".repeat(32)),
            (SystemValue::ComputeOutbound, "proxy".into()),
            (SystemValue::Zone, "eu-west-2a".into()),
        ]),
        timeout_seconds: 30,
        mail: Some(MailRoute { from: "clusters@site.example".into(), to: "admin@site.example".into() }),
        function: Function::Watch,
        template: default_template(),
        region: region("eu-west-2"),
    }
}

/// A Region, with the defaults that it has by itself.
pub fn region(name: &str) -> Region {
    Region::new(name, default_template(), &BTreeMap::new())
}

/// The key of a create in the user's home itself.
pub fn create_key(cluster: &Cluster) -> UploadKey {
    match key::read(&format!("home/{}/{}.cf-create", cluster.user, cluster.name)) {
        Reading::Request(key) => key,
        reading => panic!("{reading:?} of a legal name"),
    }
}

/// A cluster by its two names, which must be legal.
pub fn cluster(user: &str, name: &str) -> Cluster {
    Cluster { user: User::parse(user).expect("a legal user"), name: ClusterName::parse(name).expect("a legal cluster") }
}

/// A node's report with nothing to report but its state.
pub fn node_report(state: NodeState) -> NodeReport {
    NodeReport {
        state,
        failure: None,
        message: String::new(),
        instance: "i-1".into(),
        address: Some([192, 0, 2, 66].into()),
        host_keys: vec![],
        scripts: vec![],
        more_scripts: 0,
        scheduler: None,
        updated: Timestamp::UNIX_EPOCH,
    }
}

/// What a login node reports of Slurm: two nodes run, one starts for a job that has it already, and one cannot be had.
pub fn scheduler_report() -> SchedulerReport {
    let nodes = |state, count, nodes: &str, reason: &str| NodesReport { state, count, nodes: nodes.into(), reason: reason.into() };
    SchedulerReport {
        partition: "compute".into(),
        nodes: vec![
            nodes(NodesState::Running, 2, "compute-[9-10]", ""),
            nodes(NodesState::Starting, 1, "compute-11", ""),
            nodes(NodesState::Down, 1, "compute-1", "spot had no capacity"),
        ],
        jobs: JobsReport { running: 3, starting: 1, waiting: 2 },
        notes: vec!["2 nodes on demand, because spot had no capacity".into()],
    }
}

/// A script of alice's that failed as it configured a node, with the lines that it printed last.
pub fn failed_script(script: &str, last_lines: &[&str]) -> FailedScript {
    FailedScript {
        event: "configure".into(),
        profile: "alice".into(),
        script: script.into(),
        outcome: "ended with exit code 3".into(),
        exit_code: Some(3),
        last_lines: last_lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}
