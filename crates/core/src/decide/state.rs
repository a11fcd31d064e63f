//! The rows of the table: the create and delete that triage leaves, beside the ledger's phase and the stack.

use std::fmt;

use super::triage::{Contenders, Create, Delete, Triage};
use crate::body::Choices;
use crate::cluster_parameters::ClusterParameters;
use crate::key::Verb;
use crate::ledger::{Entry, Phase};
use crate::message::Difference;
use crate::snapshot::{ObservedStack, Snapshot};
use crate::stack::{Stack, StackState, StackStatus};

/// What a decision was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// Uploads are there whose requests have their answers.
    Settled,
    /// An upload of a verb that changes nothing is there.
    Aside(Verb),
    /// A create breaks the rules.
    Invalid,
    /// An upload of this verb is one too many.
    TooMany(Verb),
    /// A delete supersedes a create: it is as young or younger, and was answered before.
    CreateSuperseded,
    /// A later create supersedes a delete: what lives was asked for since.
    DeleteSuperseded,
    /// What competes to decide what happens to the cluster, phase and stack.
    Contest(Row),
}

impl Situation {
    /// The situation that triage leads to.
    pub fn of(snapshot: &Snapshot<'_>, triage: &Triage<'_>) -> Self {
        match triage {
            Triage::Settled(_) => Self::Settled,
            Triage::Aside(upload, _) => Self::Aside(upload.key.verb),
            Triage::Invalid { .. } => Self::Invalid,
            Triage::TooMany(upload) => Self::TooMany(upload.key.verb),
            Triage::CreateSuperseded { .. } => Self::CreateSuperseded,
            Triage::DeleteSuperseded(_) => Self::DeleteSuperseded,
            Triage::Contenders(contenders) => Self::Contest(row(snapshot, contenders)),
        }
    }

    /// The row of the table, where it was asked.
    pub const fn row(self) -> Option<Row> {
        if let Self::Contest(row) = self { Some(row) } else { None }
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled => f.write_str("settled uploads"),
            Self::Aside(verb) => write!(f, "a {}", verb.suffix()),
            Self::Invalid => f.write_str("an invalid create"),
            Self::TooMany(verb) => write!(f, "a {} too many", verb.suffix()),
            Self::CreateSuperseded => f.write_str("a create superseded by a delete"),
            Self::DeleteSuperseded => f.write_str("a delete superseded by a create"),
            Self::Contest(row) => row.fmt(f),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The create to be considered.
    pub create: CreateAsk,
    /// The delete to be considered.
    pub delete: DeleteAsk,
    /// Where the cluster stands, by the ledger.
    pub phase: PhaseKind,
    /// The stack.
    pub stack: StackKind,
}

/// A create, as it relates to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray, strum::Display)]
pub enum CreateAsk {
    /// No create.
    #[strum(to_string = "none")]
    None,
    /// The one that the cluster was made for, or one that has joined it.
    #[strum(to_string = "own")]
    Own,
    /// One with nothing to compare it with.
    #[strum(to_string = "fresh")]
    Fresh,
    /// Another one, with the living cluster's parameters.
    #[strum(to_string = "same")]
    Same,
    /// Another one, with other parameters.
    #[strum(to_string = "other")]
    Other,
}

/// A delete, as it relates to the create at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray, strum::Display)]
pub enum DeleteAsk {
    /// No delete.
    #[strum(to_string = "none")]
    None,
    /// A new one, later than the create at hand, or with none at hand.
    #[strum(to_string = "asked")]
    Asked,
    /// A new one, and a later create supersedes it.
    #[strum(to_string = "superseded")]
    Superseded,
    /// The accepted one, later than the create at hand, or with none at hand.
    #[strum(to_string = "own")]
    Own,
    /// The accepted one, and a later create waits for its end.
    #[strum(to_string = "own, a create waits")]
    OwnAwaited,
}

/// A phase of the ledger, without its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray, strum::Display)]
pub enum PhaseKind {
    /// Nothing was accepted.
    #[strum(to_string = "new")]
    New,
    /// A create was accepted.
    #[strum(to_string = "creating")]
    Creating,
    /// The same, and a stack bears its name that was made for an earlier request and given up: it arrived late.
    #[strum(to_string = "creating, an old stack in the way")]
    Blocked,
    /// The cluster stands, and its user knows.
    #[strum(to_string = "ready")]
    Ready,
    /// The same, and its stack has another login address than the reported one.
    #[strum(to_string = "ready, at another address")]
    Moved,
    /// The creation failed, and its user knows.
    #[strum(to_string = "failing")]
    Failing,
    /// A delete was accepted.
    #[strum(to_string = "deleting")]
    Deleting,
    /// A delete was accepted while a create is on its way.
    #[strum(to_string = "unwanted")]
    Unwanted,
    /// The same, so long ago that the create cannot arrive any more.
    #[strum(to_string = "unwanted long ago")]
    UnwantedLong,
    /// The stack could not be deleted.
    #[strum(to_string = "stuck")]
    Stuck,
    /// It is over.
    #[strum(to_string = "gone")]
    Gone,
}

/// The stack, as it bears on the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StackKind {
    /// None.
    Absent,
    /// One without our tags.
    Foreign,
    /// Ours, with this status.
    Ours(StackStatus),
    /// Ours; it stands, with this status, and has no login address.
    WithoutLogin(StackStatus),
}

impl StackKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let standing = StackStatus::ALL.iter().copied().filter(|status| status.state() == StackState::Available);
        let ours = StackStatus::ALL.iter().copied().map(Self::Ours);
        [Self::Absent, Self::Foreign].into_iter().chain(ours).chain(standing.map(Self::WithoutLogin))
    }

    /// What it means: `None` for a foreign one. No stack and a deleted one mean the same.
    pub const fn state(self) -> Option<StackState> {
        match self {
            Self::Absent => Some(StackState::Deleted),
            Self::Foreign => None,
            Self::Ours(status) | Self::WithoutLogin(status) => Some(status.state()),
        }
    }
}

impl fmt::Display for StackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Foreign => f.write_str("not ours"),
            Self::Ours(status) => f.write_str(status.as_str()),
            Self::WithoutLogin(status) => write!(f, "{status} without a login"),
        }
    }
}

/// Reads what was seen of phase and stack, and what the contenders are beside them.
pub fn row(snapshot: &Snapshot<'_>, contenders: &Contenders<'_>) -> Row {
    let entry = snapshot.entry();
    let (phase, stack) = (phase(snapshot, &entry), stack(snapshot));
    let create = match &contenders.create {
        Create::None => CreateAsk::None,
        Create::Own(_) => CreateAsk::Own,
        Create::New(_, choices) => compare(snapshot, &entry, phase, stack, choices),
    };
    let delete = match contenders.delete {
        Delete::None => DeleteAsk::None,
        Delete::Asked(_) => DeleteAsk::Asked,
        Delete::Superseded(_) => DeleteAsk::Superseded,
        Delete::Own(_) => DeleteAsk::Own,
        Delete::OwnAwaited(_) => DeleteAsk::OwnAwaited,
    };
    Row { create, delete, phase, stack }
}

/// The stack as the table knows it.
pub fn stack(snapshot: &Snapshot<'_>) -> StackKind {
    match &snapshot.stack {
        ObservedStack::Absent => StackKind::Absent,
        ObservedStack::Foreign => StackKind::Foreign,
        ObservedStack::Ours(stack) if stack.status.state() == StackState::Available && snapshot.login().is_none() => {
            StackKind::WithoutLogin(stack.status)
        }
        ObservedStack::Ours(stack) => StackKind::Ours(stack.status),
    }
}

/// How a new create relates to what is there.
fn compare(snapshot: &Snapshot<'_>, entry: &Entry, phase: PhaseKind, stack: StackKind, choices: &Choices) -> CreateAsk {
    let is_over = matches!(phase, PhaseKind::New | PhaseKind::Gone) && matches!(stack.state(), None | Some(StackState::Deleted));
    let is_the_same_request = || phase != PhaseKind::New && entry.accepted.as_ref().is_some_and(|a| a.parameters == *choices);
    if is_over {
        CreateAsk::Fresh
    } else if is_the_same_request() || differences(snapshot, entry, choices).is_empty() {
        CreateAsk::Same
    } else {
        CreateAsk::Other
    }
}

/// The phase as the table knows it.
pub fn phase(snapshot: &Snapshot<'_>, entry: &Entry) -> PhaseKind {
    match entry.phase {
        Phase::New => PhaseKind::New,
        Phase::Creating { .. } if snapshot.stack().is_some_and(|s| is_in_the_way(entry, s)) => PhaseKind::Blocked,
        Phase::Creating { .. } => PhaseKind::Creating,
        Phase::Ready if has_moved(snapshot, entry) => PhaseKind::Moved,
        Phase::Ready => PhaseKind::Ready,
        Phase::Failing => PhaseKind::Failing,
        Phase::Deleting { .. } => PhaseKind::Deleting,
        Phase::Unwanted { since } => {
            let waited = snapshot.now.as_second() - since.as_second();
            if waited > snapshot.settings.flight_seconds_max() { PhaseKind::UnwantedLong } else { PhaseKind::Unwanted }
        }
        Phase::Stuck => PhaseKind::Stuck,
        Phase::Gone { .. } => {
            // History speaks of one stack only; of another, nothing is known.
            let another = snapshot.stack().is_some_and(|s| s.request() != entry.accepted.as_ref().map(|a| a.request.clone()));
            if another { PhaseKind::New } else { PhaseKind::Gone }
        }
    }
}

/// Whether a standing cluster has another login address than the reported one. While a stack is updating, its outputs may be
/// stale.
fn has_moved(snapshot: &Snapshot<'_>, entry: &Entry) -> bool {
    let stands = snapshot.stack().is_some_and(|s| s.status.state() == StackState::Available);
    stands && entry.login.as_ref().is_some_and(|reported| reported != snapshot.login().unwrap_or_default())
}

/// Whether a stack of ours is not the one that is being made, but an earlier request's.
pub fn is_in_the_way(entry: &Entry, stack: &Stack) -> bool {
    let made_for = stack.request();
    matches!(entry.phase, Phase::Creating { .. }) && entry.accepted.as_ref().is_some_and(|a| made_for.as_ref() != Some(&a.request))
}

/// Where a request differs from the living cluster.
pub fn differences(snapshot: &Snapshot<'_>, entry: &Entry, choices: &Choices) -> Vec<Difference> {
    let living = ClusterParameters::of(snapshot, entry);
    // An older version let several spellings of one number through.
    let one =
        |name: &str, value: &str| snapshot.settings.template.parameters.get(name).map_or_else(|| value.to_owned(), |p| p.canonical(value));
    let differing = |name: &String| {
        let (has, asked) = (living.value(name).unwrap_or_default(), snapshot.settings.effective(choices, name).unwrap_or_default());
        let (has, asked) = (one(name, has), one(name, asked));
        (has != asked && !living.leaves_out(choices, name)).then(|| Difference { parameter: name.clone(), has, asked })
    };
    snapshot.settings.template.metadata.user_parameters.iter().filter_map(differing).collect()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "create {} · delete {} · {} · stack {}", self.create, self.delete, self.phase, self.stack)
    }
}
