//! When the status file is written, and with what.

use super::*;

fn shown(state: State, of: &str, message: &str) -> Status {
    Status {
        cluster: "demo".into(),
        state,
        message: message.into(),
        progress: None,
        login: None,
        login_command: None,
        types: [].into(),
        reported: NodesShown::default(),
        stack: String::new(),
        request: request(of),
        since: at(1),
        updated: at(1),
    }
}

#[test]
fn the_status_follows_the_life_of_the_accepted_create_and_never_goes_back() {
    let settings = testing::settings();
    let writes = |entry: Entry, file: Option<Status>, state: State| {
        let mut snapshot = look(&settings, entry, Some(StackStatus::CreateInProgress));
        snapshot.status_file = file;
        let ((), effects) = with(&snapshot, |b| b.status(state, StateText::Starting, None));
        effects.len()
    };
    assert_eq!(writes(in_phase(creating()), None, State::Creating), 0, "nobody is known to wait");
    assert_eq!(writes(accepted(creating()), None, State::Creating), 1);
    assert_eq!(writes(accepted(creating()), Some(shown(State::Ready, "a", "")), State::Creating), 0, "a slower pass");
    assert_eq!(writes(accepted(creating()), Some(shown(State::Ready, "other", "")), State::Creating), 1, "of an earlier request");
    assert_eq!(writes(accepted(creating()), Some(shown(State::Creating, "a", "other words")), State::Creating), 1);
    assert_eq!(writes(accepted(creating()), Some(shown(State::Ready, "a", "")), State::Ready), 1, "a final state is always rewritten");
    // The same words a second time: nothing.
    let mut snapshot = look(&settings, accepted(creating()), Some(StackStatus::CreateInProgress));
    let ((), effects) = with(&snapshot, |b| b.status(State::Creating, StateText::Starting, None));
    let Some(Effect::WriteStatus { status, .. }) = effects.first() else { panic!("a status") };
    snapshot.status_file = Some(serde_json::from_str(&status.text()).unwrap());
    assert_eq!(with(&snapshot, |b| b.status(State::Creating, StateText::Starting, None)).1, []);
}

#[test]
fn a_second_status_of_one_plan_expects_the_first_and_only_a_ready_one_has_the_login() {
    let settings = testing::settings();
    let mut snapshot = look(&settings, accepted(creating()), Some(StackStatus::CreateComplete));
    if let crate::snapshot::ObservedStack::Ours(stack) = &mut snapshot.stack {
        stack.outputs.insert(settings.template.metadata.login_output.clone(), "192.0.2.1".into());
    }
    snapshot.statuses = [(key(CREATE).status(), etag("s"))].into();
    let ((), effects) = with(&snapshot, |b| {
        b.status(State::Creating, StateText::Starting, None);
        b.status(State::Ready, StateText::Ready { login: "192.0.2.1".into(), nodes: None, scheduler: None }, None);
    });
    let seen: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::WriteStatus { status, expect, .. } => (status.login.clone(), expect.clone()),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(seen, [(None, Expect::Is(etag("s"))), (Some("192.0.2.1".into()), Expect::OwnWrite)]);
}

#[test]
fn a_state_is_shown_where_the_file_says_it_of_the_accepted_create_or_nobody_reads_it() {
    let settings = testing::settings();
    let shows = |entry: Entry, file: Option<Status>| {
        let mut snapshot = look(&settings, entry, None);
        snapshot.status_file = file;
        with(&snapshot, |b| b.shows(State::Deleting)).0
    };
    assert!(shows(in_phase(creating()), None), "there is no accepted create");
    assert!(!shows(accepted(creating()), None));
    assert!(shows(accepted(creating()), Some(shown(State::Deleting, "a", ""))));
    assert!(!shows(accepted(creating()), Some(shown(State::Deleting, "other", ""))));
    assert!(!shows(accepted(creating()), Some(shown(State::Creating, "a", ""))));
}
