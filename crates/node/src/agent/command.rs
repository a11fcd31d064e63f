//! `cf-node boot`: its command line and its log.

use std::fs::OpenOptions;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

use super::world::World;
use super::{LINK_PORT, Options, daemon};
use crate::cloud::Identity;
use crate::install;
use crate::node::Layout;
use crate::settings::NodeSettings;

/// Makes this machine a node of its cluster, and keeps it one. What is hidden takes the place of the machine in tests.
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    /// The folder that stands for /
    #[arg(long, default_value = "/", hide = true)]
    root: PathBuf,
    /// This machine's id, in place of the instance metadata's
    #[arg(long, hide = true, requires = "address")]
    instance: Option<String>,
    /// This machine's private address, in place of the instance metadata's
    #[arg(long, hide = true, requires = "instance")]
    address: Option<IpAddr>,
    /// The id of the boot, in place of the kernel's
    #[arg(long, hide = true)]
    boot: Option<String>,
    /// Leave Slurm and the disks alone, whatever the settings say of them: an agent as an ordinary process changes no system
    #[arg(long, hide = true)]
    without_scheduler: bool,
    /// The gossip's UDP port
    #[arg(long, hide = true, default_value_t = crate::members::PORT)]
    gossip_port: u16,
    /// The link's TCP port
    #[arg(long, hide = true, default_value_t = LINK_PORT)]
    link_port: u16,
}

impl BootArgs {
    fn options(self) -> Options {
        let identity = self.instance.zip(self.address).map(|(instance, address)| Identity { instance, address });
        let (gossip_port, link_port) = (self.gossip_port, self.link_port);
        Options { identity, boot: self.boot, gossip_port, link_port, ..Options::new(Layout::below(self.root)) }
    }
}

/// Runs the agent until SIGTERM or SIGINT. `world` makes the node's world from its settings.
pub fn run<W: World>(args: BootArgs, world: impl AsyncFnOnce(Arc<NodeSettings>, &Layout) -> anyhow::Result<W>) -> anyhow::Result<()> {
    let without_scheduler = args.without_scheduler;
    let options = args.options();
    write_log(&options.layout);
    if let Err(error) = install::note_start(&options.layout) {
        tracing::warn!(%error, "what the agent starts with cannot be noted; `cf-node install` starts it again in any case");
    }
    let mut settings = NodeSettings::read(&options.layout).inspect_err(|error| tracing::error!("{error}"))?;
    settings.scheduler = settings.scheduler.filter(|_| !without_scheduler);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let world = world(Arc::new(settings.clone()), &options.layout).await.context("the way to AWS cannot be prepared")?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        daemon::run(options, settings, world, stop).await.map_err(Into::into)
    })
}

/// The agent's own log: standard error, which is systemd's journal, and a file. A panic goes there too, before the process ends.
fn write_log(layout: &Layout) {
    let file = layout.root().join(crate::logs::AGENT_LOG);
    match open(&file) {
        Ok(log) => tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr.and(Mutex::new(log))).init(),
        Err(error) => {
            tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
            tracing::warn!(%error, "the log {} cannot be written", file.display());
        }
    }
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("the agent panicked: {panic}");
        print(panic);
    }));
}

fn open(path: &Path) -> std::io::Result<std::fs::File> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    OpenOptions::new().create(true).append(true).open(path)
}
