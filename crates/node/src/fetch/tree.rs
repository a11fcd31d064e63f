//! The profiles on the node's disk. Each fetch makes a whole tree of its own; [`Layout::profiles`] is a link to the last one, so a crash
//! leaves the tree before or the new one. Files that have not changed are hard links to those of the tree before. A tree is on the disk
//! before it takes its place: what a power loss has cut would be run as root at the next boot, which may have no network to fetch it by.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::node::Layout;

/// In a tree, hidden from the reading of profiles.
const JOURNAL: &str = ".journal.json";

/// Trees before the present one that stay: scripts that still run lie in them.
const TREES_BEFORE: usize = 2;

/// What a tree holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Journal {
    profiles: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    name: String,
    folder: String,
    files: BTreeMap<String, Kept>,
}

/// A file as it was fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    etag: String,
    size: u64,
    /// In nanoseconds since 1970.
    modified: i64,
}

impl Kept {
    fn of(file: &Path, etag: &str) -> io::Result<Self> {
        let found = fs::symlink_metadata(file)?;
        if !found.is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        let modified = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        Ok(Self { etag: etag.to_owned(), size: found.len(), modified })
    }
}

/// A tree that is being made, and the one before. Only one is made at a time.
#[derive(Debug)]
pub struct Stage {
    state: PathBuf,
    trees: PathBuf,
    /// Goes when it is dropped.
    new: tempfile::TempDir,
    journal: Journal,
    before: Option<(PathBuf, Journal)>,
    _lock: File,
}

impl Stage {
    /// Begins a tree. Waits for another fetch on this node to end; blocking.
    pub fn begin(layout: &Layout) -> io::Result<Self> {
        let state = layout.state();
        let trees = state.join("profile-trees");
        DirBuilder::new().recursive(true).mode(0o700).create(&trees)?;
        let lock = File::create(trees.join(".lock"))?;
        lock.lock()?;
        // What a crash left.
        for left in entries(&trees)?.into_iter().filter(|entry| file_name(entry).starts_with(".new-")) {
            fs::remove_dir_all(left)?;
        }
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&trees)?;
        let before = layout.profiles().canonicalize().ok().and_then(|tree| {
            let journal = serde_json::from_slice(&fs::read(tree.join(JOURNAL)).ok()?).ok()?;
            Some((tree, journal))
        });
        Ok(Self { state, trees, new, journal: Journal::default(), before, _lock: lock })
    }

    /// Begins a profile, the next in the order, with an empty folder.
    pub fn add(&mut self, name: &str) -> io::Result<()> {
        let folder = format!("{:02}-{name}", self.journal.profiles.len() + 1);
        fs::create_dir(self.new.path().join(&folder))?;
        self.journal.profiles.push(Entry { name: name.to_owned(), folder, files: BTreeMap::new() });
        Ok(())
    }

    /// Takes the last profile back.
    pub fn take_back(&mut self) -> io::Result<()> {
        let Some(entry) = self.journal.profiles.pop() else { return Ok(()) };
        fs::remove_dir_all(self.new.path().join(entry.folder))
    }

    /// Where a file of the last profile is to lie; its folder is made.
    pub fn place(&self, path: &str) -> io::Result<PathBuf> {
        let Some(entry) = self.journal.profiles.last() else { return Err(io::ErrorKind::NotFound.into()) };
        let file = self.new.path().join(&entry.folder).join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(file)
    }

    /// Takes a file of the last profile from the tree before, if it is the same object and nothing has changed it here since. Gives its
    /// bytes.
    pub fn reuse(&mut self, path: &str, etag: &str) -> Option<u64> {
        let name = &self.journal.profiles.last()?.name;
        let (folder, entry) = self.old(name)?;
        let (old, kept) = (folder.join(path), entry.files.get(path)?.clone());
        let is_same = !etag.is_empty() && kept.etag == etag && Kept::of(&old, etag).is_ok_and(|now| now == kept);
        if !is_same || self.place(path).and_then(|new| fs::hard_link(old, new)).is_err() {
            return None;
        }
        let size = kept.size;
        self.note(path, kept);
        Some(size)
    }

    /// Notes a file of the last profile that was fetched to its [`place`](Self::place), and makes it executable. Gives its bytes.
    pub fn fetched(&mut self, path: &str, etag: &str) -> io::Result<u64> {
        let file = self.place(path)?;
        fs::set_permissions(&file, Permissions::from_mode(0o755))?;
        let kept = Kept::of(&file, etag)?;
        let size = kept.size;
        self.note(path, kept);
        Ok(size)
    }

    fn note(&mut self, path: &str, kept: Kept) {
        if let Some(entry) = self.journal.profiles.last_mut() {
            entry.files.insert(path.to_owned(), kept);
        }
    }

    fn old(&self, name: &str) -> Option<(PathBuf, &Entry)> {
        let (tree, journal) = self.before.as_ref()?;
        let entry = journal.profiles.iter().find(|entry| entry.name == name)?;
        Some((tree.join(&entry.folder), entry))
    }

    /// Adds a profile as the tree before has it; whether it has it. Where that fails, nothing is added.
    pub fn carry_over(&mut self, name: &str) -> io::Result<bool> {
        let Some((folder, files)) = self.old(name).map(|(folder, entry)| (folder, entry.files.clone())) else { return Ok(false) };
        self.add(name)?;
        let linked = files.into_iter().try_for_each(|(path, kept)| match fs::hard_link(folder.join(&path), self.place(&path)?) {
            // A script has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            linked => linked.map(|()| self.note(&path, kept)),
        });
        if linked.is_err() {
            self.take_back()?;
        }
        linked.map(|()| true)
    }

    /// The profiles of the tree before.
    pub fn names_before(&self) -> Vec<String> {
        let names = self.before.iter().flat_map(|(_, journal)| &journal.profiles).map(|entry| entry.name.clone());
        names.collect()
    }

    /// The profiles of the new tree.
    pub fn names(&self) -> Vec<String> {
        self.journal.profiles.iter().map(|entry| entry.name.clone()).collect()
    }

    /// Puts the new tree in the place of the one before; blocking. When it returns, the tree is on the disk.
    pub fn publish(self) -> io::Result<()> {
        let Self { state, trees, new, journal, .. } = self;
        fs::write(new.path().join(JOURNAL), serde_json::to_vec(&journal)?)?;
        // All of the file system at once: one call for each of some thousand files takes longer.
        rustix::fs::syncfs(File::open(new.path())?)?;
        let numbers = numbers(&trees)?;
        let number = numbers.last().map_or(1, |last| last + 1);
        let tree = trees.join(number.to_string());
        fs::rename(new.keep(), &tree)?;
        point(&state.join("profiles"), &Path::new("profile-trees").join(number.to_string()))?;
        // The new names, before trees that the old link may lead to go.
        for folder in [&trees, &state] {
            File::open(folder)?.sync_all()?;
        }
        for old in numbers.iter().rev().skip(TREES_BEFORE) {
            // Disk space is all that is lost where this fails.
            let _ = fs::remove_dir_all(trees.join(old.to_string()));
        }
        Ok(())
    }
}

/// Lets a link point elsewhere, at once.
fn point(link: &Path, to: &Path) -> io::Result<()> {
    let draft = link.with_file_name(".profiles-new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A folder in the link's place gives way: the agent makes none there.
    if fs::symlink_metadata(link).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(link)?;
    }
    symlink(to, &draft)?;
    fs::rename(draft, link)
}

/// The trees' numbers, in order.
fn numbers(trees: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = entries(trees)?.iter().filter_map(|entry| file_name(entry).parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(stage: &mut Stage, path: &str, content: &str, etag: &str) {
        fs::write(stage.place(path).unwrap(), content).unwrap();
        stage.fetched(path, etag).unwrap();
    }

    #[test]
    fn until_it_is_published_the_tree_before_is_there_and_after_a_crash_too() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        let mut first = Stage::begin(&layout).unwrap();
        first.add("alice").unwrap();
        put(&mut first, "configure.d/a", "one", "1");
        assert!(!layout.profiles().exists());
        first.publish().unwrap();
        let file = layout.profiles().join("01-alice/configure.d/a");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");

        let mut crashed = Stage::begin(&layout).unwrap();
        crashed.add("alice").unwrap();
        put(&mut crashed, "configure.d/a", "two", "2");
        let left = crashed.new.path().to_owned();
        crashed.new.disable_cleanup(true);
        drop(crashed);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert!(left.exists());
        drop(Stage::begin(&layout).unwrap());
        assert!(!left.exists(), "the next fetch clears it away");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    }

    #[test]
    fn a_file_is_used_again_only_if_nothing_has_changed_it_on_either_side() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        let mut stage = Stage::begin(&layout).unwrap();
        stage.add("alice").unwrap();
        for (path, etag) in [
            ("same", "1"),
            ("edited", "1"),
            ("edited to the same length", "1"),
            ("gone", "1"),
            ("other", "1"),
            ("linked", "1"),
            ("unknown", ""),
        ] {
            put(&mut stage, path, "content", etag);
        }
        stage.publish().unwrap();
        let at = |path: &str| layout.profiles().join("01-alice").join(path);
        fs::write(at("edited"), "content by a script").unwrap();
        fs::write(at("edited to the same length"), "another").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        File::options().write(true).open(at("edited to the same length")).unwrap().set_modified(later).unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::remove_file(at("linked")).unwrap();
        symlink("/etc/passwd", at("linked")).unwrap();

        let mut stage = Stage::begin(&layout).unwrap();
        stage.add("site").unwrap();
        assert_eq!(stage.reuse("same", "1"), None, "another profile's");
        stage.add("alice").unwrap();
        assert_eq!(stage.reuse("same", "1"), Some(7));
        for (path, etag) in [
            ("edited", "1"),
            ("edited to the same length", "1"),
            ("gone", "1"),
            ("other", "2"),
            ("linked", "1"),
            ("unknown", ""),
            ("new", "1"),
        ] {
            assert_eq!(stage.reuse(path, etag), None, "{path}");
        }
        stage.publish().unwrap();
        assert_eq!(fs::read_to_string(layout.profiles().join("02-alice/same")).unwrap(), "content");
    }

    #[test]
    fn trees_of_scripts_that_may_still_run_stay_and_older_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        // A folder in the link's place gives way.
        fs::create_dir_all(layout.profiles().join("01-left")).unwrap();
        for _ in 0..5 {
            Stage::begin(&layout).unwrap().publish().unwrap();
        }
        assert_eq!(numbers(&layout.state().join("profile-trees")).unwrap(), [3, 4, 5]);
        assert_eq!(fs::metadata(layout.state().join("profile-trees")).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
