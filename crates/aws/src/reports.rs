//! A batch of nodes' reports: one pass for each cluster in it, however many of its reports there are.
//!
//! A pass reads what lies there, so one message for each cluster is enough to bring it here again. The others are done with the batch,
//! and a node that writes a million reports gets one of them back, not a million. It is the message that SQS has given out least often,
//! because SQS takes one away that it has given out five times (`template.yaml`, `ReportsLeftQueue`): a new report must not go with an
//! old one's message.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::SqsBatchResponse;
use cf_core::fault::{Call, Fault};
use cf_core::names::Cluster;
use cf_core::node_report::ReportKey;
use cf_core::reconcile::{Wake, wake};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::client::Aws;
use crate::log;

/// Passes that run side by side, as in a sweep.
const SIDE_BY_SIDE: usize = 4;

/// No pass begins with less than this left: one takes up to 38 s where every call is slow, and its end wants to be reported.
const PASS_MS_MIN: i64 = 45_000;

/// Until when an invocation may run, as Lambda says; without end where nobody says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline(Option<i64>);

impl Deadline {
    /// A time in milliseconds since the epoch.
    pub fn at(milliseconds: u64) -> Self {
        Self(i64::try_from(milliseconds).ok())
    }

    /// Whether a pass may still begin.
    fn has_room(self) -> bool {
        self.0.is_none_or(|end| end - Timestamp::now().as_millisecond() >= PASS_MS_MIN)
    }
}

/// The reports of one batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// Of each cluster the message that comes again where its pass fails.
    kept: BTreeMap<Cluster, Kept>,
    /// Reports in all.
    count: usize,
    /// Keys that are no report's.
    ignored: usize,
}

/// A message that stands for all of its cluster's in a batch.
#[derive(Debug)]
struct Kept {
    /// The key of the report that it names.
    key: String,
    id: String,
    received: u32,
    /// How many the cluster has in the batch.
    count: usize,
}

impl Batch {
    /// Takes up what lies at `key`, which the message `id` names; SQS has given it out so often.
    pub fn add(&mut self, key: String, id: &str, received: u32) {
        match ReportKey::read(&key) {
            Some(report) => {
                self.count += 1;
                let kept = self.kept.remove(&report.cluster);
                let count = kept.as_ref().map_or(1, |kept| kept.count + 1);
                let newer = Kept { key, id: id.to_owned(), received, count };
                let kept = kept.filter(|kept| kept.received < received).map_or(newer, |kept| Kept { count, ..kept });
                self.kept.insert(report.cluster, kept);
            }
            None => self.ignored += 1,
        }
    }

    /// The cluster with the most reports.
    fn most(&self) -> Option<(&Cluster, usize)> {
        self.kept.iter().map(|(cluster, kept)| (cluster, kept.count)).max_by_key(|(_, count)| *count)
    }

    /// Runs the passes. A message whose pass failed, or has no room before the deadline, comes again.
    pub async fn run(self, aws: &Aws, deadline: Deadline, again: &mut SqsBatchResponse) {
        if self.count + self.ignored == 0 {
            return;
        }
        log::reports(self.count, self.kept.len(), self.ignored, self.most());
        let passes = stream::iter(self.kept.into_values()).map(|Kept { key, id, .. }| async move {
            if !deadline.has_room() {
                tracing::info!(message = id, "no time is left for this cluster's reports; SQS delivers the message again");
                return Some(id);
            }
            let fault = wake(aws, &Wake::Report(key)).await.err()?;
            given_back(&id, &fault);
            Some(id)
        });
        for id in passes.buffer_unordered(SIDE_BY_SIDE).collect::<Vec<_>>().await.into_iter().flatten() {
            again.add_failure(id);
        }
    }
}

fn given_back(id: &str, fault: &Fault) {
    // A pass that comes too early is none that failed.
    if fault.call == Call::Pass {
        tracing::info!(message = id, why = fault.why, "SQS delivers the message again");
    } else {
        log::given_back(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_one_message_for_each_cluster_and_counts_what_is_no_report() {
        let mut batch = Batch::default();
        let key = |cluster: &str, node: &str| format!("nodes/alice/{cluster}/00000000000000aa/{node}.json");
        for (nth, key) in [
            key("demo", "login1"),
            key("x", "login1"),
            key("demo", "compute-1"),
            key("demo", "login2"),
            "nodes/../ledger/alice.json".to_owned(),
            "ledger/alice.json".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            batch.add(key, &nth.to_string(), 1);
        }
        let kept: Vec<&str> = batch.kept.values().map(|kept| kept.id.as_str()).collect();
        assert_eq!((kept, batch.count, batch.ignored), (vec!["2", "1"], 3, 3));
        assert_eq!(batch.most().map(|(cluster, count)| (cluster.name.as_str(), count)), Some(("demo", 2)));
    }

    #[test]
    fn a_new_report_is_not_taken_away_with_the_message_of_one_that_came_too_early_again_and_again() {
        for given_out in [[5, 1, 4], [1, 5, 4], [4, 5, 1]] {
            let mut batch = Batch::default();
            for (nth, received) in given_out.into_iter().enumerate() {
                batch.add(format!("nodes/alice/demo/00000000000000aa/compute-{}.json", nth + 1), &nth.to_string(), received);
            }
            let kept: Vec<u32> = batch.kept.values().map(|kept| kept.received).collect();
            assert_eq!(kept, [1], "{given_out:?}");
        }
    }

    #[test]
    fn no_pass_begins_shortly_before_the_deadline() {
        let now = Timestamp::now().as_millisecond();
        let ends_in = |ms: i64| Deadline::at(u64::try_from(now + ms).unwrap());
        assert!(ends_in(PASS_MS_MIN + 10_000).has_room() && Deadline::default().has_room());
        assert!(!ends_in(PASS_MS_MIN - 1).has_room() && !ends_in(-1).has_room());
    }
}
