//! The socket of the login node's agent for calls on this machine: those of Slurm (which runs its programs as the user `slurm`, and
//! wants them to return at once) and those of root. A call is answered when the book with it is on the disk; what follows from it
//! happens later. A call that is lost does no harm: a pass reads what Slurm wants.
//!
//! Only root and `slurm` reach the socket: its folder is theirs, and who connects is known by the kernel's word (`SO_PEERCRED`). A
//! connection carries one JSON text each way, each ended by the end of its half of the connection.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cf_slurm::host_list;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::keeper::{Keeper, Switch};
use crate::node::{Layout, NodeName};
use crate::state_file::StateError;

/// The most bytes of a call: a list of all nodes that a cluster may have, each for itself, is shorter.
pub const BYTES_MAX: u64 = 256 * 1024;

/// Calls that are answered at once; others wait.
const AT_ONCE: usize = 16;

/// How long a whole call may take, on either side.
pub const TIME_MAX: Duration = Duration::from_secs(10);

/// How long a caller may take to say what it wants.
const SAYS_WITHIN: Duration = Duration::from_secs(2);

/// How often it is looked whether there is a user `slurm` now: its package may come after the agent.
const LOOK: Duration = Duration::from_secs(2);

/// Slurm's user (`SlurmUser`).
const SLURM: &str = "slurm";

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Slurm wants these nodes, as a list of hosts.
    Resume(String),
    /// Slurm does not want these nodes any more.
    Suspend(String),
    /// Slurm has waited in vain for these nodes.
    ResumeFailed(String),
    /// Root switches autoscaling on or off, or (`None`) asks how it is.
    Autoscaling(Option<bool>),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is written down.
    Done,
    /// How autoscaling is.
    Autoscaling {
        /// The switch.
        #[serde(flatten)]
        switch: Switch,
        /// Whether the size is fixed by the cluster's request.
        fixed: bool,
        /// How many nodes are wanted, and at most.
        wanted: usize,
        /// See above.
        maximum: u32,
    },
    /// It is not done, for this reason.
    Refused(String),
}

/// Where the socket lies. It goes with the boot of the machine.
pub fn path(layout: &Layout) -> PathBuf {
    folder(layout).join("scaling.sock")
}

fn folder(layout: &Layout) -> PathBuf {
    layout.root().join("run/clusterdrop/calls")
}

/// The ids of Slurm's user and group, once its package is there.
fn slurm_ids(layout: &Layout) -> Option<(u32, u32)> {
    let users = fs::read_to_string(layout.root().join("etc/passwd")).ok()?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = fields.find(|fields| fields.first() == Some(&SLURM))?;
    Some((user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?))
}

/// Listens, in a folder of our own. What an earlier agent left is replaced.
///
/// # Errors
/// With the path.
pub fn listen(layout: &Layout) -> Result<UnixListener, String> {
    let (folder, path) = (folder(layout), path(layout));
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(failed)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    UnixListener::bind(&path).map_err(failed)
}

/// Answers calls until its future is dropped.
pub async fn serve(listener: UnixListener, layout: &Layout, keeper: Arc<Keeper>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let answer = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (layout, keeper) = (layout.clone(), Arc::clone(&keeper));
                    tokio::spawn(async move {
                        let answered = timeout(TIME_MAX, converse(stream, &layout, &keeper)).await;
                        if let Ok(Err(error)) = answered {
                            tracing::debug!(%error, "a call on this machine broke off");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a call on this machine is not answered");
                    sleep(LOOK).await;
                }
            }
        }
    };
    tokio::select! {
        () = answer => {}
        () = let_slurm_in(layout) => {}
    }
}

/// Gives folder and socket to Slurm's group when there is one, and waits for ever.
async fn let_slurm_in(layout: &Layout) {
    loop {
        if let Some((_, group)) = slurm_ids(layout) {
            match give(&folder(layout), group, 0o750).and_then(|()| give(&path(layout), group, 0o660)) {
                Ok(()) => return std::future::pending().await,
                Err(error) => tracing::warn!(%error, "Slurm does not reach the agent; it is tried again"),
            }
        }
        sleep(LOOK).await;
    }
}

fn give(path: &Path, group: u32, mode: u32) -> io::Result<()> {
    chown(path, None, Some(group))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

async fn converse(mut stream: UnixStream, layout: &Layout, keeper: &Keeper) -> io::Result<()> {
    let caller = stream.peer_cred()?.uid();
    let agent = rustix::process::geteuid().as_raw();
    // Read in any case: who is refused with unread bytes sees a broken connection, and not why.
    let call = read(&mut stream).await?;
    let reply = if caller == 0 || caller == agent {
        answer(&call, true, keeper)
    } else if slurm_ids(layout).is_some_and(|(slurm, _)| slurm == caller) {
        answer(&call, false, keeper)
    } else {
        tracing::warn!(caller, "a user who is neither root nor slurm called the agent");
        Reply::Refused("only root and slurm may call the agent".to_owned())
    };
    stream.write_all(&serde_json::to_vec(&reply).unwrap_or_default()).await?;
    stream.shutdown().await
}

async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(SAYS_WITHIN, stream.take(BYTES_MAX + 1).read_to_end(&mut bytes)).await??;
    Ok(bytes)
}

fn answer(bytes: &[u8], is_root: bool, keeper: &Keeper) -> Reply {
    if bytes.len() as u64 > BYTES_MAX {
        return Reply::Refused(format!("a call has at most {BYTES_MAX} bytes"));
    }
    let call = match serde_json::from_slice(bytes) {
        Ok(call) => call,
        Err(error) => return Reply::Refused(format!("this is no call that this agent knows: {error}")),
    };
    match call {
        Call::Resume(list) => on_nodes("resume", &list, |nodes| keeper.resume(nodes)),
        Call::Suspend(list) => on_nodes("suspend", &list, |nodes| keeper.suspend(nodes)),
        Call::ResumeFailed(list) => on_nodes("resume-failed", &list, |nodes| keeper.resume_failed(nodes)),
        Call::Autoscaling(Some(_)) if !is_root => Reply::Refused("only root switches autoscaling".to_owned()),
        Call::Autoscaling(to) => autoscaling(to, keeper),
    }
}

fn on_nodes(word: &str, list: &str, call: impl FnOnce(&BTreeSet<NodeName>) -> Result<(), StateError>) -> Reply {
    let nodes = match host_list::nodes(list) {
        Ok(nodes) => nodes,
        Err(error) => return Reply::Refused(error.to_string()),
    };
    tracing::info!(nodes = %host_list::of_nodes(nodes.iter().copied()), "Slurm calls {word}");
    call(&nodes).map_or_else(|error| Reply::Refused(error.to_string()), |()| Reply::Done)
}

fn autoscaling(to: Option<bool>, keeper: &Keeper) -> Reply {
    let switch = match to {
        None => keeper.switch(),
        Some(enabled) => match keeper.set_switch(enabled) {
            Ok(switch) => {
                tracing::info!("root has {} autoscaling", if enabled { "enabled" } else { "disabled" });
                switch
            }
            Err(error) => return Reply::Refused(error.to_string()),
        },
    };
    let (book, policy) = keeper.look();
    Reply::Autoscaling { switch, fixed: policy.fixed, wanted: book.wanted().count(), maximum: policy.sizes.maximum }
}
