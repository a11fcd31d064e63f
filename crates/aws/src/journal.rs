//! What a function says of itself: one structured line a decision, and metrics in the embedded format, which CloudWatch
//! reads out of the log without a call of ours.

use cf_core::decide::Course;
use cf_core::fault::Fault;
use cf_core::names::Cluster;
use cf_core::perform::Outcome;
use serde_json::json;

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

/// One pass that came to its end.
pub fn passed(cluster: &Cluster, outcome: &Outcome) {
    for plan in &outcome.plans {
        tracing::info!(user = %cluster.user, cluster = %cluster.name, plan, "decided");
    }
    for mail in &outcome.mails_lost {
        tracing::warn!(user = %cluster.user, cluster = %cluster.name, mail, "a mail was lost");
    }
    if outcome.left_for_watch {
        tracing::info!(user = %cluster.user, cluster = %cluster.name, "the rest is left for cf-watch");
    }
    let counts = [
        ("ClustersStarted", outcome.courses.iter().filter(|c| **c == Course::Start).count()),
        ("ClustersReady", outcome.courses.iter().filter(|c| **c == Course::Announce).count()),
        ("ClustersFailed", outcome.courses.iter().filter(|c| matches!(c, Course::Explain | Course::Declined)).count()),
        ("ClustersGone", outcome.courses.iter().filter(|c| matches!(c, Course::Finish | Course::Lost)).count()),
        ("ClustersStuck", outcome.courses.iter().filter(|c| matches!(c, Course::TellStuck | Course::Undeletable)).count()),
        (
            "UploadsRefused",
            outcome
                .courses
                .iter()
                .filter(|c| matches!(c, Course::Refuse | Course::Crowded | Course::Differ | Course::Occupied | Course::Leftover))
                .count(),
        ),
        ("MailsLost", outcome.mails_lost.len()),
        ("MailsInDoubt", outcome.mails_in_doubt),
    ];
    count(&counts);
}

/// A fault that the event is given back for.
pub fn failed(what: &str, fault: &Fault) {
    tracing::error!(what, call = fault.call, why = fault.why, kind = ?fault.kind, "not done; the event is given back");
}

/// A sweep that came to its end; the metric is what tells of sweeps that do not run.
pub fn swept(looked_at: usize, failed: usize) {
    tracing::info!(looked_at, failed, "swept");
    count(&[("Sweeps", 1), ("SweepFaults", failed)]);
}

/// Writes those that are not zero.
fn count(counts: &[(&str, usize)]) {
    let counts: Vec<_> = counts.iter().filter(|(_, n)| *n > 0).collect();
    if counts.is_empty() {
        return;
    }
    let metrics: Vec<_> = counts.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
    let now = jiff::Timestamp::now().as_millisecond();
    let deployment = std::env::var("CLUSTERDROP_DEPLOYMENT").unwrap_or_default();
    let mut line = json!({
        "_aws": {"Timestamp": now, "CloudWatchMetrics": [{"Namespace": "clusterdrop", "Dimensions": [["Deployment"]], "Metrics": metrics}]},
        "Deployment": deployment,
    });
    for (name, n) in counts {
        line[*name] = json!(n);
    }
    println!("{line}");
}
