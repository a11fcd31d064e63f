//! Which request is this? The same bytes seen twice are the same request, whatever event brought us here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{digest, hex};

/// What identifies one version of an object to S3: its ETag, quotes and all, as S3 returned it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ETag(pub String);

/// A request: a hash of its key and of what GET or HEAD returned for it (version id unless absent or `null`, `ETag`,
/// Last-Modified), never of the event, so that every pass computes the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, derive_more::Display)]
pub struct RequestId(String);

impl RequestId {
    /// The id of the object that S3 described so. `modified` has whole seconds, as S3 gives it.
    pub fn of(key: &str, version: Option<&str>, etag: &ETag, modified: Timestamp) -> Self {
        let version = version.filter(|v| *v != "null").unwrap_or_default();
        Self(hex(&digest(&[key, version, &etag.0, &modified.as_second().to_string()]), 8))
    }

    /// Sixteen hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that a stack's tag carries.
    pub fn from_tag(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The `ClientRequestToken` of an operation for this request. `CloudFormation` remembers a token per stack name
    /// even after the stack is gone, so a token out of names alone would break a cluster's second life
    /// (github.com/banzaicloud/pipeline/issues/3016).
    pub fn token(&self, operation: &str) -> String {
        format!("{operation}-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_id_null_and_no_version_id_give_the_same_request_id() {
        let (etag, at) = (ETag("\"e\"".into()), Timestamp::UNIX_EPOCH);
        assert_eq!(RequestId::of("k", None, &etag, at), RequestId::of("k", Some("null"), &etag, at));
        assert_ne!(RequestId::of("k", None, &etag, at), RequestId::of("k", Some("v1"), &etag, at));
        assert_ne!(RequestId::of("k", None, &etag, at), RequestId::of("l", None, &etag, at));
    }
}
