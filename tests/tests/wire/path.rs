//! Four paths through a cluster's life, driven by the events that Lambda would get: first undisturbed, then spoiled.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result, bail};
use cf_aws::Aws;
use cf_aws::handle::handle;
use cf_aws::reports::Deadline;
use cf_core::key::Answer;
use cf_core::names::{Cluster, ClusterName, User};
use cf_core::node_report::ReportKey;
use cf_core::settings::Function;
use cf_core::status::Status;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::bare::Account;
use crate::layer::Wire;
use crate::world::World;

/// What happens to the cluster `demo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// It is asked for, and becomes ready.
    Create,
    /// It is asked for, and cannot be made; what was made of it is cleared away.
    Failure,
    /// It stands, and is deleted.
    Delete,
    /// It stands, and its login node reports.
    Report,
}

impl Path {
    /// Whose it is. The emulator fails stacks by their name, and the name holds the user.
    pub const fn user(self) -> &'static str {
        match self {
            Self::Create => "carl",
            Self::Failure => "fay",
            Self::Delete => "dee",
            Self::Report => "rae",
        }
    }

    /// The one final answer.
    pub const fn answer(self) -> Answer {
        match self {
            Self::Create | Self::Report => Answer::Created,
            Self::Failure => Answer::Failed,
            Self::Delete => Answer::Deleted,
        }
    }

    fn key(self, suffix: &str) -> String {
        format!("home/{}/demo.{suffix}", self.user())
    }
}

/// As many as the product's clients make.
pub const ATTEMPTS: u32 = 3;

/// Two mend everything; a third finds nothing to do.
const SWEEPS_MAX: usize = 3;

/// What wakes a function.
#[derive(Debug, Clone)]
enum Event {
    Upload(String),
    Stack(String, String),
    Report(String),
    Sweep,
}

impl Event {
    /// As AWS would send it: the samples in `events/`, with this event's own names.
    fn json(&self, account: &Account) -> Result<Value> {
        Ok(match self {
            Self::Upload(key) => {
                let mut event: Value = serde_json::from_str(include_str!("../../../events/object-created-create.json"))?;
                event["detail"]["bucket"]["name"] = json!(account.settings.user_bucket);
                event["detail"]["object"]["key"] = json!(key);
                event
            }
            Self::Stack(id, status) => {
                let mut event: Value = serde_json::from_str(include_str!("../../../events/stack-create-complete.json"))?;
                event["resources"] = json!([id]);
                event["detail"]["stack-id"] = json!(id);
                event["detail"]["status-details"]["status"] = json!(status);
                event
            }
            Self::Report(key) => json!({"Records": [{
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": account.settings.system_bucket}, "object": {"key": key}},
            }]}),
            Self::Sweep => serde_json::from_str(include_str!("../../../events/sweep.json"))?,
        })
    }
}

/// The three functions.
struct Hands {
    create: Aws,
    delete: Aws,
    watch: Aws,
}

impl Hands {
    async fn on(account: &Account, wire: &Wire, attempts: u32) -> Self {
        let functions = [Function::Create, Function::Delete, Function::Watch];
        let [create, delete, watch] = account.aws(functions, &wire.way(attempts)).await;
        Self { create, delete, watch }
    }

    /// The function that template.yaml's rules send the event to.
    fn of(&self, event: &Event) -> &Aws {
        match event {
            Event::Upload(key) if key.ends_with(".cf-create") => &self.create,
            Event::Upload(_) => &self.delete,
            Event::Stack(..) | Event::Report(_) | Event::Sweep => &self.watch,
        }
    }
}

/// How a run went.
#[derive(Debug)]
pub struct Run {
    /// What there is in the end.
    pub world: World,
    /// Whether a sweep had anything left to do.
    pub was_swept: bool,
    /// Passes that gave their event back.
    pub errors: Vec<String>,
}

/// One run of a path in an account of its own.
pub struct Runner<'a> {
    path: Path,
    account: &'a Account,
    wire: &'a Wire,
    spoiled: Hands,
    /// What the undisturbed functions call.
    calls: Wire,
    calm: Hands,
    queue: VecDeque<Event>,
    /// The status that each stack's last event told.
    told: BTreeMap<String, String>,
    errors: Vec<String>,
}

impl<'a> Runner<'a> {
    /// With the path's beginning in place: the user has a profile, and, where it is to be deleted, the cluster stands.
    pub async fn new(path: Path, account: &'a Account, wire: &'a Wire, attempts: u32) -> Result<Self> {
        account.give_profile(path.user()).await?;
        let calls = Wire::new(account.way.http.clone(), &account.id, None);
        let calm = Hands::on(account, &calls, ATTEMPTS).await;
        let spoiled = Hands::on(account, wire, attempts).await;
        let (queue, told) = (VecDeque::new(), BTreeMap::new());
        let mut runner = Self { path, account, wire, spoiled, calls, calm, queue, told, errors: Vec::new() };
        if matches!(path, Path::Delete | Path::Report) {
            runner.drop_file("cf-create", b"{}").await?;
            runner.until_quiet(false).await?;
        }
        Ok(runner)
    }

    /// Runs the path to its end, then sweeps twice over what is left.
    pub async fn run(mut self) -> Result<Run> {
        match self.path {
            Path::Create | Path::Failure => self.drop_file("cf-create", b"{}").await?,
            Path::Delete => self.drop_file("cf-delete", b"").await?,
            Path::Report => self.report().await?,
        }
        self.until_quiet(true).await?;
        let mut was_swept = false;
        for _ in 0..SWEEPS_MAX {
            let writes = self.calls.writes();
            self.queue.push_back(Event::Sweep);
            self.until_quiet(false).await?;
            if self.calls.writes() == writes {
                let world = World::of(self.account, self.path).await?;
                return Ok(Run { world, was_swept, errors: self.errors });
            }
            was_swept = true;
        }
        bail!("the world does not come to rest in {SWEEPS_MAX} sweeps")
    }

    async fn drop_file(&mut self, suffix: &str, bytes: &[u8]) -> Result<()> {
        let key = self.path.key(suffix);
        self.account.put(&self.account.settings.user_bucket, &key, bytes).await?;
        self.queue.push_back(Event::Upload(key));
        Ok(())
    }

    /// The login node reports, long after the status file was written last.
    async fn report(&mut self) -> Result<()> {
        let (bucket, key) = (&self.account.settings.user_bucket, self.path.key("cf-status"));
        let files = self.account.objects(bucket, &key).await?;
        let text = files.into_iter().find(|(at, _)| *at == key).context("there is a status file")?.1;
        let mut status: Status = serde_json::from_str(&text)?;
        status.updated -= SignedDuration::from_hours(1);
        self.account.put(bucket, &key, status.text().as_bytes()).await?;
        let cluster = Cluster { user: User::parse(self.path.user())?, name: ClusterName::parse("demo")? };
        let report = ReportKey { cluster, request: status.request, node: "login1".into() };
        let bytes = br#"{"state": "ready", "updated": "2026-11-21T09:00:00Z"}"#;
        self.account.put(&self.account.settings.system_bucket, &report.key(), bytes).await?;
        self.queue.push_back(Event::Report(report.key()));
        Ok(())
    }

    /// Delivers events until there are none, and stacks tell nothing new.
    async fn until_quiet(&mut self, spoil: bool) -> Result<()> {
        loop {
            while let Some(event) = self.queue.pop_front() {
                self.deliver(&event, spoil).await.with_context(|| format!("{event:?}, delivered again after {:?}", self.errors))?;
            }
            for (id, status) in self.account.settled().await? {
                if self.told.insert(id.clone(), status.clone()).as_ref() != Some(&status) {
                    self.queue.push_back(Event::Stack(id, status));
                }
            }
            if self.queue.is_empty() {
                return Ok(());
            }
        }
    }

    /// One delivery; where it fails, a second one without faults, which must not.
    async fn deliver(&mut self, event: &Event, spoil: bool) -> Result<()> {
        let json = event.json(self.account)?;
        if spoil {
            let done = Box::pin(handle(self.spoiled.of(event), &json, Deadline::default())).await;
            self.wire.pass_is_over();
            match done {
                Ok(_) => return Ok(()),
                Err(e) if self.wire.struck().is_empty() => bail!("failed unspoiled: {e}"),
                Err(e) => self.errors.push(e.to_string()),
            }
        }
        Box::pin(handle(self.calm.of(event), &json, Deadline::default())).await.map(drop).map_err(|e| anyhow::anyhow!("{e}"))
    }
}
