//! What Slurm shows, and what it is asked for, by `scontrol` and `squeue`.

use std::collections::{BTreeMap, BTreeSet};

use cf_slurm::group::Sizes;
use cf_slurm::host_list;
use cf_slurm::scaling::NodeFacts;
use cf_slurm::view::{self, Jobs};

use super::outside::Outside;
use crate::node::NodeName;

/// Jobs in one call of `scontrol requeue`.
const JOBS_MAX: usize = 200;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The compute nodes.
///
/// # Errors
/// In words, why they are not known.
pub async fn nodes<O: Outside>(outside: &O) -> Result<BTreeMap<NodeName, NodeFacts>, String> {
    let json = outside.slurm("scontrol", &words(&["--json", "show", "nodes"])).await?;
    view::nodes(json.as_bytes()).map_err(|error| error.to_string())
}

/// The jobs that are not over; `nodes`: those on these nodes only.
///
/// # Errors
/// In words, why they are not known.
pub async fn jobs<O: Outside>(outside: &O, nodes: Option<&[NodeName]>) -> Result<Jobs, String> {
    let mut arguments = words(&["--json"]);
    arguments.extend(nodes.map(|nodes| format!("--nodelist={}", host_list::of_nodes(nodes.iter().copied()))));
    let json = outside.slurm("squeue", &arguments).await?;
    view::jobs(json.as_bytes()).map_err(|error| error.to_string())
}

/// Lets the jobs on these nodes start elsewhere.
///
/// # Errors
/// In words, what Slurm does not requeue: a job may have been submitted so.
pub async fn requeue<O: Outside>(outside: &O, nodes: &[NodeName]) -> Result<(), String> {
    let jobs = jobs(outside, Some(nodes)).await?;
    let ids: BTreeSet<u64> = nodes.iter().filter_map(|node| jobs.by_node.get(node)).flatten().copied().collect();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    for some in ids.chunks(JOBS_MAX) {
        outside.slurm("scontrol", &["requeue".to_owned(), some.join(",")]).await?;
    }
    Ok(())
}

/// Says which nodes Slurm leaves running however idle they are: all while the size is fixed or frozen, none otherwise. It is in the
/// memory of slurmctld, which a reconfiguration leaves alone (`ReconfigFlags=KeepPowerSaveSettings`) and a restart does not.
///
/// # Errors
/// In words, why Slurm does not take it.
pub async fn keep_running<O: Outside>(outside: &O, sizes: Sizes, keeps: bool) -> Result<(), String> {
    let nodes = if keeps { host_list::of_nodes(sizes.all_nodes()) } else { String::new() };
    outside.slurm("scontrol", &["update".to_owned(), format!("SuspendExcNodes={nodes}")]).await.map(|_| ())
}
