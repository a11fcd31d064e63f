//! The processes that a script started, also those that it sent out of its process group (`setsid`, a double fork).
//!
//! They are found in `/proc`: by the mark in their environment, which a child inherits, or by descent from a process that is known.
//! A process that cleans its environment **and** whose parent had ended before the search escapes, as it would escape anything short
//! of a control group.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::RUN_VARIABLE;

/// A family that goes on forking is searched for so often.
const ROUNDS_MAX: usize = 200;

/// A look at all processes lists them so often, until a list has nothing new.
const LISTINGS_MAX: usize = 1_000;

/// They are gone when so many rounds have found none: one that is just made, or changes its program, is missed by a round.
const QUIET_ROUNDS: usize = 3;

/// Time for killed processes to go, before the next round.
const PAUSE: Duration = Duration::from_millis(10);

/// The most that is read of an environment. The kernel allows a third of this for the arguments and the environment of a process
/// with the usual stack.
const ENVIRONMENT_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// A process, distinguished from a later one with the same number by its start.
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

/// A script's process and what came of it. Looking for it takes as long as there are processes, and longer while they go on forking, so
/// it is not done on the thread of who waits, which may be the agent's only one.
#[derive(Debug, Clone)]
pub struct Family {
    /// The leader of its group, where there is one.
    leader: Option<Pid>,
    /// It is left to itself.
    let_go: bool,
    mark: Vec<u8>,
    /// Those that are known: number and start.
    known: HashMap<i32, u64>,
}

impl Family {
    /// The family of a group's first process, whose environment has this run's mark.
    pub fn new(leader: Pid, run: &str) -> Self {
        let mut family = Self { leader: Some(leader), ..Self::of_run(run) };
        let leader = leader.as_raw_nonzero().get();
        family.known.extend(read_process(leader).map(|process| (leader, process.started)));
        family
    }

    /// The family of a run whose first process may have ended.
    pub fn of_run(run: &str) -> Self {
        Self { leader: None, let_go: false, mark: format!("{RUN_VARIABLE}={run}").into_bytes(), known: HashMap::new() }
    }

    /// Asks all to end, and kills those that have not after `grace`; returns how many.
    pub async fn end(&mut self, grace: Duration) -> usize {
        let asked = Instant::now();
        let signal = |process: &Process, signal| _ = Pid::from_raw(process.pid).map(|pid| kill_process(pid, signal));
        let mut living = self.sweep(|process| signal(process, Signal::TERM));
        while !living.is_empty() && asked.elapsed() < grace {
            tokio::time::sleep(PAUSE).await;
            living = self.sweep(|_| {});
        }
        self.kill().await
    }

    /// Signals the group. That it is gone is no failure.
    pub fn signal_group(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Takes note of all that live now.
    pub async fn find(&mut self) {
        self.elsewhere(|family| drop(family.sweep(|_| {}))).await;
    }

    /// Does this on a thread for blocking work. Where the future is dropped meanwhile, it is done, and what was learned is lost.
    async fn elsewhere<T: Default + Send + 'static>(&mut self, look: impl FnOnce(&mut Self) -> T + Send + 'static) -> T {
        let mut family = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&mut family);
            (family.known, found)
        });
        match looked.await {
            Ok((known, found)) => {
                self.known = known;
                found
            }
            // The runtime ends, and `kill_at_once` follows.
            Err(_) => T::default(),
        }
    }

    /// Looks at every process, each as soon as it is listed, and again at those that were made meanwhile: one that starts its
    /// successor and ends must not get away between two looks. Calls `each` with every member, and returns them.
    fn sweep(&mut self, each: impl Fn(&Process)) -> Vec<Process> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for _ in 0..LISTINGS_MAX {
            let fresh: Vec<i32> = list_processes().into_iter().filter(|pid| seen.insert(*pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for process in fresh.into_iter().filter_map(read_process) {
                let parent_started = || read_process(process.parent).map(|parent| parent.started);
                if is_member(&process, &self.known, parent_started, || holds(process.pid, &self.mark)) {
                    each(&process);
                    self.known.insert(process.pid, process.started);
                    found.push(process);
                }
            }
        }
        found
    }

    /// Kills all, also those that start meanwhile. Returns how many of them were outside the group.
    pub async fn kill(&mut self) -> usize {
        let mut outside = HashSet::new();
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            let found = self.elsewhere(Self::kill_round).await;
            quiet_rounds = if found.is_empty() { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == QUIET_ROUNDS {
                break;
            }
            outside.extend(found.into_iter().filter(|(_, outside)| *outside).map(|(pid, _)| pid));
            tokio::time::sleep(PAUSE).await;
        }
        outside.len()
    }

    /// Kills all that are there now, without waiting for anything but this; nothing where the family was let go.
    pub fn kill_at_once(&mut self) {
        if !self.let_go {
            // Before any of them ends: then its children are no longer seen to be its own.
            self.sweep(|_| {});
        }
        for _ in 0..2 {
            self.kill_round();
        }
    }

    /// Leaves the family to itself.
    pub fn forget(&mut self) {
        self.let_go = true;
    }

    /// Kills each that is found. Returns these, and whether they were outside the group.
    fn kill_round(&mut self) -> Vec<(i32, bool)> {
        if self.let_go {
            return Vec::new();
        }
        self.signal_group(Signal::KILL);
        let killed = self.sweep(|process| {
            if let Some(pid) = Pid::from_raw(process.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let group = self.leader.map(|leader| leader.as_raw_nonzero().get());
        killed.iter().map(|process| (process.pid, group != Some(process.group))).collect()
    }
}

/// Whether a process lives and belongs to a family: it is known, has a known parent, or has the mark. A number that is known is
/// another process's by now if its start is another.
fn is_member(
    process: &Process,
    known: &HashMap<i32, u64>,
    parent_started: impl FnOnce() -> Option<u64>,
    marked: impl FnOnce() -> bool,
) -> bool {
    let lives = !process.zombie && process.pid > 1;
    let child = || known.get(&process.parent).is_some_and(|started| parent_started() == Some(*started));
    lives && (known.get(&process.pid) == Some(&process.started) || child() || marked())
}

/// The living processes below this one, however deep. It knows all that came of what this process started only where this process gets
/// the orphans (a subreaper).
pub fn descendants() -> Vec<i32> {
    let all: Vec<Process> = list_processes().into_iter().filter_map(read_process).filter(|process| !process.zombie).collect();
    let mut found = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        next += 1;
    }
    found.split_off(1)
}

/// The numbers of all processes. A child's is above its parent's but where numbers have begun anew.
fn list_processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
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

    #[test]
    fn a_member_is_known_or_has_a_known_parent_or_the_mark() {
        let known = HashMap::from([(10, 7)]);
        let process = |pid, parent, started| Process { pid, parent, group: pid, started, zombie: false };
        for (process, parent_started, marked, member) in [
            (process(10, 1, 7), None, false, true),
            (process(10, 1, 8), None, false, false),
            (process(11, 10, 8), Some(7), false, true),
            (process(11, 10, 9), Some(8), false, false),
            (process(11, 10, 9), None, false, false),
            (process(20, 1, 9), None, true, true),
            (process(20, 1, 9), None, false, false),
            (process(1, 0, 1), None, true, false),
            (Process { zombie: true, ..process(10, 1, 7) }, None, true, false),
        ] {
            assert_eq!(is_member(&process, &known, || parent_started, || marked), member, "{process:?}");
        }
    }

    #[tokio::test]
    async fn while_processes_are_looked_for_the_thread_is_free_for_others() {
        let others = tokio::spawn(async {});
        let me = Pid::from_raw(std::process::id().cast_signed()).unwrap();
        let mut family = Family::new(me, "no such run");
        family.known.clear();
        family.find().await;
        assert!(others.is_finished(), "the one thread was held");
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
