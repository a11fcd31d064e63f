//! What nodes have written, as they wrote it, and what follows from it for status files. It knows no listing and reads no object.

use std::collections::{BTreeMap, BTreeSet};

use cf_core::effect::{Effect, Expect};
use cf_core::key::StatusKey;
use cf_core::ledger::{self, Ledger, Phase};
use cf_core::message::{StateText, node_failure};
use cf_core::names::Cluster;
use cf_core::node_report::{FailedScript, NodeReport, NodeState, SchedulerReport};
use cf_core::node_reports::{LOGIN as LOGIN_NODE, NodesShown, ReportedNode, SCHEDULER_BYTES_MAX};
use cf_core::request::RequestId;
use cf_core::settings::Settings;
use cf_core::stack::StackState;
use cf_core::status::{State as Word, Status};

use super::Oracle;
use crate::cloudformation::{LOGIN, SimStack};
use crate::finding::{Finding, FindingKind};
use crate::s3::{Bucket, Version};
use crate::world::State;

/// Status files are written so far apart because of reports alone, in seconds, whatever is in them.
const APART_SECONDS: i64 = 10;

/// And so far where nothing is new in them but what Slurm shows.
const SLURM_APART_SECONDS: i64 = 60;

/// What nodes wrote.
#[derive(Debug, Default)]
pub struct NodeHistory {
    /// What each node of each life wrote, in order; `None` where it was no report.
    written: BTreeMap<(Cluster, RequestId, ReportedNode), Vec<Option<NodeReport>>>,
    /// Clusters of which a report was taken away by faults, as the alarm `reports-left` says.
    given_up: BTreeSet<Cluster>,
}

impl NodeHistory {
    /// A node wrote this.
    pub fn note(&mut self, cluster: &Cluster, request: &RequestId, node: ReportedNode, report: Option<NodeReport>) {
        self.written.entry((cluster.clone(), request.clone(), node)).or_default().push(report);
    }

    /// Faults have taken a report of this cluster away.
    pub fn note_given_up(&mut self, cluster: Cluster) {
        self.given_up.insert(cluster);
    }

    /// All that a node has ever reported.
    fn of<'h>(&'h self, cluster: &Cluster, request: &RequestId, node: ReportedNode) -> impl Iterator<Item = &'h NodeReport> + use<'h> {
        self.written.get(&(cluster.clone(), request.clone(), node)).into_iter().flatten().flatten()
    }

    /// Whether a node ever reported this script as failed.
    pub fn has_script(&self, cluster: &Cluster, request: &RequestId, node: ReportedNode, script: &FailedScript) -> bool {
        self.of(cluster, request, node).any(|report| report.scripts.contains(script))
    }

    /// What a status file shows of the nodes and none of them has reported in this life. It may be older than the last report.
    pub fn why_untrue(&self, cluster: &Cluster, status: &Status<StateText>, state: &State, settings: &Settings) -> Option<String> {
        let NodesShown { nodes, failed_nodes, node_notes, failed_scripts, known_hosts, scheduler, .. } = &status.reported;
        let of = |node| self.of(cluster, &status.request, node);
        // Also an earlier life's: a create that was withdrawn for it leaves its file to it.
        let stood = |s: &SimStack| {
            let is_available = s.stack.status.state() == StackState::Available;
            s.stack.cluster(&settings.deployment).as_ref() == Some(cluster)
                && (is_available || s.history.iter().any(|(_, was)| was.state() == StackState::Available))
        };
        if status.state == Word::Ready && !state.stacks.all().iter().any(stood) {
            return Some("it never was ready".to_owned());
        }
        let most = nodes_max(cluster, state, settings);
        if let Some((node, word)) =
            nodes.iter().find(|(node, word)| node.is_above(most) || of(**node).all(|report| report.state.to_string() != **word))
        {
            return Some(format!("{node} never was {word}, or is none of its nodes"));
        }
        let reason =
            |report: &NodeReport| report.failure.map_or_else(|| report.message.clone(), |code| node_failure(code, &report.message));
        let is_reason = |report: &NodeReport, shown: &str| reason(report) == shown || (reason(report).is_empty() && !shown.is_empty());
        let has_failed = |report: &NodeReport, shown: &str| report.state == NodeState::Failed && is_reason(report, shown);
        if let Some(failed) = failed_nodes.iter().find(|failed| !of(failed.node).any(|report| has_failed(report, &failed.reason))) {
            return Some(format!("{} did not fail so: {}", failed.node, failed.reason));
        }
        if let Some(noted) = node_notes.iter().find(|noted| !of(noted.node).any(|report| report.message == noted.note)) {
            return Some(format!("{} did not note this: {}", noted.node, noted.note));
        }
        if let Some(failed) = failed_scripts.iter().find(|failed| !self.has_script(cluster, &status.request, failed.node, &failed.script)) {
            return Some(format!("{} did not fail on {}", failed.script.script, failed.node));
        }
        let is_slurms = |shown: &SchedulerReport| of(LOGIN_NODE).any(|report| slurm_of(report).as_ref() == Some(shown));
        if scheduler.as_ref().is_some_and(|shown| status.state != Word::Ready || !is_slurms(shown)) {
            return Some(format!("its login node did not report this of Slurm, or nobody can log in: {scheduler:?}"));
        }
        if let StateText::Ready { scheduler: said, .. } = &status.message
            && said.as_deref() != scheduler.as_ref()
        {
            return Some(format!("its sentence is about {said:?}, and it shows {scheduler:?}"));
        }
        let is_key = |line: &String| of(LOGIN_NODE).any(|report| report.host_keys.iter().any(|key| *line == format!("{LOGIN} {key}")));
        known_hosts.iter().find(|line| !is_key(line)).map(|line| format!("it is no key of the login node: {line}"))
    }

    /// What the login node of one life wrote of Slurm last.
    fn last_of_slurm(&self, cluster: &Cluster, request: &RequestId) -> Option<SchedulerReport> {
        slurm_of(self.written.get(&(cluster.clone(), request.clone(), LOGIN_NODE))?.last()?.as_ref()?)
    }

    /// The nodes and the failed scripts of one life, by what each node wrote last.
    fn last(&self, cluster: &Cluster, request: &RequestId, most: u32) -> (BTreeMap<ReportedNode, String>, Vec<(ReportedNode, String)>) {
        let (mut states, mut scripts) = (BTreeMap::new(), Vec::new());
        for ((of, life, node), written) in &self.written {
            let is_here = (of, life) == (cluster, request) && !node.is_above(most);
            let Some(report) = written.last().and_then(Option::as_ref).filter(|_| is_here) else { continue };
            if *node == LOGIN_NODE || report.state != NodeState::Leaving {
                states.insert(*node, report.state.to_string());
                scripts.extend(report.scripts.iter().map(|script| (*node, script.script.clone())));
            }
        }
        (states, scripts)
    }
}

/// What a status file may show of the login node's report on Slurm.
fn slurm_of(report: &NodeReport) -> Option<SchedulerReport> {
    let scheduler = report.scheduler.clone().filter(|_| report.state != NodeState::Leaving);
    scheduler.map(|scheduler| scheduler.within(SCHEDULER_BYTES_MAX))
}

/// Whether two status files differ in nothing but what Slurm shows, and the first one shows something of it.
fn differ_by_slurm_alone(shown: &NodesShown, status: &NodesShown) -> bool {
    let without = |of: &NodesShown| NodesShown { scheduler: None, ..of.clone() };
    shown.scheduler.is_some() && shown.scheduler != status.scheduler && without(shown) == without(status)
}

/// The most compute nodes that any stack of a cluster may have.
fn nodes_max(cluster: &Cluster, state: &State, settings: &Settings) -> u32 {
    let most = |s: &SimStack| {
        let default = settings.template.parameters.get("ComputeMaxNodes").and_then(|parameter| parameter.default.as_ref());
        s.stack.parameters.get("ComputeMaxNodes").or(default).and_then(|most| most.parse().ok())
    };
    let mine = state.stacks.all().iter().filter(|s| s.stack.cluster(&settings.deployment).as_ref() == Some(cluster));
    mine.filter_map(most).max().unwrap_or(0)
}

impl Oracle {
    /// A pass that a report has woken is about to do this: write the status file that is there, with the state that it has.
    pub fn check_report_pass(&mut self, effect: &Effect, state: &State) {
        let Effect::WriteStatus { key, status, expect } = effect else {
            return self.wrong(FindingKind::ReportActed, &format!("a report leads to this: {effect}"));
        };
        let Some(shown) = shown(state, key).filter(|shown| shown.request == status.request) else { return };
        let apart = status.updated.as_second() - shown.updated.as_second();
        // Another pass may have written it since; then this write's condition does not hold.
        let version = state.store.get(Bucket::User, key).map(Version::etag);
        let holds = matches!((expect, version), (Expect::Is(seen), Some(there)) if *seen == there) || *expect == Expect::OwnWrite;
        let is_slurms = differ_by_slurm_alone(&shown.reported, &status.reported);
        let least = if is_slurms { SLURM_APART_SECONDS } else { APART_SECONDS };
        if holds && (0..least).contains(&apart) {
            self.wrong(FindingKind::ReportActed, &format!("{key} is written again after {apart} s"));
        }
    }

    /// A look reads one more report.
    pub fn check_reads(&mut self, read: usize, cluster: Option<&Cluster>, state: &State, settings: &Settings) {
        let most = cluster.map_or(0, |cluster| nodes_max(cluster, state, settings));
        if u32::try_from(read).is_ok_and(|read| read > most + 1) {
            self.wrong(FindingKind::ReportsUnbounded, &format!("{read} reports are read of a cluster with at most {most} compute nodes"));
        }
    }

    /// What a ready cluster's status file does not show once nothing moves any more.
    pub fn check_reports_shown(&self, state: &State, settings: &Settings) -> Vec<Finding> {
        let mut wrong = Vec::new();
        for (key, version) in state.store.list(Bucket::System, ledger::PREFIX) {
            let (Some(user), Ok(ledger)) = (ledger::user_of(key), serde_json::from_slice::<Ledger>(&version.bytes)) else { continue };
            for (name, entry) in ledger.clusters.iter().filter(|(_, entry)| entry.phase == Phase::Ready) {
                let cluster = Cluster { user: user.clone(), name: name.clone() };
                let Some(accepted) = &entry.accepted else { continue };
                let is_its = |s: &&SimStack| s.stack.cluster(&settings.deployment).as_ref() == Some(&cluster);
                let stack = state.stacks.all_living().find(is_its);
                let stands = stack.is_some_and(|s| {
                    s.stack.status.state() == StackState::Available && s.stack.request().as_ref() == Some(&accepted.request)
                });
                let status = shown(state, &accepted.key.status()).filter(|s| s.request == accepted.request && s.state == Word::Ready);
                let Some(status) = status.filter(|_| stands && !self.nodes.given_up.contains(&cluster)) else { continue };
                let (reported, scripts) = self.nodes.last(&cluster, &accepted.request, nodes_max(&cluster, state, settings));
                let shown: Vec<_> = status.reported.failed_scripts.iter().map(|s| (s.node, s.script.script.clone())).collect();
                let slurm = self.nodes.last_of_slurm(&cluster, &accepted.request);
                if status.reported.nodes != reported || shown != scripts || status.reported.scheduler != slurm {
                    let what = format!(
                        "{cluster}: its nodes report {reported:?} {scripts:?} {slurm:?}, and its status file shows {:?}",
                        status.reported
                    );
                    wrong.push(Finding::new(FindingKind::ReportNotShown, what));
                }
            }
        }
        wrong
    }
}

/// A status file as it is.
fn shown(state: &State, key: &StatusKey) -> Option<Status> {
    serde_json::from_slice(&state.store.get(Bucket::User, key)?.bytes).ok()
}
