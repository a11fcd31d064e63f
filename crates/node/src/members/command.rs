//! The subcommands: `members` prints the list, `gossip` runs the members' part alone (for tests with real processes).

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::agent::{self, Notice, Settings};
use super::hosts::read_bounded;
use super::seal::ClusterKey;
use super::state::{Lock, State};
use super::{Change, Member};
use crate::event::Event;
use crate::node::{Layout, NodeName};

/// `cf-node members`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The folder that stands for /
    #[arg(long, default_value = "/")]
    root: PathBuf,
}

/// The list and whether it is kept up to date, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    running: bool,
    #[serde(flatten)]
    state: &'a State,
}

/// Prints the members. What is doubtful about the list goes to standard error.
pub fn list(args: &ListArgs) -> anyhow::Result<()> {
    let layout = Layout::below(&args.root);
    let state = State::read(&layout)?;
    let running = Lock::is_held(&layout);
    if !running {
        eprintln!(
            "cf-node: the agent is not running on this node; this is the list of {}",
            state.written.strftime("%Y-%m-%d %H:%M:%S UTC")
        );
    }
    if let Some(other) = state.name_taken_by {
        eprintln!("cf-node: the node at {other} has the name {} too, with a later claim; this node is no member", state.name);
    }
    let text = if args.json { serde_json::to_string_pretty(&Listing { running, state: &state })? + "\n" } else { state.table() };
    std::io::stdout().write_all(text.as_bytes()).context("the list cannot be printed")
}

/// `cf-node gossip`.
#[derive(Debug, Args)]
pub struct GossipArgs {
    /// The folder that stands for /
    #[arg(long)]
    root: PathBuf,
    /// This node's name
    #[arg(long)]
    name: NodeName,
    /// The address to listen at, which others send to
    #[arg(long)]
    bind: SocketAddr,
    /// A file with the cluster's key: 32 bytes, or 64 hexadecimal digits
    #[arg(long)]
    key_file: PathBuf,
    /// The address of a member
    #[arg(long)]
    seed: Vec<SocketAddr>,
    /// A tag of this node, as key=value
    #[arg(long, value_parser = parse_tag)]
    tag: Vec<(String, String)>,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no tag; write key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A change, as `gossip` prints it: one JSON object a line.
#[derive(Debug, Serialize)]
struct Line {
    event: Event,
    name: NodeName,
    ip: String,
    file: Option<PathBuf>,
    content: Option<String>,
}

/// Takes part in the gossip until SIGTERM or SIGINT, and prints each change.
pub fn gossip(args: GossipArgs) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let key = read_key(&args.key_file)?;
    let member = Member::new(args.name, args.bind, args.tag.into_iter().collect::<BTreeMap<_, _>>())?;
    let settings = Settings { layout: Layout::below(args.root), member, key, seeds: args.seed };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (agent, mut changes) = agent::start(settings).await?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                notice = changes.next() => match notice {
                    Some(notice) => print(&notice)?,
                    None => bail!("the gossip has ended by itself; its log says why"),
                },
            }
        }
        agent.leave().await;
        Ok(())
    })
}

fn print(notice: &Notice) -> anyhow::Result<()> {
    let member = notice.change.member();
    let event = if matches!(notice.change, Change::Joined(_)) { Event::MemberJoin } else { Event::MemberLeave };
    let file = notice.file.as_ref().map(|file| file.path().to_owned());
    let content = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    let line = Line { event, name: member.name(), ip: member.ip().to_string(), file, content };
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(&line)?)?;
    Ok(out.flush()?)
}

/// Reads the cluster's key.
pub fn read_key(path: &Path) -> anyhow::Result<ClusterKey> {
    let shown = path.display();
    let bytes = read_bounded(path, 128)
        .with_context(|| format!("the cluster's key {shown} cannot be read; it must be a file that root can read"))?;
    let bytes = bytes.unwrap_or_default();
    let secret = <[u8; 32]>::try_from(bytes.as_slice()).ok().or_else(|| from_hex(bytes.trim_ascii()));
    let secret = secret.with_context(|| format!("{shown} is not a cluster's key: 32 bytes, or 64 hexadecimal digits, are needed"))?;
    Ok(ClusterKey::new(&secret))
}

fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?));
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_64_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let hex = "00ff".repeat(16);
        for good in [vec![7; 32], hex.clone().into_bytes(), format!("{hex}\n").into_bytes()] {
            std::fs::write(&path, good).unwrap();
            assert!(read_key(&path).is_ok());
        }
        for bad in [vec![7; 31], vec![7; 33], vec![], vec![b'g'; 64], vec![b'0'; 63], vec![0; 200]] {
            std::fs::write(&path, bad).unwrap();
            assert!(read_key(&path).unwrap_err().to_string().contains("64 hexadecimal digits"));
        }
        assert_eq!(from_hex(hex.as_bytes()).unwrap()[..2], [0, 255]);
    }
}
