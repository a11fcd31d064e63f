//! A sweep: passes over the clusters that no event reported. A cluster's fault does not keep the others from their pass, and is
//! not given back: the next sweep comes anyway, while a sweep in the failure queue would be one too many.

use std::collections::BTreeSet;
use std::future::ready;

use futures_util::{StreamExt, join, stream};

use super::{Environment, Purpose, Report, Scope, pass, upload};
use crate::fault::Fault;
use crate::first_hour;
use crate::observe::Subject;
use crate::sweep::find;

/// Passes that run side by side: enough to hide latency, few enough to stay under CloudFormation's throttle.
const SIDE_BY_SIDE: usize = 4;

pub async fn sweep<E: Environment>(env: &E) -> Result<(), Fault> {
    use super::Clock as _;
    let found = Box::pin(async { find(&env.world(Scope::Sweep), env.settings(), env.clock().now()).await }).await?;
    env.report(Report::Found(&found));
    let (count, unread) = (found.wanting.len(), found.unread.len());
    let passes = stream::iter(found.wanting).map(|cluster| async move {
        let world = env.world(Scope::Swept(&cluster));
        let done =
            pass(env, &world, Subject { cluster: cluster.clone(), upload: None, stack: None, reports: false }, Purpose::Cluster).await;
        if let Err(fault) = &done {
            env.report(Report::Fault(&cluster.to_string(), fault));
        }
        done.is_err()
    });
    let passes = passes.buffer_unordered(SIDE_BY_SIDE).filter(|failed| ready(*failed)).count();
    // Side by side: neither is to wait for the other's crowd.
    let (failed, unheard) = join!(passes, first_hour_passes(env));
    env.report(Report::Swept(count, failed + unread + unheard, &found.living));
    Ok(())
}

/// Passes for uploads that S3 did not report; how many of them failed, with what else went wrong.
async fn first_hour_passes<E: Environment>(env: &E) -> usize {
    use super::Clock as _;
    if !env.has_first_hour() {
        return 0;
    }
    let now = env.clock().now();
    let look = match Box::pin(async { first_hour::look(&env.world(Scope::Sweep), env.settings(), now).await }).await {
        Ok(look) => look,
        Err(fault) => {
            env.report(Report::Fault("first hour", &fault));
            return 1;
        }
    };
    for fault in &look.faults {
        env.report(Report::Fault("first hour", fault));
    }
    let mut faults = look.faults.len();
    let passes = stream::iter(look.uploads.clone()).map(|key| async move {
        // Boxed: an upload may be the probe's, whose answer is part of a sweep.
        let done = Box::pin(upload(env, &key)).await;
        done.err().map(|fault| {
            env.report(Report::Fault(&key, &fault));
            key
        })
    });
    let failed: BTreeSet<String> = passes.buffer_unordered(SIDE_BY_SIDE).filter_map(ready).collect().await;
    faults += failed.len();
    env.report(Report::FirstHour(&look, failed.len()));
    if let Err(fault) = first_hour::close(&env.world(Scope::Sweep), look, &failed, now).await {
        env.report(Report::Fault("first hour", &fault));
        faults += 1;
    }
    faults
}
