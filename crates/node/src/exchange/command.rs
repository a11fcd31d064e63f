//! `cf-node exchange`: its command line.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Zoned;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::exchange::agent::{Participation, Profiles, Service};
use crate::exchange::wire::Answer;
use crate::exchange::{coordinator, status};
use crate::hooks::{Hooks, LogListener};
use crate::instance_log::InstanceLog;
use crate::link::{self, Counters, Limits, LinkKey};
use crate::node::{Layout, NodeName};
use crate::request::Request;

/// The all-to-all exchange.
#[derive(Debug, clap::Subcommand)]
pub enum Exchange {
    /// Shows the steps' rounds, what each node's scripts left, and the map.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// The folder that stands for `/`.
        #[arg(long, default_value = "/")]
        root: PathBuf,
    },
    /// Runs this part of the agent alone: for tests.
    #[command(hide = true)]
    Run(RunArguments),
}

/// What the part needs to run alone.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// The folder that stands for `/`.
    #[arg(long)]
    root: PathBuf,
    /// This node. The login node is the coordinator.
    #[arg(long)]
    node: NodeName,
    /// Where the coordinator answers.
    #[arg(long)]
    coordinator: SocketAddr,
    /// A file with the 32 bytes of the cluster's key.
    #[arg(long)]
    key_file: PathBuf,
    /// A profile's folder; its name is the profile's.
    #[arg(long)]
    profile: Vec<PathBuf>,
    /// A file with the names of the expected nodes, for the coordinator. It is read again and again.
    #[arg(long)]
    expected_file: Option<PathBuf>,
    /// An input for all steps: `name=value`, the value as JSON, or else as text.
    #[arg(long)]
    input: Vec<String>,
    /// The time of grace, in milliseconds.
    #[arg(long, default_value_t = coordinator::GRACE_MS)]
    grace_ms: u64,
}

/// Runs the command.
pub async fn run(command: Exchange) -> anyhow::Result<()> {
    match command {
        Exchange::Status { json, root } => {
            let status = status::read(&Layout::below(root))?;
            let text = if json { serde_json::to_string_pretty(&status)? + "\n" } else { status::render(&status) };
            print!("{text}");
            Ok(())
        }
        Exchange::Run(arguments) => run_alone(arguments).await,
    }
}

async fn run_alone(arguments: RunArguments) -> anyhow::Result<()> {
    let key = std::fs::read(&arguments.key_file).with_context(|| format!("reading {}", arguments.key_file.display()))?;
    let key: [u8; 32] = key.try_into().map_err(|_| anyhow::anyhow!("{} has not 32 bytes", arguments.key_file.display()))?;
    let key = LinkKey::derive(&key);
    let layout = Layout::below(&arguments.root);
    let log = InstanceLog::open(&layout.instance_log()).context("opening the log")?;
    let (_profiles_sender, profiles) = watch::channel(profiles(&arguments));
    let participation = Participation {
        layout: layout.clone(),
        node: arguments.node,
        cluster: "test".to_owned(),
        coordinator: arguments.coordinator,
        key: key.clone(),
        runner: Arc::new(Hooks::new(layout.clone(), Arc::new(LogListener { log, clock: Zoned::now }))),
        is_named_now: true,
        failed: watch::Sender::default(),
    };
    if arguments.node != NodeName::LOGIN {
        participation.follow(profiles).await?;
        return Ok(());
    }
    let file = arguments.expected_file.as_deref().context("the coordinator needs --expected-file")?;
    let (expected_sender, expected) = watch::channel(read_expected(file).unwrap_or_default());
    let service = Arc::new(Service::open(&layout, arguments.grace_ms)?);
    let listener = TcpListener::bind(arguments.coordinator).await?;
    let answering = Arc::clone(&service);
    let handler = move |_, request| {
        let service = Arc::clone(&answering);
        async move {
            match request {
                Request::Exchange(poll) => service.answer(*poll).await,
                Request::Configuration(_) | Request::Customize(_) | Request::Interrupted(_) => Answer::default(),
            }
        }
    };
    tokio::select! {
        () = link::serve(listener, key, Limits::default(), Arc::new(Counters::default()), handler) => {}
        _ = service.follow(expected, profiles.clone()) => {}
        ended = participation.follow(profiles) => drop(ended?),
        () = watch_expected(file, &expected_sender) => {}
    }
    Ok(())
}

fn profiles(arguments: &RunArguments) -> Profiles {
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let input = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into()))
    };
    Profiles {
        folders: arguments.profile.iter().map(|folder| (name(folder), folder.clone())).collect(),
        inputs: arguments.input.iter().map(input).collect(),
    }
}

fn read_expected(file: &Path) -> Option<BTreeSet<NodeName>> {
    std::fs::read_to_string(file).ok()?.split_whitespace().map(|name| name.parse().ok()).collect()
}

async fn watch_expected(file: &Path, sender: &watch::Sender<BTreeSet<NodeName>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(expected) = read_expected(file) {
            sender.send_if_modified(|before| std::mem::replace(before, expected.clone()) != expected);
        }
    }
}
