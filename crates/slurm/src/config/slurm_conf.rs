//! `slurm.conf`, for Slurm 24.11 as Debian 13 has it. Keys and their meaning: its manual page slurm.conf(5). `cloud_reg_addrs` and
//! `NoAddrCache`, which older guides want for cloud nodes, are the only behaviour now, and slurmctld logs an error about them.

use std::fmt::Write;

use crate::group::Group;
use crate::host_list;
use crate::instance_type::InstanceType;

use super::{ClusterPlan, Flavour, PARTITION, WEIGHTS};

/// What Slurm calls to start and end nodes: it gives a list of hosts and no other argument, so each has a name of its own.
pub const RESUME_PROGRAM: &str = "/opt/clusterdrop/bin/slurm-resume";
/// See [`RESUME_PROGRAM`].
pub const SUSPEND_PROGRAM: &str = "/opt/clusterdrop/bin/slurm-suspend";
/// See [`RESUME_PROGRAM`].
pub const RESUME_FAIL_PROGRAM: &str = "/opt/clusterdrop/bin/slurm-resume-failed";

/// `PrologSlurmctld`: it ends when the nodes of a job have registered. Without one slurmctld looks only every 30 s (`PERIODIC_TIMEOUT`
/// in its source) whether the nodes are there that a job waits for; when this program ends, it looks at once. From the submission of a
/// job to its start on a node of the bed that was 33 s, and 3 s with it.
pub const PROLOG: &str = "/opt/clusterdrop/bin/slurm-await-nodes";

/// `TaskProlog`: adds [`JOB_ENVIRONMENT`] to the environment of each task, on the node where it runs.
pub const TASK_ENVIRONMENT: &str = "/opt/clusterdrop/bin/slurm-task-environment";

/// What jobs find in their environment unless they have set it themselves: `NAME=value` lines, each node's own.
pub const JOB_ENVIRONMENT: &str = "/etc/clusterdrop/job-environment";

/// Characters of Slurm's name for a cluster.
const CLUSTER_CHARS_MAX: usize = 40;

pub(super) fn text(plan: &ClusterPlan) -> String {
    let parts = [head(plan), scaling(plan), nodes(plan)];
    parts.join("\n")
}

fn head(plan: &ClusterPlan) -> String {
    // Slurm wants small letters; a name has at most as many characters as this, and no others than Slurm takes.
    let cluster: String = plan.cluster.as_str().to_ascii_lowercase().chars().take(CLUSTER_CHARS_MAX).collect();
    let (login, requeue) = (plan.login, plan.times.requeue.as_secs());
    let lost = plan.times.lost.as_secs();
    let share = memory_share(plan);
    let jobs = match plan.flavour {
        Flavour::Aws => "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup,task/affinity\n",
        Flavour::Bed => "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSlurmdParameters=config_overrides\n",
    };
    let gres = if plan.has_gpus() { "GresTypes=gpu\n" } else { "" };
    format!(
        "\
# Written by clusterdrop at each start of the login node; edits are lost.
ClusterName={cluster}
SlurmctldHost=login1({login})
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log

# All nodes have the same /etc/slurm/slurm.key; there is no munge. A requeued job waits for cred_expire.
AuthType=auth/slurm
CredType=cred/slurm
AuthInfo=cred_expire={requeue}

# Compute nodes fetch this file from the login node, and report their own address. One that ended may start again.
SlurmctldParameters=enable_configless,idle_on_node_suspend
TreeWidth=65533

# A job asks for cores and memory; one that names no memory gets its processors' share of the node's. One whose node is lost starts again elsewhere; a node that comes back is used again.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU={share}
{jobs}{gres}TaskProlog={TASK_ENVIRONMENT}
JobRequeue=1
ReturnToService=2
SlurmdTimeout={lost}
"
    )
}

/// The memory for each processor, in MiB, of the nodes that have least: Slurm's own default is all memory of a node, so that no second job
/// would run beside one that names none.
fn memory_share(plan: &ClusterPlan) -> u64 {
    let share = |machine: &InstanceType| machine.real_memory_mib() / u64::from(machine.vcpus.max(1));
    plan.groups().map(|group| share(plan.machine(group))).min().unwrap_or_default().max(1)
}

fn scaling(plan: &ClusterPlan) -> String {
    let times = plan.times;
    let mut text = format!(
        "\
# Nodes start when a job needs them and end when none has for a while. The agent starts and ends the machines.
ResumeProgram={RESUME_PROGRAM}
ResumeFailProgram={RESUME_FAIL_PROGRAM}
SuspendProgram={SUSPEND_PROGRAM}
PrologSlurmctld={PROLOG}
ResumeTimeout={}
SuspendTimeout={}
SuspendTime={}
ResumeRate=0
SuspendRate=0
ReconfigFlags=KeepPowerSaveSettings
",
        times.resume.as_secs(),
        times.suspend.as_secs(),
        times.idle.as_secs(),
    );
    if !plan.shrinks {
        // SuspendTime=INFINITE would switch starting off too.
        _ = writeln!(text, "# The size is fixed: no node is ended.\nSuspendExcNodes={}", host_list::of_nodes(plan.sizes.all_nodes()));
    }
    text
}

fn nodes(plan: &ClusterPlan) -> String {
    let mut text = "# A heavier node is taken only where a lighter one cannot be had.\n".to_owned();
    for (group, weight) in WEIGHTS.into_iter().filter(|(group, _)| plan.sizes.of(*group) > 0) {
        _ = writeln!(text, "{}", node_line(plan, group, weight));
    }
    let all = host_list::of_nodes(plan.sizes.all_nodes());
    _ = writeln!(text, "PartitionName={PARTITION} Nodes={all} Default=YES MaxTime=INFINITE State=UP");
    text
}

fn node_line(plan: &ClusterPlan, group: Group, weight: u32) -> String {
    let machine = plan.machine(group);
    let names = host_list::of_nodes(plan.sizes.nodes(group));
    // One socket, whatever the machine has: Slurm compares the product only, and the table of types does not know sockets.
    let (vcpus, cores, threads, memory) = (machine.vcpus, machine.cores, machine.threads, machine.real_memory_mib());
    let gres = machine.gpus.as_ref().map_or_else(String::new, |gpus| format!(" Gres=gpu:{}:{}", gpus.model, gpus.count));
    format!(
        "NodeName={names} CPUs={vcpus} Sockets=1 CoresPerSocket={cores} ThreadsPerCore={threads} RealMemory={memory}{gres} \
         Weight={weight} Feature={} State=CLOUD",
        group.word()
    )
}
