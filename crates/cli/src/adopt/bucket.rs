//! The users' bucket, and its record in the system bucket: every S3 call of adopting. Each names the owner that it expects,
//! because names of buckets can be claimed by others.

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::NotificationConfiguration;
use cf_core::first_hour::{self, FirstHour};
use jiff::Timestamp;

use super::record::Record;
use crate::account::Account;
use crate::call_error::{call_error, code, message};
use crate::deployment::Deployment;

/// The bucket of a deployment.
#[derive(Debug)]
pub struct Bucket {
    s3: aws_sdk_s3::Client,
    owner: String,
    /// Its name.
    pub name: String,
    /// The system bucket's name.
    pub system: String,
}

/// What a bucket has of the two things that we change.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Its policy, to the letter.
    pub policy: Option<String>,
    /// Whom it tells of what.
    pub notification: NotificationConfiguration,
}

impl Bucket {
    /// The deployment's users' bucket, if it is not of the deployment's own making.
    pub fn of(account: &Account, deployment: &Deployment) -> Result<Self> {
        let name = deployment.parameter("UserBucket")?.to_owned();
        if deployment.parameter("UserBucketMode")? != "existing" {
            bail!(
                "the deployment {:?} made the bucket {name} itself (UserBucketMode=create) and looks after it: there is nothing to adopt",
                deployment.name
            );
        }
        Ok(Self {
            s3: account.s3.clone(),
            owner: deployment.account.clone(),
            name,
            system: deployment.output("SystemBucketName")?.to_owned(),
        })
    }

    /// Where the record lies in the system bucket.
    pub fn record_key(&self) -> String {
        format!("adopt/{}/before.json", self.name)
    }

    /// Reads policy and notifications.
    pub async fn look(&self) -> Result<State> {
        Ok(State { policy: self.policy().await?, notification: self.notification().await? })
    }

    /// Fails where the bucket is not as it was seen. S3 has no conditional PutBucketPolicy, and none for notifications: a
    /// change in the moment between this look and the write would be lost. All that can be done is to make it short.
    pub async fn still(&self, seen: &State) -> Result<()> {
        if self.look().await? == *seen {
            return Ok(());
        }
        bail!("somebody else has changed the bucket {} in the meantime, so nothing was changed here: try again", self.name)
    }

    async fn policy(&self) -> Result<Option<String>> {
        match self.s3.get_bucket_policy().bucket(&self.name).expected_bucket_owner(&self.owner).send().await {
            Ok(output) => Ok(output.policy),
            Err(e) if code(&e) == "NoSuchBucketPolicy" => Ok(None),
            Err(e) => Err(call_error("s3:GetBucketPolicy", &format!("read the policy of the bucket {}", self.name), &e)),
        }
    }

    async fn notification(&self) -> Result<NotificationConfiguration> {
        let request = self.s3.get_bucket_notification_configuration().bucket(&self.name).expected_bucket_owner(&self.owner);
        let what = || format!("read the notifications of the bucket {}", self.name);
        let all = request.send().await.map_err(|e| call_error("s3:GetBucketNotification", &what(), &e))?;
        Ok(NotificationConfiguration::builder()
            .set_topic_configurations(all.topic_configurations)
            .set_queue_configurations(all.queue_configurations)
            .set_lambda_function_configurations(all.lambda_function_configurations)
            .set_event_bridge_configuration(all.event_bridge_configuration)
            .build())
    }

    /// Writes the policy, where it is to change.
    pub async fn write_policy(&self, now: &State, next: &State) -> Result<()> {
        if now.policy == next.policy {
            return Ok(());
        }
        let Some(policy) = &next.policy else {
            let request = self.s3.delete_bucket_policy().bucket(&self.name).expected_bucket_owner(&self.owner);
            let what = format!("remove the policy of the bucket {}", self.name);
            return request.send().await.map(drop).map_err(|e| call_error("s3:DeleteBucketPolicy", &what, &e));
        };
        let request = self.s3.put_bucket_policy().bucket(&self.name).expected_bucket_owner(&self.owner).policy(policy);
        let what = format!("write the policy of the bucket {}", self.name);
        request.send().await.map(drop).map_err(|e| call_error("s3:PutBucketPolicy", &what, &e))
    }

    /// Writes the notifications, where they are to change. S3 validates all destinations if it is asked to `validate`, and
    /// sends a test message to queues and topics of others; that is wanted only where functions of ours are among them.
    pub async fn write_notification(&self, now: &State, next: &State, validate: bool) -> Result<()> {
        if now.notification == next.notification {
            return Ok(());
        }
        let request = self.s3.put_bucket_notification_configuration().bucket(&self.name).expected_bucket_owner(&self.owner);
        let request = request.notification_configuration(next.notification.clone()).skip_destination_validation(!validate);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if code(&e) == "InvalidArgument" => Err(invalid(&self.name, &message(&e))),
            Err(e) => Err(call_error("s3:PutBucketNotification", &format!("write the notifications of the bucket {}", self.name), &e)),
        }
    }

    /// The record, if the bucket was adopted, and its ETag.
    pub async fn record(&self) -> Result<Option<(Record, String)>> {
        let key = self.record_key();
        let what = format!("read s3://{}/{key}", self.system);
        let got = match self.s3.get_object().bucket(&self.system).key(&key).expected_bucket_owner(&self.owner).send().await {
            Ok(got) => got,
            Err(e) if code(&e) == "NoSuchKey" => return Ok(None),
            Err(e) => return Err(call_error("s3:GetObject", &what, &e)),
        };
        let etag = got.e_tag.clone().unwrap_or_default();
        let bytes = got.body.collect().await.with_context(|| format!("cannot {what}: the connection broke"))?.into_bytes();
        let unreadable = || format!("s3://{}/{key} is not as clusterdrop wrote it: restore an earlier version of it", self.system);
        Ok(Some((serde_json::from_slice(&bytes).with_context(unreadable)?, etag)))
    }

    /// Writes the record: the first one, or over the one that was read. Gives its ETag.
    pub async fn save(&self, record: &Record, over: Option<&str>) -> Result<String> {
        let key = self.record_key();
        let request = self.s3.put_object().bucket(&self.system).key(&key).expected_bucket_owner(&self.owner);
        let request = match over {
            Some(etag) => request.if_match(etag),
            None => request.if_none_match("*"),
        };
        let request = request.content_type("application/json").body(ByteStream::from(serde_json::to_vec_pretty(record)?));
        match request.send().await {
            Ok(output) => Ok(output.e_tag.unwrap_or_default()),
            Err(e) if matches!(code(&e).as_str(), "PreconditionFailed" | "ConditionalRequestConflict" | "412" | "409") => {
                // Our own write, whose answer was lost, looks the same.
                match self.record().await? {
                    Some((there, etag)) if there == *record => Ok(etag),
                    _ => bail!("somebody else is adopting the bucket {} right now: try again", self.name),
                }
            }
            Err(e) => Err(call_error("s3:PutObject", &format!("write s3://{}/{key}", self.system), &e)),
        }
    }

    /// Removes the record, if it is still the one that was read.
    pub async fn forget(&self, etag: &str) -> Result<()> {
        let key = self.record_key();
        let request = self.s3.delete_object().bucket(&self.system).key(&key).if_match(etag).expected_bucket_owner(&self.owner);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if code(&e) == "NoSuchKey" => Ok(()),
            Err(e) => Err(call_error("s3:DeleteObject", &format!("remove s3://{}/{key}", self.system), &e)),
        }
    }

    /// Tells the sweep that the trigger is being switched on. The time is S3's own, as the record of the adoption has it: the clock
    /// of this machine may be wrong, and what counts is which uploads came later.
    pub async fn open_first_hour(&self) -> Result<()> {
        let record = self.record_key();
        let what = format!("read the time of s3://{}/{record}", self.system);
        let request = self.s3.head_object().bucket(&self.system).key(&record).expected_bucket_owner(&self.owner);
        let head = request.send().await.map_err(|e| call_error("s3:GetObject", &what, &e))?;
        let now = head.last_modified().and_then(|at| Timestamp::from_second(at.secs()).ok());
        let now = now.with_context(|| format!("cannot {what}: S3 gave none. Try again"))?;
        let bytes = FirstHour::of_adoption(&self.name, now).bytes();
        let request = self.s3.put_object().bucket(&self.system).key(first_hour::KEY).expected_bucket_owner(&self.owner);
        let request = request.content_type("application/json").body(ByteStream::from(bytes));
        let what = format!("write s3://{}/{}", self.system, first_hour::KEY);
        request.send().await.map(drop).map_err(|e| call_error("s3:PutObject", &what, &e))
    }

    /// From now on the sweep looks for no uploads, and puts no probe.
    pub async fn close_first_hour(&self) -> Result<()> {
        let request = self.s3.delete_object().bucket(&self.system).key(first_hour::KEY).expected_bucket_owner(&self.owner);
        let what = format!("remove s3://{}/{}", self.system, first_hour::KEY);
        request.send().await.map(drop).map_err(|e| call_error("s3:DeleteObject", &what, &e))
    }

    /// Takes a probe away that nobody has heard of. Looked for first: in a versioned bucket even the removal of nothing leaves a mark.
    pub async fn remove_probe(&self) -> Result<()> {
        let what = format!("look for s3://{}/{}", self.name, first_hour::PROBE);
        match self.s3.head_object().bucket(&self.name).key(first_hour::PROBE).expected_bucket_owner(&self.owner).send().await {
            Ok(_) => {}
            Err(e) if matches!(code(&e).as_str(), "NotFound" | "NoSuchKey" | "404") => return Ok(()),
            Err(e) => return Err(call_error("s3:GetObject", &what, &e)),
        }
        let request = self.s3.delete_object().bucket(&self.name).key(first_hour::PROBE).expected_bucket_owner(&self.owner);
        let what = format!("remove s3://{}/{}", self.name, first_hour::PROBE);
        request.send().await.map(drop).map_err(|e| call_error("s3:DeleteObject", &what, &e))
    }
}

/// S3 has one code for all that it does not like about notifications.
fn invalid(bucket: &str, message: &str) -> anyhow::Error {
    let advice = if message.contains("destination") {
        "A function, queue or topic that the bucket is to tell is gone or does not let S3 in; for the functions, finish the deployment first \
         (sam deploy), and for the others, remove their notification or mend them"
    } else if message.to_lowercase().contains("overlap") || message.contains("ambiguously") {
        "Another notification of the bucket also tells of these files: narrow its prefix or suffix, or deploy with Trigger=eventbridge"
    } else {
        "Nothing was changed in the bucket's notifications"
    };
    anyhow!("S3 does not take the notifications for the bucket {bucket}: {message}. {advice}")
}
