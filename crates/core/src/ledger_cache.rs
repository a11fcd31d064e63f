//! What a sweep remembers of the ledgers, so that the next one reads only those that were written since.
//!
//! It is a cache and no more. A line says what the ledger with this very ETag holds. The ETag comes with the listing, and a
//! ledger's content never changes under one (S3 makes it of the content, and a ledger counts its writes), so a line is true
//! or it is not used. That is why the object is written without If-Match: of two sweeps at once the later write wins, each
//! of its lines is as true as the other's, and a line that is lost costs one reading.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ledger::{Entry, Ledger, Phase};
use crate::names::{ClusterName, User};
use crate::request::ETag;

/// Its key in the system bucket.
pub const KEY: &str = "sweep/seen.json";

/// It is neither written nor read beyond this: a function has 128 MB. Some 40,000 users with a cluster each fit in; the
/// ledgers of more are read at every sweep.
pub const BYTES_MAX: usize = 4 << 20;

/// Changes whenever a line comes to mean something else: what an older or newer function has written is not used then.
const FORMAT: u32 = 2;

/// The cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCache {
    format: u32,
    ledgers: BTreeMap<User, Line>,
}

/// What a ledger says to a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which version of the ledger.
    pub etag: ETag,
    /// Its clusters, without those that are over or never began: to a sweep they are as good as not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<ClusterName, EntrySummary>,
    /// The login addresses that were reported, of those that stand.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logins: BTreeMap<ClusterName, String>,
}

/// What a cluster's entry says to a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntrySummary {
    /// Something is to be done, whatever the stack is.
    Owed,
    /// Nothing is to be done while the stack stands.
    Ready,
    /// Nothing is to be done while the stack is stuck.
    Stuck,
}

impl EntrySummary {
    /// `None`: it is over, or never began, and there should be no stack.
    pub fn of(entry: &Entry) -> Option<Self> {
        if entry.is_owed() {
            return Some(Self::Owed);
        }
        match entry.phase {
            Phase::Ready => Some(Self::Ready),
            Phase::Stuck => Some(Self::Stuck),
            Phase::New | Phase::Gone { .. } => None,
            // Owed by their phase alone.
            Phase::Creating { .. } | Phase::Failing | Phase::Deleting { .. } | Phase::Unwanted { .. } => Some(Self::Owed),
        }
    }
}

impl Line {
    /// The line of a ledger as it was read.
    pub fn of(ledger: &Ledger, etag: ETag) -> Self {
        let clusters = ledger.clusters.iter().filter_map(|(name, entry)| Some((name.clone(), EntrySummary::of(entry)?)));
        let ready = ledger.clusters.iter().filter(|(_, entry)| entry.phase == Phase::Ready);
        let logins = ready.filter_map(|(name, entry)| Some((name.clone(), entry.login.clone()?)));
        Self { etag, clusters: clusters.collect(), logins: logins.collect() }
    }

    /// No less than it takes up as JSON: quotes, commas, words and the escaped quotes of an `ETag` are counted generously.
    fn weight(&self, user: &User) -> usize {
        let clusters: usize = self.clusters.keys().map(|name| name.as_str().len() + 16).sum();
        let logins: usize = self.logins.iter().map(|(name, login)| name.as_str().len() + login.len() + 8).sum();
        user.as_str().len() + self.etag.0.len() + clusters + logins + 64
    }
}

impl Default for LedgerCache {
    fn default() -> Self {
        Self { format: FORMAT, ledgers: BTreeMap::new() }
    }
}

impl LedgerCache {
    /// The cache of these lines, as far as they fit in.
    pub fn of(lines: &BTreeMap<User, Line>) -> Self {
        let mut free = BYTES_MAX - 64;
        let fits = lines.iter().filter(|(user, line)| {
            let left = free.checked_sub(line.weight(user));
            free = left.unwrap_or(free);
            left.is_some()
        });
        Self { format: FORMAT, ledgers: fits.map(|(user, line)| (user.clone(), line.clone())).collect() }
    }

    /// What lay in the bucket; `None` where it is nothing that this function could have written.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|seen: &Self| seen.format == FORMAT)
    }

    /// What is put into the bucket.
    pub fn bytes(&self) -> Vec<u8> {
        // Strings and one number: there is nothing in it that JSON could not say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// How many ledgers it holds.
    pub fn len(&self) -> usize {
        self.ledgers.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ledgers.is_empty()
    }

    /// Splits what is listed into the lines that still hold, and the users whose ledgers have to be read.
    pub(crate) fn split(&self, listed: Vec<(User, ETag)>) -> (BTreeMap<User, Line>, BTreeSet<User>) {
        let (mut known, mut changed) = (BTreeMap::new(), BTreeSet::new());
        for (user, etag) in listed {
            match self.ledgers.get(&user).filter(|line| line.etag == etag) {
                Some(line) => drop(known.insert(user, line.clone())),
                None => drop(changed.insert(user)),
            }
        }
        (known, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn user(name: &str) -> User {
        User::parse(name).unwrap()
    }

    /// A change of this text is a change of what a line means: `FORMAT` has to change with it.
    #[test]
    fn the_cache_format_is_unchanged() {
        let text = r#"{"revision": 9, "clusters": {
            "a": {"phase": {"is": "ready"}, "login": "192.0.2.1"},
            "b": {"phase": {"is": "stuck"}},
            "c": {"phase": {"is": "failing"}},
            "d": {"phase": {"is": "new"}},
            "e": {"phase": {"is": "gone", "at": "2026-11-21T10:00:00Z", "end": "deleted"}}}}"#;
        let line = Line::of(&serde_json::from_str(text).unwrap(), ETag("\"9f\"".into()));
        let seen = LedgerCache::of(&[(user("alice"), line)].into());
        let written = r#"{"format":2,"ledgers":{"alice":{"etag":"\"9f\"","clusters":{"a":"ready","b":"stuck","c":"owed"},"logins":{"a":"192.0.2.1"}}}}"#;
        assert_eq!(String::from_utf8(seen.bytes()).unwrap(), written);
        assert_eq!(LedgerCache::read(written.as_bytes()), Some(seen));
    }

    #[test]
    fn what_another_function_wrote_is_not_used() {
        for text in ["", "{}", "[]", "\u{0}", r#"{"format":1,"ledgers":{}}"#, r#"{"format":2}"#] {
            assert_eq!(LedgerCache::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LedgerCache::read(br#"{"format":2,"ledgers":{}}"#), Some(LedgerCache::default()));
    }

    #[test]
    fn a_line_weighs_what_its_json_takes_up_and_little_more() {
        for (clusters, logins) in [(0, 0), (1, 0), (1, 1), (30, 0), (30, 30)] {
            let named = |n: usize| testing::cluster("u", &format!("{n:040}")).name;
            let line = Line {
                etag: ETag(format!("\"{}\"", "f".repeat(32))),
                clusters: (0..clusters).map(|n| (named(n), EntrySummary::Ready)).collect(),
                logins: (0..logins).map(|n| (named(n), "192.0.2.100".to_owned())).collect(),
            };
            let (weight, json) = (line.weight(&user("alice")), serde_json::to_string(&line).unwrap().len() + "\"alice\":,".len());
            assert!((json..=json + json / 8 + 64).contains(&weight), "{clusters} and {logins}: {weight} for {json} bytes");
        }
    }

    #[test]
    fn a_cache_without_lines_is_empty() {
        let line = Line { etag: ETag("\"9f\"".into()), clusters: BTreeMap::new(), logins: BTreeMap::new() };
        let one = LedgerCache::of(&[(user("alice"), line)].into());
        assert!(LedgerCache::default().is_empty());
        assert!(!one.is_empty() && one.len() == 1);
    }

    /// What each entry says to a sweep; nothing of what is over.
    #[test]
    fn a_line_has_what_is_owed_ready_or_stuck() {
        let of = |text: &str| EntrySummary::of(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"phase": {"is": "ready"}}"#), Some(EntrySummary::Ready));
        assert_eq!(of(r#"{"phase": {"is": "stuck"}}"#), Some(EntrySummary::Stuck));
        assert_eq!(of(r#"{"phase": {"is": "failing"}}"#), Some(EntrySummary::Owed));
        assert_eq!(of("{}"), None);
    }

    #[test]
    fn only_lines_of_the_listed_version_hold() {
        let line = |etag: &str| Line { etag: ETag(etag.into()), clusters: BTreeMap::new(), logins: BTreeMap::new() };
        let cache = LedgerCache::of(&[(user("alice"), line("a")), (user("bob"), line("b")), (user("carol"), line("c"))].into());
        let listed = [("alice", "a"), ("bob", "b2"), ("dave", "d")].map(|(name, etag)| (user(name), ETag(etag.into())));
        let (known, changed) = cache.split(listed.into());
        assert_eq!(known, [(user("alice"), line("a"))].into());
        assert_eq!(changed, [user("bob"), user("dave")].into());
    }

    #[test]
    fn it_stays_below_its_limit_whatever_users_have() {
        let etag = ETag(format!("\"{}\"", "f".repeat(32)));
        let many = |names: usize| Line {
            etag: etag.clone(),
            clusters: (0..names).map(|n| (testing::cluster("u", &format!("{n:040}")).name, EntrySummary::Stuck)).collect(),
            logins: (0..names).map(|n| (testing::cluster("u", &format!("{n:040}")).name, "192.0.2.100".to_owned())).collect(),
        };
        for names in [0, 1, 200] {
            let line = many(names);
            let lines: BTreeMap<User, Line> = (0..100_000 / (names + 1)).map(|n| (user(&format!("{n:064}")), line.clone())).collect();
            let seen = LedgerCache::of(&lines);
            let bytes = seen.bytes().len();
            assert!(bytes < BYTES_MAX && bytes > BYTES_MAX / 2, "{names}: {bytes} bytes of {} ledgers", seen.len());
            assert!(seen.len() < lines.len());
        }
    }
}
