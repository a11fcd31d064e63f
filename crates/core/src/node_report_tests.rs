//! What is read of a report and its key, and what is cut or refused.

use super::*;
use crate::testing;

fn report() -> NodeReport {
    NodeReport { address: None, ..testing::node_report(NodeState::Ready) }
}

fn failed(script: &str) -> FailedScript {
    testing::failed_script(script, &[])
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let scripts = vec![FailedScript { last_lines: vec!["E: no such package".into()], ..failed("10-emacs.sh") }];
    let written = NodeReport { state: NodeState::Failed, failure: Some(FailureCode::ScriptFailed), scripts, ..report() };
    let bytes = serde_json::to_vec(&written).unwrap();
    assert_eq!(NodeReport::parse(&bytes).unwrap(), written);
    let least = br#"{"state": "starting", "updated": "2026-11-21T09:00:00Z", "later": {"field": 1}}"#;
    assert_eq!(NodeReport::parse(least).unwrap().state, NodeState::Starting);
}

#[test]
fn what_is_too_long_or_of_another_form_is_refused() {
    let spaces = |bytes: usize| {
        let mut text = serde_json::to_vec(&report()).unwrap();
        text.resize(bytes, b' ');
        NodeReport::parse(&text)
    };
    assert!(spaces(BYTES_MAX).is_ok());
    assert!(matches!(spaces(BYTES_MAX + 1), Err(ReportError::TooLong(_))));
    for text in ["", "[]", "{}", "\u{0}", r#"{"state": "gone", "updated": "2026-11-21T09:00:00Z"}"#, "[[[[[["] {
        assert!(matches!(NodeReport::parse(text.as_bytes()), Err(ReportError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn what_a_hostile_node_writes_is_cut_and_carries_no_orders() {
    let script = |nth: usize| FailedScript { last_lines: (0..=LINES_MAX).map(|n| format!("{nth} line {n}")).collect(), ..failed("x") };
    let hostile = NodeReport {
        message: format!("\u{1b}[31mred\r\n{}", "a".repeat(TEXT_CHARS_MAX)),
        host_keys: vec![format!("ssh-rsa {}", "A".repeat(400)); HOST_KEYS_MAX + 1],
        scripts: (0..=SCRIPTS_MAX).map(script).collect(),
        ..report()
    };
    let read = NodeReport::parse(&serde_json::to_vec(&hostile).unwrap()).unwrap();
    assert_eq!(read.message.chars().count(), TEXT_CHARS_MAX);
    assert!(read.message.starts_with("red a"), "{}", read.message);
    assert_eq!((read.host_keys.len(), read.scripts.len(), read.more_scripts), (HOST_KEYS_MAX, SCRIPTS_MAX, 1));
    let last = &read.scripts[0].last_lines;
    assert_eq!((last.len(), last[0].as_str(), last[LINES_MAX - 1].as_str()), (LINES_MAX, "0 line 1", "0 line 10"));
}

#[test]
fn a_report_of_many_empty_texts_takes_no_more_room_than_what_is_kept_of_it() {
    let empty = |count: usize| vec!["\"\""; count].join(",");
    let script = |lines: &str| format!(r#"{{"event":"","profile":"","script":"","outcome":"","last_lines":[{lines}]}}"#);
    let scripts = [script(&empty(6000)), vec![script(""); 617].join(",")].join(",");
    let text = format!(r#"{{"state":"ready","updated":"2026-11-21T09:00:00Z","host_keys":[{}],"scripts":[{scripts}]}}"#, empty(2000));
    assert!(text.len() <= BYTES_MAX && text.len() > BYTES_MAX - 1000, "{}", text.len());
    let read = NodeReport::parse(text.as_bytes()).unwrap();
    assert_eq!((read.host_keys.capacity(), read.scripts.capacity()), (0, SCRIPTS_MAX));
    assert_eq!((read.scripts[0].last_lines.capacity(), read.more_scripts), (LINES_MAX, 618 - SCRIPTS_MAX as u64));
}

#[test]
fn only_a_host_key_passes_for_one() {
    let key = "A".repeat(40);
    for (text, is_key) in [
        (format!("ssh-ed25519 {key}"), true),
        (format!("ecdsa-sha2-nistp256 {key}="), true),
        (format!("sk-ssh-ed25519@openssh.com {key}"), false),
        (format!("ssh-ed25519 {key} comment"), false),
        (format!("ssh-ed25519 {key}\n* ssh-rsa {key}"), false),
        (format!("* ssh-ed25519 {key}"), false),
        (format!("ssh-rsa {}", "A".repeat(HOST_KEY_CHARS_MAX - 8)), true),
        (format!("ssh-rsa {}", "A".repeat(HOST_KEY_CHARS_MAX - 7)), false),
        ("ssh-ed25519 short".into(), false),
    ] {
        assert_eq!(is_host_key(&text), is_key, "{text}");
    }
}

#[test]
fn a_key_is_read_as_it_is_printed_and_nothing_else_is_one() {
    let cluster = testing::cluster("alice", "demo");
    let request = RequestId::from_tag("00000000000000aa");
    for node in ["login1", "compute-1", "compute-4294967295", "compute-i-0", "compute-i-0123456789abcdef0"] {
        let key = ReportKey { cluster: cluster.clone(), request: request.clone(), node: node.into() };
        assert_eq!(ReportKey::read(&key.key()), Some(key));
    }
    for key in [
        "nodes/alice/demo/00000000000000aa/login1",
        "nodes/alice/demo/00000000000000aa/login2.json",
        "nodes/alice/demo/00000000000000aa/compute-0.json",
        "nodes/alice/demo/00000000000000aa/compute-01.json",
        "nodes/alice/demo/00000000000000aa/compute-4294967296.json",
        "nodes/alice/demo/00000000000000aa/compute-i-.json",
        "nodes/alice/demo/00000000000000aa/compute-i-0123456789abcdef01.json",
        "nodes/alice/demo/00000000000000aa/compute-i-0123456789ABCDEF0.json",
        "nodes/alice/demo/00000000000000aa/i-0123456789abcdef0.json",
        "nodes/alice/demo/00000000000000aa/x/login1.json",
        "nodes/alice/demo/00000000000000AA/login1.json",
        "nodes/alice/demo/0000000000000aa/login1.json",
        "nodes/alice/../00000000000000aa/login1.json",
        "nodes/alice/demo/login1.json",
        "home/alice/demo/00000000000000aa/login1.json",
    ] {
        assert_eq!(ReportKey::read(key), None, "{key}");
    }
}
