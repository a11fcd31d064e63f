//! That the comparison can fail: whatever is done to Bob's things by hand is noticed, one thing at a time.

use cf_core::effect::{Effect, Expect};
use cf_core::key::{AnswerKey, StatusKey};
use cf_core::ledger::Ledger;
use cf_core::message::{Mail, Message, News};
use cf_core::observe::query::{
    ListFolder, ListLedgers, ListStacks, ReadLedger, ReadProfile, ReadStatus, ReadUpload, StackById, StackByName,
};
use cf_core::stack::StackStatus;
use cf_core::testing;
use cf_sim::Asked;
use cf_sim::{Bucket, Cloud};

use crate::people::{self, TwoUsers};
use crate::uploads::Upload;
use crate::{compare, people::BOBS_SECRETS};

fn stage() -> TwoUsers {
    people::stage("al", "alice", "ready", true)
}

fn is_noticed(stage: &TwoUsers, what: &str, change: impl Fn(&mut Cloud)) {
    let mut cloud = stage.cloud.clone();
    assert_eq!(compare::changed(&stage.cloud, &cloud, stage), Vec::<String>::new());
    change(&mut cloud);
    let wrong = compare::changed(&stage.cloud, &cloud, stage);
    assert!(!wrong.is_empty(), "{what} was not noticed");
}

#[test]
fn a_change_of_any_of_bobs_things_is_noticed() {
    let stage = stage();
    let at = stage.cloud.world.now();
    let mut objects = 0;
    for bucket in [Bucket::User, Bucket::Customizer, Bucket::System] {
        let all: Vec<_> = stage.cloud.world.state().store.list(bucket, "").map(|(key, v)| (key.clone(), v.bytes.clone())).collect();
        for (key, bytes) in all.into_iter().filter(|(key, _)| key.contains("alice")) {
            objects += 1;
            is_noticed(&stage, &format!("{key} removed"), |cloud| cloud.world.state().store.delete(bucket, &key));
            is_noticed(&stage, &format!("{key} written anew"), |cloud| drop(cloud.world.state().store.put(bucket, &key, &bytes, at)));
        }
    }
    assert!(objects > 10, "{objects}");
    for key in ["home/alice/new", "home/alicex/new", "home/al.cf-failed", "home/a/l", "elsewhere"] {
        is_noticed(&stage, key, |cloud| drop(cloud.world.state().store.put(Bucket::User, key, b"", at)));
    }
    let ids: Vec<_> =
        stage.cloud.world.state().stacks.all().iter().map(|s| s.stack.clone()).filter(|s| s.tags["USER"] == "alice").collect();
    assert!(ids.len() > 4);
    for stack in ids {
        is_noticed(&stage, &stack.id.0, |cloud| cloud.world.state().stacks.set_status(&stack.id, StackStatus::UpdateComplete, at));
    }
    let mail = |user: &str| {
        let (settings, cluster) = (testing::settings(), testing::cluster(user, "demo"));
        Mail { stack: settings.stack_name(&cluster), deployment: settings.deployment, cluster, news: News::Gone }
    };
    is_noticed(&stage, "a mail", |cloud| cloud.world.state().mails.push(mail("alice")));
}

#[test]
fn a_question_or_an_effect_that_is_not_for_her_is_noticed() {
    let stage = stage();
    let bob = testing::cluster(&stage.bob, "demo");
    let settings = &stage.cloud.world.settings;
    let id = stage.cloud.world.state().stacks.living(settings.stack_name(&bob).as_str()).map(|s| s.stack.id.clone()).expect("Bob has it");
    let dropped = [Upload { key: "home/al/demo.cf-delete".into(), bytes: Vec::new() }];
    let noticed = |change: &dyn Fn(&mut cf_sim::State)| {
        let cloud = stage.cloud.clone();
        change(&mut cloud.world.state());
        !compare::touched(&cloud, &stage, &dropped).is_empty()
    };
    assert!(!noticed(&|_| ()));
    assert!(!noticed(&|state| state.asked.push(Asked::of(&ListFolder("home/al/demo.cf-".into())))));
    let queries = [
        Asked::of(&ReadLedger(bob.user.clone())),
        Asked::of(&ReadUpload { key: "home/alice/demo.cf-create".into(), body: true }),
        Asked::of(&ListFolder("home/al".into())),
        Asked::of(&ReadStatus(StatusKey::read("home/alice/demo.cf-status").unwrap())),
        Asked::of(&ReadProfile(bob.user.clone())),
        Asked::of(&StackByName(settings.stack_name(&bob))),
        Asked::of(&StackById(id.clone())),
        Asked::of(&ListLedgers(None)),
        Asked::of(&ListStacks(None)),
    ];
    for query in queries {
        assert!(noticed(&|state| state.asked.push(query.clone())), "{query:?}");
    }
    let effects = [
        Effect::WriteLedger { user: bob.user.clone(), ledger: Ledger::default(), expect: Expect::Absent },
        Effect::DeleteStack { id },
        Effect::WriteAnswer {
            key: AnswerKey::read("home/alice/demo.cf-failed").unwrap(),
            message: Message::Created { login: String::new() },
            expect: Expect::Absent,
        },
        Effect::WriteAnswer {
            key: AnswerKey::read("home/al/demo.cf-failed").unwrap(),
            message: Message::Created { login: BOBS_SECRETS[0].into() },
            expect: Expect::Absent,
        },
    ];
    for effect in effects {
        assert!(noticed(&|state| state.effects.push(effect.clone())), "{effect:?}");
    }
}

#[test]
fn bobs_things_move_while_alices_are_followed() {
    let stage = stage();
    let keys = stage.without(1).keys();
    for answer in ["moving.cf-created", "pending.cf-created", "leaving.cf-deleted"] {
        let key = format!("home/{}/{answer}", stage.bob);
        assert!(keys.contains(&key) && !stage.cloud.keys().contains(&key), "{key} in {keys:?}");
    }
    let mut other = stage.cloud.clone();
    other.world.wait(1);
    assert!(!compare::ended_otherwise(stage.without(1), &other, &stage).is_empty());
    people::follow(&mut other);
    assert_eq!(compare::ended_otherwise(stage.without(1), &other, &stage), Vec::<String>::new());
}
