//! Fifty agents whose network loses one datagram of a hundred, for minutes: how many members are taken for gone that are there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cf_local::tools::run;
use serde::Serialize;

use super::agents::Agents;
use crate::folder;

/// What was seen.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Lossy {
    /// How long, in seconds.
    pub seconds: u64,
    /// Datagrams that were lost.
    pub lost: u64,
    /// Lines "left" in the agents' logs; nobody left.
    pub false_leaves: usize,
}

/// Lets so many agents run so long.
pub fn measure(program: PathBuf, count: u32, span: Duration) -> Result<Lossy> {
    let library = library()?;
    let mut agents = Agents::new(program)?;
    let lost = agents.folder().join("lost");
    agents.set_environment(&[("LD_PRELOAD", library.as_path()), ("LOSSY_COUNT", lost.as_path())]);
    agents.start_up_to(count)?;
    thread::sleep(span);
    agents.wait_for_all()?;
    let left = |rank| Ok(fs::read_to_string(agents.log(rank))?.lines().filter(|line| line.contains(": left ")).count());
    let false_leaves = (0..count).map(left).sum::<Result<usize>>()?;
    let lost = fs::metadata(&lost).map(|lost| lost.len()).unwrap_or_default();
    if lost == 0 {
        bail!("{} lost no datagram: is cf-node linked without the C library?", library.display());
    }
    Ok(Lossy { seconds: span.as_secs(), lost, false_leaves })
}

fn library() -> Result<PathBuf> {
    let library = folder().join("lossy.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nodes/lossy.c");
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    run(&mut command, "cc", "Rust's linker needs a C compiler too").context("the library that loses datagrams could not be built")?;
    Ok(library)
}
