//! Failures as AWS words them: what of its words reaches the user, with which advice, and what the administrator gets.

use anyhow::{Context, Result};
use serde_json::json;

use super::Case;
use crate::common::{Stage, stage};

/// The answer to a case whose creation fails.
async fn failed(id: &str, cluster: &str) -> Result<(Case, String)> {
    let mut case = Case::load(id).await?;
    case.play_all().await?;
    let answer = case.s.answer(&format!("{cluster}.cf-failed")).await?;
    Ok((case, answer))
}

/// Waits for an answer that says this.
async fn answer_that_says(s: &Stage, name: &str, words: &str) -> Result<String> {
    let what = format!("{name} that says {words:?}");
    s.stand.until(&what, async || Ok(s.text(name).await?.filter(|text| text.contains(words)))).await
}

/// Short, and fit for a terminal.
fn assert_readable(text: &str) {
    assert!(text.len() < 4_000, "{} bytes", text.len());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.lines().all(|line| line.chars().count() < 1_200), "{text}");
}

#[tokio::test]
async fn b19_no_capacity_names_the_zones_that_aws_names() -> Result<()> {
    let (_case, answer) = failed("b19", "ice").await?;
    assert!(answer.contains("try again later, or choose another instance type"), "{answer}");
    assert!(answer.contains("AWS has it in us-east-1b, us-east-1c"), "{answer}");
    assert_readable(&answer);
    Ok(())
}

#[tokio::test]
async fn b20_a_type_that_the_zone_lacks_is_not_to_be_tried_again() -> Result<()> {
    let (_case, answer) = failed("b20", "azlack").await?;
    assert!(answer.contains("choose another instance type") && answer.contains("us-east-1a, us-east-1b"), "{answer}");
    assert!(!answer.contains("try again"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn b21_a_disk_smaller_than_its_image_names_the_parameter_and_the_size() -> Result<()> {
    let (_case, answer) = failed("b21", "volsnap").await?;
    assert!(answer.contains("set MasterSystemVolumeSize to 30 or more") && !answer.contains("try again"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn b23_a_spot_quota_is_no_matter_of_the_price() -> Result<()> {
    let mut case = Case::load("b23").await?;
    // The case was written for a template whose group has another name.
    for step in case.steps.iter_mut().filter(|step| step["do"] == "fault") {
        step["order"]["resource"] = json!("ComputeGroup");
    }
    case.play_all().await?;
    let answer = case.s.answer("spotquota.cf-failed").await?;
    assert!(answer.contains("ask for on-demand nodes (ComputeSpotPrice 0)") && answer.contains("administrator"), "{answer}");
    assert!(!answer.contains("offer") && !answer.contains("try again"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn b26_an_encoded_failure_is_one_line_for_the_user_and_a_command_for_the_administrator() -> Result<()> {
    let (case, answer) = failed("b26", "authblob").await?;
    assert!(answer.contains("not authorized to perform this operation") && answer.contains("the administrator has it"), "{answer}");
    assert!(!answer.contains("aLkVu5EePoZy9IiTs3CbMmXw7GfQq1A"), "{answer}");
    assert_readable(&answer);
    let mail = case.s.mail("authblob", "has failed").await?;
    let blob = mail.split("aws sts decode-authorization-message --encoded-message ").nth(1).context("the command")?;
    let blob = blob.split_whitespace().next().unwrap_or_default();
    let cases = std::fs::read_to_string(cf_e2e::root().join("tests/cases/cases.jsonl"))?;
    assert!(blob.len() > 1_000 && cases.contains(&format!(" Encoded authorization failure message: {blob}\"")), "the whole of it: {blob}");
    assert!(mail.len() < 100_000);
    Ok(())
}

#[tokio::test]
async fn b28_a_cause_that_holds_the_word_cancelled_is_told() -> Result<()> {
    let (_case, answer) = failed("b28", "cancelword").await?;
    assert!(answer.contains("Licence server: checkout was cancelled by the vendor daemon (code 7)"), "{answer}");
    assert!(!answer.contains("Resource creation cancelled"), "{answer}");
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
    assert!(answer.contains("failed to create: [LoginNode") && answer.contains("cannot be read"), "{answer}");
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
    assert!(answer.contains("failed to create: [LoginNode") && answer.contains("cannot be read"), "{answer}");
    assert_readable(&answer);
    let mail = s.mail("esc", "has failed").await?;
    assert!(mail.contains("Not read: cloudformation:DescribeStackEvents"), "{mail}");
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
    let answer = s.answer("long.cf-failed").await?;
    assert!(
        answer.contains("Unable to locate package slurm") && answer.contains("the end' for uniqueId: i-0") && answer.contains('…'),
        "{answer}"
    );
    assert!(answer.contains("configure.d"), "{answer}");
    assert_readable(&answer);
    assert!(s.mail("long", "has failed").await?.contains(&"a".repeat(4_000)));
    Ok(())
}

#[tokio::test]
async fn b35_a_failed_rollback_is_answered_with_the_cause_and_with_what_is_left() -> Result<()> {
    let (case, first) = failed("b35", "rbf").await?;
    let s = &case.s;
    assert!(first.contains("ami-0 does not exist") && !first.contains("free"), "{first}");
    let last = answer_that_says(s, "rbf.cf-failed", "could not be made, and what was made of it could not be removed").await?;
    for part in ["ami-0 does not exist", "ComputeSecurityGroup", "has a dependent object", "may still cost money"] {
        assert!(last.contains(part), "{part}: {last}");
    }
    for lie in ["is being removed", "free", "LoginNode i-"] {
        assert!(!last.contains(lie), "{lie}: {last}");
    }
    // Who asks again is told what is left, for the answer that named it is written over.
    s.gone("rbf.cf-create").await?;
    s.drop("rbf.cf-create", "{}").await?;
    let again = answer_that_says(s, "rbf.cf-failed", "cannot be started").await?;
    assert!(again.contains("ComputeSecurityGroup") && again.contains("has a dependent object"), "{again}");
    Ok(())
}
