//! The functions in their world: events are queued, delivered, and delivered again when a function fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::first_hour;
use cf_core::key::{self, Reading};
use cf_core::message::{Message, StateText};
use cf_core::observe::Observe;
use cf_core::reconcile::{self, Clock, Environment, Outcome, Report, Scope, Wake};
use cf_core::settings::{Function, Settings};
use cf_core::stack::StackId;
use futures_util::FutureExt;
use jiff::Timestamp;

use crate::s3::{Bucket, Written};
use crate::world::World;

/// What wakes a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// S3: an object was created at this key.
    Upload(String),
    /// CloudFormation: a stack changed its status.
    Stack(StackId),
    /// S3: a node's report was created at this key.
    Report(String),
    /// The clock.
    Sweep,
}

/// A world, its functions, and the events on their way.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The world.
    pub world: World,
    /// Events not yet delivered.
    pub queue: VecDeque<Event>,
    /// Outcomes of passes, also of those that a fault ended.
    pub outcomes: Vec<Outcome>,
    /// Faults of passes: their events came again, or the sweep went on without them.
    pub faults: Vec<Fault>,
}

/// A run that is not quiet after so many rounds never will be.
const ROUNDS_MAX: usize = 200;

/// The world's own time, in which nobody waits.
impl Clock for World {
    fn now(&self) -> Timestamp {
        World::now(self)
    }

    async fn back_off(&self, _: usize) {}
}

/// The function that an upload's event goes to.
fn function_of(key: &str) -> Function {
    match key::read(key) {
        Reading::Request(upload) => upload.verb.spec().function,
        Reading::Refused { .. } | Reading::LooksLike { .. } | Reading::NotARequest => Function::Watch,
    }
}

/// What an invocation has reported.
#[derive(Default)]
struct InvocationReports {
    outcomes: Vec<Outcome>,
    faults: Vec<Fault>,
}

/// One invocation of a function.
struct OneFunction<'w> {
    world: &'w World,
    settings: Settings,
    reports: Mutex<InvocationReports>,
}

impl Environment for OneFunction<'_> {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn clock(&self) -> &impl Clock {
        self.world
    }

    fn world(&self, _: Scope<'_>) -> impl Observe + Execute + Send {
        self.world
    }

    fn report(&self, report: Report<'_>) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        match report {
            Report::Pass(_, outcome) => reports.outcomes.push(outcome.clone()),
            Report::Fault(_, fault) => reports.faults.push(fault.clone()),
            _ => {}
        }
    }

    /// Most worlds have no window, and nobody there asks for one.
    fn has_first_hour(&self) -> bool {
        self.world.state().store.get(Bucket::System, first_hour::KEY).is_some()
    }
}

/// The in-memory world answers at once: a future that waits is a bug in the test.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the world in memory never waits")
}

impl Cloud {
    /// A fresh deployment.
    pub fn new(settings: Settings) -> Self {
        Self { world: World::new(settings), queue: VecDeque::new(), outcomes: Vec::new(), faults: Vec::new() }
    }

    /// Gives a user a profile, without which there is no cluster.
    #[must_use]
    pub fn with_profile(self, user: &str) -> Self {
        let at = self.world.now();
        self.world.state().store.put(Bucket::Customizer, &format!("customizer/{user}/configure.d/user.sh"), b"#!/bin/sh\n", at);
        self
    }

    /// A user drops a file; S3 reports it.
    pub fn drop_file(&mut self, key: &str, bytes: &[u8]) {
        self.world.wait(1);
        let at = self.world.now();
        self.world.state().store.put(Bucket::User, key, bytes, at);
        self.queue.push_back(Event::Upload(key.to_owned()));
    }

    /// A node puts something into the system bucket; S3 reports it.
    pub fn put_report(&mut self, key: &str, bytes: &[u8]) {
        self.world.wait(1);
        let at = self.world.now();
        self.world.state().store.put(Bucket::System, key, bytes, at);
        self.queue.push_back(Event::Report(key.to_owned()));
    }

    /// The text of an object in the user bucket.
    pub fn text(&self, key: &str) -> Option<String> {
        self.world.state().store.text(Bucket::User, key)
    }

    /// What a function has written at a key of the user bucket, if that is what is there.
    fn written(&self, key: &str) -> Option<Arc<Written>> {
        self.world.state().store.get(Bucket::User, key)?.written.clone()
    }

    /// The answer at a key, as the value whose text it is.
    pub fn message(&self, key: &str) -> Option<Message> {
        match &*self.written(key)? {
            Written::Answer(message) => Some(message.clone()),
            Written::Status(_) => None,
        }
    }

    /// The sentence of the status file at a key.
    pub fn state_text(&self, key: &str) -> Option<StateText> {
        match &*self.written(key)? {
            Written::Status(text) => Some(text.clone()),
            Written::Answer(_) => None,
        }
    }

    /// The keys in the user bucket.
    pub fn keys(&self) -> Vec<String> {
        self.world.state().store.list(Bucket::User, "").map(|(key, _)| key.clone()).collect()
    }

    /// Delivers one event to the function that it is for.
    pub fn deliver(&mut self, event: &Event) -> Result<(), Fault> {
        let (function, wake) = match event {
            Event::Upload(key) => (function_of(key), Wake::Upload(key.clone())),
            Event::Stack(id) => (Function::Watch, Wake::Stack(id.clone())),
            Event::Report(key) => (Function::Watch, Wake::Report(key.clone())),
            Event::Sweep => (Function::Watch, Wake::Sweep),
        };
        let function =
            OneFunction { world: &self.world, settings: Settings { function, ..self.world.settings.clone() }, reports: Mutex::default() };
        let done = now(reconcile::wake(&function, &wake));
        let InvocationReports { outcomes, faults } = function.reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.outcomes.extend(outcomes);
        self.faults.extend(faults);
        done
    }

    /// Delivers what is queued; what fails comes again a minute later, as Lambda does it.
    pub fn drain(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let Some(event) = self.queue.pop_front() else { return };
            if let Err(fault) = self.deliver(&event) {
                self.faults.push(fault);
                self.world.wait(60);
                self.queue.push_back(event);
            }
        }
        panic!("events came again for ever: {:?}", self.faults);
    }

    /// Lets stacks move one step, and CloudFormation report it.
    pub fn step(&mut self) -> bool {
        self.world.wait(30);
        let login = self.world.settings.template.metadata.login_output.clone();
        let moved = {
            let mut state = self.world.state();
            let at = state.now;
            state.stacks.step(&login, at)
        };
        self.queue.extend(moved.iter().cloned().map(Event::Stack));
        !moved.is_empty()
    }

    /// Runs until nothing moves any more: events, stacks, and sweeps five minutes apart.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            self.drain();
            if self.step() {
                quiet = 0;
                continue;
            }
            self.world.wait(300);
            let before = self.world.state().effects.len();
            self.queue.push_back(Event::Sweep);
            self.drain();
            quiet = if self.world.state().effects.len() == before { quiet + 1 } else { 0 };
            // Two quiet sweeps: one may only have waited for a time to pass.
            if quiet == 2 {
                return;
            }
        }
        panic!("the world does not come to rest");
    }
}
