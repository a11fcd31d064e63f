//! What the agent remembers of its node, through restarts and reboots: `life.json` in the state folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cf_core::node_report::FailureCode;
use serde::{Deserialize, Serialize};

use super::decide::{CRASHES_MAX, CRASHES_WITHIN, Verdict};
use crate::event::Event;
use crate::node::Layout;
use crate::request::Given;
use crate::settings::NodeSettings;
use crate::state_file::{self, StateError};

/// A node's life: from the first boot of a machine to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The machine's EC2 id. A disk that another machine left, as an image does, holds another life.
    #[serde(default)]
    pub instance: String,
    /// The cluster that it is a node of ([`owner`]). An image of a node starts with the settings of the cluster that it was made in.
    #[serde(default)]
    pub owner: String,
    /// Its private address.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Whether the scripts of `configure` have ended once.
    #[serde(default)]
    pub configured: bool,
    /// The signal to CloudFormation, which is given once a life.
    #[serde(default)]
    pub signal: Option<Signal>,
    /// What the login node answered last, on a compute node.
    #[serde(default)]
    pub given: Option<LastAnswer>,
    /// The last boot.
    #[serde(default)]
    pub boot: Boot,
}

/// A signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// What it says.
    pub verdict: Verdict,
    /// Why the node failed, in a sentence; empty where it is ready.
    #[serde(default)]
    pub text: String,
    /// The boot whose conclusion it is.
    #[serde(default)]
    pub boot: String,
    /// Whether it may have been sent: where the agent ends before the answer, only this shows that CloudFormation may have taken it.
    #[serde(default)]
    pub sent: bool,
    /// Whether CloudFormation has taken it.
    pub taken: bool,
}

impl Signal {
    /// One that is yet to be given.
    pub fn owed(verdict: Verdict, text: &str, boot: &str) -> Self {
        Self { verdict, text: text.to_owned(), boot: boot.to_owned(), sent: false, taken: false }
    }
}

/// What a compute node was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// The answer.
    pub given: Given,
    /// The login node's private address.
    pub login: IpAddr,
}

/// One boot of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's id of the boot.
    pub id: String,
    /// Whether the node was never configured before it.
    pub first: bool,
    /// How often the agent ended in it without having chosen to.
    pub crashes: u32,
    /// When it did, in seconds since the machine started: the last, within [`CRASHES_WITHIN`].
    #[serde(default)]
    pub crashed_at: Vec<u64>,
    /// Whether an agent runs, or ended without having chosen to.
    pub running: bool,
    /// The events that ended.
    pub ran: BTreeSet<Event>,
    /// The script whose failure failed the node, and how it ended.
    pub failed_by: Option<String>,
    /// How many scripts of the user's own profile `configure` ran or tried to run.
    pub own_scripts: usize,
    /// The last conclusion.
    pub concluded: Option<Verdict>,
}

impl Boot {
    /// Whether it is over, so that its conclusion stays whatever comes later: a script or a step of the exchange failed the node, the agent
    /// ended too often, or all events have run.
    pub fn is_over(&self) -> bool {
        let is_final = |code| self.concluded == Some(Verdict::Failed(code));
        let has_failed = self.failed_by.is_some() || is_final(FailureCode::AgentFailed) || is_final(FailureCode::ExchangeFailed);
        has_failed || self.concluded.is_some() && self.ran.contains(&Event::NodeStarted)
    }

    /// Notes that an agent is gone, if it did not choose to end.
    fn count_crash(&mut self, now: u64) {
        self.crashed_at.retain(|at| now.saturating_sub(*at) <= CRASHES_WITHIN.as_secs());
        if self.running {
            self.crashes += 1;
            self.crashed_at.push(now);
            // More make no difference.
            let over = self.crashed_at.len().saturating_sub(CRASHES_MAX as usize + 1);
            self.crashed_at.drain(..over);
        }
    }

    /// How often the agent ended within [`CRASHES_WITHIN`] before its start without having chosen to.
    pub fn recent_crashes(&self) -> u32 {
        u32::try_from(self.crashed_at.len()).unwrap_or(u32::MAX)
    }
}

/// Which node of which cluster a machine is by its settings.
pub fn owner(settings: &NodeSettings) -> String {
    format!("{} of {}/{}/{}", settings.role, settings.user, settings.cluster, settings.request)
}

/// Where it lies.
pub fn path(layout: &Layout) -> PathBuf {
    layout.state().join("life.json")
}

/// What a start of the agent finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// The machine's first boot.
    FirstBoot,
    /// A later one.
    Reboot,
    /// The same boot: the agent was started again.
    Restart {
        /// How often it ended without having chosen to.
        crashes: u32,
    },
    /// The state is another machine's or another cluster's, so it is set aside.
    Other,
}

impl Life {
    /// The life of this machine, brought up to this boot, `uptime` after the machine's start. `instance` is `None` where the machine's
    /// metadata do not answer: then the state is taken for its own. A state that is none is set aside too.
    pub fn begin(layout: &Layout, owner: &str, instance: Option<&str>, boot: &str, uptime: Duration) -> io::Result<(Self, Begin)> {
        std::fs::create_dir_all(layout.state())?;
        let mut before = match state_file::load::<Self>(&path(layout)) {
            Ok(before) => before.unwrap_or_default(),
            Err(StateError::Read(_, error)) => return Err(error),
            Err(error) => {
                tracing::error!("{error}; the node's own state is begun anew");
                Self::default()
            }
        };
        let differs = |before: &str, now: &str| !before.is_empty() && before != now;
        let other = differs(&before.owner, owner) || instance.is_some_and(|instance| differs(&before.instance, instance));
        if other {
            set_aside(layout)?;
            before = Self::default();
        }
        if let Some(instance) = instance {
            instance.clone_into(&mut before.instance);
        }
        owner.clone_into(&mut before.owner);
        let begin = before.enter(boot, uptime);
        Ok((before, if other { Begin::Other } else { begin }))
    }

    /// An agent starts in this boot, `uptime` after the machine's start.
    pub fn enter(&mut self, boot: &str, uptime: Duration) -> Begin {
        if self.boot.id == boot {
            self.boot.count_crash(uptime.as_secs());
            self.boot.running = true;
            return Begin::Restart { crashes: self.boot.crashes };
        }
        let first = !self.configured;
        self.boot = Boot { id: boot.to_owned(), first, running: true, ..Boot::default() };
        if first { Begin::FirstBoot } else { Begin::Reboot }
    }

    /// Why the node failed, as CloudFormation was or is to be told. The answer to the user is made of this code in the signal and of the
    /// words in the report, so that the report keeps them, whatever becomes of the node: in the same boot, and until the signal is taken.
    pub fn signalled_failure(&self) -> Option<(FailureCode, String)> {
        let signal = self.signal.as_ref().filter(|signal| !signal.taken || signal.boot == self.boot.id)?;
        let Verdict::Failed(code) = signal.verdict else { return None };
        Some((code, signal.text.clone()))
    }

    /// Writes it down.
    pub fn save(&self, layout: &Layout) -> Result<(), StateError> {
        state_file::save(&path(layout), self)
    }
}

/// Moves the state that another machine left out of the way: an image was made of that machine, or its volume was attached here. Its
/// names, keys and marks are not this node's.
fn set_aside(layout: &Layout) -> io::Result<()> {
    let moves = moves_aside(layout)?;
    std::fs::create_dir_all(aside(layout))?;
    for (from, to) in moves {
        if from == path(layout) {
            // The others' new places are on the disk before it has one.
            for folder in [layout.state(), aside(layout)] {
                File::open(folder)?.sync_all()?;
            }
        }
        std::fs::rename(from, to)?;
    }
    Ok(())
}

fn aside(layout: &Layout) -> PathBuf {
    layout.state().with_extension("of-another-machine")
}

/// What is moved where. The file that shows whose state it is goes last: after a stop of the machine in between, the rest is still
/// known to be another's.
fn moves_aside(layout: &Layout) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let (life, aside) = (path(layout), aside(layout));
    // What an earlier machine left; without that file it is what was moved before such a stop.
    if aside.join("life.json").exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(layout.state())? {
        let entry = entry?;
        // The lock that this agent holds is a file of the folder.
        if entry.file_name() != super::LOCK {
            files.push(entry.path());
        }
    }
    files.sort_by_key(|file| *file == life);
    Ok(files.into_iter().filter_map(|file| Some((file.clone(), aside.join(file.file_name()?)))).collect())
}

/// How long ago the machine started; zero where the kernel does not show it.
pub fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").ok();
    let seconds = text.as_deref().and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
}

/// The kernel's id of this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "slave of alice/demo/1";

    fn begin(layout: &Layout, instance: Option<&str>, boot: &str) -> (Life, Begin) {
        begin_as(layout, OWNER, instance, boot)
    }

    fn begin_as(layout: &Layout, owner: &str, instance: Option<&str>, boot: &str) -> (Life, Begin) {
        let (life, begin) = Life::begin(layout, owner, instance, boot, Duration::from_mins(1)).unwrap();
        life.save(layout).unwrap();
        (life, begin)
    }

    #[test]
    fn a_life_knows_its_first_boot_its_reboots_and_its_crashes() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let (mut life, found) = begin(&layout, Some("i-1"), "a");
        assert_eq!((found, life.boot.first), (Begin::FirstBoot, true));
        life.configured = true;
        life.boot.ran.insert(Event::Configure);
        life.save(&layout).unwrap();
        let (mut life, found) = begin(&layout, None, "a");
        assert_eq!((found, life.boot.first), (Begin::Restart { crashes: 1 }, true));
        assert!(life.boot.ran.contains(&Event::Configure), "no event runs again in the same boot");
        life.boot.running = false;
        life.save(&layout).unwrap();
        assert_eq!(begin(&layout, Some("i-1"), "a").1, Begin::Restart { crashes: 1 }, "an end that it chose is no crash");
        let (life, found) = begin(&layout, Some("i-1"), "b");
        assert_eq!((found, life.boot.first, life.boot.ran.len()), (Begin::Reboot, false, 0));
    }

    #[test]
    fn ends_of_the_agent_that_lie_far_back_do_not_count() {
        let mut life = Life::default();
        let hours = |hours: u64| Duration::from_hours(hours);
        life.enter("a", Duration::ZERO);
        for hour in 1..=10 {
            life.enter("a", hours(hour));
        }
        assert_eq!((life.boot.crashes, life.boot.recent_crashes()), (10, 4), "those of hours 7 to 10");
        life.boot.running = false;
        life.enter("a", hours(12));
        assert_eq!((life.boot.crashes, life.boot.recent_crashes()), (10, 2));
        for second in 0..100 {
            life.enter("a", hours(13) + Duration::from_secs(second));
        }
        assert_eq!((life.boot.crashes, life.boot.recent_crashes()), (110, CRASHES_MAX + 1), "the list has its bound");
        life.enter("b", Duration::ZERO);
        assert_eq!((life.boot.crashes, life.boot.recent_crashes()), (0, 0));
    }

    #[test]
    fn what_was_signalled_is_reported_until_a_boot_after_it_was_taken() {
        let mut life = Life::default();
        life.enter("a", Duration::ZERO);
        life.signal = Some(Signal::owed(Verdict::Ready, "", "a"));
        assert_eq!(life.signalled_failure(), None);
        life.signal = Some(Signal::owed(Verdict::Failed(FailureCode::NoConfiguration), "no answer", "a"));
        let failure = Some((FailureCode::NoConfiguration, "no answer".to_owned()));
        assert_eq!(life.signalled_failure(), failure);
        life.enter("b", Duration::ZERO);
        assert_eq!(life.signalled_failure(), failure, "it is still owed");
        life.signal.as_mut().unwrap().taken = true;
        assert_eq!(life.signalled_failure(), None);
        life.enter("a", Duration::ZERO);
        assert_eq!(life.signalled_failure(), failure);
    }

    #[test]
    fn a_stop_of_the_machine_while_another_ones_state_is_set_aside_leaves_none_of_it_to_this_one() {
        // As far as the machine came before it stopped: the last number is all.
        for moved in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let layout = Layout::below(folder.path());
            begin(&layout, Some("i-1"), "a");
            let others = ["assignment.json", "secret", "zone"].map(|name| layout.state().join(name));
            for file in &others {
                std::fs::write(file, "another's").unwrap();
            }
            std::fs::create_dir_all(aside(&layout)).unwrap();
            for (from, to) in moves_aside(&layout).unwrap().into_iter().take(moved) {
                std::fs::rename(from, to).unwrap();
            }
            let (life, _) = begin(&layout, Some("i-2"), "a");
            assert_eq!((life.instance.as_str(), life.boot.crashes), ("i-2", 0), "{moved}");
            for file in &others {
                assert!(!file.exists() && aside(&layout).join(file.file_name().unwrap()).exists(), "{} after {moved}", file.display());
            }
        }
    }

    #[test]
    fn the_state_of_another_cluster_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        begin(&layout, Some("i-1"), "a");
        std::fs::write(layout.state().join("secret"), "the other cluster's").unwrap();
        // An image of a node starts its agent before user data write the settings of the new cluster.
        assert_eq!(begin_as(&layout, "slave of bob/other/2", Some("i-1"), "a").1, Begin::Other);
        assert!(!layout.state().join("secret").exists());
        assert_eq!(begin_as(&layout, "slave of bob/other/2", Some("i-1"), "a").1, Begin::Restart { crashes: 1 });
    }

    #[test]
    fn the_state_of_another_machine_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let (mut life, _) = begin(&layout, Some("i-1"), "a");
        life.configured = true;
        life.save(&layout).unwrap();
        std::fs::write(layout.state().join("assignment.json"), "{}").unwrap();
        std::fs::write(layout.state().join(super::super::LOCK), "").unwrap();
        for boot in ["a", "b"] {
            let (life, found) = begin(&layout, Some("i-2"), boot);
            assert!(!life.configured && life.boot.first, "{found:?}");
            assert!(!layout.state().join("assignment.json").exists() && layout.state().join(super::super::LOCK).exists());
        }
    }

    #[test]
    fn a_state_that_is_none_begins_a_new_life() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        std::fs::create_dir_all(layout.state()).unwrap();
        std::fs::write(path(&layout), "{\"instance\": 3").unwrap();
        assert_eq!(begin(&layout, Some("i-1"), "a").1, Begin::FirstBoot);
        assert!(!boot_id().is_empty());
    }
}
