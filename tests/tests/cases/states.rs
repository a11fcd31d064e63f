//! States of stacks that nobody waits for, and answers that must not become untrue.

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::StackStatus;
use cf_core::message::{Advice, Message, NodesMissing, Remains, StateText};
use cf_core::status::{State, Status};
use cf_e2e::messages;
use serde_json::json;

use super::Case;
use super::common::{TestUser, stage};

#[tokio::test]
async fn b32_a_change_set_that_nobody_executed_is_told_and_removed() -> Result<()> {
    let mut case = Case::load("b32").await?;
    case.play().await?;
    case.s.answers("rev.cf-failed", &[Message::Planned { cluster: messages::name("rev") }]).await?;
    case.s.gone("rev.cf-create").await?;
    case.play_all().await?;
    case.s.answer("rev.cf-deleted").await?;
    case.s.gone("rev.cf-delete").await?;
    assert!(case.s.stacks("rev").await?.is_empty());
    case.s.rest().await?;
    // The name is free.
    case.s.drop("rev.cf-create", "{}").await?;
    case.s.answer("rev.cf-created").await?;
    Ok(())
}

/// What is left of a cluster has no address any more, and a new `.cf-create` is told what is left, too.
#[tokio::test]
async fn after_a_failed_deletion_no_answer_is_untrue() -> Result<()> {
    let s = stage("leftover").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let stays = s.fault(&json!({"kind": "resource", "stack": "clusterdrop-leftover-", "resource": "ComputeSecurityGroup", "on": "delete", "reason": "has a dependent object"}))?;
    s.drop("demo.cf-delete", "").await?;
    let answer = s.answer("demo.cf-failed").await?;
    let left = s.left("demo", "ComputeSecurityGroup", "has a dependent object").await?;
    let (cluster, remains) = (messages::name("demo"), Remains { resources: vec![left], stack: None });
    let stuck = Message::Stuck { cluster: cluster.clone(), was_made: true, causes: vec![], remains: remains.clone() };
    assert_eq!(answer, stuck.to_string());
    s.gone("demo.cf-created").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.gone("demo.cf-create").await?;
    s.answers("demo.cf-failed", &[Message::Leftover { cluster, remains }]).await?;
    drop(stays);
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    s.gone("demo.cf-failed").await?;
    s.rest().await
}

#[tokio::test]
async fn termination_protection_is_told_with_the_way_out() -> Result<()> {
    let s = stage("shielded").await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let refusal = "Stack [x] cannot be deleted while TerminationProtection is enabled";
    let protects = s.fault(&json!({"kind": "call", "call": "cloudformation.DeleteStack", "text": "clusterdrop-shielded-", "error": "ValidationError", "status": 400, "message": refusal, "times": null}))?;
    s.drop("demo.cf-delete", "").await?;
    let protected = Message::Undeletable {
        cluster: messages::name("demo"),
        stack: messages::stack_name("shielded", "demo"),
        why: format!("ValidationError: {refusal}"),
        is_protected: true,
        creation: None,
        left: vec![],
    };
    s.answers("demo.cf-failed", &[protected]).await?;
    assert!(s.text("demo.cf-created").await?.is_some(), "it stands, and its address is true");
    drop(protects);
    s.drop("demo.cf-delete", "").await?;
    s.answer("demo.cf-deleted").await?;
    s.rest().await
}

/// An administrator's update gives the login node another address: `.cf-created` and the state follow.
#[tokio::test]
async fn a_login_address_that_changes_is_told_anew() -> Result<()> {
    let s = stage("mover").await?;
    s.drop("demo.cf-create", "{}").await?;
    let first = s.answer("demo.cf-created").await?;
    s.rest().await?;
    let stack = s.only_stack("demo").await?;
    let id = stack.stack_id().context("an id")?;
    let template = json!({
        "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
        "Outputs": {"AccessIP": {"Value": "192.0.2.77"}},
    });
    s.deployment.cloudformation.update_stack().stack_name(id).template_body(template.to_string()).send().await?;
    let now = s.deployment.until("the new address", async || Ok(s.text("demo.cf-created").await?.filter(|text| *text != first))).await?;
    assert_eq!(now, "192.0.2.77\n");
    let status = s.deployment.until("the state", async || {
        let status = s.deployment.status(&s.key("demo.cf-status")).await?;
        Ok(status.filter(|status| status.login.as_deref() == Some("192.0.2.77")))
    });
    assert_eq!(status.await?.state, State::Ready);
    let there = s.only_stack("demo").await?;
    assert_eq!(there.stack_status(), Some(&StackStatus::UpdateComplete));
    Ok(())
}

/// Waits until the status file of a ready cluster says this.
async fn is_told(s: &TestUser, text: &StateText) -> Result<()> {
    let text = text.to_string();
    let is_it = |status: &Status| status.state == State::Ready && status.message == text;
    s.deployment.until(&text, async || Ok(s.deployment.status(&s.key("demo.cf-status")).await?.filter(is_it).map(drop))).await
}

/// Compute nodes that never come: Auto Scaling's own words reach the state, with what to do, and go once a machine comes.
#[tokio::test]
async fn compute_nodes_that_do_not_come_are_told() -> Result<()> {
    let s = stage("nodeless").await?;
    s.drop("demo.cf-create", "{}").await?;
    let login = s.answer("demo.cf-created").await?.trim_end().to_owned();
    s.rest().await?;
    let stack = s.only_stack("demo").await?;
    let group = format!("{}-spot", stack.stack_name().context("a name")?);
    let event = |kind: &str, words: &str| json!({"source": "aws.autoscaling", "detail-type": kind, "detail": {"AutoScalingGroupName": group, "StatusCode": "Failed", "StatusMessage": words}});
    for (words, advice) in [
        (
            "Your Spot request price of 0.03 is lower than the minimum required Spot request fulfillment price of 0.0436. Launching EC2 instance failed.",
            Advice::HigherPrice { least: Some("0.0436".into()) },
        ),
        ("Max spot instance count exceeded. Launching EC2 instance failed.", Advice::SpotQuota { may_ask_on_demand: true }),
        (
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type belongs to. Launching EC2 instance failed.",
            Advice::NoMachinesOfKind,
        ),
        (
            "There is no Spot capacity available that matches your request. Launching EC2 instance failed.",
            Advice::TryLater { zones: vec![] },
        ),
    ] {
        s.deployment.send(&event("EC2 Instance Launch Unsuccessful", words))?;
        let nodes = NodesMissing { reason: words.trim_end_matches('.').to_owned(), advice };
        is_told(&s, &StateText::Ready { login: login.clone(), nodes: Some(nodes), scheduler: None }).await?;
    }
    s.deployment.send(&event("EC2 Instance Launch Successful", ""))?;
    is_told(&s, &StateText::Ready { login, nodes: None, scheduler: None }).await?;
    assert!(s.text("demo.cf-created").await?.is_some() && s.text("demo.cf-failed").await?.is_none());
    s.rest().await
}
