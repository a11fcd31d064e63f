//! The failure queues: what fails is tried again with growing delay and finishes by itself; what can never be done is parked,
//! and an alarm tells.

mod common;

use anyhow::Result;
use cf_local::deploy::aws;
use common::{TestUser, stage};
use serde_json::json;

/// Whether a message that holds a text lies in a queue; looked at without being taken.
fn holds(s: &TestUser, queue: &str, text: &str) -> Result<bool> {
    let url = format!("{}/000000000000/clusterdrop-{queue}", s.deployment.url);
    let asked = ["sqs", "receive-message", "--max-number-of-messages", "10", "--visibility-timeout", "0", "--queue-url", &url];
    Ok(aws(&s.deployment.url, &asked)?.contains(text))
}

fn alarm(s: &TestUser, name: &str) -> Result<String> {
    let name = format!("clusterdrop-{name}");
    let told = aws(
        &s.deployment.url,
        &["cloudwatch", "describe-alarms", "--query", "MetricAlarms[0].StateValue", "--output", "text", "--alarm-names", &name],
    )?;
    Ok(told.trim().to_owned())
}

#[tokio::test]
async fn what_fails_six_times_finishes_by_itself_once_the_fault_is_gone() -> Result<()> {
    let s = stage("nets1").await?;
    // Three passes of cf-create, then three from the failure queue: a refusal that the SDK does not try again by itself.
    let order = json!({"kind": "call", "call": "s3.PutObject", "caller": "function/", "text": "ledger/nets1.json", "error": "AccessDenied", "status": 403, "times": 6});
    let refused = s.fault(&order)?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    assert_eq!(refused.hits()?, 6);
    s.gone("demo.cf-create").await?;
    s.rest().await?;
    s.only_stack("demo").await?;
    let failures = s.calls("call=s3.PutObject&path=ledger/nets1.json")?;
    let by =
        |name: &str| failures.iter().filter(|c| c["status"] == 403 && c["caller"].as_str().is_some_and(|by| by.ends_with(name))).count();
    assert_eq!((by("cf-create"), by("cf-watch")), (3, 3), "{failures:#?}");
    Ok(())
}

#[tokio::test]
async fn what_can_never_be_done_is_parked_and_an_alarm_tells() -> Result<()> {
    let s = stage("nets2").await?;
    assert!(alarm(&s, "failures-late")? != "ALARM" && alarm(&s, "parked")? != "ALARM");
    s.invoke_later("cf-create", &json!({"source": "somebody.else", "detail-type": "nets2"}))?;
    // Four attempts within ten minutes; then it waits for hours, and an alarm tells before it is parked.
    s.deployment.until("the alarm of what is late", async || Ok((alarm(&s, "failures-late")? == "ALARM").then_some(()))).await?;
    s.deployment.until("the parking", async || Ok(holds(&s, "parked", "nets2")?.then_some(()))).await?;
    let lines = s.deployment.log("/aws/lambda/clusterdrop-cf-watch", "this is no event that clusterdrop knows")?;
    let attempts = lines.iter().filter(|line| line.contains("nets2")).count();
    assert!(attempts >= 12, "{attempts} attempts");
    s.deployment.until("the alarm", async || Ok((alarm(&s, "parked")? == "ALARM").then_some(()))).await?;
    Ok(())
}

#[tokio::test]
async fn a_lost_mail_raises_an_alarm() -> Result<()> {
    let s = stage("nets3").await?;
    assert_ne!(alarm(&s, "mails-lost")?, "ALARM");
    let _down =
        s.fault(&json!({"kind": "call", "call": "ses.SendEmail", "text": "nets3", "error": "Throttling", "status": 400, "times": 3}))?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.deployment.until("the alarm", async || Ok((alarm(&s, "mails-lost")? == "ALARM").then_some(()))).await
}

#[tokio::test]
async fn a_stack_that_cannot_be_deleted_raises_an_alarm_and_the_time_to_ready_is_measured() -> Result<()> {
    let s = stage("nets4").await?;
    assert_ne!(alarm(&s, "clusters-stuck")?, "ALARM");
    let order = json!({"kind": "resource", "stack": "clusterdrop-nets4-", "resource": "LoginSecurityGroup", "on": "delete", "reason": "it is in use"});
    let fault = s.fault(&order)?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-failed").await?;
    s.deployment.until("the alarm", async || Ok((alarm(&s, "clusters-stuck")? == "ALARM").then_some(()))).await?;
    drop(fault);
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    for text in ["\"TimeToReady\":", "\"LivingReady\":"] {
        let logged = async || Ok((!s.deployment.log("/aws/lambda/clusterdrop-cf-watch", text)?.is_empty()).then_some(()));
        s.deployment.until(text, logged).await?;
    }
    Ok(())
}
