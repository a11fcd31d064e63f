//! Failures as AWS words them: what of its words reaches the user, with which advice, and what the administrator gets.

use anyhow::{Context, Result};
use cf_core::ledger::MailKind;
use cf_core::message::{Advice, Cause, Full, Message, Remains, Rest, StackReason};
use cf_e2e::messages;
use serde_json::json;

use super::Case;
use crate::common::{TestUser, stage};

/// A case whose creation fails with one cause, its answer, and AWS's words.
async fn failed(id: &str, cluster: &str, advice: Advice) -> Result<(Case, String, Cause)> {
    let mut case = Case::load(id).await?;
    let reason = case.reason("LoginNode").context("the case says why")?;
    case.play_all().await?;
    let failure = messages::login_node(&reason, advice);
    let answer = case.s.answers(&format!("{cluster}.cf-failed"), &messages::failed(cluster, &failure)).await?;
    Ok((case, answer, failure))
}

/// The mail about a failed creation, which must be whole.
async fn assert_mailed(s: &TestUser, cluster: &str, told: &[Message], full: &Full) -> Result<String> {
    let mail = s.mail(cluster, MailKind::Failed).await?;
    let is = |told: &Message| messages::mail_of_failure(&s.user, cluster, told.clone(), full.clone()).body() == mail;
    assert!(told.iter().any(is), "{mail}");
    Ok(mail)
}

/// The answers where no list of the stack's events could be read: the stack's own reason takes the causes' place.
fn failed_unread(cluster: &str, reason: &str) -> [Message; 2] {
    let stack = StackReason { reason: Some(reason.to_owned()), is_unread: true };
    [Rest::Going, Rest::Gone].map(|rest| Message::Failed {
        cluster: messages::name(cluster),
        causes: vec![],
        stack: Some(stack.clone()),
        rest,
    })
}

/// CloudFormation's reason, among the answer's own words.
fn assert_unread(answer: &str, cluster: &str) {
    let reason =
        failed_unread(cluster, "<reason>").iter().find_map(|told| messages::in_place_of("<reason>", told, answer)).map(str::to_owned);
    assert!(reason.is_some_and(|reason| reason.contains("failed to create: [LoginNode")), "{answer}");
}

/// Short, and fit for a terminal.
fn assert_readable(text: &str) {
    assert!(text.len() < 4_000, "{} bytes", text.len());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.lines().all(|line| line.chars().count() < 1_200), "{text}");
}

#[tokio::test]
async fn b19_no_capacity_names_the_zones_that_aws_names() -> Result<()> {
    let zones = ["us-east-1b", "us-east-1c"].map(str::to_owned).to_vec();
    let (_case, answer, _) = failed("b19", "ice", Advice::TryLater { zones }).await?;
    assert_readable(&answer);
    Ok(())
}

#[tokio::test]
async fn b20_a_type_that_the_zone_lacks_is_not_to_be_tried_again() -> Result<()> {
    let zones = ["us-east-1a", "us-east-1b"].map(str::to_owned).to_vec();
    failed("b20", "azlack", Advice::AnotherType { zones }).await.map(drop)
}

#[tokio::test]
async fn b21_a_disk_smaller_than_its_image_names_the_parameter_and_the_size() -> Result<()> {
    failed("b21", "volsnap", Advice::LargerDisk { parameter: "MasterSystemVolumeSize", least: "30".into() }).await.map(drop)
}

#[tokio::test]
async fn b23_a_spot_quota_is_no_matter_of_the_price() -> Result<()> {
    let mut case = Case::load("b23").await?;
    // The case was written for a template whose group has another name.
    for step in case.steps.iter_mut().filter(|step| step["do"] == "fault") {
        step["order"]["resource"] = json!("SpotGroup");
    }
    let reason = case.reason("SpotGroup").context("the case says why")?;
    case.play_all().await?;
    let advice = Advice::SpotQuota { may_ask_on_demand: true };
    let failure = messages::cause("SpotGroup", "AWS::AutoScaling::AutoScalingGroup", &reason, advice);
    case.s.answers("spotquota.cf-failed", &messages::failed("spotquota", &failure)).await.map(drop)
}

#[tokio::test]
async fn b26_an_encoded_failure_is_one_line_for_the_user_and_a_command_for_the_administrator() -> Result<()> {
    let (case, answer, failure) = failed("b26", "authblob", Advice::Right).await?;
    let (_, blob) = failure.reason.split_once(" Encoded authorization failure message: ").context("the reason holds one")?;
    assert!(blob.len() > 1_000 && !answer.contains(blob), "{answer}");
    assert_readable(&answer);
    let full = Full { reasons: vec![("LoginNode".to_owned(), failure.reason.clone())], unread: vec![] };
    let mail = assert_mailed(&case.s, "authblob", &messages::failed("authblob", &failure), &full).await?;
    assert!(mail.contains(blob) && mail.len() < 100_000, "the whole of it: {mail}");
    Ok(())
}

#[tokio::test]
async fn b28_a_cause_that_holds_the_word_cancelled_is_told() -> Result<()> {
    let (_case, _, failure) = failed("b28", "cancelword", Advice::TellAdministrator).await?;
    assert!(failure.reason.contains("cancelled"), "{}", failure.reason);
    Ok(())
}

#[tokio::test]
async fn b30_a_list_that_is_refused_for_good_holds_up_no_answer() -> Result<()> {
    let mut case = Case::load("b30").await?;
    // The text of the case's second fault is in the call's own name: it would strike the stacks of all tests.
    for step in case.steps.iter_mut().filter(|step| step["order"]["kind"] == "call") {
        step["order"]["text"] = json!("clusterdrop-b30-esc");
    }
    // The stack keeps its reason as long as it rolls back.
    let slow = case.s.fault(&json!({"kind": "pace", "stack": "clusterdrop-b30-esc", "each": 2, "on": "delete"}))?.keep();
    case.faults.push(slow);
    case.play_all().await?;
    let answer = case.s.answer("esc.cf-failed").await?;
    assert_unread(&answer, "esc");
    assert_readable(&answer);
    case.s.gone("esc.cf-create").await
}

/// The emulator writes control characters into its XML as AWS does, and the SDK cannot read the page.
#[tokio::test]
async fn b30_a_page_that_cannot_be_parsed_holds_up_no_answer() -> Result<()> {
    let s = stage("b30p").await?;
    let slow = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-b30p-esc", "each": 2, "on": "delete"}))?;
    let reason = "WaitCondition received failed message: '\u{1b}[31mE: Unable to locate package slurm\u{1b}[0m' for uniqueId: i-0";
    let fault = s.fault(&json!({"kind": "resource", "stack": "clusterdrop-b30p-esc", "resource": "LoginNode", "reason": reason}))?;
    s.drop("esc.cf-create", "{}").await?;
    let answer = s.answer("esc.cf-failed").await?;
    assert_unread(&answer, "esc");
    assert_readable(&answer);
    let mail = s.mail("esc", MailKind::Failed).await?;
    let unread = Full { reasons: vec![], unread: vec!["cloudformation:DescribeStackEvents".into()] }.to_string();
    assert!(mail.contains(unread.trim_end()), "{mail}");
    drop((slow, fault));
    s.gone("esc.cf-create").await
}

/// Many lines and thousands of characters, all of them legal in XML.
#[tokio::test]
async fn b30_a_long_reason_is_one_bounded_line_and_whole_for_the_administrator() -> Result<()> {
    let s = stage("b30l").await?;
    let reason = format!(
        "WaitCondition received failed message: 'E: Unable to locate package slurm\r\n{}\nthe end' for uniqueId: i-0",
        "a".repeat(4_000)
    );
    let _fault = s.fault(&json!({"kind": "resource", "stack": "clusterdrop-b30l-long", "resource": "LoginNode", "reason": reason}))?;
    s.drop("long.cf-create", "{}").await?;
    let told = messages::failed("long", &messages::login_node(&reason, Advice::CheckScripts));
    let answer = s.answers("long.cf-failed", &told).await?;
    assert!(
        answer.contains("Unable to locate package slurm") && answer.contains("the end' for uniqueId: i-0") && answer.contains('…'),
        "{answer}"
    );
    assert_readable(&answer);
    let mail = assert_mailed(&s, "long", &told, &Full { reasons: vec![("LoginNode".into(), reason)], unread: vec![] }).await?;
    assert!(mail.contains(&"a".repeat(4_000)), "{mail}");
    Ok(())
}

#[tokio::test]
async fn b35_a_failed_rollback_is_answered_with_the_cause_and_with_what_is_left() -> Result<()> {
    let mut case = Case::load("b35").await?;
    case.play_all().await?;
    let s = &case.s;
    let first = s.answer("rbf.cf-failed").await?;
    let failure = messages::login_node("ImageId ami-0 does not exist", Advice::Image);
    let left = s.left("rbf", "ComputeSecurityGroup", "has a dependent object").await?;
    let (name, causes) = (|| messages::name("rbf"), vec![failure]);
    let remains = Remains { resources: vec![left.clone()], stack: None };
    let failed = |rest| Message::Failed { cluster: name(), causes: causes.clone(), stack: None, rest };
    let stuck = Message::Stuck { cluster: name(), was_made: false, causes: causes.clone(), remains: remains.clone() };
    let firsts = [failed(Rest::Going), failed(Rest::Tried(vec![left.clone()])), failed(Rest::Stuck(vec![left])), stuck.clone()];
    assert!(firsts.iter().any(|message| message.to_string() == first), "{first}\nin place of one of {firsts:#?}");
    s.says("rbf.cf-failed", &stuck).await?;
    // Who asks again is told what is left, for the answer that named it is written over.
    s.gone("rbf.cf-create").await?;
    s.drop("rbf.cf-create", "{}").await?;
    s.says("rbf.cf-failed", &Message::Leftover { cluster: name(), remains }).await
}
