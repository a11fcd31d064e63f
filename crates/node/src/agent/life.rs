//! What the agent remembers of its node, through restarts and reboots: `life.json` in the state folder.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::decide::Verdict;
use crate::event::Event;
use crate::node::Layout;
use crate::request::Given;
use crate::state_file::{self, StateError};

/// A node's life: from the first boot of a machine to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// The machine's EC2 id. A disk that another machine left, as an image does, holds another life.
    #[serde(default)]
    pub instance: String,
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
    /// Whether CloudFormation has taken it.
    pub taken: bool,
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
    /// The same boot: the agent was started again, for the so-manieth time without having chosen to end.
    Restart {
        /// How often it ended so.
        crashes: u32,
    },
    /// The state is another machine's, so it is set aside.
    OtherMachine,
}

impl Life {
    /// The life of this machine, brought up to this boot. `instance` is `None` where the machine's metadata do not answer: then the
    /// state is taken for its own. A state that is none is set aside too.
    pub fn begin(layout: &Layout, instance: Option<&str>, boot: &str) -> io::Result<(Self, Begin)> {
        std::fs::create_dir_all(layout.state())?;
        let mut before = match state_file::load::<Self>(&path(layout)) {
            Ok(before) => before.unwrap_or_default(),
            Err(StateError::Read(_, error)) => return Err(error),
            Err(error) => {
                tracing::error!("{error}; the node's own state is begun anew");
                Self::default()
            }
        };
        let other = instance.is_some_and(|instance| !before.instance.is_empty() && before.instance != instance);
        if other {
            set_aside(layout)?;
            before = Self::default();
        }
        if let Some(instance) = instance {
            instance.clone_into(&mut before.instance);
        }
        let begin = before.enter(boot);
        Ok((before, if other { Begin::OtherMachine } else { begin }))
    }

    fn enter(&mut self, boot: &str) -> Begin {
        if self.boot.id == boot {
            self.boot.crashes += u32::from(self.boot.running);
            self.boot.running = true;
            return Begin::Restart { crashes: self.boot.crashes };
        }
        let first = !self.configured;
        self.boot = Boot { id: boot.to_owned(), first, running: true, ..Boot::default() };
        if first { Begin::FirstBoot } else { Begin::Reboot }
    }

    /// Writes it down.
    pub fn save(&self, layout: &Layout) -> Result<(), StateError> {
        state_file::save(&path(layout), self)
    }
}

/// Moves the state that another machine left out of the way: an image was made of that machine, or its volume was attached here. Its
/// names, keys and marks are not this node's.
fn set_aside(layout: &Layout) -> io::Result<()> {
    let state = layout.state();
    let aside = state.with_extension("of-another-machine");
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(&aside)?;
    for entry in std::fs::read_dir(&state)? {
        let entry = entry?;
        // The lock that this agent holds is a file of the folder.
        if entry.file_name() != super::LOCK {
            std::fs::rename(entry.path(), aside.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The kernel's id of this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(layout: &Layout, instance: Option<&str>, boot: &str) -> (Life, Begin) {
        let (life, begin) = Life::begin(layout, instance, boot).unwrap();
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
