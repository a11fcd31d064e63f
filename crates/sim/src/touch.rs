//! What was touched: every question and every effect, as the key or the stack that it concerns.

use cf_core::effect::Effect;
use cf_core::first_hour;
use cf_core::key::HOME;
use cf_core::ledger;
use cf_core::question::Question;
use cf_core::seen;

use crate::world::State;

impl State {
    /// The keys (`home/…`, `customizer/…`, `ledger/…`) and stacks (`stack/…`) that were read, written or asked for.
    pub fn touched(&self) -> Vec<String> {
        let stack = |name: Option<&str>| format!("stack/{}", name.unwrap_or_default());
        let read = self.questions.iter().map(|question| match question {
            Question::Ledger(user) => ledger::key(user),
            Question::Upload { key, .. } | Question::Folder(key) | Question::Listed(key) | Question::Status(key) => key.clone(),
            Question::Profile(user) => format!("customizer/{user}/configure.d/"),
            Question::StackNamed(name) => stack(Some(name.as_str())),
            Question::Stack(id) | Question::Events(id, _) | Question::Resources(id, _) => stack(id.name()),
            Question::Ledgers(_) => ledger::PREFIX.to_owned(),
            Question::Stacks(_) => "stack/".to_owned(),
            Question::Seen => seen::KEY.to_owned(),
            Question::FirstHour => first_hour::KEY.to_owned(),
            Question::Homes(_) => HOME.to_owned(),
        });
        let written = self.effects.iter().map(|effect| match effect {
            Effect::WriteLedger { user, .. } => ledger::key(user),
            Effect::CreateStack(new) => stack(Some(new.name.as_str())),
            Effect::DeleteStack { id } => stack(id.name()),
            Effect::WriteStatus { key, .. }
            | Effect::WriteAnswer { key, .. }
            | Effect::RemoveAnswer { key, .. }
            | Effect::RemoveUpload { key, .. } => key.clone(),
            Effect::SendMail(mail) => format!("mail/{}", mail.subject()),
            Effect::WriteSeen(_) => seen::KEY.to_owned(),
            Effect::WriteFirstHour { .. } => first_hour::KEY.to_owned(),
            Effect::WriteProbe => first_hour::PROBE.to_owned(),
        });
        read.chain(written).collect()
    }
}
