//! What nodes write into the system bucket in the course of a run: their reports, and what else root on a node may put there. Its role
//! lets it write below its own cluster's folder and nowhere else, so nothing here does.

use cf_core::names::Cluster;
use cf_core::node_report::{
    BYTES_MAX, FailedScript, FailureCode, JobsReport, NodeReport, NodeState, NodesReport, NodesState, ReportKey, SchedulerReport,
};
use cf_core::node_reports::{LOGIN, ReportedNode};
use cf_core::reconcile::Wake;
use cf_core::request::RequestId;

use super::context::Function;
use super::delivery::Queue;
use super::dice::{named, under};
use super::event_queue::ScheduledEvent;
use super::run::Run;
use crate::s3::Bucket;

/// Over how long the nodes of one stack write, in milliseconds.
const SPANS: [u64; 3] = [30_000, 300_000, 2_400_000];
/// A node with this number, or a higher one, is none that a cluster of the simulator may have.
const BEYOND: u32 = 40;

/// The nodes of a stack that was just started: in every third nobody writes anything.
pub fn schedule(run: &mut Run<'_, '_>, nth: usize, key: u64) {
    let dice = run.context.dice;
    if dice.below(under(key, 0), 3) == 0 || its_cluster(run, nth).is_none() {
        return;
    }
    let span = SPANS[usize::try_from(dice.below(under(key, 1), SPANS.len() as u64)).unwrap_or(0)];
    for write in 0..=dice.below(under(key, 2), 9) {
        let at = run.now() + 2_000 + run.below(under(key, 10 + write), span);
        run.moving += 1;
        run.at(at, ScheduledEvent::NodeWrites(nth, under(key, 100 + write)));
    }
}

/// Whose nodes they are, and the request that their stack was made for.
fn its_cluster(run: &Run<'_, '_>, nth: usize) -> Option<(Cluster, RequestId)> {
    let state = run.context.world.state();
    let stack = &state.stacks.all().get(nth)?.stack;
    Some((stack.cluster(&run.context.world.settings.deployment)?, stack.request()?))
}

/// A node writes. An instance may do so after its stack has gone.
pub fn write(run: &mut Run<'_, '_>, nth: usize, key: u64) {
    run.moving -= 1;
    let Some((cluster, request)) = its_cluster(run, nth) else { return };
    let dice = run.context.dice;
    let node = ReportedNode::numbered(u32::try_from(dice.below(under(key, 1), 4)).unwrap_or(0));
    let report = report(run, node, under(key, 2));
    let bytes = serde_json::to_vec(&report).unwrap_or_default();
    let mut writer = Writer { run, cluster, request, key };
    match dice.below(under(key, 3), 16) {
        0 => writer.put(node, b"{\"state\": \"gone\"}", None),
        1 => writer.put(node, &[bytes, vec![b' '; BYTES_MAX]].concat(), None),
        2 => {
            writer.put(node, &bytes, None);
            let at = writer.at(node);
            writer.run.context.world.state().store.withhold(Bucket::System, &at);
        }
        3 => {
            let crowd: Vec<String> = (BEYOND..2 * BEYOND).map(|nth| writer.at(ReportedNode::numbered(nth))).collect();
            for at in &crowd {
                writer.store(at, &bytes);
            }
            writer.put(ReportedNode::numbered(BEYOND), &bytes, Some(report));
        }
        4 => {
            // Of another life, in a deeper folder, and of no node.
            let folder = ReportKey::folder(&writer.cluster, &RequestId::from_tag("00000000000000ff"));
            let own = ReportKey::folder(&writer.cluster, &writer.request);
            for at in [format!("{folder}login1.json"), format!("{own}jobs/login1.json"), format!("{own}login2.json")] {
                writer.put_at(&at, &bytes);
            }
        }
        _ => writer.put(node, &bytes, Some(report)),
    }
}

/// So many faults may take a report away that SQS gives out five times.
const FAULTS_MIN: u64 = 3;

/// SQS has given the message of a report out five times, and takes it away. Where faults did that, what the cluster's nodes report may
/// stay unseen until one of them reports again; that it came too early may not.
pub fn give_up(run: &Run<'_, '_>, key: &str, faults: u64) {
    run.context.log(|| format!("the message of {key} goes to reports-left, after {faults} faults"));
    if let Some(key) = ReportKey::read(key).filter(|_| faults >= FAULTS_MIN) {
        run.context.inner().oracle.nodes.note_given_up(key.cluster);
    }
}

/// A node at work.
struct Writer<'w, 's, 'b> {
    run: &'w mut Run<'s, 'b>,
    cluster: Cluster,
    request: RequestId,
    key: u64,
}

impl Writer<'_, '_, '_> {
    fn at(&self, node: ReportedNode) -> String {
        ReportKey { cluster: self.cluster.clone(), request: self.request.clone(), node: node.to_string() }.key()
    }

    /// Puts something where a node's report lies: the report, or what is none.
    fn put(&mut self, node: ReportedNode, bytes: &[u8], report: Option<NodeReport>) {
        let report = report.map(NodeReport::bounded);
        self.run.context.inner().oracle.nodes.note(&self.cluster, &self.request, node, report);
        self.put_at(&self.at(node), bytes);
    }

    fn store(&self, at: &str, bytes: &[u8]) {
        let mut state = self.run.context.world.state();
        let now = state.now;
        state.store.put(Bucket::System, at, bytes, now);
    }

    /// Puts something, and S3 reports it.
    fn put_at(&mut self, at: &str, bytes: &[u8]) {
        self.run.context.log(|| format!("a node writes {at} ({} bytes)", bytes.len()));
        self.store(at, bytes);
        let key = under(self.key, named(at));
        self.run.emit(Wake::Report(at.to_owned()), Function::Watch, Queue::Reports, key);
    }
}

/// What a node reports, honest or not: the texts may hold anything, and the address need not be the node's.
fn report(run: &Run<'_, '_>, node: ReportedNode, key: u64) -> NodeReport {
    const STATES: [NodeState; 5] = [NodeState::Starting, NodeState::Configuring, NodeState::Ready, NodeState::Failed, NodeState::Leaving];
    const MESSAGES: [&str; 3] = ["", "no room on the disk", "\u{1b}[31mroot was here\u{1b}[0m\r\nand again"];
    let pick = |part: u64, most: usize| usize::try_from(run.context.dice.below(under(key, part), most as u64)).unwrap_or(0);
    let state = STATES[pick(1, STATES.len())];
    let script = |nth: usize| FailedScript {
        event: "configure".into(),
        profile: "alice".into(),
        // Each node's own, so that it is seen where one is taken for another's.
        script: format!("{nth}-{key:016x}.sh"),
        outcome: "ended with exit code 3".into(),
        exit_code: Some(3),
        last_lines: vec![MESSAGES[pick(2, MESSAGES.len())].to_owned()],
    };
    // Each node's own, too. A compute node that writes one is not honest.
    let slurm = || SchedulerReport {
        partition: "compute".into(),
        nodes: vec![NodesReport { state: NodesState::Down, count: 1, nodes: "compute-1".into(), reason: format!("{key:016x}") }],
        jobs: JobsReport { running: u32::try_from(pick(7, 3)).unwrap_or(0), ..JobsReport::default() },
        notes: vec![MESSAGES[pick(8, MESSAGES.len())].to_owned()],
    };
    NodeReport {
        state,
        failure: (state == NodeState::Failed && pick(3, 2) == 0).then_some(FailureCode::ScriptFailed),
        message: MESSAGES[pick(4, MESSAGES.len())].to_owned(),
        instance: format!("i-{key:016x}"),
        address: Some([192, 0, 2, 66].into()),
        host_keys: if node == LOGIN { vec![format!("ssh-ed25519 {key:032x}"), "no key".into()] } else { Vec::new() },
        scripts: (0..pick(5, 3)).map(script).collect(),
        more_scripts: 0,
        scheduler: (pick(6, 3) > 0).then(slurm),
        updated: run.context.clock(),
    }
}
