//! From an event to passes: each piece of work alone, so that one fault does not hide the rest.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use cf_core::fault::{Fault, Kind};
use cf_core::first_hour::PROBE;
use cf_core::key::{self, Reading};
use cf_core::ledger::NodeNews;
use cf_core::observe::{self, Subject};
use cf_core::perform::{Clock, pass, pass_look_alike, pass_nodes, pass_stray};
use cf_core::plain::{SHOWN_MAX, plain};
use cf_core::stack::StackId;
use cf_core::sweep;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use crate::client::Aws;
use crate::event::{self, Unreadable, Work};
use crate::{first_hour, journal};

/// Passes of one sweep that run side by side: enough to hide latency, few enough to stay under CloudFormation's throttle.
const SIDE_BY_SIDE: usize = 4;

/// Handles one invocation. An error gives the event back: Lambda tries it again, and it ends in the failure queue.
pub async fn handle(aws: &Aws, event: &Value) -> Result<Value, lambda_runtime::Error> {
    let mut errors = Vec::new();
    let mut again = SqsBatchResponse::default();
    let mut seen = BTreeSet::new();
    for work in event::read(event) {
        match work {
            Ok(Work::Message { id, work }) => {
                for part in work {
                    if let Err(error) = one(aws, part, &mut seen).await {
                        tracing::error!(message = id, error, "the message comes again");
                        again.add_failure(id);
                        break;
                    }
                }
            }
            work => errors.extend(one(aws, work, &mut seen).await.err()),
        }
    }
    if errors.is_empty() { Ok(serde_json::to_value(again)?) } else { Err(errors.join("; ").into()) }
}

/// One piece of work. `seen`: a batch tells of one stack many times, and one look at it is enough.
async fn one(aws: &Aws, work: Result<Work, Unreadable>, seen: &mut BTreeSet<StackId>) -> Result<(), String> {
    let done = match work {
        Ok(Work::Upload { bucket, key }) => upload(aws, &bucket, &key).await,
        Ok(Work::Stack(id)) if seen.contains(&id) => Ok(()),
        Ok(Work::Stack(id)) => {
            let done = stack(aws, &id).await;
            seen.insert(id);
            done
        }
        Ok(Work::Machine { group, at, failure }) => machine(aws, &group, at, failure).await,
        Ok(Work::Sweep) => sweep(aws).await,
        Ok(Work::Publish(request)) => aws.publish(&request, Time.now()).await,
        Ok(Work::Nothing(why)) => {
            tracing::info!(why, "nothing to do");
            Ok(())
        }
        Ok(Work::Message { id, .. }) => Err(Fault::new(Kind::Permanent, "event", format!("the message {id} is inside another"))),
        Err(unreadable) => Err(Fault::new(Kind::Permanent, "event", unreadable.to_string())),
    };
    done.map_err(|fault| {
        journal::failed("event", &fault);
        fault.to_string()
    })
}

/// The key at which the object lies. EventBridge gives keys as they are (S3 User Guide, "EventBridge"), but events that were put
/// together elsewhere come with them encoded: where nothing lies at such a key, and something at what it decodes to, that is it.
async fn true_key<'k>(aws: &Aws, key: &'k str) -> Result<Cow<'k, str>, Fault> {
    if !key.starts_with(key::HOME) {
        return Ok(Cow::Borrowed(key));
    }
    let Some(decoded) = event::decode(key).filter(|decoded| decoded != key) else { return Ok(Cow::Borrowed(key)) };
    if observe::listed(aws, key).await?.is_some() || observe::listed(aws, &decoded).await?.is_none() {
        return Ok(Cow::Borrowed(key));
    }
    Ok(Cow::Owned(decoded))
}

/// One upload: the pass that its event starts.
pub(crate) async fn upload(aws: &Aws, bucket: &str, key: &str) -> Result<(), Fault> {
    if bucket != aws.site.user_bucket {
        return Err(Fault::new(Kind::Permanent, "event", format!("the bucket {bucket} is not the users' bucket {}", aws.site.user_bucket)));
    }
    if key == PROBE {
        tracing::info!(key, "S3 tells of uploads");
        return cf_core::first_hour::answer(aws).await;
    }
    let key = &*true_key(aws, key).await?;
    match key::read(key) {
        Reading::Request(upload) => look_at(aws, Subject { cluster: upload.cluster.clone(), upload: Some(upload), stack: None }).await,
        Reading::Refused { problem, .. } => {
            tracing::info!(key, problem = %problem, "refused by its key");
            if !pass_stray(aws, key).await? {
                journal::without_upload(key);
            }
            Ok(())
        }
        Reading::LooksLike { problem, .. } => {
            tracing::info!(key, problem = %problem, "only looks like a request");
            pass_look_alike(aws, key).await
        }
        Reading::NotARequest => {
            tracing::info!(key, "not a request");
            Ok(())
        }
    }
}

/// A function's time.
struct Time;

/// The first wait after a lost race is at most so long, each further one twice as long, up to the last.
const BACK_OFF_MS: (u64, u64) = (25, 1_500);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): any time up to the limit, so that passes which lost
    /// the same race do not meet again. The clock's nanoseconds are as good as dice here, and need no source of entropy.
    async fn back_off(&self, nth: usize) {
        let (first, last) = BACK_OFF_MS;
        let most = first.saturating_mul(1 << nth.min(16)).min(last);
        let dice = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs() / 100);
        tokio::time::sleep(Duration::from_millis(dice % (most + 1))).await;
    }
}

/// An event of a stack says only which cluster to look at, and only its tags say that.
async fn stack(aws: &Aws, id: &StackId) -> Result<(), Fault> {
    let seen = observe::stack(aws, id).await?;
    let Some(cluster) = seen.as_ref().and_then(|s| s.cluster(&aws.site.deployment)) else {
        tracing::info!(stack = %id, "not a cluster of this deployment");
        return Ok(());
    };
    look_at(aws, Subject { cluster, upload: None, stack: seen }).await
}

/// What CloudFormation calls the group of a cluster's compute nodes: the stack's name, this, and letters of its own.
const GROUP: &str = "-ComputeGroup-";

/// A machine was launched for a group, or could not be. The name of the group only says where to look; the stack's tags say whose.
async fn machine(aws: &Aws, group: &str, at: Option<Timestamp>, failure: Option<String>) -> Result<(), Fault> {
    let named = group.rsplit_once(GROUP).map(|(stack, _)| StackId(stack.to_owned()));
    let seen = match &named {
        Some(name) => observe::stack(aws, name).await?,
        None => None,
    };
    let Some(cluster) = seen.as_ref().and_then(|s| s.cluster(&aws.site.deployment)) else {
        tracing::info!(group, "not a group of this deployment's clusters");
        return Ok(());
    };
    let failure = failure.map(|words| plain(&words, SHOWN_MAX).trim_end_matches('.').to_owned());
    let news = NodeNews { at: at.unwrap_or_else(|| Time.now()), failure };
    let subject = Subject { cluster, upload: None, stack: seen };
    let outcome = Box::pin(pass_nodes(aws, &aws.site, &subject, &news, &Time)).await?;
    journal::passed(&subject.cluster, &outcome);
    Ok(())
}

async fn look_at(aws: &Aws, subject: Subject) -> Result<(), Fault> {
    // Boxed: a pass's future is large, and every caller's would hold it.
    let outcome = Box::pin(pass(aws, &aws.site, &subject, &Time)).await?;
    journal::passed(&subject.cluster, &outcome);
    if let Some(upload) = subject.upload.filter(|_| outcome.is_without_upload) {
        journal::without_upload(&upload.to_string());
    }
    Ok(())
}

/// Looks at what nobody told of. A cluster's fault does not keep the others from their look, and is not given back: the
/// next sweep comes anyway, while a sweep in the failure queue would be one too many.
async fn sweep(aws: &Aws) -> Result<(), Fault> {
    // Boxed, as a pass is.
    let found = Box::pin(sweep::find(aws, &aws.site, Time.now())).await?;
    journal::found(&found);
    let (count, unread) = (found.wanting.len(), found.unread.len());
    let looks = stream::iter(found.wanting).map(|cluster| async move {
        let done = look_at(aws, Subject { cluster: cluster.clone(), upload: None, stack: None }).await;
        if let Err(fault) = &done {
            journal::failed(&cluster.to_string(), fault);
        }
        done.is_err()
    });
    let looks = looks.buffer_unordered(SIDE_BY_SIDE).filter(|failed| std::future::ready(*failed)).count();
    // Side by side: neither is to wait for the other's crowd.
    let (failed, unheard) = futures_util::join!(looks, first_hour::sweep(aws, Time.now()));
    journal::swept(count, failed + unread + unheard, &found.living);
    Ok(())
}
