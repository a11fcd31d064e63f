//! What goes wrong on the way, with the real binaries: functions that die, calls that fail, nodes that never come up,
//! uploads that change under one's hands. Nothing is lost, and every upload is answered.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use cf_core::ledger::MailKind;
use cf_core::message::{Advice, Message};
use cf_core::status::State;
use cf_e2e::invocations::Invocation;
use cf_e2e::messages;
use cf_local::deploy::USER_BUCKET;
use common::{TestUser, stage};
use serde_json::json;

#[tokio::test]
async fn a_login_node_that_never_signals_ends_in_an_answer() -> Result<()> {
    let s = stage("silent").await?;
    let _never = s.fault(&json!({"kind": "node", "stack": "clusterdrop-silent-", "signal": "never", "timeout": 2}))?;
    s.drop("demo.cf-create", "{}").await?;
    let reason = "Failed to receive 1 resource signal(s) within the specified duration";
    s.answers("demo.cf-failed", &messages::failed("demo", &messages::login_node(reason, Advice::CheckScripts))).await?;
    s.gone("demo.cf-create").await
}

#[tokio::test]
async fn a_login_node_that_signals_a_failure_ends_in_an_answer() -> Result<()> {
    let s = stage("sick").await?;
    let _failure = s.fault(&json!({"kind": "node", "stack": "clusterdrop-sick-", "signal": "FAILURE"}))?;
    s.drop("demo.cf-create", "{}").await?;
    let answer = s.answer("demo.cf-failed").await?;
    let told = messages::failed("demo", &messages::login_node("<reason>", Advice::CheckScripts));
    let reason = told.iter().find_map(|message| messages::in_place_of("<reason>", message, &answer));
    assert!(reason.is_some_and(|reason| reason.contains("FAILURE signal")), "{answer}");
    s.rest().await?;
    assert!(s.stacks("demo").await?.is_empty(), "the failed stack is removed");
    Ok(())
}

#[tokio::test]
async fn a_stack_that_takes_longer_than_its_function_may_run_still_gives_an_answer() -> Result<()> {
    let s = stage("slow").await?;
    // cf-create's timeout is 30 s: whoever waited in it would be dead by then.
    let _pace = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-slow-", "total": 33}))?;
    let begun = Instant::now();
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert!(begun.elapsed() > Duration::from_secs(31), "{:?}", begun.elapsed());
    Ok(())
}

/// How many invocations of cf-create for a user's upload ended with their process. A fault that only refuses would be tried again
/// by the SDK within the same one.
fn deaths(s: &TestUser, user: &str) -> Result<usize> {
    let home = format!("home/{user}/");
    let died = |i: &Invocation| i.about.starts_with(&home) && i.error.as_ref().is_some_and(|e| e.contains("Runtime exited"));
    Ok(s.deployment.invocations(0)?.iter().filter(|i| i.function == "cf-create" && died(i)).count())
}

#[tokio::test]
async fn an_upload_whose_first_three_passes_die_is_answered_without_a_hand() -> Result<()> {
    let s = stage("mortal").await?;
    let dies = s.fault(&json!({"kind": "call", "call": "s3.PutObject", "caller": "function/clusterdrop-cf-create", "text": "ledger/mortal.json", "kill": true, "times": 3}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert_eq!((dies.hits()?, deaths(&s, "mortal")?), (3, 3));
    s.gone("demo.cf-create").await?;
    s.rest().await
}

#[tokio::test]
async fn a_function_that_dies_after_the_stack_was_started_does_not_start_a_second_one() -> Result<()> {
    let s = stage("twice").await?;
    let dies = s.fault(&json!({"kind": "call", "call": "cloudformation.CreateStack", "text": "clusterdrop-twice-", "when": "after", "kill": true, "times": 1}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert_eq!((dies.hits()?, deaths(&s, "twice")?), (1, 1));
    s.rest().await?;
    s.only_stack("demo").await?;
    Ok(())
}

#[tokio::test]
async fn a_throttled_call_and_a_bucket_that_denies_only_delay() -> Result<()> {
    let s = stage("patient").await?;
    // More than the three tries that the SDK makes by itself.
    let throttled = s.fault(&json!({"kind": "call", "call": "cloudformation.CreateStack", "text": "clusterdrop-patient-", "error": "Throttling", "status": 400, "times": 4}))?;
    let denied = s.fault(&json!({"kind": "call", "call": "s3.ListObjectsV2", "caller": "function/", "text": "home/patient/demo", "error": "AccessDenied", "status": 403, "times": 2}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert_eq!((throttled.hits()?, denied.hits()?), (4, 2));
    s.rest().await?;
    s.only_stack("demo").await?;
    Ok(())
}

#[tokio::test]
async fn cloudformation_saying_no_is_told_and_leaves_nothing() -> Result<()> {
    let s = stage("declined").await?;
    let _no = s.fault(&json!({"kind": "call", "call": "cloudformation.CreateStack", "text": "clusterdrop-declined-", "error": "LimitExceededException", "status": 400, "message": "Limit for stack has been exceeded", "times": null}))?;
    s.drop("demo.cf-create", "{}").await?;
    let why = "LimitExceededException: Limit for stack has been exceeded".to_owned();
    s.answers("demo.cf-failed", &[Message::Declined { cluster: messages::name("demo"), why, advice: Advice::Quota }]).await?;
    s.mail("demo", MailKind::Failed).await?;
    s.rest().await
}

#[tokio::test]
async fn an_upload_that_is_gone_before_it_is_read_leaves_nothing_behind() -> Result<()> {
    let s = stage("fickle").await?;
    let lost =
        s.fault(&json!({"kind": "event", "detail_type": "Object Created", "text": "home/fickle/demo.cf-", "do": "drop", "times": null}))?;
    for (name, function) in [("demo.cf-create", "cf-create"), ("demo.cf-delete", "cf-delete")] {
        s.drop(name, "{}").await?;
        s.take_away(name).await?;
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": USER_BUCKET}, "object": {"key": s.key(name)}}});
        let told = s.invoke(function, &event)?;
        assert_eq!(told.error, None, "{told:?}");
    }
    assert_eq!(lost.hits()?, 2);
    assert!(s.stacks("demo").await?.is_empty());
    assert!(s.deployment.keys("home/fickle/").await?.is_empty());
    assert_eq!(s.deployment.ledger("fickle").await?, None);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_is_replaced_while_it_is_acted_on_is_a_request_of_its_own() -> Result<()> {
    let s = stage("editor").await?;
    let slow = s.fault(&json!({"kind": "call", "call": "cloudformation.CreateStack", "text": "clusterdrop-editor-", "delay": 2}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.deployment.until("the stack's start", async || Ok((slow.hits()? > 0).then_some(()))).await?;
    s.drop("demo.cf-create", r#"{"ComputeMaxNodes": "7"}"#).await?;
    s.answers("demo.cf-failed", &[messages::differs("demo", "ComputeMaxNodes", "4", "7")]).await?;
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    s.rest().await?;
    let stack = s.only_stack("demo").await?;
    assert!(stack.parameters().iter().any(|p| p.parameter_key() == Some("ComputeMaxNodes") && p.parameter_value() == Some("4")));
    Ok(())
}

#[tokio::test]
async fn equal_bytes_put_again_while_they_are_acted_on_are_the_same_request() -> Result<()> {
    let s = stage("insistent").await?;
    let slow = s.fault(&json!({"kind": "call", "call": "cloudformation.CreateStack", "text": "clusterdrop-insistent-", "delay": 2}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.deployment.until("the stack's start", async || Ok((slow.hits()? > 0).then_some(()))).await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    s.rest().await?;
    s.only_stack("demo").await?;
    assert!(s.text("demo.cf-failed").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_cluster_deleted_while_it_is_being_made_is_gone_and_both_files_are_answered() -> Result<()> {
    let s = stage("hasty").await?;
    let _pace = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-hasty-", "total": 20}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.deployment.until("the stack", async || Ok((!s.stacks("demo").await?.is_empty()).then_some(()))).await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    s.gone("demo.cf-create").await?;
    s.gone("demo.cf-delete").await?;
    assert!(s.stacks("demo").await?.is_empty());
    assert!(s.text("demo.cf-created").await?.is_none());
    s.rest().await
}

#[tokio::test]
async fn a_stack_deleted_by_the_administrator_is_told_as_not_the_users_doing() -> Result<()> {
    let s = stage("robbed").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.gone("demo.cf-create").await?;
    let id = s.only_stack("demo").await?.stack_id().unwrap_or_default().to_owned();
    s.deployment.cloudformation.delete_stack().stack_name(id).send().await?;
    let answer = s.answer("demo.cf-deleted").await?;
    let types: BTreeMap<String, String> = ["compute", "login"].map(|node| (node.to_owned(), "c4.large".to_owned())).into();
    let (cluster, stack) = (messages::name("demo"), messages::stack_name("robbed", "demo"));
    let removed = |at| Message::Removed { cluster: cluster.clone(), at, stack: stack.clone(), types: types.clone() };
    assert!(messages::is_at_some_time(&answer, removed), "{answer}");
    s.gone("demo.cf-created").await
}

#[tokio::test]
async fn the_state_file_counts_the_parts_as_they_are_finished() -> Result<()> {
    let s = stage("watched").await?;
    let _pace = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-watched-", "each": 2}))?;
    s.drop("demo.cf-create", "{}").await?;
    // Of a type that a placement group takes, with nodes of both kinds.
    let placed = BTreeMap::from([("ComputePlacement".to_owned(), "cluster".to_owned())]);
    let total = cf_core::template::default_template().resources_with(&placed);
    let mut counts = Vec::new();
    s.deployment
        .until("the cluster", async || {
            let Some(status) = s.deployment.status(&s.key("demo.cf-status")).await? else { return Ok(None) };
            if let Some(progress) = status.progress {
                assert_eq!((status.state, progress.total), (State::Creating, total));
                if counts.last() != Some(&progress.done) {
                    counts.push(progress.done);
                }
            }
            Ok((status.state == State::Ready).then_some(()))
        })
        .await?;
    assert!(counts.len() >= 3 && counts.is_sorted(), "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn a_stack_that_only_looks_like_ours_is_left_alone() -> Result<()> {
    let s = stage("stranger").await?;
    let template =
        r#"{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}"#;
    // Exactly the name that the user's cluster will need, made by other hands.
    let site_name = messages::stack_name("stranger", "demo");
    s.deployment.cloudformation.create_stack().stack_name(site_name.as_str()).template_body(template).send().await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answers("demo.cf-failed", &[Message::Occupied { cluster: messages::name("demo") }]).await?;
    s.mail("demo", MailKind::Occupied).await?;
    s.drop("demo.cf-delete", "").await?;
    s.gone("demo.cf-delete").await?;
    let there = s.deployment.cloudformation.describe_stacks().stack_name(site_name.as_str()).send().await?;
    assert_eq!(there.stacks().first().and_then(Stack::stack_status).map(StackStatus::as_str), Some("CREATE_COMPLETE"));
    Ok(())
}

#[tokio::test]
async fn a_pass_that_is_overtaken_by_another_still_sends_the_mail_that_it_claimed() -> Result<()> {
    let s = stage("overtaken").await?;
    let _fails = s.fault(&json!({"kind": "resource", "stack": "clusterdrop-overtaken-", "resource": "LoginNode", "reason": "no"}))?;
    // The pass that claims the mail is held up at its answer; the rollback's next events bring another one, which ends the work.
    let slow = s.fault(&json!({"kind": "call", "call": "s3.PutObject", "caller": "function/clusterdrop-cf-watch", "text": "home/overtaken/demo.cf-failed", "delay": 3, "times": 1}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.gone("demo.cf-create").await?;
    assert_eq!(slow.hits()?, 1);
    s.mail("demo", MailKind::Failed).await?;
    s.rest().await?;
    assert_eq!(s.mails("demo")?.len(), 1);
    Ok(())
}
