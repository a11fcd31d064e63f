//! Looking at AWS: one question, one call.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::fault::{Fault, Kind};
use cf_core::ledger::{self, Ledger};
use cf_core::names::User;
use cf_core::question::{Listed, Object, Observe, Page, Question, Sight};
use cf_core::request::ETag;
use cf_core::seen;
use jiff::Timestamp;

use crate::client::Aws;
use crate::fault::{code, fault};

impl Observe for Aws {
    async fn observe(&self, question: Question) -> Result<Sight, Fault> {
        Ok(match question {
            Question::Ledger(user) => Sight::Ledger(self.ledger(&user).await?),
            Question::Upload { key, body: true } => Sight::Upload(self.get(&key).await?),
            Question::Upload { key, body: false } => Sight::Upload(self.head(&key).await?),
            Question::Folder(prefix) => Sight::Folder(self.list(&self.site.user_bucket, &prefix, None).await?.items),
            Question::Status(key) => Sight::Status(self.status(&key).await?),
            Question::Profile(user) => Sight::Profile(self.profile(&user).await?),
            Question::StackNamed(name) => Sight::Stack(self.stack(name.as_str()).await?),
            Question::Stack(id) => Sight::Stack(self.stack(&id.0).await?),
            Question::Events(id, token) => Sight::Events(self.events(&id, token).await?),
            Question::Resources(id, token) => Sight::Resources(self.resources(&id, token).await?),
            Question::Ledgers(token) => {
                let page = self.list(&self.site.system_bucket, ledger::PREFIX, token).await?;
                Sight::Ledgers(Page { items: page.items.into_iter().map(|l| (l.key, l.etag)).collect(), next: page.next })
            }
            Question::Stacks(token) => Sight::Stacks(self.stacks(token).await?),
            Question::Seen => Sight::Seen(self.seen().await?),
        })
    }
}

/// S3's time in whole seconds, as the request id wants it.
fn timestamp(at: Option<&DateTime>) -> Timestamp {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// No object is read beyond its limit, whatever its Content-Length said.
async fn read_bounded(output: GetObjectOutput, most: usize) -> Result<Body, Fault> {
    let length = u64::try_from(output.content_length().unwrap_or(0)).unwrap_or(0);
    if length > most as u64 {
        return Ok(Body::TooLarge(length));
    }
    let mut stream = output.body;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Fault::new(Kind::Transient, "s3:GetObject", e.to_string()))?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Ok(Body::TooLarge(bytes.len() as u64));
        }
    }
    Ok(Body::Read(bytes))
}

impl Aws {
    async fn fetch(&self, bucket: &str, key: &str) -> Result<Option<GetObjectOutput>, Fault> {
        let got = self.s3.get_object().bucket(bucket).key(key).expected_bucket_owner(&self.account).send().await;
        match got {
            Ok(output) => Ok(Some(output)),
            Err(e) if is_missing(&code(&e)) => Ok(None),
            Err(e) => Err(fault("s3:GetObject", &e)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, Fault> {
        let output = match self.fetch(&self.site.user_bucket, key).await {
            Ok(Some(output)) => output,
            Ok(None) => return Ok(None),
            // Told to its user, instead of being tried until it is parked.
            Err(fault) if fault.kind == Kind::Permanent => {
                let head = self.head(key).await?;
                return Ok(head.map(|object| Object { body: Body::Unreadable(fault.why), ..object }));
            }
            Err(fault) => return Err(fault),
        };
        Ok(Some(Object {
            version: output.version_id().map(str::to_owned),
            etag: etag(output.e_tag()),
            modified: timestamp(output.last_modified()),
            body: read_bounded(output, BODY_BYTES_MAX).await?,
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<Object>, Fault> {
        let got = self.s3.head_object().bucket(&self.site.user_bucket).key(key).expected_bucket_owner(&self.account).send().await;
        match got {
            Ok(output) => Ok(Some(Object {
                version: output.version_id().map(str::to_owned),
                etag: etag(output.e_tag()),
                modified: timestamp(output.last_modified()),
                body: Body::Unread,
            })),
            Err(e) if is_missing(&code(&e)) || matches!(&e, SdkError::ServiceError(s) if s.err().is_not_found()) => Ok(None),
            Err(e) => Err(fault("s3:HeadObject", &e)),
        }
    }

    async fn ledger(&self, user: &User) -> Result<Option<(Ledger, ETag)>, Fault> {
        let Some(output) = self.fetch(&self.site.system_bucket, &ledger::key(user)).await? else { return Ok(None) };
        let etag = etag(output.e_tag());
        let bytes = output.body.collect().await.map_err(|e| Fault::new(Kind::Transient, "s3:GetObject", e.to_string()))?;
        let ledger = serde_json::from_slice(&bytes.into_bytes())
            .map_err(|e| Fault::new(Kind::Transient, "s3:GetObject", format!("the ledger of {user} cannot be read: {e}")))?;
        Ok(Some((ledger, etag)))
    }

    async fn status(&self, key: &str) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        let Some(output) = self.fetch(&self.site.user_bucket, key).await? else { return Ok(None) };
        let etag = etag(output.e_tag());
        Ok(Some(match read_bounded(output, BODY_BYTES_MAX).await? {
            Body::Read(bytes) => (bytes, etag),
            // Somebody put something else there: it is written over.
            Body::TooLarge(_) | Body::Unreadable(_) | Body::Unread => (Vec::new(), etag),
        }))
    }

    async fn seen(&self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(output) = self.fetch(&self.site.system_bucket, seen::KEY).await? else { return Ok(None) };
        Ok(match read_bounded(output, seen::BYTES_MAX).await? {
            Body::Read(bytes) => Some(bytes),
            // No function of ours writes so much: it is written anew.
            Body::TooLarge(_) | Body::Unreadable(_) | Body::Unread => None,
        })
    }

    async fn profile(&self, user: &User) -> Result<bool, Fault> {
        let prefix = format!("customizer/{user}/configure.d/");
        let request = self.s3.list_objects_v2().bucket(&self.site.customizer_bucket).prefix(&prefix).max_keys(2);
        let listed = request.expected_bucket_owner(&self.account).send().await.map_err(|e| fault("s3:ListObjectsV2", &e))?;
        // Consoles make an empty object for a folder; that is no script.
        Ok(listed.contents().iter().any(|o| o.key() != Some(&prefix)))
    }

    async fn list(&self, bucket: &str, prefix: &str, token: Option<String>) -> Result<Page<Listed>, Fault> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(token);
        let listed = request.expected_bucket_owner(&self.account).send().await.map_err(|e| fault("s3:ListObjectsV2", &e))?;
        let size = |o: &aws_sdk_s3::types::Object| u64::try_from(o.size().unwrap_or(0)).unwrap_or(0);
        let item = |o: &aws_sdk_s3::types::Object| Some(Listed { key: o.key()?.to_owned(), etag: etag(o.e_tag()), size: size(o) });
        let items = listed.contents().iter().filter_map(item).collect();
        Ok(Page { items, next: listed.next_continuation_token().map(str::to_owned) })
    }
}

fn etag(text: Option<&str>) -> ETag {
    ETag(text.unwrap_or_default().to_owned())
}

fn is_missing(code: &str) -> bool {
    matches!(code, "NoSuchKey" | "NotFound" | "404")
}
