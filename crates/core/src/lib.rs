//! clusterdrop's domain: what is asked, what is there, what to do about it, and what people are told.
//!
//! One event, one pass: [`observe`] looks, [`decide`] plans, [`perform`] does, [`message`] tells. Only the first and the
//! third touch the world, each through a trait of one method.

pub mod advice;
pub mod body;
pub mod causes;
pub mod characters;
pub mod decide;
pub mod effect;
pub mod fault;
pub mod first_hour;
pub mod instance_type;
pub mod key;
pub mod ledger;
mod living;
mod lookalike;
pub mod message;
pub mod names;
pub mod number;
pub mod observe;
pub mod order;
pub mod plain;
pub mod profile;
pub mod reconcile;
pub mod region;
pub mod request;
pub mod seen;
pub mod settings;
pub mod snapshot;
pub mod stack;
pub mod status;
pub mod sweep;
pub mod template;
pub mod testing;
