//! Brings the profiles from S3 to the node, whole and in order.

use crate::node::Layout;
use crate::settings::NodeSettings;
use crate::store::Store;

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The profiles that are there now, in the order of their events; the user's own last.
    pub profiles: Vec<String>,
    /// What the user ought to know: a profile that could not be fetched, files that were left out.
    pub problems: Vec<String>,
}

/// Why the user's own profile is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It cannot be read.
    #[error("the profile {profile} cannot be fetched: {reason}")]
    Unreadable {
        /// The profile.
        profile: String,
        /// Why.
        reason: String,
    },
}

/// Fetches the site's profiles, those in `more` (applied, or the login node's for compute nodes), and the user's own, in this order,
/// into [`Layout::profiles`]. What is no longer in the bucket is gone from the node. Where a profile cannot be fetched, its last
/// fetched state stays and is reported; where it is the user's own and there is no such state, that is an error.
pub async fn fetch<S: Store>(store: &S, settings: &NodeSettings, layout: &Layout, more: &[String]) -> Result<Fetched, FetchError> {
    let _ = (store, settings, layout, more);
    unimplemented!("branch `world`")
}
