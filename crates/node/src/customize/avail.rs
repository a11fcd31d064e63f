//! `customize avail`: the profiles that could be applied, by the bucket's index, or where that cannot be read by a listing.

use std::collections::BTreeMap;

use super::index::{self, HIDDEN, Index};
use super::{PREFIX, REPOSITORY};
use crate::profile::shown;
use crate::store::{Store, StoreError};

/// The most objects of a listing that are looked at.
const OBJECTS_MAX: usize = 10_000;

/// What is to be had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Available {
    /// `account/<profile>`, with its tags in brackets where it has some.
    pub lines: Vec<String>,
    /// What is to be known about the list.
    pub notes: Vec<String>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
#[error(
    "the profiles of the bucket {bucket} cannot be listed: its {} cannot be read ({index}), nor may its objects be listed ({listing}); ask an administrator for the profile's name, or for a right",
    index::KEY
)]
pub struct AvailError {
    bucket: String,
    index: String,
    listing: StoreError,
}

/// The profiles of the bucket that are not installed and not hidden.
pub async fn available<S: Store>(store: &S, bucket: &str, installed: &[String]) -> Result<Available, AvailError> {
    let read = read_index(store, bucket).await;
    let (tags, notes) = match &read {
        Ok(index) => (index.tags(), Vec::new()),
        Err(reason) => {
            let (names, more) =
                listed(store, bucket).await.map_err(|listing| AvailError { bucket: bucket.to_owned(), index: reason.clone(), listing })?;
            let mut notes = vec![format!("{} cannot be read ({reason}), so this is what a listing of the bucket shows", index::KEY)];
            notes.extend(more.then(|| format!("only its first {OBJECTS_MAX} objects were listed; there may be more profiles")));
            return Ok(Available { lines: shown_lines(names.iter().map(|name| (name.as_str(), vec![])).collect(), installed), notes });
        }
    };
    Ok(Available { lines: shown_lines(tags, installed), notes })
}

/// The index, or why it cannot be read.
pub async fn read_index<S: Store>(store: &S, bucket: &str) -> Result<Index, String> {
    let (bytes, _) = store.get(bucket, index::KEY, index::BYTES_MAX).await.map_err(|error| error.to_string())?;
    Index::parse(&bytes).map_err(|error| error.to_string())
}

fn shown_lines(tags: BTreeMap<&str, Vec<&str>>, installed: &[String]) -> Vec<String> {
    let wanted = |(name, tags): &(&str, Vec<&str>)| !tags.contains(&HIDDEN) && !installed.iter().any(|known| known == name);
    let line = |(name, tags): (&str, Vec<&str>)| {
        let name = format!("{REPOSITORY}/{}", shown(name.as_ref()));
        if tags.is_empty() { name } else { format!("{name} [{}]", shown(tags.join(", ").as_ref())) }
    };
    tags.into_iter().filter(wanted).map(line).collect()
}

/// The profiles by a listing, and whether there may be more.
async fn listed<S: Store>(store: &S, bucket: &str) -> Result<(Vec<String>, bool), StoreError> {
    let (objects, more) = store.list(bucket, PREFIX, OBJECTS_MAX).await?;
    let profile = |key: &str| Some(key.strip_prefix(PREFIX)?.split_once('/')?.0.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(|object| profile(&object.key)).collect();
    names.sort();
    names.dedup();
    Ok((names, more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customize::testing::Bucket;

    #[tokio::test]
    async fn hidden_and_installed_profiles_are_not_shown_and_tags_are() {
        let bucket = Bucket::new();
        let mut index = Index::default();
        for (name, tags) in [("foo", vec![]), ("gpu", vec!["startup"]), ("secret", vec!["hidden"]), ("mine", vec![])] {
            index.set(name, &[], &tags.into_iter().map(str::to_owned).collect::<Vec<_>>());
        }
        bucket.write(index::KEY, index.text());
        let seen = available(&bucket.store, "profiles", &["mine".to_owned()]).await.unwrap();
        assert_eq!(seen, Available { lines: vec!["account/foo".into(), "account/gpu [startup]".into()], notes: vec![] });
    }

    #[tokio::test]
    async fn without_an_index_a_listing_is_shown_and_called_one_and_without_both_the_reason() {
        let bucket = Bucket::new();
        for key in ["customizer/foo/configure.d/a.sh", "customizer/foo/x", "customizer/\u{1b}[2Jbar/start.d/a", "other/y"] {
            bucket.write(key, "#!/bin/sh\n");
        }
        let seen = available(&bucket.store, "profiles", &[]).await.unwrap();
        assert_eq!((seen.lines.len(), seen.lines[1].as_str()), (2, "account/foo"));
        assert!(!seen.lines[0].contains('\u{1b}'));
        assert!(seen.notes[0].contains("what a listing of the bucket shows"), "{:?}", seen.notes);
        bucket.store.refuse("list ");
        let error = available(&bucket.store, "profiles", &[]).await.unwrap_err().to_string();
        assert!(error.contains("nor may its objects be listed"), "{error}");
    }
}
