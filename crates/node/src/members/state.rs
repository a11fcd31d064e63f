//! `members.json`: the members as the agent last saw them, for `cf-node members` and for the agent's next start.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::hosts::read_bounded;
use super::{Member, store};
use crate::node::{Layout, NodeName, Role};

/// The most bytes of the file that are read: some times what [`super::RANK_MAX`] members with many tags take.
pub const STATE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The members, seen from one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// This node.
    pub name: NodeName,
    /// Its address.
    pub address: SocketAddr,
    /// The generation of its claim to its name; the next start takes a higher one.
    pub generation: u64,
    /// When this was written.
    pub written: Timestamp,
    /// Another node that has this node's name. This node is in no cluster then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_taken_by: Option<SocketAddr>,
    /// By rank; this node is among them.
    pub members: Vec<Entry>,
    /// Datagrams that were dropped since the start, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
}

/// A member of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name, address, tags.
    #[serde(flatten)]
    pub member: Member,
    /// Its role, for readers of the file.
    pub role: Role,
    /// When this node saw it join.
    pub since: Timestamp,
}

/// Why the list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none.
    #[error(
        "this node has no list of members yet ({0} is not there): the agent has not run here; start it, for example with systemctl start cf-node"
    )]
    Absent(String),
    /// The file system.
    #[error("the list of members {0} cannot be read: {1}; read it as root")]
    File(String, io::Error),
    /// Not what the agent writes.
    #[error("the list of members {0} is not one that this agent wrote: {1}; restart the agent, which writes it anew")]
    Broken(String, String),
}

/// Where the file is.
pub fn path(layout: &Layout) -> PathBuf {
    layout.state().join("members.json")
}

impl State {
    /// Reads the file.
    pub fn read(layout: &Layout) -> Result<Self, StateError> {
        let path = path(layout);
        let shown = path.display().to_string();
        let bytes = match read_bounded(&path, STATE_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(StateError::Broken(shown, format!("it has more than {STATE_BYTES_MAX} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StateError::Absent(shown)),
            Err(error) => return Err(StateError::File(shown, error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| StateError::Broken(shown, error.to_string()))
    }

    /// Writes the file whole.
    pub fn write(&self, layout: &Layout) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        store::write(&path(layout), &bytes, 0o644).map(|_| ())
    }

    /// The list as a table, sorted by rank.
    pub fn table(&self) -> String {
        let mut rows = vec![["NAME".to_owned(), "ADDRESS".to_owned(), "ROLE".to_owned(), "SINCE".to_owned()]];
        for entry in &self.members {
            let since = entry.since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
            rows.push([entry.member.name().to_string(), entry.member.ip().to_string(), entry.role.to_string(), since]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (name, address, role) = (width(0), width(1), width(2));
        rows.iter().map(|[n, a, r, since]| format!("{n:name$}  {a:address$}  {r:role$}  {since}\n")).collect()
    }
}

/// Held by the running agent: a file that is locked. The kernel gives it back whatever ends the agent, so nobody needs a clock to
/// see whether a list is kept up to date.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Lock {
    /// Takes the lock; `None` where another agent has it.
    pub fn take(layout: &Layout) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(layout.state())?;
        let file = open_lock(&lock_path(layout))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an agent has the lock.
    pub fn is_held(layout: &Layout) -> bool {
        let Ok(file) = File::open(lock_path(layout)) else { return false };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }
}

fn lock_path(layout: &Layout) -> PathBuf {
    layout.state().join("members.lock")
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;

    fn state(ranks: &[u32]) -> State {
        let since: Timestamp = "2026-11-07T09:05:03Z".parse().unwrap();
        let entry = |rank: &u32| {
            let member = member(*rank, &format!("10.0.0.{rank}:7946"));
            Entry { role: member.role(), member, since }
        };
        State {
            name: NodeName::LOGIN,
            address: "10.0.0.1:7946".parse().unwrap(),
            generation: 7,
            written: since,
            name_taken_by: None,
            members: ranks.iter().map(entry).collect(),
            dropped: BTreeMap::from([("forged".to_owned(), 3)]),
        }
    }

    #[test]
    fn the_list_is_read_as_it_was_written_and_prints_as_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.state()).unwrap();
        let list = state(&[0, 2, 110]);
        list.write(&layout).unwrap();
        assert_eq!(State::read(&layout).unwrap(), list);
        assert_eq!(
            list.table(),
            "NAME         ADDRESS     ROLE    SINCE\n\
             login1       10.0.0.0    master  2026-11-07 09:05:03 UTC\n\
             compute-2    10.0.0.2    slave   2026-11-07 09:05:03 UTC\n\
             compute-110  10.0.0.110  slave   2026-11-07 09:05:03 UTC\n"
        );
    }

    #[test]
    fn a_list_that_is_not_there_or_not_ours_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        assert!(matches!(State::read(&layout), Err(StateError::Absent(_))));
        std::fs::create_dir_all(layout.state()).unwrap();
        for broken in ["", "[]", "{\"name\":\"x\"}", "\u{0}"] {
            std::fs::write(path(&layout), broken).unwrap();
            assert!(matches!(State::read(&layout), Err(StateError::Broken(..))), "{broken:?}");
        }
        let large = usize::try_from(STATE_BYTES_MAX).unwrap() + 1;
        std::fs::write(path(&layout), vec![b' '; large]).unwrap();
        assert!(State::read(&layout).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn one_agent_has_the_lock_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        assert!(!Lock::is_held(&layout));
        let lock = Lock::take(&layout).unwrap().unwrap();
        assert!(Lock::is_held(&layout) && Lock::take(&layout).unwrap().is_none());
        drop(lock);
        assert!(!Lock::is_held(&layout));
    }
}
