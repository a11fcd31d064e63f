//! What a world in memory answers to each query.

use std::collections::BTreeSet;

use cf_core::body::{BODY_BYTES_MAX, Body};
use cf_core::causes::StackEvent;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::first_hour;
use cf_core::key::HOME;
use cf_core::ledger::{self, Ledger};
use cf_core::ledger_cache;
use cf_core::node_report;
use cf_core::observe::query::{
    FindObject, FindRecord, ListEvents, ListFolder, ListHomes, ListLedgers, ListReports, ListResources, ListStacks, ReadFirstHour,
    ReadLedger, ReadLedgerCache, ReadProfile, ReadReport, ReadStatus, ReadUpload, StackById, StackByName,
};
use cf_core::observe::{Listed, Object, Page};
use cf_core::profile::Profile;
use cf_core::request::ETag;
use cf_core::stack::{ResourceStatus, Stack, StackId, StackStatus};
use jiff::Timestamp;

use crate::calls::Lookup;
use crate::cloudformation::SimStack;
use crate::s3::{Bucket, Version};
use crate::world::State;

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

fn object(version: &Version, body: bool, most: usize) -> Object {
    let body = match (body, version.bytes.len()) {
        (false, _) => Body::Unread,
        (true, size) if size > most => Body::TooLarge(size as u64),
        (true, _) => Body::Read(version.bytes.to_vec()),
    };
    Object { version: version.id.clone(), etag: version.etag(), modified: version.modified, body }
}

fn stack_key(name: Option<&str>) -> String {
    format!("stack/{}", name.unwrap_or_default())
}

impl Lookup for ReadLedger {
    fn look_up(self, state: &mut State) -> Result<Option<(Ledger, ETag)>, Fault> {
        let Some(version) = state.store.get(Bucket::System, &ledger::key(&self.0)) else { return Ok(None) };
        // One that cannot be read is no empty one.
        let read = serde_json::from_slice(&version.bytes).map_err(|e| Fault::new(Kind::Retry, Call::GetObject, e.to_string()))?;
        Ok(Some((read, version.etag())))
    }

    fn touches(&self) -> String {
        ledger::key(&self.0)
    }
}

impl Lookup for ReadUpload {
    fn look_up(self, state: &mut State) -> Result<Option<Object>, Fault> {
        match state.store.get(Bucket::User, &self.key) {
            Some(version) if version.is_withheld => Err(Fault::new(Kind::Rejected, Call::GetObject, "InvalidRequest: SSE-C")),
            version => Ok(version.map(|v| object(v, self.body, BODY_BYTES_MAX))),
        }
    }

    fn touches(&self) -> String {
        self.key.clone()
    }
}

impl Lookup for ListFolder {
    /// With a delimiter a deeper folder is one line, which takes its room on the page.
    fn look_up(self, state: &mut State) -> Result<Page<Listed>, Fault> {
        let prefix = self.0;
        let mut deeper = BTreeSet::new();
        let mut is_line = |key: &str| match key[prefix.len()..].find('/') {
            Some(end) => deeper.insert(key[..prefix.len() + end].to_owned()),
            None => true,
        };
        let lines: Vec<_> = state.store.list(Bucket::User, &prefix).filter(|(key, _)| is_line(key)).map(line).collect();
        let mut page = page(lines.into_iter(), state.pages.files, None, |l| l);
        page.items.retain(|l| !l.key[prefix.len()..].contains('/'));
        Ok(page)
    }

    fn touches(&self) -> String {
        self.0.clone()
    }
}

impl Lookup for FindObject {
    fn look_up(self, state: &mut State) -> Result<Option<Listed>, Fault> {
        Ok(state.store.list(Bucket::User, &self.0).next().filter(|(key, _)| **key == self.0).map(line))
    }

    fn touches(&self) -> String {
        self.0.clone()
    }
}

impl Lookup for ReadStatus {
    /// Nobody reads a status file that is too large to be ours.
    fn look_up(self, state: &mut State) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        Ok(state.store.get(Bucket::User, &self.0).map(|v| match v.bytes.len() {
            0..=BODY_BYTES_MAX => (v.bytes.to_vec(), v.etag()),
            _ => (Vec::new(), v.etag()),
        }))
    }

    fn touches(&self) -> String {
        self.0.to_string()
    }
}

impl Lookup for ReadProfile {
    fn look_up(self, state: &mut State) -> Result<Profile, Fault> {
        Ok(state.profile(&self.touches()))
    }

    fn touches(&self) -> String {
        format!("customizer/{}/configure.d/", self.0)
    }
}

impl Lookup for StackByName {
    fn look_up(self, state: &mut State) -> Result<Option<Box<Stack>>, Fault> {
        if state.hidden_lookups > 0 {
            state.hidden_lookups -= 1;
            return Ok(None);
        }
        let seen_at = state.now - state.lag;
        let living = |s: &SimStack| s.as_of(seen_at).filter(|s| s.status != StackStatus::DeleteComplete);
        Ok(state.stacks.all().iter().filter(|s| s.stack.id.name() == Some(self.0.as_str())).find_map(living).map(Box::new))
    }

    fn touches(&self) -> String {
        stack_key(Some(self.0.as_str()))
    }
}

impl Lookup for StackById {
    fn look_up(self, state: &mut State) -> Result<Option<Box<Stack>>, Fault> {
        Ok(state.stacks.by_id(&self.0).and_then(|s| s.as_of(state.now - state.lag)).map(Box::new))
    }

    fn touches(&self) -> String {
        stack_key(self.0.name())
    }
}

/// The lists of a stack, where they can be parsed.
fn readable(state: &State, id: &StackId, call: Call) -> Result<(), Fault> {
    if state.stacks.by_id(id).is_some_and(|s| s.is_unreadable) {
        return Err(Fault::new(Kind::Rejected, call, "the answer cannot be parsed"));
    }
    Ok(())
}

impl Lookup for ListEvents {
    fn look_up(self, state: &mut State) -> Result<Page<StackEvent>, Fault> {
        readable(state, &self.stack, Call::DescribeStackEvents)?;
        let events = state.stacks.by_id(&self.stack).map(|s| s.events.as_slice()).unwrap_or_default();
        Ok(page(events.iter().rev(), state.pages.events, self.page, Clone::clone))
    }

    fn touches(&self) -> String {
        stack_key(self.stack.name())
    }
}

impl Lookup for ListResources {
    fn look_up(self, state: &mut State) -> Result<Page<ResourceStatus>, Fault> {
        readable(state, &self.stack, Call::ListStackResources)?;
        Ok(Page { items: vec![ResourceStatus::CreateComplete, ResourceStatus::CreateInProgress], next: None })
    }

    fn touches(&self) -> String {
        stack_key(self.stack.name())
    }
}

impl Lookup for ListLedgers {
    fn look_up(self, state: &mut State) -> Result<Page<(String, ETag)>, Fault> {
        let all = state.store.list(Bucket::System, ledger::PREFIX);
        Ok(page(all, state.pages.keys, self.0, |(k, v)| (k.clone(), v.etag())))
    }

    fn touches(&self) -> String {
        ledger::PREFIX.to_owned()
    }
}

impl Lookup for ListStacks {
    fn look_up(self, state: &mut State) -> Result<Page<Stack>, Fault> {
        let seen_at = state.now - state.lag;
        let living = |s: &&SimStack| s.status_at(seen_at).is_some_and(|status| status != StackStatus::DeleteComplete);
        let all = state.stacks.all().iter().filter(living);
        Ok(page(all, state.pages.stacks, self.0, |s| s.as_of(seen_at).unwrap_or_else(|| s.stack.clone())))
    }

    fn touches(&self) -> String {
        stack_key(None)
    }
}

impl Lookup for ReadLedgerCache {
    fn look_up(self, state: &mut State) -> Result<Option<Vec<u8>>, Fault> {
        if state.cache_lost {
            return Err(Fault::new(Kind::Retry, Call::GetObject, "no answer came"));
        }
        Ok(state.store.get(Bucket::System, ledger_cache::KEY).map(|v| v.bytes.to_vec()))
    }

    fn touches(&self) -> String {
        ledger_cache::KEY.to_owned()
    }
}

impl Lookup for ReadFirstHour {
    fn look_up(self, state: &mut State) -> Result<Option<(Vec<u8>, ETag)>, Fault> {
        Ok(state.store.get(Bucket::System, first_hour::KEY).map(|v| (v.bytes.to_vec(), v.etag())))
    }

    fn touches(&self) -> String {
        first_hour::KEY.to_owned()
    }
}

impl Lookup for ListHomes {
    fn look_up(self, state: &mut State) -> Result<Page<(String, Timestamp)>, Fault> {
        let mut rest = state.store.list(Bucket::User, HOME).filter(|(key, _)| **key > self.0);
        let items: Vec<_> = rest.by_ref().take(state.pages.keys).map(|(k, v)| (k.clone(), v.modified)).collect();
        let next = rest.next().and_then(|_| items.last().map(|(key, _)| key.clone()));
        Ok(Page { items, next })
    }

    fn touches(&self) -> String {
        HOME.to_owned()
    }
}

impl Lookup for ListReports {
    /// With a delimiter, whatever is in a folder is one line of a listing, and no object.
    fn look_up(self, state: &mut State) -> Result<Page<Listed>, Fault> {
        let all = state.store.list(Bucket::System, &self.0).filter(|(key, _)| !key[self.0.len()..].contains('/'));
        Ok(page(all, state.pages.files, None, line))
    }

    fn touches(&self) -> String {
        self.0.clone()
    }
}

impl Lookup for ReadReport {
    fn look_up(self, state: &mut State) -> Result<Option<Object>, Fault> {
        match state.store.get(Bucket::System, &self.0) {
            Some(version) if version.is_withheld => Err(Fault::new(Kind::Rejected, Call::GetObject, "InvalidRequest: SSE-C")),
            version => Ok(version.map(|v| object(v, true, node_report::BYTES_MAX))),
        }
    }

    fn touches(&self) -> String {
        self.0.clone()
    }
}

impl Lookup for FindRecord {
    fn look_up(self, state: &mut State) -> Result<bool, Fault> {
        Ok(state.store.get(Bucket::System, &self.0).is_some())
    }

    fn touches(&self) -> String {
        self.0.clone()
    }
}
