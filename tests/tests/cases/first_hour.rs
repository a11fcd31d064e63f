//! The first cluster after an installation: what was made a moment ago is not there for everybody at once. And the token that
//! AWS may say was used before, although the stack that it has made lives.

use anyhow::Result;
use cf_core::ledger::MailKind;
use serde_json::{Value, json};

use crate::Case;
use crate::common::{TestUser, stage};

/// Waits for the cluster, and sees that it was never said to have failed.
async fn made(s: &TestUser, cluster: &str) -> Result<()> {
    s.answer(&format!("{cluster}.cf-created")).await?;
    assert_eq!(s.text(&format!("{cluster}.cf-failed")).await?, None);
    s.only_stack(cluster).await?;
    assert_eq!(s.mails_of(cluster, MailKind::Failed)?, Vec::<String>::new());
    s.rest().await
}

#[tokio::test]
async fn b31_a_service_role_made_a_moment_ago_is_waited_for() -> Result<()> {
    let mut case = Case::load("b31").await?;
    case.play_all().await?;
    made(&case.s, "rolelag").await
}

/// CreateStack refuses twice with these words, and then does what it is asked.
async fn refused_for_a_while(user: &str, cluster: &str, message: &str) -> Result<()> {
    let s = stage(user).await?;
    let text = format!("clusterdrop-{user}-");
    let order = json!({"kind": "call", "call": "cloudformation.CreateStack", "text": text, "error": "ValidationError", "status": 400, "message": message, "times": 2});
    let refused = s.fault(&order)?;
    s.drop(&format!("{cluster}.cf-create"), "{}").await?;
    made(&s, cluster).await?;
    assert_eq!(refused.hits()?, 2);
    Ok(())
}

#[tokio::test]
async fn a_template_that_cannot_be_read_yet_is_waited_for() -> Result<()> {
    refused_for_a_while(
        "b31-template",
        "demo",
        "S3 error: Access Denied\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
    )
    .await
}

#[tokio::test]
async fn a_role_that_cannot_be_found_yet_is_waited_for() -> Result<()> {
    refused_for_a_while("b31-role", "demo", "The role arn:aws:iam::123456789012:role/clusterdrop-service cannot be found.").await
}

#[tokio::test]
async fn a_bucket_that_is_not_there_yet_is_waited_for() -> Result<()> {
    refused_for_a_while("b31-bucket", "demo", "S3 error: The specified bucket does not exist").await
}

/// What CloudFormation did, and answers with the token's error: the stack is seen, and decides.
fn used(user: &str, times: u32) -> Value {
    json!({"kind": "call", "call": "cloudformation.CreateStack", "when": "after", "text": format!("clusterdrop-{user}-"), "error": "TokenAlreadyExistsException", "status": 400, "message": "The client request token has already been used for this stack", "times": times})
}

#[tokio::test]
async fn a_token_that_was_used_by_the_living_stack_loses_no_cluster() -> Result<()> {
    let s = stage("b31-token").await?;
    let said = s.fault(&used("b31-token", 1))?;
    s.drop("demo.cf-create", "{}").await?;
    made(&s, "demo").await?;
    assert_eq!(said.hits()?, 1);
    Ok(())
}
