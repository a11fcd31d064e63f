//! The seam to AWS beside S3: what the agent asks of it, and nothing else. [`aws`] is the real one.

use std::future::Future;
use std::net::IpAddr;

use crate::proxy::Network;

pub mod aws;

/// Which machine this is, from its instance metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its EC2 id, such as `i-0123456789abcdef0`.
    pub instance: String,
    /// Its private address.
    pub address: IpAddr,
}

/// How the node's start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal<'a> {
    /// Shown in the stack's events: at most 64 characters, the instance id where it went well and a failure's code where it did not
    /// (SignalResource, CloudFormation API reference).
    pub id: &'a str,
    /// Whether it went well.
    pub ready: bool,
    /// Whether an earlier attempt may have arrived.
    pub may_have_arrived: bool,
}

/// Why AWS gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// No right to it; with AWS's words.
    #[error("AWS refuses it: {0}")]
    Denied(String),
    /// There is no such thing.
    #[error("AWS has no such thing: {0}")]
    Missing(String),
    /// AWS could not be reached, or did not answer, after the attempts that are made.
    #[error("AWS cannot be reached: {0}")]
    Unreachable(String),
}

/// A signal that CloudFormation has not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct SignalError {
    /// Why.
    pub error: CloudError,
    /// Whether an attempt may have arrived all the same, its answer being lost.
    pub may_have_arrived: bool,
}

/// AWS beside S3. Each call has its own time limit and attempts.
pub trait Cloud: Send + Sync + 'static {
    /// Which machine this is.
    fn identity(&self) -> impl Future<Output = Result<Identity, CloudError>> + Send;

    /// The IPv4 networks of its VPC, such as `10.75.0.0/16`.
    fn networks(&self) -> impl Future<Output = Result<Vec<Network>, CloudError>> + Send;

    /// When EC2 takes this spot machine back; `None`: it does not.
    fn interruption(&self) -> impl Future<Output = Result<Option<String>, CloudError>> + Send;

    /// The text of the cluster's secret, by its ARN.
    fn secret(&self, arn: &str) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// Tells CloudFormation how the node's start ended: a signal for this resource of this stack. A stack that has gone on has taken it
    /// where an earlier attempt may have arrived.
    fn signal(&self, stack: &str, resource: &str, signal: &Signal<'_>) -> impl Future<Output = Result<(), SignalError>> + Send;
}
