//! All-to-all exchange: what Chameleon's appliances did with `OS::Heat::SoftwareDeploymentGroup` (facts F), without Heat.
//!
//! A **step** of a profile has an export script and a populate script. In a **round** of a step, the export runs on every expected
//! node, and then, nowhere before every node has exported, the populate runs on every node with the same **map**: for each output
//! what each node wrote, by the node's rank (login node 0, then the compute node's number). Steps follow each other in declared
//! order, the profiles' order first.
//!
//! - Who takes part: the nodes that are expected when the round opens. Whoever comes later opens the next round, beginning with the
//!   first step; so does a node that is given up, which also ends an open round as failed.
//! - A round fails with the first export or populate that fails, or when its time is over; the reason names the nodes. After a
//!   failed round the later steps wait. Only other members or another profile open a new round.
//! - **Nothing runs twice.** An export runs once for a configuration ([`declaration::Step::config`]) on one machine; later rounds
//!   get what it has left. A populate runs once for a configuration and a map; where another map came between, it runs again, since
//!   the machine now holds that other map's effects. That a script starts is on the disk before it starts; one that a crash
//!   interrupted has failed, and stays failed.
//! - A step with `signal = "none"` waits for nobody: its round is complete when it opens, each node runs export and populate when it
//!   gets to it, and all outputs are null.
//!
//! Where to look: [`declaration`] and [`load`] (`profile.toml`), [`wire`] (messages), [`round`], [`coordinator`] and [`participant`] (what is decided, pure),
//! [`run`] (a script's environment and outputs), [`agent`] (clocks, disks, sockets), [`standing`] (what failed, and what the login node's
//! start waits for), [`status`] (what people read), [`command`].

pub mod agent;
pub mod command;
pub mod coordinator;
pub mod declaration;
pub mod failure;
pub mod load;
pub mod participant;
pub mod round;
pub mod run;
pub mod standing;
pub mod status;
pub mod wire;
