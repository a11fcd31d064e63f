//! Log lines and metrics of a function: one structured line for each decision, and metrics in the embedded format, which CloudWatch
//! reads out of the log without a call of ours.

use std::collections::BTreeMap;

use cf_core::fault::Fault;
use cf_core::first_hour::{Look, PROBE};
use cf_core::names::Cluster;
use cf_core::reconcile::{Outcome, Report};
use cf_core::stack::StackState;
use cf_core::sweep::Found;
use serde_json::{Value, json};

/// JSON lines on standard output; Lambda adds the time.
pub fn init() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|l| l.parse().ok()).unwrap_or(tracing::Level::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_max_level(level)
        .without_time()
        .init();
}

/// Logs and counts what was done.
pub fn report(report: &Report<'_>) {
    match report {
        Report::Pass(cluster, outcome) => passed(cluster, outcome),
        Report::WithoutUpload(key) => {
            tracing::info!(key, "the event's file is not there");
            measure(&[Measured { name: "EventsWithoutUpload", unit: "Count", value: json!(1) }]);
        }
        Report::InvalidKey(key, problem) => tracing::info!(key, problem = %problem, "the key cannot be a request's"),
        Report::LookAlike(key, problem) => tracing::info!(key, problem = %problem, "only looks like a request"),
        Report::NotOurs(what, why) => tracing::info!(what, why, "nothing to do"),
        Report::NoReport(key) => {
            tracing::info!(key, "no node's report has such a key");
            measure(&[Measured { name: "ReportsIgnored", unit: "Count", value: json!(1) }]);
        }
        Report::Probe => tracing::info!(key = PROBE, "S3 tells of uploads"),
        Report::Found(found) => self::found(found),
        Report::FirstHour(look, failed) => first_hour(look, *failed),
        Report::Fault(what, fault) => failed(what, fault),
        Report::Swept(looked_at, failed, living) => swept(*looked_at, *failed, living),
    }
}

/// One pass, whether it came to its end or a fault ended it. The fault is logged by who gives the event back, or goes on.
fn passed(cluster: &Cluster, outcome: &Outcome) {
    for plan in &outcome.plans {
        tracing::info!(user = %cluster.user, cluster = %cluster.name, %plan, "decided");
    }
    for mail in &outcome.mails_lost {
        tracing::warn!(user = %cluster.user, cluster = %cluster.name, mail, "a mail was lost");
    }
    for list in &outcome.lists_unread {
        tracing::warn!(user = %cluster.user, cluster = %cluster.name, list, "a list of a stack cannot be read; its own reason is used");
    }
    if outcome.left_for_watch() {
        tracing::info!(user = %cluster.user, cluster = %cluster.name, "the rest is left for cf-watch");
    }
    let done = outcome.counts;
    let counts = [
        ("ClustersStarted", done.started),
        ("ClustersReady", done.ready),
        ("ClustersFailed", done.failed),
        ("ClustersGone", done.gone),
        ("ClustersStuck", done.stuck),
        ("UploadsRefused", done.refused),
        ("MailsLost", outcome.mails_lost.len()),
        ("MailsInDoubt", done.mails_in_doubt),
        ("Conflicts", outcome.conflicts),
        ("PassesHandedOver", usize::from(outcome.is_handed_over)),
        ("ListsUnread", outcome.lists_unread.len()),
        ("ReportsIgnored", outcome.reports_ignored),
    ];
    let mut measured: Vec<Measured> =
        counts.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| Measured { name, unit: "Count", value: json!(n) }).collect();
    measured.extend(outcome.ready_seconds.map(|s| Measured { name: "TimeToReady", unit: "Seconds", value: json!(s) }));
    measure(&measured);
}

/// A batch of nodes' reports: one line for all of them, because a node may write a million. `most` is the cluster that wrote most of
/// them, and how many.
pub fn reports(count: usize, clusters: usize, ignored: usize, most: Option<(&Cluster, usize)>) {
    let (user, cluster) = most.map(|(cluster, _)| (cluster.user.as_str(), cluster.name.as_str())).unzip();
    tracing::info!(count, clusters, ignored, most = most.map(|(_, count)| count), user, cluster, "reports of nodes");
    let counts = [("Reports", count), ("ReportsIgnored", ignored)].into_iter().filter(|(_, n)| *n > 0);
    measure(&counts.map(|(name, n)| Measured { name, unit: "Count", value: json!(n) }).collect::<Vec<_>>());
}

/// A fault that keeps something from being done.
fn failed(what: &str, fault: &Fault) {
    tracing::error!(what, call = <&str>::from(fault.call), why = fault.why, kind = ?fault.kind, "call failed");
}

/// The fault of an event that is given back.
pub fn given_back(fault: &Fault) {
    tracing::error!(call = <&str>::from(fault.call), why = fault.why, kind = ?fault.kind, "call failed; the event is given back");
}

/// What a sweep has found, before it looks at any cluster.
fn found(found: &Found) {
    tracing::info!(wanting = found.wanting.len(), ledgers_read = found.read, ledgers_left = found.left, "sweep: clusters found");
    for fault in &found.unread {
        failed("sweep", fault);
    }
    for fault in &found.cache {
        tracing::warn!(call = <&str>::from(fault.call), why = fault.why, "the cache of ledgers is lost; it costs calls and nothing else");
    }
}

/// What a sweep did for uploads that S3 told nobody of. The metric is there while something is wrong with the trigger.
fn first_hour(look: &Look, failed: usize) {
    if look.pages > 0 || !look.uploads.is_empty() {
        tracing::info!(pages = look.pages, uploads = look.uploads.len(), failed, "looked for uploads that S3 told nobody of");
    }
    if look.is_silent {
        tracing::warn!(probe = PROBE, "S3 does not tell of uploads: is the trigger switched on?");
        measure(&[Measured { name: "TriggerSilent", unit: "Count", value: json!(1) }]);
    }
}

/// A sweep that came to its end: the metric is what tells of sweeps that do not run. The clusters by state are told at each,
/// also where there are none.
fn swept(looked_at: usize, failed: usize, living: &BTreeMap<StackState, usize>) {
    tracing::info!(looked_at, failed, "sweep: finished");
    let of = |states: &[StackState]| states.iter().filter_map(|state| living.get(state)).sum::<usize>();
    let counts = [
        ("Sweeps", 1),
        ("SweepFaults", failed),
        ("LivingCreating", of(&[StackState::Creating])),
        ("LivingReady", of(&[StackState::Available, StackState::Changing])),
        ("LivingFailed", of(&[StackState::RollingBack, StackState::Failed])),
        ("LivingDeleting", of(&[StackState::Deleting])),
        ("LivingStuck", of(&[StackState::DeleteFailed])),
    ];
    measure(&counts.map(|(name, n)| Measured { name, unit: "Count", value: json!(n) }));
}

/// One metric of the deployment.
struct Measured {
    name: &'static str,
    unit: &'static str,
    value: Value,
}

/// One line in the embedded metric format (CloudWatch User Guide, `CloudWatch_Embedded_Metric_Format_Specification`).
fn measure(measured: &[Measured]) {
    if measured.is_empty() {
        return;
    }
    let metrics: Vec<_> = measured.iter().map(|m| json!({"Name": m.name, "Unit": m.unit})).collect();
    let now = jiff::Timestamp::now().as_millisecond();
    let deployment = std::env::var("CLUSTERDROP_DEPLOYMENT").unwrap_or_default();
    let mut line = json!({
        "_aws": {"Timestamp": now, "CloudWatchMetrics": [{"Namespace": "clusterdrop", "Dimensions": [["Deployment"]], "Metrics": metrics}]},
        "Deployment": deployment,
    });
    for m in measured {
        line[m.name] = m.value.clone();
    }
    println!("{line}");
}
