//! The world behind `Observe` and `Execute`.

use cf_core::effect::{Effect, Execute};
use cf_core::fault::{Call, Fault, Kind};
use cf_core::first_hour::{self, PROBE, PROBE_TEXT};
use cf_core::ledger;
use cf_core::ledger_cache::{self, LedgerCache};
use cf_core::observe::{Query, RunQuery};
use cf_core::profile::Profile;
use cf_core::request::ETag;

use crate::s3::{Bucket, Written};
use crate::touch::Asked;
use crate::world::{FaultTiming, InjectedFault, State, World};

/// A query that a world in memory answers.
pub trait Lookup: Query {
    /// The answer.
    fn look_up(self, state: &mut State) -> Result<Self::Output, Fault>;

    /// The key (`home/…`, `customizer/…`, `ledger/…`) or the stack (`stack/…`) that it concerns.
    fn touches(&self) -> String;
}

impl<Q: Lookup> RunQuery<Q> for World {
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        let mut state = self.state();
        state.asked.push(Asked::of(&query));
        query.look_up(&mut state)
    }
}

impl Execute for World {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let mut state = self.state();
        // Part of no plan: what it may cost to lose it is put to the test by itself.
        if let Effect::WriteLedgerCache(seen) = effect {
            return state.remember(seen);
        }
        let nth = state.effects.len();
        state.effects.push(effect.clone());
        let Some(InjectedFault { when, .. }) = state.spoil.filter(|s| s.nth == nth) else { return state.apply(effect, &self.settings) };
        state.faulted_effects.push(effect.clone());
        if when == FaultTiming::After {
            let _ = state.apply(effect, &self.settings);
        }
        Err(Fault::new(Kind::Retry, Call::Unnamed, "no answer came"))
    }
}

impl State {
    /// As S3 lists it with a delimiter: whatever is in a folder is one line.
    pub(crate) fn profile(&self, prefix: &str) -> Profile {
        let (mut profile, mut last_folder) = (Profile::default(), String::new());
        for (key, version) in self.store.list(Bucket::Customizer, prefix) {
            let name = &key[prefix.len()..];
            match name.split_once('/') {
                None => profile.note(name, version.bytes.len() as u64),
                Some((folder, _)) if folder == last_folder => {}
                Some((folder, _)) => {
                    profile.note(&format!("{folder}/"), 0);
                    folder.clone_into(&mut last_folder);
                }
            }
        }
        profile
    }

    /// Keeps what a sweep has seen, unless that goes wrong.
    fn remember(&mut self, seen: &LedgerCache) -> Result<Option<ETag>, Fault> {
        self.remembered += 1;
        if self.cache_lost {
            return Err(Fault::new(Kind::Retry, Call::PutObject, "no answer came"));
        }
        let now = self.now;
        Ok(Some(self.store.put(Bucket::System, ledger_cache::KEY, &seen.bytes(), now)))
    }

    pub(crate) fn apply(&mut self, effect: &Effect, settings: &cf_core::settings::Settings) -> Result<Option<ETag>, Fault> {
        let now = self.now;
        self.watch(effect, settings);
        match effect {
            Effect::WriteLedger { user, ledger, expect } => {
                let bytes = serde_json::to_vec(ledger).map_err(|e| Fault::new(Kind::Rejected, Call::PutObject, e.to_string()))?;
                self.store.put_if(Bucket::System, &ledger::key(user), &bytes, expect, now).map(Some)
            }
            Effect::CreateStack(new) => self.stacks.create(new, settings.template, now).map(|_| None),
            Effect::DeleteStack { id } => self.stacks.delete(id, now).map(|()| None),
            Effect::WriteStatus { key, status, expect } => {
                let etag = self.store.put_if(Bucket::User, key, status.text().as_bytes(), expect, now)?;
                self.store.keep(key, Written::Status(status.message.clone()));
                Ok(Some(etag))
            }
            Effect::WriteAnswer { key, message, expect } => {
                let etag = self.store.put_if(Bucket::User, key, message.to_string().as_bytes(), expect, now)?;
                self.store.keep(key, Written::Answer(message.clone()));
                self.note_answer(key);
                Ok(Some(etag))
            }
            Effect::RemoveAnswer { key, etag } => self.store.delete_if(Bucket::User, key, etag).map(|()| None),
            Effect::RemoveUpload { key, etag } => self.store.delete_if(Bucket::User, key, etag).map(|()| None),
            Effect::SendMail(_) if !self.mail_works => {
                Err(Fault::new(Kind::Retry, Call::SendEmail, "Throttling: Daily message quota exceeded"))
            }
            Effect::SendMail(mail) => {
                self.mails.push(mail.clone());
                Ok(None)
            }
            Effect::WriteLedgerCache(seen) => self.remember(seen),
            Effect::WriteFirstHour { record, expect } => {
                self.store.put_if(Bucket::System, first_hour::KEY, &record.bytes(), expect, now).map(Some)
            }
            Effect::WriteProbe => Ok(Some(self.store.put(Bucket::User, PROBE, PROBE_TEXT.as_bytes(), now))),
        }
    }
}
