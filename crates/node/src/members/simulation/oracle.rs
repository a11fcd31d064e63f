//! What must hold of every run.

use std::collections::BTreeMap;

use super::world::World;
use crate::members::Change;
use crate::node::NodeName;

/// The rules that a run broke.
pub fn broken(world: &World) -> Vec<String> {
    let mut broken = world.broken.clone();
    // By who reports, and of whom: joins and leaves alternate, a join first.
    let mut member: BTreeMap<(NodeName, u32, NodeName), bool> = BTreeMap::new();
    for report in &world.reports {
        let of = report.change.member().name();
        let joined = matches!(report.change, Change::Joined(_));
        let was = member.insert((report.by, report.boot, of), joined).unwrap_or(false);
        if was == joined {
            broken.push(format!("{:?}: {} reported {of} {} twice", report.at, report.by, if joined { "joined" } else { "left" }));
        }
        if !joined && of == report.by {
            broken.push(format!("{:?}: {} reported that itself left", report.at, report.by));
        }
    }
    // What was reported adds up to what is listed.
    for node in world.nodes.values() {
        let by = node.gossip.identity().name();
        let reported = member.iter().filter(|((reporter, boot, _), joined)| *reporter == by && *boot == node.boot && **joined);
        let reported: Vec<NodeName> = reported.map(|((_, _, of), _)| *of).collect();
        let listed: Vec<NodeName> = node.gossip.members().map(crate::members::Member::name).collect();
        if reported != listed {
            broken.push(format!("{by} reported {reported:?} and lists {listed:?}"));
        }
    }
    broken
}

/// How often nodes that live reported that others left.
pub fn leaves(world: &World) -> usize {
    world.reports.iter().filter(|report| matches!(report.change, Change::Left(_))).count()
}
