//! A plan in the making: the ledger's entry as it will be, and the effects so far.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::state;
use super::triage::{Contenders, Triage};
use crate::body::Choices;
use crate::cluster_parameters::ClusterParameters;
use crate::effect::{Effect, Expect};
use crate::key::{Answer, StatusKey, UploadKey, Verb};
use crate::ledger::{Entry, Ledger, MailKind, Open, Phase, RequestTime, Tied, UNREADABLE_SECONDS};
use crate::message::{Mail, Message, News, StateText, node_failure};
use crate::node_reports::NodesShown;
use crate::request::RequestId;
use crate::snapshot::{Snapshot, Upload};
use crate::stack::Stack;
use crate::status::{Progress, State, Status};

/// A status file is written so far apart where nothing but what nodes report changes.
pub const REPORTED_SECONDS: i64 = 60;

/// So far apart where a failure is new, or Slurm is shown for the first time. Somebody waits for that; and a node that reports another
/// one each time costs a write in this time and no more.
pub const AWAITED_SECONDS: i64 = 10;

/// Builds the effects of one action. The first write of the ledger claims and notes; the last one moves the phase and
/// closes what was answered, so that a pass that dies in between is taken up at the same row.
pub struct Builder<'a> {
    pub snapshot: &'a Snapshot<'a>,
    /// The create that competes, where its upload is there.
    pub create: Option<&'a Upload>,
    /// What it asks for, where it is a new one.
    pub choices: Choices,
    /// The delete that competes, where its upload is there.
    pub delete: Option<&'a Upload>,
    pub entry: Entry,
    pub effects: Vec<Effect>,
    pub look_again: bool,
    pub mails_in_doubt: usize,
    /// Whether what the nodes report is to be shown later.
    pub comes_too_early: bool,
    ledger: Ledger,
    wrote: Wrote,
    settled: Vec<RequestId>,
}

/// What a plan has written, so that its next write there expects its own.
#[derive(Default)]
struct Wrote {
    ledger: bool,
    status: bool,
}

impl<'a> Builder<'a> {
    pub fn new(snapshot: &'a Snapshot<'a>, triage: &Triage<'a>) -> Self {
        let contenders = if let Triage::Contenders(contenders) = triage { Some(contenders) } else { None };
        let mut entry = snapshot.entry();
        if let Some(stack) = snapshot.stack().filter(|stack| !state::is_in_the_way(&entry, stack)) {
            entry.stack = Some(stack.id.clone());
        }
        // Every upload that is there is noted, so that the sweep finds it again whatever happens to its event.
        for upload in &snapshot.uploads {
            let is_known = entry.open.iter().any(|o| o.request == upload.request);
            if !is_known && !entry.has_answered(&upload.request) && !entry.is_crowded_for(&upload.key) {
                entry.note_open(&upload.key, &upload.request, false, snapshot.revision());
            }
        }
        for upload in snapshot.left_over() {
            entry.note_left_over(&upload.request);
        }
        // One that waited and was withdrawn, or replaced, is owed nothing any more.
        entry.open.retain(|o| o.joined || snapshot.uploads.iter().any(|u| u.request == o.request));
        let mut builder = Self {
            snapshot,
            create: contenders.and_then(|c| c.create.upload()),
            choices: contenders.map(Contenders::choices).unwrap_or_default(),
            delete: contenders.and_then(|c| c.delete.upload()),
            entry,
            effects: Vec::new(),
            look_again: false,
            mails_in_doubt: 0,
            comes_too_early: false,
            ledger: snapshot.ledger.clone(),
            wrote: Wrote::default(),
            settled: Vec::new(),
        };
        if !matches!(builder.entry.phase, Phase::Creating { .. } | Phase::Ready | Phase::Failing | Phase::Stuck) {
            builder.drop_creates_without_upload();
        }
        builder
    }

    /// Drops open creates whose upload is gone. Called where only `Withdrawn` or `Deleted` could be answered: the request has that
    /// answer already, or its user has put another file there, and would take the answer for that file's.
    pub fn drop_creates_without_upload(&mut self) {
        let uploads = &self.snapshot.uploads;
        let is_there = |o: &Open| uploads.iter().any(|u| u.request == o.request);
        self.entry.open.retain(|o| o.key.verb == Verb::Delete || is_there(o));
    }

    /// Lets an upload share in the work in hand, as its user's request.
    pub fn join(&mut self, upload: &Upload) {
        let request_time = self.snapshot.request_time(&self.entry, upload);
        self.entry.note_open(&upload.key, &upload.request, true, self.snapshot.revision());
        self.entry.note_request_time(upload.key.verb, &request_time);
    }

    /// `Some` where the create and the delete that supersedes it have the same time and their order is unknown.
    pub fn tie(&self, create: &Upload, delete: Option<&Upload>) -> Option<Tied> {
        let create_time = self.snapshot.request_time(&self.entry, create);
        let at_hand = delete.map(|delete| self.snapshot.request_time(&self.entry, delete));
        let is_later = |delete: &RequestTime| delete.order(&create_time) == Some(Ordering::Greater);
        let is_tied = |delete: &RequestTime| delete.at == create_time.at && delete.order(&create_time).is_none();
        let deletes: Vec<RequestTime> = at_hand.into_iter().chain(self.entry.last(Verb::Delete)).collect();
        let holds = deletes.iter().any(is_tied) && !deletes.iter().any(is_later);
        holds.then(|| Tied { at: create.modified, key: create.key.clone() })
    }

    /// Whether the answer beside an upload reports a create and a delete of one second.
    fn reports_a_tie(&self, key: &UploadKey) -> bool {
        self.entry.tied.as_ref().is_some_and(|tied| tied.key.folder == key.folder)
    }

    /// Whether open uploads, stack or left-over requests differ from the ledger as it was read.
    pub fn is_entry_changed(&self) -> bool {
        let was = self.snapshot.entry();
        self.entry.open != was.open || self.entry.stack != was.stack || self.entry.left_over != was.left_over
    }

    /// Writes the entry as it is now.
    pub fn write_ledger(&mut self) {
        let expect = if self.wrote.ledger { Expect::OwnWrite } else { Expect::seen(self.snapshot.ledger_etag.as_ref()) };
        self.ledger = self.ledger.with(&self.snapshot.cluster.name, self.entry.clone());
        self.wrote.ledger = true;
        self.effects.push(Effect::WriteLedger { user: self.snapshot.cluster.user.clone(), ledger: self.ledger.clone(), expect });
    }

    /// The uploads of a verb that the work in hand answers.
    pub fn joined(&self, verb: Verb) -> Vec<Open> {
        self.entry.joined(verb).cloned().collect()
    }

    /// The uploads of a verb that are to be answered now: those that share in the work, and the one at hand.
    pub fn owed(&self, verb: Verb, at_hand: Option<&Upload>) -> Vec<Open> {
        let mut owed = self.joined(verb);
        if let Some(upload) = at_hand {
            owed.retain(|o| o.request != upload.request);
            owed.push(Open { key: upload.key.clone(), request: upload.request.clone(), joined: true, seen: self.snapshot.revision() });
        }
        owed
    }

    /// Marks the joined uploads of a verb as not joined, so that the next round treats them as new. Not the request that the stack was
    /// created for: its token is used.
    pub fn unjoin(&mut self, verb: Verb) {
        let made_for = self.entry.accepted.as_ref().map(|a| a.request.clone());
        for open in self.entry.open.iter_mut().filter(|o| o.key.verb == verb && Some(&o.request) != made_for.as_ref()) {
            open.joined = false;
        }
    }

    /// Gives a final answer beside an upload. One that reports a success, or an end, replaces the others.
    pub fn answer(&mut self, key: &UploadKey, message: &Message) {
        let answer = message.answer();
        let expect = Expect::seen(self.snapshot.answer_etag(key, answer));
        let effect = Effect::WriteAnswer { key: key.answer(answer), message: message.clone(), expect };
        // Written over, it needs no removal; removed first, it would not be there to be written over.
        self.effects.retain(|e| !matches!(e, Effect::RemoveAnswer { key: old, .. } if *old == key.answer(answer)));
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
        match answer {
            Answer::Failed => {}
            Answer::Deleted if self.reports_a_tie(key) => self.remove_answers(key, &[answer, Answer::Failed]),
            Answer::Created | Answer::Deleted => self.remove_answers(key, &[answer]),
        }
    }

    /// Removes the answers beside an upload, but for those to be kept.
    pub fn remove_answers(&mut self, key: &UploadKey, keep: &[Answer]) {
        for answer in Answer::ALL.into_iter().filter(|a| !keep.contains(a)) {
            if let Some(etag) = self.snapshot.answer_etag(key, answer) {
                let effect = Effect::RemoveAnswer { key: key.answer(answer), etag: etag.clone() };
                if !self.effects.contains(&effect) {
                    self.effects.push(effect);
                }
            }
        }
    }

    /// The uploads beside which the login address was reported, or that there is none.
    pub fn announced_in(&self) -> Vec<UploadKey> {
        let accepted = self.entry.accepted.as_ref().map(|a| a.key.clone());
        self.entry.announced.iter().cloned().chain(accepted).collect()
    }

    /// Removes `.cf-created` beside one upload.
    pub fn remove_created_answer(&mut self, key: &UploadKey) {
        self.remove_answers(key, &[Answer::Deleted, Answer::Failed]);
    }

    /// Removes `.cf-created` from every folder that has it: the cluster is not ready any more.
    pub fn remove_created_answers(&mut self) {
        for key in self.announced_in() {
            self.remove_created_answer(&key);
        }
        self.entry.announced.clear();
    }

    /// Writes how a delete ended wherever `.cf-failed` reports resources that are left.
    pub fn answer_where_remains_were_reported(&mut self, message: &Message) {
        for key in std::mem::take(&mut self.entry.remains_reported) {
            if self.snapshot.answer_etag(&key, Answer::Failed).is_some() {
                self.answer(&key, message);
            }
        }
    }

    /// The request has its answer: its upload is removed, and the last write of the ledger notes it.
    pub fn settle(&mut self, request: &RequestId) {
        if let Some(upload) = self.snapshot.uploads.iter().find(|u| &u.request == request) {
            self.effects.push(Effect::RemoveUpload { key: (&upload.key).into(), etag: upload.etag.clone() });
        }
        self.settled.push(request.clone());
    }

    /// Tries once more to remove what is answered and perhaps cannot be removed. Last, for nothing else is to wait for it.
    pub fn remove_left_over(&mut self) {
        for upload in self.snapshot.left_over() {
            self.effects.push(Effect::RemoveUpload { key: (&upload.key).into(), etag: upload.etag.clone() });
        }
    }

    /// Answers and settles one upload.
    pub fn answer_and_settle(&mut self, upload: &Upload, message: &Message) {
        self.answer(&upload.key, message);
        self.settle(&upload.request);
    }

    /// Closes what was settled; the phase is set by the caller before. Ends the plan.
    pub fn close(&mut self) {
        // The entry remembers the last few: what is still there must be among them.
        let left_over = self.snapshot.left_over().map(|u| u.request.clone());
        for request in left_over.chain(std::mem::take(&mut self.settled)) {
            self.entry.note_answered(&request);
        }
        self.write_ledger();
        self.look_again = self.snapshot.uploads.iter().any(|u| !self.entry.has_answered(&u.request));
    }

    /// Closes what was settled, if anything was, in the middle of work that goes on.
    pub fn close_settled(&mut self) {
        if !self.settled.is_empty() {
            self.close();
            self.look_again = false;
        }
    }

    /// Writes `.cf-status` if it changes, and never a transient state after a final one. A final state is always rewritten, so
    /// that a slower pass's conditional write fails.
    pub fn status(&mut self, state: State, message: StateText, progress: Option<Progress>) {
        self.entry.reports_owed = state == State::Ready && self.leaves_reports_out();
        let Some((key, status)) = self.next_status(state, message, progress) else { return };
        if let Some(shown) = self.snapshot.status_file.as_ref().filter(|s| s.request == status.request)
            && (!state.may_follow(shown.state) || (!state.is_final() && !status.says_more_than(shown)))
        {
            return;
        }
        self.write_status(key, status);
    }

    /// Writes `.cf-status` where nothing but what the nodes report is new in it. Each node may report as often as it likes, so this is
    /// done once in [`REPORTED_SECONDS`], or [`AWAITED_SECONDS`] where something is in it that somebody waits for. Who comes too
    /// early comes again.
    pub fn reported_status(&mut self, state: State, message: StateText, progress: Option<Progress>) {
        let Some((key, status)) = self.next_status(state, message, progress) else { return };
        let Some(shown) = self.snapshot.status_file.as_ref().filter(|s| s.request == status.request && s.state == state) else { return };
        if !status.says_more_than(shown) {
            return;
        }
        let wait_seconds = if status.reported.is_awaited_after(&shown.reported) { AWAITED_SECONDS } else { REPORTED_SECONDS };
        // The user may have written another time into the file.
        if (0..wait_seconds).contains(&(self.snapshot.now.as_second() - shown.updated.as_second())) {
            self.comes_too_early = true;
        } else {
            self.write_status(key, status);
        }
    }

    /// Whether a status file is written without a look at the reports of the nodes that it is about: only cf-watch may read them, and S3
    /// may not give them out now.
    fn leaves_reports_out(&self) -> bool {
        let made_for = self.snapshot.stack().and_then(Stack::request);
        let is_theirs = self.entry.accepted.as_ref().is_some_and(|accepted| made_for.as_ref() == Some(&accepted.request));
        is_theirs && self.snapshot.reports.read().is_none()
    }

    /// The status file of the accepted create; `None` where nobody reads one.
    fn next_status(&self, state: State, message: StateText, progress: Option<Progress>) -> Option<(StatusKey, Status<StateText>)> {
        let accepted = self.entry.accepted.clone()?;
        let login = if state == State::Ready { self.snapshot.login() } else { None };
        let reported = self.reported(state, login, &accepted.request);
        let message = message.with_scheduler(reported.scheduler.as_ref());
        let status = Status {
            cluster: self.snapshot.cluster.name.to_string(),
            state,
            message,
            progress,
            login: login.map(str::to_owned),
            login_command: login.and_then(|login| self.snapshot.login_command(login)),
            types: ClusterParameters::of(self.snapshot, &self.entry).types(),
            reported,
            stack: self.snapshot.settings.stack_name(&self.snapshot.cluster).to_string(),
            request: accepted.request,
            since: accepted.at,
            updated: self.snapshot.now,
        };
        Some((accepted.key.status(), status))
    }

    /// What a status file shows of the nodes. Where their reports were not read, what was shown of them stays. A plan may accept another
    /// create than the one whose nodes were read: of its own nodes nothing is known yet.
    fn reported(&self, state: State, login: Option<&str>, request: &RequestId) -> NodesShown {
        let has_nodes = matches!(state, State::Creating | State::Ready | State::Failed);
        let is_theirs = self.snapshot.entry().accepted.is_some_and(|accepted| accepted.request == *request);
        let mut reported = match self.snapshot.reports.read().filter(|_| is_theirs) {
            _ if !has_nodes => NodesShown::default(),
            Some(reports) => NodesShown::of(reports, login, node_failure),
            None => {
                let shown = self.snapshot.status_file.as_ref().filter(|shown| shown.request == *request);
                shown.map(|shown| shown.reported.kept(login)).unwrap_or_default()
            }
        };
        if state != State::Ready {
            // Nobody can submit a job yet, or any more.
            reported.scheduler = None;
        }
        reported
    }

    fn write_status(&mut self, key: StatusKey, status: Status<StateText>) {
        let expect = if self.wrote.status { Expect::OwnWrite } else { Expect::seen(self.snapshot.statuses.get(&key)) };
        self.wrote.status = true;
        self.effects.push(Effect::WriteStatus { key, status, expect });
    }

    /// Whether the status file says this of the accepted create already.
    pub fn shows(&self, state: State) -> bool {
        let of = self.entry.accepted.as_ref().map(|a| &a.request);
        of.is_none() || self.snapshot.status_file.as_ref().is_some_and(|shown| Some(&shown.request) == of && shown.state == state)
    }

    /// Claims a mail; true where it is to be sent by this plan.
    pub fn claim(&mut self, request: &RequestId, kind: MailKind) -> bool {
        if self.snapshot.settings.mail.is_none() {
            return false;
        }
        let claimed = self.entry.claim(request, kind);
        if !claimed {
            self.mails_in_doubt += 1;
        }
        claimed
    }

    /// Claims the mail that creates met a stack that is not ours; one mail is enough for all of them.
    pub fn claim_occupied(&mut self, owed: &[Open]) -> bool {
        owed.iter().filter(|open| self.claim(&open.request, MailKind::Occupied)).count() > 0
    }

    /// Sends a mail that was claimed.
    pub fn mail(&mut self, news: News) {
        let (settings, cluster) = (self.snapshot.settings, self.snapshot.cluster.clone());
        let mail = Mail { stack: settings.stack_name(&cluster), deployment: settings.deployment.clone(), cluster, news };
        self.effects.push(Effect::SendMail(mail));
    }

    /// Claims a mail about a file that cannot be read. Each costs its user nothing, so a user's are bounded together.
    pub fn claim_unreadable(&mut self, upload: &Upload) -> bool {
        let recent = |at: Timestamp| self.snapshot.now.as_second() - at.as_second() < UNREADABLE_SECONDS;
        let is_news = self.entry.mails.iter().all(|c| c.request != upload.request || c.kind != MailKind::Unreadable);
        if is_news && self.ledger.unreadable_mailed.is_some_and(recent) {
            return false;
        }
        let claimed = self.claim(&upload.request, MailKind::Unreadable);
        if claimed {
            self.ledger.unreadable_mailed = Some(self.snapshot.now);
        }
        claimed
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
