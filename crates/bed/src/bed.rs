//! A bed: a bridge, and room for nodes. Several may stand beside each other; they do not see each other.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Result;

use crate::base::{self, Base};
use crate::forward::Forward;
use crate::holder::Holder;
use crate::node::Node;
use crate::spec::Spec;

/// The network of a bed that is given none: 10.77.0.0/16. It is in no route of this machine.
const NETWORK: [u8; 2] = [10, 77];

/// A bed. It ends with this value and the last of its nodes.
#[derive(Debug)]
pub struct Bed {
    base: Base,
    network: [u8; 2],
    holder: Arc<Holder>,
}

impl Bed {
    /// Makes a bed without nodes, whose network is 10.77.0.0/16.
    pub fn new(base: &Base) -> Result<Self> {
        Self::in_network(base, NETWORK)
    }

    /// Makes a bed without nodes. Its network has these two bytes in front, and 16 bits for its nodes; it is in no route of this machine.
    pub fn in_network(base: &Base, network: [u8; 2]) -> Result<Self> {
        let holder = Holder::start(&base::home().join("disks"), &format!("{}/16", address(network, 1)))?;
        Ok(Self { base: base.clone(), network, holder: Arc::new(holder) })
    }

    /// The address at which nodes reach what is forwarded: the first of the network, which is the router's on AWS.
    pub const fn address(&self) -> Ipv4Addr {
        address(self.network, 1)
    }

    /// Starts a machine that has never run: its disk is empty but for the base.
    pub fn start(&self, spec: &Spec) -> Result<Node> {
        Node::start(&self.base, self.network, &self.holder, spec)
    }

    /// Forwards connections of all nodes to this port of the bed's address, to an address of this machine (such as the emulator's,
    /// 127.0.0.1:4566), until the value is dropped.
    ///
    /// The socket that listens is made by a thread that enters the bed's network for that; the one that connects is this machine's
    /// own. So no route leads out of the bed, and this machine's network is not touched.
    pub fn forward(&self, port: u16, to: SocketAddr) -> Result<Forward> {
        Forward::start(&self.holder.id(), SocketAddrV4::new(self.address(), port), to)
    }
}

/// The address of this number in a bed's network.
pub const fn address(network: [u8; 2], number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(network[0], network[1], high, low)
}
