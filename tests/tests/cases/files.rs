//! Files that S3 does not give out, that hide behind others, that are put again and again, or within one second; and their events.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use cf_core::key::Verb;
use cf_core::ledger::{MailKind, Phase};
use cf_core::message::{FileProblem, JsonType, KeyProblem, Message, TextProblem, WrongKey};
use cf_core::status::State;
use cf_e2e::messages;
use cf_local::deploy::USER_BUCKET;
use serde_json::json;

use super::common::{TestUser, stage};
use super::{Case, pause};

/// Waits for the answer to a create whose file S3 does not give out, for a reason that holds this word.
async fn is_withheld(s: &TestUser, cluster: &str, word: &str) -> Result<()> {
    let told = messages::refused_file(cluster, FileProblem::Withheld("<why>".into()));
    let name = format!("{cluster}.cf-failed");
    let holds = |text: &String| messages::in_place_of("<why>", &told, text).is_some_and(|why| why.contains(word));
    s.deployment.until(&format!("{name} with {word:?}"), async || Ok(s.text(&name).await?.filter(holds).map(drop))).await
}

/// Whether a text tells that a delete counts, because nobody knows which of the two files is later.
fn is_tie(text: &str, cluster: &str) -> bool {
    let withdrawn = |at| Message::Withdrawn { cluster: messages::name(cluster), tied: Some(at) };
    let absent = |at| Message::NoSuchCluster { cluster: messages::name(cluster), others: vec![], tied: Some(at) };
    messages::is_at_some_time(text, withdrawn) || messages::is_at_some_time(text, absent)
}

#[tokio::test]
async fn b01_a_file_under_the_users_own_key_is_answered_by_itself() -> Result<()> {
    let mut case = Case::load("b01").await?;
    case.play().await?;
    is_withheld(&case.s, "ssec", "").await?;
    case.s.gone("ssec.cf-create").await?;
    // A delete of the same kind is not read, and its neighbour is made.
    case.play_all().await?;
    case.s.answer("beside.cf-created").await?;
    case.s.gone("ssec.cf-delete").await?;
    case.end_faults();
    case.s.drop("ssec.cf-create", "{}").await?;
    case.s.answer("ssec.cf-created").await?;
    case.s.rest().await
}

/// A living cluster, with a file that cannot be read beside it: its removal does not wait.
#[tokio::test]
async fn b02_a_file_under_a_foreign_key_stops_no_neighbour() -> Result<()> {
    let mut case = Case::load("b02").await?;
    case.play().await?;
    is_withheld(&case.s, "kms", "AccessDenied").await?;
    case.s.gone("kms.cf-create").await?;
    case.s.mail("kms", MailKind::Unreadable).await?;
    case.end_faults();
    case.s.drop("kms.cf-create", "{}").await?;
    case.s.answer("kms.cf-created").await?;
    case.s.gone("kms.cf-create").await?;
    // The same once more, now beside a living cluster, and with it its removal.
    let denied = case.s.fault(&json!({"kind": "call", "call": "s3.GetObject", "caller": "function/", "text": "b02/kms.cf-create", "error": "AccessDenied", "status": 403, "times": null}))?.keep();
    case.s.drop("kms.cf-create", r#"{"ComputeMaxNodes": "5"}"#).await?;
    case.play_all().await?;
    case.s.answer("kms.cf-deleted").await?;
    case.s.gone("kms.cf-delete").await?;
    case.s.gone("kms.cf-create").await?;
    case.s.deployment.end_fault(denied);
    assert!(case.s.stacks("kms").await?.is_empty());
    case.s.rest().await?;
    assert!(case.s.mails_of("kms", MailKind::Unreadable)?.len() <= 2, "one mail a file");
    Ok(())
}

/// Our own: a file that is neither given out nor removed on a condition, which reads it. What lies beside it is carried out.
#[tokio::test]
async fn a_file_that_cannot_be_removed_either_stops_no_neighbour() -> Result<()> {
    let s = stage("pinned").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let refuse = |call: &str| {
        s.fault(&json!({"kind": "call", "call": call, "caller": "function/", "text": "pinned/demo.cf-create?x-id=", "error": "AccessDenied", "status": 403, "times": null}))
    };
    let _refused = [refuse("s3.GetObject")?, refuse("s3.DeleteObject")?];
    s.drop("demo.cf-create", r#"{"ComputeMaxNodes": "5"}"#).await?;
    is_withheld(&s, "demo", "").await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    s.gone("demo.cf-delete").await?;
    assert!(s.text("demo.cf-create").await?.is_some(), "it has its answer, and stays");
    assert!(s.stacks("demo").await?.is_empty());
    Ok(())
}

/// Our own: an archived copy, a key that was switched off, another account's object, and a status file that is not given out.
#[tokio::test]
async fn whatever_keeps_a_file_from_being_read_is_told() -> Result<()> {
    for (user, code, status) in [
        ("archived", "InvalidObjectState", 403),
        ("switchedoff", "KMS.DisabledException", 400),
        ("keypending", "KMS.KMSInvalidStateException", 400),
    ] {
        let s = stage(user).await?;
        let _refused = s.fault(&json!({"kind": "call", "call": "s3.GetObject", "caller": "function/", "text": format!("{user}/demo.cf-create"), "error": code, "status": status, "times": null}))?;
        s.drop("demo.cf-create", "{}").await?;
        is_withheld(&s, "demo", code).await?;
        s.gone("demo.cf-create").await?;
        s.drop("other.cf-create", "{}").await?;
        s.answer("other.cf-created").await?;
        s.rest().await?;
    }
    let s = stage("statehidden").await?;
    let _refused = s.fault(&json!({"kind": "call", "call": "s3.GetObject", "caller": "function/", "text": "statehidden/demo.cf-status", "error": "AccessDenied", "status": 403, "times": null}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.rest().await
}

#[tokio::test]
async fn b04_the_same_file_again_and_again_is_one_request() -> Result<()> {
    let mut case = Case::load("b04").await?;
    case.play_all().await?;
    // As many versions of one key never are files that wait.
    let ledger = case.s.deployment.ledger("b04").await?.expect("a ledger");
    assert!(ledger.clusters.values().all(|entry| entry.open.len() <= 2), "{ledger:?}");
    case.end_faults();
    case.s.answer("again.cf-created").await?;
    case.s.gone("again.cf-create").await?;
    case.s.rest().await?;
    case.s.only_stack("again").await?;
    assert_eq!(case.s.text("again.cf-failed").await?, None);
    assert_eq!((case.s.mails_of("again", MailKind::Ready)?.len(), case.s.mails("again")?.len()), (1, 1), "one mail");
    Ok(())
}

/// Our own: deletes that are touched, and a file that is touched once its cluster stands.
#[tokio::test]
async fn a_delete_that_is_put_again_and_again_is_one_removal() -> Result<()> {
    let s = stage("twitchy").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    for _ in 0..20 {
        s.drop("demo.cf-create", "{}").await?;
    }
    s.gone("demo.cf-create").await?;
    assert_eq!(s.text("demo.cf-failed").await?, None);
    let _slow = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-twitchy-", "each": 12, "resource": "LoginNode", "on": "delete"}))?;
    // Apart, so that a pass sees each version; and asked while it goes, for the end takes away what was said before.
    for _ in 0..20 {
        s.drop("demo.cf-delete", "").await?;
        pause(0.25).await?;
    }
    let ledger = s.deployment.ledger("twitchy").await?.expect("a ledger");
    assert!(ledger.clusters.values().all(|entry| matches!(entry.phase, Phase::Deleting { .. }) && entry.open.len() <= 2), "{ledger:?}");
    assert_eq!(s.text("demo.cf-failed").await?, None, "while it is being removed");
    s.answer("demo.cf-deleted").await?;
    s.gone("demo.cf-delete").await?;
    s.rest().await?;
    assert_eq!(s.text("demo.cf-failed").await?, None);
    assert_eq!(s.mails_of("demo", MailKind::Gone)?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn b05_a_thousand_files_that_begin_alike_hide_nothing() -> Result<()> {
    let mut case = Case::load("b05").await?;
    case.play().await?;
    case.s.answer("x.cf-created").await?;
    case.s.gone("x.cf-create").await?;
    case.play_all().await?;
    case.s.answer("x.cf-deleted").await?;
    case.s.gone("x.cf-delete").await?;
    case.s.gone("x.cf-created").await?;
    case.s.rest().await
}

/// Our own: the thousand lie flat in the folder itself; some have names that XML cannot carry.
#[tokio::test]
async fn a_thousand_files_beside_the_request_hide_nothing() -> Result<()> {
    let s = stage("hoarder").await?;
    for nth in 0..1001 {
        s.drop(&format!("x.cf-a{nth:04}"), "old").await?;
    }
    s.drop("x.cf-b\u{1}", "odd").await?;
    s.drop("x.cf-c d+e%f", "odd").await?;
    s.drop("x.cf-create", "{}").await?;
    s.answer("x.cf-created").await?;
    s.gone("x.cf-create").await?;
    s.drop("x.cf-delete", "").await?;
    s.answer("x.cf-deleted").await?;
    s.gone("x.cf-created").await?;
    // What else lies there is its user's.
    assert!(s.deployment.keys("home/hoarder/x.cf-a").await?.len() == 1000, "a page of them");
    s.rest().await
}

#[tokio::test]
async fn b07_a_new_creation_in_the_second_of_the_deletion_is_not_lost() -> Result<()> {
    let mut case = Case::load("b07").await?;
    case.play_all().await?;
    // Either the later one wins, or it is told that nobody knows which was later; and never both silent.
    case.s.gone("sec.cf-delete").await?;
    case.s.gone("sec.cf-create").await?;
    case.s.rest().await?;
    let (created, failed) = (case.s.text("sec.cf-created").await?, case.s.text("sec.cf-failed").await?);
    if created.is_some() {
        let stack = case.s.only_stack("sec").await?;
        assert!(stack.parameters().iter().any(|p| p.parameter_key() == Some("ComputeMaxNodes") && p.parameter_value() == Some("3")));
    } else {
        let failed = failed.expect("one of the two");
        assert!(is_tie(&failed, "sec"), "{failed}");
        assert!(case.s.stacks("sec").await?.is_empty());
    }
    Ok(())
}

/// Our own: a creation and a removal of one second, first seen together; in one folder and in two. Nobody knows which is later.
#[tokio::test]
async fn what_nobody_can_order_is_told_so() -> Result<()> {
    for (user, folder) in [("together", ""), ("apart", "elsewhere/")] {
        let s = stage(user).await?;
        let lost = s.fault(
            &json!({"kind": "event", "detail_type": "Object Created", "text": format!("home/{user}/"), "do": "drop", "times": null}),
        )?;
        let (create, delete) = ("demo.cf-create".to_owned(), format!("{folder}demo.cf-delete"));
        in_one_second(&s, &[&delete, &create]).await?;
        drop(lost);
        let event = |name: &str| json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": s.key(name)}}});
        // In two folders the one is not seen from the other until both are known.
        s.invoke("cf-delete", &event(&delete))?;
        s.invoke("cf-create", &event(&create))?;
        s.gone(&create).await?;
        s.gone(&delete).await?;
        s.rest().await?;
        let failed = s.text("demo.cf-failed").await?.unwrap_or_default();
        let created = s.text("demo.cf-created").await?;
        assert!(created.is_some() || is_tie(&failed, "demo"), "{user}: {failed:?}");
    }
    Ok(())
}

/// Puts files until all of them have the same Last-Modified.
async fn in_one_second(s: &TestUser, names: &[&str]) -> Result<()> {
    for _ in 0..10 {
        let mut times = BTreeSet::new();
        for name in names {
            s.drop(name, if name.ends_with(Verb::Create.suffix()) { "{}" } else { "" }).await?;
        }
        for name in names {
            let head = s.deployment.s3.head_object().bucket(USER_BUCKET).key(s.key(name)).send().await?;
            times.insert(head.last_modified().map(aws_smithy_types::DateTime::secs));
        }
        if times.len() == 1 {
            return Ok(());
        }
    }
    anyhow::bail!("two files never came within one second")
}

#[tokio::test]
async fn b11_a_key_is_found_in_every_form_that_its_event_has() -> Result<()> {
    let mut case = Case::load("b11").await?;
    let before = counted(&case.s)?.len();
    case.play_all().await?;
    assert!(case.told.iter().all(|told| told.error.is_none()), "{:?}", case.told);
    // The files of the three events were not there yet: each is counted, none only dropped.
    case.s.deployment.until("three counts", async || Ok((counted(&case.s)?.len() >= before + 3).then_some(()))).await?;
    case.s.answer("my projects/sp.cf-created").await?;
    for (stem, c) in [("a+b/pl", '+'), ("100%25/pc", '%')] {
        let key = case.s.key(&format!("{stem}.cf-create"));
        case.s.says(&format!("{stem}.cf-failed"), &Message::WrongKey(KeyProblem { key, wrong: WrongKey::Character(c) })).await?;
    }
    case.s.rest().await
}

/// The lines that count events without a file.
fn counted(s: &TestUser) -> Result<Vec<String>> {
    s.deployment.log("/aws/lambda/clusterdrop-cf-create", "EventsWithoutUpload")
}

/// Our own: encoded keys in EventBridge's form, lean events, replicas, restored copies, composed and decomposed letters.
#[tokio::test]
async fn an_event_in_an_odd_form_finds_its_file() -> Result<()> {
    let s = stage("oddly").await?;
    let _lost = s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": "home/oddly/", "do": "drop", "times": null}))?;
    let bus = |detail_type: &str, key: &str| json!({"source": "aws.s3", "detail-type": detail_type, "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": key}}});
    let record = |name: &str, key: &str| json!({"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": USER_BUCKET}, "object": {"key": key}}}]});
    let cases = [
        ("my work/a.cf-create", bus("Object Created", "home/oddly/my+work/a.cf-create")),
        ("my work/b.cf-create", bus("Object Created", "home/oddly/my%20work/b.cf-create")),
        ("Pr\u{fc}fung/c.cf-create", record("ObjectCreated:Put", "home/oddly/Pr%C3%BCfung/c.cf-create")),
        ("Pru\u{308}fung/d.cf-create", record("ObjectCreated:Copy", "home/oddly/Pru%CC%88fung/d.cf-create")),
        ("e.cf-create", record("s3:ObjectCreated:Put", "home/oddly/e.cf-create")),
        ("f.cf-create", record("ObjectRestore:Completed", "home/oddly/f.cf-create")),
        ("g.cf-create", bus("Object Restore Completed", "home/oddly/g.cf-create")),
    ];
    for (name, event) in cases {
        s.drop(name, "[]").await?;
        let told = s.invoke("cf-create", &event)?;
        assert_eq!(told.error, None, "{name}: {told:?}");
        let stem = name.strip_suffix(".cf-create").context("a create")?;
        let array = FileProblem::JsonType { what: JsonType::Array, instead: TextProblem::Other };
        let cluster = stem.rsplit_once('/').map_or(stem, |(_, cluster)| cluster);
        s.says(&format!("{stem}.cf-failed"), &messages::refused_file(cluster, array)).await?;
        s.gone(name).await?;
    }
    s.rest().await
}

/// Contention is no error: of 40 uploads of one user at once none is given back.
#[tokio::test]
async fn forty_uploads_of_one_user_at_once_are_no_error() -> Result<()> {
    let s = stage("crowded").await?;
    let before = s.deployment.invocations(0)?.last().map_or(0, |i| i.n);
    let drops = (0..40).map(|nth| {
        let s = &s;
        async move { s.drop(&format!("c{nth}.cf-create"), "[]").await }
    });
    futures_util::future::try_join_all(drops).await?;
    for nth in 0..40 {
        s.answer(&format!("c{nth}.cf-failed")).await?;
        s.gone(&format!("c{nth}.cf-create")).await?;
    }
    s.rest().await?;
    let failed: Vec<_> =
        s.deployment.invocations(before)?.into_iter().filter(|i| i.about.starts_with("home/crowded/") && i.error.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(s.deployment.status(&s.key("c0.cf-status")).await?.is_none_or(|status| status.state == State::Failed));
    Ok(())
}
