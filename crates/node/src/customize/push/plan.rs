//! What a push writes and removes: a pure decision over the files here, the objects there, and the record of earlier pushes.

use std::collections::{BTreeMap, BTreeSet};

use super::local::Source;
use super::record::{self, Record};
use crate::store::{Expect, Object};

/// The most files that a refusal names.
const NAMED_MAX: usize = 10;

/// What a push does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Files that are written, each with what must be there.
    pub writes: Vec<(String, Expect)>,
    /// Files that are removed: an earlier push wrote them, they are gone here, and nobody has changed them.
    pub removals: Vec<String>,
    /// How many files are the same here and there.
    pub unchanged: usize,
    /// Files that differ, and that no push wrote. With any of them nothing is done.
    pub foreign: Vec<String>,
    /// The record without what is written: that of the files that stay.
    pub kept: Record,
    /// What is to be known.
    pub notes: Vec<String>,
}

impl Plan {
    /// Decides. `remote`: the profile's objects by their paths; `same`: the paths whose objects hold what the files here hold.
    pub fn decide(local: &Source, remote: &[Object], record: &Record, same: &[String], overwrite: bool) -> Self {
        let there: BTreeMap<&str, &str> = remote.iter().map(|object| (object.key.as_str(), object.etag.as_str())).collect();
        let same: BTreeSet<&str> = same.iter().map(String::as_str).collect();
        let here: BTreeSet<&str> = local.files.iter().map(|file| file.path.as_str()).collect();
        let is_ours = |path: &str| there.get(path).is_some_and(|etag| record.files.get(path).is_some_and(|wrote| wrote == etag));
        let mut plan = Self::default();
        for path in &here {
            match there.get(path) {
                None => plan.writes.push(((*path).to_owned(), Expect::Absent)),
                Some(etag) if same.contains(path) => {
                    plan.unchanged += 1;
                    plan.kept.files.insert((*path).to_owned(), (*etag).to_owned());
                }
                Some(etag) if overwrite || is_ours(path) => plan.writes.push(((*path).to_owned(), Expect::Is((*etag).to_owned()))),
                Some(_) => plan.foreign.push((*path).to_owned()),
            }
        }
        for (path, etag) in record.files.iter().filter(|(path, _)| !here.contains(path.as_str()) && there.contains_key(path.as_str())) {
            if local.whole && is_ours(path) && is_removable(path) {
                plan.removals.push(path.clone());
            } else if local.whole {
                plan.notes.push(format!("{path} stays in the bucket: it was changed there since it was pushed"));
            } else {
                plan.kept.files.insert(path.clone(), etag.clone());
            }
        }
        plan.bound_foreign();
        plan
    }

    fn bound_foreign(&mut self) {
        let more = self.foreign.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            self.foreign.truncate(NAMED_MAX);
            self.foreign.push(format!("and {more} more"));
        }
    }
}

/// A record is read from the bucket, so what it names is checked.
fn is_removable(path: &str) -> bool {
    !super::is_queue(path) && path != record::FILE && path != super::MANIFEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::local::LocalFile;
    use super::*;

    fn source(whole: bool, paths: &[String]) -> Source {
        let file = |path: &String| LocalFile { path: path.clone(), file: "/x".into(), size: 1 };
        Source { profile: "foo".parse().unwrap(), whole, files: paths.iter().map(file).collect(), tags: vec![], notes: vec![] }
    }

    fn object(path: &str, etag: &str) -> Object {
        Object { key: path.into(), size: 1, etag: etag.into(), modified: 0 }
    }

    const PATHS: [&str; 6] = ["configure.d/a", "configure.d/b", "start.d/c", "job-queue.d/n/pending/x", "manifest.txt", ".pushed.json"];

    proptest! {
        #[test]
        fn no_push_removes_or_replaces_what_no_push_wrote(
            whole: bool, overwrite: bool,
            here in proptest::collection::vec(any::<bool>(), 3),
            there in proptest::collection::vec(0_u8..3, 6),
            wrote in proptest::collection::vec(0_u8..3, 6),
            equal in proptest::collection::vec(any::<bool>(), 3),
        ) {
            let local: Vec<String> = (0..3).filter(|nth| here[*nth]).map(|nth| PATHS[nth].to_owned()).collect();
            let remote: Vec<Object> = (0..6).filter(|nth| there[*nth] > 0).map(|nth| object(PATHS[nth], &there[nth].to_string())).collect();
            let files = (0..6).filter(|nth| wrote[*nth] > 0).map(|nth| (PATHS[nth].to_owned(), wrote[nth].to_string())).collect();
            let same: Vec<String> = (0..3).filter(|nth| equal[*nth] && here[*nth] && there[*nth] > 0).map(|nth| PATHS[nth].to_owned()).collect();
            let plan = Plan::decide(&source(whole, &local), &remote, &Record { files }, &same, overwrite);
            let unchanged_since_push = |path: &str| {
                let nth = PATHS.iter().position(|known| *known == path).unwrap();
                there[nth] > 0 && there[nth] == wrote[nth]
            };
            for path in &plan.removals {
                prop_assert!(whole && unchanged_since_push(path) && !local.contains(path) && path.contains(".d/") && !path.starts_with("job"));
            }
            for (path, expect) in &plan.writes {
                match expect {
                    Expect::Absent => prop_assert!(!remote.iter().any(|object| object.key == *path)),
                    Expect::Is(_) => prop_assert!(overwrite || unchanged_since_push(path)),
                    Expect::Anything => prop_assert!(false, "no write without a condition"),
                }
            }
            prop_assert_eq!(plan.writes.len() + plan.unchanged + plan.foreign.len(), local.len());
            if !whole { prop_assert!(plan.removals.is_empty()); }
        }
    }
}
