//! The nodes of a user's cluster, as its stack has them: the instances, and the user data that they were started with.

use anyhow::{Context, Result};
use cf_local::deploy::aws;
use serde_json::{Value, json};

use super::TestUser;

/// A script that notes its name and its arguments in the file `ran`. It has no variable of the machine that runs the tests: its own path
/// shows the folder that stands for the node's disk.
pub const NOTE: &str = "#!/bin/bash\necho \"${0##*/} $*\" >> \"${0%%/var/lib/clusterdrop/*}/ran\"\n";

/// The order by which nobody signals for the login nodes of a user's clusters but their agents.
pub fn silent(s: &TestUser) -> Value {
    json!({"kind": "node", "stack": format!("clusterdrop-{}-", s.user), "signal": "never"})
}

/// Drops a request whose login node nobody signals for, waits until that is there, and gives its user data and its id.
pub async fn login_node(s: &TestUser, request: &str) -> Result<(String, String)> {
    s.drop("demo.cf-create", request).await?;
    let is_instance = |id: &String| id.starts_with("i-");
    let instance = s.deployment.until("the login node", async || Ok(resource(s, "LoginNode").await?.filter(is_instance))).await?;
    Ok((user_data(s, &instance)?, instance))
}

/// The id of a resource of the cluster `demo`, where its stack has it.
pub async fn resource(s: &TestUser, logical: &str) -> Result<Option<String>> {
    let Some(stack) = s.stacks("demo").await?.pop() else { return Ok(None) };
    let resources = s.deployment.cloudformation.describe_stack_resources().set_stack_name(stack.stack_id).logical_resource_id(logical);
    Ok(resources.send().await.ok().and_then(|found| found.stack_resources().first()?.physical_resource_id().map(str::to_owned)))
}

/// The user data of an instance, as EC2 hands them over.
pub fn user_data(s: &TestUser, instance: &str) -> Result<String> {
    let asked = ["ec2", "describe-instance-attribute", "--attribute", "userData", "--query", "UserData.Value", "--output", "text"];
    decoded(&aws(&s.deployment.url, &[&asked[..], &["--instance-id", instance]].concat())?)
}

/// User data as text.
pub fn decoded(user_data: &str) -> Result<String> {
    let bytes = aws_smithy_types::base64::decode(user_data.trim()).context("the user data are no base64")?;
    String::from_utf8(bytes).context("the user data are no text")
}
