//! clusterdrop's node agent: `cf-node`, the one program that every node of a cluster runs.
//!
//! It has the shape of the functions: observe, decide (pure), execute. The modules are:
//!
//! - [`node`]: what a node is (role, name, where its files lie);
//! - [`event`]: the events of a node's life and the arguments that scripts get;
//! - [`instance_log`]: the log that scripts' output goes to;
//! - [`link`]: authenticated requests between the nodes of a cluster;
//! - [`exchange`]: steps in which all nodes get what each of them exported.

pub mod event;
pub mod exchange;
pub mod instance_log;
pub mod link;
pub mod node;
