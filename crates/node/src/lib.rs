//! clusterdrop's node agent: `cf-node`, the one program that every node of a cluster runs.
//!
//! It has the shape of the functions: observe, decide (pure), execute. The modules are:
//!
//! - [`node`]: what a node is (role, name, where its files lie);
//! - [`event`]: the events of a node's life and the arguments that scripts get;
//! - [`instance_log`]: the log that scripts' output goes to;
//! - [`members`]: who is in the cluster, by gossip.

pub mod event;
pub mod instance_log;
pub mod members;
pub mod node;
