//! Doing: one effect at a time, and one pass from look to last effect.

use std::future::Future;

use jiff::Timestamp;

use crate::decide::{self, Course, Plan};
use crate::effect::{Effect, Expect};
use crate::facts::{Facts, Setback};
use crate::fault::{Fault, Kind};
use crate::key::{self, Reading};
use crate::ledger::{Ledger, NodeNews, Phase};
use crate::message::Message;
use crate::observe::{self, Subject};
use crate::question::Observe;
use crate::request::{ETag, RequestId};
use crate::site::Site;

/// The hands. Behind it stands AWS, or a world in memory.
pub trait Perform: Sync {
    /// Does one thing; returns the new version where something was written.
    fn perform(&self, effect: &Effect) -> impl Future<Output = Result<Option<ETag>, Fault>> + Send;
}

/// The time, and waiting: a function's, or a world's in memory.
pub trait Clock: Sync {
    /// The time in whole seconds: people read it.
    fn now(&self) -> Timestamp;

    /// Waits after the `nth` look in a row (from 0) that another pass was quicker than: longer each time, and not as long as
    /// the other passes that wait.
    fn back_off(&self, nth: usize) -> impl Future<Output = ()> + Send;
}

/// How a pass ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Every plan, in order. As it prints, it is the log line.
    pub plans: Vec<Plan>,
    /// Mails that SES would not take, in its words.
    pub mails_lost: Vec<String>,
    /// Lists of a stack that could not be read; the pass went on without them.
    pub lists_unread: Vec<String>,
    /// Seconds from the acceptance of a create to its address, where that was given now.
    pub ready_seconds: Option<i64>,
    /// Whether the file that the event named was not there any more, or never.
    pub is_without_upload: bool,
    /// How often another pass was quicker.
    pub moves: usize,
    /// Whether it was left to the sweep, because other passes were quicker each time.
    pub is_handed_over: bool,
}

/// So many looks one pass takes that lead on to another. Each needs another upload or a refused call; what is left then comes
/// again with its event, or with the sweep.
const LOOKS_MAX: usize = 12;

/// So many looks more it takes where another pass was quicker. All passes of one user write one ledger, one after the other.
const MOVES_MAX: usize = 24;

/// So often a look is begun anew because a file was replaced in its midst; the newer version has an event of its own.
const REPLACED_MAX: usize = 4;

/// No further look begins after so many seconds: the shortest of the functions' timeouts is thirty, and a look with its plan
/// takes up to ten where every call is slow.
const LOOKING_SECONDS_MAX: i64 = 18;

/// No effect is begun later than this after the look that it was decided on: what was seen grows stale.
const PASS_SECONDS_MAX: i64 = 20;

/// One pass over one cluster: look, decide, do, until there is nothing more to do.
pub async fn pass<W: Observe + Perform>(world: &W, site: &Site, subject: &Subject, clock: &impl Clock) -> Result<Outcome, Fault> {
    pass_by(world, site, subject, clock, decide::decide).await
}

/// One pass over one cluster to tell what was heard of machines for its compute nodes.
pub async fn pass_nodes<W: Observe + Perform>(
    world: &W,
    site: &Site,
    subject: &Subject,
    news: &NodeNews,
    clock: &impl Clock,
) -> Result<Outcome, Fault> {
    pass_by(world, site, subject, clock, |facts| decide::decide_nodes(facts, news)).await
}

async fn pass_by<W: Observe + Perform>(
    world: &W,
    site: &Site,
    subject: &Subject,
    clock: &impl Clock,
    decide: impl Fn(&Facts<'_>) -> Plan + Sync,
) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    let (mut subject, mut setback) = (subject.clone(), None);
    let (until, mut looks, mut replaced) = (clock.now().as_second() + LOOKING_SECONDS_MAX, 0, 0);
    loop {
        let facts = match observe::look(world, site, &subject, clock.now(), setback.clone()).await {
            // A file was replaced between two of the look's questions.
            Err(fault) if fault.kind == Kind::Moved && replaced < REPLACED_MAX && clock.now().as_second() < until => {
                clock.back_off(replaced).await;
                replaced += 1;
                outcome.moves += 1;
                continue;
            }
            seen => seen?,
        };
        setback = None;
        if looks + outcome.moves == 0 {
            outcome.is_without_upload = subject.upload.as_ref().is_some_and(|key| facts.uploads.iter().all(|u| u.key != *key));
        }
        outcome.lists_unread.extend(facts.causes.unread.iter().map(ToString::to_string));
        // What the event's stack looked like is old by the next look.
        subject.stack = None;
        let plan = decide(&facts);
        let stale_at = facts.now.as_second() + PASS_SECONDS_MAX;
        let withheld: Vec<String> = facts.uploads.iter().filter(|u| u.is_withheld).map(|u| u.key.to_string()).collect();
        let done = carry_out(world, &plan, &withheld, &mut outcome, || clock.now().as_second() > stale_at).await;
        let written = done.as_ref().map_or_else(|stop| stop.nth, |()| plan.effects.len());
        let is_noted = is_known(&facts, &plan.effects[..written], &subject);
        let is_moved = matches!(&done, Err(stop) if stop.fault.kind == Kind::Moved);
        let (course, look_again) = (plan.course, plan.look_again);
        outcome.plans.push(plan);
        match done {
            Ok(()) if look_again => outcome.time(&facts, course),
            Ok(()) => {
                outcome.time(&facts, course);
                return Ok(outcome);
            }
            Err(stop) => match stop.fault.kind {
                Kind::Moved => {}
                Kind::Permanent | Kind::Spent if stop.is_create => setback = Some(Setback::Create(stop.fault)),
                Kind::Permanent | Kind::Spent if stop.is_delete => setback = Some(Setback::Delete(stop.fault)),
                Kind::Transient | Kind::Permanent | Kind::Spent => return Err(stop.fault),
            },
        }
        let is_over = looks + 1 >= LOOKS_MAX || outcome.moves >= MOVES_MAX || clock.now().as_second() >= until;
        if is_over && is_noted {
            outcome.is_handed_over = true;
            return Ok(outcome);
        }
        if is_over {
            let why = format!("{} is busy: others were quicker at {} of {} looks", subject.cluster, outcome.moves, looks + outcome.moves);
            return Err(Fault::new(Kind::Transient, "pass", why));
        }
        if is_moved {
            clock.back_off(outcome.moves).await;
            outcome.moves += 1;
        } else {
            looks += 1;
        }
    }
}

/// Whether the ledger, as it was seen or as this pass has written it since, makes the sweep look at what the event told of: then
/// nothing is lost if this pass ends.
fn is_known(facts: &Facts<'_>, done: &[Effect], subject: &Subject) -> bool {
    let written = done.iter().rev().find_map(|effect| match effect {
        Effect::WriteLedger { ledger, .. } => Some(ledger),
        _ => None,
    });
    let entries = || [Some(&facts.ledger), written].into_iter().flatten().map(|ledger| ledger.entry(&facts.cluster.name));
    // What this pass is the first to write down as answered, it has removed before.
    let is_answered = |request: &RequestId| {
        let has = |ledger: &Ledger| ledger.entry(&facts.cluster.name).has_answered(request);
        written.is_some_and(has) && !has(&facts.ledger)
    };
    let is_noted = |request: &RequestId| is_answered(request) || entries().any(|entry| entry.open.iter().any(|o| o.request == *request));
    match &subject.upload {
        Some(key) => facts.uploads.iter().filter(|u| u.key == *key).all(|u| is_noted(&u.request)),
        None => entries().any(|entry| entry.is_owed()),
    }
}

/// An upload whose key cannot be a request: answered beside it, and removed. False where it is not there.
pub async fn pass_stray<W: Observe + Perform>(world: &W, key: &str) -> Result<bool, Fault> {
    let Reading::Refused { answer, problem } = key::read(key) else { return Ok(true) };
    let Some(object) = observe::listed(world, key).await? else { return Ok(false) };
    let standing = observe::listed(world, &answer).await?;
    let expect = Expect::seen(standing.as_ref().map(|o| &o.etag));
    world.perform(&Effect::WriteAnswer { key: answer, message: Message::WrongKey(problem), expect }).await?;
    match world.perform(&Effect::RemoveUpload { key: key.to_owned(), etag: object.etag }).await {
        // It has its answer, and S3 does not let it be removed.
        Err(fault) if fault.kind != Kind::Permanent => Err(fault),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// A file whose name looks like a request's: answered beside it, once, and left where it is. One write and no read: the
/// functions have no right to such files, and the text follows from the key, so an answer that is there already says the same.
pub async fn pass_look_alike<W: Perform>(world: &W, key: &str) -> Result<(), Fault> {
    let Reading::LooksLike { answer, problem } = key::read(key) else { return Ok(()) };
    let effect = Effect::WriteAnswer { key: answer, message: Message::LookAlike(problem), expect: Expect::Absent };
    match world.perform(&effect).await {
        Err(fault) if fault.kind != Kind::Moved => Err(fault),
        Ok(_) | Err(_) => Ok(()),
    }
}

struct Stop {
    fault: Fault,
    /// Which effect was not done.
    nth: usize,
    is_create: bool,
    is_delete: bool,
}

/// `withheld`: uploads that S3 does not give out.
async fn carry_out<W: Perform>(
    world: &W,
    plan: &Plan,
    withheld: &[String],
    outcome: &mut Outcome,
    is_stale: impl Fn() -> bool,
) -> Result<(), Stop> {
    let (mut my_ledger, mut my_status) = (None, None);
    for (nth, effect) in plan.effects.iter().enumerate() {
        let stop = |fault| Stop {
            fault,
            nth,
            is_create: matches!(effect, Effect::CreateStack(_)),
            is_delete: matches!(effect, Effect::DeleteStack { .. }),
        };
        if is_stale() {
            send_claimed(world, &plan.effects[nth..], my_ledger.as_ref(), outcome).await;
            return Err(stop(Fault::new(Kind::Moved, "pass", "what was seen is too old to act on")));
        }
        let done = match effect {
            Effect::WriteLedger { user, ledger, expect: Expect::Mine } => {
                let expect = Expect::seen(my_ledger.as_ref());
                world.perform(&Effect::WriteLedger { user: user.clone(), ledger: ledger.clone(), expect }).await
            }
            Effect::WriteStatus { key, status, expect: Expect::Mine } => {
                let expect = Expect::seen(my_status.as_ref());
                world.perform(&Effect::WriteStatus { key: key.clone(), status: status.clone(), expect }).await
            }
            effect => world.perform(effect).await,
        };
        match (effect, done) {
            (Effect::WriteLedger { .. }, Ok(etag)) => my_ledger = etag,
            (Effect::WriteStatus { .. }, Ok(etag)) => my_status = etag,
            (Effect::SendMail(mail), Err(fault)) => outcome.mails_lost.push(format!("{}: {fault}", mail.subject())),
            (_, Ok(_)) => {}
            // Refused for good, because the condition of the removal reads it: it has its answer, and stays.
            (Effect::RemoveUpload { key, .. }, Err(fault)) if fault.kind == Kind::Permanent && withheld.contains(key) => {}
            (_, Err(fault)) => {
                send_claimed(world, &plan.effects[nth..], my_ledger.as_ref(), outcome).await;
                return Err(stop(fault));
            }
        }
    }
    Ok(())
}

/// Once the ledger says that this plan's mails are sent, no other pass sends them: a plan that is broken off must not lose them.
async fn send_claimed<W: Perform>(world: &W, rest: &[Effect], claim: Option<&ETag>, outcome: &mut Outcome) {
    for effect in rest.iter().filter(|_| claim.is_some()) {
        if let Effect::SendMail(mail) = effect
            && let Err(fault) = world.perform(effect).await
        {
            outcome.mails_lost.push(format!("{}: {fault}", mail.subject()));
        }
    }
}

impl Outcome {
    /// The courses taken, in order.
    pub fn courses(&self) -> impl Iterator<Item = Course> {
        self.plans.iter().map(|plan| plan.course)
    }

    /// Mails claimed by an earlier pass that may have died before it sent them.
    pub fn mails_in_doubt(&self) -> usize {
        self.plans.iter().map(|plan| plan.mails_in_doubt).sum()
    }

    /// Whether something was left on the ledger for cf-watch.
    pub fn left_for_watch(&self) -> bool {
        self.plans.iter().any(|plan| plan.left_for_watch)
    }

    /// How long a user has waited; asked once a plan is carried out. Who asks again for what stands has not waited.
    fn time(&mut self, facts: &Facts<'_>, course: Course) {
        let entry = facts.entry();
        let was_making = matches!(entry.phase, Phase::Creating { .. });
        if let (Course::Announce, true, Some(accepted), Some(_)) = (course, was_making, entry.accepted, facts.login()) {
            self.ready_seconds = Some(facts.now.as_second() - accepted.at.as_second());
        }
    }
}
