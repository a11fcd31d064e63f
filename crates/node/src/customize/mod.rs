//! Live use on a node, as `alces customize` had it (facts B.10): `cf-node customize`.
//!
//! - [`profile_name`]: how a profile is named on the command line;
//! - [`lists`]: the profiles of a node beside those of its template: applied ones, and those that the login node gives to others;
//! - [`list`]: what is installed; [`avail`]: what could be, by [`index`], the bucket's `index.yml`;
//! - [`apply`]: brings one profile to this node and runs it, and fetches all again (`pull`); [`remote`]: the same on other nodes;
//! - [`bucket`]: the old computed name of an account's bucket, as a suggestion;
//! - [`trigger`]: runs the scripts of one event;
//! - [`push`]: puts a profile into the bucket, with the caller's own rights;
//! - [`credentials`]: those of the caller; [`summary`]: what came of scripts; [`screen`]: what is printed meanwhile;
//! - [`command`]: the command line; [`seams`]: what it takes from the rest of the agent.
//!
//! The job queue is [`crate::jobs`].

pub mod apply;
pub mod avail;
pub mod bucket;
pub mod command;
pub mod credentials;
pub mod index;
pub mod list;
pub mod lists;
pub mod profile_name;
pub mod push;
pub mod remote;
pub mod screen;
pub mod seams;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;
pub mod trigger;

/// What all keys of profiles begin with.
pub const PREFIX: &str = "customizer/";

/// The only repository of profiles: the account's bucket (facts B.1; the vendor's repositories have no place in a cluster of ours).
pub const REPOSITORY: &str = "account";
