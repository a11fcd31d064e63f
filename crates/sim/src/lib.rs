//! A strict world in memory: S3, CloudFormation and mail with AWS's rules, and the functions that live in it.
//!
//! It is stricter than the emulators: what they let pass and AWS would not, this refuses (each rule names its source).
//! [`World`] is what the domain sees through `Observe` and `Execute`; [`Cloud`] delivers events to the three functions.

pub mod build;
mod calls;
mod cloud;
mod cloudformation;
pub mod finding;
mod lookup;
mod rules;
mod s3;
pub mod simulate;
pub mod start;
mod touch;
mod world;

pub use calls::Lookup;
pub use cloud::{Cloud, Event};
pub use cloudformation::{NO_CAPACITY, SimStack, StackBehaviour};
pub use finding::{Finding, FindingKind};
pub use s3::{Bucket, Store, Written};
pub use start::Start;
pub use touch::Asked;
pub use world::{FaultTiming, InjectedFault, Pages, State, World};
