//! Made-up looks at one cluster, built from a few choices.

#![allow(dead_code, reason = "each file of tests takes a part of it")]

use std::collections::BTreeMap;

use cf_core::body::Body;
use cf_core::causes::Causes;
use cf_core::decide::state::{PhaseKind, StackKind};
use cf_core::fault::{Call, Fault, Kind};
use cf_core::key::{self, Answer, Reading, UploadKey};
use cf_core::ledger::{Accepted, End, Entry, Ledger, Phase};
use cf_core::node_reports::ObservedReports;
use cf_core::profile::Profile;
use cf_core::request::{ETag, RequestId};
use cf_core::settings::Settings;
use cf_core::snapshot::{ObservedStack, Refusal, Snapshot, Upload};
use cf_core::stack::{Stack, StackId, StackStatus, tags};
use cf_core::testing;
use jiff::{SignedDuration, Timestamp};

/// How the ledger knows an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Not at all.
    New,
    /// It is the accepted one, and joined.
    Accepted,
    /// It has joined the work for another.
    Joined,
    /// It has its answer.
    Answered,
    /// Joined, and its file is not there any more.
    Withdrawn,
}

/// All of them.
pub const KNOWN: [Known; 5] = [Known::New, Known::Accepted, Known::Joined, Known::Answered, Known::Withdrawn];

/// What `.cf-create` holds: the living cluster's parameters, others, nonsense.
pub const BODIES: [&str; 3] = ["{}", r#"{"ComputeMaxNodes": "8"}"#, "no order"];

/// Whose the stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MadeFor {
    Accepted,
    Create,
    Another,
}

/// One look, by its choices.
#[expect(clippy::struct_excessive_bools, reason = "each is one yes or no of a look, and none excludes another")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scene {
    pub phase: PhaseKind,
    pub stack: StackKind,
    pub made_for: MadeFor,
    pub has_login: bool,
    pub create: Option<(Known, usize)>,
    pub delete: Option<Known>,
    pub delete_is_later: bool,
    pub elsewhere: bool,
    pub has_profile: bool,
    pub is_recovered: bool,
    pub answers: bool,
    pub refused: Option<Refused>,
}

/// Nothing at all.
pub const NOTHING: Scene = Scene {
    phase: PhaseKind::New,
    stack: StackKind::Absent,
    made_for: MadeFor::Accepted,
    has_login: true,
    create: None,
    delete: None,
    delete_is_later: true,
    elsewhere: false,
    has_profile: true,
    is_recovered: false,
    answers: false,
    refused: None,
};

/// A call that was refused for good at the look before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    Create,
    TokenUsed,
    Delete,
}

fn epoch() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn at(minutes: i64) -> Timestamp {
    epoch() + SignedDuration::from_mins(minutes)
}

fn upload_key(text: &str) -> UploadKey {
    let Reading::Request(key) = key::read(text) else { panic!("{text} is a request") };
    key
}

fn upload(key: &str, minutes: i64, body: Body) -> Upload {
    let etag = ETag(format!("\"{key}\""));
    Upload {
        key: upload_key(key),
        request: RequestId::of(key, None, &etag, at(minutes)),
        etag,
        modified: at(minutes),
        body,
        is_withheld: false,
    }
}

/// The look that a scene describes.
pub fn snapshot<'a>(scene: &Scene, settings: &'a Settings) -> Snapshot<'a> {
    let cluster = testing::cluster("alice", "demo");
    let create = scene.create.map(|(known, body)| (known, upload("home/alice/demo.cf-create", 10, Body::Read(BODIES[body].into()))));
    let folder = if scene.elsewhere { "home/alice/old runs/" } else { "home/alice/" };
    let minutes = if scene.delete_is_later { 20 } else { 5 };
    let delete = scene.delete.map(|known| (known, upload(&format!("{folder}demo.cf-delete"), minutes, Body::Unread)));
    let old = RequestId::from_tag("00000000000000aa");
    let mut entry = Entry { phase: phase(scene.phase), ..Entry::default() };
    if scene.phase == PhaseKind::Moved {
        entry.login = Some("192.0.2.1".into());
    }
    if !matches!(scene.phase, PhaseKind::New) && !scene.is_recovered {
        let (request, key) = match &create {
            Some((Known::Accepted, upload)) => (upload.request.clone(), upload.key.clone()),
            _ => (old.clone(), upload_key("home/alice/demo.cf-create")),
        };
        entry.accepted = Some(Accepted { request, key, at: at(1), parameters: BTreeMap::new(), defaults: BTreeMap::new() });
    }
    for (known, upload) in create.iter().chain(&delete) {
        match known {
            Known::New => {}
            Known::Answered => entry.note_answered(&upload.request),
            Known::Accepted | Known::Joined | Known::Withdrawn => entry.note_open(&upload.key, &upload.request, true, 0),
        }
    }
    let made_for = match (scene.made_for, &entry.accepted, &create) {
        (MadeFor::Accepted, Some(accepted), _) => accepted.request.clone(),
        (MadeFor::Create, _, Some((_, upload))) => upload.request.clone(),
        _ => RequestId::from_tag("00000000000000bb"),
    };
    let mut ledger = Ledger { revision: 6, ..Ledger::default() };
    ledger.clusters.insert(cluster.name.clone(), entry);
    let uploads: Vec<Upload> =
        create.iter().chain(&delete).filter(|(known, _)| *known != Known::Withdrawn).map(|(_, upload)| upload.clone()).collect();
    let standing = |a: &Answer| (upload_key("home/alice/demo.cf-create").answer(*a), ETag(format!("\"{a:?}\"")));
    Snapshot {
        now: at(30),
        settings,
        ledger,
        ledger_etag: Some(ETag("\"ledger\"".into())),
        uploads,
        answers: if scene.answers { Answer::ALL.iter().map(standing).collect() } else { BTreeMap::new() },
        statuses: BTreeMap::new(),
        status_file: None,
        stack: stack(scene, settings, &cluster, &made_for),
        profile: if scene.has_profile { Profile::with_script() } else { Profile::default() },
        is_foundation_old: false,
        causes: Causes::default(),
        progress: None,
        reports: ObservedReports::NotRead,
        refusal: scene.refused.map(refusal),
        cluster,
    }
}

fn phase(kind: PhaseKind) -> Phase {
    match kind {
        PhaseKind::New => Phase::New,
        PhaseKind::Creating | PhaseKind::Blocked => Phase::Creating { since: at(10) },
        PhaseKind::Ready | PhaseKind::Moved => Phase::Ready,
        PhaseKind::Failing => Phase::Failing,
        PhaseKind::Deleting => Phase::Deleting { since: at(10) },
        PhaseKind::Unwanted => Phase::Unwanted { since: at(30) },
        PhaseKind::UnwantedLong => Phase::Unwanted { since: at(1) },
        PhaseKind::Stuck => Phase::Stuck,
        PhaseKind::Gone => Phase::Gone { at: at(8), end: End::Deleted },
    }
}

fn stack(scene: &Scene, settings: &Settings, cluster: &cf_core::names::Cluster, made_for: &RequestId) -> ObservedStack {
    let status = match scene.stack {
        StackKind::Absent => return ObservedStack::Absent,
        StackKind::Foreign => return ObservedStack::Foreign,
        StackKind::Ours(status) | StackKind::WithoutLogin(status) => status,
    };
    let login = (settings.template.metadata.login_output.clone(), "198.51.100.7".to_owned());
    let is_bare = matches!(scene.stack, StackKind::WithoutLogin(_));
    let is_up = scene.has_login && !is_bare && status != StackStatus::CreateInProgress;
    ObservedStack::Ours(Box::new(Stack {
        id: StackId(format!("arn:aws:cloudformation:eu-west-2:123456789012:stack/{}/1", settings.stack_name(cluster).as_str())),
        status,
        reason: None,
        tags: tags(cluster, made_for, &settings.deployment),
        parameters: BTreeMap::new(),
        outputs: is_up.then_some(login).into_iter().collect(),
        parent: None,
    }))
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Create => Refusal::Create(Fault::new(Kind::Rejected, Call::CreateStack, "ValidationError: no such instance type")),
        Refused::TokenUsed => Refusal::Create(Fault::new(Kind::TokenUsed, Call::CreateStack, "TokenAlreadyExistsException")),
        Refused::Delete => {
            Refusal::Delete(Fault::new(Kind::Rejected, Call::DeleteStack, "ValidationError: TerminationProtection is enabled"))
        }
    }
}
