//! Carries out what [`super::decide`] decides: one step of a boot after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cf_core::node_report::{FailureCode, NodeState};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout, timeout_at};

use super::decide::{Action, Exchange, Reached, Snapshot, Verdict, decide};
use super::life::{LastAnswer, Signal};
use super::node::Node;
use super::seek::{Found, Obstacle, Progress, Search};
use super::world::World;
use crate::event::{Event, Occasion};
use crate::exchange::standing::Readiness;
use crate::hooks::EventReport;
use crate::node::Role;
use crate::profile::listing::Observed;
use crate::profile::settings::OnError;
use crate::profile::{EventPlan, shown};

/// A boot on its way.
pub struct Boot<W> {
    node: Arc<Node<W>>,
    search: Search,
    found: Option<Found>,
    /// Gets what was found.
    services: mpsc::Sender<Found>,
    obstacle: Option<Obstacle>,
    sought: Duration,
    pause: Duration,
    key: Option<bool>,
    /// Whether steps that are part of being ready have not ended within the boot's time.
    exchange_late: bool,
    /// When scripts have no time left.
    deadline: Instant,
}

impl<W: World> Boot<W> {
    /// The boot of a node. `began`: when the machine's boot began; `services` gets the configuration.
    pub fn new(node: Arc<Node<W>>, search: Search, began: Instant, services: mpsc::Sender<Found>) -> Self {
        let timing = &node.options.timing;
        let (deadline, pause) = (began + timing.boot_limit, timing.retry.0);
        node.set_deadline(deadline);
        let (found, obstacle, sought) = (None, None, Duration::ZERO);
        Self { node, search, found, services, obstacle, sought, pause, key: None, exchange_late: false, deadline }
    }

    /// Takes one step after the other until the boot is over. Where no configuration comes, it never is.
    pub async fn run(mut self) {
        loop {
            let action = decide(&self.snapshot());
            if !matches!(action, Action::Seek(_) | Action::StartScheduler(_)) {
                tracing::info!("boot: {action}");
            }
            match action {
                Action::Run(event) => self.run_event(event).await,
                Action::Seek(within) => self.seek(within).await,
                Action::StartScheduler(within) => self.start_scheduler(within).await,
                Action::AwaitExchange => self.await_exchange().await,
                Action::CheckKey => self.key = Some(self.has_key().await),
                Action::Conclude(verdict) => self.conclude(verdict),
                Action::Serve => return,
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let life = self.node.life();
        let profiles = self.node.options.layout.profiles();
        let has_scripts = self.search.has_fetched() || !Observed::read(&profiles, Event::Initialize).profiles.is_empty();
        let reached = match &self.found {
            Some(_) => Reached::Configuration,
            None if has_scripts => Reached::Scripts,
            None => Reached::Nothing,
        };
        Snapshot {
            role: self.node.settings.role,
            first_boot: life.boot.first,
            crashes: life.boot.recent_crashes(),
            reached,
            obstacle: self.obstacle.as_ref().map(|obstacle| obstacle.code),
            sought: self.sought,
            fail_after: self.node.options.timing.fail_after,
            ran: life.boot.ran,
            script_failed: life.boot.failed_by.is_some(),
            own_scripts: life.boot.own_scripts,
            exchange: self.exchange(),
            has_scheduler: self.node.settings.scheduler.is_none() || *self.node.scheduler.borrow(),
            key: self.key,
            concluded: life.boot.concluded,
        }
    }

    fn exchange(&self) -> Exchange {
        match self.node.exchange.borrow().readiness {
            Readiness::Settled => Exchange::Settled,
            Readiness::Pending if self.exchange_late => Exchange::Failed,
            Readiness::Pending => Exchange::Pending,
            Readiness::Failed(_) => Exchange::Failed,
        }
    }

    async fn await_exchange(&mut self) {
        let mut standing = self.node.exchange.subscribe();
        let ended = standing.wait_for(|standing| standing.readiness != Readiness::Pending);
        self.exchange_late = timeout_at(self.deadline.into(), ended).await.is_err();
    }

    /// What keeps the node from being ready, where it is no script.
    fn obstacle(&self, verdict: Verdict) -> Option<Obstacle> {
        if verdict != Verdict::Failed(FailureCode::ExchangeFailed) {
            return self.obstacle.clone();
        }
        let text = match &self.node.exchange.borrow().readiness {
            Readiness::Failed(sentence) => sentence.clone(),
            _ => "the steps of the exchange had not ended when the time of the boot's scripts was over".to_owned(),
        };
        Some(Obstacle { code: FailureCode::ExchangeFailed, text })
    }

    async fn run_event(&mut self, event: Event) {
        let first_boot = self.node.life().boot.first;
        let occasion = if event == Event::Initialize { Occasion::Initialize { first_boot } } else { Occasion::Stage(event) };
        let deadline = match self.node.settings.role {
            // CloudFormation waits for the login node alone, from its machine's start on.
            Role::Master => self.deadline,
            // A compute node's time counts from the arrival of its configuration.
            Role::Slave if self.found.is_some() => self.deadline,
            Role::Slave => Instant::now() + self.node.options.timing.boot_limit,
        };
        let report = self.node.run(&occasion, Some(deadline)).await;
        let own = shown(self.node.settings.profile.as_ref());
        // A node without configuration fails with that.
        let failed_by = if event == Event::Fail { None } else { failed_by(&report, &self.node.hooks.plan(event, first_boot)) };
        self.node.remember(|life| {
            life.boot.ran.insert(event);
            life.boot.failed_by = life.boot.failed_by.take().or(failed_by);
            if event == Event::Configure {
                life.configured = true;
                life.boot.own_scripts = report.scripts.iter().filter(|script| script.profile == own).count();
            }
        });
        if event == Event::Configure {
            self.node.configured.send_replace(true);
        }
    }

    /// Seeks the next part of the configuration; where it is not there, waits a moment.
    async fn seek(&mut self, within: Option<Duration>) {
        let node = Arc::clone(&self.node);
        let began = Instant::now();
        // What the system's programs leave behind when they are ended halfway is no part of a node.
        let limit = if self.search.changes_system(&node.settings) { None } else { within };
        let step = self.search.step(&node.world, &node.settings, &node.options);
        let progress = timeout(limit.unwrap_or(Duration::MAX), step).await;
        if matches!(progress, Ok(Progress::Refused(_) | Progress::Unwanted(_))) && node.life().given.is_some() {
            node.remember(|life| life.given = None);
            node.reporter.forget_name();
        }
        match progress {
            Ok(Progress::Found(found)) => self.take(*found).await,
            Ok(Progress::Step(problems)) => {
                (self.pause, self.obstacle) = (node.options.timing.retry.0, None);
                for problem in &problems {
                    tracing::warn!("{problem}");
                    node.reporter.problem(problem);
                }
                self.introduce();
            }
            Ok(Progress::Unwanted(obstacle)) => {
                self.is_unwanted(obstacle);
                std::future::pending::<()>().await;
            }
            Ok(Progress::Blocked(obstacle) | Progress::Refused(obstacle)) => {
                self.try_again_after(obstacle, within.map(|within| within.saturating_sub(began.elapsed()))).await;
            }
            Err(_) => {
                let text = "the part of the configuration that is sought did not come in time".to_owned();
                tracing::warn!("{text}");
                self.obstacle.get_or_insert(Obstacle { code: FailureCode::NoConfiguration, text });
            }
        }
        self.sought += began.elapsed();
    }

    /// The refusal is final: the machine reports it at once, under its id, asks no more, and waits for its end.
    fn is_unwanted(&mut self, obstacle: Obstacle) {
        tracing::warn!("{}", obstacle.text);
        let node = &self.node;
        node.reporter.name_by_instance();
        node.reporter.change_now(|contents| {
            contents.state = NodeState::Leaving;
            contents.problem(&obstacle.text);
        });
        self.obstacle = Some(obstacle);
    }

    /// Waits a moment, longer each time; `left`: how much time there is.
    async fn try_again_after(&mut self, obstacle: Obstacle, left: Option<Duration>) {
        if self.obstacle.as_ref() != Some(&obstacle) {
            tracing::warn!("{}; it is tried again", obstacle.text);
        }
        self.obstacle = Some(obstacle);
        sleep(left.map_or(self.pause, |left| self.pause.min(left))).await;
        self.pause = self.node.options.timing.retry.1.min(self.pause.saturating_mul(2));
    }

    /// Starts Slurm. What is begun is ended where its time is over: another try finds out how far it came.
    async fn start_scheduler(&mut self, within: Option<Duration>) {
        let Some(found) = self.found.clone() else { return };
        let began = Instant::now();
        let started = timeout(within.unwrap_or(Duration::MAX), self.node.world.start_scheduler(&found)).await;
        let obstacle = |text| Obstacle { code: FailureCode::SchedulerFailed, text };
        match started {
            Ok(Ok(problems)) => {
                tracing::info!("boot: Slurm runs, {} ms later", began.elapsed().as_millis());
                (self.pause, self.obstacle) = (self.node.options.timing.retry.0, None);
                for problem in &problems {
                    tracing::warn!("{problem}");
                    self.node.reporter.problem(problem);
                }
                self.node.scheduler.send_replace(true);
            }
            Ok(Err(text)) => {
                let left = within.map(|within| within.saturating_sub(began.elapsed()));
                self.try_again_after(obstacle(text), left).await;
            }
            Err(_) => _ = self.obstacle.get_or_insert_with(|| obstacle("Slurm did not answer in time".to_owned())),
        }
        self.sought += began.elapsed();
    }

    /// The node reports as the machine that it is.
    fn introduce(&self) {
        let Some(identity) = self.search.identity() else { return };
        self.node.reporter.change_now(|contents| {
            identity.instance.clone_into(&mut contents.instance);
            contents.address = Some(identity.address);
        });
        let life = self.node.life();
        if life.instance != identity.instance || life.address != Some(identity.address) {
            self.node.remember(|life| {
                identity.instance.clone_into(&mut life.instance);
                life.address = Some(identity.address);
            });
        }
    }

    async fn take(&mut self, found: Found) {
        tracing::info!(node = %found.given.name, login = %found.login, "the configuration is there");
        self.introduce();
        if self.node.settings.role == Role::Slave {
            self.deadline = Instant::now() + self.node.options.timing.boot_limit;
            self.node.set_deadline(self.deadline);
            let last = LastAnswer { given: found.given.clone(), login: found.login };
            if self.node.life().given.as_ref() != Some(&last) {
                self.node.remember(|life| life.given = Some(last));
            }
        }
        if self.node.settings.role == Role::Slave {
            self.node.name_host(found.given.name);
        }
        self.node.reporter.name(found.given.name);
        // What was concluded about a boot that is over stays, also where its agent was started again.
        let life = self.node.life();
        if !life.boot.is_over() {
            let failure = life.signalled_failure();
            self.node.reporter.change_now(|contents| (contents.state, contents.failure) = (NodeState::Configuring, failure));
        }
        self.found = Some(found.clone());
        // Slurm has a time of its own.
        (self.obstacle, self.sought, self.pause) = (None, Duration::ZERO, self.node.options.timing.retry.0);
        // Only a daemon that ends does not take it.
        let _ = self.services.send(found).await;
    }

    async fn has_key(&self) -> bool {
        match &self.found {
            Some(found) => self.node.world.has_usable_key(&found.account).await,
            None => false,
        }
    }

    fn conclude(&self, verdict: Verdict) {
        let life = self.node.life();
        let failure = failure(verdict, self.obstacle(verdict).as_ref(), life.boot.failed_by.as_deref());
        if let Some((_, sentence)) = &failure {
            tracing::error!("the node failed: {sentence}");
        }
        self.node.remember(|life| {
            life.boot.concluded = Some(verdict);
            if !self.node.settings.resource.is_empty() && life.signal.is_none() {
                let text = failure.as_ref().map_or("", |(_, sentence)| sentence);
                life.signal = Some(Signal::owed(verdict, text, &life.boot.id));
            }
        });
        let failure = self.node.life().signalled_failure().or(failure);
        let state = if verdict == Verdict::Ready { NodeState::Ready } else { NodeState::Failed };
        if verdict != Verdict::Ready {
            self.node.reporter.name_by_instance();
        }
        let host_keys = self.node.world.host_keys();
        self.node.reporter.change_now(|contents| {
            (contents.state, contents.failure, contents.host_keys) = (state, failure, host_keys);
        });
        self.node.signal.notify_one();
        self.node.concluded.notify_one();
    }
}

/// The script that failed the node, and how it ended. `plan` shows whose scripts may.
fn failed_by(report: &EventReport, plan: &EventPlan) -> Option<String> {
    let fails_the_node = |profile: &str| {
        plan.profiles.iter().any(|plan| shown(&plan.folder.name) == profile && plan.settings.on_error == OnError::FailTheNode)
    };
    let mut failures = report.failures().filter(|_| report.node_failed);
    let script = failures.find(|script| fails_the_node(&script.profile))?;
    Some(format!("{}/{} of {} {}", script.profile, script.script, report.event, script.outcome))
}

/// Why a node failed, in a sentence.
pub fn failure(verdict: Verdict, obstacle: Option<&Obstacle>, failed_by: Option<&str>) -> Option<(FailureCode, String)> {
    let Verdict::Failed(code) = verdict else { return None };
    let sentence = match code {
        FailureCode::ScriptFailed => {
            format!(
                "the script {}, and its profile says that the node fails with it",
                failed_by.unwrap_or("that configures the node failed")
            )
        }
        FailureCode::NoUsableSshKey => "no script wrote a public key with which the user can log in, to ~/.ssh/authorized_keys".to_owned(),
        FailureCode::ProfileHasNoScripts => "the user's own profile has no script in configure.d that could be run".to_owned(),
        FailureCode::ExchangeFailed => {
            obstacle.map_or_else(|| "a step of the exchange failed".to_owned(), |obstacle| obstacle.text.clone())
        }
        FailureCode::AgentFailed => "the node's agent ended unexpectedly again and again, and runs no further scripts".to_owned(),
        _ => obstacle.map_or_else(|| "no configuration came".to_owned(), |obstacle| obstacle.text.clone()),
    };
    Some((code, sentence))
}
