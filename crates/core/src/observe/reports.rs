//! Reading what the nodes of one life of a cluster report.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::query::{ListReports, Observe, ReadReport};
use crate::body::Body;
use crate::cluster_parameters::ClusterParameters;
use crate::decide::state::PhaseKind;
use crate::fault::{Fault, Kind};
use crate::ledger::Entry;
use crate::names::Cluster;
use crate::node_report::{NodeReport, ReportKey};
use crate::node_reports::{LOGIN, NODES_MAX, NodeReports, ReportedNode};
use crate::request::RequestId;
use crate::requested_parameters::MOST;
use crate::settings::Function;
use crate::snapshot::Snapshot;
use crate::stack::{Stack, StackState};

/// Reports that are read side by side. All of a small cluster's are; of a large one's, so many that the answers wait for each other
/// and not the calls.
const SIDE_BY_SIDE: usize = 32;

/// Which reports are a cluster's.
#[derive(Debug, Clone)]
pub struct Life {
    /// The cluster.
    pub cluster: Cluster,
    /// The create that it was made for.
    pub request: RequestId,
    /// No report of it is older.
    pub since: Timestamp,
    /// The number of compute nodes that it may have.
    pub nodes: u32,
}

/// Whether the nodes' reports are read: where a status file or `.cf-failed` may show them. Only cf-watch may read them (`iam/`); where
/// another function writes a status file, what was shown of them stays. `is_asked`: a report has come, a create is
/// there, or the ledger says that they are owed.
pub(super) const fn shows_reports(phase: PhaseKind, state: StackState, is_asked: bool, function: Function) -> bool {
    use {PhaseKind as P, StackState as S};
    let is_shown = match (phase, state) {
        (P::Creating | P::Failing, S::Deleting | S::InReview) | (P::Failing, S::Creating | S::Available | S::Changing) => false,
        (P::Creating | P::Failing, _) | (P::Moved, S::Available) => true,
        // Most passes over a ready cluster write no status file.
        (P::Ready, S::Available | S::Changing) => is_asked,
        // One that stands and then fails: its answer says why.
        (P::Ready | P::Moved, S::RollingBack | S::Failed) => true,
        _ => false,
    };
    is_shown && matches!(function, Function::Watch)
}

/// Whose reports are to be read: those of the stack that is there, where it is the accepted request's.
pub(super) fn life(snapshot: &Snapshot<'_>, entry: &Entry) -> Option<Life> {
    let accepted =
        entry.accepted.as_ref().filter(|accepted| snapshot.stack().and_then(Stack::request).as_ref() == Some(&accepted.request))?;
    let nodes = ClusterParameters::of(snapshot, entry).value(MOST).and_then(|nodes| nodes.parse().ok());
    Some(Life {
        cluster: snapshot.cluster.clone(),
        request: accepted.request.clone(),
        // A create that was recovered from its stack was accepted after its nodes had begun to report.
        since: entry.last_create.map_or(accepted.at, |at| at.min(accepted.at)),
        nodes: nodes.unwrap_or(snapshot.settings.nodes_max),
    })
}

/// The reports of one life. However much lies in the folder, one page of it is listed, and at most as many objects are read as the
/// cluster may have nodes: those with a number first, and machines without one in the places that are left. What is no report of such
/// a node is counted and ignored.
pub async fn reports<W: Observe>(world: &W, life: &Life) -> Result<NodeReports, Fault> {
    let page = world.run_query(ListReports(ReportKey::folder(&life.cluster, &life.request))).await?;
    let mut keys = BTreeMap::new();
    let mut ignored = 0;
    for listed in &page.items {
        match life.node(&listed.key).filter(|_| listed.modified >= life.since) {
            Some(node) => drop(keys.insert(node, listed.key.clone())),
            None => ignored += 1,
        }
    }
    if page.next.is_some() {
        // `login1` comes after every `compute-`: no crowd of those hides the report that matters most.
        let key = ReportKey { cluster: life.cluster.clone(), request: life.request.clone(), node: LOGIN.to_string() };
        keys.insert(LOGIN, key.key());
    }
    let most = usize::try_from(life.nodes_max()).map_or(usize::MAX, |nodes| nodes.saturating_add(1));
    // Numbers come first in the order of nodes.
    while keys.len() > most {
        ignored += usize::from(keys.pop_last().is_some());
    }
    let read = stream::iter(keys).map(|(node, key)| async move { Ok::<_, Fault>((node, read(world, key, life.since).await?)) });
    let mut read = read.buffered(SIDE_BY_SIDE);
    let mut reports = NodeReports { ignored, ..NodeReports::default() };
    while let Some((node, found)) = read.try_next().await? {
        match found {
            Found::Report(report) => reports.add(node, *report),
            Found::Nothing => {}
            Found::NoReport => reports.ignored += 1,
        }
    }
    Ok(reports)
}

impl Life {
    /// The node of this cluster whose report lies at this key.
    fn node(&self, key: &str) -> Option<ReportedNode> {
        let key = ReportKey::read(key).filter(|key| key.cluster == self.cluster && key.request == self.request)?;
        ReportedNode::read(&key.node).filter(|node| !node.is_above(self.nodes_max()))
    }

    /// The compute nodes whose reports are read.
    fn nodes_max(&self) -> u32 {
        self.nodes.min(NODES_MAX)
    }
}

/// What lies at a report's key.
enum Found {
    Report(Box<NodeReport>),
    Nothing,
    NoReport,
}

async fn read<W: Observe>(world: &W, key: String, since: Timestamp) -> Result<Found, Fault> {
    let object = match world.run_query(ReadReport(key)).await {
        Ok(Some(object)) if object.modified >= since => object,
        Ok(Some(_)) => return Ok(Found::NoReport),
        Ok(None) => return Ok(Found::Nothing),
        // Encrypted with a key of its own, or archived: a node may write it so.
        Err(fault) if fault.kind == Kind::Rejected => return Ok(Found::NoReport),
        Err(fault) => return Err(fault),
    };
    let Body::Read(bytes) = object.body else { return Ok(Found::NoReport) };
    Ok(NodeReport::parse(&bytes).map_or(Found::NoReport, |report| Found::Report(Box::new(report))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Whatever a listing holds, a key counts for the cluster, the life and the nodes that it names, and for no other.
    #[test]
    fn a_report_counts_for_its_own_user_cluster_and_life_alone() {
        let (cluster, request) = (testing::cluster("alice", "demo"), RequestId::from_tag("00000000000000aa"));
        let life = |nodes| Life { cluster: cluster.clone(), request: request.clone(), since: Timestamp::UNIX_EPOCH, nodes };
        let node = |key: &str| life(4).node(key);
        assert_eq!(node("nodes/alice/demo/00000000000000aa/login1.json"), Some(LOGIN));
        assert_eq!(node("nodes/alice/demo/00000000000000aa/compute-4.json"), Some(ReportedNode::numbered(4)));
        for key in [
            "nodes/bob/demo/00000000000000aa/login1.json",
            "nodes/alice2/demo/00000000000000aa/login1.json",
            "nodes/alice/demo2/00000000000000aa/login1.json",
            "nodes/alice/demo/00000000000000ab/login1.json",
            "nodes/alice/demo/00000000000000aa/compute-5.json",
            "nodes/alice/demo/00000000000000aa/jobs/login1.json",
        ] {
            assert_eq!(node(key), None, "{key}");
        }
        let last = |nth: u32| format!("nodes/alice/demo/00000000000000aa/compute-{nth}.json");
        assert_eq!(life(1000).node(&last(NODES_MAX)), Some(ReportedNode::numbered(NODES_MAX)));
        assert_eq!(life(1000).node(&last(NODES_MAX + 1)), None, "however many nodes the cluster may have");
    }
}
