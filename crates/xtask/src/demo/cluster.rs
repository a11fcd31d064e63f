//! The nodes of Alice's cluster that run on this machine: real user data and real agents, each at a loopback address of its own, below a
//! folder that stands for its disk. Their instances, and what those were started with, are the emulator's.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use anyhow::{Context, Error, Result, anyhow, bail};
use cf_local::deploy;
use cf_local::node::{Agent, Machine};
use cf_local::scratch::Scratch;

use super::alice::{Alice, text};
use super::until;

/// The agent's ports: gossip by UDP, requests by TCP (`members::PORT` and `agent::LINK_PORT` in `crates/node`).
const PORTS: (u16, u16) = (7946, 7947);

/// The most nodes at a time.
const NODES_MAX: u8 = 5;

/// A node: 1 is the login node.
pub struct Node {
    /// Its machine.
    pub machine: Machine,
    /// Its address.
    pub address: Ipv4Addr,
    /// None where the node was lost.
    agent: Option<Agent>,
}

/// Her nodes. They end with this value, before their disks do.
pub struct Cluster<'a> {
    /// The login node, then the compute nodes in the order of their addresses.
    pub nodes: Vec<Node>,
    alice: &'a Alice,
    network: u8,
    disks: Scratch,
}

impl<'a> Cluster<'a> {
    /// Waits for the login node's instance, and boots it.
    pub fn with_login_node(alice: &'a Alice) -> Result<Self> {
        let mut cluster = Self { nodes: Vec::new(), alice, network: free_network()?, disks: Scratch::new("nodes")? };
        let is_instance = |id: &String| id.starts_with("i-");
        let instance = until("the login node's instance", || Ok(alice.resource("LoginNode")?.filter(is_instance)))?;
        let node = cluster.boot(1, &instance, Machine::make_host_key)?;
        cluster.nodes.push(node);
        Ok(cluster)
    }

    /// Has the Auto Scaling group start so many machines, as a scheduler does that has jobs for them.
    fn started(&self, wanted: usize) -> Result<Vec<String>> {
        let group = self.alice.resource("SpotGroup")?.context("the stack has no Auto Scaling group")?;
        let capacity = wanted.to_string();
        let asked = ["autoscaling", "set-desired-capacity", "--auto-scaling-group-name", &group, "--desired-capacity", &capacity];
        deploy::aws(&self.alice.url, &asked)?;
        until(&format!("{wanted} machines of the group {group}"), || {
            let groups = self.alice.asked(&["autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", &group])?;
            let instances = groups["AutoScalingGroups"][0]["Instances"].as_array().map(Vec::as_slice).unwrap_or_default();
            let instances: Vec<String> = instances.iter().map(|instance| text(&instance["InstanceId"]).to_owned()).collect();
            Ok((instances.len() == wanted).then_some(instances))
        })
    }

    /// Boots machines of the Auto Scaling group, so many, side by side. `prepare` gets the number of each before its boot, from 2 on.
    pub fn add_compute_nodes(&mut self, wanted: usize, prepare: impl Fn(u8, &Machine) -> Result<()> + Sync) -> Result<()> {
        let instances = self.started(wanted)?;
        let (this, prepare) = (&*self, &prepare);
        let booted = thread::scope(|scope| {
            let boot =
                |(number, instance): (u8, String)| scope.spawn(move || this.boot(number, &instance, |machine| prepare(number, machine)));
            let threads: Vec<_> = (2..=NODES_MAX).zip(instances).map(boot).collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("booting a node panicked"))?).collect::<Result<Vec<_>>>()
        })?;
        self.nodes.extend(booted);
        Ok(())
    }

    fn boot(&self, number: u8, instance: &str, prepare: impl FnOnce(&Machine) -> Result<()>) -> Result<Node> {
        let machine = Machine::of_instance(&self.disks.path().join(format!("machine-{number}")), instance, &self.alice.url)?;
        prepare(&machine)?;
        if !machine.boot(&[])? {
            bail!("the user data of {instance} failed. The last lines of its log:\n{}", machine.end_of_log());
        }
        let address = address(self.network, number);
        let agent = machine.start(instance, &address.to_string(), &[])?;
        Ok(Node { machine, address, agent: Some(agent) })
    }

    /// Whether every agent that ought to run does.
    pub fn check(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            let Some(agent) = &mut node.agent else { continue };
            if !agent.runs()? {
                bail!("the agent at {} ended by itself. The last lines of its log:\n{}", node.address, node.machine.end_of_log());
            }
        }
        Ok(())
    }

    /// Waits until a machine shows something. Where it does not come, the error has the last lines of its log.
    pub fn until<T>(&mut self, nth: usize, what: &str, mut seen: impl FnMut(&Machine) -> Result<Option<T>>) -> Result<T> {
        let waited = until(&format!("{what}, at {}", self.nodes[nth].address), || {
            self.check()?;
            seen(&self.nodes[nth].machine)
        });
        waited.map_err(|error| self.explained(nth, &error))
    }

    /// An error with the last lines of a node's log.
    pub fn explained(&self, nth: usize, error: &Error) -> Error {
        match self.nodes.get(nth) {
            Some(node) => anyhow!("{error:#}. The last lines of the log of {}:\n{}", node.address, node.machine.end_of_log()),
            None => anyhow!("{error:#}"),
        }
    }

    /// Ends a node as a lost machine ends: SIGKILL, without a word to the others.
    pub fn lose(&mut self, nth: usize) -> Result<()> {
        self.nodes[nth].agent.take().context("this node was lost before")?.lose()
    }

    /// Ends all nodes, as EC2 does it where an instance is terminated.
    pub fn end(self) -> Result<()> {
        thread::scope(|scope| {
            let agents = self.nodes.into_iter().filter_map(|node| node.agent);
            let threads: Vec<_> = agents.map(|agent| scope.spawn(|| agent.end())).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("ending a node panicked"))?)
        })
    }
}

fn address(network: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, network, number)
}

/// Some part of the loopback network whose addresses nobody uses the agent's ports of: another demo may run.
fn free_network() -> Result<u8> {
    let is_free = |address| UdpSocket::bind((address, PORTS.0)).is_ok() && TcpListener::bind((address, PORTS.1)).is_ok();
    let free = (77..=99).find(|network| (1..=NODES_MAX).all(|number| is_free(address(*network, number))));
    free.with_context(|| {
        let (udp, tcp) = PORTS;
        format!(
            "no loopback addresses such as 127.0.77.1 to 127.0.77.{NODES_MAX} are free with UDP port {udp} and TCP port {tcp}: end what \
             listens there at all addresses. (On macOS only 127.0.0.1 is there; `sudo ifconfig lo0 alias 127.0.77.1`, and so on, adds them)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_another_demo_has_are_passed_over() {
        let first = free_network().unwrap();
        let _gossip = UdpSocket::bind((address(first, NODES_MAX), PORTS.0)).unwrap();
        let second = free_network().unwrap();
        assert_ne!(second, first);
        let _link = TcpListener::bind((address(second, 1), PORTS.1)).unwrap();
        let third = free_network().unwrap();
        assert!(third != first && third != second);
    }
}
