//! The first hour: for about five minutes after a trigger is switched on, S3 reports no uploads (S3 User Guide, "Enabling
//! Amazon EventBridge"; the same for changed notifications). Here is how those uploads are found all the same.
//!
//! Whoever switches a trigger on, a deployment or an adoption, opens a window: a record in the system bucket. Each sweep puts
//! a probe into the user bucket, whose event the trigger must deliver like an upload's; the function that gets it removes
//! the probe, and a sweep that finds it gone knows that uploads are reported. Then `home/` is listed once, and each request
//! that is no older than the window gets the pass that its event would have started. Nothing else ever lists `home/`.
//!
//! Cost: while a window is open, 2 to 3 calls a sweep; its listing one call for each 1,000 objects of `home/`, at most
//! [`PAGES_MAX`] a sweep; afterwards one GET a sweep.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::effect::Execute;
use crate::effect::{Effect, Expect};
use crate::fault::{Fault, Kind};
use crate::key::{HOME, Reading, RequestFileKey, read};
use crate::observe;
use crate::observe::Observe;
use crate::request::ETag;
use crate::settings::Settings;

/// The record's key in the system bucket.
pub const KEY: &str = "sweep/first-hour.json";

/// The probe's key in the user bucket. The rule's pattern and the notification's filter take it; it lies in nobody's home,
/// where the users' policies let nobody write, so no user can make it, or take it away.
pub const PROBE: &str = "home/clusterdrop-probe.cf-create";

/// The same, as a file to be removed.
fn probe_key() -> RequestFileKey {
    RequestFileKey::read(PROBE).expect("the probe has a verb's suffix")
}

/// What the probe holds, for whoever meets it.
pub const PROBE_TEXT: &str = "clusterdrop tries whether S3 tells of uploads. This file goes by itself.\n";

/// No listing begins earlier than this after the switch, for S3 does not hear of it everywhere at once: about five minutes.
pub const SETTLE_SECONDS: i64 = 300;

/// A probe that is not reported for so long is the administrator's affair: three times what S3 takes.
pub const SILENT_SECONDS: i64 = 900;

/// Where the probe is not heard of, `home/` is listed so often all the same, for as long as that lasts.
pub const LATE_SECONDS: i64 = 1800;

/// How much earlier than its custom resource a deployment may have switched the trigger on. What the deployment's own bucket
/// holds was put there by users of this deployment, so earlier does no harm: what was answered is not there any more.
pub const DEPLOYMENT_SECONDS: i64 = 3600;

/// Pages of a listing in one sweep: 50,000 objects.
pub const PAGES_MAX: usize = 50;

/// Uploads that get their pass in one sweep.
pub const PASSES_MAX: usize = 60;

/// With so many uploads whose passes failed, a listing stops until some of them succeed.
pub const OWED_MAX: usize = 100;

/// The record is a few lines; a larger one is not ours.
pub const BYTES_MAX: usize = 256 << 10;

/// Changes whenever a field comes to mean something else.
const FORMAT: u32 = 1;

/// The record of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstHour {
    format: u32,
    /// The user bucket that the trigger was switched on for.
    pub bucket: String,
    /// When.
    pub opened: Timestamp,
    /// Uploads before this are the bucket's past, and none of ours.
    pub since: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far a window is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The probe's event has not come.
    Open {
        /// Whether a probe was put.
        probed: bool,
        /// When a listing was last begun that did not wait for the event.
        listed: Option<Timestamp>,
    },
    /// `home/` is being listed.
    Listing {
        /// The last key that was looked at; `None` at the end. A key instead of S3's token, which expires.
        after: Option<String>,
        /// Whether the probe's event has come.
        heard: bool,
        /// When it was begun.
        begun: Timestamp,
        /// Uploads whose passes failed, to be tried again.
        owed: BTreeSet<String>,
    },
    /// Everything of that time has had its pass.
    Done {
        /// When that was found.
        at: Timestamp,
    },
}

/// A trigger, as the parameters of a deployment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger<'a> {
    /// `UserBucket`.
    pub bucket: &'a str,
    /// `UserBucketMode`.
    pub mode: &'a str,
    /// `Trigger`.
    pub kind: &'a str,
}

impl Trigger<'_> {
    /// Whether a deployment has switched it on. In a bucket of others, adopting does; an upgrade that changes nothing does not.
    pub fn is_switched_on(&self, is_new: bool, before: Option<Self>) -> bool {
        self.mode == "create" && (is_new || before.is_some_and(|before| before != *self))
    }
}

impl FirstHour {
    /// The window of a deployment that has just come to its custom resource.
    pub fn of_deployment(bucket: &str, now: Timestamp, probed: bool) -> Self {
        let since = now - SignedDuration::from_secs(DEPLOYMENT_SECONDS);
        Self { format: FORMAT, bucket: bucket.to_owned(), opened: now, since, stage: Stage::Open { probed, listed: None } }
    }

    /// The window of an adoption, by S3's own clock.
    pub fn of_adoption(bucket: &str, now: Timestamp) -> Self {
        Self { since: now, ..Self::of_deployment(bucket, now, false) }
    }

    /// What lay in the bucket; `None` where it is nothing that was written here.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|record: &Self| record.format == FORMAT)
    }

    /// What is put into the bucket.
    pub fn bytes(&self) -> Vec<u8> {
        // Strings, times and flags: there is nothing in it that JSON could not say.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Whether an upload of this key and time gets a pass. S3's times are whole seconds, so the second of the switch counts.
    pub fn wants(&self, key: &str, modified: Timestamp) -> bool {
        modified.as_second() >= self.since.as_second() && is_upload(key)
    }

    /// Whether the probe has not been heard of for too long.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let is_unheard = matches!(self.stage, Stage::Open { .. } | Stage::Listing { heard: false, .. });
        is_unheard && seconds(self.opened, now) > SILENT_SECONDS
    }

    /// The stage once the probe was looked for. `is_there`: whether it lies in the bucket; `None` where that is not known.
    fn advance(&self, is_there: Option<bool>, now: Timestamp) -> Stage {
        let Stage::Open { probed, listed } = self.stage else { return self.stage.clone() };
        let begin = |heard| Stage::Listing { after: Some(HOME.to_owned()), heard, begun: now, owed: BTreeSet::new() };
        let is_heard = probed && is_there == Some(false);
        if is_heard && seconds(self.opened, now) >= SETTLE_SECONDS {
            return begin(true);
        }
        if !is_heard && seconds(listed.unwrap_or(self.opened), now) >= LATE_SECONDS {
            return begin(false);
        }
        self.stage.clone()
    }
}

/// Whether a key asks for anything; the probe does not.
pub fn is_upload(key: &str) -> bool {
    key != PROBE && !matches!(read(key), Reading::NotARequest)
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second())
}

/// What a sweep has found, until its passes have ended.
#[derive(Debug, Default)]
pub struct Look {
    /// The keys of uploads that want the pass that their event would have started.
    pub uploads: BTreeSet<String>,
    /// Pages that were listed.
    pub pages: usize,
    /// Whether S3 has not reported the probe for too long.
    pub is_silent: bool,
    /// What went wrong; the next sweep tries again.
    pub faults: Vec<Fault>,
    /// The record as it was read, and as it will be.
    record: Option<(FirstHour, ETag, Stage)>,
}

/// Looks for uploads of the first hour that no event has reported. Does nothing, and asks once, where no window is open.
pub async fn look<W: Observe + Execute>(world: &W, settings: &Settings, now: Timestamp) -> Result<Look, Fault> {
    let mut look = Look::default();
    let Some((bytes, etag)) = observe::first_hour(world).await? else { return Ok(look) };
    let Some(record) = FirstHour::read(&bytes) else { return Ok(look) };
    // The deployment has another bucket by now: this window is of no use to it.
    if record.bucket != settings.user_bucket || matches!(record.stage, Stage::Done { .. }) {
        return Ok(look);
    }
    let mut stage = probe(world, &record, now, &mut look.faults).await;
    look.is_silent = FirstHour { stage: stage.clone(), ..record.clone() }.is_silent(now);
    if let Stage::Listing { after, owed, .. } = &mut stage {
        look.uploads = owed.iter().take(PASSES_MAX).cloned().collect();
        if let Err(fault) = list(world, &record, after, owed.len(), &mut look).await {
            look.faults.push(fault);
        }
    }
    look.record = Some((record, etag, stage));
    Ok(look)
}

/// Looks whether the probe was heard of, and puts it again where it was not.
async fn probe<W: Observe + Execute>(world: &W, record: &FirstHour, now: Timestamp, faults: &mut Vec<Fault>) -> Stage {
    let Stage::Open { probed, .. } = record.stage else { return record.stage.clone() };
    let is_there = match observe::listed(world, PROBE).await {
        Ok(probe) => Some(probe.is_some()),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    let mut stage = record.advance(is_there, now);
    if is_there == Some(true) || !probed {
        match (world.execute(&Effect::WriteProbe).await, &mut stage) {
            (Ok(_), Stage::Open { probed, .. }) => *probed = true,
            (Ok(_), _) => {}
            (Err(fault), _) => faults.push(fault),
        }
    }
    stage
}

/// Goes on with the listing, as far as one sweep may.
async fn list<W: Observe>(world: &W, record: &FirstHour, after: &mut Option<String>, owed: usize, look: &mut Look) -> Result<(), Fault> {
    while let Some(from) = after.clone().filter(|_| owed < OWED_MAX && look.pages < PAGES_MAX && look.uploads.len() < PASSES_MAX) {
        let page = observe::homes(world, from).await?;
        look.pages += 1;
        *after = page.next;
        for (key, modified) in page.items {
            if look.uploads.len() >= PASSES_MAX {
                return Ok(());
            }
            if record.wants(&key, modified) {
                look.uploads.insert(key.clone());
            }
            // Where the page is left in its middle, the next sweep goes on from here.
            if look.uploads.len() >= PASSES_MAX {
                *after = Some(key);
            }
        }
    }
    Ok(())
}

/// Notes what the passes of a look came to: `failed` are those to be tried again.
pub async fn close<W: Execute>(world: &W, look: Look, failed: &BTreeSet<String>, now: Timestamp) -> Result<(), Fault> {
    let Some((record, etag, stage)) = look.record else { return Ok(()) };
    let next = FirstHour { stage: concluded(stage, &look.uploads, failed, now), ..record.clone() };
    if next == record {
        return Ok(());
    }
    match world.execute(&Effect::WriteFirstHour { record: next, expect: Expect::Is(etag) }).await {
        // Another sweep was quicker, or a new window was opened: what that one says counts.
        Err(fault) if fault.kind == Kind::Conflict => Ok(()),
        done => done.map(drop),
    }
}

/// The stage after a sweep's passes.
fn concluded(stage: Stage, tried: &BTreeSet<String>, failed: &BTreeSet<String>, now: Timestamp) -> Stage {
    let Stage::Listing { after, heard, begun, mut owed } = stage else { return stage };
    owed.retain(|key| !tried.contains(key));
    owed.extend(failed.iter().cloned());
    match (&after, heard, owed.is_empty()) {
        (None, true, true) => Stage::Done { at: now },
        // What is still owed is found again by the next listing.
        // Whether its probe was ever put is not known here; put again, it is heard of by one sweep more.
        (None, false, _) => Stage::Open { probed: false, listed: Some(begun) },
        _ => Stage::Listing { after, heard, begun, owed },
    }
}

/// The probe's event has come: the probe is removed, which shows the next sweep that it came.
pub async fn answer<W: Observe + Execute>(world: &W) -> Result<(), Fault> {
    let Some(probe) = observe::listed(world, PROBE).await? else { return Ok(()) };
    world.execute(&Effect::RemoveUpload { key: probe_key(), etag: probe.etag }).await.map(drop)
}

/// Opens the window of a deployment. A probe that cannot be put now is put by the next sweep.
pub async fn open<W: Observe + Execute>(world: &W, settings: &Settings, now: Timestamp) -> Result<Option<Fault>, Fault> {
    let standing = observe::first_hour(world).await?;
    let probe = world.execute(&Effect::WriteProbe).await;
    let record = FirstHour::of_deployment(&settings.user_bucket, now, probe.is_ok());
    let expect = Expect::seen(standing.as_ref().map(|(_, etag)| etag));
    world.execute(&Effect::WriteFirstHour { record, expect }).await?;
    Ok(probe.err())
}

#[cfg(test)]
#[path = "first_hour_tests.rs"]
mod tests;
