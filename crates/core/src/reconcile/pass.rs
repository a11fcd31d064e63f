//! One pass over one cluster: observe, decide, execute, in rounds, until there is nothing more to do.

use super::execute::execute;
use super::{Clock, Outcome};
use crate::decide;
use crate::effect::{Effect, Execute};
use crate::fault::{Call, Fault, Kind};
use crate::key::{RequestFileKey, UploadKey};
use crate::ledger::{Ledger, NodeNews};
use crate::node_reports::ObservedReports;
use crate::observe::Observe;
use crate::observe::{self, Subject};
use crate::request::RequestId;
use crate::settings::{Right, Settings};
use crate::snapshot::{Refusal, Snapshot};

/// At most this many rounds for each pass, conflicts not counted. Each needs another upload or a refused call; what is left comes
/// again with its event, or with the sweep.
const ROUNDS_MAX: usize = 12;

/// At most this many conflicts for each pass. All passes of one user write one ledger, one after the other.
const CONFLICTS_MAX: usize = 24;

/// At most this many times observing starts over because a file was replaced; the newer version has an event of its own.
const REPLACED_MAX: usize = 4;

/// No further round begins after so many seconds. The shortest of the functions' timeouts is thirty, which leaves a round some
/// twelve; where every call is slow, Lambda ends the function in the midst of it, and the next pass goes on from what it finds.
const ROUNDS_SECONDS_MAX: i64 = 18;

/// No effect begins later than this after the snapshot that it was decided on: the snapshot grows stale. (One that began in
/// time may end later.)
const PASS_SECONDS_MAX: i64 = 20;

/// A pass under way.
struct Pass<'p, W, C> {
    world: &'p W,
    settings: &'p Settings,
    clock: &'p C,
    purpose: Purpose<'p>,
    subject: Subject,
    outcome: Outcome,
    /// The call that AWS refused in the last round.
    refusal: Option<Refusal>,
    /// Rounds that led on to another.
    rounds: usize,
    /// Looks that were begun anew, because a file was replaced in their midst.
    replaced: usize,
    /// No further round begins after this, in seconds.
    until: i64,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'p> {
    /// Whatever is to be done for the cluster.
    Cluster,
    /// To report what was heard of instances for its compute nodes.
    Instances(&'p NodeNews),
    /// To show what its nodes report.
    Reports,
}

/// What comes after a round.
enum Next {
    /// The pass is over.
    End,
    /// Another round; whether because another pass was quicker.
    Round {
        is_conflict: bool,
        /// Whether nothing is lost if the pass ends here.
        is_noted: bool,
    },
}

/// One pass over one cluster.
pub async fn reconcile<W: Observe + Execute>(
    world: &W,
    settings: &Settings,
    subject: &Subject,
    purpose: Purpose<'_>,
    clock: &impl Clock,
) -> Outcome {
    let until = clock.now().as_second() + ROUNDS_SECONDS_MAX;
    let (outcome, subject) = (Outcome::default(), subject.clone());
    let mut pass = Pass { world, settings, clock, purpose, subject, outcome, refusal: None, rounds: 0, replaced: 0, until };
    if let Err(fault) = pass.run().await {
        pass.outcome.fault = Some(fault);
    }
    pass.outcome
}

impl<'p, W: Observe + Execute, C: Clock> Pass<'p, W, C> {
    async fn run(&mut self) -> Result<(), Fault> {
        loop {
            let snapshot = self.observe().await?;
            let Next::Round { is_conflict, is_noted } = self.round(&snapshot).await? else { return Ok(()) };
            let is_late = self.clock.now().as_second() >= self.until;
            let is_over = self.rounds + 1 >= ROUNDS_MAX || self.outcome.conflicts >= CONFLICTS_MAX || is_late;
            if is_over && is_noted {
                self.outcome.is_handed_over = true;
                return Ok(());
            }
            if is_over {
                return Err(Fault::new(Kind::Retry, Call::Pass, self.why_over(is_late)));
            }
            if is_conflict {
                self.clock.back_off(self.outcome.conflicts).await;
                self.outcome.conflicts += 1;
            } else {
                self.rounds += 1;
            }
        }
    }

    /// Why the pass ends before its work does.
    fn why_over(&self, is_late: bool) -> String {
        let (conflicts, cluster, rounds) = (self.outcome.conflicts, &self.subject.cluster, self.rounds);
        let reason = if is_late { format!("{ROUNDS_SECONDS_MAX} s are over") } else { "its rounds are used up".to_owned() };
        format!("{cluster}: the pass ends before its work does, because {reason}, after {rounds} rounds and {conflicts} conflicts")
    }

    /// Observes, and begins anew where a file was replaced between two of the queries.
    async fn observe(&mut self) -> Result<Snapshot<'p>, Fault> {
        loop {
            let seen = observe::look(self.world, self.settings, &self.subject, self.clock.now(), self.refusal.clone()).await;
            match seen {
                Err(fault) if fault.kind == Kind::Conflict && self.replaced < REPLACED_MAX && self.clock.now().as_second() < self.until => {
                    self.clock.back_off(self.replaced).await;
                    self.replaced += 1;
                    self.outcome.conflicts += 1;
                }
                seen => return seen,
            }
        }
    }

    /// Decides on what was seen, carries that out, and takes it down.
    async fn round(&mut self, snapshot: &Snapshot<'_>) -> Result<Next, Fault> {
        self.refusal = None;
        if self.outcome.plans.is_empty() {
            let is_gone = |key: &UploadKey| snapshot.uploads.iter().all(|u| u.key != *key);
            self.outcome.is_without_upload = self.subject.upload.as_ref().is_some_and(is_gone);
        }
        self.outcome.lists_unread.extend(snapshot.causes.unread.iter().map(ToString::to_string));
        self.outcome.reports_ignored = snapshot.reports.read().map_or(0, |reports| reports.ignored);
        match (&snapshot.reports, self.purpose) {
            (ObservedReports::Unread(fault), Purpose::Reports) => return Err(fault.clone()),
            (ObservedReports::Unread(fault), _) => self.outcome.lists_unread.push(fault.to_string()),
            (ObservedReports::NotRead | ObservedReports::Read(_), _) => {}
        }
        // What the event's stack looked like is old by the next round.
        self.subject.stack = None;
        let plan = match self.purpose {
            Purpose::Cluster => decide::decide(snapshot),
            Purpose::Instances(news) => decide::decide_nodes(snapshot, news),
            Purpose::Reports => decide::decide_reports(snapshot),
        };
        let stale_at = snapshot.now.as_second() + PASS_SECONDS_MAX;
        let withheld: Vec<RequestFileKey> = snapshot.uploads.iter().filter(|u| u.is_withheld).map(|u| (&u.key).into()).collect();
        let is_stale = || self.clock.now().as_second() > stale_at;
        let done = execute(self.world, &plan, &withheld, &mut self.outcome, is_stale).await;
        let count = done.as_ref().map_or_else(|stop| stop.nth, |()| plan.effects.len());
        let is_noted = is_known(snapshot, &plan.effects[..count], &self.subject);
        let (look_again, comes_too_early) = (plan.look_again, plan.comes_too_early);
        self.outcome.note(snapshot, plan, count);
        let Err(stop) = done else {
            if comes_too_early {
                let why = format!("what the nodes of {} report was shown a moment ago, and is shown again later", self.subject.cluster);
                return Err(Fault::new(Kind::Retry, Call::Pass, why));
            }
            return Ok(if look_again { Next::Round { is_conflict: false, is_noted } } else { Next::End });
        };
        match (stop.fault.kind, stop.right) {
            (Kind::Conflict, _) => return Ok(Next::Round { is_conflict: true, is_noted }),
            (Kind::Rejected | Kind::TokenUsed, Some(Right::CreateStack)) => self.refusal = Some(Refusal::Create(stop.fault)),
            (Kind::Rejected | Kind::TokenUsed, Some(Right::DeleteStack)) => self.refusal = Some(Refusal::Delete(stop.fault)),
            (Kind::Retry | Kind::Rejected | Kind::TokenUsed, _) => return Err(stop.fault),
        }
        Ok(Next::Round { is_conflict: false, is_noted })
    }
}

/// Whether the ledger, as it was read or as this pass has written it since, lets a sweep find the event's work: then nothing is
/// lost if this pass ends.
fn is_known(snapshot: &Snapshot<'_>, done: &[Effect], subject: &Subject) -> bool {
    let written = done.iter().rev().find_map(|effect| match effect {
        Effect::WriteLedger { ledger, .. } => Some(ledger),
        _ => None,
    });
    let entries = || [Some(&snapshot.ledger), written].into_iter().flatten().map(|ledger| ledger.entry(&snapshot.cluster.name));
    // An upload is removed before the write that first marks it as answered, so that nothing of it is left to do.
    let is_answered = |request: &RequestId| {
        let has = |ledger: &Ledger| ledger.entry(&snapshot.cluster.name).has_answered(request);
        written.is_some_and(has) && !has(&snapshot.ledger)
    };
    let is_noted = |request: &RequestId| is_answered(request) || entries().any(|entry| entry.open.iter().any(|o| o.request == *request));
    match &subject.upload {
        Some(key) => snapshot.uploads.iter().filter(|u| u.key == *key).all(|u| is_noted(&u.request)),
        None => entries().any(|entry| entry.is_owed()),
    }
}
