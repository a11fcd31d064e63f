//! The foundation: the service role under which CloudFormation makes clusters, and the boundary of their nodes' roles.
//!
//! Both outlive their deployment. A later one that takes them over (`FoundationMode=existing`) does not keep them up to date, and no
//! function may read or write them. `iam/renew.sh` writes them with an administrator's rights, and then an object at [`record`] into the
//! deployment's own system bucket. Where it is missing, creates are refused: their nodes would be paid for and fail.

use sha2::{Digest, Sha256};

use crate::names::hex;

/// What the keys of all records begin with, in the system bucket.
pub const PREFIX: &str = "foundation/";

/// The policies as the deployment needs them, before names are filled in.
const POLICIES: [&str; 2] = [include_str!("../../../iam/service-role.json"), include_str!("../../../iam/node-boundary.json")];

/// The key of the record that the foundation is up to date: it follows from the policies' texts, and from the buckets that they name and
/// that an upgrade may change. `iam/renew.sh` makes the same.
pub fn record(user_bucket: &str, customizer_bucket: &str) -> String {
    let mut hash = Sha256::new();
    for policy in POLICIES {
        hash.update(policy);
    }
    hash.update(format!("{user_bucket}\n{customizer_bucket}\n"));
    format!("{PREFIX}{}", hex(&hash.finalize(), 8))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_record_is_of_these_policies_and_these_buckets() {
        let records: BTreeSet<String> = [("a", "b"), ("b", "a"), ("a", "c"), ("ab", "")].map(|(u, c)| record(u, c)).into();
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.len() == PREFIX.len() + 16), "{records:?}");
    }
}
