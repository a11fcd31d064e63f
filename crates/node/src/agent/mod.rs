//! The daemon of a node, `cf-node boot`: it makes a machine a node of its cluster and keeps it one.
//!
//! - [`decide`]: what a boot does next (pure); [`boot`] carries it out;
//! - [`life`]: what is remembered through restarts and reboots;
//! - [`notice`]: what is shown to who logs in;
//! - [`seek`]: the search for the configuration, part by part;
//! - [`assignment`]: which machine is which compute node (pure); [`desk`] keeps it on the login node's disk and answers the others;
//! - [`answers`]: what other nodes are answered; [`services`]: what else runs beside and after the boot: gossip and member events, the exchange, the journal of failures;
//! - [`scheduling`]: the tasks of scaling, where the cluster has a scheduler;
//! - [`world`]: what the agent needs of AWS and of the system, behind one seam;
//! - [`outbound`]: the login node's proxy;
//! - [`daemon`]: starts all this and ends it; [`command`]: the subcommand.
//!
//! **The course.** The agent takes its lock, reads its settings, and reports `starting`. Then, as [`decide`] has it: `initialize`, the
//! configuration, `configure`, `start`, `node-started`, the conclusion. The report of the conclusion is written first; then
//! CloudFormation gets the signal, whose id is the instance's, or the code of the failure (decision 16). Members, exchange and the
//! login node's answers begin with the configuration, so steps of an exchange may begin before `configure` has ended, though their
//! scripts take turns with those of events; member scripts wait until `configure` has ended.
//!
//! **Configuration** is the cluster's secret, the profiles and the user's account; on a compute node the login node's answer too.

pub mod answers;
pub mod assignment;
pub mod boot;
pub mod command;
pub mod daemon;
pub mod decide;
pub mod desk;
pub mod keys;
pub mod life;
pub mod node;
pub mod notice;
pub mod outbound;
pub mod scheduling;
pub mod seek;
pub mod services;
pub mod world;

use std::net::IpAddr;
use std::time::Duration;

use crate::hooks::BOOT_LIMIT;
use crate::node::Layout;
use crate::reporter::Pace;

/// The TCP port at which every node answers the others. Beside the gossip's [`crate::members::PORT`], below the ephemeral ports.
pub const LINK_PORT: u16 = 7947;

/// The lock of the running agent, in the state folder.
pub const LOCK: &str = "agent.lock";

/// The times of the agent. Tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long the configuration is sought before `fail` runs.
    pub fail_after: Duration,
    /// How long a compute node that reboots waits for any answer of the login node, before it takes its last one.
    pub last_answer_after: Duration,
    /// The pause between two tries, at first and at most.
    pub retry: (Duration, Duration),
    /// How long all scripts of a boot may take.
    pub boot_limit: Duration,
    /// How long the report of the conclusion is waited for before the signal.
    pub report_first: Duration,
    /// How long each part of a good end may take.
    pub leave: Duration,
    /// How often the journal of failures, and on the login node the members, are looked at.
    pub look: Duration,
    /// When a number is taken from a machine.
    pub rules: assignment::Rules,
    /// How often reports are written.
    pub pace: Pace,
    /// How long results that are late still count in an exchange, in milliseconds.
    pub exchange_grace_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fail_after: Duration::from_mins(5),
            last_answer_after: Duration::from_mins(1),
            retry: (Duration::from_secs(1), Duration::from_secs(10)),
            boot_limit: BOOT_LIMIT,
            report_first: Duration::from_mins(1),
            leave: Duration::from_secs(5),
            look: Duration::from_secs(2),
            rules: assignment::Rules::default(),
            pace: Pace::default(),
            exchange_grace_ms: crate::exchange::coordinator::GRACE_MS,
        }
    }
}

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the node's files lie.
    pub layout: Layout,
    /// Takes the place of the instance metadata: id and address.
    pub identity: Option<crate::cloud::Identity>,
    /// Takes the place of the kernel's id of the boot; scripts' time counts from the agent's start then.
    pub boot: Option<String>,
    /// The gossip's UDP port.
    pub gossip_port: u16,
    /// The link's TCP port.
    pub link_port: u16,
    /// Its times.
    pub timing: Timing,
}

impl Options {
    /// Those of a node on AWS.
    pub fn new(layout: Layout) -> Self {
        Self { layout, identity: None, boot: None, gossip_port: crate::members::PORT, link_port: LINK_PORT, timing: Timing::default() }
    }
}

/// An address and the port of the links.
fn link_address(options: &Options, ip: IpAddr) -> std::net::SocketAddr {
    (ip, options.link_port).into()
}
