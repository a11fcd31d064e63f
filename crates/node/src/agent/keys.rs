//! The keys of a cluster, from the text of its secret.

use crate::link::LinkKey;
use crate::members::seal::ClusterKey;
use crate::secret::{ClusterSecret, SecretError};

/// The keys of gossip and links.
pub fn keys(secret: &str) -> Result<(ClusterKey, LinkKey), SecretError> {
    let secret = ClusterSecret::parse(secret)?;
    Ok((secret.members(), secret.link()))
}
