//! The file of a member that member scripts get by its path (facts B.8): assignments of a shell.
//!
//! A member's file is there from before its join scripts until before its leave scripts. The leave scripts get a temporary file, which
//! also has the name, and goes when it is dropped. Both are made when the change is taken up, not when it happened, so a script
//! finds its file even where scripts run long and changes overtake them.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::{Change, Member, store};
use crate::node::Layout;

/// Why a member's file was not written.
#[derive(Debug, thiserror::Error)]
#[error("the file of {member} cannot be written in {folder}: {source}; its scripts run without it, free the disk and restart the agent")]
pub struct FileError {
    member: String,
    folder: String,
    source: io::Error,
}

/// The folder of the members' files.
#[derive(Debug)]
pub struct MemberFiles {
    folder: PathBuf,
}

/// A member's file, for as long as scripts need it.
#[derive(Debug)]
pub enum MemberFile {
    /// It stays until the member leaves.
    Kept(PathBuf),
    /// It goes when this is dropped.
    Temporary(TempPath),
}

impl MemberFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

impl MemberFiles {
    /// An empty folder: what an earlier run left is removed.
    pub fn empty(layout: &Layout) -> io::Result<Self> {
        let folder = layout.members();
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Brings the folder up to a change, and gives the file for its scripts.
    pub fn apply(&self, change: &Change) -> Result<MemberFile, FileError> {
        let done = match change {
            Change::Joined(member) => self.join(member).map(MemberFile::Kept),
            Change::Left(member) => self.leave(member).map(MemberFile::Temporary),
        };
        let failed = |source| FileError { member: change.member().name().to_string(), folder: self.folder.display().to_string(), source };
        done.map_err(failed)
    }

    fn join(&self, member: &Member) -> io::Result<PathBuf> {
        let path = self.folder.join(member.name().to_string());
        store::write(&path, assignments(member, false).as_bytes(), 0o644)?;
        Ok(path)
    }

    fn leave(&self, member: &Member) -> io::Result<TempPath> {
        match std::fs::remove_file(self.folder.join(member.name().to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Its name begins with a dot: who lists the folder sees members only.
        let mut file = NamedTempFile::with_prefix_in(format!(".left-{}-", member.name()), &self.folder)?;
        file.write_all(assignments(member, true).as_bytes())?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        Ok(file.into_temp_path())
    }
}

/// The assignments. Of a member that left, also its name.
pub fn assignments(member: &Member, with_name: bool) -> String {
    let tags: Vec<String> = member.tags().iter().map(|(key, value)| format!("{key}={value}")).collect();
    let name = if with_name { format!("cw_MEMBER_name={}\n", quoted(&member.name().to_string())) } else { String::new() };
    let (ip, role) = (quoted(&member.ip().to_string()), quoted(&member.role().to_string()));
    format!("{name}cw_MEMBER_ip={ip}\ncw_MEMBER_role={role}\ncw_MEMBER_tags={}\n", quoted(&tags.join(",")))
}

/// A text as one word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::*;
    use crate::node::NodeName;

    fn read_by_a_shell(file: &Path) -> String {
        let script = r#"set -u; . "$1"; printf '%s|%s|%s|%s' "${cw_MEMBER_name-none}" "$cw_MEMBER_ip" "$cw_MEMBER_role" "$cw_MEMBER_tags""#;
        let done = Command::new("sh").args(["-c", script, "sh"]).arg(file).output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn a_shell_reads_hostile_tags_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let files = MemberFiles::empty(&layout).unwrap();
        let hostile = r#"$(touch pwned) `id` ' " \ ; & | < > * ? ~ # = é"#;
        let tags = BTreeMap::from([("a".to_owned(), hostile.to_owned()), ("aws_instanceid".to_owned(), "i-1".to_owned())]);
        let member = Member::new(NodeName::compute(7).unwrap(), "10.0.0.7:7946".parse().unwrap(), tags).unwrap();
        let joined = files.apply(&Change::Joined(member.clone())).unwrap();
        assert_eq!(joined.path(), layout.members().join("compute-7"));
        assert_eq!(read_by_a_shell(joined.path()), format!("none|10.0.0.7|slave|a={hostile},aws_instanceid=i-1"));

        let left = files.apply(&Change::Left(member)).unwrap();
        assert_eq!(read_by_a_shell(left.path()), format!("compute-7|10.0.0.7|slave|a={hostile},aws_instanceid=i-1"));
        assert!(!layout.members().join("compute-7").exists());
        drop(left);
        assert_eq!(std::fs::read_dir(layout.members()).unwrap().count(), 0, "the temporary file is gone");
    }

    #[test]
    fn the_folder_is_empty_at_the_start_and_a_leave_of_an_unknown_member_still_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.members().join("sub")).unwrap();
        std::fs::write(layout.members().join("compute-9"), "old").unwrap();
        let files = MemberFiles::empty(&layout).unwrap();
        assert_eq!(std::fs::read_dir(layout.members()).unwrap().count(), 0);
        let login = Member::new(NodeName::LOGIN, "10.0.0.1:7946".parse().unwrap(), BTreeMap::new()).unwrap();
        let left = files.apply(&Change::Left(login)).unwrap();
        assert_eq!(read_by_a_shell(left.path()), "login1|10.0.0.1|master|");
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(quoted("a'b\nc"), "'a'\\''b\nc'");
        assert_eq!(quoted(""), "''");
    }
}
