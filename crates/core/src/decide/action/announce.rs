//! The login address: reported, changed, gone.

use super::super::builder::Builder;
use super::super::compose;
use crate::key::{Answer, Verb};
use crate::ledger::{Accepted, MailKind, Phase};
use crate::message::StateText;
use crate::status::State;

/// Claims the news of a creation that ended. A cluster that is announced again, to one who asked again, is no news; nor is one
/// that nobody is known to wait for.
fn claim(b: &mut Builder<'_>, kind: MailKind) -> Option<Accepted> {
    let accepted = b.entry.accepted.clone().filter(|_| matches!(b.entry.phase, Phase::Creating { .. }))?;
    b.claim(&accepted.request, kind).then_some(accepted)
}

pub fn announce(b: &mut Builder<'_>) {
    let login = b.snapshot.login().unwrap_or_default().to_owned();
    let news = claim(b, MailKind::Ready);
    let joined = b.joined(Verb::Create);
    for open in &joined {
        b.entry.note_announced(&open.key);
    }
    b.entry.login = Some(login.clone());
    b.write_ledger();
    for open in &joined {
        b.answer(&open.key, &compose::created(&login));
    }
    b.status(State::Ready, compose::ready(b.snapshot, &login, b.entry.nodes.as_ref()), None);
    if let Some(accepted) = news {
        b.mail(compose::ready_news(&accepted, &login));
    }
    end(b, &joined);
}

pub fn announce_no_login(b: &mut Builder<'_>) {
    let news = claim(b, MailKind::Failed);
    let joined = b.joined(Verb::Create);
    for open in &joined {
        b.entry.note_announced(&open.key);
    }
    b.entry.login = Some(String::new());
    b.write_ledger();
    for open in &joined {
        b.answer(&open.key, &compose::no_login(b.snapshot));
    }
    b.status(State::Failed, StateText::NoLogin, None);
    if let Some(accepted) = news {
        b.mail(compose::no_login_news(&accepted));
    }
    end(b, &joined);
}

fn end(b: &mut Builder<'_>, joined: &[crate::ledger::Open]) {
    for open in joined {
        b.settle(&open.request);
    }
    b.entry.phase = Phase::Ready;
    b.close();
}

/// Wherever the old address is, it is not true any more.
pub fn readdress(b: &mut Builder<'_>) {
    let login = b.snapshot.login().unwrap_or_default().to_owned();
    b.write_ledger();
    // Where it was reported that there is none, `.cf-failed` says so. An address that its user has removed is not put there again.
    let none_was_reported = b.entry.login.as_deref() == Some("");
    for key in b.announced_in() {
        if none_was_reported || b.snapshot.answer_etag(&key, Answer::Created).is_some() {
            b.answer(&key, &compose::created(&login));
        }
    }
    b.status(State::Ready, compose::ready(b.snapshot, &login, b.entry.nodes.as_ref()), None);
    b.entry.login = Some(login);
    b.close();
}

/// There is no address any more. The folders stay noted: one may come back.
pub fn withdraw_address(b: &mut Builder<'_>) {
    b.write_ledger();
    let keys = b.announced_in();
    for key in &keys {
        b.remove_created_answer(key);
    }
    for key in &keys {
        b.answer(key, &compose::no_login(b.snapshot));
    }
    b.status(State::Failed, StateText::NoLogin, None);
    b.entry.login = Some(String::new());
    b.close();
}
