//! What pushes wrote: `customizer/<profile>/.pushed.json`, each path with the ETag that it got. An object with another ETag is
//! somebody else's. Hidden, so no node takes it for a script.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::customize::profile_name::ProfileName;
use crate::store::{Expect, Store, StoreError, get_if_there};

/// Its name in the profile's folder.
pub const FILE: &str = ".pushed.json";

const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The paths that pushes wrote, with their ETags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// By path in the profile.
    pub files: BTreeMap<String, String>,
}

/// Why the record is not used, or not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// S3.
    #[error("what earlier pushes of the profile {0} wrote cannot be read ({FILE} in its folder): {1}; nothing was pushed")]
    Read(ProfileName, StoreError),
    /// Not ours.
    #[error("{FILE} of the profile {0} is not what a push writes: {1}; nothing was pushed. Remove it, and the next push removes nothing")]
    Broken(ProfileName, serde_json::Error),
    /// Another push.
    #[error("another push of the profile {0} ran at the same time; push again")]
    Concurrent(ProfileName),
    /// S3.
    #[error("what was pushed of the profile {0} could not be noted in {FILE}: {1}; push again")]
    Write(ProfileName, StoreError),
}

fn key(profile: &ProfileName) -> String {
    format!("{}{FILE}", profile.prefix())
}

/// Reads the record, with what must be there for it to be written again.
pub async fn read<S: Store>(store: &S, bucket: &str, profile: &ProfileName) -> Result<(Record, Expect), RecordError> {
    let got = get_if_there(store, bucket, &key(profile), BYTES_MAX).await.map_err(|error| RecordError::Read(profile.clone(), error))?;
    let Some((bytes, etag)) = got else { return Ok((Record::default(), Expect::Absent)) };
    let record = serde_json::from_slice(&bytes).map_err(|error| RecordError::Broken(profile.clone(), error))?;
    Ok((record, Expect::Is(etag)))
}

/// Writes the record.
pub async fn write<S: Store>(store: &S, bucket: &str, profile: &ProfileName, record: &Record, expect: Expect) -> Result<(), RecordError> {
    let bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
    match store.put(bucket, &key(profile), bytes, "application/json", expect).await {
        Ok(_) => Ok(()),
        Err(StoreError::Changed(_)) => Err(RecordError::Concurrent(profile.clone())),
        Err(error) => Err(RecordError::Write(profile.clone(), error)),
    }
}
