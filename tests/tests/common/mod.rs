//! A user of one's own in the shared deployment, and what tests ask of it.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod nodes;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::Stack;
use cf_core::ledger::MailKind;
use cf_core::message::{Advice, Cause, Message};
use cf_e2e::deployment::{Deployment, Fault};
use cf_e2e::messages;
use cf_local::deploy::CUSTOMIZER_BUCKET;
use serde_json::Value;

/// The founding example.
pub const EXAMPLE: &str = include_str!("../../../templates/example.cf-create");

/// One user and the deployment.
pub struct TestUser {
    pub deployment: Deployment,
    pub user: String,
}

/// What an invocation answered.
#[derive(Debug)]
pub struct InvocationResult {
    /// `X-Amz-Function-Error`.
    pub error: Option<String>,
    pub payload: Value,
}

/// A user with a profile.
pub async fn stage(user: &str) -> Result<TestUser> {
    let stage = stage_without_profile(user).await?;
    let key = format!("customizer/{user}/configure.d/user.sh");
    stage.deployment.s3.put_object().bucket(CUSTOMIZER_BUCKET).key(key).body(b"#!/bin/bash\n".to_vec().into()).send().await?;
    Ok(stage)
}

/// A user without one.
pub async fn stage_without_profile(user: &str) -> Result<TestUser> {
    Ok(TestUser { deployment: Deployment::from_environment().await?, user: user.to_owned() })
}

impl TestUser {
    pub fn key(&self, name: &str) -> String {
        format!("home/{}/{name}", self.user)
    }

    pub async fn drop(&self, name: &str, text: &str) -> Result<()> {
        self.deployment.drop_file(&self.key(name), text.as_bytes()).await
    }

    pub async fn take_away(&self, name: &str) -> Result<()> {
        self.deployment.take_away(&self.key(name)).await
    }

    pub async fn answer(&self, name: &str) -> Result<String> {
        self.deployment.answer(&self.key(name)).await
    }

    /// Waits for a file, which must then contain one of these.
    pub async fn answers(&self, name: &str, messages: &[Message]) -> Result<String> {
        let text = self.answer(name).await?;
        let wanted: Vec<String> = messages.iter().map(ToString::to_string).collect();
        assert!(wanted.contains(&text), "{}: {text}\nin place of one of {wanted:#?}", self.key(name));
        Ok(text)
    }

    pub async fn text(&self, name: &str) -> Result<Option<String>> {
        self.deployment.text(&self.key(name)).await
    }

    pub async fn gone(&self, name: &str) -> Result<()> {
        self.deployment.gone(&self.key(name)).await
    }

    pub async fn stacks(&self, cluster: &str) -> Result<Vec<Stack>> {
        self.deployment.stacks(&self.user, cluster).await
    }

    pub async fn only_stack(&self, cluster: &str) -> Result<Stack> {
        let mut all = self.stacks(cluster).await?;
        assert_eq!(all.len(), 1, "living stacks of {}/{cluster}", self.user);
        all.pop().context("one stack")
    }

    pub fn mails(&self, cluster: &str) -> Result<Vec<(String, String)>> {
        self.deployment.mails(&self.user, cluster)
    }

    /// The texts of the mails of a kind about a cluster.
    pub fn mails_of(&self, cluster: &str, kind: MailKind) -> Result<Vec<String>> {
        let subject = messages::subject(&self.user, cluster, kind);
        Ok(self.mails(cluster)?.into_iter().filter(|(found, _)| *found == subject).map(|(_, body)| body).collect())
    }

    /// Waits for a mail of a kind about a cluster.
    pub async fn mail(&self, cluster: &str, kind: MailKind) -> Result<String> {
        let what = format!("the mail {kind:?} of {cluster}");
        self.deployment.until(&what, async || Ok(self.mails_of(cluster, kind)?.pop())).await
    }

    /// Waits for a file whose text is the one of this message.
    pub async fn says(&self, name: &str, message: &Message) -> Result<()> {
        let text = message.to_string();
        let found = self.deployment.until(name, async || Ok((self.text(name).await?.as_ref() == Some(&text)).then_some(()))).await;
        if found.is_err() {
            assert_eq!(self.text(name).await?, Some(text), "{}", self.key(name));
        }
        found
    }

    /// A resource of the cluster's stack that could not be removed.
    pub async fn left(&self, cluster: &str, logical: &str, reason: &str) -> Result<Cause> {
        let id = self.only_stack(cluster).await?.stack_id;
        let found = self.deployment.cloudformation.describe_stack_resource().set_stack_name(id).logical_resource_id(logical).send().await?;
        let detail = found.stack_resource_detail().context("the resource is there")?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Cause {
            logical: logical.to_owned(),
            kind: text(detail.resource_type()),
            physical: text(detail.physical_resource_id()),
            reason: reason.to_owned(),
            advice: Advice::TellAdministrator,
            node: None,
        })
    }

    pub fn fault(&self, order: &Value) -> Result<Fault<'_>> {
        self.deployment.fault(order)
    }

    pub fn calls(&self, query: &str) -> Result<Vec<Value>> {
        self.deployment.calls(query)
    }

    /// Waits until nothing is owed to this user.
    pub async fn rest(&self) -> Result<()> {
        self.deployment.at_rest(&self.user).await.map(drop)
    }

    /// Invokes a function as S3 and EventBridge do: nobody waits for the answer.
    pub fn invoke_later(&self, function: &str, event: &Value) -> Result<()> {
        let url = format!("{}/2015-03-31/functions/clusterdrop-{function}/invocations", self.deployment.url);
        ureq::post(url).header("X-Amz-Invocation-Type", "Event").send_json(event)?;
        Ok(())
    }

    /// Invokes a function with an event, and waits for its answer.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<InvocationResult> {
        let url = format!("{}/2015-03-31/functions/clusterdrop-{function}/invocations", self.deployment.url);
        let mut answer = ureq::post(url).send_json(event)?;
        let error = answer.headers().get("x-amz-function-error").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(InvocationResult { error, payload: answer.body_mut().read_json().unwrap_or(Value::Null) })
    }
}

/// More stacks than one page of any list holds.
pub async fn hundred_other_stacks(s: &TestUser) -> Result<()> {
    let template =
        r#"{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}"#;
    for n in 0..110 {
        s.deployment.cloudformation.create_stack().stack_name(format!("other-{n}")).template_body(template).send().await?;
    }
    Ok(())
}
