//! CloudFormation's stacks, events and resources as the domain sees them.

use aws_sdk_cloudformation::types;
use cf_core::causes::StackEvent;
use cf_core::fault::Fault;
use cf_core::observe::Page;
use cf_core::stack::{ResourceStatus, Stack, StackId, StackStatus};
use jiff::Timestamp;

use crate::client::Aws;
use crate::fault::{code, fault, list_fault};

impl Aws {
    /// A stack by name (living ones only) or by id. `ValidationError … does not exist` is how the API says "none".
    pub(crate) async fn stack(&self, name_or_id: &str) -> Result<Option<Box<Stack>>, Fault> {
        match self.cloudformation.describe_stacks().stack_name(name_or_id).send().await {
            Ok(output) => Ok(output.stacks().first().map(|s| Box::new(stack(s)))),
            Err(e) if code(&e) == "ValidationError" && e.to_string_with_message().contains("does not exist") => Ok(None),
            Err(e) => Err(fault(&e)),
        }
    }

    /// One page of all stacks of the account and Region: there is no filter by tag.
    pub(crate) async fn stacks(&self, token: Option<String>) -> Result<Page<Stack>, Fault> {
        let output = self.cloudformation.describe_stacks().set_next_token(token).send().await.map_err(|e| fault(&e))?;
        Ok(Page { items: output.stacks().iter().map(stack).collect(), next: output.next_token().map(str::to_owned) })
    }

    pub(crate) async fn events(&self, id: &StackId, token: Option<String>) -> Result<Page<StackEvent>, Fault> {
        let request = self.cloudformation.describe_stack_events().stack_name(&id.0).set_next_token(token);
        let output = request.send().await.map_err(|e| list_fault(&e))?;
        Ok(Page { items: output.stack_events().iter().map(event).collect(), next: output.next_token().map(str::to_owned) })
    }

    pub(crate) async fn resources(&self, id: &StackId, token: Option<String>) -> Result<Page<ResourceStatus>, Fault> {
        let request = self.cloudformation.list_stack_resources().stack_name(&id.0).set_next_token(token);
        let output = request.send().await.map_err(|e| list_fault(&e))?;
        let items = output.stack_resource_summaries().iter().map(|r| resource_status(r.resource_status())).collect();
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

fn resource_status(status: Option<&types::ResourceStatus>) -> ResourceStatus {
    status.map_or(ResourceStatus::Other, |status| ResourceStatus::parse(status.as_str()))
}

fn event(e: &types::StackEvent) -> StackEvent {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let at = e.timestamp().and_then(|t| Timestamp::new(t.secs(), i32::try_from(t.subsec_nanos()).unwrap_or(0)).ok());
    StackEvent {
        at: at.unwrap_or(Timestamp::UNIX_EPOCH),
        logical: text(e.logical_resource_id()),
        physical: text(e.physical_resource_id()),
        kind: text(e.resource_type()),
        status: resource_status(e.resource_status()),
        reason: text(e.resource_status_reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_cloudformation::config::{retry::RetryConfig, timeout::TimeoutConfig};
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;
    use cf_core::fault::Kind;

    /// Answers everything with the same.
    #[derive(Debug, Clone)]
    struct Says(u16, String);

    impl HttpConnector for Says {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let status = self.0.try_into().expect("a status");
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.1.clone()))))
        }
    }

    /// The fault that an answer to DescribeStackEvents leads to, if it does.
    fn asked(status: u16, body: &str) -> Result<usize, Fault> {
        let says = Says(status, body.to_owned());
        let config = aws_sdk_cloudformation::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-2"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(says.clone())))
            .build();
        let client = aws_sdk_cloudformation::Client::from_conf(config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let answer = runtime.block_on(client.describe_stack_events().stack_name("x").send());
        answer.map(|page| page.stack_events().len()).map_err(|e| list_fault(&e))
    }

    fn page(reason: &str) -> String {
        format!(
            "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents><member><StackId>arn</StackId><EventId>1</EventId>\
             <StackName>x</StackName><Timestamp>2026-11-27T08:00:00Z</Timestamp><ResourceStatus>CREATE_FAILED</ResourceStatus>\
             <ResourceStatusReason>{reason}</ResourceStatusReason></member></StackEvents></DescribeStackEventsResult>\
             </DescribeStackEventsResponse>"
        )
    }

    fn refusal(code: &str) -> String {
        format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>")
    }

    #[test]
    fn a_list_that_cannot_be_parsed_or_is_refused_will_not_pass_and_one_that_is_throttled_may() {
        assert_eq!(asked(200, &page("no capacity")), Ok(1));
        // Each spoils the whole page, as long as its event is on it.
        for spoilt in ["\u{1b}[31mred", "\u{0}", "bell\u{7}", "\u{ffff}", "<not closed"] {
            let fault = asked(200, &page(spoilt)).expect_err(spoilt);
            assert_eq!(fault.kind, Kind::Rejected, "{spoilt:?}: {fault}");
            assert!(fault.why.contains("cannot be parsed") && fault.why.len() < 500, "{fault}");
        }
        for (status, code, kind) in [
            (403, "AccessDenied", Kind::Rejected),
            (400, "ValidationError", Kind::Rejected),
            (400, "Throttling", Kind::Retry),
            (500, "InternalFailure", Kind::Retry),
            (503, "ServiceUnavailable", Kind::Retry),
        ] {
            assert_eq!(asked(status, &refusal(code)).expect_err(code).kind, kind, "{code}");
        }
        assert_eq!(asked(502, "<html>\u{1b}").expect_err("a proxy's page").kind, Kind::Retry);
    }
}
