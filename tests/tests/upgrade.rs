//! The deployment changes under living clusters: it is upgraded, deleted, and made again, and they stay, and can be removed.
//! Runs alone, on an emulator of its own.

mod common;

use anyhow::{Context, Result};
use cf_core::message::{Problem, Wrong};
use cf_e2e::messages;
use cf_local::deploy::{ADMIN, DEPLOYMENT, aws, deploy, renew_foundation};
use common::{TestUser, stage};

async fn deployment_is(s: &TestUser, wanted: &str) -> Result<()> {
    s.deployment
        .until(&format!("the deployment's {wanted}"), async || {
            let told = aws(&s.deployment.url, &["cloudformation", "list-stacks", "--output", "json"])?;
            let told: serde_json::Value = serde_json::from_str(&told)?;
            let stacks = told["StackSummaries"].as_array().context("a list of stacks")?;
            let status = stacks.iter().find(|stack| stack["StackName"] == DEPLOYMENT).and_then(|stack| stack["StackStatus"].as_str());
            anyhow::ensure!(status == Some(wanted) || !status.is_some_and(|s| s.ends_with("FAILED")), "the deployment is {status:?}");
            Ok((status == Some(wanted)).then_some(()))
        })
        .await
}

#[tokio::test]
async fn clusters_outlive_an_upgrade_and_the_deployment_does_not_go_before_them() -> Result<()> {
    let s = stage("upgrade").await?;
    for name in ["first", "second"] {
        s.drop(&format!("{name}.cf-create"), "{}").await?;
        s.answer(&format!("{name}.cf-created")).await?;
    }
    s.rest().await?;
    upgraded(&s).await?;
    not_deleted_with_clusters(&s).await?;
    deleted_and_made_again(s).await
}

async fn upgraded(s: &TestUser) -> Result<()> {
    let before = (s.only_stack("first").await?.stack_id, s.deployment.ledger(&s.user).await?, s.deployment.keys(&s.key("")).await?);
    deploy(&s.deployment.url, &["NodesMax=16", "LogRetentionDays=7"])?;
    let after = (s.only_stack("first").await?.stack_id, s.deployment.ledger(&s.user).await?, s.deployment.keys(&s.key("")).await?);
    assert_eq!(before, after, "clusters, ledger and files are as they were");
    // What has changed is in force.
    s.drop("third.cf-create", r#"{"ComputeMaxNodes": "20"}"#).await?;
    let over = messages::wrong("ComputeMaxNodes", "20", Wrong::MaxNodes { limit: 16.into(), is_default: false });
    s.answers("third.cf-failed", &[messages::refused("third", vec![over])]).await?;
    s.drop("first.cf-delete", "").await?;
    s.answer("first.cf-deleted").await?;
    assert!(s.stacks("first").await?.is_empty());
    Ok(())
}

/// The deployment refuses to leave a cluster alone, with everything that looks after it still there.
async fn not_deleted_with_clusters(s: &TestUser) -> Result<()> {
    aws(&s.deployment.url, &["cloudformation", "delete-stack", "--stack-name", DEPLOYMENT])?;
    deployment_is(s, "DELETE_FAILED").await?;
    let events = aws(&s.deployment.url, &["cloudformation", "describe-stack-events", "--stack-name", DEPLOYMENT, "--output", "text"])?;
    assert!(events.contains("clusters that live: 1 (upgrade/second)"), "{events}");
    nothing_else_was_touched(&s.deployment.url)?;
    s.drop("second.cf-delete", "").await?;
    s.answer("second.cf-deleted").await?;
    assert!(s.stacks("second").await?.is_empty());
    s.rest().await
}

/// CloudFormation deletes side by side what does not depend on each other: everything has to wait for the one that refused.
fn nothing_else_was_touched(url: &str) -> Result<()> {
    let told = aws(url, &["cloudformation", "list-stack-resources", "--stack-name", DEPLOYMENT, "--output", "json"])?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    let resources = told["StackResourceSummaries"].as_array().context("a list of resources")?;
    let is_touched = |resource: &&serde_json::Value| resource["ResourceStatus"].as_str().is_some_and(|s| s.starts_with("DELETE"));
    let touched: Vec<_> = resources.iter().filter(is_touched).map(|resource| &resource["LogicalResourceId"]).collect();
    assert_eq!(touched, ["ClusterTemplate"]);
    let subscriptions = aws(url, &["sns", "list-subscriptions", "--output", "text"])?;
    assert!(subscriptions.contains(ADMIN), "alarms still reach the administrator: {subscriptions}");
    Ok(())
}

/// What a later deployment finds of an earlier one: buckets with their data, the service role and the node boundary.
async fn deleted_and_made_again(s: TestUser) -> Result<()> {
    let files = s.deployment.keys(&s.key("")).await?;
    aws(&s.deployment.url, &["cloudformation", "delete-stack", "--stack-name", DEPLOYMENT])?;
    deployment_is(&s, "DELETE_COMPLETE").await?;
    // The next deployment has a system bucket of its own, and so have its calls.
    cf_e2e::record::save(&s.deployment, "upgrade-before-the-deletion")?;
    aws(&s.deployment.url, &["iam", "get-role", "--role-name", "clusterdrop-service"])?;
    aws(&s.deployment.url, &["iam", "get-policy", "--policy-arn", "arn:aws:iam::000000000000:policy/clusterdrop-node-boundary"])?;
    assert_eq!(s.deployment.keys(&s.key("")).await?, files);
    deploy(&s.deployment.url, &["FoundationMode=existing", "UserBucketMode=existing", "CustomizerBucketMode=existing"])?;
    let s = stage("upgrade").await?;
    s.drop("fourth.cf-create", "{}").await?;
    let old = Problem::OldFoundation { prefix: "clusterdrop".into() };
    s.answers("fourth.cf-failed", &[messages::refused("fourth", vec![old])]).await?;
    renew_foundation(&s.deployment.url, "clusterdrop")?;
    s.drop("fourth.cf-create", "{}").await?;
    s.answer("fourth.cf-created").await?;
    s.drop("fourth.cf-delete", "").await?;
    s.answer("fourth.cf-deleted").await?;
    s.rest().await
}
