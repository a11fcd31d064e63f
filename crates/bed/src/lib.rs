//! The test bed: a cluster's nodes on this machine, without a cloud. A node is a set of Linux namespaces (processes, mounts, network, name,
//! clock) with Debian as its root, and all nodes are on one bridge. What runs on them is for others to say: nothing here knows Slurm.
//!
//! Nothing of this machine changes, and nothing stays behind. The bridge is in a network namespace of its own, and the nodes' disks are
//! on a tmpfs that only the bed's mount namespace has. Every process of the bed is below the bed's first one, which reads from a pipe of
//! the program that made the bed: where that program ends, also by SIGKILL, the pipe closes, the first process ends, the kernel kills
//! the others, and mounts and networks go with the last of them.

mod base;
mod bed;
mod disk;
mod forward;
mod holder;
mod node;
mod possible;
mod spec;

pub use base::Base;
pub use bed::Bed;
pub use forward::Forward;
pub use node::Node;
pub use possible::possible;
pub use spec::Spec;
