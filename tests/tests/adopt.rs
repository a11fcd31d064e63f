//! A bucket that was there before the deployment (UserBucketMode=existing), with a policy and a notification of its own:
//! adopted and given back by the command line. One bucket, so one story after the other. `cargo xtask test` runs this
//! once for each trigger.

mod common;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_e2e::cli::{Ran, clusterdrop};
use cf_local::deploy::{USER_BUCKET, aws};
use common::{TestUser, stage};
use serde_json::{Value, json};

/// A single statement, a field that nobody knows, and spaces: all of it has to come back.
const POLICY: &str = r#"{ "Version": "2012-10-17",  "Id": "theirs", "Statement": {"Sid": "Auditors", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::af-users-eu-west-2/audit/*"} }"#;

const ADOPT: [&str; 2] = ["admin", "adopt-bucket"];

const RECORD: &str = "adopt/af-users-eu-west-2/before.json";

struct Bucket {
    s: TestUser,
}

/// A bucket's policy, to the letter, and its notifications.
#[derive(Debug, PartialEq)]
struct LedgerCache {
    policy: Option<String>,
    notification: NotificationConfiguration,
}

impl Bucket {
    async fn seen(&self) -> Result<LedgerCache> {
        let all = self.s.deployment.s3.get_bucket_notification_configuration().bucket(USER_BUCKET).send().await?;
        let notification = NotificationConfiguration::builder()
            .set_queue_configurations(all.queue_configurations)
            .set_topic_configurations(all.topic_configurations)
            .set_lambda_function_configurations(all.lambda_function_configurations)
            .set_event_bridge_configuration(all.event_bridge_configuration)
            .build();
        Ok(LedgerCache { policy: self.policy().await?, notification })
    }

    async fn policy(&self) -> Result<Option<String>> {
        match self.s.deployment.s3.get_bucket_policy().bucket(USER_BUCKET).send().await {
            Ok(got) => Ok(got.policy),
            Err(e) if e.as_service_error().and_then(ProvideErrorMetadata::code) == Some("NoSuchBucketPolicy") => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    async fn put_policy(&self, policy: &str) -> Result<()> {
        self.s.deployment.s3.put_bucket_policy().bucket(USER_BUCKET).policy(policy).send().await?;
        Ok(())
    }

    async fn put_notification(&self, all: NotificationConfiguration) -> Result<()> {
        self.s.deployment.s3.put_bucket_notification_configuration().bucket(USER_BUCKET).notification_configuration(all).send().await?;
        Ok(())
    }

    /// Gives the bucket what it has of its own.
    async fn furnish(&self) -> Result<()> {
        self.put_policy(POLICY).await?;
        aws(&self.s.deployment.url, &["sqs", "create-queue", "--queue-name", "theirs"])?;
        let part = |name: &str, value: &str| FilterRule::builder().name(FilterRuleName::from(name)).value(value).build();
        let key = S3KeyFilter::builder().filter_rules(part("prefix", "home/")).filter_rules(part("suffix", ".csv")).build();
        let rule = QueueConfiguration::builder()
            .id("tables")
            .queue_arn("arn:aws:sqs:eu-west-2:000000000000:theirs")
            .events(Event::from("s3:ObjectCreated:*"))
            .filter(NotificationConfigurationFilter::builder().key(key).build())
            .build()?;
        self.put_notification(NotificationConfiguration::builder().queue_configurations(rule).build()).await
    }

    fn adopt(&self, options: &[&str]) -> Result<Ran> {
        clusterdrop(&self.s.deployment.url, &[&ADOPT, options].concat())
    }

    fn adopted(&self, options: &[&str]) -> Result<String> {
        let ran = self.adopt(options)?;
        ensure!(ran.code == Some(0) && ran.err.is_empty(), "{options:?}: {ran:?}");
        Ok(ran.out)
    }

    fn refused(&self, options: &[&str]) -> Result<String> {
        let ran = self.adopt(options)?;
        ensure!(ran.code == Some(1) && ran.err.lines().count() == 1, "{options:?}: {ran:?}");
        Ok(ran.err)
    }

    async fn record(&self) -> Result<Option<String>> {
        let listed = self.s.deployment.s3.list_objects_v2().bucket(&self.s.deployment.system_bucket).prefix(RECORD).send().await?;
        Ok(listed.contents().first().and_then(|o| o.key().map(str::to_owned)))
    }

    /// How many writes of policy and notifications there were so far.
    fn writes(&self) -> Result<usize> {
        let mut count = 0;
        for call in ["s3.PutBucketPolicy", "s3.DeleteBucketPolicy", "s3.PutBucketNotification"] {
            count += self.s.calls(&format!("call={call}"))?.len();
        }
        Ok(count)
    }

    async fn trigger(&self) -> Result<String> {
        let found = self.s.deployment.cloudformation.describe_stacks().stack_name("clusterdrop").send().await?;
        let parameters = found.stacks().first().context("the deployment")?.parameters();
        let trigger = parameters.iter().find(|p| p.parameter_key() == Some("Trigger")).and_then(|p| p.parameter_value());
        Ok(trigger.context("the parameter Trigger")?.to_owned())
    }
}

#[tokio::test]
async fn a_bucket_of_ones_own_is_adopted_and_given_back() -> Result<()> {
    let b = Bucket { s: stage("adopter").await? };
    ensure!(b.adopted(&["--undo"])?.contains("Nothing to undo"), "nothing was adopted yet");
    b.furnish().await?;
    let before = b.seen().await?;
    assert_eq!(before.policy.as_deref(), Some(POLICY));
    looking_writes_nothing(&b, &before).await?;
    the_trigger_works_and_theirs_stays(&b, &before).await?;
    once_more_does_nothing(&b).await?;
    given_back(&b, &before).await?;
    a_change_meanwhile_is_not_run_over(&b, &before).await?;
    a_run_that_dies_half_way_is_finished_by_the_next(&b, &before).await?;
    what_others_change_later_is_kept(&b, &before).await?;
    a_strangers_statement_of_our_name_is_refused(&b, &before).await?;
    a_bucket_without_a_policy_has_none_again(&b).await
}

async fn looking_writes_nothing(b: &Bucket, before: &LedgerCache) -> Result<()> {
    let writes = b.writes()?;
    let shown = b.adopted(&["--dry-run"])?;
    let added = if b.trigger().await? == "s3" { "+      \"Id\": \"clusterdrop-create\"" } else { "+  \"EventBridgeConfiguration\": {}" };
    assert!(shown.contains("+      \"Sid\": \"ClusterdropTlsOnly\"") && shown.contains(added), "{shown}");
    assert!(shown.contains("nothing was written"), "{shown}");
    assert_eq!((&b.seen().await?, b.writes()?, b.record().await?), (before, writes, None));
    Ok(())
}

async fn the_trigger_works_and_theirs_stays(b: &Bucket, before: &LedgerCache) -> Result<()> {
    let writes = b.writes()?;
    b.adopted(&[])?;
    assert_eq!((b.record().await?.as_deref(), b.writes()?), (Some(RECORD), writes + 2));
    let after = b.seen().await?;
    assert_eq!(after.notification.queue_configurations, before.notification.queue_configurations);
    let policy = after.policy.context("a policy")?;
    // To the letter.
    let theirs = POLICY.split_once("\"Statement\": ").and_then(|(_, rest)| rest.strip_suffix(" }")).context("their statement")?;
    assert!(policy.contains(theirs) && policy.contains("\"ClusterdropAnswersAreOurs\""), "{policy}");
    b.s.drop("demo.cf-create", "{}").await?;
    b.s.answer("demo.cf-created").await?;
    b.s.drop("demo.cf-delete", "").await?;
    b.s.answer("demo.cf-deleted").await?;
    b.s.rest().await
}

async fn once_more_does_nothing(b: &Bucket) -> Result<()> {
    let (seen, writes) = (b.seen().await?, b.writes()?);
    for options in [&[][..], &["--dry-run"]] {
        let shown = b.adopted(options)?;
        assert!(shown.contains("Nothing to do: the bucket af-users-eu-west-2 is already adopted"), "{shown}");
    }
    assert_eq!((b.seen().await?, b.writes()?), (seen, writes));
    Ok(())
}

async fn given_back(b: &Bucket, before: &LedgerCache) -> Result<()> {
    let (seen, writes) = (b.seen().await?, b.writes()?);
    let shown = b.adopted(&["--undo", "--dry-run"])?;
    assert!(shown.contains("-      \"Sid\": \"ClusterdropTlsOnly\""), "{shown}");
    assert_eq!((b.seen().await?, b.writes()?, b.record().await?.as_deref()), (seen, writes, Some(RECORD)));
    let shown = b.adopted(&["--undo"])?;
    assert!(shown.contains("exactly what they were"), "{shown}");
    assert_eq!((&b.seen().await?, b.record().await?), (before, None));
    assert!(b.adopted(&["--undo"])?.contains("Nothing to undo"));
    Ok(())
}

async fn a_change_meanwhile_is_not_run_over(b: &Bucket, before: &LedgerCache) -> Result<()> {
    // The record is written between the first look at the bucket and the second.
    let slow = b.s.fault(&json!({"kind": "call", "call": "s3.PutObject", "text": RECORD, "delay": 3}))?;
    let theirs = POLICY.replace("Auditors", "Inspectors");
    let url = b.s.deployment.url.clone();
    let running = tokio::task::spawn_blocking(move || clusterdrop(&url, &ADOPT));
    b.s.deployment.until("the record's writing", async || Ok((slow.hits()? > 0).then_some(()))).await?;
    b.put_policy(&theirs).await?;
    let ran = running.await??;
    assert!(ran.code == Some(1) && ran.err.contains("somebody else has changed the bucket"), "{ran:?}");
    assert_eq!((b.policy().await?.as_deref(), &b.seen().await?.notification), (Some(theirs.as_str()), &before.notification));
    // What the next run saves is what stands there now, and not what the first one saw.
    b.adopted(&[])?;
    b.adopted(&["--undo"])?;
    assert_eq!(b.policy().await?.as_deref(), Some(theirs.as_str()));
    b.put_policy(POLICY).await
}

async fn a_run_that_dies_half_way_is_finished_by_the_next(b: &Bucket, before: &LedgerCache) -> Result<()> {
    let denied =
        b.s.fault(&json!({"kind": "call", "call": "s3.PutBucketNotification", "error": "AccessDenied", "status": 403, "times": 1}))?;
    let error = b.refused(&[])?;
    assert!(error.contains("access denied") && error.contains("s3:PutBucketNotification"), "{error}");
    assert_eq!(denied.hits()?, 1);
    let half = b.seen().await?;
    assert!(half.policy != before.policy && half.notification == before.notification, "{half:?}");
    b.adopted(&[])?;
    assert_ne!(b.seen().await?.notification, before.notification);
    b.adopted(&["--undo"])?;
    assert_eq!(&b.seen().await?, before);
    Ok(())
}

async fn what_others_change_later_is_kept(b: &Bucket, before: &LedgerCache) -> Result<()> {
    b.adopted(&[])?;
    let mut policy: Value = serde_json::from_str(&b.policy().await?.context("a policy")?)?;
    let later = json!({"Sid": "Later", "Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketAcl", "Resource": "arn:aws:s3:::af-users-eu-west-2"});
    policy["Statement"].as_array_mut().context("a list")?.push(later.clone());
    b.put_policy(&policy.to_string()).await?;
    let shown = b.adopted(&["--undo"])?;
    assert!(shown.contains("what others have changed since then is kept"), "{shown}");
    let left: Value = serde_json::from_str(&b.policy().await?.context("a policy")?)?;
    let theirs: Value = serde_json::from_str(POLICY)?;
    assert_eq!(left["Statement"], json!([theirs["Statement"], later]));
    assert_eq!(b.seen().await?.notification, before.notification);
    b.put_policy(POLICY).await
}

async fn a_strangers_statement_of_our_name_is_refused(b: &Bucket, before: &LedgerCache) -> Result<()> {
    b.put_policy(&POLICY.replace("Auditors", "ClusterdropTlsOnly")).await?;
    let writes = b.writes()?;
    let error = b.refused(&[])?;
    assert!(error.contains("\"ClusterdropTlsOnly\" that is not this deployment's"), "{error}");
    assert_eq!((b.writes()?, b.record().await?), (writes, None));
    b.put_policy(POLICY).await?;
    assert_eq!(&b.seen().await?, before);
    Ok(())
}

async fn a_bucket_without_a_policy_has_none_again(b: &Bucket) -> Result<()> {
    b.s.deployment.s3.delete_bucket_policy().bucket(USER_BUCKET).send().await?;
    b.put_notification(NotificationConfiguration::builder().build()).await?;
    let before = b.seen().await?;
    assert_eq!(before.policy, None);
    b.adopted(&[])?;
    assert!(b.seen().await?.policy.is_some());
    b.adopted(&["--undo"])?;
    assert_eq!((b.seen().await?, b.record().await?), (before, None));
    Ok(())
}
