//! The command line, and which nodes and lists a command reaches.

use clap::Parser;

use super::push::push_hook;
use super::*;
use crate::customize::testing::{Node, settings};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn verb(line: &str) -> Result<Verb, String> {
    Line::try_parse_from(std::iter::once("x").chain(line.split(' '))).map(|line| line.options.verb).map_err(|error| error.to_string())
}

#[test]
fn verbs_may_be_cut_as_long_as_they_are_clear() {
    assert!(matches!(verb("l --with-events"), Ok(Verb::List { with_events: true })));
    assert!(matches!(verb("pul"), Ok(Verb::Pull)));
    assert!(matches!(verb("s a account/foo"), Ok(Verb::Slave(Slave::Add { .. }))));
    assert!(matches!(verb("job-queue list-q"), Ok(Verb::Queue(_))));
    assert!(matches!(verb("t -m compute-1,compute-2 member-join"), Ok(Verb::Trigger { members, .. }) if members.len() == 2));
    assert!(verb("pu").is_err(), "push or pull");
    assert!(verb("apply feature/foo").unwrap_err().contains("there is no repository \"feature\""));
    assert!(verb("apply -n compute-0 foo").unwrap_err().contains("is not the name of a node"));
    assert!(verb("apply -n compute-1 --all foo").is_err());
}

#[test]
fn b16_a_pushed_script_is_for_configure_or_for_the_event_that_is_named() {
    let hook = |repository, hook| push_hook(repository, hook).map_err(|ending| ending.code);
    assert_eq!(hook(None, None), Ok(Event::Configure));
    assert_eq!(hook(Some("account"), None), Ok(Event::Configure));
    assert_eq!(hook(Some("account"), Some("start")), Ok(Event::Start));
    assert_eq!(hook(Some("start"), None), Ok(Event::Start));
    assert_eq!(hook(Some("other"), Some("start")), Err(1));
    assert_eq!(hook(Some("account"), Some("boot")), Err(REFUSED));
}

#[test]
fn apply_reaches_the_nodes_that_are_named_or_all_and_no_others() {
    let node = Node::new();
    node.members(&[0, 1, 2]);
    let state = State::read(&node.layout).unwrap();
    let names = |nodes: &[&str]| {
        let nodes: Vec<NodeName> = nodes.iter().map(|name| name.parse().unwrap()).collect();
        targets(&state, &nodes).map(|(here, others)| (here, others.iter().map(|entry| entry.member.name().to_string()).collect::<Vec<_>>()))
    };
    assert_eq!(names(&[]), Ok((true, vec!["compute-1".into(), "compute-2".into()])));
    assert_eq!(names(&["compute-2"]), Ok((false, vec!["compute-2".into()])));
    assert_eq!(names(&["login1"]), Ok((true, vec![])));
    assert!(names(&["compute-3"]).unwrap_err().contains("compute-3 is not a member"));
}

#[test]
fn b18_the_list_for_compute_nodes_is_the_login_nodes_and_holds_no_profile_twice() {
    assert!(need_login_node(&settings(Role::Master)).is_ok());
    assert_eq!(need_login_node(&settings(Role::Slave)).unwrap_err().code, REFUSED);
    let node = Node::new();
    let write = |role| {
        let path = node.layout.settings();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut text = serde_json::json!({
            "role": role, "cluster": "demo", "user": "alice", "request": "00000000000000aa", "login": "alice", "region": "r",
            "account": "1", "stack": "s", "customizer_bucket": "profiles", "profile": "alice", "system_bucket": "system", "secret": "x",
            "nodes_max": 4,
        });
        text["site_profiles"] = serde_json::json!([]);
        std::fs::write(path, text.to_string()).unwrap();
    };
    write("master");
    let foo: ProfileName = "account/foo".parse().unwrap();
    assert_eq!(slave(&node.layout, &Slave::Add { profile: foo.clone() }).unwrap(), 0);
    assert_eq!(slave(&node.layout, &Slave::Add { profile: foo.clone() }).unwrap_err().code, REFUSED);
    assert_eq!(ProfileList::for_slaves(&node.layout).read().unwrap(), std::slice::from_ref(&foo));
    assert_eq!(crate::customize::lists::more(&node.layout).0, [""; 0], "this node runs as before");
    assert_eq!(slave(&node.layout, &Slave::Remove { profile: foo.clone() }).unwrap(), 0);
    assert_eq!(slave(&node.layout, &Slave::Remove { profile: foo.clone() }).unwrap_err().code, REFUSED);
    write("slave");
    assert_eq!(slave(&node.layout, &Slave::Add { profile: foo }).unwrap_err().code, REFUSED);
    assert_eq!(slave(&node.layout, &Slave::List).unwrap_err().code, REFUSED);
}
