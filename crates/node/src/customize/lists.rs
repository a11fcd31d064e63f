//! The profiles that a node has beside those of its template. Each list is a small file below the agent's state:
//!
//! - `applied.json`: what `customize apply` brought to this node;
//! - `slave-profiles.json`, on the login node: what it gives to compute nodes at their configuration (`customize slave`);
//! - `given-profiles.json`, on a compute node: what the login node gave to it.

use std::io::{self, Read};
use std::path::PathBuf;

use super::profile_name::ProfileName;
use crate::members::store;
use crate::node::Layout;
use crate::plain_file;

/// The most profiles of one list.
pub const PROFILES_MAX: usize = 100;

const BYTES_MAX: u64 = 64 * 1024;

/// Why a list is not used, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file system.
    #[error("the list of profiles {0} cannot be read or written: {1}; use it as root, and look whether the disk is full")]
    File(String, io::Error),
    /// Not what the agent writes.
    #[error("the list of profiles {0} is not one that this agent wrote: {1}; remove the file to begin with an empty list")]
    Broken(String, String),
    /// Too many.
    #[error("the list has {PROFILES_MAX} profiles, and no more fit; remove one before you add another")]
    Full,
}

/// One of the lists.
#[derive(Debug, Clone)]
pub struct ProfileList {
    path: PathBuf,
}

impl ProfileList {
    /// What was applied to this node.
    pub fn applied(layout: &Layout) -> Self {
        Self { path: layout.state().join("applied.json") }
    }

    /// What the login node gives to compute nodes.
    pub fn for_slaves(layout: &Layout) -> Self {
        Self { path: layout.state().join("slave-profiles.json") }
    }

    /// What the login node gave to this compute node.
    pub fn given(layout: &Layout) -> Self {
        Self { path: layout.state().join("given-profiles.json") }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// The profiles, in the order in which they were added. A list that was never written is empty.
    pub fn read(&self) -> Result<Vec<ProfileName>, ListError> {
        let file = match plain_file::open(&self.path) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(ListError::Broken(self.shown(), "it is no plain file".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ListError::File(self.shown(), error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| ListError::File(self.shown(), error))?;
        let names: Vec<ProfileName> = serde_json::from_slice(&bytes).map_err(|error| ListError::Broken(self.shown(), error.to_string()))?;
        Ok(names.into_iter().take(PROFILES_MAX).collect())
    }

    /// Writes the list whole.
    pub fn write(&self, names: &[ProfileName]) -> Result<(), ListError> {
        if names.len() > PROFILES_MAX {
            return Err(ListError::Full);
        }
        let failed = |error| ListError::File(self.shown(), error);
        let bytes = serde_json::to_vec(names).map_err(|error| failed(error.into()))?;
        self.path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        store::write(&self.path, &bytes, 0o600).map(|_| ()).map_err(failed)
    }

    /// Adds a profile at the end; `false` where it is in the list.
    pub fn add(&self, name: &ProfileName) -> Result<bool, ListError> {
        let mut names = self.read()?;
        if names.contains(name) {
            return Ok(false);
        }
        names.push(name.clone());
        self.write(&names).map(|()| true)
    }

    /// Removes a profile; `false` where it is not in the list.
    pub fn remove(&self, name: &ProfileName) -> Result<bool, ListError> {
        let mut names = self.read()?;
        let before = names.len();
        names.retain(|known| known != name);
        if names.len() == before { Ok(false) } else { self.write(&names).map(|()| true) }
    }
}

/// What the fetch takes beside the template's profiles: those that the login node gave, then those that were applied; and what is
/// wrong with the lists. A broken list holds no profile back but its own.
pub fn more(layout: &Layout) -> (Vec<String>, Vec<String>) {
    let (mut names, mut problems): (Vec<String>, Vec<String>) = Default::default();
    for list in [ProfileList::given(layout), ProfileList::applied(layout)] {
        match list.read() {
            Ok(read) => {
                for name in read.into_iter().map(String::from) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    (names, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProfileName {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_keeps_its_order_holds_no_profile_twice_and_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let list = ProfileList::applied(&Layout::below(folder.path()));
        assert_eq!(list.read().unwrap(), []);
        assert!(list.add(&name("zed")).unwrap() && list.add(&name("abc")).unwrap() && !list.add(&name("zed")).unwrap());
        assert_eq!(list.read().unwrap(), [name("zed"), name("abc")]);
        assert!(list.remove(&name("zed")).unwrap() && !list.remove(&name("zed")).unwrap());
        let full: Vec<ProfileName> = (0..PROFILES_MAX).map(|nth| name(&format!("p{nth}"))).collect();
        list.write(&full).unwrap();
        assert!(matches!(list.add(&name("one-more")), Err(ListError::Full)));
        assert_eq!(list.read().unwrap().len(), PROFILES_MAX);
    }

    #[test]
    fn what_is_given_comes_before_what_is_applied_and_a_broken_list_is_a_problem_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        ProfileList::applied(&layout).write(&[name("mine"), name("both")]).unwrap();
        ProfileList::given(&layout).write(&[name("both"), name("theirs")]).unwrap();
        assert_eq!(more(&layout), (vec!["both".into(), "theirs".into(), "mine".into()], vec![]));
        std::fs::write(layout.state().join("given-profiles.json"), "[\"../x\"]").unwrap();
        let (names, problems) = more(&layout);
        assert_eq!(names, ["mine", "both"]);
        assert!(problems[0].contains("given-profiles.json is not one that this agent wrote"), "{problems:?}");
    }
}
