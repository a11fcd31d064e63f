//! `cf-node resume`, `suspend` and `resume-failed`, which Slurm's programs are, and `cf-node autoscaling`: calls to the agent of this
//! login node ([`super::calls`]).

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use cf_slurm::host_list;
use clap::{Args, Subcommand};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::calls::{self, BYTES_MAX, Call, Reply, TIME_MAX};
use crate::node::Layout;

/// What Slurm hands to its programs.
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// Compute nodes, as Slurm lists them: compute-[1-3,7]
    hosts: String,
    /// The folder that stands for /
    #[arg(long, default_value = "/", hide = true)]
    root: PathBuf,
}

/// `cf-node autoscaling`.
#[derive(Debug, Args)]
pub struct AutoscalingArgs {
    #[command(subcommand)]
    command: Autoscaling,
    /// The folder that stands for /
    #[arg(long, default_value = "/", hide = true, global = true)]
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Autoscaling {
    /// Let nodes start and end again as jobs need them
    Enable,
    /// Leave the size as it is: no node starts or ends until `enable`, also after a reboot
    Disable,
    /// Print how it is
    Status,
}

/// Which call a list of nodes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `cf-node resume`.
    Resume,
    /// `cf-node suspend`.
    Suspend,
    /// `cf-node resume-failed`.
    ResumeFailed,
}

/// Hands Slurm's call to the agent.
///
/// # Errors
/// In words: the list is none, no agent answers, or it refuses.
pub async fn nodes(about: About, args: NodesArgs) -> anyhow::Result<()> {
    host_list::nodes(&args.hosts)?;
    let call = match about {
        About::Resume => Call::Resume(args.hosts),
        About::Suspend => Call::Suspend(args.hosts),
        About::ResumeFailed => Call::ResumeFailed(args.hosts),
    };
    match ask(&Layout::below(args.root), &call).await? {
        Reply::Refused(reason) => bail!("{reason}"),
        Reply::Done | Reply::Autoscaling { .. } => Ok(()),
    }
}

/// Switches autoscaling, or prints how it is.
///
/// # Errors
/// In words: no agent answers, or it refuses.
pub async fn autoscaling(args: AutoscalingArgs) -> anyhow::Result<()> {
    let to = match args.command {
        Autoscaling::Enable => Some(true),
        Autoscaling::Disable => Some(false),
        Autoscaling::Status => None,
    };
    let reply = ask(&Layout::below(args.root), &Call::Autoscaling(to)).await?;
    println!("{}", shown(&reply)?);
    Ok(())
}

fn shown(reply: &Reply) -> anyhow::Result<String> {
    match reply {
        Reply::Refused(reason) => bail!("{reason}"),
        Reply::Done => bail!("the agent answered something else"),
        Reply::Autoscaling { switch, fixed, wanted, maximum } => {
            let state = match switch.disabled_since {
                Some(since) => {
                    format!("autoscaling is disabled since {since:.0}: no node starts or ends until `cf-node autoscaling enable`")
                }
                None if *fixed => "autoscaling is enabled, and the cluster's size is fixed (AutoscalingPolicy=disabled)".to_owned(),
                None => "autoscaling is enabled".to_owned(),
            };
            Ok(format!("{state}; {wanted} of {maximum} nodes are wanted"))
        }
    }
}

async fn ask(layout: &Layout, call: &Call) -> anyhow::Result<Reply> {
    let path = calls::path(layout);
    let asked = timeout(TIME_MAX, converse(&path, call)).await;
    let what = || {
        format!(
            "the agent of this node does not answer at {}; this is for the login node of a cluster with Slurm, as root, and its agent must \
             run (systemctl status cf-node)",
            path.display()
        )
    };
    asked.with_context(what)?.with_context(what)
}

async fn converse(path: &std::path::Path, call: &Call) -> anyhow::Result<Reply> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(&serde_json::to_vec(call)?).await?;
    stream.shutdown().await?;
    let mut bytes = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
