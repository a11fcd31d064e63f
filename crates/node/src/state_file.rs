//! State that outlives its process: JSON in one file, which is always a whole state, the last one or the one before. What a state is
//! of, and what follows where it is not to be had, is its owner's to add to the error.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// More than any state has; a longer file is none of ours.
const STATE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be read.
    #[error("the state in {0} cannot be read: {1}")]
    Read(PathBuf, io::Error),
    /// It holds something else.
    #[error("{0} is not a state that this agent wrote ({1}); remove the file to begin without it")]
    Malformed(PathBuf, serde_json::Error),
    /// It cannot be written.
    #[error("the state cannot be written to {0}: {1}; look whether the disk is full")]
    Write(PathBuf, io::Error),
}

/// Reads a state; `None` where there is no file.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let failed = |error| StateError::Read(path.to_owned(), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(STATE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| StateError::Malformed(path.to_owned(), error))
}

/// Writes a state, readable by its owner only (outputs may be secrets). When it returns, the state is on the disk.
pub fn save<T: Serialize>(path: &Path, state: &T) -> Result<(), StateError> {
    let failed = |error| StateError::Write(path.to_owned(), error);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(&serde_json::to_vec(state).map_err(|error| failed(error.into()))?).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The new name is on the disk only when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Makes a folder that only its owner enters.
pub fn private_folder(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::PermissionsExt;
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
    made.map_err(|error| StateError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_state_is_read_as_it_was_written_and_a_spoilt_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert!(load::<Vec<u32>>(&path).unwrap().is_none());
        save(&path, &vec![1, 2]).unwrap();
        save(&path, &vec![3]).unwrap();
        assert_eq!(load::<Vec<u32>>(&path).unwrap(), Some(vec![3]));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "no left-overs");
        fs::write(&path, "[3").unwrap();
        let spoilt = load::<Vec<u32>>(&path).unwrap_err();
        assert!(matches!(spoilt, StateError::Malformed(..)));
        let text = spoilt.to_string();
        assert!(text.starts_with(&path.display().to_string()) && !text.contains("exchange"), "of no owner: {text}");
        assert!(matches!(save(&folder.path().join("none/state.json"), &1), Err(StateError::Write(..))));
    }
}
