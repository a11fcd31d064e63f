//! `customize apply` on other nodes, by the link between the nodes of a cluster.
//!
//! Scripts may run longer than a request may take, so a request starts the work under an id that its sender made up, and further
//! ones ask what became of it. A request that arrives twice starts nothing twice. The link proves that the sender is a member of
//! this cluster, and every member's root is the same user; what is bounded here is how much of it a node takes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::profile_name::ProfileName;
use super::summary::Summary;
use crate::link::LinkError;
use crate::random::{self, NoRandom};

/// How long an answer waits for the end of the work: well below the link's limit for handlers.
const NEWS_WAIT: Duration = Duration::from_secs(25);

/// How long a sender waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long a sender follows the work of one node.
pub const FOLLOW_MAX: Duration = Duration::from_hours(4);

/// How a node that does not answer is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between a request that got no answer and the next.
    pub again: Duration,
    /// A node is given up when it has not answered for so long.
    pub silence_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { again: Duration::from_secs(2), silence_max: Duration::from_mins(2) }
    }
}

/// So many results are kept for those who ask late.
const RESULTS_MAX: usize = 16;

/// A request of one node to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Apply a profile, and remember it under this id.
    Apply {
        /// The sender's random id of the work.
        id: WorkId,
        /// The profile.
        profile: ProfileName,
    },
    /// What has become of it?
    Follow {
        /// The id of the work.
        id: WorkId,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is at work.
    Running,
    /// The scripts have run.
    Ended(Summary),
    /// Nothing was run, for this reason.
    Refused(String),
    /// Nothing is known of this id: the agent was restarted, or the id is an old one.
    Unknown,
}

/// The id of a piece of work: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkId(String);

impl WorkId {
    /// A new one.
    pub fn random() -> Result<Self, NoRandom> {
        random::id().map(Self)
    }
}

impl TryFrom<String> for WorkId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(Self(text)) } else { Err("an id of work has 32 hexadecimal digits") }
    }
}

impl From<WorkId> for String {
    fn from(id: WorkId) -> Self {
        id.0
    }
}

/// What a node does when it is asked to apply a profile.
pub type Work = dyn Fn(ProfileName) -> Pin<Box<dyn Future<Output = Result<Summary, String>> + Send>> + Send + Sync;

/// Answers the requests of other nodes; a part of the agent.
pub struct Desk {
    work: Arc<Work>,
    state: Arc<watch::Sender<State>>,
    /// Requests that arrive at once begin one after another.
    begin: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<(WorkId, ProfileName)>,
    ended: VecDeque<(WorkId, Answer)>,
}

impl State {
    fn answer(&self, id: &WorkId) -> Option<Answer> {
        if self.running.as_ref().is_some_and(|(running, _)| running == id) {
            return Some(Answer::Running);
        }
        self.ended.iter().find(|(known, _)| known == id).map(|(_, answer)| answer.clone())
    }
}

impl Desk {
    /// One that does this work.
    pub fn new(work: Arc<Work>) -> Self {
        Self { work, state: Arc::new(watch::Sender::new(State::default())), begin: Mutex::default() }
    }

    /// Answers a request. It takes at most 25 s.
    pub async fn handle(&self, request: Request) -> Answer {
        match request {
            Request::Apply { id, profile } => self.begin(id, profile),
            Request::Follow { id } => {
                let mut state = self.state.subscribe();
                let ended = state.wait_for(|state| state.answer(&id) != Some(Answer::Running));
                let _ = timeout(NEWS_WAIT, ended).await;
                self.state.borrow().answer(&id).unwrap_or(Answer::Unknown)
            }
        }
    }

    fn begin(&self, id: WorkId, profile: ProfileName) -> Answer {
        let _begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.borrow();
        if let Some(answer) = state.answer(&id) {
            return answer;
        }
        if let Some((_, running)) = &state.running {
            return Answer::Refused(format!("the node is applying the profile {running}; try again when it has ended"));
        }
        drop(state);
        self.state.send_modify(|state| state.running = Some((id.clone(), profile.clone())));
        let (work, state) = (Arc::clone(&self.work), Arc::clone(&self.state));
        tokio::spawn(async move {
            // A task of its own: a panic in it is an answer too.
            let answer = match tokio::spawn(work(profile)).await {
                Ok(Ok(summary)) => Answer::Ended(summary.bounded()),
                Ok(Err(reason)) => Answer::Refused(reason),
                Err(_) => Answer::Refused("the agent failed while it applied the profile; see its log on that node".to_owned()),
            };
            state.send_modify(|state| {
                state.running = None;
                state.ended.push_back((id, answer));
                if state.ended.len() > RESULTS_MAX {
                    state.ended.pop_front();
                }
            });
        });
        Answer::Running
    }
}

/// The way to the agent of one other node.
pub trait Ask: Send + Sync {
    /// Sends a request and waits for the answer.
    fn ask(&self, request: &Request) -> impl Future<Output = Result<Answer, LinkError>> + Send;
}

/// Why it is not known that a node has applied a profile.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It does not answer.
    #[error("the node does not answer ({0}), so whether the scripts ran there is unknown; its instance.log shows it")]
    Silent(LinkError),
    /// It will not.
    #[error("the node refuses: {0}")]
    Refused(String),
    /// It forgot.
    #[error("the node's agent was restarted meanwhile, so whether the scripts ran to their end is unknown; its instance.log shows it")]
    Forgotten,
    /// No id.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// It takes too long.
    #[error("the scripts have run for {} hours and still do; the node's instance.log shows more", FOLLOW_MAX.as_secs() / 3600)]
    Late,
}

/// Has a node apply a profile, and waits for the end of its scripts.
pub async fn apply(node: &impl Ask, profile: &ProfileName, pace: Pace) -> Result<Summary, RemoteError> {
    let id = WorkId::random()?;
    let apply = Request::Apply { id: id.clone(), profile: profile.clone() };
    let follow = Request::Follow { id };
    let begun = Instant::now();
    let (mut heard, mut accepted) = (Instant::now(), false);
    while begun.elapsed() < FOLLOW_MAX {
        // Until it is known to have arrived, the first request is sent again: by its id it is known to be the same.
        match node.ask(if accepted { &follow } else { &apply }).await {
            Ok(Answer::Running) => (heard, accepted) = (Instant::now(), true),
            Ok(Answer::Ended(summary)) => return Ok(summary.bounded()),
            Ok(Answer::Refused(reason)) => return Err(RemoteError::Refused(cf_core::plain::plain(&reason, 800))),
            Ok(Answer::Unknown) => return Err(RemoteError::Forgotten),
            Err(error) if heard.elapsed() >= pace.silence_max => return Err(RemoteError::Silent(error)),
            // A peer with another key does not become one of this cluster's.
            Err(error @ LinkError::Stranger) => return Err(RemoteError::Silent(error)),
            Err(_) => sleep(pace.again).await,
        }
    }
    Err(RemoteError::Late)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A node whose work waits for a permit, and a way to it that loses every other answer.
    struct Far {
        desk: Desk,
        works: Arc<AtomicUsize>,
        go: Arc<Semaphore>,
        asked: AtomicUsize,
        loses: bool,
    }

    fn far(loses: bool, result: Result<Summary, String>) -> Far {
        let (works, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let work: Arc<Work> = Arc::new({
            let (works, go) = (Arc::clone(&works), Arc::clone(&go));
            move |_| {
                let (works, go, result) = (Arc::clone(&works), Arc::clone(&go), result.clone());
                Box::pin(async move {
                    works.fetch_add(1, Ordering::SeqCst);
                    go.acquire().await.unwrap().forget();
                    result
                })
            }
        });
        Far { desk: Desk::new(work), works, go, asked: AtomicUsize::new(0), loses }
    }

    impl Ask for Far {
        async fn ask(&self, request: &Request) -> Result<Answer, LinkError> {
            let answer = self.desk.handle(request.clone()).await;
            let lost = self.loses && self.asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            if lost { Err(LinkError::Late("answer")) } else { Ok(answer) }
        }
    }

    const QUICK: Pace = Pace { again: Duration::from_millis(1), silence_max: Duration::from_millis(50) };

    fn foo() -> ProfileName {
        "foo".parse().unwrap()
    }

    fn request() -> Request {
        Request::Apply { id: WorkId::random().unwrap(), profile: foo() }
    }

    #[tokio::test]
    async fn a_request_whose_answer_is_lost_is_sent_again_and_its_work_done_once() {
        let summary = Summary { scripts: 2, ..Summary::default() };
        let node = far(true, Ok(summary.clone()));
        node.go.add_permits(5);
        assert_eq!(apply(&node, &foo(), QUICK).await.unwrap(), summary);
        assert_eq!(node.works.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_node_does_one_work_at_a_time_and_the_next_is_refused_with_the_reason() {
        let node = far(false, Ok(Summary::default()));
        let first = request();
        assert_eq!(node.desk.handle(first.clone()).await, Answer::Running);
        assert_eq!(node.desk.handle(first.clone()).await, Answer::Running, "the same, again");
        assert!(matches!(node.desk.handle(request()).await, Answer::Refused(reason) if reason.contains("is applying the profile foo")));
        node.go.add_permits(1);
        let Request::Apply { id, .. } = first.clone() else { unreachable!() };
        assert_eq!(node.desk.handle(Request::Follow { id }).await, Answer::Ended(Summary::default()));
        assert_eq!(node.desk.handle(first).await, Answer::Ended(Summary::default()), "late");
        assert_eq!(node.works.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_asks_late_or_of_a_restarted_agent_learns_that_nothing_is_known() {
        let node = far(false, Err("it has the tag \"startup\"".to_owned()));
        node.go.add_permits(RESULTS_MAX + 1);
        let mut ids = Vec::new();
        for _ in 0..=RESULTS_MAX {
            assert!(matches!(apply(&node, &foo(), QUICK).await, Err(RemoteError::Refused(reason)) if reason.contains("startup")));
            ids.extend(node.desk.state.borrow().ended.back().map(|(id, _)| id.clone()));
        }
        assert_eq!(node.desk.handle(Request::Follow { id: ids[0].clone() }).await, Answer::Unknown);
        assert!(matches!(node.desk.handle(Request::Follow { id: ids[1].clone() }).await, Answer::Refused(_)));
        assert_eq!(far(false, Ok(Summary::default())).desk.handle(Request::Follow { id: ids[1].clone() }).await, Answer::Unknown);
    }

    #[tokio::test]
    async fn a_silent_node_is_given_up_after_a_bound_and_a_work_that_panics_is_an_answer() {
        struct Silent(AtomicUsize);
        impl Ask for Silent {
            async fn ask(&self, _: &Request) -> Result<Answer, LinkError> {
                assert!(self.0.fetch_add(1, Ordering::SeqCst) < 10_000, "asked without end");
                Err(LinkError::Late("connection"))
            }
        }
        let silent = Silent(AtomicUsize::new(0));
        assert!(matches!(apply(&silent, &foo(), QUICK).await, Err(RemoteError::Silent(_))));
        let panics: Arc<Work> = Arc::new(|_| Box::pin(async { panic!("a bug") }));
        let desk = Desk::new(panics);
        let request = request();
        desk.handle(request.clone()).await;
        let Request::Apply { id, .. } = request else { unreachable!() };
        assert!(matches!(desk.handle(Request::Follow { id }).await, Answer::Refused(reason) if reason.contains("agent failed")));
    }

    #[test]
    fn what_is_no_request_of_ours_is_refused() {
        let good = serde_json::to_string(&request()).unwrap();
        assert!(serde_json::from_str::<Request>(&good).is_ok());
        for bad in [
            good.replace("foo", "../x"),
            good.replace("foo", "account/foo"),
            good.replace("apply", "remove"),
            good.replace("\"id\":\"", "\"id\":\"x"),
        ] {
            assert!(serde_json::from_str::<Request>(&bad).is_err(), "{bad}");
        }
    }
}
