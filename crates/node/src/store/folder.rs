//! A store in a folder: `<folder>/<bucket>/<key>`. What S3 would refuse is refused by marks that a test sets.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

use super::{Expect, Object, Store, StoreError};

/// A store in a folder. Clones share their marks.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: PathBuf,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

impl FolderStore {
    /// The store in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), refused: Arc::default() }
    }

    /// Refuses from now on what this word begins: `list bucket/prefix`, `get bucket/key`, `put bucket/key`.
    pub fn refuse(&self, what: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned());
    }

    /// Takes all refusals back.
    pub fn allow_all(&self) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn ask(&self, call: &str, bucket: &str, key: &str) -> Result<PathBuf, StoreError> {
        let asked = format!("{call} {bucket}/{key}");
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.iter().any(|what| asked.starts_with(what.as_str())) {
            return Err(StoreError::Denied(asked));
        }
        Ok(self.folder.join(bucket).join(key))
    }
}

fn etag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    format!("\"{}\"", digest[..16].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

fn failure(error: &std::io::Error, key: &str) -> StoreError {
    if error.kind() == ErrorKind::NotFound { StoreError::Missing(key.to_owned()) } else { StoreError::Local(format!("{key}: {error}")) }
}

/// A reader gets the old content or the new, as from S3.
fn replace(folder: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, content)?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

fn walk(folder: &Path, bucket: &Path, found: &mut Vec<Object>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, bucket, found);
        } else if let (Ok(content), Ok(key), Ok(metadata)) = (fs::read(&path), path.strip_prefix(bucket), entry.metadata()) {
            let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            found.push(Object {
                key: key.to_string_lossy().into_owned(),
                size: content.len() as u64,
                etag: etag(&content),
                modified: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            });
        }
    }
}

impl Store for FolderStore {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        self.ask("list", bucket, prefix)?;
        let root = self.folder.join(bucket);
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|object| object.key.starts_with(prefix));
        found.sort_by(|a, b| a.key.cmp(&b.key));
        let more = found.len() > most;
        found.truncate(most);
        Ok((found, more))
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        let content = fs::read(self.ask("get", bucket, key)?).map_err(|error| failure(&error, key))?;
        if content.len() as u64 > most {
            return Err(StoreError::TooLong(most));
        }
        let etag = etag(&content);
        Ok((content, etag))
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        let (content, _) = self.get(bucket, key, most).await?;
        fs::write(to, content).map_err(|error| StoreError::Local(error.to_string()))
    }

    async fn put(&self, bucket: &str, key: &str, content: Vec<u8>, _kind: &str, expect: Expect) -> Result<String, StoreError> {
        let path = self.ask("put", bucket, key)?;
        let stands = fs::read(&path).ok().map(|content| etag(&content));
        match (expect, stands) {
            (Expect::Anything, _) | (Expect::Absent, None) => {}
            (Expect::Is(expected), Some(stands)) if expected == stands => {}
            _ => return Err(StoreError::Changed(key.to_owned())),
        }
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| replace(&self.folder, &path, &content));
        written.map_err(|error| failure(&error, key))?;
        Ok(etag(&content))
    }

    async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.ask("remove", bucket, key)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failure(&error, key)),
            _ => Ok(()),
        }
    }
}
