//! Triage: which of the uploads can change the cluster at all. The others get their answer whatever its phase and stack.

use std::cmp::Ordering;

use crate::body::Choices;
use crate::key::Verb;
use crate::ledger::{Entry, Phase};
use crate::message::{Message, Problem};
use crate::requested_parameters;
use crate::snapshot::{Snapshot, Upload};
use crate::stack::Stack;
use crate::verb::Handling;

/// The result of triage: the first of these that applies. All but `Contenders` are answered in this round.
#[derive(Debug, Clone)]
pub enum Triage<'a> {
    /// The requests of these uploads have their final answers; only the uploads are still there.
    Settled(Vec<&'a Upload>),
    /// An upload of a verb that changes nothing, and its answer.
    Aside(&'a Upload, Box<Message>),
    /// More than `OPEN_MAX` uploads wait for the cluster; this is the one too many. Creates are checked before the variants below,
    /// deletes just before `DeleteSuperseded`.
    TooMany(&'a Upload),
    /// A create that a delete supersedes: the delete is as young or younger, and was answered before.
    CreateSuperseded {
        /// Which.
        create: &'a Upload,
        /// A delete that is there beside it.
        delete: Option<&'a Upload>,
    },
    /// A create breaks the rules.
    Invalid {
        /// Which.
        create: &'a Upload,
        /// All that is wrong with it.
        problems: Vec<Problem>,
    },
    /// A delete that a later create supersedes: the cluster was asked for since.
    DeleteSuperseded(&'a Upload),
    /// Those that are left may change the cluster.
    Contenders(Contenders<'a>),
}

/// The create and the delete that phase and stack decide on.
#[derive(Debug, Clone)]
pub struct Contenders<'a> {
    /// The create.
    pub create: Create<'a>,
    /// The delete.
    pub delete: Delete<'a>,
}

/// A create that competes to decide what happens to the cluster.
#[derive(Debug, Clone)]
pub enum Create<'a> {
    /// None.
    None,
    /// The one that the cluster is made for, or one that shares in that. Its upload may be gone.
    Own(Option<&'a Upload>),
    /// A new one, with what it asks for.
    New(&'a Upload, Choices),
}

/// A delete that competes to decide what happens to the cluster.
#[derive(Debug, Clone, Copy)]
pub enum Delete<'a> {
    /// None.
    None,
    /// A new one, later than the create at hand, or with none at hand.
    Asked(&'a Upload),
    /// A new one, and a later create is at hand.
    Superseded(&'a Upload),
    /// The accepted one, later than the create at hand, or with none at hand.
    Own(&'a Upload),
    /// The accepted one, and a create waits for its end. Its upload may be gone.
    OwnAwaited(Option<&'a Upload>),
}

/// Sorts the uploads of one cluster.
pub fn triage<'a>(snapshot: &'a Snapshot<'_>) -> Triage<'a> {
    let entry = snapshot.entry();
    let settled = Verb::ALL.into_iter().filter_map(|verb| oldest(snapshot, verb, |u| entry.has_answered(&u.request)));
    let settled: Vec<_> = settled.collect();
    if !settled.is_empty() {
        return Triage::Settled(settled);
    }
    let aside = Verb::ALL.into_iter().find_map(|verb| match verb.spec().handling {
        Handling::Answers(answer) => {
            oldest(snapshot, verb, |_| true).map(|upload| Triage::Aside(upload, Box::new(answer(snapshot, upload))))
        }
        Handling::Contends => None,
    });
    if let Some(aside) = aside {
        return aside;
    }
    // One too many is not noted, so nothing would come back for it: it is answered before anything else.
    if let Some(upload) = oldest(snapshot, Verb::Create, |u| entry.is_crowded_for(&u.key)) {
        return Triage::TooMany(upload);
    }
    // New ones first: they want something, while the joined ones are looked after by every pass.
    let create = match oldest(snapshot, Verb::Create, |u| !is_joined(&entry, u)) {
        Some(upload) if is_made_for(snapshot, upload) => Create::Own(Some(upload)),
        Some(upload) if entry.supersedes_create(&snapshot.request_time(&entry, upload)) => {
            return Triage::CreateSuperseded { create: upload, delete: delete_at_hand(snapshot, &entry) };
        }
        Some(upload) => match validate(snapshot, &entry, upload) {
            Ok(choices) => Create::New(upload, choices),
            Err(problems) => return Triage::Invalid { create: upload, problems },
        },
        None => own_create(snapshot, &entry),
    };
    match delete(snapshot, &entry, create.upload()) {
        Ok(delete) => Triage::Contenders(Contenders { create, delete }),
        Err(answered) => answered,
    }
}

impl Contenders<'_> {
    /// What a new create asks for.
    pub fn choices(&self) -> Choices {
        if let Create::New(_, choices) = &self.create { choices.clone() } else { Choices::default() }
    }
}

impl<'a> Create<'a> {
    /// Its upload, where it is there.
    pub const fn upload(&self) -> Option<&'a Upload> {
        match self {
            Self::None => None,
            Self::Own(upload) => *upload,
            Self::New(upload, _) => Some(upload),
        }
    }
}

impl<'a> Delete<'a> {
    /// Its upload, where it is there.
    pub const fn upload(self) -> Option<&'a Upload> {
        match self {
            Self::None => None,
            Self::Asked(upload) | Self::Superseded(upload) | Self::Own(upload) => Some(upload),
            Self::OwnAwaited(upload) => upload,
        }
    }
}

/// The oldest of the uploads of a verb that `wanted` picks. One that is answered, and perhaps cannot be removed, keeps nobody
/// waiting: each plan ends with an attempt at its removal.
fn oldest<'a>(snapshot: &'a Snapshot<'_>, verb: Verb, wanted: impl Fn(&Upload) -> bool) -> Option<&'a Upload> {
    let is_wanted = |u: &&Upload| u.key.verb == verb && !snapshot.is_left_over(u) && wanted(u);
    snapshot.uploads.iter().filter(is_wanted).min_by_key(|u| (u.modified, &u.key))
}

/// Whether nothing is under way, so that there is nothing to share in.
const fn is_idle(entry: &Entry) -> bool {
    matches!(entry.phase, Phase::New | Phase::Gone { .. })
}

/// Whether an upload shares in what is under way.
fn is_joined(entry: &Entry, upload: &Upload) -> bool {
    let is_accepted = || entry.accepted.as_ref().is_some_and(|a| a.request == upload.request);
    !is_idle(entry) && (is_accepted() || entry.open.iter().any(|o| o.joined && o.request == upload.request))
}

/// Whether the stack that is there was made for this create: an earlier attempt of ours.
fn is_made_for(snapshot: &Snapshot<'_>, create: &Upload) -> bool {
    snapshot.stack().and_then(Stack::request).as_ref() == Some(&create.request)
}

fn own_create<'a>(snapshot: &'a Snapshot<'_>, entry: &Entry) -> Create<'a> {
    let upload = oldest(snapshot, Verb::Create, |_| true);
    let is_shared = !is_idle(entry) && entry.joined(Verb::Create).next().is_some();
    if upload.is_some() || is_shared { Create::Own(upload) } else { Create::None }
}

/// Whether a create may still have to meet the rules: one that has its answer, or shares in what is under way, has met them.
pub fn is_to_be_validated(entry: &Entry, upload: &Upload) -> bool {
    upload.key.verb == Verb::Create && !entry.has_answered(&upload.request) && !is_joined(entry, upload)
}

/// The rules, for a create that is not our own earlier attempt.
fn validate(snapshot: &Snapshot<'_>, entry: &Entry, upload: &Upload) -> Result<Choices, Vec<Problem>> {
    if entry.cannot_announce_in(&upload.key) {
        return Err(vec![Problem::Spread { key: upload.key.clone() }]);
    }
    let mut problems = if snapshot.profile.has_script { Vec::new() } else { vec![no_profile(snapshot)] };
    problems.extend(snapshot.is_foundation_old.then(|| Problem::OldFoundation { prefix: snapshot.settings.prefix.clone() }));
    match requested_parameters::read(&upload.body, snapshot.settings) {
        Ok(choices) if problems.is_empty() => Ok(choices),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn no_profile(snapshot: &Snapshot<'_>) -> Problem {
    Problem::NoProfile { user: snapshot.cluster.user.clone(), others: snapshot.profile.others().cloned() }
}

/// The delete that is there beside a superseded create.
fn delete_at_hand<'a>(snapshot: &'a Snapshot<'_>, entry: &Entry) -> Option<&'a Upload> {
    oldest(snapshot, Verb::Delete, |u| entry.is_crowded_for(&u.key))
        .or_else(|| oldest(snapshot, Verb::Delete, |u| !is_joined(entry, u)))
        .or_else(|| oldest(snapshot, Verb::Delete, |_| true))
}

/// The delete that competes, beside a create; an error where one has its answer already.
fn delete<'a>(snapshot: &'a Snapshot<'_>, entry: &Entry, create: Option<&Upload>) -> Result<Delete<'a>, Triage<'a>> {
    if let Some(upload) = oldest(snapshot, Verb::Delete, |u| entry.is_crowded_for(&u.key)) {
        return Err(Triage::TooMany(upload));
    }
    // On the same second, where their order is unknown, the delete counts as the later: what it does costs nothing.
    let is_later = |create: &Upload, delete: &Upload| {
        snapshot.request_time(entry, create).order(&snapshot.request_time(entry, delete)) == Some(Ordering::Greater)
    };
    let is_superseded = |delete: &Upload| create.is_some_and(|create| is_later(create, delete));
    if let Some(upload) = oldest(snapshot, Verb::Delete, |u| !is_joined(entry, u)) {
        if entry.supersedes_delete(&snapshot.request_time(entry, upload)) {
            return Err(Triage::DeleteSuperseded(upload));
        }
        return Ok(if is_superseded(upload) { Delete::Superseded(upload) } else { Delete::Asked(upload) });
    }
    Ok(match oldest(snapshot, Verb::Delete, |_| true) {
        Some(upload) if is_superseded(upload) => Delete::OwnAwaited(Some(upload)),
        Some(upload) => Delete::Own(upload),
        // The upload of an accepted delete was withdrawn: the delete goes on, and a create that is there waits.
        None if entry.joined(Verb::Delete).next().is_some() => Delete::OwnAwaited(None),
        None => Delete::None,
    })
}
