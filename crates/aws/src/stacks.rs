//! CloudFormation's stacks, events and resources as the domain sees them.

use aws_sdk_cloudformation::types;
use cf_core::causes::StackEvent;
use cf_core::fault::Fault;
use cf_core::question::Page;
use cf_core::stack::{Stack, StackId, StackStatus};
use jiff::Timestamp;

use crate::client::Aws;
use crate::fault::{code, fault};

impl Aws {
    /// A stack by name (living ones only) or by id. `ValidationError … does not exist` is how the API says "none".
    pub(crate) async fn stack(&self, name_or_id: &str) -> Result<Option<Box<Stack>>, Fault> {
        match self.cloudformation.describe_stacks().stack_name(name_or_id).send().await {
            Ok(output) => Ok(output.stacks().first().map(|s| Box::new(stack(s)))),
            Err(e) if code(&e) == "ValidationError" && e.to_string_with_message().contains("does not exist") => Ok(None),
            Err(e) => Err(fault("cloudformation:DescribeStacks", &e)),
        }
    }

    /// One page of all stacks of the account and Region: there is no filter by tag.
    pub(crate) async fn stacks(&self, token: Option<String>) -> Result<Page<Stack>, Fault> {
        let output = self
            .cloudformation
            .describe_stacks()
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| fault("cloudformation:DescribeStacks", &e))?;
        Ok(Page { items: output.stacks().iter().map(stack).collect(), next: output.next_token().map(str::to_owned) })
    }

    pub(crate) async fn events(&self, id: &StackId, token: Option<String>) -> Result<Page<StackEvent>, Fault> {
        let request = self.cloudformation.describe_stack_events().stack_name(&id.0).set_next_token(token);
        let output = request.send().await.map_err(|e| fault("cloudformation:DescribeStackEvents", &e))?;
        Ok(Page { items: output.stack_events().iter().map(event).collect(), next: output.next_token().map(str::to_owned) })
    }

    pub(crate) async fn resources(&self, id: &StackId, token: Option<String>) -> Result<Page<String>, Fault> {
        let request = self.cloudformation.list_stack_resources().stack_name(&id.0).set_next_token(token);
        let output = request.send().await.map_err(|e| fault("cloudformation:ListStackResources", &e))?;
        let items = output.stack_resource_summaries().iter().filter_map(|r| Some(r.resource_status()?.as_str().to_owned())).collect();
        Ok(Page { items, next: output.next_token().map(str::to_owned) })
    }
}

/// The message of a service error, which `Display` leaves out.
trait Message {
    fn to_string_with_message(&self) -> String;
}

impl<E: std::error::Error + aws_smithy_types::error::metadata::ProvideErrorMetadata, R: std::fmt::Debug> Message
    for aws_smithy_runtime_api::client::result::SdkError<E, R>
{
    fn to_string_with_message(&self) -> String {
        self.as_service_error().and_then(|e| e.message()).unwrap_or_default().to_owned()
    }
}

fn stack(s: &types::Stack) -> Stack {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    Stack {
        id: StackId(text(s.stack_id())),
        status: s.stack_status().map_or(StackStatus::Unknown, |status| StackStatus::parse(status.as_str())),
        reason: s.stack_status_reason().filter(|r| !r.is_empty()).map(str::to_owned),
        tags: s.tags().iter().map(|t| (text(t.key()), text(t.value()))).collect(),
        parameters: s.parameters().iter().map(|p| (text(p.parameter_key()), text(p.parameter_value()))).collect(),
        outputs: s.outputs().iter().map(|o| (text(o.output_key()), text(o.output_value()))).collect(),
        parent: s.parent_id().or(s.root_id()).filter(|id| Some(*id) != s.stack_id() && !id.is_empty()).map(|id| StackId(id.to_owned())),
    }
}

fn event(e: &types::StackEvent) -> StackEvent {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let at = e.timestamp().and_then(|t| Timestamp::new(t.secs(), i32::try_from(t.subsec_nanos()).unwrap_or(0)).ok());
    StackEvent {
        at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        logical: text(e.logical_resource_id()),
        physical: text(e.physical_resource_id()),
        kind: text(e.resource_type()),
        status: e.resource_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        reason: text(e.resource_status_reason()),
    }
}
