//! The store in S3.
//!
//! Each call names the account that must own the bucket, an unsigned one too. What the node's role may not read is asked for once more
//! without a signature: profiles may be public where the role has no right to them (facts B.3).

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::timeout::TimeoutConfig;
use cf_core::plain::plain;
use percent_encoding::percent_decode_str;
use tempfile::TempPath;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::{Expect, Object, Store, StoreError};
use crate::aws::ATTEMPTS_MAX;

/// S3 gives so many objects a page.
const PAGE_OBJECTS: usize = 1_000;

/// Pages may come with fewer objects, but not for ever.
const SPARE_PAGES: usize = 32;

/// A body that breaks off is asked for again, from its start.
const DOWNLOADS_MAX: usize = 3;

/// A write is given a second more for each so many bytes: what `push` sends may come from a slow line, 0.5 Mbit/s of it. One that stalls
/// ends before: the SDK gives an upload up that moves nothing for 20 s (aws-smithy-runtime, stalled stream protection, on for uploads
/// since its behaviour version of 2024-03-28).
const UPLOAD_BYTES_A_SECOND: u64 = 64 * 1024;

/// How long the store waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first call on: a role that was just made is refused until S3 knows it. Over as soon as one call was not refused.
    pub new_role: Duration,
    /// Between two such attempts.
    pub pause: Duration,
    /// Between two pieces of a body.
    pub stall: Duration,
    /// For one object with all its attempts.
    pub object: Duration,
}

impl Default for Patience {
    /// User data have fetched the agent by the same role just before, so a refusal does not last.
    fn default() -> Self {
        Self {
            new_role: Duration::from_secs(20),
            pause: Duration::from_secs(2),
            stall: Duration::from_secs(20),
            object: Duration::from_mins(10),
        }
    }
}

/// S3. Clones share what they know of the role.
#[derive(Debug, Clone)]
pub struct S3 {
    signed: Client,
    unsigned: Client,
    account: String,
    patience: Patience,
    timeouts: TimeoutConfig,
    role_is_known: Arc<AtomicBool>,
    first_call: Arc<OnceLock<Instant>>,
}

impl S3 {
    /// A store of the buckets of this account.
    pub fn new(config: &SdkConfig, account: &str, patience: Patience) -> Self {
        // Endpoints of one's own (an emulator) have no host name for each bucket.
        let path_style = config.endpoint_url().is_some();
        let mut anonymous = config.to_builder();
        anonymous.set_credentials_provider(None);
        let unsigned = aws_sdk_s3::config::Builder::from(&anonymous.build()).force_path_style(path_style).allow_no_auth();
        let signed = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style);
        Self {
            signed: Client::from_conf(signed.build()),
            unsigned: Client::from_conf(unsigned.build()),
            account: account.to_owned(),
            patience,
            timeouts: config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
            role_is_known: Arc::default(),
            first_call: Arc::default(),
        }
    }

    /// Calls until the role is known.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let first = *self.first_call.get_or_init(Instant::now);
        loop {
            let result = call().await;
            if !matches!(result, Err(StoreError::Denied(_) | StoreError::Unreachable(_))) {
                self.role_is_known.store(true, Ordering::Relaxed);
                return result;
            }
            let is_over = first.elapsed() + self.patience.pause > self.patience.new_role;
            if is_over || self.role_is_known.load(Ordering::Relaxed) {
                return result;
            }
            sleep(self.patience.pause).await;
        }
    }

    /// The time limits of a write of so many bytes: an attempt's time has the body in it.
    fn upload_timeouts(&self, bytes: u64) -> TimeoutConfig {
        let more = Duration::from_secs(bytes / UPLOAD_BYTES_A_SECOND);
        let attempt = self.timeouts.operation_attempt_timeout().map(|time| time + more);
        let call = self.timeouts.operation_timeout().map(|time| time + more * ATTEMPTS_MAX);
        let mut longer = self.timeouts.to_builder();
        longer.set_operation_attempt_timeout(attempt).set_operation_timeout(call);
        longer.build()
    }

    async fn page(&self, bucket: &str, prefix: &str, token: Option<&str>) -> Result<ListObjectsV2Output, StoreError> {
        // Keys come encoded: XML has no way to write some characters that they may hold.
        let request = self.signed.list_objects_v2().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
        let request = request.set_continuation_token(token.map(str::to_owned)).expected_bucket_owner(&self.account);
        request.send().await.map_err(|error| problem(&error))
    }

    /// The answer for an object, before its body.
    async fn open(&self, bucket: &str, key: &str) -> Result<GetObjectOutput, StoreError> {
        let by = |client: &Client| client.get_object().bucket(bucket).key(key).expected_bucket_owner(&self.account).send();
        let signed = self.patiently(|| async { by(&self.signed).await.map_err(|error| problem(&error)) }).await;
        let Err(StoreError::Denied(why)) = signed else { return signed };
        by(&self.unsigned).await.map_err(|_| StoreError::Denied(why))
    }

    /// Reads an object in attempts; each begins with what `sink` gives, and its result is the whole content.
    async fn read<W: AsyncWrite + Unpin, T>(
        &self,
        (bucket, key, most): (&str, &str, u64),
        sink: impl Fn() -> Result<(W, T), StoreError>,
    ) -> Result<(W, T, String), StoreError> {
        let attempts = async {
            let mut attempt = 1;
            loop {
                let got = self.open(bucket, key).await?;
                let etag = got.e_tag().unwrap_or_default().to_owned();
                if got.content_length().is_some_and(|bytes| u64::try_from(bytes).is_ok_and(|bytes| bytes > most)) {
                    return Err(StoreError::TooLong(most));
                }
                let (mut to, guard) = sink()?;
                match copy(got.body, most, &mut to, self.patience.stall).await {
                    Ok(()) => return Ok((to, guard, etag)),
                    Err(StoreError::Unreachable(_)) if attempt < DOWNLOADS_MAX => attempt += 1,
                    Err(error) => return Err(error),
                }
            }
        };
        let limit = self.patience.object;
        timeout(limit, attempts)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unreachable(format!("the object was not here after {} s", limit.as_secs()))))
    }
}

/// Copies a body of at most `most` bytes.
async fn copy(mut body: ByteStream, most: u64, to: &mut (impl AsyncWrite + Unpin), stall: Duration) -> Result<(), StoreError> {
    let mut left = most;
    let local = |error: std::io::Error| StoreError::Local(error.to_string());
    loop {
        let piece = match timeout(stall, body.try_next()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(StoreError::Unreachable(format!("the object broke off: {}", shown(&error)))),
            Err(_) => return Err(StoreError::Unreachable(format!("nothing more of the object came for {} s", stall.as_secs()))),
        };
        left = left.checked_sub(piece.len() as u64).ok_or(StoreError::TooLong(most))?;
        to.write_all(&piece).await.map_err(local)?;
    }
    // The last write's error, a full disk, comes here.
    to.flush().await.map_err(local)
}

/// A new file, which goes again unless it is kept.
fn new_file(to: &Path) -> Result<(tokio::fs::File, TempPath), StoreError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let file = made.map_err(|error| StoreError::Local(format!("{}: {error}", to.display())))?;
    let guard = TempPath::try_from_path(to).map_err(|error| StoreError::Local(error.to_string()))?;
    Ok((tokio::fs::File::from_std(file), guard))
}

impl Store for S3 {
    async fn list(&self, bucket: &str, prefix: &str, most: usize) -> Result<(Vec<Object>, bool), StoreError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..most / PAGE_OBJECTS + SPARE_PAGES {
            let page = self.patiently(|| self.page(bucket, prefix, token.as_deref())).await?;
            let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
            for object in page.contents() {
                if found.len() == most {
                    return Ok((found, true));
                }
                found.extend(object_of(object, is_encoded));
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok((found, false));
            }
        }
        Err(StoreError::Unreachable("its listing does not end".into()))
    }

    async fn get(&self, bucket: &str, key: &str, most: u64) -> Result<(Vec<u8>, String), StoreError> {
        let (content, (), etag) = self.read((bucket, key, most), || Ok((Vec::new(), ()))).await?;
        Ok((content, etag))
    }

    async fn fetch(&self, bucket: &str, key: &str, most: u64, to: &Path) -> Result<(), StoreError> {
        let (_, guard, _) = self.read((bucket, key, most), || new_file(to)).await?;
        guard.keep().map(|_| ()).map_err(|error| StoreError::Local(error.to_string()))
    }

    /// A write whose answer was lost is sent again, so [`StoreError::Changed`] may mean this node's own write: a caller looks.
    async fn put(&self, bucket: &str, key: &str, content: Vec<u8>, kind: &str, expect: Expect) -> Result<String, StoreError> {
        let sent = self.patiently(|| async {
            let request = self.signed.put_object().bucket(bucket).key(key).content_type(kind).expected_bucket_owner(&self.account);
            let request = match &expect {
                Expect::Anything => request,
                Expect::Absent => request.if_none_match("*"),
                Expect::Is(etag) => request.if_match(etag),
            };
            let timeouts = aws_sdk_s3::config::Config::builder().timeout_config(self.upload_timeouts(content.len() as u64));
            let request = request.body(ByteStream::from(content.clone())).customize().config_override(timeouts);
            request.send().await.map_err(|error| problem(&error))
        });
        match sent.await {
            Ok(output) => Ok(output.e_tag().unwrap_or_default().to_owned()),
            // If-Match on what was removed since. A bucket that is not there stays missing.
            Err(StoreError::Missing(why)) if matches!(expect, Expect::Is(_)) && !why.starts_with("NoSuchBucket") => {
                Err(StoreError::Changed(why))
            }
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        let sent = self.patiently(|| async {
            let request = self.signed.delete_object().bucket(bucket).key(key).expected_bucket_owner(&self.account);
            request.send().await.map_err(|error| problem(&error))
        });
        match sent.await {
            Err(StoreError::Missing(why)) if !why.starts_with("NoSuchBucket") => Ok(()),
            done => done.map(|_| ()),
        }
    }
}

/// An object of a page; `None` where its key is no text, which S3 does not let it be.
fn object_of(object: &aws_sdk_s3::types::Object, is_encoded: bool) -> Option<Object> {
    let key = object.key()?;
    let key = if is_encoded { percent_decode_str(&key.replace('+', " ")).decode_utf8().ok()?.into_owned() } else { key.to_owned() };
    Some(Object {
        key,
        size: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
        etag: object.e_tag().unwrap_or_default().to_owned(),
        modified: object.last_modified().map_or(0, aws_sdk_s3::primitives::DateTime::secs),
    })
}

/// What an error of the SDK means here.
fn problem<E>(error: &SdkError<E, Response>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let Some(service) = error.as_service_error() else { return StoreError::Unreachable(shown(error)) };
    let code = service.code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let words = plain(&format!("{code}: {}", service.message().unwrap_or_default()), WORDS_MAX);
    match status {
        404 => StoreError::Missing(words),
        409 | 412 => StoreError::Changed(words),
        408 | 429 => StoreError::Unreachable(words),
        // A bucket in another Region, or a name that is no bucket's, is no better after a wait.
        300..=499 => StoreError::Denied(words),
        _ => StoreError::Unreachable(words),
    }
}

/// Characters of AWS's words.
const WORDS_MAX: usize = 300;

/// An error with all that it comes from, on one line.
fn shown(error: &(impl std::error::Error + 'static)) -> String {
    plain(&DisplayErrorContext(error).to_string(), WORDS_MAX)
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
