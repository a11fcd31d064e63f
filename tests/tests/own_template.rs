//! Templates that no user should meet, in place of the default one. They change what everybody gets, so this runs alone,
//! after the other tests.

mod common;

use std::fmt::Write as _;

use anyhow::Result;
use cf_core::message::{Advice, Message};
use cf_core::template::{DEFAULT_TEXT, default_template};
use cf_e2e::messages;
use common::{TestUser, stage};
use serde_json::json;

/// The default template with other resources and outputs: same parameters, so the functions accept the same requests.
async fn publish(s: &TestUser, rest: &str) -> Result<()> {
    let (head, _) =
        DEFAULT_TEXT.split_once("\nConditions:").or_else(|| DEFAULT_TEXT.split_once("\nResources:")).unwrap_or((DEFAULT_TEXT, ""));
    put(s, &format!("{head}\n{rest}")).await
}

async fn put(s: &TestUser, text: &str) -> Result<()> {
    let key = default_template().key();
    s.deployment.s3.put_object().bucket(&s.deployment.system_bucket).key(key).body(text.as_bytes().to_vec().into()).send().await?;
    Ok(())
}

#[tokio::test]
async fn own_templates() -> Result<()> {
    let told = many_events().await;
    let nested = nested_cause().await;
    let silent = no_login().await;
    put(&stage("restorer").await?, DEFAULT_TEXT).await?;
    told?;
    nested?;
    silent
}

/// The second of sixty resources fails and the others are cancelled: the cause lies pages behind the newest events.
async fn many_events() -> Result<()> {
    let s = stage("pages").await?;
    let mut resources = String::from("Resources:\n");
    for n in 1..=60 {
        let after = if n > 2 { "    DependsOn: R1\n" } else { "" };
        // No other name contains this one: a fault is of every resource whose name does.
        let name = if n == 2 { "Broken".to_owned() } else { format!("R{n}") };
        write!(
            resources,
            "  {name}:\n    Type: AWS::SQS::Queue\n{after}    Properties:\n      QueueName: !Sub \"${{AWS::StackName}}-{n}\"\n"
        )?;
    }
    publish(&s, &resources).await?;
    let _fails =
        s.fault(&json!({"kind": "resource", "stack": "clusterdrop-pages-", "resource": "Broken", "reason": "the true cause", "after": 2}))?;
    let _slow = s.fault(&json!({"kind": "pace", "stack": "clusterdrop-pages-", "resource": "R60", "each": 10}))?;
    s.drop("demo.cf-create", "{}").await?;
    let cause = messages::cause("Broken", "AWS::SQS::Queue", "the true cause", Advice::TellAdministrator);
    s.answers("demo.cf-failed", &messages::failed("demo", &cause)).await?;
    let pages = s.calls("call=cloudformation.DescribeStackEvents&stack=clusterdrop-pages-")?;
    assert!(pages.len() > 1, "the events fill more than one page: {}", pages.len());
    s.rest().await
}

/// The cause lies in a stack within the stack.
async fn nested_cause() -> Result<()> {
    let s = stage("nest").await?;
    let inner = "AWSTemplateFormatVersion: \"2010-09-09\"\nResources:\n  Deep:\n    Type: AWS::SQS::Queue\n";
    s.deployment
        .s3
        .put_object()
        .bucket(&s.deployment.system_bucket)
        .key("templates/inner.yaml")
        .body(inner.as_bytes().to_vec().into())
        .send()
        .await?;
    let url = format!("https://s3.eu-west-2.amazonaws.com/{}/templates/inner.yaml", s.deployment.system_bucket);
    publish(&s, &format!("Resources:\n  Inner:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: {url}\n"))
        .await?;
    let _fails =
        s.fault(&json!({"kind": "resource", "stack": "clusterdrop-nest-", "resource": "Deep", "reason": "the cause deep down"}))?;
    s.drop("demo.cf-create", "{}").await?;
    let cause = messages::cause("Deep", "AWS::SQS::Queue", "the cause deep down", Advice::TellAdministrator);
    s.answers("demo.cf-failed", &messages::failed("demo", &cause)).await?;
    s.rest().await
}

/// Complete without a login address: answered, not forgotten.
async fn no_login() -> Result<()> {
    let s = stage("mute").await?;
    publish(&s, "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n").await?;
    s.drop("demo.cf-create", "{}").await?;
    let stack = messages::stack_name("mute", "demo");
    s.answers("demo.cf-failed", &[Message::NoLogin { cluster: messages::name("demo"), stack, output: "AccessIP".into() }]).await?;
    s.gone("demo.cf-create").await?;
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    s.rest().await
}
