//! `clusterdrop admin adopt-bucket`: a bucket that was there before the deployment gets our trigger and our statements, and
//! is given back as it was.
//!
//! Read, plan (pure: `policy` and `notification`), show, write. The record of what stood there is written before anything
//! else, and removed after everything else, so a run that dies half way is finished by the next one.

mod bucket;
mod notification;
mod policy;
mod record;
mod show;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::account::Account;
use crate::deployment::Deployment;
use crate::terminal::line;
use bucket::{Bucket, State};
use notification::Wanted;
use record::{Added, Before, Record};

/// Adopts the deployment's users' bucket.
pub async fn adopt(account: &Account, deployment: &Deployment, dry_run: bool) -> Result<()> {
    let bucket = Bucket::of(account, deployment)?;
    refuse_unfinished(deployment)?;
    let (recorded, etag) = bucket.record().await?.unzip();
    let now = bucket.look().await?;
    let setup = setup(deployment)?;
    let (next, added) = plan(&now, &setup, recorded.as_ref().map(|r| &r.added))?;
    if next == now {
        line(&format!("Nothing to do: the bucket {} is already adopted by {:?}.", bucket.name, deployment.name));
        return Ok(());
    }
    show::difference(&bucket.name, &now, &next);
    show::warnings(deployment, &now, &next);
    if dry_run {
        line("\nDry run: nothing was written.");
        return Ok(());
    }
    let is_switched_on = recorded.is_none() || next.notification != now.notification;
    let earlier = recorded.as_ref().map(|r| r.added.clone()).unwrap_or_default();
    let mut record = begin(&bucket, deployment, recorded, &now)?;
    // Until everything is written, what an older version has added may still stand there; it must not look like a stranger's.
    record.added = added.clone().and(earlier);
    let etag = bucket.save(&record, etag.as_deref()).await?;
    bucket.still(&now).await?;
    // The trigger comes last: before the first upload is acted on, its answers are already protected.
    bucket.write_policy(&now, &next).await?;
    // For some minutes S3 tells of nothing. What is uploaded from now on is found by the sweep; what lies there is the past.
    if is_switched_on {
        bucket.open_first_hour().await?;
    }
    bucket.write_notification(&now, &next, matches!(setup.wanted, Wanted::Functions(_))).await?;
    if record.added != added {
        record.added = added;
        bucket.save(&record, Some(&etag)).await?;
    }
    line(&format!(
        "\nThe bucket {} is adopted: files dropped into home/ are answered from now on (in the first minutes by the sweep, so not at \
         once; those that lay there before only by `clusterdrop admin rescan`). What stood there is saved in s3://{}/{}; \
         `clusterdrop admin adopt-bucket --undo` brings it back.",
        bucket.name,
        bucket.system,
        bucket.record_key()
    ));
    Ok(())
}

/// The record of a bucket as it was before us. An earlier run's record goes on, because this look has our own work in it;
/// but not that of a run that came to nothing, with nothing of ours in the bucket: then what stands there now counts.
fn begin(bucket: &Bucket, deployment: &Deployment, earlier: Option<Record>, now: &State) -> Result<Record> {
    if let Some(record) = earlier
        && without(now, &record)? != *now
    {
        return Ok(record);
    }
    Ok(Record {
        bucket: bucket.name.clone(),
        deployment: deployment.name.clone(),
        saved: Timestamp::now().to_string(),
        before: Before::of(now),
        added: Added::default(),
    })
}

/// Takes out again what adopting has added.
pub async fn undo(account: &Account, deployment: &Deployment, dry_run: bool) -> Result<()> {
    let bucket = Bucket::of(account, deployment)?;
    let Some((record, etag)) = bucket.record().await? else {
        line(&format!("Nothing to undo: {:?} has not adopted the bucket {}.", deployment.name, bucket.name));
        return Ok(());
    };
    let now = bucket.look().await?;
    let next = without(&now, &record)?;
    show::difference(&bucket.name, &now, &next);
    if dry_run {
        line("\nDry run: nothing was written.");
        return Ok(());
    }
    bucket.still(&now).await?;
    bucket.close_first_hour().await?;
    bucket.write_notification(&now, &next, false).await?;
    bucket.write_policy(&now, &next).await?;
    bucket.remove_probe().await?;
    bucket.forget(&etag).await?;
    let exact = Before::of(&next) == record.before;
    line(&format!(
        "\nThe bucket {} is given back: {}. {}",
        bucket.name,
        if exact { "policy and notifications are exactly what they were" } else { "what others have changed since then is kept" },
        heard(deployment.parameter("Trigger")?, &next)
    ));
    Ok(())
}

/// Whether the functions still hear of uploads: a bucket that told EventBridge before us goes on telling it.
fn heard(trigger: &str, next: &State) -> &'static str {
    if trigger == "eventbridge" && next.notification.event_bridge_configuration().is_some() {
        "It still tells EventBridge, as it did before: until the deployment is deleted, files dropped into home/ are answered, and \
         answers are not protected from forgery."
    } else {
        "Files dropped into home/ are not answered any more."
    }
}

/// What the bucket is without our doing.
fn without(now: &State, record: &Record) -> Result<State> {
    Ok(State {
        policy: policy::undo(now.policy.as_deref(), record.before.policy.as_deref(), &record.added.statements)?,
        notification: notification::undo(&now.notification, &record.added.notification),
    })
}

/// What a deployment wants of its bucket.
struct Setup {
    names: policy::Names,
    wanted: Wanted,
}

fn setup(deployment: &Deployment) -> Result<Setup> {
    let names = policy::Names {
        partition: deployment.partition.clone(),
        account: deployment.account.clone(),
        prefix: deployment.parameter("Prefix")?.to_owned(),
        bucket: deployment.parameter("UserBucket")?.to_owned(),
    };
    let wanted = match deployment.parameter("Trigger")? {
        "eventbridge" => Wanted::Bus,
        "s3" => Wanted::Functions(notification::rules(|function| deployment.function_arn(&format!("{}Name", function.resource())))?),
        other => bail!("the deployment {:?} has Trigger={other}, which this version does not know", deployment.name),
    };
    Ok(Setup { names, wanted })
}

/// What the bucket should become, and what of it is our doing.
fn plan(now: &State, setup: &Setup, recorded: Option<&Added>) -> Result<(State, Added)> {
    let none = Added::default();
    let recorded = recorded.unwrap_or(&none);
    let policy = policy::adopt(now.policy.as_deref(), &policy::ours(&setup.names)?, &recorded.statements)?;
    let (notification, rules) = notification::adopt(&now.notification, &setup.wanted, &recorded.notification)?;
    Ok((State { policy: Some(policy.policy), notification }, Added { statements: policy.added, notification: rules }))
}

/// The functions and their permissions have to stand before a bucket can call them.
fn refuse_unfinished(deployment: &Deployment) -> Result<()> {
    let status = deployment.status.as_str();
    if status.ends_with("_IN_PROGRESS") && status != "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" {
        bail!("the deployment {:?} is changing right now ({status}): wait until it is complete, then try again", deployment.name);
    }
    Ok(())
}
