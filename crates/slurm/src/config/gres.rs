//! `gres.conf`: the GPUs of nodes.

use std::fmt::Write;

use crate::host_list;

use super::{ClusterPlan, Flavour};

pub(super) fn text(plan: &ClusterPlan) -> Option<String> {
    let mut text = "# Written by clusterdrop at each start of the login node; edits are lost.\n".to_owned();
    for group in plan.groups() {
        let Some(gpus) = &plan.machine(group).gpus else { continue };
        let (nodes, model, count) = (host_list::of_nodes(plan.sizes.nodes(group)), &gpus.model, gpus.count);
        // Where a file is named, a job sees its own GPUs alone (CUDA_VISIBLE_DEVICES, control groups), and slurmd does not start
        // without the file: the agent looks first, and reports what is missing. The bed's machine has no such file.
        let files = match (plan.flavour, count) {
            (Flavour::Bed, _) => String::new(),
            (Flavour::Aws, 1) => " File=/dev/nvidia0".to_owned(),
            (Flavour::Aws, count) => format!(" File=/dev/nvidia[0-{}]", count - 1),
        };
        _ = writeln!(text, "NodeName={nodes} Name=gpu Type={model} Count={count}{files}");
    }
    plan.has_gpus().then_some(text)
}

impl ClusterPlan {
    /// Whether any node has GPUs.
    pub(super) fn has_gpus(&self) -> bool {
        self.groups().any(|group| self.machine(group).gpus.is_some())
    }
}
