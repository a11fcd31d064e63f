//! The keys of a cluster, from the text of its secret.

use crate::link::LinkKey;
use crate::members::seal::ClusterKey;

/// A text that is no cluster's secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's secret is not of the form that its template makes")]
pub struct KeysError;

/// The keys of gossip and links.
pub fn keys(secret: &str) -> Result<(ClusterKey, LinkKey), KeysError> {
    use sha2::Digest as _;
    if secret.len() < 32 {
        return Err(KeysError);
    }
    let bytes: [u8; 32] = sha2::Sha256::digest(secret.as_bytes()).into();
    Ok((ClusterKey::new(&bytes), LinkKey::derive(&bytes)))
}
