//! The files of one cluster in one folder, as they lay there together at one moment.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use futures_util::try_join;

use super::listed;
use super::query::{ListFolder, Listed, Object, Observe, ReadUpload};
use crate::body::{BODY_BYTES_MAX, Body};
use crate::fault::{Call, Fault, Kind};
use crate::key::{AnswerKey, Folder, Reading, StatusKey, UploadKey, read};
use crate::names::Cluster;
use crate::request::{ETag, RequestId};
use crate::snapshot::Upload;
use crate::status::Status;

/// Uploads and answers of one cluster in one or more folders.
#[derive(Default)]
pub struct ClusterFiles {
    pub uploads: Vec<Upload>,
    pub answers: BTreeMap<AnswerKey, ETag>,
    pub statuses: BTreeMap<StatusKey, ETag>,
}

impl ClusterFiles {
    /// Notes the version of a status file that was read, and gives what it says. What cannot be read says nothing.
    pub fn note_status_version(&mut self, key: StatusKey, seen: Option<(Vec<u8>, ETag)>) -> Option<Status> {
        let Some((bytes, etag)) = seen else {
            self.statuses.remove(&key);
            return None;
        };
        self.statuses.insert(key, etag);
        serde_json::from_slice(&bytes).ok()
    }

    pub fn merge(&mut self, other: Self) {
        self.uploads.extend(other.uploads);
        self.answers.extend(other.answers);
        self.statuses.extend(other.statuses);
    }
}

/// The files of one cluster in one folder. Deeper folders may begin as the cluster's files do (`x.cf-old/x.cf-create`): they are
/// other folders, and each upload in them has an event of its own.
///
/// The upload that an event `named` is read beside the listing, which saves a round; what was read counts where the listing shows the
/// same. An upload that S3 does not give out may have gone: the listing shows whether it has to be read.
pub async fn folder<W: Observe>(world: &W, folder: &Folder, cluster: &Cluster, named: Option<&UploadKey>) -> Result<ClusterFiles, Fault> {
    let mut near = ClusterFiles::default();
    let mut requests = Vec::new();
    let (files, named_object) = try_join!(files(world, folder, cluster), read_named(world, named))?;
    for listed in files {
        match read(&listed.key) {
            Reading::Request(request) if request.cluster == *cluster => requests.push((request, listed)),
            _ => {
                near.statuses.extend(StatusKey::read(&listed.key).map(|key| (key, listed.etag.clone())));
                near.answers.extend(AnswerKey::read(&listed.key).map(|key| (key, listed.etag)));
            }
        }
    }
    let object_if_listed =
        |key: &UploadKey, listed: &Listed| named_object.as_ref().filter(|object| named == Some(key) && is_same(object, listed)).cloned();
    let found = requests.into_iter().map(|(key, listed)| {
        let object = object_if_listed(&key, &listed);
        upload(world, key, listed, object)
    });
    let found = try_join_all(found).await?;
    near.uploads = found.into_iter().flatten().collect();
    Ok(near)
}

/// What lies in a folder under the names that matter to a cluster. Where that does not fit on one page of a listing, the user
/// has files of other names there that begin alike: then each name that matters is looked up alone, so that a look costs the
/// same however many there are.
async fn files<W: Observe>(world: &W, folder: &Folder, cluster: &Cluster) -> Result<Vec<Listed>, Fault> {
    let page = world.run_query(ListFolder(folder.stem(&cluster.name))).await?;
    if page.next.is_none() {
        let is_here = |l: &Listed| l.key.strip_prefix(folder.as_str()).is_some_and(|name| !name.contains('/'));
        return Ok(page.items.into_iter().filter(is_here).collect());
    }
    let names = folder.files(&cluster.name);
    let found = try_join_all(names.iter().map(|key| listed(world, key))).await?;
    // What lay there together orders the files of one second, and lookups are not one moment: unless all of them say the same
    // twice, one round after the other.
    let again = try_join_all(names.iter().map(|key| listed(world, key))).await?;
    let requests = |round: &[Option<Listed>]| -> Vec<Listed> {
        round.iter().flatten().filter(|l| matches!(read(&l.key), Reading::Request(_))).cloned().collect()
    };
    if requests(&found) != requests(&again) {
        return Err(Fault::new(Kind::Conflict, Call::ListObjectsV2, format!("files were put or removed in {} meanwhile", folder.as_str())));
    }
    Ok(again.into_iter().flatten().collect())
}

/// The upload that an event named, if it can be read.
async fn read_named<W: Observe>(world: &W, named: Option<&UploadKey>) -> Result<Option<Object>, Fault> {
    let Some(key) = named else { return Ok(None) };
    match world.run_query(query(key)).await {
        Err(fault) if fault.kind == Kind::Rejected => Ok(None),
        read => read,
    }
}

/// How an upload is read.
fn query(key: &UploadKey) -> ReadUpload {
    ReadUpload { key: key.to_string(), body: key.verb.spec().reads_body }
}

/// Whether an object is the one of a listing, as far as both show.
fn is_same(object: &Object, listed: &Listed) -> bool {
    (&object.etag, object.modified) == (&listed.etag, listed.modified)
}

/// The listing is newer than the event, so its size decides whether the content is asked for at all, unless `object` was read beside
/// the listing; GET's own length is checked before anything is read, for the upload may have been replaced since. If the version
/// read differs from the listed one and a new listing confirms it, this is a conflict and observing starts over: only one listing
/// shows which files existed together.
async fn upload<W: Observe>(world: &W, key: UploadKey, listed: Listed, object: Option<Object>) -> Result<Option<Upload>, Fault> {
    let size = listed.size;
    let is_large = size > BODY_BYTES_MAX as u64;
    let read = match object {
        Some(object) => Ok(Some(object)),
        None => world.run_query(ReadUpload { body: query(&key).body && !is_large, ..query(&key) }).await,
    };
    match read {
        Ok(Some(o)) if !is_same(&o, &listed) && was_replaced(world, &listed).await? => {
            Err(Fault::new(Kind::Conflict, Call::GetObject, format!("{key} was replaced since it was listed")))
        }
        Ok(object) => Ok(object.map(|o| Upload {
            request: RequestId::of(&key.to_string(), o.version.as_deref(), &o.etag, o.modified),
            key,
            etag: o.etag,
            modified: o.modified,
            body: if is_large { Body::TooLarge(size) } else { o.body },
            is_withheld: false,
        })),
        Err(fault) if fault.kind == Kind::Rejected => withheld(world, key, &listed, fault).await,
        Err(fault) => Err(fault),
    }
}

/// Whether a listing shows another object at a key than it did. Where it does not, GET and the listing only wrote the same ETag or time differently.
async fn was_replaced<W: Observe>(world: &W, before: &Listed) -> Result<bool, Fault> {
    Ok(listed(world, &before.key).await?.as_ref() != Some(before))
}

/// An upload that S3 does not give out. It must not keep its neighbours from their answers, so it is known by its line in a
/// listing: made anew, for S3 says "forbidden" of an object that has gone, too, where it does not trust the caller to list.
async fn withheld<W: Observe>(world: &W, key: UploadKey, before: &Listed, fault: Fault) -> Result<Option<Upload>, Fault> {
    let now = listed(world, &key.to_string()).await?;
    if now.as_ref().is_some_and(|now| now != before) {
        // What was put in its place may be given out.
        return Err(Fault { kind: Kind::Conflict, ..fault });
    }
    Ok(now.map(|l| Upload {
        request: RequestId::of(&l.key, None, &l.etag, l.modified),
        body: if key.verb.spec().reads_body { Body::Unreadable(fault.why) } else { Body::Unread },
        key,
        etag: l.etag,
        modified: l.modified,
        is_withheld: true,
    }))
}
