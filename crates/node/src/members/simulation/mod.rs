//! A whole cluster in virtual time, under a seed: what gossip and seal do together, when the network and the nodes do their worst.
//!
//! It lies here and not among the tests of the crate because its planted bugs must not exist in the program that ships.
//! `CF_MEMBERS_SEEDS=1000 cargo test -p cf-node members::simulation` runs more seeds.

mod oracle;
pub(in crate::members) mod planted;
mod scenarios;
mod world;
