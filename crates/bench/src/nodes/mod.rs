//! The node agent's figures: its size, its boot beside curl and bash, its proxy at work, and what its gossip takes with up to 200 members,
//! all of them real processes on loopback addresses of this machine.

mod agents;
mod boot;
mod lossy;
mod process;
mod proxy;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::figures::{Spread, short, spread};
use crate::{binaries, folder};
use agents::Agents;
use process::{cpu_seconds, resident_mebibytes};

/// The members of the two clusters that are measured.
const SOME: u32 = 50;
const MANY: u32 = 200;

/// A node is killed so often, one after the other.
const KILLS: usize = 7;

/// So many boots are measured of the agent, and of curl and bash.
const BOOTS: usize = 15;

/// How long a cluster of [`SOME`] is watched on a network that loses datagrams.
const LOSSY: Duration = Duration::from_mins(5);

/// So many bytes go through one tunnel of the proxy, and through one download.
const PROXY_BYTES: u64 = 8_000_000_000;

/// How long a cluster of [`MANY`] is left alone, and then watched.
const SETTLE: Duration = Duration::from_mins(1);
const WATCH: Duration = Duration::from_mins(1);

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A kill and some seconds only, for a look.
    pub quick: bool,
    /// Whether the program is built first.
    pub build: bool,
}

/// What was measured. Times in seconds, memory in MiB, shares of one processor in percent.
#[derive(Debug, Serialize)]
struct Found {
    program_megabytes: f64,
    boots: boot::Boots,
    proxy: proxy::Proxy,
    idle_alone: f64,
    idle_with_many: f64,
    login_share_with_many: f64,
    mean_share_with_many: f64,
    joined_many: f64,
    killed_known_on_some: Option<Spread>,
    lossy: lossy::Lossy,
}

impl Found {
    /// The memory of a login node's agent whose proxy has grown to this.
    fn login_with(&self, proxy: f64) -> f64 {
        self.boots.resident.max + proxy - self.proxy.resident_idle
    }
}

/// Builds, measures, prints, and writes `target/bench/nodes.json`.
pub fn run(options: Options) -> Result<()> {
    if options.build {
        binaries::build("cf-node")?;
    }
    fs::create_dir_all(folder())?;
    let found = measure(options)?;
    let path = folder().join("nodes.json");
    fs::write(&path, serde_json::to_string_pretty(&found)?)?;
    print(&found);
    println!("\n  All of it: {}", path.display());
    Ok(())
}

fn measure(options: Options) -> Result<Found> {
    let program = binaries::built("cf-node");
    #[expect(clippy::cast_precision_loss, reason = "sizes of programs are far below 2^52")]
    let program_megabytes = fs::metadata(&program).with_context(|| program.display().to_string())?.len() as f64 / 1e6;
    println!("  a login node boots without scripts of its user, by the agent, and by curl and bash");
    let boots = boot::measure(&program, if options.quick { 3 } else { BOOTS })?;
    println!("  the login node's proxy: one tunnel, one download, and every place taken");
    let proxy = proxy::measure(&program, if options.quick { PROXY_BYTES / 8 } else { PROXY_BYTES })?;
    let mut agents = Agents::new(program.clone())?;

    println!("  one agent alone");
    agents.start(0)?;
    agents.wait_for_all()?;
    thread::sleep(Duration::from_secs(5));
    let idle_alone = resident_mebibytes(agents.process(0)?)?;

    println!("  {SOME} agents: kill one, wait until all others know, start it again");
    agents.start_up_to(SOME)?;
    let kills: Vec<f64> = (0..if options.quick { 1 } else { KILLS }).map(|nth| killed(&mut agents, nth)).collect::<Result<_>>()?;

    println!("  {MANY} agents: the last one joins, then all are left alone");
    agents.start_up_to(MANY - 1)?;
    thread::sleep(if options.quick { Duration::from_secs(10) } else { SETTLE });
    let begin = Instant::now();
    agents.start_up_to(MANY)?;
    let joined_many = begin.elapsed().as_secs_f64();
    thread::sleep(if options.quick { Duration::from_secs(10) } else { SETTLE });
    let (login_share, mean_share) = shares(&agents, if options.quick { Duration::from_secs(10) } else { WATCH })?;
    let resident = agents.processes().map(resident_mebibytes).collect::<Result<Vec<f64>>>()?;
    drop(agents);

    println!("  {SOME} agents on a network that loses one datagram of a hundred");
    let lossy = lossy::measure(program, SOME, if options.quick { Duration::from_secs(20) } else { LOSSY })?;
    Ok(Found {
        program_megabytes,
        boots,
        proxy,
        idle_alone,
        idle_with_many: spread(&resident).map_or(0.0, |s| s.max),
        login_share_with_many: login_share,
        mean_share_with_many: mean_share,
        joined_many,
        killed_known_on_some: spread(&kills),
        lossy,
    })
}

/// Kills one agent, and gives the seconds until no other lists it.
fn killed(agents: &mut Agents, nth: usize) -> Result<f64> {
    let victim = 1 + u32::try_from(nth * 7).unwrap_or_default() % (SOME - 1);
    let begin = Instant::now();
    agents.kill(victim)?;
    agents.wait_for_all()?;
    let took = begin.elapsed().as_secs_f64();
    agents.start(victim)?;
    agents.wait_for_all()?;
    Ok(took)
}

/// The share of a processor that the login node's agent takes, and the mean of all, while nothing happens; in percent.
fn shares(agents: &Agents, span: Duration) -> Result<(f64, f64)> {
    let taken = || agents.processes().map(cpu_seconds).collect::<Result<Vec<f64>>>();
    let (begin, before) = (Instant::now(), taken()?);
    thread::sleep(span);
    let (span, after) = (begin.elapsed().as_secs_f64(), taken()?);
    let shares: Vec<f64> = before.iter().zip(&after).map(|(before, after)| (after - before) / span * 1e2).collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred agents")]
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    Ok((shares.first().copied().unwrap_or_default(), mean))
}

fn print(found: &Found) {
    let kills = found.killed_known_on_some.map_or(0.0, |s| s.median);
    let worst = found.killed_known_on_some.map_or(0.0, |s| s.max);
    println!("\n  {:<62} {:>8} {:>8}", "", "is", "aim");
    #[expect(clippy::cast_precision_loss, reason = "some members")]
    let false_leaves = found.lossy.false_leaves as f64;
    let lossy = format!("members of {SOME} taken for gone in {} s at 1 % loss", found.lossy.seconds);
    for (what, is, aim) in [
        ("the program, MB", found.program_megabytes, Some(12.0)),
        ("from its start to node-started, s (median)", found.boots.agent.median, None),
        ("the same work by curl and bash, s (median)", found.boots.plain.median, None),
        ("what the agent takes more, s (median, turn by turn)", found.boots.beyond.median, Some(1.0)),
        ("resident after its boot, MiB (at most)", found.boots.resident.max, Some(25.0)),
        ("the proxy: one tunnel, GB/s", found.proxy.tunnel_rate, None),
        ("the same, seconds of a processor for one GB", found.proxy.tunnel_cost, None),
        ("the proxy: one download of plain HTTP, GB/s", found.proxy.request_rate, None),
        ("the same, seconds of a processor for one GB", found.proxy.request_cost, None),
        ("resident, proxy alone, MiB", found.proxy.resident_idle, None),
        ("a login node with 512 tunnels, MiB", found.login_with(found.proxy.resident_tunnels), Some(30.0)),
        ("the same with 512 downloads that nobody reads, MiB", found.login_with(found.proxy.resident_downloads), Some(30.0)),
        ("resident, gossip alone, MiB", found.idle_alone, Some(25.0)),
        ("resident, with 200 members, the largest of all, MiB", found.idle_with_many, Some(64.0)),
        ("processor of the login node with 200 members, % of one", found.login_share_with_many, Some(0.5)),
        ("the same, mean of all nodes", found.mean_share_with_many, Some(0.5)),
        ("a killed node is known on all of 50, s (median)", kills, Some(10.0)),
        ("the same, at worst", worst, None),
        (lossy.as_str(), false_leaves, Some(0.0)),
        ("a node joins 199: until all 200 list all 200, s", found.joined_many, None),
    ] {
        let bound = aim.map_or_else(String::new, |aim| format!("≤ {}", short(aim)));
        let missed = if aim.is_some_and(|aim| is > aim) { "  missed" } else { "" };
        println!("  {what:<62} {:>8} {bound:>8}{missed}", short(is));
    }
}
