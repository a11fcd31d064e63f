//! Two worlds, held side by side: is all that is not Alice's the same? And did her passes ask only of what is hers?

use std::collections::BTreeMap;

use cf_core::effect::Effect;
use cf_core::ledger;
use cf_core::ledger_cache;
use cf_core::names::User;
use cf_core::stack::TAG_USER;
use cf_sim::{Bucket, Cloud, SimStack, State};

use crate::people::{BOBS_SECRETS, TwoUsers};
use crate::uploads::Upload;

const BUCKETS: [Bucket; 3] = [Bucket::User, Bucket::Customizer, Bucket::System];

/// Whether a key or a mail's subject is Alice's, by its text alone and not by what our own readers make of it.
fn is_alices(text: &str, alice: &str) -> bool {
    ["home/", "customizer/", "mail/"].iter().any(|begin| {
        let rest = text.strip_prefix(begin).and_then(|rest| rest.strip_prefix(alice));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }) || text == format!("ledger/{alice}.json")
}

fn is_stack_of(stack: &SimStack, user: &str) -> bool {
    stack.stack.tags.get(TAG_USER).is_some_and(|tag| tag == user)
}

/// The objects of a bucket that are not Alice's.
fn others<'a>(state: &'a State, bucket: Bucket, people: &'a TwoUsers) -> impl Iterator<Item = (&'a String, impl PartialEq + 'a)> {
    // What sweeps remember is everybody's: each line stands for the version of one ledger, and is compared with that.
    state.store.list(bucket, "").filter(|(key, _)| !is_alices(key, &people.alice) && *key != ledger_cache::KEY)
}

/// Every object, stack and mail that is not Alice's, compared to the last byte, version and time.
pub fn changed(before: &Cloud, after: &Cloud, people: &TwoUsers) -> Vec<String> {
    let (before, after) = (before.world.state(), after.world.state());
    let mut wrong = Vec::new();
    for bucket in BUCKETS {
        let was = || others(&before, bucket, people);
        let is = || others(&after, bucket, people);
        if !was().eq(is()) {
            let differs = is().filter(|new| !was().any(|old| old == *new)).chain(was().filter(|old| !is().any(|new| new == *old)));
            wrong.extend(differs.map(|(key, _)| format!("{key} in {bucket:?} is not what it was")));
        }
    }
    let was = before.stacks.all().iter().filter(|s| !is_stack_of(s, &people.alice));
    if !was.eq(after.stacks.all().iter().filter(|s| !is_stack_of(s, &people.alice))) {
        wrong.push("a stack that is not hers is not what it was".to_owned());
    }
    let mails = |state: &State| state.mails.iter().filter(|m| !is_alices(&format!("mail/{}", m.cluster), &people.alice)).count();
    if mails(&before) != mails(&after) {
        wrong.push("a mail was sent that is not about Alice".to_owned());
    }
    wrong.extend(after.findings.iter().map(ToString::to_string));
    wrong
}

/// Every question and effect of the last upload must concern Alice alone, and tell her of nothing else. `dropped`: all that
/// she has dropped so far; what she wrote herself may be told to her.
pub fn touched(cloud: &Cloud, people: &TwoUsers, dropped: &[Upload]) -> Vec<String> {
    let state = cloud.world.state();
    let name = dropped.last().and_then(|upload| upload.key.rsplit('/').next()?.split(".cf-").next()).unwrap_or_default();
    let hers = people.stack_of(&people.alice, name);
    let is_fine = |text: &String| is_alices(text, &people.alice) || (hers.as_ref() == Some(text) && !people.bobs_stacks.contains(text));
    let mut wrong: Vec<String> = state.touched().into_iter().filter(|text| !is_fine(text)).map(|text| format!("touched {text}")).collect();
    wrong.extend(state.effects.iter().filter_map(|effect| against(effect, &state, people)));
    let may_know = |secret: &str| dropped.iter().any(|u| u.key.contains(secret) || String::from_utf8_lossy(&u.bytes).contains(secret));
    for text in state.effects.iter().filter_map(told) {
        let leaked = BOBS_SECRETS.into_iter().find(|secret| text.contains(secret) && !may_know(secret));
        wrong.extend(leaked.map(|secret| format!("Alice was told of {secret:?} in {text:?}")));
    }
    wrong
}

/// What people read of an effect.
fn told(effect: &Effect) -> Option<String> {
    match effect {
        Effect::WriteAnswer { message, .. } => Some(message.to_string()),
        Effect::WriteStatus { status, .. } => Some(status.message.to_string()),
        Effect::SendMail(mail) => Some(mail.body()),
        Effect::WriteLedger { .. }
        | Effect::CreateStack(_)
        | Effect::DeleteStack { .. }
        | Effect::RemoveAnswer { .. }
        | Effect::RemoveUpload { .. }
        | Effect::WriteLedgerCache(_)
        | Effect::WriteFirstHour { .. }
        | Effect::WriteProbe => None,
    }
}

/// What an effect says of whom it is for, where its key does not.
fn against(effect: &Effect, state: &State, people: &TwoUsers) -> Option<String> {
    let alice = people.alice.as_str();
    let is_hers = match effect {
        Effect::WriteLedger { user, .. } => user.as_str() == alice && ledger::user_of(&ledger::key(user)) == User::parse(alice).ok(),
        Effect::CreateStack(new) => {
            let given = |name: &str| new.parameters.get(name).map(String::as_str);
            new.tags.get(TAG_USER).is_some_and(|tag| tag == alice)
                && given("ClusterUser") == Some(alice)
                && given("ProfileName") == Some(alice)
                && given("AccessUsername") == Some(&login(alice))
                && new.parameters.iter().all(|(name, value)| value != &people.bob || name == "ClusterName" || value == &login(alice))
        }
        Effect::DeleteStack { id } => state.stacks.by_id(id).is_some_and(|stack| is_stack_of(stack, alice)),
        // Only the sweep itself, and a deployment, write these.
        Effect::WriteLedgerCache(_) | Effect::WriteFirstHour { .. } | Effect::WriteProbe => false,
        Effect::WriteStatus { .. }
        | Effect::WriteAnswer { .. }
        | Effect::RemoveAnswer { .. }
        | Effect::RemoveUpload { .. }
        | Effect::SendMail(_) => true,
    };
    (!is_hers).then(|| format!("not for Alice: {effect:?}"))
}

fn login(user: &str) -> String {
    User::parse(user).map(|user| user.login()).unwrap_or_default()
}

/// All that is Bob's where two worlds have come to: his objects' texts, his stacks, the mails about him. The ids of stacks
/// and the numbers of versions count everybody's, so they are left out.
fn bobs(cloud: &Cloud, people: &TwoUsers) -> BTreeMap<String, String> {
    let state = cloud.world.state();
    let mut all = BTreeMap::new();
    let stacks = state.stacks.all().iter().filter(|s| !is_stack_of(s, &people.alice));
    let ids: Vec<(String, String)> =
        stacks.clone().map(|s| (s.stack.id.0.clone(), s.stack.id.name().unwrap_or_default().to_owned())).collect();
    for bucket in BUCKETS {
        for (key, version) in state.store.list(bucket, "").filter(|(key, _)| !is_alices(key, &people.alice) && *key != ledger_cache::KEY) {
            let text = String::from_utf8_lossy(&version.bytes).into_owned();
            let text = ids.iter().fold(text, |text, (id, name)| if text.contains(id) { text.replace(id, name) } else { text });
            all.insert(format!("{bucket:?}/{key}"), text);
        }
    }
    for (nth, found) in stacks.enumerate() {
        let s = &found.stack;
        let text = format!("{} {:?} {:?} {:?} {:?}", s.status, s.reason, s.tags, s.parameters, s.outputs);
        all.insert(format!("stack {nth} {}", s.id.name().unwrap_or_default()), text);
    }
    for (nth, mail) in state.mails.iter().filter(|m| !is_alices(&format!("mail/{}", m.cluster), &people.alice)).enumerate() {
        all.insert(format!("mail {nth}"), format!("{mail:?}"));
    }
    all
}

/// Whether Bob's part has come to another end than without Alice's uploads.
pub fn ended_otherwise(without: &Cloud, with: &Cloud, people: &TwoUsers) -> Vec<String> {
    let (was, is) = (bobs(without, people), bobs(with, people));
    let keys: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let differs = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    let mut wrong: Vec<String> = differs.map(|key| format!("{key} is {:?}, and was {:?} without her", is.get(key), was.get(key))).collect();
    wrong.extend(with.world.state().findings.iter().map(ToString::to_string));
    wrong
}
