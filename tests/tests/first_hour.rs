//! S3 tells of nothing, as in the first minutes after a trigger is switched on: uploads are answered all the same, and once
//! only. The trigger is the whole deployment's, so this runs alone; `cargo xtask test` runs it once for each trigger.

mod common;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::types::NotificationConfiguration;
use cf_core::first_hour::{FirstHour, PROBE, SETTLE_SECONDS, Stage};
use cf_local::deploy::USER_BUCKET;
use common::{TestUser, stage};
use jiff::{SignedDuration, Timestamp};

/// What the bucket tells, taken away for a while.
async fn switch(s: &TestUser, to: NotificationConfiguration) -> Result<NotificationConfiguration> {
    let all = s.deployment.s3.get_bucket_notification_configuration().bucket(USER_BUCKET).send().await?;
    let was = NotificationConfiguration::builder()
        .set_queue_configurations(all.queue_configurations)
        .set_topic_configurations(all.topic_configurations)
        .set_lambda_function_configurations(all.lambda_function_configurations)
        .set_event_bridge_configuration(all.event_bridge_configuration)
        .build();
    s.deployment.s3.put_bucket_notification_configuration().bucket(USER_BUCKET).notification_configuration(to).send().await?;
    Ok(was)
}

/// A window as an adoption opens it, so long ago that S3 has settled.
async fn open(s: &TestUser, since: Timestamp) -> Result<()> {
    let mut record = FirstHour::of_adoption(USER_BUCKET, since);
    record.opened = since - SignedDuration::from_secs(SETTLE_SECONDS);
    s.deployment.set_first_hour(&record).await
}

async fn until(s: &TestUser, what: &str, is: impl Fn(&Stage) -> bool) -> Result<()> {
    let reached = async || {
        s.deployment.sweep()?;
        Ok(s.deployment.first_hour().await?.filter(|record| is(&record.stage)).map(drop))
    };
    s.deployment.until(what, reached).await
}

/// How often all homes were listed.
fn listings(s: &TestUser) -> Result<usize> {
    let all = s.deployment.invocations(0)?;
    Ok(all.iter().flat_map(|i| &i.calls).filter(|call| call.what == "s3.ListObjectsV2 users/home/*").count())
}

/// S3's time of an object.
async fn time(s: &TestUser, name: &str) -> Result<Timestamp> {
    let head = s.deployment.s3.head_object().bucket(USER_BUCKET).key(s.key(name)).send().await?;
    Ok(Timestamp::from_second(head.last_modified().context("a time")?.secs())?)
}

#[tokio::test]
async fn what_s3_told_nobody_of_is_answered_and_the_past_is_left_alone() -> Result<()> {
    let s = stage("early").await?;
    let was = switch(&s, NotificationConfiguration::builder().build()).await?;
    s.drop("years-old.cf-create", "{}").await?;
    let past = time(&s, "years-old.cf-create").await?;
    // S3's times are whole seconds.
    s.deployment.until("the next second", async || Ok((Timestamp::now().as_second() > past.as_second()).then_some(()))).await?;
    open(&s, Timestamp::from_second(past.as_second() + 1)?).await?;
    s.drop("my folder/demo.cf-create", "{}").await?;
    s.drop("none.cf-delete", "").await?;
    let before = listings(&s)?;
    until(&s, "a probe that nobody hears of", |stage| matches!(stage, Stage::Open { probed: true, .. })).await?;
    ensure!(s.deployment.text(PROBE).await?.is_some() && listings(&s)? == before, "home/ is not listed before the probe was heard of");
    // S3 begins to tell: of the next probe first.
    switch(&s, was).await?;
    until(&s, "the end of the window", |stage| matches!(stage, Stage::Done { .. })).await?;
    s.answer("my folder/demo.cf-created").await?;
    s.answer("none.cf-failed").await?;
    assert_eq!(s.text("years-old.cf-failed").await?, None);
    assert!(s.text("years-old.cf-create").await?.is_some() && s.text("years-old.cf-status").await?.is_none());
    let listed = listings(&s)?;
    assert!(listed > before, "home/ was listed");
    never_again(&s, listed).await?;
    s.take_away("years-old.cf-create").await?;
    s.drop("my folder/demo.cf-delete", "").await?;
    s.answer("my folder/demo.cf-deleted").await?;
    s.rest().await
}

/// However many sweeps come.
async fn never_again(s: &TestUser, listed: usize) -> Result<()> {
    let sweeps = || Ok::<_, anyhow::Error>(s.deployment.invocations(0)?.iter().filter(|i| i.by == "sweep" && i.ms.is_some()).count());
    let begun = sweeps()?;
    s.deployment
        .until("three more sweeps", async || {
            s.deployment.sweep()?;
            Ok((sweeps()? >= begun + 3).then_some(()))
        })
        .await?;
    assert_eq!(listings(s)?, listed);
    assert_eq!(s.deployment.text(PROBE).await?, None);
    Ok(())
}
