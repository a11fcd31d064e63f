//! A17 and A18: what one user's file can reach, and what becomes of stacks that are not ours.

use std::collections::BTreeMap;

use cf_core::ledger::MailKind;
use cf_core::message::Message;
use cf_core::settings::Settings;
use cf_core::stack::{Stack, StackId, StackStatus};
use cf_core::testing;
use cf_sim::StackBehaviour;

use super::{CREATE, DELETE, at_rest, cloud, demo, failed, mails, stacks};

#[test]
fn a17_a_pass_for_one_user_touches_nothing_of_another() {
    let mut cloud = cloud();
    cloud.drop_file("home/bob/demo.cf-create", b"{}");
    cloud.drop_file("home/bobby/demo.cf-create", b"{}");
    cloud.settle();
    for (key, body) in [(CREATE, &b"{}"[..]), (CREATE, b"[]"), ("home/alice/bob/demo.cf-create", b"{}"), (DELETE, b"")] {
        {
            let mut state = cloud.world.state();
            state.asked.clear();
            state.effects.clear();
        }
        cloud.drop_file(key, body);
        cloud.drain();
        while cloud.step() {
            cloud.drain();
        }
        let stack = cloud.world.settings.stack_name(&testing::cluster("alice", "demo"));
        let mine = [
            "home/alice/".into(),
            "customizer/alice/".into(),
            "ledger/alice.json".into(),
            "nodes/alice/".into(),
            format!("stack/{stack}"),
            "mail/alice/".into(),
        ];
        let touched = cloud.world.state().touched();
        let foreign: Vec<_> = touched.iter().filter(|key| !mine.iter().any(|m: &String| key.starts_with(m.as_str()))).collect();
        assert!(touched.len() > 5 && foreign.is_empty(), "{foreign:?}");
    }
    at_rest(cloud);
}

/// A stack that bears the name of alice's cluster.
fn planted(settings: &Settings, tags: &[(&str, &str)]) -> Stack {
    let name = settings.stack_name(&testing::cluster("alice", "demo"));
    Stack {
        id: StackId(format!("arn:aws:cloudformation:eu-west-2:123456789012:stack/{name}/by-hand")),
        status: StackStatus::CreateComplete,
        reason: None,
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        parameters: BTreeMap::new(),
        outputs: BTreeMap::from([(settings.template.metadata.login_output.clone(), "203.0.113.9".to_owned())]),
        parent: None,
    }
}

#[test]
fn a18_a_stack_that_is_not_ours_is_neither_adopted_nor_deleted_nor_shown() {
    let deployment = testing::settings().deployment;
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("USER", "alice"), ("clusterdrop:cluster", "demo"), ("clusterdrop:deployment", "another")],
        &[("USER", "bob"), ("clusterdrop:cluster", "demo"), ("clusterdrop:deployment", &deployment)],
        &[("USER", "alice"), ("clusterdrop:cluster", "other"), ("clusterdrop:deployment", &deployment)],
    ];
    for tags in cases {
        let mut cloud = cloud();
        let stack = planted(&cloud.world.settings, tags);
        let at = cloud.world.now();
        cloud.world.state().stacks.plant(stack.clone(), StackBehaviour::Succeeds, "by-hand", at);
        cloud.drop_file(CREATE, b"{}");
        cloud.drain();
        assert_eq!(failed(&cloud, "home/alice/demo"), Message::Occupied { cluster: demo() });
        cloud.drop_file(DELETE, b"");
        cloud.drain();
        assert_eq!(failed(&cloud, "home/alice/demo"), Message::NoSuchCluster { cluster: demo(), others: vec![], tied: None });
        assert_eq!(stacks(&cloud), [stack]);
        assert_eq!(mails(&cloud), [MailKind::Occupied]);
        assert_eq!(cloud.world.state().findings, []);
    }
}
