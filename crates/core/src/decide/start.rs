//! The courses of a create: accept, start, follow, announce, explain.

use super::draft::Draft;
use super::row::differences;
use crate::effect::{Effect, NewStack};
use crate::key::{Answer, Verb};
use crate::ledger::{Accepted, End, Entry, MailKind, Phase};
use crate::request::RequestId;
use crate::say::{answers, mails, states};
use crate::stack::{StackState, tags};
use crate::status::State;

pub fn start(d: &mut Draft<'_>) {
    let Some(upload) = d.chosen.create else { return };
    let keep = Entry { open: d.entry.open.clone(), answered: d.entry.answered.clone(), mails: d.entry.mails.clone(), ..Entry::default() };
    d.entry = Entry {
        phase: Phase::Creating { since: d.facts.now },
        accepted: Some(Accepted {
            request: upload.request.clone(),
            key: upload.key.clone(),
            at: d.facts.now,
            parameters: d.chosen.choices.clone(),
        }),
        ..keep
    };
    d.entry.note_open(&upload.key, &upload.request, true);
    d.write_ledger();
    d.remove_answers(&upload.key, &[]);
    create_stack(d);
    d.status(State::Creating, states::starting(), None);
}

pub fn resume(d: &mut Draft<'_>) {
    // Every attempt has its own line in the ledger: how long a lost one may still be on its way is counted from it.
    d.entry.phase = Phase::Creating { since: d.facts.now };
    d.write_ledger();
    create_stack(d);
    d.status(State::Creating, states::starting(), None);
}

fn create_stack(d: &mut Draft<'_>) {
    let (site, cluster) = (d.facts.site, &d.facts.cluster);
    let Some(accepted) = &d.entry.accepted else { return };
    let mut parameters = accepted.parameters.clone();
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
    if d.has_news() {
        d.write_ledger();
    }
    match d.facts.stack().map(|s| s.status.state()) {
        Some(StackState::Making) => d.status(State::Creating, states::creating(d.facts.progress), d.facts.progress),
        Some(_) => d.status(State::Deleting, states::deleting(d.facts), None),
        None => {}
    }
}

pub fn join(d: &mut Draft<'_>) {
    let facts = d.facts;
    for upload in [d.chosen.create, d.chosen.delete].into_iter().flatten() {
        let is_the_one = match upload.key.verb {
            Verb::Create => d.chosen.delete.is_none() || !matches!(d.entry.phase, Phase::Deleting { .. }),
            Verb::Delete => matches!(d.entry.phase, Phase::Deleting { .. }),
        };
        if is_the_one {
            d.entry.note_open(&upload.key, &upload.request, true);
        }
        if upload.key.verb == Verb::Create && is_the_one && d.entry.accepted.is_none() {
            recover_entry(d, Some(upload.request.clone()));
        }
    }
    if let (Phase::New | Phase::Gone { .. }, Some(_)) = (d.entry.phase, facts.stack()) {
        recover_entry(d, d.chosen.create.map(|u| u.request.clone()));
    }
    d.write_ledger();
    d.look_again = true;
}

/// Writes what a living stack tells of itself into an entry that does not know it.
fn recover_entry(d: &mut Draft<'_>, create: Option<RequestId>) {
    let Some(stack) = d.facts.stack() else { return };
    let made_for = stack.request();
    let key = d.facts.uploads.iter().find(|u| create.as_ref() == Some(&u.request)).map(|u| u.key.clone());
    d.entry.accepted = key.zip(made_for).map(|(key, request)| Accepted {
        request,
        key,
        at: d.facts.now,
        parameters: stack.parameters.iter().filter(|(name, _)| d.facts.site.template.is_users(name)).map(|(n, v)| (n.clone(), v.clone())).collect(),
    });
    d.entry.phase = match stack.status.state() {
        StackState::Making => Phase::Creating { since: d.facts.now },
        StackState::Stuck => Phase::Stuck,
        _ => Phase::Ready,
    };
}

pub fn recover(d: &mut Draft<'_>) {
    if d.entry.accepted.is_some() {
        d.entry.phase = Phase::Ready;
    } else {
        recover_entry(d, None);
    }
    d.write_ledger();
    d.look_again = !d.facts.uploads.is_empty();
}

pub fn announce(d: &mut Draft<'_>) {
    let Some(accepted) = d.entry.accepted.clone() else { return };
    let login = d.facts.login().map(str::to_owned);
    let kind = if login.is_some() { MailKind::Ready } else { MailKind::Failed };
    // A cluster that is announced again, to one who asked again, is no news.
    let is_news = matches!(d.entry.phase, Phase::Creating { .. });
    let claimed = is_news && d.claim(&accepted.request, kind);
    d.write_ledger();
    let joined = d.joined(Verb::Create);
    for open in &joined {
        match &login {
            Some(login) => d.answer(&open.key, Answer::Created, &answers::created(login)),
            None => d.answer(&open.key, Answer::Failed, &answers::no_login(d.facts)),
        }
    }
    match &login {
        Some(login) => d.status(State::Ready, states::ready(login), None),
        None => d.status(State::Failed, states::no_login(), None),
    }
    if claimed {
        d.mail(if login.is_some() { mails::ready(d.facts, &accepted) } else { mails::no_login(d.facts, &accepted) });
    }
    for open in &joined {
        d.settle(&open.request);
    }
    d.entry.phase = Phase::Ready;
    d.close();
}

/// The creation failed, was refused, or the stack went while it was being made: told once, in `text`.
fn fail(d: &mut Draft<'_>, text: &str, next: Phase) {
    let Some(accepted) = d.entry.accepted.clone() else { return };
    let claimed = d.claim(&accepted.request, MailKind::Failed);
    d.write_ledger();
    let joined = d.joined(Verb::Create);
    for open in &joined {
        d.answer(&open.key, Answer::Failed, text);
    }
    d.status(State::Failed, states::failed(), None);
    if claimed {
        d.mail(mails::failed(d.facts, &accepted, text));
    }
    for open in &joined {
        d.settle(&open.request);
    }
    d.entry.phase = next;
    d.close();
}

pub fn explain(d: &mut Draft<'_>) {
    fail(d, &answers::failed(d.facts), Phase::Failing);
    // A stack that has ended its rollback sends no further event: its removal is ours to start.
    d.look_again |= d.facts.stack().is_none_or(|s| s.status.state() != StackState::RollingBack);
}

pub fn declined(d: &mut Draft<'_>, why: &str) {
    let text = answers::declined(d.facts, why);
    fail(d, &text, Phase::Gone { at: d.facts.now, end: End::Failed });
}

pub fn lost_while_making(d: &mut Draft<'_>) {
    let text = answers::removed_while_making(d.facts);
    fail(d, &text, Phase::Gone { at: d.facts.now, end: End::Removed });
}

pub fn refuse(d: &mut Draft<'_>, text: &str) {
    let Some(upload) = d.chosen.create else { return };
    d.write_ledger();
    d.answer_and_settle(upload, Answer::Failed, text);
    d.close();
}

pub fn differ(d: &mut Draft<'_>) {
    let text = answers::differs(d.facts, &differences(d.facts, &d.entry, &d.chosen.choices));
    refuse(d, &text);
}

pub fn occupied(d: &mut Draft<'_>) {
    let text = answers::occupied(d.facts);
    let mut owed: Vec<_> = d.joined(Verb::Create);
    if let Some(upload) = d.chosen.create {
        owed.retain(|o| o.request != upload.request);
        owed.push(crate::ledger::Open { key: upload.key.clone(), request: upload.request.clone(), joined: true });
    }
    let claimed: Vec<_> = owed.iter().filter(|o| d.claim(&o.request, MailKind::Occupied)).cloned().collect();
    d.write_ledger();
    for open in &owed {
        d.answer(&open.key, Answer::Failed, &text);
    }
    d.status(State::Failed, states::failed(), None);
    if !claimed.is_empty() {
        d.mail(mails::occupied(d.facts));
    }
    for open in &owed {
        d.settle(&open.request);
    }
    d.entry.phase = match d.entry.phase {
        Phase::New => Phase::New,
        _ => Phase::Gone { at: d.facts.now, end: End::Failed },
    };
    d.close();
}
