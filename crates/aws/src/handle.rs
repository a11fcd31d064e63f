//! From an event to passes: each piece of work alone, so that one fault does not hide the rest.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use cf_core::effect::Execute;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::first_hour::PROBE;
use cf_core::key;
use cf_core::ledger::NodeNews;
use cf_core::observe;
use cf_core::observe::Observe;
use cf_core::plain::{SHOWN_MAX, plain};
use cf_core::reconcile::{Clock, Environment, Report, Scope, Wake, wake};
use cf_core::settings::Settings;
use cf_core::stack::StackId;
use jiff::Timestamp;
use serde_json::Value;

use crate::client::Aws;
use crate::event::{self, Unreadable, Work};
use crate::log;
use crate::reports::{Batch, Deadline};

/// Handles one invocation. An error gives the event back: Lambda tries it again, and it ends in the failure queue.
pub async fn handle(aws: &Aws, event: &Value, deadline: Deadline) -> Result<Value, lambda_runtime::Error> {
    let mut errors = Vec::new();
    let mut again = SqsBatchResponse::default();
    let mut seen = BTreeSet::new();
    let mut reports = Batch::default();
    for work in event::read(event) {
        match work {
            Ok(Work::Message { id, received, work }) => {
                for part in work {
                    let part = match part {
                        Ok(Work::Upload { bucket, key }) if bucket == aws.settings.system_bucket => {
                            reports.add(key, &id, received);
                            continue;
                        }
                        part => part,
                    };
                    if let Err(error) = one(aws, part, &mut seen).await {
                        tracing::error!(message = id, error, "failed; SQS delivers the message again");
                        again.add_failure(id);
                        break;
                    }
                }
            }
            work => errors.extend(one(aws, work, &mut seen).await.err()),
        }
    }
    reports.run(aws, deadline, &mut again).await;
    if errors.is_empty() { Ok(serde_json::to_value(again)?) } else { Err(errors.join("; ").into()) }
}

/// One piece of work. `seen`: a batch names one stack many times, and one pass over it is enough.
async fn one(aws: &Aws, work: Result<Work, Unreadable>, seen: &mut BTreeSet<StackId>) -> Result<(), String> {
    let done = match work {
        Ok(Work::Upload { bucket, key }) => upload(aws, &bucket, &key).await,
        Ok(Work::Stack(id)) if seen.contains(&id) => Ok(()),
        Ok(Work::Stack(id)) => {
            let done = wake(aws, &Wake::Stack(id.clone())).await;
            seen.insert(id);
            done
        }
        Ok(Work::Instance { group, at, failure }) => {
            let failure = failure.map(|words| plain(&words, SHOWN_MAX).trim_end_matches('.').to_owned());
            let news = NodeNews { at: at.unwrap_or_else(|| Time.now()), failure };
            wake(aws, &Wake::Instance { group, news }).await
        }
        Ok(Work::Sweep) => wake(aws, &Wake::Sweep).await,
        Ok(Work::Publish(request)) => aws.publish(&request, Time.now()).await,
        Ok(Work::Nothing(why)) => {
            tracing::info!(why, "nothing to do");
            Ok(())
        }
        Ok(Work::Message { id, .. }) => Err(Fault::new(Kind::Rejected, Call::Event, format!("the message {id} is inside another"))),
        Err(unreadable) => Err(Fault::new(Kind::Rejected, Call::Event, unreadable.to_string())),
    };
    done.map_err(|fault| {
        log::given_back(&fault);
        fault.to_string()
    })
}

/// The key at which the object lies. EventBridge gives keys as they are (S3 User Guide, "EventBridge"), but events that were put
/// together elsewhere come with them encoded: where nothing lies at such a key, and something at what it decodes to, that is it.
async fn true_key<'k>(aws: &Aws, key: &'k str) -> Result<Cow<'k, str>, Fault> {
    if !key.starts_with(key::HOME) || key == PROBE {
        return Ok(Cow::Borrowed(key));
    }
    let Some(decoded) = event::decode(key).filter(|decoded| decoded != key) else { return Ok(Cow::Borrowed(key)) };
    if observe::listed(aws, key).await?.is_some() || observe::listed(aws, &decoded).await?.is_none() {
        return Ok(Cow::Borrowed(key));
    }
    Ok(Cow::Owned(decoded))
}

/// One upload, or one node's report: the pass that its event starts.
async fn upload(aws: &Aws, bucket: &str, key: &str) -> Result<(), Fault> {
    if bucket == aws.settings.system_bucket {
        return wake(aws, &Wake::Report(key.to_owned())).await;
    }
    if bucket != aws.settings.user_bucket {
        return Err(Fault::new(
            Kind::Rejected,
            Call::Event,
            format!("the bucket {bucket} is not the users' bucket {}", aws.settings.user_bucket),
        ));
    }
    wake(aws, &Wake::Upload(true_key(aws, key).await?.into_owned())).await
}

impl Environment for Aws {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn clock(&self) -> &impl Clock {
        &Time
    }

    fn world(&self, _: Scope<'_>) -> impl Observe + Execute + Send {
        self
    }

    fn report(&self, report: Report<'_>) {
        log::report(&report);
    }
}

/// A function's time.
struct Time;

/// The first wait after a conflict is at most so long, each further one twice as long, up to the last.
const BACK_OFF_MS: (u64, u64) = (25, 1_500);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): any time up to the limit, so that passes
    /// in conflict do not meet again. The clock's nanoseconds are as good as dice here, and need no source of entropy.
    async fn back_off(&self, nth: usize) {
        let (first, last) = BACK_OFF_MS;
        let most = first.saturating_mul(1 << nth.min(16)).min(last);
        let dice = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs() / 100);
        tokio::time::sleep(Duration::from_millis(dice % (most + 1))).await;
    }
}
