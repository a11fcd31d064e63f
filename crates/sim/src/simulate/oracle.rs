//! The reference: what is true of the world, kept apart from what the functions believe, and what follows from it for all
//! that they say and do. It knows the files that people dropped, the stacks' histories and what landed; it knows no ledger
//! but by what was written to it.

mod put;
mod reports;

use std::collections::{BTreeMap, BTreeSet};

use cf_core::effect::Effect;
use cf_core::key::{self, Answer, Reading, Verb};
use cf_core::ledger::{MailKind, Phase};
use cf_core::message::Message;
use cf_core::names::{Cluster, User};
use cf_core::request::RequestId;
use cf_core::settings::Settings;
use cf_core::stack::{StackId, StackState, StackStatus, TAG_CLUSTER, TAG_REQUEST, TAG_USER};
use cf_core::status::Status;
use jiff::Timestamp;

pub use put::{AnswerKind, End, Put};

use super::answers;
use super::script::Content;
use crate::cloudformation::SimStack;
use crate::finding::{Finding, FindingKind};
use crate::s3::Bucket;
use crate::world::State;

/// What is true.
#[derive(Debug, Default)]
pub struct Oracle {
    /// All files, in order.
    pub puts: Vec<Put>,
    standing: BTreeMap<String, usize>,
    answers: BTreeMap<String, Vec<(i64, AnswerKind)>>,
    accepted: BTreeSet<(Cluster, RequestId)>,
    /// The requests that were accepted, of each cluster, and when, in order.
    lives: BTreeMap<Cluster, Vec<(i64, RequestId)>>,
    claims: BTreeSet<(Cluster, RequestId, MailKind)>,
    mails: BTreeMap<(Cluster, MailKind), usize>,
    /// Stacks that the administrator removed by hand.
    pub by_hand: BTreeSet<StackId>,
    /// Users whose profile was taken away at some time.
    pub without_profile: BTreeSet<User>,
    /// Stacks whose list of events some pass could not read.
    pub unread: BTreeSet<StackId>,
    /// CreateStack calls that may still arrive although nobody waits for them.
    /// Of which cluster, the call, and when it was sent, in milliseconds.
    flights: Vec<(Cluster, u64, i64)>,
    /// Whether there was a past before the run began, which the oracle knows nothing of.
    pub has_past: bool,
    /// What nodes have written.
    pub nodes: reports::NodeHistory,
    /// What went wrong.
    pub findings: Vec<Finding>,
    /// A state that may not follow the one that stands, if it is written.
    pending_status: Option<String>,
    now: i64,
    /// When the look began that led to what is said now.
    pub round_began_at: i64,
    /// When that look saw the files beside what is said now.
    pub listed_at: i64,
}

/// The removal of an upload may be on its way for so long, in milliseconds, and take an equal one that came after it.
const TWINS_MAX: i64 = 60_000;

impl Oracle {
    /// The oracle at the beginning of a run.
    pub fn new(has_past: bool) -> Self {
        Self { has_past, ..Self::default() }
    }

    /// The clock.
    pub const fn set_clock(&mut self, now: i64) {
        self.now = now;
    }

    /// The clock, in milliseconds.
    pub const fn now(&self) -> i64 {
        self.now
    }

    /// A file was dropped, or was there from the beginning.
    pub fn put(&mut self, key: &str, content: Option<Content>, state: &State) {
        let Some(version) = state.store.get(Bucket::User, key) else { return };
        // One that S3 does not give out is known by its line in a listing, which has no version.
        let id = version.id.as_deref().filter(|_| !version.is_withheld);
        let request = RequestId::of(key, id, &version.etag, version.modified);
        let is_readable = content.is_none_or(Content::is_valid_request) && !version.is_withheld;
        let is_valid_request = is_readable || key.ends_with(Verb::Delete.suffix());
        if let Some(before) = self.standing.get(key) {
            if self.puts[*before].request == request {
                // The same bytes within one second, in a bucket without versions: nobody can tell them apart.
                self.puts[*before].is_valid_request |= is_valid_request;
                self.puts[*before].was_withheld |= version.is_withheld;
                return;
            }
            self.puts[*before].end = End::Withdrawn { at: self.now };
        }
        let was_withheld = version.is_withheld;
        let (etag, modified) = (version.etag.clone(), version.modified);
        self.standing.insert(key.to_owned(), self.puts.len());
        self.puts.push(Put {
            key: key.to_owned(),
            etag,
            at: self.now,
            modified,
            request,
            is_valid_request,
            was_withheld,
            end: End::Standing,
        });
    }

    /// A file was removed by a user.
    pub fn withdrawn(&mut self, key: &str) {
        if let Some(nth) = self.standing.remove(key) {
            self.puts[nth].end = End::Withdrawn { at: self.now };
        }
    }

    /// A file, and the equal ones that stood at its key shortly before it: to S3's conditions, and so to us, they are one.
    pub fn with_twins<'t>(&'t self, put: &'t Put) -> impl Iterator<Item = &'t Put> {
        self.puts.iter().filter(move |p| p.key == put.key && p.etag == put.etag && (0..TWINS_MAX).contains(&(put.at - p.at)))
    }

    /// A CreateStack has arrived, or never will.
    pub fn end_flight(&mut self, cluster: &Cluster, call: u64) {
        self.flights.retain(|(of, nth, _)| (of, *nth) != (cluster, call));
    }

    /// A CreateStack has been sent.
    pub fn begin_flight(&mut self, cluster: &Cluster, call: u64) {
        self.flights.push((cluster.clone(), call, self.now));
    }

    /// Whether a CreateStack for this cluster is on its way, and was when the look began that led to what is said now.
    pub fn has_flight(&self, cluster: &Cluster) -> bool {
        self.flights.iter().any(|(of, _, begun)| of == cluster && *begun <= self.round_began_at)
    }

    /// The files at a key that the look in hand can have seen.
    pub fn recent<'t>(&'t self, key: &'t str) -> impl Iterator<Item = &'t Put> {
        let since = self.listed_at;
        self.puts.iter().filter(move |put| {
            let is_there = match put.end {
                End::Standing => true,
                End::Settled { at, .. } | End::Withdrawn { at } => at >= since,
            };
            is_there && put.key == key
        })
    }

    /// The requests that a look can have found accepted: the last one before it began, and those since.
    pub fn in_hand<'t>(&'t self, cluster: &Cluster) -> impl Iterator<Item = &'t RequestId> {
        let lives = self.lives.get(cluster).map_or(&[][..], Vec::as_slice);
        let since = lives.iter().rposition(|(at, _)| *at <= self.round_began_at).unwrap_or(0);
        lives[since..].iter().map(|(_, request)| request)
    }

    /// All files of one cluster and verb.
    pub fn of<'t>(&'t self, cluster: &'t Cluster, verb: Verb) -> impl Iterator<Item = &'t Put> {
        self.puts.iter().filter(move |put| matches!(key::read(&put.key), Reading::Request(k) if k.cluster == *cluster && k.verb == verb))
    }

    fn wrong(&mut self, kind: FindingKind, what: &str) {
        self.findings.push(Finding::new(kind, format!("at {}.{:03} s: {what}", self.now / 1000, self.now % 1000)));
    }

    /// A function is about to do something, after a look that began and saw the files at these times.
    pub fn check_effect(
        &mut self,
        effect: &Effect,
        cluster: Option<&Cluster>,
        (round_began_at, listed_at): (i64, i64),
        state: &State,
        settings: &Settings,
    ) {
        (self.round_began_at, self.listed_at) = (round_began_at, listed_at);
        if let Some(cluster) = cluster
            && !belongs(effect, cluster, state, settings)
        {
            self.wrong(FindingKind::AnothersTouched, &format!("a pass over {cluster} reaches for another's: {effect}"));
        }
        match (effect, cluster) {
            (Effect::CreateStack(new), Some(cluster)) => {
                let request = RequestId::from_tag(new.tags.get(TAG_REQUEST).map_or("", String::as_str));
                if !self.accepted.contains(&(cluster.clone(), request)) && !self.has_past {
                    self.wrong(FindingKind::NotAccepted, &effect.to_string());
                }
            }
            (Effect::DeleteStack { id }, _) => self.check_delete(id, state, settings),
            (Effect::WriteAnswer { key, message, .. }, Some(cluster)) => {
                if let Some(lie) = answers::why_untrue(self, cluster, key, message, state, settings) {
                    self.wrong(FindingKind::UntrueAnswer(message.name()), &format!("{key}: {lie}"));
                }
            }
            (Effect::SendMail(mail), Some(cluster)) => self.check_mail(mail.kind(), cluster),
            (Effect::WriteStatus { key, status, .. }, Some(cluster)) => {
                if let Some(lie) = self.nodes.why_untrue(cluster, status, state, settings) {
                    self.wrong(FindingKind::UntrueReport, &format!("{key}: {lie}"));
                }
            }
            _ => {}
        }
    }

    fn check_delete(&mut self, id: &StackId, state: &State, settings: &Settings) {
        let Some(stack) = state.stacks.by_id(id) else { return };
        if stack.stack.cluster(&settings.deployment).is_none() {
            self.wrong(FindingKind::ForeignDeleted, &id.to_string());
        }
        let made_for = stack.stack.request();
        // Where the ledger's past is not known, a delete from another folder cannot know of the upload.
        let is_failed = !self.has_past && matches!(stack.stack.status.state(), StackState::Failed | StackState::RollingBack);
        if let Some(put) = self.puts.iter().find(|p| is_failed && p.end == End::Standing && Some(&p.request) == made_for.as_ref()) {
            let key = put.key.clone();
            self.wrong(FindingKind::FailedStackFirst, &key);
        }
    }

    fn check_mail(&mut self, kind: MailKind, cluster: &Cluster) {
        let sent = self.mails.entry((cluster.clone(), kind)).or_default();
        *sent += 1;
        let (sent, claimed) = (*sent, self.claims.iter().filter(|(of, _, what)| of == cluster && *what == kind).count());
        if sent > claimed {
            self.wrong(FindingKind::MailNotClaimed, &format!("{sent} mails of the kind {kind:?} about {cluster}, and {claimed} claimed"));
        }
    }

    /// An effect is about to happen; it comes of a round that began at `round_began_at`.
    pub fn before_effect(&mut self, effect: &Effect, round_began_at: i64, state: &State) {
        match effect {
            Effect::RemoveUpload { key, etag } if state.store.get(Bucket::User, key).map(|v| &v.etag) == Some(etag) => {
                let was_answered = self.has_past && state.answered.contains(&(key.to_string(), etag.clone()));
                self.settle(key, round_began_at, was_answered);
            }
            Effect::WriteStatus { key, status, .. } => {
                let before = state.store.get(Bucket::User, key).and_then(|v| serde_json::from_slice::<Status>(&v.bytes).ok());
                if let Some(before) = before.filter(|b| b.request == status.request && !status.state.may_follow(b.state)) {
                    // Whether it happens is decided by its condition; `landed` says so.
                    self.pending_status = Some(format!("{key} says {:?} after {:?}", status.state, before.state));
                } else {
                    self.pending_status = None;
                }
            }
            _ => {}
        }
    }

    /// An effect has happened.
    pub fn after_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::WriteAnswer { key, message, .. } => {
                let now = self.now;
                // Answered as refused for good: should an earlier attempt arrive all the same, it is cleared away.
                let stem = key.strip_suffix(Answer::Failed.suffix()).filter(|_| matches!(message, Message::Declined { .. }));
                if let Some(Reading::Request(of)) = stem.map(|stem| key::read(&format!("{stem}{}", Verb::Create.suffix()))) {
                    self.flights.retain(|(cluster, ..)| *cluster != of.cluster);
                }
                self.answers.entry(key.to_string()).or_default().extend(AnswerKind::of(key, message).map(|answer| (now, answer)));
            }
            Effect::WriteStatus { .. } => {
                if let Some(what) = self.pending_status.take() {
                    self.wrong(FindingKind::StateWentBack, &what);
                }
            }
            Effect::WriteLedger { ledger, user, .. } => {
                for (name, entry) in &ledger.clusters {
                    let cluster = Cluster { user: user.clone(), name: name.clone() };
                    if let (Phase::Creating { .. }, Some(accepted)) = (entry.phase, &entry.accepted) {
                        self.accepted.insert((cluster.clone(), accepted.request.clone()));
                        let lives = self.lives.entry(cluster.clone()).or_default();
                        if lives.last().is_none_or(|(_, request)| *request != accepted.request) {
                            lives.push((self.now, accepted.request.clone()));
                        }
                    }
                    self.claims.extend(entry.mails.iter().map(|c| (cluster.clone(), c.request.clone(), c.kind)));
                }
            }
            _ => {}
        }
    }

    /// A function removes an upload that is there: its answer must stand. Of a world that begins in the middle, the world
    /// knows what was answered before.
    fn settle(&mut self, key: &str, round_began_at: i64, was_answered: bool) {
        let Some(nth) = self.standing.remove(key) else { return };
        let put = &self.puts[nth];
        // The same bytes again, so soon that the removal of the first was still on its way: one request, one answer.
        let has_twin = self.puts[..nth].iter().any(|p| p.key == key && p.etag == put.etag);
        let since = if has_twin { put.at - TWINS_MAX } else { put.at };
        let (answers, twins_answers) = (self.answers_beside(key, put.at), self.answers_beside(key, since));
        // Who looked before it came has meant the first.
        let is_one_with_its_twin = answers.is_empty() || (has_twin && round_began_at < put.at);
        if twins_answers.is_empty() && !was_answered {
            self.wrong(FindingKind::UploadFirst, key);
        }
        let at = self.now;
        self.puts[nth].end = if is_one_with_its_twin { End::Withdrawn { at } } else { End::Settled { at, answers } };
    }

    fn answers_beside(&self, key: &str, since: i64) -> Vec<AnswerKind> {
        let Some(stem) = Verb::ALL.iter().find_map(|verb| key.strip_suffix(verb.suffix())) else { return Vec::new() };
        let mut answers: Vec<(i64, AnswerKind)> = Answer::ALL
            .into_iter()
            .flat_map(|answer| self.answers.get(&format!("{stem}{}", answer.suffix())).cloned().unwrap_or_default())
            .filter(|(at, _)| *at >= since)
            .collect();
        answers.sort_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// At most one living stack for a cluster, at any moment.
    pub fn watch_stacks(&mut self, state: &State, settings: &Settings) {
        let mut seen = BTreeSet::new();
        for stack in state.stacks.all_living() {
            if let Some(cluster) = stack.stack.cluster(&settings.deployment)
                && !seen.insert(cluster.clone())
            {
                self.wrong(FindingKind::LivesTwice, &cluster.to_string());
            }
        }
    }
}

/// Whether an effect concerns this cluster, and no other.
fn belongs(effect: &Effect, cluster: &Cluster, state: &State, settings: &Settings) -> bool {
    let is_file = |key: &str| {
        let in_home = key.strip_prefix("home/").and_then(|k| k.strip_prefix(cluster.user.as_str())).is_some_and(|k| k.starts_with('/'));
        let name = key.rsplit('/').next().and_then(|file| file.split('.').next());
        in_home && name == Some(cluster.name.as_str())
    };
    match effect {
        Effect::WriteLedger { user, .. } => *user == cluster.user,
        Effect::CreateStack(new) => {
            new.name == settings.stack_name(cluster)
                && new.tags.get(TAG_USER).map(String::as_str) == Some(cluster.user.as_str())
                && new.tags.get(TAG_CLUSTER).map(String::as_str) == Some(cluster.name.as_str())
        }
        Effect::DeleteStack { id } => {
            state.stacks.by_id(id).is_none_or(|s| s.stack.cluster(&settings.deployment).as_ref() == Some(cluster))
        }
        Effect::WriteStatus { .. } | Effect::WriteAnswer { .. } | Effect::RemoveAnswer { .. } | Effect::RemoveUpload { .. } => {
            effect.file().is_some_and(is_file)
        }
        Effect::SendMail(mail) => mail.cluster == *cluster,
        // Only the sweep itself, and a deployment, write these.
        Effect::WriteLedgerCache(_) | Effect::WriteFirstHour { .. } | Effect::WriteProbe => false,
    }
}

/// Whether a stack had a status like this at some time since then.
pub fn was(stack: &SimStack, since: Timestamp, wanted: impl Fn(StackStatus) -> bool) -> bool {
    let ends = stack.history.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
    stack.history.iter().zip(ends).any(|((_, status), end)| wanted(*status) && end.is_none_or(|end| end >= since))
}
