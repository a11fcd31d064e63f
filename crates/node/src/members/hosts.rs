//! The members' block of `/etc/hosts`: one line a member, between two marks. What is outside the marks is not ours and stays byte for byte.
//!
//! | the file has | then |
//! |---|---|
//! | no block | the block goes to the end; a last line without a newline gets one first |
//! | one block | it is replaced where it is |
//! | more blocks | the first is replaced, the others are removed |
//! | a begin without an end | the block ends before the first line that is not one of ours: a write in place was cut off |
//! | an end without a begin | that line is not ours |
//!
//! A mark may have blanks or a carriage return behind it (an editor's work). Our own lines end with a newline only: the resolver
//! would take a carriage return for part of the name.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::store::{self, Written};
use crate::node::NodeName;

/// The line before the members.
pub const BEGIN: &str = "# clusterdrop members begin";
/// The line after the members.
pub const END: &str = "# clusterdrop members end";
/// The most bytes of a table of hosts that is read; [`super::RANK_MAX`] members take a fifth of it.
pub const HOSTS_BYTES_MAX: u64 = 1024 * 1024;

/// Why the table of hosts was not written.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It is too large.
    #[error("{path} has more than {HOSTS_BYTES_MAX} bytes, so the members are not written to it; make it smaller")]
    Large {
        /// The file.
        path: String,
    },
    /// The file system.
    #[error("the members cannot be written to {path}, which stays as it was: {source}; it is tried again")]
    File {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// Puts the members into a table of hosts.
pub fn update(path: &Path, members: &BTreeMap<NodeName, IpAddr>) -> Result<Written, HostsError> {
    let shown = || path.display().to_string();
    let failed = |source| HostsError::File { path: shown(), source };
    let old = match read_bounded(path, HOSTS_BYTES_MAX) {
        Ok(Some(old)) => old,
        Ok(None) => return Err(HostsError::Large { path: shown() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    store::write(path, &with_members(&old, members), 0o644).map_err(failed)
}

/// A file's bytes, or `None` where there are more than this.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut file = io::Read::take(std::fs::File::open(path)?, bytes_max + 1);
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

/// The table with exactly these members in its block.
pub fn with_members(old: &[u8], members: &BTreeMap<NodeName, IpAddr>) -> Vec<u8> {
    let mut block = format!("{BEGIN}\n");
    for (name, ip) in members {
        block.push_str(&format!("{ip}\t{name}\n"));
    }
    block.push_str(&format!("{END}\n"));

    let mut new = Vec::with_capacity(old.len() + block.len());
    let mut placed = false;
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if is_mark(line, BEGIN) {
            if !placed {
                new.extend(block.as_bytes());
            }
            placed = true;
            at = block_end(&lines, at + 1);
        } else {
            new.extend(*line);
            at += 1;
        }
    }
    if !placed {
        if new.last().is_some_and(|last| *last != b'\n') {
            new.push(b'\n');
        }
        new.extend(block.as_bytes());
    }
    new
}

/// The first line after a block whose first inner line is this one.
fn block_end(lines: &[&[u8]], first: usize) -> usize {
    let inner = &lines[first..];
    let mark = inner.iter().position(|line| is_mark(line, BEGIN) || is_mark(line, END));
    match mark {
        Some(end) if is_mark(inner[end], END) => first + end + 1,
        // Cut off. A second beginning is another block.
        _ => first + inner.iter().take_while(|line| is_our_line(line)).count(),
    }
}

fn is_mark(line: &[u8], mark: &str) -> bool {
    line.trim_ascii_end() == mark.as_bytes()
}

/// Whether a line is one that we write, or the beginning of one at the end of the file.
fn is_our_line(line: &[u8]) -> bool {
    let whole = line.ends_with(b"\n");
    let Ok(text) = std::str::from_utf8(line.trim_ascii_end()) else { return false };
    match text.split_once('\t') {
        Some((ip, name)) if whole => ip.parse::<IpAddr>().is_ok() && name.parse::<NodeName>().is_ok(),
        Some((ip, name)) => {
            let begun = |full: &str| full.starts_with(name);
            ip.parse::<IpAddr>().is_ok() && (begun("login1") || begun("compute-") || name.parse::<NodeName>().is_ok())
        }
        None => !whole && (END.starts_with(text) || text.bytes().all(|c| c.is_ascii_hexdigit() || c == b'.' || c == b':')),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(ranks: impl IntoIterator<Item = u32>) -> BTreeMap<NodeName, IpAddr> {
        let name = |rank| NodeName::compute(rank).unwrap_or(NodeName::LOGIN);
        ranks.into_iter().map(|rank| (name(rank), IpAddr::from([10, 0, 0, u8::try_from(rank + 1).unwrap()]))).collect()
    }

    fn text(old: &str, ranks: impl IntoIterator<Item = u32>) -> String {
        String::from_utf8(with_members(old.as_bytes(), &members(ranks))).unwrap()
    }

    const TWO: &str = "# clusterdrop members begin\n10.0.0.1\tlogin1\n10.0.0.3\tcompute-2\n# clusterdrop members end\n";

    #[test]
    fn members_stand_in_one_block_in_the_order_of_their_ranks() {
        assert_eq!(text("", [2, 0]), TWO);
        assert_eq!(text("127.0.0.1 localhost\n", [0, 2]), format!("127.0.0.1 localhost\n{TWO}"));
        let ranks: Vec<u32> = text("", (0..=120).rev())
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(_, n)| n.parse::<NodeName>().unwrap().rank())
            .collect();
        assert_eq!(ranks, (0..=120).collect::<Vec<_>>(), "compute-10 comes after compute-9");
    }

    #[test]
    fn f12_growth_from_two_to_three_leaves_no_duplicate_lines() {
        let two = text("127.0.0.1 localhost\n", [0, 1]);
        let three = text(&two, [0, 1, 2]);
        assert_eq!(three.lines().filter(|line| line.contains("compute-")).count(), 2);
        assert_eq!(three.matches(BEGIN).count(), 1);
        assert_eq!(text(&three, [0, 1]), two, "and it shrinks again");
    }

    #[test]
    fn what_is_not_ours_stays_byte_for_byte() {
        let around = "127.0.0.1 localhost\r\n# managed by hand\r\n";
        assert_eq!(text(around, [0, 2]), format!("{around}{TWO}"), "carriage returns stay");
        assert_eq!(text("::1 ip6", [0, 2]), format!("::1 ip6\n{TWO}"), "a last line without a newline");
        let inside = format!("a\n{}b\nno newline", TWO.replace("10.0.0.1", "10.9.9.9"));
        assert_eq!(text(&inside, [0, 2]), format!("a\n{TWO}b\nno newline"));
        let junk = b"\xff\xfe\0\n\x80";
        assert_eq!(with_members(junk, &members([0, 2])), [junk.as_slice(), b"\n", TWO.as_bytes()].concat());
        assert_eq!(text("10.0.0.1\tlogin1\n", [0, 2]), format!("10.0.0.1\tlogin1\n{TWO}"), "a line outside is not ours, whatever it says");
    }

    #[test]
    fn marks_that_an_editor_changed_are_still_marks() {
        let edited = TWO.replace('\n', "\r\n").replace("end", "end  ");
        assert_eq!(text(&format!("a\r\n{edited}b\r\n"), [0, 2]), format!("a\r\n{TWO}b\r\n"));
    }

    #[test]
    fn of_two_blocks_the_first_stays() {
        assert_eq!(text(&format!("a\n{TWO}b\n{TWO}c\n"), [0, 2]), format!("a\n{TWO}b\nc\n"));
    }

    #[test]
    fn a_block_without_an_end_ends_before_the_first_foreign_line() {
        let cut = "a\n# clusterdrop members begin\n10.0.0.1\tlogin1\n192.168.1.5 printer\n";
        assert_eq!(text(cut, [0, 2]), format!("a\n{TWO}192.168.1.5 printer\n"));
        assert_eq!(text(&format!("{cut}{TWO}"), [0, 2]), format!("a\n{TWO}192.168.1.5 printer\n"));
        assert_eq!(text("# clusterdrop members end\n", [0, 2]), format!("# clusterdrop members end\n{TWO}"), "an end alone is foreign");
        for end in BEGIN.len()..TWO.len() {
            assert_eq!(text(&format!("a\n{}", &TWO[..end]), [0, 2]), format!("a\n{TWO}"), "cut off at byte {end}");
        }
        assert_eq!(text("# clusterdrop members begin\n192.168.1.5 printer", [0, 2]), format!("{TWO}192.168.1.5 printer"));
    }

    #[test]
    fn a_table_that_is_too_large_is_left_alone_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        assert_eq!(update(&path, &members([0, 2])).unwrap(), Written::Replaced, "a table that is not there is made");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TWO);
        let full = usize::try_from(HOSTS_BYTES_MAX).unwrap();
        std::fs::write(&path, vec![b'\n'; full + 1]).unwrap();
        let told = update(&path, &members([0])).unwrap_err().to_string();
        assert!(told.contains("1048576 bytes"), "{told}");
        std::fs::write(&path, vec![b'\n'; full]).unwrap();
        assert_eq!(update(&path, &members([0, 2])).unwrap(), Written::Replaced);
        assert_eq!(update(&folder.path().join("none/hosts"), &members([0])).unwrap_err().to_string().matches("tried again").count(), 1);
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(BEGIN.as_bytes().to_vec()),
            Just(END.as_bytes().to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"10.0.0.1\tlogin1\n".to_vec()),
            Just(b"192.168.1.5 printer\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..8),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_the_table_held_one_block_is_left_and_writing_again_changes_nothing(old in pieces()) {
            let new = with_members(&old, &members([0, 2]));
            let begins = new.split_inclusive(|byte| *byte == b'\n').filter(|line| is_mark(line, BEGIN)).count();
            prop_assert_eq!(begins, 1);
            prop_assert!(new.windows(TWO.len()).any(|window| window == TWO.as_bytes()));
            prop_assert_eq!(&with_members(&new, &members([0, 2])), &new);
            prop_assert_eq!(with_members(&with_members(&new, &members([1, 5, 9])), &members([0, 2])), new);
        }
    }
}
