//! Queries to AWS: one query, one call; only ReadProfile may take one for each page.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::EncodingType;
use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::causes::StackEvent;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::ledger::{self, Ledger};
use cf_core::ledger_cache;
use cf_core::names::User;
use cf_core::node_report;
use cf_core::observe::query::{
    FindObject, FindRecord, ListEvents, ListFolder, ListHomes, ListLedgers, ListReports, ListResources, ListStacks, ReadFirstHour,
    ReadLedger, ReadLedgerCache, ReadProfile, ReadReport, ReadStatus, ReadUpload, StackById, StackByName,
};
use cf_core::observe::{Listed, Object, Page, RunQuery};
use cf_core::profile::Profile;
use cf_core::request::ETag;
use cf_core::stack::{ResourceStatus, Stack};
use jiff::Timestamp;

use crate::client::Aws;
use crate::event;
use crate::fault::{code, fault};

impl RunQuery<ReadLedger> for Aws {
    async fn run_query(&self, query: ReadLedger) -> Result<Option<(Ledger, ETag)>, Fault> {
        self.ledger(&query.0).await
    }
}

impl RunQuery<ReadUpload> for Aws {
    async fn run_query(&self, query: ReadUpload) -> Result<Option<Object>, Fault> {
        if query.body { self.get(&self.settings.user_bucket, &query.key, BODY_BYTES_MAX).await } else { self.head(&query.key).await }
    }
}

impl RunQuery<ListFolder> for Aws {
    async fn run_query(&self, query: ListFolder) -> Result<Page<Listed>, Fault> {
        self.folder(&self.settings.user_bucket, &query.0).await
    }
}

impl RunQuery<FindObject> for Aws {
    async fn run_query(&self, query: FindObject) -> Result<Option<Listed>, Fault> {
        self.listed(&query.0).await
    }
}

impl RunQuery<ReadStatus> for Aws {
    async fn run_query(&self, query: ReadStatus) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        self.status(&query.0).await
    }
}

impl RunQuery<ReadProfile> for Aws {
    async fn run_query(&self, query: ReadProfile) -> Result<Profile, Fault> {
        self.profile(&query.0).await
    }
}

impl RunQuery<StackByName> for Aws {
    async fn run_query(&self, query: StackByName) -> Result<Option<Box<Stack>>, Fault> {
        self.stack(query.0.as_str()).await
    }
}

impl RunQuery<StackById> for Aws {
    async fn run_query(&self, query: StackById) -> Result<Option<Box<Stack>>, Fault> {
        self.stack(&query.0.0).await
    }
}

impl RunQuery<ListEvents> for Aws {
    async fn run_query(&self, query: ListEvents) -> Result<Page<StackEvent>, Fault> {
        self.events(&query.stack, query.page).await
    }
}

impl RunQuery<ListResources> for Aws {
    async fn run_query(&self, query: ListResources) -> Result<Page<ResourceStatus>, Fault> {
        self.resources(&query.stack, query.page).await
    }
}

impl RunQuery<ListLedgers> for Aws {
    async fn run_query(&self, query: ListLedgers) -> Result<Page<(String, ETag)>, Fault> {
        let page = self.list(&self.settings.system_bucket, ledger::PREFIX, query.0).await?;
        Ok(Page { items: page.items.into_iter().map(|l| (l.key, l.etag)).collect(), next: page.next })
    }
}

impl RunQuery<ListStacks> for Aws {
    async fn run_query(&self, query: ListStacks) -> Result<Page<Stack>, Fault> {
        self.stacks(query.0).await
    }
}

impl RunQuery<ReadLedgerCache> for Aws {
    async fn run_query(&self, _: ReadLedgerCache) -> Result<Option<Vec<u8>>, Fault> {
        self.seen().await
    }
}

impl RunQuery<ReadFirstHour> for Aws {
    async fn run_query(&self, _: ReadFirstHour) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        self.first_hour().await
    }
}

impl RunQuery<ListHomes> for Aws {
    async fn run_query(&self, query: ListHomes) -> Result<Page<(String, Timestamp)>, Fault> {
        self.homes(query.0).await
    }
}

impl RunQuery<ListReports> for Aws {
    async fn run_query(&self, query: ListReports) -> Result<Page<Listed>, Fault> {
        self.folder(&self.settings.system_bucket, &query.0).await
    }
}

impl RunQuery<ReadReport> for Aws {
    async fn run_query(&self, query: ReadReport) -> Result<Option<Object>, Fault> {
        self.get(&self.settings.system_bucket, &query.0, node_report::BYTES_MAX).await
    }
}

impl RunQuery<FindRecord> for Aws {
    /// By a listing: all functions may list the system bucket, and none has a right to read there what is not its own.
    async fn run_query(&self, query: FindRecord) -> Result<bool, Fault> {
        let page = self.list(&self.settings.system_bucket, &query.0, None).await?;
        Ok(page.items.iter().any(|listed| listed.key == query.0))
    }
}

/// A page has 1,000 names. After 100 pages without a script the user is treated as having none.
const PROFILE_PAGES_MAX: usize = 100;

/// S3's time in whole seconds, as the request id wants it.
pub fn timestamp(at: Option<&DateTime>) -> Timestamp {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// No object is read beyond its limit, whatever its Content-Length said.
pub async fn read_bounded(output: GetObjectOutput, most: usize) -> Result<Body, Fault> {
    let length = u64::try_from(output.content_length().unwrap_or(0)).unwrap_or(0);
    if length > most as u64 {
        return Ok(Body::TooLarge(length));
    }
    let mut stream = output.body;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Fault::new(Kind::Retry, Call::GetObject, e.to_string()))?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Ok(Body::TooLarge(bytes.len() as u64));
        }
    }
    Ok(Body::Read(bytes))
}

impl Aws {
    pub(crate) async fn fetch(&self, bucket: &str, key: &str) -> Result<Option<GetObjectOutput>, Fault> {
        let got = self.s3.get_object().bucket(bucket).key(key).expected_bucket_owner(&self.account).send().await;
        match got {
            Ok(output) => Ok(Some(output)),
            Err(e) if is_missing(&code(&e)) => Ok(None),
            Err(e) => Err(fault(&e)),
        }
    }

    /// A file of a user, or of a user's node. `Rejected` where S3 does not give this one out.
    async fn fetch_file(&self, bucket: &str, key: &str) -> Result<Option<GetObjectOutput>, Fault> {
        let got = self.s3.get_object().bucket(bucket).key(key).expected_bucket_owner(&self.account).send().await;
        match got {
            Ok(output) => Ok(Some(output)),
            Err(e) if is_missing(&code(&e)) => Ok(None),
            Err(e) => Err(of_a_file(fault(&e), &code(&e))),
        }
    }

    async fn get(&self, bucket: &str, key: &str, most: usize) -> Result<Option<Object>, Fault> {
        let Some(output) = self.fetch_file(bucket, key).await? else { return Ok(None) };
        Ok(Some(Object {
            version: output.version_id().map(str::to_owned),
            etag: etag(Call::GetObject, output.e_tag())?,
            modified: timestamp(output.last_modified()),
            body: read_bounded(output, most).await?,
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<Object>, Fault> {
        let got = self.s3.head_object().bucket(&self.settings.user_bucket).key(key).expected_bucket_owner(&self.account).send().await;
        match got {
            Ok(output) => Ok(Some(Object {
                version: output.version_id().map(str::to_owned),
                etag: etag(Call::HeadObject, output.e_tag())?,
                modified: timestamp(output.last_modified()),
                body: Body::Unread,
            })),
            Err(e) if is_missing(&code(&e)) || matches!(&e, SdkError::ServiceError(s) if s.err().is_not_found()) => Ok(None),
            Err(e) => Err(of_a_file(fault(&e), &code(&e))),
        }
    }

    async fn ledger(&self, user: &User) -> Result<Option<(Ledger, ETag)>, Fault> {
        let Some(output) = self.fetch(&self.settings.system_bucket, &ledger::key(user)).await? else { return Ok(None) };
        let etag = etag(Call::GetObject, output.e_tag())?;
        let bytes = output.body.collect().await.map_err(|e| Fault::new(Kind::Retry, Call::GetObject, e.to_string()))?;
        let ledger = serde_json::from_slice(&bytes.into_bytes())
            .map_err(|e| Fault::new(Kind::Retry, Call::GetObject, format!("the ledger of {user} cannot be read: {e}")))?;
        Ok(Some((ledger, etag)))
    }

    async fn status(&self, key: &str) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        let Some(output) = self.fetch_file(&self.settings.user_bucket, key).await? else { return Ok(None) };
        let etag = etag(Call::GetObject, output.e_tag())?;
        Ok(Some(match read_bounded(output, BODY_BYTES_MAX).await? {
            Body::Read(bytes) => (bytes, etag),
            // Somebody put something else there: it is written over.
            Body::TooLarge(_) | Body::Unreadable(_) | Body::Unread => (Vec::new(), etag),
        }))
    }

    async fn seen(&self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(output) = self.fetch(&self.settings.system_bucket, ledger_cache::KEY).await? else { return Ok(None) };
        Ok(match read_bounded(output, ledger_cache::BYTES_MAX).await? {
            Body::Read(bytes) => Some(bytes),
            // No function of ours writes so much: it is written anew.
            Body::TooLarge(_) | Body::Unreadable(_) | Body::Unread => None,
        })
    }

    /// Page by page until there is a script, or the listing ends. With a delimiter, a folder is one line of it, whatever is in it.
    async fn profile(&self, user: &User) -> Result<Profile, Fault> {
        let prefix = format!("customizer/{user}/configure.d/");
        let mut profile = Profile::default();
        let mut token = None;
        for _ in 0..PROFILE_PAGES_MAX {
            let request = self.s3.list_objects_v2().bucket(&self.settings.customizer_bucket).prefix(&prefix).delimiter("/");
            // Encoded, because XML has no way to write some characters that keys may hold.
            let request = request.encoding_type(EncodingType::Url).set_continuation_token(token.take());
            let page = request.expected_bucket_owner(&self.account).send().await.map_err(|e| fault(&e))?;
            let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
            let name = |key: Option<&str>| {
                let key = key.unwrap_or_default();
                let key = if is_encoded { event::decode(key).unwrap_or_default() } else { key.to_owned() };
                key.strip_prefix(&prefix).map(str::to_owned)
            };
            for (object, name) in page.contents().iter().filter_map(|o| Some((o, name(o.key())?))) {
                profile.note(&name, u64::try_from(object.size().unwrap_or(0)).unwrap_or(0));
            }
            page.common_prefixes().iter().filter_map(|folder| name(folder.prefix())).for_each(|folder| profile.note(&folder, 0));
            token = page.next_continuation_token().map(str::to_owned);
            if profile.has_script || token.is_none() {
                break;
            }
        }
        Ok(profile)
    }

    async fn list(&self, bucket: &str, prefix: &str, token: Option<String>) -> Result<Page<Listed>, Fault> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(token);
        let listed = request.expected_bucket_owner(&self.account).send().await.map_err(|e| fault(&e))?;
        page_of(&listed, |o| o.key().map(str::to_owned))
    }

    /// The first page of the objects whose keys begin so. Deeper folders are one line each; keys come encoded, because a user or a node
    /// may put characters into one that XML cannot carry, and then no line of the page could be read.
    async fn folder(&self, bucket: &str, prefix: &str) -> Result<Page<Listed>, Fault> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).delimiter("/");
        let request = request.encoding_type(EncodingType::Url).expected_bucket_owner(&self.account);
        let listed = request.send().await.map_err(|e| fault(&e))?;
        page_of(&listed, |o| event::decode(o.key()?))
    }

    /// The object at a key, by a listing of one: of all keys that begin with it, it comes first.
    async fn listed(&self, key: &str) -> Result<Option<Listed>, Fault> {
        let request = self.s3.list_objects_v2().bucket(&self.settings.user_bucket).prefix(key).max_keys(1);
        let request = request.encoding_type(EncodingType::Url).expected_bucket_owner(&self.account);
        let listed = request.send().await.map_err(|e| fault(&e))?;
        Ok(page_of(&listed, |o| event::decode(o.key()?))?.items.into_iter().find(|l| l.key == key))
    }
}

fn page_of(listed: &ListObjectsV2Output, key: impl Fn(&aws_sdk_s3::types::Object) -> Option<String>) -> Result<Page<Listed>, Fault> {
    let mut items = Vec::new();
    for object in listed.contents() {
        let Some(key) = key(object) else { continue };
        let size = u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
        items.push(Listed { key, etag: etag(Call::ListObjectsV2, object.e_tag())?, size, modified: timestamp(object.last_modified()) });
    }
    // A page without a token that is cut off all the same has a rest, whatever it lacks.
    let next = listed.next_continuation_token().map(str::to_owned);
    let next = next.or_else(|| listed.is_truncated().unwrap_or(false).then(String::new));
    Ok(Page { items, next })
}

/// S3 does not give this file out, and will not as it is: archived, encrypted with a key that we do not have (KMS: 403, the
/// user's own: 400; S3 User Guide, "Using server-side encryption with customer-provided keys"), or another account's. HEAD has
/// no body, so there the status must do.
pub fn of_a_file(fault: Fault, code: &str) -> Fault {
    let is_withheld = matches!(code, "AccessDenied" | "InvalidRequest" | "InvalidObjectState" | "InvalidArgument" | "400" | "403")
        || code.starts_with("KMS.");
    if is_withheld { Fault { kind: Kind::Rejected, ..fault } } else { fault }
}

/// The version that S3 named. Every write depends on one, so an answer without it is no answer.
pub fn etag(call: Call, text: Option<&str>) -> Result<ETag, Fault> {
    match text {
        Some(text) if !text.is_empty() => Ok(ETag(text.to_owned())),
        _ => Err(Fault::new(Kind::Retry, call, "the answer names no ETag")),
    }
}

fn is_missing(code: &str) -> bool {
    matches!(code, "NoSuchKey" | "NotFound" | "404")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_version_is_an_error() {
        for missing in [None, Some("")] {
            assert_eq!(etag(Call::GetObject, missing).map_err(|fault| fault.kind), Err(Kind::Retry));
        }
        assert_eq!(etag(Call::GetObject, Some("\"e\"")), Ok(ETag("\"e\"".into())));
    }
}
