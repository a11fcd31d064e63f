//! The courses of a create: accept, start, follow, announce, explain.

use std::collections::BTreeMap;

use super::compose;
use super::draft::Draft;
use super::row::differences;
use crate::body::Body;
use crate::effect::{Effect, NewStack};
use crate::key::{Answer, Verb};
use crate::ledger::{Accepted, End, Entry, MailKind, Phase};
use crate::message::{Message, News, StateText};
use crate::stack::{Stack, StackState, tags};
use crate::status::State;

pub fn start(d: &mut Draft<'_>) {
    let Some(upload) = d.chosen.create else { return };
    let life = Entry {
        open: std::mem::take(&mut d.entry.open),
        answered: std::mem::take(&mut d.entry.answered),
        left_over: std::mem::take(&mut d.entry.left_over),
        mails: std::mem::take(&mut d.entry.mails),
        last_create: d.entry.last_create,
        last_delete: d.entry.last_delete,
        last_create_seen: d.entry.last_create_seen.take(),
        last_delete_seen: d.entry.last_delete_seen.take(),
        phase: Phase::Creating { since: d.facts.now },
        accepted: Some(Accepted {
            request: upload.request.clone(),
            key: upload.key.clone(),
            at: d.facts.now,
            parameters: d.chosen.choices.clone(),
            defaults: d.facts.site.region.defaults_beside(&d.chosen.choices),
        }),
        ..Entry::default()
    };
    d.entry = life;
    d.join(upload);
    d.write_ledger();
    d.remove_answers(&upload.key, &[]);
    create_stack(d);
    d.status(State::Creating, StateText::Starting, None);
}

/// A creation that CloudFormation has not taken for so long is told to its user: by then Lambda's own attempts are over.
const TOLD_SECONDS: i64 = 600;

pub fn resume(d: &mut Draft<'_>) {
    let Some(accepted) = d.entry.accepted.clone() else {
        // Recovered from a stack that is not to be found any more, not even by its id: CloudFormation forgets after 90 days.
        return super::finish::cleared(d);
    };
    // Every attempt has its own line in the ledger: how long a lost one may still be on its way is counted from it.
    d.entry.phase = Phase::Creating { since: d.facts.now };
    d.write_ledger();
    // Before the call, for where it fails again nothing is said after it.
    if d.facts.now.as_second() - accepted.at.as_second() >= TOLD_SECONDS {
        d.status(State::Creating, StateText::NotTaken { since: accepted.at }, None);
    }
    create_stack(d);
    d.status(State::Creating, StateText::Starting, None);
}

fn create_stack(d: &mut Draft<'_>) {
    let (site, cluster) = (d.facts.site, &d.facts.cluster);
    let Some(accepted) = &d.entry.accepted else { return };
    let mut parameters = accepted.defaults.clone();
    parameters.extend(accepted.parameters.clone());
    // The system's values last: nothing that a user wrote can stand in their place.
    for (name, value) in &site.template.metadata.system_parameters {
        parameters.insert(name.clone(), site.system_value(*value, cluster));
    }
    d.effects.push(Effect::CreateStack(Box::new(NewStack {
        name: site.stack_name(cluster),
        token: accepted.request.token("create"),
        parameters,
        tags: tags(cluster, &accepted.request, &site.deployment),
        template: site.template.key(),
    })));
}

pub fn follow(d: &mut Draft<'_>) {
    let is_leaving = d.facts.stack().is_some_and(|s| s.status.state() == StackState::Leaving);
    let is_deleting = is_leaving || matches!(d.entry.phase, Phase::Deleting { .. });
    // "deleting" may follow a final state, so a slow pass must not say it after another has told how the removal ended: the
    // ledger's condition stops it. Progress cannot follow a final state, and needs no such stop.
    if d.has_news() || (is_deleting && !d.shows(State::Deleting)) {
        d.write_ledger();
    }
    if is_deleting {
        d.status(State::Deleting, compose::deleting(d.facts), None);
    } else if d.facts.progress.is_some() || !d.shows(State::Creating) {
        // Where the list of parts cannot be read, the last figure stays.
        d.status(State::Creating, StateText::Creating(d.facts.progress), d.facts.progress);
    }
}

/// The create at hand is the one that the stack was made for, or shares in it; the ledger may have lost it.
pub fn own(d: &mut Draft<'_>) {
    let Some(upload) = d.chosen.create else { return };
    d.join(upload);
    if d.entry.accepted.is_none() {
        recover_accepted(d);
    }
}

/// Lets an upload share in the work in hand: a delete where one is under way, else the create.
pub fn join(d: &mut Draft<'_>) {
    let is_leaving = matches!(d.entry.phase, Phase::Deleting { .. });
    let at_hand = if is_leaving { d.chosen.delete } else { d.chosen.create };
    if let Some(upload) = at_hand {
        d.join(upload);
    }
    if !is_leaving && !knows_its_stack(d) {
        recover_accepted(d);
        recover_phase(d);
    }
    d.write_ledger();
    d.look_again = true;
}

/// Writes a living stack of ours back into a ledger that knows nothing of it, or thinks otherwise of it.
pub fn recover(d: &mut Draft<'_>) {
    if !knows_its_stack(d) {
        recover_accepted(d);
    }
    recover_phase(d);
    d.write_ledger();
    d.look_again = !d.facts.uploads.is_empty();
}

/// Whether the entry speaks of the stack that is there, as one that lives.
fn knows_its_stack(d: &Draft<'_>) -> bool {
    let made_for = d.facts.stack().and_then(Stack::request);
    let accepted = d.entry.accepted.as_ref().map(|a| &a.request);
    !matches!(d.entry.phase, Phase::New | Phase::Gone { .. }) && accepted.is_some() && (made_for.is_none() || made_for.as_ref() == accepted)
}

/// What a living stack tells of the request that it was made for. The folder for its answers is the one of the create at
/// hand; without one, there is nobody to be told.
fn recover_accepted(d: &mut Draft<'_>) {
    let Some(stack) = d.facts.stack() else { return };
    if d.entry.accepted.as_ref().is_some_and(|a| stack.request().as_ref() == Some(&a.request)) {
        return;
    }
    let is_users = |name: &String| d.facts.site.template.is_users(name);
    let parameters = stack.parameters.iter().filter(|(name, _)| is_users(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    d.entry.accepted = d.chosen.create.zip(stack.request()).map(|(upload, request)| Accepted {
        request,
        key: upload.key.clone(),
        at: d.facts.now,
        parameters,
        defaults: BTreeMap::new(),
    });
}

fn recover_phase(d: &mut Draft<'_>) {
    let Some(stack) = d.facts.stack() else { return };
    d.entry.phase = match stack.status.state() {
        // Of one that has failed, or is removed before it was finished, its create is still to be told.
        StackState::Making | StackState::RollingBack | StackState::Failed | StackState::Leaving => Phase::Creating { since: d.facts.now },
        StackState::Stuck => Phase::Stuck,
        // Nothing is made of it, so there is nothing to speak of.
        StackState::Planned => return,
        // Whoever shares in it is told that it is ready; nobody else is.
        StackState::Standing | StackState::Changing | StackState::Gone => Phase::Ready,
    };
}

pub fn announce(d: &mut Draft<'_>) {
    let login = d.facts.login().map(str::to_owned);
    let kind = if login.is_some() { MailKind::Ready } else { MailKind::Failed };
    // A cluster that is announced again, to one who asked again, is no news; nor is one that nobody is known to wait for.
    let news = d.entry.accepted.clone().filter(|_| matches!(d.entry.phase, Phase::Creating { .. }));
    let news = news.filter(|accepted| d.claim(&accepted.request, kind));
    let joined = d.joined(Verb::Create);
    for open in joined.iter().filter(|_| login.is_some()) {
        d.entry.note_announced(&open.key);
    }
    d.entry.login = Some(login.clone().unwrap_or_default());
    d.write_ledger();
    let message = login.as_deref().map_or_else(|| compose::no_login(d.facts), compose::created);
    for open in &joined {
        d.answer(&open.key, &message);
    }
    match &login {
        Some(login) => d.status(State::Ready, compose::ready(d.facts, login, d.entry.nodes.as_ref()), None),
        None => d.status(State::Failed, StateText::NoLogin, None),
    }
    if let Some(accepted) = news {
        d.mail(compose::announced(&accepted, login.as_deref()));
    }
    for open in &joined {
        d.settle(&open.request);
    }
    d.entry.phase = Phase::Ready;
    d.close();
}

/// The stack tells another login address since somebody changed it: wherever the old one stands, it is not true any more.
pub fn readdress(d: &mut Draft<'_>) {
    let login = d.facts.login().map(str::to_owned);
    d.write_ledger();
    let accepted = d.entry.accepted.as_ref().map(|a| a.key.clone());
    if let Some(login) = &login {
        let told: Vec<_> = d.entry.announced.iter().cloned().chain(accepted).collect();
        // Where it was told that there is none, `.cf-failed` says so, and no longer does.
        let none_was_told = d.entry.login.as_deref() == Some("");
        for key in told.iter().filter(|key| none_was_told || d.facts.standing(key, Answer::Created).is_some()) {
            d.answer(key, &compose::created(login));
        }
        d.status(State::Ready, compose::ready(d.facts, login, d.entry.nodes.as_ref()), None);
    } else {
        d.forget_created();
        if let Some(key) = accepted {
            d.answer(&key, &compose::no_login(d.facts));
        }
        d.status(State::Failed, StateText::NoLogin, None);
    }
    d.entry.login = Some(login.unwrap_or_default());
    d.close();
}

/// The creation failed, was refused, or the stack went while it was being made: told once, by `message`, to all who share in it.
fn fail(d: &mut Draft<'_>, message: &Message, next: Phase) {
    let accepted = d.entry.accepted.clone().filter(|accepted| d.claim(&accepted.request, MailKind::Failed));
    d.write_ledger();
    let joined = d.joined(Verb::Create);
    for open in &joined {
        d.answer(&open.key, message);
        // Announced by a pass that died before it could note it, and not true any more.
        d.remove_answers(&open.key, &[Answer::Deleted, Answer::Failed]);
        if next == Phase::Failing {
            d.entry.note_warned(&open.key);
        }
    }
    d.forget_created();
    d.status(State::Failed, StateText::Failed, None);
    if let Some(accepted) = accepted {
        d.mail(compose::failed_news(d.facts, &accepted, message));
    }
    for open in &joined {
        d.settle(&open.request);
    }
    d.entry.phase = next;
    d.close();
}

pub fn explain(d: &mut Draft<'_>) {
    fail(d, &compose::failed(d.facts), Phase::Failing);
    // A stack that has ended its rollback sends no further event: its removal is ours to start.
    d.look_again |= d.facts.stack().is_none_or(|s| s.status.state() != StackState::RollingBack);
}

pub fn declined(d: &mut Draft<'_>, why: &str) {
    let message = compose::declined(d.facts, why);
    fail(d, &message, Phase::Gone { at: d.facts.now, end: End::Failed });
}

pub fn lost_while_making(d: &mut Draft<'_>) {
    // Where it failed first, that is the reason, whoever removed what was left.
    let has_failed = d.facts.causes.of_creation().next().is_some();
    let message = if has_failed { compose::failed(d.facts) } else { Message::RemovedWhileMade { cluster: compose::name(d.facts) } };
    fail(d, &message, Phase::Gone { at: d.facts.now, end: End::Removed });
}

/// Answers a create that breaks the rules. Of one that S3 does not give out the administrator hears too: it may be the
/// bucket's policy, or its key's.
pub fn refuse_broken(d: &mut Draft<'_>) {
    let message = Message::Refused { cluster: compose::name(d.facts), problems: d.chosen.problems.clone() };
    let unreadable = d.chosen.create.filter(|upload| matches!(upload.body, Body::Unreadable(_)));
    let claimed = unreadable.is_some_and(|upload| d.claim_unreadable(upload));
    let Some(upload) = d.chosen.create else { return };
    d.write_ledger();
    d.answer(&upload.key, &message);
    if claimed {
        d.mail(News::Unreadable { file: upload.key.clone(), told: message });
    }
    d.settle(&upload.request);
    d.close();
}

/// Answers a create that a delete took back. Where both are of one second, that stands until the next create is accepted: the
/// receipt of the removal alone would say nothing of the create.
pub fn withdraw(d: &mut Draft<'_>) {
    let Some(upload) = d.chosen.create else { return };
    let tied = d.tie(upload);
    let message = compose::withdrawn(d.facts, tied.as_ref());
    d.entry.tied = tied;
    refuse(d, &message);
}

pub fn refuse(d: &mut Draft<'_>, message: &Message) {
    let Some(upload) = d.chosen.create else { return };
    d.write_ledger();
    d.answer_and_settle(upload, message);
    d.close();
}

/// The name is held by what could not be deleted: none of the creates can come true.
pub fn leftover(d: &mut Draft<'_>) {
    let owed = d.owed(Verb::Create, d.chosen.create);
    d.write_ledger();
    for open in &owed {
        d.answer(&open.key, &compose::leftover(d.facts));
        d.settle(&open.request);
    }
    d.close();
}

pub fn differ(d: &mut Draft<'_>) {
    let message = compose::differs(d.facts, differences(d.facts, &d.entry, &d.chosen.choices));
    refuse(d, &message);
}

pub fn occupied(d: &mut Draft<'_>) {
    // Ours, but another request's.
    let message =
        if d.facts.stack().is_some() { compose::leftover(d.facts) } else { Message::Occupied { cluster: compose::name(d.facts) } };
    let owed = d.owed(Verb::Create, d.chosen.create);
    let claimed: Vec<_> = owed.iter().filter(|o| d.claim(&o.request, MailKind::Occupied)).cloned().collect();
    d.write_ledger();
    for open in &owed {
        d.answer(&open.key, &message);
    }
    // One that is refused before it was accepted touches no state.
    let was_accepted = !matches!(d.entry.phase, Phase::New | Phase::Gone { .. });
    if was_accepted {
        d.status(State::Failed, StateText::Failed, None);
    }
    if !claimed.is_empty() {
        d.mail(News::Occupied);
    }
    for open in &owed {
        d.settle(&open.request);
    }
    if was_accepted {
        d.entry.phase = Phase::Gone { at: d.facts.now, end: End::Failed };
    }
    d.close();
}
