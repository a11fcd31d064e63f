//! The processes that a script started, also those that it sent out of its process group (`setsid`, a double fork).
//!
//! They are found in `/proc`: by the mark in their environment, which a child inherits, or by descent from a process that is known.
//! A process that cleans its environment **and** whose parent had ended before the search escapes, as it would escape anything short
//! of a control group.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::RUN_VARIABLE;

/// A family that goes on forking is searched for so often.
const ROUNDS_MAX: usize = 200;

/// They are gone when so many rounds have found none: one that is just made, or changes its program, is missed by a round.
const QUIET_ROUNDS: usize = 3;

/// Time for killed processes to go, before the next round.
const PAUSE: Duration = Duration::from_millis(10);

/// The most that is read of an environment. The kernel allows a third of this for the arguments and the environment of a process
/// with the usual stack.
const ENVIRONMENT_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// A process, told from a later one with the same number by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// In clock ticks since the boot.
    started: u64,
    /// It has ended, and its parent has not asked for it.
    zombie: bool,
}

/// A script's process and what came of it.
#[derive(Debug)]
pub struct Family {
    leader: Option<Pid>,
    mark: Vec<u8>,
    /// Those that are known: number and start.
    known: HashMap<i32, u64>,
}

impl Family {
    /// The family of a group's first process, whose environment has this run's mark.
    pub fn new(leader: Pid, run: &str) -> Self {
        let mut family = Self { leader: Some(leader), mark: format!("{RUN_VARIABLE}={run}").into_bytes(), known: HashMap::new() };
        let leader = leader.as_raw_nonzero().get();
        family.known.extend(read_process(leader).map(|process| (leader, process.started)));
        family
    }

    /// Signals the group. That it is gone is no failure.
    pub fn signal_group(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Takes note of all that live now. Returns those.
    pub fn find(&mut self) -> Vec<i32> {
        let processes = read_processes();
        let marked = |process: &Process| holds(process.pid, &self.mark);
        let found = members(&processes, &self.known, marked);
        self.known.extend(found.iter().map(|process| (process.pid, process.started)));
        found.iter().map(|process| process.pid).collect()
    }

    /// Kills all, also those that start meanwhile. Returns how many of them were outside the group.
    pub async fn kill(&mut self) -> usize {
        let mut outside = HashSet::new();
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            let found = self.kill_round();
            quiet_rounds = if found.is_empty() { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == QUIET_ROUNDS {
                break;
            }
            outside.extend(found.into_iter().filter(|(_, outside)| *outside).map(|(pid, _)| pid));
            tokio::time::sleep(PAUSE).await;
        }
        outside.len()
    }

    /// Kills all that are there now, without waiting; nothing where the family was let go.
    pub fn kill_at_once(&mut self) {
        for _ in 0..2 {
            self.kill_round();
        }
    }

    /// Leaves the family to itself.
    pub fn forget(&mut self) {
        self.leader = None;
    }

    /// Kills each that is found. Returns these, and whether they were outside the group.
    fn kill_round(&mut self) -> Vec<(i32, bool)> {
        let Some(leader) = self.leader else { return Vec::new() };
        let found = self.find();
        self.signal_group(Signal::KILL);
        let mut killed = Vec::new();
        for pid in found {
            // Looked at again: its number may be another's by now.
            let Some(process) = read_process(pid).filter(|now| self.known.get(&pid) == Some(&now.started)) else { continue };
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
            killed.push((pid, process.group != leader.as_raw_nonzero().get()));
        }
        killed
    }
}

/// The living members of a family among all processes: those known, those marked, and all their descendants.
fn members<'a>(all: &'a [Process], known: &HashMap<i32, u64>, marked: impl Fn(&Process) -> bool) -> Vec<&'a Process> {
    let ours = |process: &Process| known.get(&process.pid) == Some(&process.started) || marked(process);
    let mut found: HashMap<i32, &Process> = all.iter().filter(|process| ours(process)).map(|process| (process.pid, process)).collect();
    // Each round adds a generation; a chain of processes is no longer than there are processes.
    loop {
        let before = found.len();
        let children: Vec<&Process> =
            all.iter().filter(|process| found.contains_key(&process.parent) && !found.contains_key(&process.pid)).collect();
        found.extend(children.into_iter().map(|child| (child.pid, child)));
        if found.len() == before {
            break;
        }
    }
    found.into_values().filter(|process| !process.zombie && process.pid > 1).collect()
}

fn read_processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn read_process(pid: i32) -> Option<Process> {
    let mut stat = Vec::new();
    File::open(format!("/proc/{pid}/stat")).ok()?.take(4096).read_to_end(&mut stat).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&stat))
}

/// `pid (name) state parent group … start …`. The name is the process's own choice, parentheses included.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// Whether a process's environment has this entry.
fn holds(pid: i32, mark: &[u8]) -> bool {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ")).and_then(|file| file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|entry| entry == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, group: pid, started: 7, zombie: false }
    }

    #[test]
    fn a_family_is_what_is_known_what_is_marked_and_what_came_of_them() {
        let all = [
            process(1, 0),
            process(10, 1),
            process(11, 10),
            process(12, 11),
            process(20, 1),
            process(21, 20),
            Process { zombie: true, ..process(13, 10) },
            process(30, 1),
            process(31, 30),
        ];
        let find = |known: &[(i32, u64)], marked: i32| {
            let mut pids: Vec<i32> =
                members(&all, &known.iter().copied().collect(), |process| process.pid == marked).iter().map(|p| p.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(find(&[(10, 7)], 20), [10, 11, 12, 20, 21]);
        assert_eq!(find(&[(10, 6)], 0), [0; 0], "another process has the number now");
        assert_eq!(find(&[], 21), [21]);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "4711 (a) R 1 (b) S 17 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 1";
        assert_eq!(parse_stat(4711, stat), Some(Process { pid: 4711, parent: 17, group: 4711, started: 12345, zombie: false }));
        assert_eq!(parse_stat(1, "1 (x"), None);
        assert_eq!(parse_stat(1, "1 (x) S 1"), None);
        let me = read_process(std::process::id().cast_signed()).unwrap();
        assert!(me.started > 0 && !me.zombie && me.parent > 0);
    }
}
