//! What was touched: every query and every effect, as the key or the stack that it concerns.

use std::any::TypeId;

use cf_core::effect::Effect;
use cf_core::first_hour;
use cf_core::ledger;
use cf_core::ledger_cache;

use crate::calls::Lookup;
use crate::world::State;

/// A query that was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The type of the query.
    kind: TypeId,
    /// The key or the stack that it concerns.
    pub touches: String,
}

impl Asked {
    /// What a query is recorded as.
    pub fn of<Q: Lookup>(query: &Q) -> Self {
        Self { kind: TypeId::of::<Q>(), touches: query.touches() }
    }

    /// Whether it was of this type.
    pub fn is<Q: Lookup>(&self) -> bool {
        self.kind == TypeId::of::<Q>()
    }
}

impl State {
    /// The keys (`home/…`, `customizer/…`, `ledger/…`), stacks (`stack/…`) and clusters of mails (`mail/…`) that were read, written or
    /// asked for.
    pub fn touched(&self) -> Vec<String> {
        let stack = |name: Option<&str>| format!("stack/{}", name.unwrap_or_default());
        let read = self.asked.iter().map(|asked| asked.touches.clone());
        let written = self.effects.iter().map(|effect| match effect {
            Effect::WriteLedger { user, .. } => ledger::key(user),
            Effect::CreateStack(new) => stack(Some(new.name.as_str())),
            Effect::DeleteStack { id } => stack(id.name()),
            Effect::WriteStatus { .. }
            | Effect::WriteAnswer { .. }
            | Effect::RemoveAnswer { .. }
            | Effect::RemoveUpload { .. }
            | Effect::WriteProbe => effect.file().unwrap_or_default().to_owned(),
            Effect::SendMail(mail) => format!("mail/{}", mail.cluster),
            Effect::WriteLedgerCache(_) => ledger_cache::KEY.to_owned(),
            Effect::WriteFirstHour { .. } => first_hour::KEY.to_owned(),
        });
        read.chain(written).collect()
    }
}
