//! The scripts of a queue: `customizer/<queue>/share/`, fetched when a job is to be run. They are not scripts of an event, so the
//! fetch of profiles leaves them out, and a queue's profile need not be one that the node applies.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::QueueName;
use crate::store::{Store, StoreError};

/// The most files of a queue's `share/`.
const FILES_MAX: usize = 100;

/// The most bytes of each.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes of a profile's manifest.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// Why a queue's scripts are not here, so that its jobs wait.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// S3.
    #[error("{0} of the queue's profile cannot be fetched: {1}; its jobs wait")]
    Store(String, StoreError),
    /// Too many.
    #[error("the queue's profile has more than {FILES_MAX} files in share/, so its jobs wait; remove what they do not need")]
    TooMany,
    /// A name.
    #[error("the queue's profile has a file {0:?} in share/, whose name is no path here, so its jobs wait; rename it")]
    Path(String),
    /// The disk.
    #[error("the queue's scripts cannot be stored here: {0}; its jobs wait")]
    Local(#[from] std::io::Error),
}

/// The scripts of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Checks a job, where there is such a script.
    pub validate: Option<PathBuf>,
    /// Runs a job, where there is such a script.
    pub process: Option<PathBuf>,
}

/// Fetches the scripts into a folder of their own, which is emptied before.
pub async fn fetch<S: Store>(store: &S, bucket: &str, queue: &QueueName, folder: &Path) -> Result<Share, ShareError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(folder)?,
    }
    let profile = format!("{}{queue}/", crate::customize::PREFIX);
    for path in paths(store, bucket, &profile).await? {
        let is_path =
            !path.contains('\\') && !path.chars().any(char::is_control) && !path.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !is_path {
            return Err(ShareError::Path(super::shown(&path)));
        }
        let to = folder.join(&path);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let got = store.fetch(bucket, &format!("{profile}share/{path}"), FILE_BYTES_MAX, &to).await;
        got.map_err(|error| ShareError::Store(format!("share/{}", super::shown(&path)), error))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let script = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    Ok(Share { validate: script("validate-job"), process: script("process-job") })
}

/// The paths in `share/`: by a listing, or where that is denied by the profile's manifest.
async fn paths<S: Store>(store: &S, bucket: &str, profile: &str) -> Result<Vec<String>, ShareError> {
    let prefix = format!("{profile}share/");
    let paths: Vec<String> = match store.list(bucket, &prefix, FILES_MAX + 1).await {
        Ok((objects, _)) => objects.iter().filter_map(|object| object.key.strip_prefix(&prefix)).map(str::to_owned).collect(),
        Err(StoreError::Denied(denied)) => match store.get(bucket, &format!("{profile}manifest.txt"), MANIFEST_BYTES_MAX).await {
            Ok((bytes, _)) => {
                String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.strip_prefix("share/")).map(str::to_owned).collect()
            }
            // Whether there are scripts is unknown then, and a job must not pass by its check.
            Err(_) => return Err(ShareError::Store("the list of files".to_owned(), StoreError::Denied(denied))),
        },
        Err(error) => return Err(ShareError::Store("the list of files".to_owned(), error)),
    };
    // The marks that consoles make of folders.
    let paths: Vec<String> = paths.into_iter().filter(|path| !path.is_empty() && !path.ends_with('/')).collect();
    if paths.len() > FILES_MAX { Err(ShareError::TooMany) } else { Ok(paths) }
}
