//! The world behind `Observe` and `Execute`.

use std::collections::BTreeSet;

use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::{Fault, Kind};
use cf_core::first_hour::{self, PROBE, PROBE_TEXT};
use cf_core::key::HOME;
use cf_core::ledger;
use cf_core::profile::Profile;
use cf_core::question::{Listed, Object, Observe, Page, Question, Sight};
use cf_core::request::ETag;
use cf_core::seen::{self, Seen};
use cf_core::stack::StackStatus;

use crate::cloudformation::SimStack;
use crate::s3::{Bucket, Version};
use crate::world::{Spoil, State, When, World};

impl Observe for World {
    async fn observe(&self, question: Question) -> Result<Sight, Fault> {
        let mut state = self.state();
        state.questions.push(question.clone());
        state.answer(question)
    }
}

impl Execute for World {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        let mut state = self.state();
        // Part of no plan: what it may cost to lose it is put to the test by itself.
        if let Effect::WriteSeen(seen) = effect {
            return state.remember(seen);
        }
        let nth = state.effects.len();
        state.effects.push(effect.clone());
        let Some(Spoil { when, .. }) = state.spoil.filter(|s| s.nth == nth) else { return state.apply(effect, &self.site) };
        state.spoiled.push(effect.clone());
        if when == When::After {
            let _ = state.apply(effect, &self.site);
        }
        Err(Fault::new(Kind::Transient, "the call", "no answer came"))
    }
}

/// One page of a list. Only what is on it is made: some tests have long lists.
fn page<T, U>(items: impl Iterator<Item = T>, size: usize, token: Option<String>, make: impl Fn(T) -> U) -> Page<U> {
    let from: usize = token.and_then(|t| t.parse().ok()).unwrap_or(0);
    let mut rest = items.skip(from);
    let items = rest.by_ref().take(size).map(make).collect();
    Page { items, next: rest.next().map(|_| (from + size).to_string()) }
}

fn line((key, version): (&String, &Version)) -> Listed {
    Listed { key: key.clone(), etag: version.etag(), size: version.bytes.len() as u64, modified: version.modified }
}

fn object(version: &Version, body: bool) -> Object {
    let body = match (body, version.bytes.len()) {
        (false, _) => Body::Unread,
        (true, size) if size > BODY_BYTES_MAX => Body::TooLarge(size as u64),
        (true, _) => Body::Read(version.bytes.to_vec()),
    };
    Object { version: version.id.clone(), etag: version.etag(), modified: version.modified, body }
}

impl State {
    pub(crate) fn answer(&mut self, question: Question) -> Result<Sight, Fault> {
        let seen_at = self.now - self.lag;
        Ok(match question {
            Question::Ledger(user) => {
                let Some(version) = self.store.get(Bucket::System, &ledger::key(&user)) else { return Ok(Sight::Ledger(None)) };
                // One that cannot be read is no empty one.
                let read =
                    serde_json::from_slice(&version.bytes).map_err(|e| Fault::new(Kind::Transient, "s3:GetObject", e.to_string()))?;
                Sight::Ledger(Some((read, version.etag())))
            }
            Question::Upload { key, body } => match self.store.get(Bucket::User, &key) {
                Some(version) if version.is_withheld => return Err(Fault::new(Kind::Permanent, "s3:GetObject", "InvalidRequest: SSE-C")),
                version => Sight::Upload(version.map(|v| object(v, body))),
            },
            Question::Folder(prefix) => {
                // With a delimiter a deeper folder is one line, which takes its room on the page.
                let mut deeper = BTreeSet::new();
                let mut is_line = |key: &str| match key[prefix.len()..].find('/') {
                    Some(end) => deeper.insert(key[..prefix.len() + end].to_owned()),
                    None => true,
                };
                let lines: Vec<_> = self.store.list(Bucket::User, &prefix).filter(|(key, _)| is_line(key)).map(line).collect();
                let mut page = page(lines.into_iter(), self.pages.files, None, |l| l);
                page.items.retain(|l| !l.key[prefix.len()..].contains('/'));
                Sight::Folder(page)
            }
            Question::Listed(key) => Sight::Listed(self.store.list(Bucket::User, &key).next().filter(|(k, _)| **k == key).map(line)),
            // Nobody reads a state file that is too large to be ours.
            Question::Status(key) => Sight::Status(self.store.get(Bucket::User, &key).map(|v| match v.bytes.len() {
                0..=BODY_BYTES_MAX => (v.bytes.to_vec(), v.etag()),
                _ => (Vec::new(), v.etag()),
            })),
            Question::Profile(user) => Sight::Profile(self.profile(&format!("customizer/{user}/configure.d/"))),
            Question::StackNamed(name) => {
                if self.blind_looks > 0 {
                    self.blind_looks -= 1;
                    return Ok(Sight::Stack(None));
                }
                let living = |s: &SimStack| s.as_of(seen_at).filter(|s| s.status != StackStatus::DeleteComplete);
                Sight::Stack(self.stacks.all().iter().filter(|s| s.stack.id.name() == Some(name.as_str())).find_map(living).map(Box::new))
            }
            Question::Stack(id) => Sight::Stack(self.stacks.by_id(&id).and_then(|s| s.as_of(seen_at)).map(Box::new)),
            Question::Events(id, _) | Question::Resources(id, _) if self.stacks.by_id(&id).is_some_and(|s| s.is_unreadable) => {
                return Err(Fault::new(Kind::Permanent, "cloudformation:DescribeStackEvents", "the answer cannot be parsed"));
            }
            Question::Events(id, token) => {
                let events = self.stacks.by_id(&id).map(|s| s.events.as_slice()).unwrap_or_default();
                Sight::Events(page(events.iter().rev(), self.pages.events, token, Clone::clone))
            }
            Question::Resources(..) => {
                Sight::Resources(Page { items: vec!["CREATE_COMPLETE".into(), "CREATE_IN_PROGRESS".into()], next: None })
            }
            Question::Ledgers(token) => {
                let all = self.store.list(Bucket::System, ledger::PREFIX);
                Sight::Ledgers(page(all, self.pages.keys, token, |(k, v)| (k.clone(), v.etag())))
            }
            Question::Stacks(token) => {
                let living = |s: &&SimStack| s.status_at(seen_at).is_some_and(|status| status != StackStatus::DeleteComplete);
                let all = self.stacks.all().iter().filter(living);
                Sight::Stacks(page(all, self.pages.stacks, token, |s| s.as_of(seen_at).unwrap_or_else(|| s.stack.clone())))
            }
            Question::Seen if self.cache_lost => return Err(Fault::new(Kind::Transient, "s3:GetObject", "no answer came")),
            Question::Seen => Sight::Seen(self.store.get(Bucket::System, seen::KEY).map(|v| v.bytes.to_vec())),
            Question::FirstHour => Sight::FirstHour(self.store.get(Bucket::System, first_hour::KEY).map(|v| (v.bytes.to_vec(), v.etag()))),
            Question::Homes(after) => {
                let mut rest = self.store.list(Bucket::User, HOME).filter(|(key, _)| **key > after);
                let items: Vec<_> = rest.by_ref().take(self.pages.keys).map(|(k, v)| (k.clone(), v.modified)).collect();
                let next = rest.next().and_then(|_| items.last().map(|(key, _)| key.clone()));
                Sight::Homes(Page { items, next })
            }
        })
    }

    /// As S3 lists it with a delimiter: whatever is in a folder is one line.
    fn profile(&self, prefix: &str) -> Profile {
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
    fn remember(&mut self, seen: &Seen) -> Result<Option<ETag>, Fault> {
        self.remembered += 1;
        if self.cache_lost {
            return Err(Fault::new(Kind::Transient, "s3:PutObject", "no answer came"));
        }
        let now = self.now;
        Ok(Some(self.store.put(Bucket::System, seen::KEY, &seen.bytes(), now)))
    }

    pub(crate) fn apply(&mut self, effect: &Effect, site: &cf_core::site::Site) -> Result<Option<ETag>, Fault> {
        let now = self.now;
        self.watch(effect, site);
        match effect {
            Effect::WriteLedger { user, ledger, expect } => {
                let bytes = serde_json::to_vec(ledger).map_err(|e| Fault::new(Kind::Permanent, "s3:PutObject", e.to_string()))?;
                self.store.put_if(Bucket::System, &ledger::key(user), &bytes, expect, now).map(Some)
            }
            Effect::CreateStack(new) => self.stacks.create(new, site.template, now).map(|_| None),
            Effect::DeleteStack { id } => self.stacks.delete(id, now).map(|()| None),
            Effect::WriteStatus { key, status, expect } => {
                self.store.put_if(Bucket::User, key, status.text().as_bytes(), expect, now).map(Some)
            }
            Effect::WriteAnswer { key, message, expect } => {
                let etag = self.store.put_if(Bucket::User, key, message.to_string().as_bytes(), expect, now)?;
                self.note_answer(key);
                Ok(Some(etag))
            }
            Effect::RemoveAnswer { key, etag } | Effect::RemoveUpload { key, etag } => {
                self.store.delete_if(Bucket::User, key, etag).map(|()| None)
            }
            Effect::SendMail(_) if !self.mail_works => {
                Err(Fault::new(Kind::Transient, "ses:SendEmail", "Throttling: Daily message quota exceeded"))
            }
            Effect::SendMail(mail) => {
                self.mails.push(mail.clone());
                Ok(None)
            }
            Effect::WriteSeen(seen) => self.remember(seen),
            Effect::WriteFirstHour { record, expect } => {
                self.store.put_if(Bucket::System, first_hour::KEY, &record.bytes(), expect, now).map(Some)
            }
            Effect::WriteProbe => Ok(Some(self.store.put(Bucket::User, PROBE, PROBE_TEXT.as_bytes(), now))),
        }
    }
}
