//! clusterdrop's node agent: `cf-node`, the one program that every node of a cluster runs.
//!
//! It has the shape of the functions: observe, decide (pure), execute. The modules are:
//!
//! - [`node`]: what a node is (role, name, where its files lie);
//! - [`settings`]: what the template tells a node;
//! - [`store`]: the seam to S3;
//! - [`cloud`]: the seam to the rest of AWS;
//! - [`fetch`]: brings the profiles from S3 to the node;
//! - [`account`]: the user's account and its SSH key;
//! - [`event`]: the events of a node's life and the arguments that scripts get;
//! - [`instance_log`]: the log that scripts' output goes to;
//! - [`profile`]: which scripts of which profile an event runs;
//! - [`script`]: prepares a script for its run;
//! - [`run`]: runs one script;
//! - [`hooks`]: runs the scripts of an event;
//! - [`try_out`]: runs an event of a profile on one's own machine;
//! - [`members`]: who is in the cluster, by gossip;
//! - [`link`]: authenticated requests between the nodes of a cluster;
//! - [`exchange`]: steps in which all nodes get what each of them exported;
//! - [`proxy`]: the way of compute nodes to the cluster's secret;
//! - [`publish`]: puts this program where nodes fetch it.

pub mod account;
pub mod cloud;
pub mod event;
pub mod exchange;
pub mod fetch;
pub mod hooks;
pub mod instance_log;
pub mod link;
pub mod members;
pub mod node;
mod plain_file;
pub mod profile;
pub mod proxy;
pub mod publish;
pub mod run;
pub mod script;
pub mod settings;
pub mod store;
pub mod try_out;
