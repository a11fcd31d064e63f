//! clusterdrop's node agent: `cf-node`, the one program that every node of a cluster runs.
//!
//! It has the shape of the functions: observe, decide (pure), execute. The modules are:
//!
//! - [`node`]: what a node is (role, name, where its files lie);
//! - [`settings`]: a node's settings, which the template gives;
//! - [`store`]: the seam to S3;
//! - [`cloud`]: the seam to the rest of AWS;
//! - [`aws`]: the SDK's configuration on a node;
//! - [`state_file`]: states that outlive their process;
//! - [`secret`]: the keys that follow from the cluster's secret;
//! - [`fetch`]: brings the profiles from S3 to the node;
//! - [`account`]: the user's account and its SSH key;
//! - [`host_name`]: the host name of the node;
//! - [`agent`]: the daemon, which boots the node and keeps it a member of its cluster;
//! - [`logs`]: the login node's logs in the user's folder;
//! - [`install`]: puts the agent in its place on a node;
//! - [`event`]: the events of a node's life and the arguments that scripts get;
//! - [`instance_log`]: the log that scripts' output goes to;
//! - [`profile`]: which scripts of which profile an event runs;
//! - [`script`]: prepares a script for its run;
//! - [`run`]: runs one script;
//! - [`hooks`]: runs the scripts of an event;
//! - [`failures`]: the journal of scripts that failed;
//! - [`report`], [`reporter`]: what the node reports of itself;
//! - [`setup`]: makes the machine what its settings say: packages, disks, Slurm;
//! - [`try_out`]: runs an event of a profile on one's own machine;
//! - [`members`]: who is in the cluster, by gossip;
//! - [`link`]: authenticated requests between the nodes of a cluster; [`request`]: what they ask;
//! - [`turn`]: one process of a node at a time changes profiles or runs an event;
//! - [`customize`]: live use: profiles and events on a running node;
//! - [`jobs`]: the job queue;
//! - [`exchange`]: steps in which all nodes get what each of them exported;
//! - [`service`]: programs that run until they are removed, as jobs of Slurm;
//! - [`scaling`]: when machines start and end, and which node is which;
//! - [`proxy`]: the way of compute nodes to the cluster's secret, and to the Internet;
//! - [`publish`]: puts this program where nodes fetch it.

pub mod account;
pub mod agent;
pub mod aws;
pub mod cloud;
pub mod customize;
pub mod event;
pub mod exchange;
pub mod failures;
#[cfg(test)]
mod fake_http;
pub mod fetch;
pub mod hooks;
pub mod host_name;
pub mod install;
pub mod instance_log;
pub mod jobs;
pub mod link;
pub mod logs;
pub mod members;
pub mod node;
mod plain_file;
pub mod profile;
mod programs;
pub mod proxy;
pub mod publish;
mod random;
pub mod report;
pub mod reporter;
pub mod request;
pub mod run;
pub mod scaling;
pub mod script;
pub mod secret;
pub mod service;
pub mod settings;
pub mod setup;
mod signals;
pub mod state_file;
pub mod store;
pub mod try_out;
pub mod turn;
