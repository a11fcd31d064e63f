//! Reading a look into one row of the table: which create, which delete, which phase, which stack.

use std::cmp::Ordering;
use std::fmt;

use crate::body::Choices;
use crate::facts::{Facts, StackSeen, Upload};
use crate::key::Verb;
use crate::ledger::{Entry, Phase};
use crate::living::Living;
use crate::message::{Difference, Problem};
use crate::order;
use crate::stack::{Stack, StackState, StackStatus};

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

macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }
        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The word for tables and logs.
            pub const fn word(self) -> &'static str { match self { $(Self::$variant => $word),* } }
        }
    };
}

listed! {
    /// A create, as it relates to what is there.
    CreateAsk {
        /// No create.
        None = "none",
        /// One whose request has its final answer; only the upload is still there.
        Settled = "settled",
        /// One that breaks the rules.
        Broken = "broken",
        /// One that came late: a delete as young or younger was answered before.
        Outlived = "outlived by a delete",
        /// The one that the cluster was made for, or one that has joined it.
        Own = "own",
        /// One with nothing to compare it with.
        Fresh = "fresh",
        /// Another one, with the living cluster's parameters.
        Same = "same",
        /// Another one, with other parameters.
        Other = "other",
    }
}

listed! {
    /// A delete, as it relates to the create at hand.
    DeleteAsk {
        /// No delete.
        None = "none",
        /// One whose request has its final answer.
        Settled = "settled",
        /// A new one, while too many wait already.
        Surplus = "one too many",
        /// A new one, later than the create at hand, or with none at hand.
        Asked = "asked",
        /// A new one that came late: what lives was asked for since.
        Late = "late",
        /// A new one, and a later create has overtaken it.
        Overtaken = "overtaken",
        /// The accepted one, later than the create at hand, or with none at hand.
        Own = "own",
        /// The accepted one, and a later create waits for its end.
        OwnAwaited = "own, a create waits",
    }
}

listed! {
    /// A phase of the ledger, without its times.
    PhaseKind {
        /// Nothing was accepted.
        New = "new",
        /// A create was accepted.
        Creating = "creating",
        /// The same, and a stack bears its name that was made for an earlier request and given up: it arrived late.
        Blocked = "creating, an old stack in the way",
        /// The cluster stands, and its user knows.
        Ready = "ready",
        /// The same, and its stack tells another login address than the one that its user knows.
        Moved = "ready, at another address",
        /// The creation failed, and its user knows.
        Failing = "failing",
        /// A delete was accepted.
        Deleting = "deleting",
        /// A delete was accepted while a create is on its way.
        Unwanted = "unwanted",
        /// The same, so long ago that the create cannot arrive any more.
        UnwantedLong = "unwanted long ago",
        /// The stack could not be deleted.
        Stuck = "stuck",
        /// It is over.
        Gone = "gone",
    }
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
}

impl StackKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Absent, Self::Foreign].into_iter().chain(StackStatus::ALL.iter().copied().map(Self::Ours))
    }

    /// What it means: `None` for a foreign one. No stack and a deleted one mean the same.
    pub const fn state(self) -> Option<StackState> {
        match self {
            Self::Absent => Some(StackState::Gone),
            Self::Foreign => None,
            Self::Ours(status) => Some(status.state()),
        }
    }

    /// The word for tables and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Foreign => "not ours",
            Self::Ours(status) => status.as_str(),
        }
    }
}

/// The uploads that the row speaks of.
#[derive(Debug, Clone, Default)]
pub struct Chosen<'a> {
    /// The create at hand, where its upload is there.
    pub create: Option<&'a Upload>,
    /// What it asks for, once it was read and found good.
    pub choices: Choices,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// The delete at hand, where its upload is there.
    pub delete: Option<&'a Upload>,
}

/// Reads a look into its row.
pub fn read<'a>(facts: &'a Facts<'_>) -> (Row, Chosen<'a>) {
    let entry = facts.entry();
    let mut chosen = Chosen::default();
    let stack = match &facts.stack {
        StackSeen::Absent => StackKind::Absent,
        StackSeen::Foreign => StackKind::Foreign,
        StackSeen::Ours(stack) => StackKind::Ours(stack.status),
    };
    let phase = phase(facts, &entry);
    let create = read_create(facts, &entry, phase, stack, &mut chosen);
    let delete = read_delete(facts, &entry, &mut chosen);
    (Row { create, delete, phase, stack }, chosen)
}

fn phase(facts: &Facts<'_>, entry: &Entry) -> PhaseKind {
    match entry.phase {
        Phase::New => PhaseKind::New,
        Phase::Creating { .. } if facts.stack().is_some_and(|s| is_in_the_way(entry, s)) => PhaseKind::Blocked,
        Phase::Creating { .. } => PhaseKind::Creating,
        Phase::Ready if has_moved(facts, entry) => PhaseKind::Moved,
        Phase::Ready => PhaseKind::Ready,
        Phase::Failing => PhaseKind::Failing,
        Phase::Deleting { .. } => PhaseKind::Deleting,
        Phase::Unwanted { since } => {
            let waited = facts.now.as_second() - since.as_second();
            if waited > facts.site.flight_seconds_max() { PhaseKind::UnwantedLong } else { PhaseKind::Unwanted }
        }
        Phase::Stuck => PhaseKind::Stuck,
        Phase::Gone { .. } => {
            // History speaks of one stack only; of another, nothing is known.
            let another = facts.stack().is_some_and(|s| s.request() != entry.accepted.as_ref().map(|a| a.request.clone()));
            if another { PhaseKind::New } else { PhaseKind::Gone }
        }
    }
}

/// Whether a cluster that stands has another login address than was told. Of what is being changed the outputs are still the
/// old ones, or half of each.
fn has_moved(facts: &Facts<'_>, entry: &Entry) -> bool {
    let stands = facts.stack().is_some_and(|s| s.status.state() == StackState::Standing);
    stands && entry.login.as_ref().is_some_and(|told| told != facts.login().unwrap_or_default())
}

/// Whether a stack of ours is not the one that is being made, but an earlier request's.
pub fn is_in_the_way(entry: &Entry, stack: &Stack) -> bool {
    let made_for = stack.request();
    matches!(entry.phase, Phase::Creating { .. }) && entry.accepted.as_ref().is_some_and(|a| made_for.as_ref() != Some(&a.request))
}

/// The oldest of the uploads of a verb that `wanted` picks. One that is answered, and perhaps cannot be removed, keeps nobody
/// waiting: each plan ends with an attempt at its removal.
fn oldest<'a>(facts: &'a Facts<'_>, verb: Verb, wanted: impl Fn(&Upload) -> bool) -> Option<&'a Upload> {
    let is_wanted = |u: &&Upload| u.key.verb == verb && !facts.is_left_over(u) && wanted(u);
    facts.uploads.iter().filter(is_wanted).min_by_key(|u| (u.modified, &u.key))
}

/// Whether nothing is under way, so that there is nothing to share in.
pub const fn is_idle(entry: &Entry) -> bool {
    matches!(entry.phase, Phase::New | Phase::Gone { .. })
}

/// Whether an upload shares in what is under way.
fn is_joined(entry: &Entry, upload: &Upload) -> bool {
    let is_accepted = || entry.accepted.as_ref().is_some_and(|a| a.request == upload.request);
    !is_idle(entry) && (is_accepted() || entry.open.iter().any(|o| o.joined && o.request == upload.request))
}

fn read_create<'a>(facts: &'a Facts<'_>, entry: &Entry, phase: PhaseKind, stack: StackKind, chosen: &mut Chosen<'a>) -> CreateAsk {
    if let Some(upload) = oldest(facts, Verb::Create, |u| entry.has_answered(&u.request)) {
        chosen.create = Some(upload);
        return CreateAsk::Settled;
    }
    // One too many is not noted, so nothing would come back for it: it is answered before anything else.
    if let Some(upload) = oldest(facts, Verb::Create, |u| entry.is_crowded_for(&u.key)) {
        chosen.create = Some(upload);
        chosen.problems = vec![Problem::Crowded { key: upload.key.clone() }];
        return CreateAsk::Broken;
    }
    // New ones first: they want something, while the joined ones are looked after by every pass.
    if let Some(upload) = oldest(facts, Verb::Create, |u| !is_joined(entry, u)) {
        chosen.create = Some(upload);
        let made_for = facts.stack().and_then(Stack::request);
        if made_for.as_ref() == Some(&upload.request) {
            return CreateAsk::Own;
        }
        if entry.has_outlived(&facts.wish(entry, upload)) {
            return CreateAsk::Outlived;
        }
        return match judge(facts, entry, upload) {
            Ok(choices) => compare(facts, entry, phase, stack, choices, chosen),
            Err(problems) => {
                chosen.problems = problems;
                CreateAsk::Broken
            }
        };
    }
    chosen.create = oldest(facts, Verb::Create, |_| true);
    let is_shared = !is_idle(entry) && entry.joined(Verb::Create).next().is_some();
    if chosen.create.is_some() || is_shared { CreateAsk::Own } else { CreateAsk::None }
}

/// Whether a create may still have to meet the rules: one that has its answer, or shares in what is under way, has met them.
pub fn is_to_be_judged(entry: &Entry, upload: &Upload) -> bool {
    upload.key.verb == Verb::Create && !entry.has_answered(&upload.request) && !is_joined(entry, upload)
}

/// The rules, for a create that is not our own earlier attempt.
fn judge(facts: &Facts<'_>, entry: &Entry, upload: &Upload) -> Result<Choices, Vec<Problem>> {
    if entry.is_told_everywhere_but(&upload.key) {
        return Err(vec![Problem::Spread { key: upload.key.clone() }]);
    }
    let mut problems = if facts.profile.has_script { Vec::new() } else { vec![no_profile(facts)] };
    match order::read(&upload.body, facts.site) {
        Ok(choices) if problems.is_empty() => Ok(choices),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn no_profile(facts: &Facts<'_>) -> Problem {
    Problem::NoProfile { user: facts.cluster.user.clone(), others: facts.profile.others().cloned() }
}

fn compare(facts: &Facts<'_>, entry: &Entry, phase: PhaseKind, stack: StackKind, choices: Choices, chosen: &mut Chosen<'_>) -> CreateAsk {
    let is_over = matches!(phase, PhaseKind::New | PhaseKind::Gone) && matches!(stack.state(), None | Some(StackState::Gone));
    let is_the_same_wish = phase != PhaseKind::New && entry.accepted.as_ref().is_some_and(|a| a.parameters == choices);
    let same = is_the_same_wish || differences(facts, entry, &choices).is_empty();
    chosen.choices = choices;
    match (is_over, same) {
        (true, _) => CreateAsk::Fresh,
        (false, true) => CreateAsk::Same,
        (false, false) => CreateAsk::Other,
    }
}

/// Where an order differs from the living cluster.
pub fn differences(facts: &Facts<'_>, entry: &Entry, choices: &Choices) -> Vec<Difference> {
    let living = Living::of(facts, entry);
    // An older version let several spellings of one number through.
    let one = |name: &str, value: &str| facts.site.template.parameters.get(name).map_or_else(|| value.to_owned(), |p| p.canonical(value));
    let differing = |name: &String| {
        let (has, asked) = (living.value(name).unwrap_or_default(), facts.site.effective(choices, name).unwrap_or_default());
        let (has, asked) = (one(name, has), one(name, asked));
        (has != asked && !living.leaves_out(choices, name)).then(|| Difference { parameter: name.clone(), has, asked })
    };
    facts.site.template.metadata.user_parameters.iter().filter_map(differing).collect()
}

fn read_delete<'a>(facts: &'a Facts<'_>, entry: &Entry, chosen: &mut Chosen<'a>) -> DeleteAsk {
    if let Some(upload) = oldest(facts, Verb::Delete, |u| entry.has_answered(&u.request)) {
        chosen.delete = Some(upload);
        return DeleteAsk::Settled;
    }
    if let Some(upload) = oldest(facts, Verb::Delete, |u| entry.is_crowded_for(&u.key)) {
        chosen.delete = Some(upload);
        return DeleteAsk::Surplus;
    }
    // On the same second, where nothing else tells, the delete counts as the later: what it does costs nothing.
    let is_later =
        |create: &Upload, delete: &Upload| facts.wish(entry, create).order(&facts.wish(entry, delete)) == Some(Ordering::Greater);
    let create = chosen.create;
    let is_overtaken = |delete: &Upload| create.is_some_and(|create| is_later(create, delete));
    if let Some(upload) = oldest(facts, Verb::Delete, |u| !is_joined(entry, u)) {
        chosen.delete = Some(upload);
        if entry.has_overtaken(&facts.wish(entry, upload)) {
            return DeleteAsk::Late;
        }
        return if is_overtaken(upload) { DeleteAsk::Overtaken } else { DeleteAsk::Asked };
    }
    match oldest(facts, Verb::Delete, |_| true) {
        Some(upload) => {
            chosen.delete = Some(upload);
            if is_overtaken(upload) { DeleteAsk::OwnAwaited } else { DeleteAsk::Own }
        }
        // The upload of an accepted delete was withdrawn: the delete goes on, and a create that is there waits.
        None if entry.joined(Verb::Delete).next().is_some() => DeleteAsk::OwnAwaited,
        None => DeleteAsk::None,
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "create {} · delete {} · {} · stack {}", self.create.word(), self.delete.word(), self.phase.word(), self.stack.word())
    }
}
