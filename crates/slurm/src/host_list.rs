//! Several nodes in one word, as Slurm writes and reads them: `compute-[1-3,7],login1`.
//!
//! Slurm hands such words to its programs, and programs take them from us; a user's root shell may call those programs too, so what is
//! read here is hostile. One bracket a name, at its end, is what Slurm makes of our names; its brackets in the middle, and several of
//! them, are refused. The limits are Slurm's own (`MAX_RANGE` and `MAXHOSTNAMELEN` in its `src/common/hostlist.c`).

use std::collections::BTreeSet;
use std::fmt;

use cf_core::node_name::NodeName;

/// Names in one list, as Slurm limits a range.
pub const NAMES_MAX: usize = 64 * 1024;

/// Characters of one name.
pub const NAME_CHARS_MAX: usize = 64;

/// Digits of a number: 18 are below 2^63.
const DIGITS_MAX: usize = 18;

/// Why a text is no list of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostListError {
    /// A name is missing, as in `a,,b`.
    #[error("a name is missing between two commas, or before or after one")]
    Empty,
    /// A character that no host's name has.
    #[error("{0:?} is in no host's name; letters, digits, '.', '-' and '_' are")]
    Character(char),
    /// A bracket is not closed, is not the end of its name, or is not opened.
    #[error("a bracket must be closed and be the end of its name, as in compute-[1-3,7]")]
    Bracket,
    /// What is no range.
    #[error("{0:?} is no range; one is 7 or 1-3, with at most 18 digits")]
    Range(String),
    /// A range that ends before it begins.
    #[error("the range {0:?} ends before it begins")]
    Descending(String),
    /// Too many names.
    #[error("the list has more than {NAMES_MAX} names")]
    TooMany,
    /// A name too long for a host.
    #[error("a name has more than {NAME_CHARS_MAX} characters")]
    TooLong,
    /// A name that no compute node of a cluster has.
    #[error("{0:?} is no compute node; one is compute-1, compute-2 and so on")]
    NoNode(String),
}

/// The names that a list stands for, in its order, as often as it has them. An empty text has none.
pub fn expand(text: &str) -> Result<Vec<String>, HostListError> {
    let mut names = Vec::new();
    for word in words(text.trim())? {
        match word.split_once('[') {
            None => push(&mut names, checked(word)?.to_owned())?,
            Some((prefix, rest)) => {
                let ranges = rest.strip_suffix(']').filter(|ranges| !ranges.contains(['[', ']'])).ok_or(HostListError::Bracket)?;
                for range in ranges.split(',') {
                    expand_range(checked_prefix(prefix)?, range, &mut names)?;
                }
            }
        }
    }
    Ok(names)
}

/// The compute nodes that a list stands for. Any other name is an error.
pub fn nodes(text: &str) -> Result<BTreeSet<NodeName>, HostListError> {
    let node = |name: String| match name.parse() {
        Ok(node) if node != NodeName::LOGIN => Ok(node),
        _ => Err(HostListError::NoNode(name)),
    };
    expand(text)?.into_iter().map(node).collect()
}

/// The list of these names as Slurm prints it: sorted by prefix and number, each once, neighbours as a range, and all that share a
/// prefix in one bracket. A number keeps its leading zeros.
pub fn compress<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut hosts: Vec<Host<'_>> = names.into_iter().map(Host::of).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut parts = Vec::new();
    for of_prefix in hosts.chunk_by(|a, b| a.prefix == b.prefix && a.number.is_some() && b.number.is_some()) {
        let ranges: Vec<String> = of_prefix.chunk_by(Host::is_before).map(range).collect();
        let prefix = of_prefix[0].prefix;
        parts.push(match ranges.as_slice() {
            [one] if of_prefix.len() == 1 => format!("{prefix}{one}"),
            _ => format!("{prefix}[{}]", ranges.join(",")),
        });
    }
    parts.join(",")
}

/// The list of these compute nodes.
pub fn of_nodes(nodes: impl IntoIterator<Item = NodeName>) -> String {
    let names: Vec<String> = nodes.into_iter().map(|node| node.to_string()).collect();
    compress(names.iter().map(String::as_str))
}

/// A host's name, cut before its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Host<'a> {
    prefix: &'a str,
    number: Option<u64>,
    digits: &'a str,
}

impl<'a> Host<'a> {
    fn of(name: &'a str) -> Self {
        let end = name.trim_end_matches(|c: char| c.is_ascii_digit()).len().max(name.len().saturating_sub(DIGITS_MAX));
        // A bracket needs a prefix: a name of digits alone stands alone.
        let (prefix, digits) = name.split_at(if end == 0 { name.len() } else { end });
        Self { prefix, number: digits.parse().ok(), digits }
    }

    /// Whether the other's number follows, printed with as many digits at least.
    fn is_before(&self, other: &Self) -> bool {
        let (Some(number), width) = (self.number, self.digits.len()) else { return false };
        // 9 is followed by 10, and 09 too; 009 is not followed by 10.
        format!("{:0width$}", number + 1) == other.digits
    }
}

/// The range of neighbours.
fn range(hosts: &[Host<'_>]) -> String {
    match hosts {
        [first, .., last] => format!("{}-{}", first.digits, last.digits),
        _ => hosts.iter().map(|host| host.digits).collect(),
    }
}

/// Cuts a list at the commas that are in no bracket.
fn words(text: &str) -> Result<Vec<&str>, HostListError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut depth = 0_u32;
    let is_split = |c: char| {
        depth = match c {
            '[' => depth + 1,
            ']' => depth.saturating_sub(1),
            _ => depth,
        };
        c == ',' && depth == 0
    };
    let words: Vec<&str> = text.split(is_split).collect();
    if words.iter().any(|word| word.is_empty()) { Err(HostListError::Empty) } else { Ok(words) }
}

fn checked(name: &str) -> Result<&str, HostListError> {
    if name.contains(']') {
        return Err(HostListError::Bracket);
    }
    checked_prefix(name)
}

fn checked_prefix(prefix: &str) -> Result<&str, HostListError> {
    if let Some(c) = prefix.chars().find(|&c| !(c.is_ascii_alphanumeric() || "-._".contains(c))) {
        return Err(HostListError::Character(c));
    }
    if prefix.is_empty() {
        return Err(HostListError::Empty);
    }
    Ok(prefix)
}

fn expand_range(prefix: &str, range: &str, names: &mut Vec<String>) -> Result<(), HostListError> {
    let no_range = || HostListError::Range(range.chars().take(NAME_CHARS_MAX).collect());
    let number = |digits: &str| -> Option<u64> {
        let is_number = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (number(low).ok_or_else(no_range)?, number(high).ok_or_else(no_range)?);
    if last < first {
        return Err(HostListError::Descending(range.to_owned()));
    }
    // Slurm prints each number with as many digits as the range's first has.
    let width = low.len();
    for number in first..=last {
        push(names, format!("{prefix}{number:0width$}"))?;
    }
    Ok(())
}

fn push(names: &mut Vec<String>, name: String) -> Result<(), HostListError> {
    if name.len() > NAME_CHARS_MAX {
        return Err(HostListError::TooLong);
    }
    if names.len() == NAMES_MAX {
        return Err(HostListError::TooMany);
    }
    names.push(name);
    Ok(())
}

/// A set of compute nodes that prints as a list of hosts.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<'a>(pub &'a BTreeSet<NodeName>);

impl fmt::Display for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_nodes(self.0.iter().copied()))
    }
}

#[cfg(test)]
#[path = "host_list_tests.rs"]
mod tests;
