//! The first hour of a trigger on AWS: its record, its probe, and the pages of `home/`. What they mean is in
//! `cf_core::first_hour`.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;
use cf_core::body::Body;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::first_hour::{self, BYTES_MAX, PROBE, PROBE_TEXT, Trigger};
use cf_core::key::HOME;
use cf_core::observe::Page;
use cf_core::request::ETag;
use jiff::Timestamp;
use serde_json::Value;

use crate::client::Aws;
use crate::event::decode;
use crate::fault::fault;
use crate::queries::{etag, read_bounded, timestamp};

impl Aws {
    /// The record's bytes, cut off where it is too large to be one.
    pub(crate) async fn first_hour(&self) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        let Some(output) = self.fetch(&self.settings.system_bucket, first_hour::KEY).await? else { return Ok(None) };
        let etag = etag(Call::GetObject, output.e_tag())?;
        Ok(Some(match read_bounded(output, BYTES_MAX).await? {
            Body::Read(bytes) => (bytes, etag),
            Body::TooLarge(_) | Body::Unreadable(_) | Body::Unread => (Vec::new(), etag),
        }))
    }

    /// Always of the same bytes: whoever removes it by its ETag removes any of them.
    pub(crate) async fn put_probe(&self) -> Result<Option<ETag>, Fault> {
        let request = self.s3.put_object().bucket(&self.settings.user_bucket).key(PROBE).content_type("text/plain; charset=utf-8");
        let request = request.body(ByteStream::from_static(PROBE_TEXT.as_bytes())).expected_bucket_owner(&self.account);
        let output = request.send().await.map_err(|e| fault(&e))?;
        etag(Call::PutObject, output.e_tag()).map(Some)
    }

    /// The keys after this one. By key, not by token: tokens expire. Encoded: a key may hold what XML cannot.
    pub(crate) async fn homes(&self, after: String) -> Result<Page<(String, Timestamp)>, Fault> {
        let request = self.s3.list_objects_v2().bucket(&self.settings.user_bucket).prefix(HOME).start_after(after);
        let request = request.encoding_type(EncodingType::Url).expected_bucket_owner(&self.account);
        let listed = request.send().await.map_err(|e| fault(&e))?;
        let key = |o: &aws_sdk_s3::types::Object| o.key().and_then(decode);
        let items: Vec<_> = listed.contents().iter().filter_map(|o| Some((key(o)?, timestamp(o.last_modified())))).collect();
        let next = if listed.is_truncated() == Some(true) {
            let last = items.last().map(|(key, _)| key.clone());
            Some(last.ok_or_else(|| Fault::new(Kind::Retry, Call::ListObjectsV2, "a page without a key says that there are more"))?)
        } else {
            None
        };
        Ok(Page { items, next })
    }

    /// Opens the window, where this deployment has switched the trigger on.
    pub(crate) async fn open_first_hour(&self, request: &Value, now: Timestamp) -> Result<(), Fault> {
        let is_new = request["RequestType"] == "Create";
        let Some(trigger) = trigger(&request["ResourceProperties"]) else { return Ok(()) };
        if !trigger.is_switched_on(is_new, self::trigger(&request["OldResourceProperties"])) {
            return Ok(());
        }
        if let Some(fault) = Box::pin(first_hour::open(self, &self.settings, now)).await? {
            tracing::warn!(call = <&str>::from(fault.call), why = fault.why, "the probe could not be put; the next sweep tries again");
        }
        tracing::info!(bucket = trigger.bucket, "the trigger was switched on; uploads that S3 does not tell of are looked for");
        Ok(())
    }
}

/// What a request of CloudFormation says of the trigger; `None` where it is of a version that did not say it.
fn trigger(properties: &Value) -> Option<Trigger<'_>> {
    let text = |name: &str| properties[name].as_str();
    Some(Trigger { bucket: text("UserBucket")?, mode: text("UserBucketMode")?, kind: text("Trigger")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_that_does_not_tell_of_the_trigger_opens_nothing() {
        let whole = json!({"UserBucket": "b", "UserBucketMode": "create", "Trigger": "s3"});
        assert_eq!(trigger(&whole), Some(Trigger { bucket: "b", mode: "create", kind: "s3" }));
        for missing in ["UserBucket", "UserBucketMode", "Trigger"] {
            let mut part = whole.clone();
            part[missing] = Value::Null;
            assert_eq!(trigger(&part), None, "{missing}");
        }
        assert_eq!(trigger(&Value::Null), None);
    }

    /// The samples are what CloudFormation sends; template.yaml names the properties.
    #[test]
    fn a_first_deployment_says_what_an_upgrade_does_not_change() {
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("a sample is JSON");
        let create = read(include_str!("../../../events/custom-resource-create.json"));
        let update = read(include_str!("../../../events/custom-resource-update.json"));
        assert!(trigger(&create["ResourceProperties"]).expect("a trigger").is_switched_on(true, trigger(&create["OldResourceProperties"])));
        let before = trigger(&update["OldResourceProperties"]);
        assert!(before.is_some() && !trigger(&update["ResourceProperties"]).expect("a trigger").is_switched_on(false, before));
        let template = include_str!("../../../template.yaml");
        for property in ["UserBucket: !Ref UserBucket", "UserBucketMode: !Ref UserBucketMode", "Trigger: !Ref Trigger"] {
            assert!(template.contains(&format!("      {property}\n")), "{property}");
        }
    }
}
