//! Whole clusters on this machine. AWS is the emulator; the machines of its instances are nodes of a test bed. What lies between the two
//! is here: for each instance that runs, a node at its address, with its user data run once and its agent kept running, until the
//! instance is terminated.
//!
//! What is not as on AWS, all of it:
//! - AWS answers by plain HTTP at the first address of the bed, so user data and the agent's environment name that in place of AWS's hosts
//!   ([`aws`]). There is no TLS, and a compute node reaches AWS without the login node's proxy.
//! - 169.254.169.254 is forwarded to the instance's metadata on the emulator (`metadata`).
//! - There is no systemd: what units do is done from outside ([`machine`]): host keys, sshd, the agent's start, its restart, its end.
//! - `/home` of all nodes of a cluster is one folder, in place of a file system by NFS or EFS.
//! - A public address is a second one of its node, which a [`Laptop`] has a route to: no gateway translates it. Security groups
//!   hold nothing back.
//! - What [`cf_bed`] says of a node: no cgroups, and the kernel is this machine's.

pub mod aws;
pub mod cloud;
pub mod instance;
pub mod laptop;
pub mod machine;
mod metadata;

pub use cloud::Cloud;
pub use instance::Instance;
pub use laptop::Laptop;
pub use machine::{Event, Machine};
