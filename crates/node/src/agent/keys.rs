//! The keys of a cluster, from the text of its secret.

use crate::link::LinkKey;
use crate::members::seal::ClusterKey;
use crate::secret::{ClusterSecret, SecretError, SlurmKey};

/// A key for each use.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The gossip's.
    pub cluster: ClusterKey,
    /// The links'.
    pub link: LinkKey,
    /// Slurm's.
    pub slurm: SlurmKey,
}

impl Keys {
    /// Those of a secret.
    pub fn of(secret: &str) -> Result<Self, SecretError> {
        let secret = ClusterSecret::parse(secret)?;
        Ok(Self { cluster: secret.members(), link: secret.link(), slurm: secret.slurm() })
    }
}
