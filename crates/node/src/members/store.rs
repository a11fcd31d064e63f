//! Files that are replaced as a whole: a reader sees the old one or the new one, and a full disk leaves the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use tempfile::NamedTempFile;

/// How a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It had these bytes already.
    Unchanged,
    /// Another file took its name.
    Replaced,
    /// Its bytes were changed in place, because its name cannot be taken: it is a mount point.
    InPlace,
}

/// Writes a file whole, unless it holds these bytes already. A symbolic link stays one; mode and owner stay; a new file gets this mode.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Written> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match std::fs::metadata(&target) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if old.as_ref().is_some_and(|old| old.len() == bytes.len() as u64) && std::fs::read(&target)? == bytes {
        return Ok(Written::Unchanged);
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match replace(folder, &target, bytes, mode, old.as_ref()) {
        Ok(()) => Ok(Written::Replaced),
        // A file that is mounted over, or a folder that takes no new file, while the file itself can be written.
        Err(error) if old.is_some() && is_refused_name(&error) => {
            let file = OpenOptions::new().write(true).open(&target)?;
            overwrite(&file, bytes)?;
            Ok(Written::InPlace)
        }
        Err(error) => Err(error),
    }
}

fn is_refused_name(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::BUSY | Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::ROFS))
}

fn replace(folder: &Path, target: &Path, bytes: &[u8], mode: u32, old: Option<&std::fs::Metadata>) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(".clusterdrop-", folder)?;
    file.write_all(bytes)?;
    let permissions = old.map_or_else(|| std::fs::Permissions::from_mode(mode), std::fs::Metadata::permissions);
    file.as_file().set_permissions(permissions)?;
    if let Some(old) = old
        && (old.uid(), old.gid()) != (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    {
        rustix::fs::fchown(file.as_file(), Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())))?;
    }
    // Without it a crash of the machine may leave an empty file under the name.
    file.as_file().sync_data()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// Changes a file's bytes in place. What is beyond its old end is written first: that is where a disk can be full, and then the
/// old length is put back and the old bytes have not been touched.
fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    let old = file.metadata()?.len();
    let within = usize::try_from(old).unwrap_or(usize::MAX).min(bytes.len());
    let (front, tail) = bytes.split_at(within);
    let extended = file.write_all_at(tail, old).and_then(|()| file.sync_data());
    if let Err(error) = extended {
        file.set_len(old)?;
        return Err(error);
    }
    file.write_all_at(front, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_written_only_if_it_changes_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        assert_eq!(write(&path, b"one", 0o644).unwrap(), Written::Replaced);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        let inode = path.metadata().unwrap().ino();
        assert_eq!(write(&path, b"one", 0o644).unwrap(), Written::Unchanged);
        assert_eq!(path.metadata().unwrap().ino(), inode);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(write(&path, b"two", 0o644).unwrap(), Written::Replaced);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, b"new", 0o644).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn in_place_a_longer_and_a_shorter_text_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        for text in ["short", "a longer text than before", "x", ""] {
            overwrite(&OpenOptions::new().create(true).truncate(false).write(true).open(&path).unwrap(), text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    /// A small file system, or `None` where this machine lets nobody mount one.
    struct Mount(tempfile::TempDir, Vec<std::path::PathBuf>);

    impl Mount {
        fn tmpfs(size: &str) -> Option<Self> {
            let folder = tempfile::tempdir().unwrap();
            let done = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(folder.path()).output();
            let mounted = done.is_ok_and(|done| done.status.success());
            if !mounted {
                eprintln!("not tested: this machine does not let us mount a tmpfs");
            }
            let path = folder.path().to_owned();
            mounted.then(|| Self(folder, vec![path]))
        }

        fn bind(&mut self, from: &Path, to: &Path) -> bool {
            let done = Command::new("mount").arg("--bind").args([from, to]).status().is_ok_and(|status| status.success());
            self.1.extend(done.then(|| to.to_owned()));
            done
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            for mounted in self.1.iter().rev() {
                let _ = Command::new("umount").arg(mounted).status();
            }
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_whole_also_where_its_name_cannot_be_taken() {
        let Some(mut disk) = Mount::tmpfs("size=16k") else { return };
        let path = disk.0.path().join("hosts");
        std::fs::write(&path, "127.0.0.1 localhost\n").unwrap();
        let large = vec![b'x'; 64 * 1024];
        assert_eq!(write(&path, &large, 0o644).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1 localhost\n");
        assert_eq!(std::fs::read_dir(disk.0.path()).unwrap().count(), 1);

        let folder = tempfile::tempdir().unwrap();
        let over = folder.path().join("hosts");
        std::fs::write(&over, "").unwrap();
        assert!(disk.bind(&path, &over));
        assert_eq!(write(&over, &large, 0o644).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_to_string(&over).unwrap(), "127.0.0.1 localhost\n");
        assert_eq!(write(&over, b"127.0.0.1 localhost\n10.0.0.1\tlogin1\n", 0o644).unwrap(), Written::InPlace);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1 localhost\n10.0.0.1\tlogin1\n");
        assert_eq!(write(&over, b"x", 0o644).unwrap(), Written::InPlace);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
    }
}
