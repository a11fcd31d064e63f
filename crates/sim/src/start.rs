//! Where a world may begin: what lies there of a create and a delete, beside phase and stack. The reference for triage and
//! table: each start has the one situation that a first round must find in it.

use std::fmt;
use std::sync::OnceLock;

use cf_core::decide::state::{CreateAsk, DeleteAsk, PhaseKind, StackKind};
use cf_core::decide::{Row, Situation};
use cf_core::key::Verb;
use strum::VariantArray;

use crate::build;

/// What a world begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// The create that is there.
    pub create: CreateStart,
    /// The delete that is there.
    pub delete: DeleteStart,
    /// The ledger's phase.
    pub phase: PhaseKind,
    /// The stack.
    pub stack: StackKind,
}

/// A create that lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, VariantArray, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum CreateStart {
    /// None.
    None,
    /// Its request has its final answer.
    Settled,
    /// It breaks the rules.
    Invalid,
    /// A delete as young or younger was answered before.
    Superseded,
    /// The cluster was made for it, or it shares in that.
    Own,
    /// There is nothing to compare it with.
    Fresh,
    /// Another one, with the living cluster's parameters.
    Same,
    /// Another one, with other parameters.
    Other,
}

/// A delete that lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, VariantArray, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum DeleteStart {
    /// None.
    None,
    /// Its request has its final answer.
    Settled,
    /// A new one, while as many wait as may.
    TooMany,
    /// A new one, later than the create.
    Asked,
    /// A new one that the accepted create supersedes: what lives was asked for since.
    SupersededBefore,
    /// A new one, and a later create is there.
    Superseded,
    /// The accepted one, later than the create.
    Own,
    /// The accepted one, and a later create waits for its end.
    OwnAwaited,
}

impl Start {
    /// The situation that a first round must find: the first of these that holds.
    pub fn situation(&self) -> Situation {
        if self.create == CreateStart::Settled || self.delete == DeleteStart::Settled {
            return Situation::Settled;
        }
        let create = match self.create {
            CreateStart::Settled | CreateStart::None => CreateAsk::None,
            // In a crowd of deletes there is no room for the create either; one of creates has noted it.
            CreateStart::Invalid if self.delete == DeleteStart::TooMany && self.phase == PhaseKind::Deleting => {
                return Situation::TooMany(Verb::Create);
            }
            CreateStart::Invalid => return Situation::Invalid,
            CreateStart::Superseded => return Situation::CreateSuperseded,
            CreateStart::Own => CreateAsk::Own,
            CreateStart::Fresh => CreateAsk::Fresh,
            CreateStart::Same => CreateAsk::Same,
            CreateStart::Other => CreateAsk::Other,
        };
        let delete = match self.delete {
            DeleteStart::Settled | DeleteStart::None => DeleteAsk::None,
            DeleteStart::TooMany => return Situation::TooMany(Verb::Delete),
            DeleteStart::SupersededBefore => return Situation::DeleteSuperseded,
            DeleteStart::Asked => DeleteAsk::Asked,
            DeleteStart::Superseded => DeleteAsk::Superseded,
            DeleteStart::Own => DeleteAsk::Own,
            DeleteStart::OwnAwaited => DeleteAsk::OwnAwaited,
        };
        Situation::Contest(Row { create, delete, phase: self.phase, stack: self.stack })
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "create {} · delete {} · {} · stack {}", self.create, self.delete, self.phase, self.stack)
    }
}

/// Every start that can exist.
pub fn possible() -> &'static [Start] {
    static STARTS: OnceLock<Vec<Start>> = OnceLock::new();
    STARTS.get_or_init(|| all().filter(|start| build::why_not(start).is_none()).collect())
}

/// Every start, whether it can exist or not.
pub fn all() -> impl Iterator<Item = Start> {
    CreateStart::VARIANTS.iter().flat_map(|&create| {
        DeleteStart::VARIANTS.iter().flat_map(move |&delete| {
            PhaseKind::VARIANTS.iter().flat_map(move |&phase| StackKind::all().map(move |stack| Start { create, delete, phase, stack }))
        })
    })
}
