//! A node as all tasks of its agent have it: how it was started, what it remembers and reports, and what wakes the tasks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::Options;
use super::life::Life;
use super::world::World;
use crate::event::{Event, Occasion};
use crate::exchange::standing::Standing;
use crate::failures::{self, Entry};
use crate::hooks::{EventReport, Facts, Hooks};
use crate::host_name;
use crate::node::NodeName;
use crate::reporter::Reporter;
use crate::scaling::service::Shown;
use crate::settings::NodeSettings;

/// A node, for all tasks of its agent.
pub struct Node<W> {
    /// How the agent was started.
    pub options: Options,
    /// What the template names.
    pub settings: Arc<NodeSettings>,
    /// AWS and the system.
    pub world: W,
    /// Runs scripts.
    pub hooks: Arc<Hooks>,
    /// What the node reports.
    pub reporter: Reporter,
    /// Changes when there is a signal to give.
    pub signal: Notify,
    /// Changes when the boot was concluded.
    pub concluded: Notify,
    /// Whether the scripts of `configure` have ended in this boot: member scripts wait for it.
    pub configured: watch::Sender<bool>,
    /// Whether Slurm was started in this agent's time.
    pub scheduler: watch::Sender<bool>,
    /// How the exchange stands, on the login node.
    pub exchange: watch::Sender<Standing>,
    /// What the user is shown of Slurm, on the login node.
    pub slurm: watch::Sender<Shown>,
    /// When the boot's scripts have no time left; `None` until its time has begun.
    deadline: Mutex<Option<Instant>>,
    life: Mutex<Life>,
}

impl<W: World> Node<W> {
    /// A node whose boot is yet to run.
    pub fn new(options: Options, settings: NodeSettings, world: W, hooks: Hooks, reporter: Reporter, life: Life) -> Self {
        let configured = watch::Sender::new(life.boot.ran.contains(&Event::Configure));
        let (settings, hooks, exchange) = (Arc::new(settings), Arc::new(hooks), watch::Sender::default());
        let (slurm, scheduler) = (watch::Sender::default(), watch::Sender::new(false));
        let (signal, concluded, deadline, life) = (Notify::new(), Notify::new(), Mutex::new(None), Mutex::new(life));
        Self { options, settings, world, hooks, reporter, signal, concluded, configured, scheduler, exchange, slurm, deadline, life }
    }

    /// What is remembered of it.
    pub fn life(&self) -> Life {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is remembered, and writes it down. Where the disk does not take it, the agent goes on with what it knows, and the
    /// next change is written with this one.
    pub fn remember(&self, change: impl FnOnce(&mut Life)) {
        const TEXT: &str = "the node's disk takes no state, so events may run again after a restart of its agent; is it full?";
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut life);
        match life.save(&self.options.layout) {
            Ok(()) => self.reporter.change(|contents| contents.solved(TEXT)),
            Err(error) => {
                tracing::error!("{error}");
                self.reporter.problem(TEXT);
            }
        }
    }

    /// When scripts that are run now have no time left: those of members share the boot's time until it is over, for its later events
    /// wait for them. `None`: each has its own limit only.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = *self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.filter(|_| !self.life().boot.is_over())
    }

    /// Notes until when the boot's scripts have time.
    pub(super) fn set_deadline(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// Runs an event's scripts, and takes up what failed.
    pub async fn run(&self, occasion: &Occasion<'_>, deadline: Option<Instant>) -> EventReport {
        let first_boot = self.life().boot.first;
        let facts = Facts { role: self.settings.role, cluster: self.settings.cluster.clone(), first_boot };
        let report = self.hooks.run(occasion, &facts, deadline).await;
        self.record(&report);
        report
    }

    /// Takes up how the exchange stands.
    pub fn take_standing(&self, standing: Standing) {
        self.reporter.change(|contents| contents.exchange.clone_from(&standing.failed));
        self.exchange.send_replace(standing);
    }

    /// Gives the machine its name in the cluster. One that cannot be given is reported, and the node goes on under its name.
    pub fn name_host(&self, name: NodeName) {
        match host_name::set(&self.options.layout, name) {
            Ok(true) => tracing::info!(%name, "the host name is set"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!("{error}");
                self.reporter.problem(&error.to_string());
            }
        }
    }

    /// Takes up what failed.
    pub fn record(&self, report: &EventReport) {
        if !report.scripts.is_empty() {
            if let Err(error) = failures::append(&self.options.layout, report) {
                tracing::warn!(%error, "the journal of failed scripts cannot be written; this agent's report has them all the same");
            }
            self.reporter.change(|contents| contents.failures.record(&Entry::from(report)));
        }
        for problem in &report.problems {
            self.reporter.problem(problem);
        }
    }
}
