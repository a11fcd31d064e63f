//! The seam to S3: what the agent needs of it, and nothing else. [`s3`] is the real one, [`folder`] one in a folder for tests.

use std::future::Future;
use std::path::Path;

pub mod folder;
pub mod s3;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its `ETag`, with its quotes. It changes with the content.
    pub etag: String,
    /// When it was written, in seconds since 1970.
    pub modified: i64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No right, or a bucket that is another account's.
    #[error("S3 refuses it: {0}")]
    Denied(String),
    /// No such object, or no such bucket.
    #[error("S3 has no such object or bucket: {0}")]
    Missing(String),
    /// More than was to be read.
    #[error("it has more than {0} bytes")]
    TooLong(u64),
    /// What was expected there has changed.
    #[error("another has changed it in the meantime: {0}")]
    Changed(String),
    /// S3 could not be reached, or did not answer in time, after the attempts that are made.
    #[error("S3 cannot be reached: {0}")]
    Unreachable(String),
    /// The file here could not be written: a full disk, say.
    #[error("it cannot be stored here: {0}")]
    Local(String),
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there is replaced.
    Anything,
    /// Nothing.
    Absent,
    /// The object with this `ETag`.
    Is(String),
}

/// An object store. Each call names the account that must own the bucket; each has its own time limit and attempts.
pub trait Store: Send + Sync + 'static {
    /// The objects whose keys begin so, in the order of their keys, all of them but at most `most`; whether there are more.
    fn list(&self, bucket: &str, prefix: &str, most: usize) -> impl Future<Output = Result<(Vec<Object>, bool), StoreError>> + Send;

    /// The content of a small object, and its `ETag`.
    fn get(&self, bucket: &str, key: &str, most: u64) -> impl Future<Output = Result<(Vec<u8>, String), StoreError>> + Send;

    /// Writes an object's content to a new file, which is only root's. Where it fails, no file is left.
    fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes an object; gives its new `ETag`.
    fn put(
        &self,
        bucket: &str,
        key: &str,
        content: Vec<u8>,
        kind: &str,
        expect: Expect,
    ) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Removes an object; one that is not there is no error.
    fn remove(&self, bucket: &str, key: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The content of a small object, and its `ETag`; `None` where there is none. A role that may list only below a prefix is refused an
/// object that is not there (S3 returns 403 for it), so then a listing of its key decides.
pub async fn get_if_there<S: Store>(store: &S, bucket: &str, key: &str, most: u64) -> Result<Option<(Vec<u8>, String)>, StoreError> {
    match store.get(bucket, key, most).await {
        Ok(got) => Ok(Some(got)),
        Err(StoreError::Missing(_)) => Ok(None),
        Err(StoreError::Denied(denied)) => match store.list(bucket, key, 1).await {
            Ok((objects, _)) if objects.first().is_none_or(|object| object.key != key) => Ok(None),
            _ => Err(StoreError::Denied(denied)),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_that_is_not_there_is_none_also_where_s3_refuses_to_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder::FolderStore::new(folder.path());
        store.put("b", "job-10", b"x".to_vec(), "", Expect::Absent).await.unwrap();
        assert_eq!(get_if_there(&store, "b", "job-1", 9).await.unwrap(), None);
        store.refuse("get ");
        assert_eq!(get_if_there(&store, "b", "job-1", 9).await.unwrap(), None);
        assert!(matches!(get_if_there(&store, "b", "job-10", 9).await, Err(StoreError::Denied(_))));
        store.refuse("list ");
        assert!(matches!(get_if_there(&store, "b", "job-1", 9).await, Err(StoreError::Denied(_))));
    }
}
