//! How an event travels: EventBridge, Lambda's own retries, the failure queues, and what waits there for a person.

use cf_core::fault::Fault;
use cf_core::key::{self, Reading};
use cf_core::names::Cluster;
use cf_core::observe::{self, Subject};
use cf_core::perform::{Clock, Outcome, pass, pass_look_alike, pass_stray};
use cf_core::stack::{Stack, StackId};
use cf_core::sweep;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::dice::{named, under};
use super::hands::Hands;
use super::stage::{Function, Stage};

/// What a function is woken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// An object was created at this key.
    Upload(String),
    /// A stack, or a resource of it, changed its status.
    Stack(StackId),
    /// The clock.
    Sweep,
}

/// Where an event waits for its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Lambda's own, of asynchronous invocations.
    Lambda,
    /// The queue that gathers progress.
    Progress,
    /// What failed three times.
    Failures,
    /// What failed there four times more.
    Late,
}

/// An event on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it tells.
    pub work: Work,
    /// To which function.
    pub to: Function,
    /// Where it waits.
    pub queue: Queue,
    /// How often it was tried from there.
    pub tries: u64,
    /// What tells its dice apart from all others'.
    pub key: u64,
}

const MINUTE: i64 = 60_000;

impl Delivery {
    /// The next attempt after a failed one, and after how many milliseconds; `None` once it is parked. By template.yaml: two
    /// more attempts by Lambda, then four by cf-watch three minutes apart, then twelve an hour apart.
    pub fn again(mut self) -> Option<(i64, Self)> {
        self.tries += 1;
        self.key = under(self.key, self.tries);
        let (wait, queue) = match (self.queue, self.tries) {
            (Queue::Lambda, 1) => (MINUTE, Queue::Lambda),
            (Queue::Lambda, 2) => (2 * MINUTE, Queue::Lambda),
            (Queue::Lambda, _) => (MINUTE, Queue::Failures),
            (Queue::Progress, ..5) => (12 * MINUTE, Queue::Progress),
            (Queue::Failures, ..4) => (3 * MINUTE, Queue::Failures),
            (Queue::Failures, _) => (3 * MINUTE, Queue::Late),
            (Queue::Late, ..12) => (60 * MINUTE, Queue::Late),
            (Queue::Progress | Queue::Late, _) => return None,
        };
        if queue != self.queue {
            self.tries = 0;
            self.to = Function::Watch;
        }
        self.queue = queue;
        Some((wait, self))
    }

    /// What it tells, for the story.
    pub fn told(&self) -> String {
        match &self.work {
            Work::Upload(key) => key.clone(),
            Work::Stack(id) => id.name().unwrap_or_default().to_owned(),
            Work::Sweep => "the sweep".into(),
        }
    }
}

/// Passes of one sweep that run side by side (cf-aws, handle).
const SIDE_BY_SIDE: usize = 4;

/// What a function does with an event: as cf-aws's `handle` does it.
pub async fn handle(stage: &Stage<'_>, task: usize, delivery: Delivery) -> Result<Vec<Outcome>, Fault> {
    let Delivery { work, to, key, .. } = delivery;
    let hands = |cluster, part| Hands::new(stage, task, to, cluster, under(key, part));
    match work {
        Work::Upload(at) => match key::read(&at) {
            Reading::Request(upload) => {
                look_at(stage, to, hands(Some(upload.cluster.clone()), 1), Some(upload), None).await.map(|o| vec![o])
            }
            Reading::Refused { .. } => pass_stray(&hands(None, 1), &at).await.map(|_| Vec::new()),
            Reading::LooksLike { .. } => pass_look_alike(&hands(None, 1), &at).await.map(|()| Vec::new()),
            Reading::NotARequest => Ok(Vec::new()),
        },
        Work::Stack(id) => {
            let seen = observe::stack(&hands(None, 2), &id).await?;
            match seen.as_ref().and_then(|s| s.cluster(&stage.world.site.deployment)) {
                Some(cluster) => look_at(stage, to, hands(Some(cluster), 3), None, seen).await.map(|o| vec![o]),
                None => Ok(Vec::new()),
            }
        }
        Work::Sweep => {
            let found = sweep::find(&hands(None, 4), stage.site(to), stage.clock()).await?;
            let looks = stream::iter(found.wanting).map(|cluster| {
                let part = under(5, named(cluster.user.as_str()) ^ named(cluster.name.as_str()).rotate_left(7));
                look_at(stage, to, hands(Some(cluster), part), None, None)
            });
            Ok(looks.buffer_unordered(SIDE_BY_SIDE).filter_map(|done| std::future::ready(done.ok())).collect().await)
        }
    }
}

/// The run's virtual clock. Who loses a race looks again at once: that is the harder way.
impl Clock for Stage<'_> {
    fn now(&self) -> Timestamp {
        self.clock()
    }

    async fn back_off(&self, _: usize) {}
}

async fn look_at(
    stage: &Stage<'_>,
    function: Function,
    hands: Hands<'_, '_>,
    upload: Option<cf_core::key::UploadKey>,
    seen: Option<Box<Stack>>,
) -> Result<Outcome, Fault> {
    let Some(cluster): Option<Cluster> = hands.cluster.clone() else { return Ok(Outcome::default()) };
    let subject = Subject { cluster, upload, stack: seen };
    pass(&hands, stage.site(function), &subject, stage).await
}
