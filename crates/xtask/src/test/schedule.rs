//! Runs steps side by side: each lane has its workers, and each worker takes the first step of its lane whose tools are
//! installed and whose forerunners have passed. What a step says is kept together, and shown when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use cf_local::children;
use cf_local::interruption::PATIENCE_WITH_GRANDCHILDREN;
use cf_local::tools::Tool;
use console::style;

use super::steps::{Lane, TestStep};
use crate::chore::{headline, step, watched};
use crate::transcript::Transcript;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Ended {
    /// Each step's, the slowest first.
    pub seconds: Vec<(String, f64)>,
    pub all_seconds: f64,
    /// What could not be asked on this machine.
    pub skipped: Vec<String>,
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
    fn is_running(&self, test_step: &TestStep) -> bool {
        self.begun.contains(&test_step.name) && !self.passed.contains(&test_step.name)
    }
}

struct Run<'a> {
    steps: &'a [&'static TestStep],
    state: Mutex<State>,
    moved: Condvar,
}

/// Runs them all, or up to the first that fails.
pub fn run(steps: &[&'static TestStep]) -> Result<Ended> {
    let begun = Instant::now();
    let run = Run { steps, state: Mutex::default(), moved: Condvar::new() };
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
        for tool in Tool::ALL.into_iter().filter(|tool| self.steps.iter().any(|test_step| test_step.tools.contains(tool))) {
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
        while let Some(test_step) = self.next(lane) {
            let begun = Instant::now();
            match self.perform(test_step) {
                Ok(skipped) => {
                    let mut state = self.state();
                    state.passed.push(test_step.name);
                    state.ended.seconds.push((test_step.name.to_owned(), begun.elapsed().as_secs_f64()));
                    state.ended.skipped.extend(skipped);
                }
                Err(error) => self.fail(error.context(format!("the step \"{}\" failed", test_step.name))),
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

    /// Waits for the next step of a lane that may begin.
    fn next(&self, lane: Lane) -> Option<&'static TestStep> {
        let mut state = self.state();
        loop {
            let mut left =
                self.steps.iter().filter(|test_step| test_step.lane == lane && !state.begun.contains(&test_step.name)).peekable();
            if state.failed.is_some() || left.peek().is_none() {
                return None;
            }
            if let Some(test_step) = left.find(|test_step| self.may_begin(test_step, &state)) {
                state.begun.push(test_step.name);
                return Some(test_step);
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn may_begin(&self, test_step: &TestStep, state: &State) -> bool {
        let is_here = |name: &str| self.steps.iter().any(|p| p.name == name);
        let mut beside = self.steps.iter().filter(|p| p.lane == test_step.lane && state.is_running(p));
        beside.all(|p| !p.alone && !test_step.alone)
            && test_step.tools.iter().all(|tool| state.installed.contains(tool))
            && test_step.after.iter().filter(|name| is_here(name)).all(|name| state.passed.contains(name))
    }

    /// Runs a step; gives what it could not ask. One that is all there is has the screen to itself.
    fn perform(&self, test_step: &TestStep) -> Result<Vec<String>> {
        if self.steps.len() == 1 {
            headline(test_step.name);
            return caught(test_step, &Transcript::on_screen()).map(|()| Vec::new());
        }
        let out = Transcript::kept(test_step.name)?;
        watched(
            test_step.name,
            || caught(test_step, &out),
            |done, seconds| {
                // What was only ended because another failed has nothing to say.
                if done.is_err() && self.state().failed.is_some() {
                    return;
                }
                headline(test_step.name);
                print!("{}", out.text());
                match done {
                    Ok(()) => println!("  {} {}: passed in {seconds:.1} s", style("✓").green(), test_step.name),
                    Err(error) => println!("  {} {}: failed after {seconds:.1} s: {error:#}", style("✗").red(), test_step.name),
                }
            },
        )?;
        Ok(out.skipped())
    }
}

/// A step that panics would leave the others waiting for it.
fn caught(test_step: &TestStep, out: &Transcript) -> Result<()> {
    match catch_unwind(AssertUnwindSafe(|| (test_step.run)(out))) {
        Ok(ended) => ended,
        Err(_) => bail!(anyhow!("it panicked")),
    }
}
