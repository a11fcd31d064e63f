//! What a deployment says of itself: the parameters and outputs of its stack.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::types::Stack;

use crate::account::Account;
use crate::call_error::{call_error, code, message};

/// A deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// Its stack's name.
    pub name: String,
    /// `aws`, or that of China or the GovCloud.
    pub partition: String,
    /// Its Region.
    pub region: String,
    /// Its account, to which every bucket must belong.
    pub account: String,
    /// CloudFormation's word for its state.
    pub status: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl Deployment {
    /// Reads it from CloudFormation.
    pub async fn read(account: &Account, name: &str) -> Result<Self> {
        let what = format!("find the deployment {name:?} in {}", account.region);
        let found = account.cloudformation.describe_stacks().stack_name(name).send().await;
        let stack = match &found {
            Ok(output) => output.stacks().first(),
            Err(e) if code(e) == "ValidationError" && message(e).contains("does not exist") => None,
            Err(e) => return Err(call_error("cloudformation:DescribeStacks", &what, e)),
        };
        let Some(stack) = stack else {
            bail!("cannot {what}: there is no such stack. Give its name with --deployment, and its Region with --region");
        };
        Self::of(stack)
    }

    fn of(stack: &Stack) -> Result<Self> {
        let name = stack.stack_name().unwrap_or_default().to_owned();
        let id: Vec<&str> = stack.stack_id().unwrap_or_default().split(':').collect();
        let [_, partition, _, region, account, ..] = id[..] else { bail!("the stack {name:?} has no id that says where it is") };
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        let deployment = Self {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            status: stack.stack_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
            parameters: stack.parameters().iter().map(|p| (text(p.parameter_key()), text(p.parameter_value()))).collect(),
            outputs: stack.outputs().iter().map(|o| (text(o.output_key()), text(o.output_value()))).collect(),
            name,
        };
        if !deployment.parameters.contains_key("UserBucketMode") {
            bail!("the stack {:?} is no deployment of clusterdrop: give the right name with --deployment", deployment.name);
        }
        Ok(deployment)
    }

    /// A parameter that every deployment has.
    pub fn parameter(&self, name: &str) -> Result<&str> {
        let found = self.parameters.get(name).map(String::as_str);
        found.with_context(|| format!("the deployment {:?} has no parameter {name}: is it of another version?", self.name))
    }

    /// An output, which a stack has once it was complete.
    pub fn output(&self, name: &str) -> Result<&str> {
        let found = self.outputs.get(name).map(String::as_str);
        found.with_context(|| {
            format!(
                "the deployment {:?} has no output {name}, and its state is {}: finish its deployment first (sam deploy)",
                self.name, self.status
            )
        })
    }

    /// The ARN of one of its functions.
    pub fn function_arn(&self, output: &str) -> Result<String> {
        Ok(format!("arn:{}:lambda:{}:{}:function:{}", self.partition, self.region, self.account, self.output(output)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::types::{Output, Parameter, StackStatus};

    fn stack(parameter: &str) -> Stack {
        Stack::builder()
            .stack_name("drop")
            .stack_id("arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/drop/5e1b7f90")
            .stack_status(StackStatus::CreateComplete)
            .parameters(Parameter::builder().parameter_key(parameter).parameter_value("existing").build())
            .outputs(Output::builder().output_key("CfCreateName").output_value("drop-cf-create").build())
            .build()
    }

    #[test]
    fn the_stacks_id_says_where_everything_is() {
        let deployment = Deployment::of(&stack("UserBucketMode")).expect("a deployment");
        assert_eq!(deployment.parameter("UserBucketMode").ok(), Some("existing"));
        let arn = deployment.function_arn("CfCreateName").expect("a function");
        assert_eq!(arn, "arn:aws-cn:lambda:cn-north-1:123456789012:function:drop-cf-create");
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let error = Deployment::of(&stack("Other")).expect_err("no deployment");
        assert!(error.to_string().contains("no deployment of clusterdrop"), "{error}");
        let deployment = Deployment::of(&stack("UserBucketMode")).expect("a deployment");
        let error = deployment.output("ParkedQueueUrl").expect_err("no output");
        assert!(error.to_string().contains("CREATE_COMPLETE") && error.to_string().contains("sam deploy"), "{error}");
    }
}
