//! Runs parts side by side: each lane has its workers, and each worker takes the first part of its lane whose tools are
//! installed and whose forerunners have passed. What a part says is kept together, and shown when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use cf_local::children;
use cf_local::interruption::PATIENCE_WITH_GRANDCHILDREN;
use cf_local::tools::Tool;
use console::style;

use super::parts::{Lane, Part};
use crate::chore::{headline, step, watched};
use crate::transcript::Transcript;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Ended {
    /// Each part's, the slowest first.
    pub seconds: Vec<(String, f64)>,
    pub all_seconds: f64,
    /// What could not be asked on this machine.
    pub not_asked: Vec<String>,
}

#[derive(Default)]
struct State {
    begun: Vec<&'static str>,
    passed: Vec<&'static str>,
    installed: Vec<Tool>,
    failed: Option<anyhow::Error>,
    ended: Ended,
}

impl State {
    fn is_running(&self, part: &Part) -> bool {
        self.begun.contains(&part.name) && !self.passed.contains(&part.name)
    }
}

struct Run<'a> {
    parts: &'a [&'static Part],
    state: Mutex<State>,
    moved: Condvar,
}

/// Runs them all, or up to the first that fails.
pub fn run(parts: &[&'static Part]) -> Result<Ended> {
    let begun = Instant::now();
    let run = Run { parts, state: Mutex::default(), moved: Condvar::new() };
    thread::scope(|scope| {
        scope.spawn(|| run.install());
        for lane in Lane::ALL {
            for _ in 0..lane.width() {
                scope.spawn({
                    let run = &run;
                    move || run.work(lane)
                });
            }
        }
    });
    let state = run.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = state.failed {
        return Err(error);
    }
    let mut ended = Ended { all_seconds: begun.elapsed().as_secs_f64(), ..state.ended };
    ended.seconds.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(ended)
}

impl Run<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tools, one after the other, beside whatever needs none.
    fn install(&self) {
        for tool in Tool::ALL.into_iter().filter(|tool| self.parts.iter().any(|part| part.tools.contains(tool))) {
            let what = format!("tools: {}", tool.contents());
            let begun = Instant::now();
            let installed = match tool.is_installed() {
                Ok(true) => Ok(()),
                Ok(false) => step(&what, || tool.install(&|_| {})),
                Err(error) => Err(error),
            };
            match installed {
                Ok(()) => self.state().installed.push(tool),
                Err(error) => return self.fail(error.context(what)),
            }
            self.state().ended.seconds.push((what, begun.elapsed().as_secs_f64()));
            self.moved.notify_all();
        }
    }

    /// Works off a lane, until nothing is left of it or something has failed anywhere.
    fn work(&self, lane: Lane) {
        if lane == Lane::Processors {
            // Compilers leave the processors to the tests on the emulators, which have bounds of time. What this thread starts has it
            // from this thread; where it is refused, all run alike.
            let _ = rustix::process::nice(10);
        }
        while let Some(part) = self.next(lane) {
            let begun = Instant::now();
            match self.perform(part) {
                Ok(not_asked) => {
                    let mut state = self.state();
                    state.passed.push(part.name);
                    state.ended.seconds.push((part.name.to_owned(), begun.elapsed().as_secs_f64()));
                    state.ended.not_asked.extend(not_asked);
                }
                Err(error) => self.fail(error.context(format!("the part \"{}\" failed", part.name))),
            }
            self.moved.notify_all();
        }
    }

    /// Ends everything that runs. What fails because of that is no news.
    fn fail(&self, error: anyhow::Error) {
        let is_first = self.state().failed.is_none();
        self.state().failed.get_or_insert(error);
        if is_first {
            children::end_all(PATIENCE_WITH_GRANDCHILDREN);
        }
        self.moved.notify_all();
    }

    /// Waits for the next part of a lane that may begin.
    fn next(&self, lane: Lane) -> Option<&'static Part> {
        let mut state = self.state();
        loop {
            let mut left = self.parts.iter().filter(|part| part.lane == lane && !state.begun.contains(&part.name)).peekable();
            if state.failed.is_some() || left.peek().is_none() {
                return None;
            }
            if let Some(part) = left.find(|part| self.may_begin(part, &state)) {
                state.begun.push(part.name);
                return Some(part);
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn may_begin(&self, part: &Part, state: &State) -> bool {
        let is_here = |name: &str| self.parts.iter().any(|p| p.name == name);
        let mut beside = self.parts.iter().filter(|p| p.lane == part.lane && state.is_running(p));
        beside.all(|p| !p.alone && !part.alone)
            && part.tools.iter().all(|tool| state.installed.contains(tool))
            && part.after.iter().filter(|name| is_here(name)).all(|name| state.passed.contains(name))
    }

    /// Runs a part; gives what it could not ask. One that is all there is has the screen to itself.
    fn perform(&self, part: &Part) -> Result<Vec<String>> {
        if self.parts.len() == 1 {
            headline(part.name);
            return caught(part, &Transcript::on_screen()).map(|()| Vec::new());
        }
        let out = Transcript::kept(part.name)?;
        watched(
            part.name,
            || caught(part, &out),
            |done, seconds| {
                // What was only ended because another failed has nothing to say.
                if done.is_err() && self.state().failed.is_some() {
                    return;
                }
                headline(part.name);
                print!("{}", out.text());
                match done {
                    Ok(()) => println!("  {} {}: passed in {seconds:.1} s", style("✓").green(), part.name),
                    Err(error) => println!("  {} {}: failed after {seconds:.1} s: {error:#}", style("✗").red(), part.name),
                }
            },
        )?;
        Ok(out.not_asked())
    }
}

/// A part that panics would leave the others waiting for it.
fn caught(part: &Part, out: &Transcript) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| (part.run)(out))) {
        Ok(ended) => ended,
        Err(_) => bail!(anyhow!("it panicked")),
    }
}
