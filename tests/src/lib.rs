//! A user's and an administrator's view of a deployment on a local AWS, through the AWS SDK: what the end-to-end tests ask with.
//! What starts and ends the local AWS, and deploys to it, is in cf-local, which needs no SDK.

pub mod cli;
pub mod deployment;
pub mod function;
pub mod invocations;
pub mod live;
pub mod messages;
pub mod record;
pub mod wait;
