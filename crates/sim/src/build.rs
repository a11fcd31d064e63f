//! Builds the strict world for a `Start`, or gives the reason why no such world can exist.

use cf_core::decide::state::{PhaseKind as P, StackKind as K};
use cf_core::key::{self, Answer, Reading, UploadKey, Verb};
use cf_core::ledger::{self, Accepted, End, Entry, Ledger, OPEN_MAX, Phase, RequestTime};
use cf_core::names::Cluster;
use cf_core::node_reports::NodesShown;
use cf_core::request::RequestId;
use cf_core::stack::{Stack, StackId, StackState, StackStatus, tags};
use cf_core::status::{State as Word, Status};
use cf_core::testing;
use jiff::{SignedDuration, Timestamp};

use crate::cloud::{Cloud, Event};
use crate::cloudformation::StackBehaviour;
use crate::s3::{Bucket, Version};
use crate::start::{CreateStart as C, DeleteStart as D, Start};

/// Whose world it is.
pub const USER: &str = "alice";
/// Which cluster.
pub const CLUSTER: &str = "demo";
const CREATE: &str = "home/alice/demo.cf-create";
const DELETE: &str = "home/alice/demo.cf-delete";

/// Why a start cannot exist; `None` where it can.
pub fn why_not(start: &Start) -> Option<&'static str> {
    let is_idle = matches!(start.phase, P::New | P::Gone);
    let is_unseen = matches!(start.phase, P::New | P::Gone | P::Blocked);
    let is_there = matches!(start.stack, K::Ours(_) | K::WithoutLogin(_));
    let is_deleted = start.stack == K::Ours(StackStatus::DeleteComplete);
    let is_planned = start.stack == K::Ours(StackStatus::ReviewInProgress);
    Some(match (start.create, start.delete, start.phase) {
        (_, _, P::Moved) if start.stack.state() != Some(StackState::Available) => "only a stack that stands has another address",
        (_, _, phase) if is_planned && !matches!(phase, P::New | P::Blocked | P::Deleting) => {
            "its stack was created, or is being, and never waits for a change set again"
        }
        (_, _, P::Ready | P::Moved | P::Failing | P::Deleting | P::Stuck) if start.stack == K::Foreign => {
            "its stack is known by id, and ids are never used again"
        }
        (_, _, P::Ready | P::Failing | P::Stuck) if start.stack == K::Ours(StackStatus::CreateInProgress) => {
            "its creation was seen to its end, and a stack is created once: only a look that lags shows it"
        }
        _ if is_unseen && is_deleted => "without an id, a deleted stack is not found",
        (_, _, P::Blocked) if !is_there => "what is in the way is a stack of ours",
        (C::None, _, P::Blocked) => "an accepted create is open until it is answered",
        (C::None, _, P::Creating) if !is_there => "a creation that nobody asked for was recovered from its stack, and its id is known",
        (C::Fresh, _, _) if !is_idle || is_there => "there is something to compare it with",
        (C::Same | C::Other, _, _) if is_idle && !is_there => "there is nothing to compare it with",
        (C::Own, _, P::New) if !is_there => "what it was made for is not there",
        (C::Own, _, P::Gone) => "it is over: its create has its answer",
        (C::Superseded, D::TooMany, _) => "a crowd that loses one has room again: which is answered first decides how it ends",
        (_, D::SupersededBefore, phase) if !matches!(phase, P::Creating | P::Blocked | P::Ready | P::Moved) => {
            "nothing lives, or is on its way"
        }
        (C::Own, D::Superseded, P::Creating | P::Blocked | P::Ready | P::Moved) => {
            "what lives was asked for since: it is superseded before"
        }
        (C::None, D::Superseded, _) => "nothing supersedes it",
        (_, D::None, P::Deleting | P::Unwanted | P::UnwantedLong) => "an accepted delete is open until it is answered",
        (_, D::Own | D::OwnAwaited, P::New | P::Creating | P::Blocked) => "a delete is accepted together with its phase",
        (_, D::Own | D::OwnAwaited, P::Gone) => "the end has answered it",
        (_, D::Own | D::OwnAwaited, P::Ready | P::Moved | P::Failing) if is_there && !is_deleted => {
            "only at a cluster's end is a delete accepted before its phase is written"
        }
        (_, D::TooMany, phase) if !matches!(phase, P::Creating | P::Deleting) => "a crowd gathers only while others wait for the same end",
        (C::None, D::TooMany, P::Creating) => "the crowd is of creates",
        _ => return None,
    })
}

/// A world in the making.
struct Builder {
    cloud: Cloud,
    cluster: Cluster,
    entry: Entry,
    epoch: Timestamp,
}

/// The world of a start that can exist, with a versioned user bucket or a plain one, and the events that are on their way in it.
pub fn world(start: &Start, versioned: bool) -> (Cloud, Vec<Event>) {
    let cloud = Cloud::new(testing::settings()).with_profile(USER);
    cloud.world.state().store.versioned = versioned;
    let epoch = cloud.world.now();
    cloud.world.wait(300);
    let mut b = Builder { cloud, cluster: testing::cluster(USER, CLUSTER), entry: Entry::default(), epoch };
    let create = b.create(*start);
    let delete = b.delete(*start);
    b.accept(*start, create.as_ref());
    b.open(*start, create.as_ref(), delete.as_ref());
    b.stack(*start, create.as_ref());
    b.files(*start);
    if b.entry != Entry::default() {
        let ledger = Ledger { revision: 6, clusters: [(b.cluster.name.clone(), b.entry.clone())].into(), ..Ledger::default() };
        b.put(Bucket::System, &ledger::key(&b.cluster.user), &serde_json::to_vec(&ledger).unwrap_or_default(), 0);
    }
    let events = b.events();
    (b.cloud, events)
}

/// The key of a request, known to be one.
pub fn upload_key(text: &str) -> UploadKey {
    match key::read(text) {
        Reading::Request(key) => key,
        other => panic!("{text} is {other:?}"),
    }
}

impl Builder {
    fn at(&self, seconds: i64) -> Timestamp {
        self.epoch + SignedDuration::from_secs(seconds)
    }

    fn note_request_time(&mut self, verb: Verb, seconds: i64) {
        let at = self.at(seconds);
        self.entry.note_request_time(verb, &RequestTime { at, sighting: None });
    }

    fn put(&self, bucket: Bucket, key: &str, bytes: &[u8], seconds: i64) -> RequestId {
        let at = self.at(seconds);
        let mut state = self.cloud.world.state();
        let etag = state.store.put(bucket, key, bytes, at);
        let id = state.store.get(bucket, key).and_then(|version| version.id.clone());
        RequestId::of(key, id.as_deref(), &etag, at)
    }

    fn create(&mut self, start: Start) -> Option<RequestId> {
        let body: &[u8] = match start.create {
            C::None => return None,
            C::Invalid => b"[]",
            C::Other => br#"{"ComputeMaxNodes": "8"}"#,
            C::Settled | C::Own | C::Fresh | C::Same | C::Superseded => b"{}",
        };
        let request = self.put(Bucket::User, CREATE, body, 100);
        if start.create == C::Settled {
            self.settled(CREATE, &request);
        }
        if start.create == C::Superseded {
            self.note_request_time(Verb::Delete, 150);
        }
        Some(request)
    }

    fn delete(&mut self, start: Start) -> Option<RequestId> {
        let is_early =
            matches!(start.delete, D::Superseded | D::SupersededBefore) || (start.delete == D::OwnAwaited && start.create != C::None);
        if start.delete == D::None {
            return None;
        }
        if start.delete == D::SupersededBefore {
            self.note_request_time(Verb::Create, 100);
        }
        let request = self.put(Bucket::User, DELETE, b"", if is_early { 50 } else { 200 });
        if start.delete == D::Settled {
            self.settled(DELETE, &request);
        }
        if start.delete == D::OwnAwaited && start.create == C::None {
            // Withdrawn.
            self.cloud.world.state().store.delete(Bucket::User, DELETE);
        }
        Some(request)
    }

    fn settled(&mut self, key: &str, request: &RequestId) {
        self.entry.note_answered(request);
        let mut state = self.cloud.world.state();
        if let Some(etag) = state.store.get(Bucket::User, key).map(Version::etag) {
            state.answered.insert((key.to_owned(), etag));
        }
    }

    fn accept(&mut self, start: Start, create: Option<&RequestId>) {
        let now = self.at(300);
        self.entry.phase = match start.phase {
            P::New => Phase::New,
            P::Creating | P::Blocked => Phase::Creating { since: now },
            P::Ready | P::Moved => Phase::Ready,
            P::Failing => Phase::Failing,
            P::Deleting => Phase::Deleting { since: now },
            P::Unwanted => Phase::Unwanted { since: now },
            P::UnwantedLong => Phase::Unwanted { since: self.at(0) },
            P::Stuck => Phase::Stuck,
            P::Gone => Phase::Gone { at: now, end: End::Deleted },
        };
        if start.phase == P::Moved {
            self.entry.login = Some("192.0.2.1".to_owned());
        }
        if start.phase == P::Ready && matches!(start.stack, K::WithoutLogin(_)) {
            self.entry.login = Some(String::new());
        }
        // A creation without its create was recovered from the stack.
        if start.phase == P::New || (start.phase == P::Creating && start.create == C::None) {
            return;
        }
        if start.create == C::Own {
            self.note_request_time(Verb::Create, 100);
        }
        let old = RequestId::from_tag("00000000000000aa");
        let is_under_way = matches!(start.phase, P::Creating | P::Blocked | P::Deleting | P::Unwanted | P::UnwantedLong);
        let request = match create {
            Some(request) if start.create == C::Own && is_under_way => request.clone(),
            _ => old,
        };
        if !matches!(start.phase, P::Creating | P::Blocked) && start.create != C::Own {
            self.entry.note_answered(&request);
        }
        self.entry.accepted =
            Some(Accepted { request, key: upload_key(CREATE), at: self.at(10), parameters: [].into(), defaults: [].into() });
    }

    fn open(&mut self, start: Start, create: Option<&RequestId>, delete: Option<&RequestId>) {
        let accepted = self.entry.accepted.as_ref().map(|a| a.request.clone());
        if start.create == C::Own && start.phase != P::New {
            let request = create.cloned().unwrap_or_else(|| RequestId::from_tag("-"));
            self.entry.note_open(&upload_key(CREATE), &request, true, 0);
        } else if let (P::Creating | P::Blocked, Some(request)) = (start.phase, accepted) {
            // Its upload was withdrawn, or replaced.
            self.entry.note_open(&upload_key(CREATE), &request, true, 0);
        }
        if let (D::Own | D::OwnAwaited, Some(request)) = (start.delete, delete) {
            self.entry.note_open(&upload_key(DELETE), request, true, 0);
        } else if matches!(start.phase, P::Deleting | P::Unwanted | P::UnwantedLong) {
            let place = if start.delete == D::TooMany { "home/alice/elsewhere/demo.cf-delete" } else { DELETE };
            self.entry.note_open(&upload_key(place), &RequestId::from_tag("00000000000000dd"), true, 0);
        }
        if start.delete == D::TooMany {
            self.crowd(start, create);
        }
    }

    /// As many uploads as may wait; their files were withdrawn since, for the work that they wait for goes on all the same.
    fn crowd(&mut self, start: Start, create: Option<&RequestId>) {
        if let (Some(request), C::Fresh | C::Same | C::Other) = (create, start.create) {
            self.entry.note_open(&upload_key(CREATE), request, false, 0);
        }
        let suffix = if start.phase == P::Creating { "cf-create" } else { "cf-delete" };
        let place = |nth: usize| upload_key(&format!("home/alice/folder {nth}/demo.{suffix}"));
        for nth in 0..OPEN_MAX {
            let key = place(nth);
            if self.entry.is_crowded_for(&key) {
                return;
            }
            self.entry.note_open(&key, &RequestId::from_tag(&format!("{nth:016}")), true, 0);
        }
    }

    fn stack(&mut self, start: Start, create: Option<&RequestId>) {
        let settings = self.cloud.world.settings.clone();
        let name = settings.stack_name(&self.cluster);
        let id = StackId(format!("arn:aws:cloudformation:eu-west-2:123456789012:stack/{}/planted", name.as_str()));
        let knows_id = matches!(start.phase, P::Ready | P::Moved | P::Failing | P::Deleting | P::Stuck | P::Gone);
        // A look that lags may miss a stack whose id is known.
        let is_deleted = start.stack == K::Ours(StackStatus::DeleteComplete);
        if knows_id
            || (is_deleted && matches!(start.phase, P::Unwanted | P::UnwantedLong))
            || (start.phase == P::Creating && matches!(start.stack, K::Ours(_) | K::WithoutLogin(_)))
        {
            self.entry.stack = Some(id.clone());
        }
        let (status, is_ours) = match start.stack {
            K::Absent => return,
            K::Foreign => (StackStatus::CreateComplete, false),
            K::Ours(status) | K::WithoutLogin(status) => (status, true),
        };
        let made_for = match (start.phase, &self.entry.accepted, create) {
            (P::New, _, Some(request)) if start.create == C::Own => request.clone(),
            (P::New | P::Blocked, ..) | (_, None, _) => RequestId::from_tag("00000000000000bb"),
            (_, Some(accepted), _) => accepted.request.clone(),
        };
        let template = settings.template;
        let key = self.entry.accepted.as_ref().map_or_else(|| testing::create_key(&self.cluster), |accepted| accepted.key.clone());
        let mut parameters: std::collections::BTreeMap<_, _> =
            template.parameters.iter().filter_map(|(name, p)| Some((name.clone(), p.default.clone()?))).collect();
        let choices = parameters.clone();
        for (name, value) in &template.metadata.system_parameters {
            parameters.insert(name.clone(), settings.system_value(*value, &key, &made_for, &choices));
        }
        let login = (template.metadata.login_output.clone(), "198.51.100.7".to_owned());
        let is_up = !matches!(status, StackStatus::CreateInProgress | StackStatus::ReviewInProgress);
        let has_login = is_up && !matches!(start.stack, K::WithoutLogin(_));
        let stack = Stack {
            id,
            status,
            reason: None,
            tags: if is_ours { tags(&self.cluster, &made_for, &settings.deployment) } else { [].into() },
            parameters,
            outputs: has_login.then_some(login).into_iter().collect(),
            parent: None,
        };
        let now = self.at(300);
        self.cloud.world.state().stacks.plant(stack, StackBehaviour::Succeeds, &made_for.token("create"), now);
    }

    /// The answers and the status file as the passes before would have left them.
    fn files(&self, start: Start) {
        let (Some(accepted), settings) = (&self.entry.accepted, &self.cloud.world.settings) else { return };
        let (word, answer) = match start.phase {
            P::New => return,
            P::Creating | P::Blocked => (Word::Creating, None),
            P::Ready if matches!(start.stack, K::WithoutLogin(_)) => (Word::Failed, Some((Answer::Failed, "There is no login.\n"))),
            P::Ready => (Word::Ready, Some((Answer::Created, "198.51.100.7\n"))),
            P::Moved => (Word::Ready, Some((Answer::Created, "192.0.2.1\n"))),
            P::Failing | P::Stuck => (Word::Failed, Some((Answer::Failed, "It failed.\n"))),
            P::Deleting | P::Unwanted | P::UnwantedLong => (Word::Deleting, None),
            P::Gone => (Word::Deleted, Some((Answer::Deleted, "It is gone.\n"))),
        };
        let status = Status {
            cluster: CLUSTER.to_owned(),
            state: word,
            message: String::new(),
            progress: None,
            login: None,
            login_command: None,
            types: [].into(),
            reported: NodesShown::default(),
            stack: settings.stack_name(&self.cluster).to_string(),
            request: accepted.request.clone(),
            since: accepted.at,
            updated: accepted.at,
        };
        self.put(Bucket::User, &accepted.key.status(), status.text().as_bytes(), 20);
        if let Some((answer, text)) = answer {
            self.put(Bucket::User, &accepted.key.answer(answer), text.as_bytes(), 20);
        }
    }

    /// What would bring a function here.
    fn events(&self) -> Vec<Event> {
        let uploads: Vec<Event> = [CREATE, DELETE]
            .into_iter()
            .filter(|key| self.cloud.world.state().store.get(Bucket::User, key).is_some())
            .map(|key| Event::Upload(key.to_owned()))
            .collect();
        let is_ours = |s: &&crate::SimStack| s.stack.cluster(&self.cloud.world.settings.deployment).is_some();
        let stack = self.cloud.world.state().stacks.all().iter().find(is_ours).map(|s| Event::Stack(s.stack.id.clone()));
        match (uploads.is_empty(), stack) {
            (false, _) => uploads,
            (true, Some(event)) => vec![event],
            (true, None) => vec![Event::Sweep],
        }
    }
}
