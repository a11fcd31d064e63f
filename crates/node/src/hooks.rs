//! Runs the scripts of a node: those of one event, all profiles, one script after another, one event at a time; and between events those
//! of the exchange, one at a time.
//!
//! A failed script is reported, and what runs after it is the profile's choice (`on-error`); a boot's scripts have a time in common.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Zoned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::event::{Event, Occasion};
use crate::instance_log::InstanceLog;
use crate::node::{Layout, Role};
use crate::profile::listing::Observed;
use crate::profile::settings::OnError;
use crate::profile::{EventPlan, ProfilePlan, shown};
use crate::run::{self, Bounds, Ended, Job, Outcome, Sink, Stream, Variable, variable};
use crate::script::{self, PrepareError};
use crate::turn::{self, Lent, Turn};

/// How long all scripts of a boot may take: CloudFormation waits for 30 minutes, and the node's signal must come before that.
pub const BOOT_LIMIT: Duration = Duration::from_mins(24);

/// The most problems of a report.
pub const PROBLEMS_MAX: usize = 20;

/// What scripts are told about their node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its role.
    pub role: Role,
    /// The cluster's name.
    pub cluster: String,
    /// Whether it was never configured before this boot.
    pub first_boot: bool,
}

/// Hears what an event does, as it happens.
pub trait Listener: Send + Sync {
    /// A line of ours. `word`: the event, or the phase of an exchange.
    fn note(&self, word: &str, text: &str);
    /// A line that a script (`profile/script`) printed.
    fn line(&self, word: &str, script: &str, stream: Stream, text: &str);
}

/// Writes what it hears into the node's log, each line with the time at which it came.
pub struct LogListener<Clock> {
    /// The log.
    pub log: InstanceLog,
    /// What time it is.
    pub clock: Clock,
}

impl<Clock: Fn() -> Zoned + Send + Sync> Listener for LogListener<Clock> {
    fn note(&self, word: &str, text: &str) {
        self.log.line(&(self.clock)(), word, text);
    }

    fn line(&self, word: &str, _script: &str, _stream: Stream, text: &str) {
        self.log.line(&(self.clock)(), word, text);
    }
}

/// What came of an event. Plain data, for the node's state and the news that it writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventReport {
    /// The event.
    pub event: Event,
    /// Its scripts, in order.
    pub scripts: Vec<ScriptReport>,
    /// What else the user ought to know, at most [`PROBLEMS_MAX`] and one that counts the rest.
    pub problems: Vec<String>,
    /// Whether a script failed whose profile says `fail-the-node`.
    pub node_failed: bool,
}

impl EventReport {
    /// The scripts that failed, or were not run.
    pub fn failures(&self) -> impl Iterator<Item = &ScriptReport> {
        self.scripts.iter().filter(|script| !script.outcome.is_success())
    }
}

/// What came of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptReport {
    /// Its profile, safe to print.
    pub profile: String,
    /// Its name, safe to print.
    pub script: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// What was changed in its file before it ran.
    pub notes: Vec<String>,
    /// The last lines of one that failed.
    pub last_lines: Vec<String>,
}

/// Runs the events of a node.
pub struct Hooks {
    layout: Layout,
    listener: Arc<dyn Listener>,
    bounds: Bounds,
    /// The home of who runs the scripts.
    home: PathBuf,
    /// Who holds it runs an event. The others wait in the order in which they came.
    turn: Mutex<()>,
}

/// One script that is run, and how.
#[derive(Debug)]
pub struct Call<'a> {
    /// What its lines in the log are about: the event, or the phase of an exchange.
    pub word: &'a str,
    /// `profile/script`, safe to print.
    pub label: String,
    /// The file. It lies in a folder of its profile's, and runs in the profile's.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its variables beside those that every script has.
    pub environment: Vec<Variable>,
    /// How long it may run.
    pub limit: Duration,
}

/// What every script of a profile finds in its environment of who runs it, beside [`run::run`]'s own and `HOME`.
pub fn variables(word: &str, profile: &OsStr, role: Role, cluster: &str) -> Vec<Variable> {
    vec![
        variable("CUSTOMIZER_EVENT", word),
        variable("CUSTOMIZER_PROFILE", profile),
        variable("CUSTOMIZER_ROLE", role.to_string()),
        variable("CUSTOMIZER_CLUSTER", cluster),
    ]
}

/// One event on its way.
struct Pass<'a> {
    hooks: &'a Hooks,
    facts: &'a Facts,
    event: Event,
    arguments: Vec<String>,
    deadline: Option<Instant>,
    turn: Option<&'a Turn>,
    report: EventReport,
}

impl Hooks {
    /// The hooks of the node whose files lie there.
    pub fn new(layout: Layout, listener: Arc<dyn Listener>) -> Self {
        Self { layout, listener, bounds: Bounds::default(), home: "/root".into(), turn: Mutex::new(()) }
    }

    /// The same with other bounds, and another home.
    #[must_use]
    pub fn with(self, bounds: Bounds, home: PathBuf) -> Self {
        Self { bounds, home, ..self }
    }

    /// What an event would run now.
    pub fn plan(&self, event: Event, first_boot: bool) -> EventPlan {
        EventPlan::decide(event, Observed::read(&self.layout.profiles(), event), first_boot)
    }

    /// Runs all scripts of an event, after those of the events before it. `deadline`: when a boot's scripts have no time left.
    pub async fn run(&self, occasion: &Occasion<'_>, facts: &Facts, deadline: Option<Instant>) -> EventReport {
        self.run_of(None, occasion, facts, deadline).await
    }

    /// The same of one profile alone, where one is named.
    pub async fn run_of(&self, profile: Option<&str>, occasion: &Occasion<'_>, facts: &Facts, deadline: Option<Instant>) -> EventReport {
        let event = occasion.event();
        let (_turn, turn_of_node) = self.take_turn(event.word()).await;
        let mut plan = self.plan(event, facts.first_boot);
        if let Some(name) = profile {
            plan.profiles.retain(|profile| profile.folder.name == name);
        }
        self.announce(&plan);
        self.execute(plan, occasion, facts, deadline, turn_of_node.as_ref()).await
    }

    /// Runs a script of no event when its turn has come. Its time counts from now on.
    pub async fn run_alone(&self, call: Call<'_>) -> Ended {
        let began = Instant::now();
        let Ok((_turn, turn_of_node)) = timeout(call.limit, self.take_turn(call.word)).await else {
            let reason = "other scripts ran on this node until its time was over".to_owned();
            return Ended::without(Outcome::NotRun(reason));
        };
        let limit = call.limit.saturating_sub(began.elapsed());
        self.call(Call { limit, ..call }, turn_of_node.as_ref()).await.0
    }

    /// Waits until no other script runs on this node.
    async fn take_turn(&self, word: &str) -> (MutexGuard<'_, ()>, Option<Turn>) {
        let turn = self.turn.lock().await;
        // Commands run events in processes of their own.
        let turn_of_node = Turn::take(&self.layout, || self.listener.note(word, turn::WAITING)).await;
        // One that an agent or a command left running when it was killed: no two run at a time.
        run::notes::end_left_behind(&self.layout.runs()).await;
        (turn, turn_of_node.inspect_err(|error| self.listener.note(word, &error.to_string())).ok())
    }

    /// Prepares one script and runs it; also what was changed in its file.
    async fn call(&self, call: Call<'_>, turn: Option<&Turn>) -> (Ended, Vec<String>) {
        let Call { word, label, path, arguments, mut environment, limit } = call;
        let note = |text: &str| self.listener.note(word, &format!("script {label}{text}"));
        let prepared = std::path::absolute(&path).map_err(PrepareError::from).and_then(|path| Ok((script::prepare(&path)?, path)));
        let (ended, notes) = match prepared {
            Ok((prepared, path)) => {
                let notes: Vec<String> = prepared.notes.iter().map(ToString::to_string).collect();
                for text in &notes {
                    note(&format!(": {text}"));
                }
                note(&format!(" starts and has {} s", limit.as_secs()));
                let folder = path.ancestors().nth(2).unwrap_or(&path).to_owned();
                environment.push(variable("HOME", &self.home));
                let lent = turn.and_then(|turn| lent(turn, note));
                environment.extend(lent.as_ref().map(Lent::variable));
                let job = Job { script: path, starter: prepared.starter, arguments, folder, environment, limit, notes: self.layout.runs() };
                (run::run(&job, &self.bounds, self.sink(word, &label)).await, notes)
            }
            Err(error) => (Ended::without(Outcome::NotStarted(error.to_string())), Vec::new()),
        };
        note(&format!(" {}", ended.outcome));
        if ended.killed_outside > 0 {
            note(&format!(": {} of its background processes were killed with it", ended.killed_outside));
        }
        (ended, notes)
    }

    fn sink(&self, word: &str, label: &str) -> Sink {
        let (listener, word, label) = (Arc::clone(&self.listener), word.to_owned(), label.to_owned());
        Arc::new(move |stream, text| listener.line(&word, &label, stream, text))
    }

    /// Tells what a plan leaves out, and why.
    fn announce(&self, plan: &EventPlan) {
        let note = |text: &str| self.listener.note(plan.event.word(), text);
        for problem in &plan.problems {
            note(problem);
        }
        for profile in &plan.profiles {
            let name = shown(&profile.folder.name);
            if let Some(reason) = profile.left_out.filter(|_| !profile.scripts.is_empty()) {
                note(&format!("profile {name} is left out: {reason}"));
                continue;
            }
            for skipped in &profile.skipped {
                note(&format!("skipping {name}/{}: {}", shown(&skipped.name), skipped.reason));
            }
        }
        if plan.script_count() == 0 {
            note("no scripts");
        }
    }

    /// Carries out a plan of the occasion's event, in this turn. Only one may be on its way.
    pub(crate) async fn execute(
        &self,
        plan: EventPlan,
        occasion: &Occasion<'_>,
        facts: &Facts,
        deadline: Option<Instant>,
        turn: Option<&Turn>,
    ) -> EventReport {
        let event = occasion.event();
        let report = EventReport { event, scripts: Vec::new(), problems: bounded(plan.problems), node_failed: false };
        let arguments = occasion.arguments(facts.role, &facts.cluster);
        let mut pass = Pass { hooks: self, facts, event, arguments, deadline, turn, report };
        for profile in plan.profiles.iter().filter(|profile| profile.left_out.is_none()) {
            pass.profile(profile).await;
        }
        pass.report
    }
}

impl Pass<'_> {
    fn note(&self, text: &str) {
        self.hooks.listener.note(self.event.word(), text);
    }

    async fn profile(&mut self, plan: &ProfilePlan) {
        let profile = shown(&plan.folder.name);
        let mut stopped_by: Option<String> = None;
        for name in &plan.scripts {
            let script = shown(name);
            let report = match &stopped_by {
                Some(failed) => {
                    let reason = format!("{failed} failed, and on-error is \"{}\"", plan.settings.on_error);
                    self.not_run(&profile, &script, reason)
                }
                None => self.script(plan, &profile, name).await,
            };
            if stopped_by.is_none() && !report.outcome.is_success() && plan.settings.on_error != OnError::Continue {
                self.report.node_failed |= plan.settings.on_error == OnError::FailTheNode;
                stopped_by = Some(script);
            }
            self.report.scripts.push(report);
        }
    }

    /// Runs one script, or finds that no time is left for it.
    async fn script(&self, plan: &ProfilePlan, profile: &str, name: &OsStr) -> ScriptReport {
        let script = shown(name);
        let label = format!("{profile}/{script}");
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let Some(limit) = time_for(plan.settings.limit_seconds.duration(), left) else {
            return self.not_run(profile, &script, "no time is left: the scripts of a boot share theirs".to_owned());
        };
        let path = plan.folder.path.join(self.event.folder()).join(name);
        let environment = variables(self.event.word(), &plan.folder.name, self.facts.role, &self.facts.cluster);
        let call = Call { word: self.event.word(), label, path, arguments: self.arguments.clone(), environment, limit };
        let (ended, notes) = self.hooks.call(call, self.turn).await;
        let last_lines = if ended.outcome.is_success() { Vec::new() } else { ended.last_lines };
        let milliseconds = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
        ScriptReport { profile: profile.to_owned(), script, outcome: ended.outcome, milliseconds, notes, last_lines }
    }

    fn not_run(&self, profile: &str, script: &str, reason: String) -> ScriptReport {
        let outcome = Outcome::NotRun(reason);
        self.note(&format!("script {profile}/{script} {outcome}"));
        let (profile, script) = (profile.to_owned(), script.to_owned());
        ScriptReport { profile, script, outcome, milliseconds: 0, notes: Vec::new(), last_lines: Vec::new() }
    }
}

/// Lends the turn to a script. Without it the commands that the script calls wait for the script's own end.
fn lent(turn: &Turn, note: impl Fn(&str)) -> Option<Lent<'_>> {
    let cannot = |error: &io::Error| note(&format!(" cannot call cf-node customize, which would wait for its end: {error}"));
    turn.lend().inspect_err(cannot).ok()
}

/// The time that a script gets: its profile's limit, or what is left of the boot's. `None` where that is less than a second.
fn time_for(limit: Duration, left: Option<Duration>) -> Option<Duration> {
    let time = left.map_or(limit, |left| limit.min(left));
    (time >= Duration::from_secs(1)).then_some(time)
}

fn bounded(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        problems.push(format!("and {more} more problems, see the node's log"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_gets_its_limit_or_what_is_left_and_nothing_below_a_second() {
        let seconds = Duration::from_secs;
        assert_eq!(time_for(seconds(900), None), Some(seconds(900)));
        assert_eq!(time_for(seconds(900), Some(seconds(1_440))), Some(seconds(900)));
        assert_eq!(time_for(seconds(900), Some(seconds(7))), Some(seconds(7)));
        assert_eq!(time_for(seconds(900), Some(seconds(1))), Some(seconds(1)));
        assert_eq!(time_for(seconds(900), Some(Duration::from_millis(999))), None);
        assert_eq!(time_for(seconds(900), Some(Duration::ZERO)), None);
    }

    #[test]
    fn problems_are_bounded_and_the_rest_is_counted() {
        let problems = |count: usize| (0..count).map(|nth| nth.to_string()).collect::<Vec<_>>();
        assert_eq!(bounded(problems(PROBLEMS_MAX)).len(), PROBLEMS_MAX);
        assert_eq!(bounded(problems(25)).last().unwrap(), "and 5 more problems, see the node's log");
    }
}
