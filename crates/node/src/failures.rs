//! Scripts that failed on this node, for its report: whoever runs scripts here appends to one journal, and the daemon reads it.
//!
//! The journal is `failures` in the state folder: a line of JSON for each event that ran, appended under a lock. What it says is the
//! fold of its lines ([`Failures`]), so a line that is read twice changes nothing. A boot begins a new journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use cf_core::node_report::{FailedScript, SCRIPTS_MAX};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::hooks::{EventReport, ScriptReport};
use crate::node::Layout;
use crate::run::Outcome;

/// A journal that is longer is folded before it grows further.
pub const JOURNAL_BYTES_MAX: u64 = 512 * 1024;

/// The most failed scripts that are kept: some times what a report shows.
pub const KEPT_MAX: usize = 5 * SCRIPTS_MAX;

/// What one run of an event means for the list of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The scripts that failed, or were not run.
    failed: Vec<FailedScript>,
    /// The scripts that succeeded: event, profile, script.
    well: Vec<(String, String, String)>,
}

impl From<&EventReport> for Entry {
    fn from(report: &EventReport) -> Self {
        let (well, failed): (Vec<_>, Vec<_>) = report.scripts.iter().partition(|script| script.outcome.is_success());
        let name = |script: &&ScriptReport| (report.event.to_string(), script.profile.clone(), script.script.clone());
        Self {
            failed: failed.into_iter().map(|script| failed_script(report.event, script)).collect(),
            well: well.iter().map(name).collect(),
        }
    }
}

/// A script's end, as reports name it.
pub fn failed_script(event: Event, script: &ScriptReport) -> FailedScript {
    FailedScript {
        event: event.to_string(),
        profile: script.profile.clone(),
        script: script.script.clone(),
        outcome: script.outcome.to_string(),
        exit_code: if let Outcome::Exit(code) = script.outcome { Some(code) } else { None },
        last_lines: script.last_lines.clone(),
    }
}

/// The scripts that failed and did not do well since, the first first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    scripts: Vec<FailedScript>,
    /// How many did not fit.
    more: u64,
}

impl Failures {
    /// Takes an entry. A script that failed before keeps its place. One that does well is taken off, but for member events, which run
    /// again for another member.
    pub fn record(&mut self, entry: &Entry) {
        let of_members = [Event::MemberJoin.to_string(), Event::MemberLeave.to_string()];
        for (event, profile, script) in entry.well.iter().filter(|(event, ..)| !of_members.contains(event)) {
            self.scripts.retain(|failed| (&failed.event, &failed.profile, &failed.script) != (event, profile, script));
        }
        for failed in &entry.failed {
            let same = |known: &&mut FailedScript| {
                (&known.event, &known.profile, &known.script) == (&failed.event, &failed.profile, &failed.script)
            };
            if let Some(known) = self.scripts.iter_mut().find(same) {
                failed.clone_into(known);
            } else if self.scripts.len() < KEPT_MAX {
                self.scripts.push(failed.clone());
            } else {
                self.more = self.more.saturating_add(1);
            }
        }
    }

    /// The scripts.
    pub fn scripts(&self) -> &[FailedScript] {
        &self.scripts
    }

    /// How many more failed than are kept; one that failed again is counted again.
    pub fn more(&self) -> u64 {
        self.more
    }

    fn read(text: &str) -> Self {
        let mut failures = Self::default();
        // A line that a full disk cut off is none.
        text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()).for_each(|entry| failures.record(&entry));
        failures
    }

    fn entry(&self) -> Entry {
        Entry { failed: self.scripts.clone(), well: Vec::new() }
    }
}

/// Where the journal lies.
pub fn path(layout: &Layout) -> PathBuf {
    layout.state().join("failures")
}

/// Appends what came of an event. Any process of the node may do so.
pub fn append(layout: &Layout, report: &EventReport) -> io::Result<()> {
    append_entry(layout, &Entry::from(report))
}

fn append_entry(layout: &Layout, entry: &Entry) -> io::Result<()> {
    std::fs::create_dir_all(layout.state())?;
    let mut file = locked(layout)?;
    let length = file.metadata()?.len();
    let mut lines = Vec::new();
    if length > JOURNAL_BYTES_MAX {
        serde_json::to_writer(&mut lines, &read(&mut file)?.entry())?;
        lines.push(b'\n');
        file.set_len(0)?;
    } else if length > 0 {
        // After a line that a full disk cut off.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        lines.extend((last != *b"\n").then_some(b'\n'));
    }
    serde_json::to_writer(&mut lines, entry)?;
    lines.push(b'\n');
    file.write_all(&lines)
}

/// Opens the journal for this process alone; the lock goes with the file.
fn locked(layout: &Layout) -> io::Result<File> {
    let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path(layout))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn read(file: &mut File) -> io::Result<Failures> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(4 * JOURNAL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Failures::read(&String::from_utf8_lossy(&bytes)))
}

/// The daemon's side of the journal.
#[derive(Debug)]
pub struct Journal {
    layout: Layout,
    /// Length and time of the file when it was read last.
    seen: Option<(u64, std::time::SystemTime)>,
}

impl Journal {
    /// The journal of this boot; `fresh`: a new one.
    pub fn open(layout: &Layout, fresh: bool) -> Self {
        if fresh && let Err(error) = std::fs::remove_file(path(layout)) {
            let _ = Some(error).filter(|error| error.kind() != io::ErrorKind::NotFound).map(|error| {
                tracing::warn!(%error, "the journal of failed scripts of the last boot cannot be removed; its failures are reported again");
            });
        }
        Self { layout: layout.clone(), seen: None }
    }

    /// What it says, if it has changed since it was read last.
    pub fn news(&mut self) -> io::Result<Option<Failures>> {
        let metadata = match std::fs::metadata(path(&self.layout)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let seen = Some((metadata.len(), metadata.modified()?));
        if self.seen == seen {
            return Ok(None);
        }
        let failures = read(&mut locked(&self.layout)?)?;
        self.seen = seen;
        Ok(Some(failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(event: Event, scripts: &[(&str, i32)]) -> EventReport {
        let script = |(name, code): &(&str, i32)| ScriptReport {
            profile: "alice".to_owned(),
            script: (*name).to_owned(),
            outcome: Outcome::Exit(*code),
            milliseconds: 1,
            notes: Vec::new(),
            last_lines: vec!["x".repeat(300); 10],
        };
        EventReport { event, scripts: scripts.iter().map(script).collect(), problems: Vec::new(), node_failed: false }
    }

    fn shown(failures: &Failures) -> Vec<String> {
        failures.scripts().iter().map(|s| format!("{} {} {}", s.event, s.script, s.exit_code.unwrap_or(-1))).collect()
    }

    fn bed() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        (folder, layout)
    }

    #[test]
    fn what_another_process_appends_is_read_and_a_script_that_does_well_is_taken_off() {
        let (_folder, layout) = bed();
        let mut journal = Journal::open(&layout, true);
        assert_eq!(journal.news().unwrap(), None);
        append(&layout, &report(Event::Configure, &[("a", 3), ("b", 0), ("c", 4)])).unwrap();
        append(&layout, &report(Event::MemberJoin, &[("m", 1)])).unwrap();
        assert_eq!(shown(&journal.news().unwrap().unwrap()), ["configure a 3", "configure c 4", "member-join m 1"]);
        assert_eq!(journal.news().unwrap(), None, "nothing has changed");
        append(&layout, &report(Event::Configure, &[("a", 0), ("c", 5)])).unwrap();
        append(&layout, &report(Event::MemberJoin, &[("m", 0)])).unwrap();
        assert_eq!(shown(&journal.news().unwrap().unwrap()), ["configure c 5", "member-join m 1"]);
        assert_eq!(shown(&Journal::open(&layout, false).news().unwrap().unwrap()), ["configure c 5", "member-join m 1"]);
        assert_eq!(Journal::open(&layout, true).news().unwrap(), None, "a boot begins anew");
    }

    #[test]
    fn a_line_that_was_cut_off_takes_no_other_with_it() {
        let (_folder, layout) = bed();
        std::fs::create_dir_all(layout.state()).unwrap();
        std::fs::write(path(&layout), "{\"failed\":[{\"eve").unwrap();
        append(&layout, &report(Event::Start, &[("a", 3)])).unwrap();
        assert_eq!(shown(&Journal::open(&layout, false).news().unwrap().unwrap()), ["start a 3"]);
    }

    #[test]
    fn a_journal_that_only_grows_is_folded_and_so_are_endless_failures() {
        let (_folder, layout) = bed();
        let names: Vec<String> = (0..KEPT_MAX + 3).map(|nth| format!("script-{nth}")).collect();
        for _ in 0..4 {
            for name in &names {
                append(&layout, &report(Event::Configure, &[(name, 1)])).unwrap();
            }
        }
        let bytes = std::fs::metadata(path(&layout)).unwrap().len();
        assert!(bytes < 2 * JOURNAL_BYTES_MAX, "{bytes}");
        let failures = Journal::open(&layout, false).news().unwrap().unwrap();
        assert_eq!(failures.scripts().len(), KEPT_MAX);
        assert!(failures.more() > 0);
    }
}
