//! From an SDK error to what is to be done about it.

use aws_sdk_cloudformation::operation::create_stack::CreateStackError;
use aws_sdk_cloudformation::operation::delete_stack::DeleteStackError;
use aws_sdk_cloudformation::operation::describe_stack_events::DescribeStackEventsError;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use aws_sdk_cloudformation::operation::list_stack_resources::ListStackResourcesError;
use aws_sdk_s3::operation::delete_object::DeleteObjectError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_ses::operation::send_email::SendEmailError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_core::fault::{Call, Fault, Kind};

/// An SDK error that says which call it is of, so that no call is named wrongly.
pub trait OfCall {
    /// The call.
    const CALL: Call;
}

/// The SDK has a type for the errors of each call.
macro_rules! of_call {
    ($($error:ty => $call:ident),* $(,)?) => {
        $(impl OfCall for $error {
            const CALL: Call = Call::$call;
        })*
    };
}

of_call! {
    GetObjectError => GetObject,
    HeadObjectError => HeadObject,
    PutObjectError => PutObject,
    DeleteObjectError => DeleteObject,
    ListObjectsV2Error => ListObjectsV2,
    CreateStackError => CreateStack,
    DeleteStackError => DeleteStack,
    DescribeStacksError => DescribeStacks,
    DescribeStackEventsError => DescribeStackEvents,
    ListStackResourcesError => ListStackResources,
    SendEmailError => SendEmail,
}

/// An SDK error as a fault that may pass, unless its code says otherwise.
pub fn fault<E>(error: &SdkError<E, Response>) -> Fault
where
    E: OfCall + std::error::Error + ProvideErrorMetadata + 'static,
{
    let Some(service) = error.as_service_error() else {
        return Fault::new(Kind::Retry, E::CALL, DisplayErrorContext(error).to_string());
    };
    let code = code(error);
    let message = service.message().unwrap_or_default();
    Fault::new(kind(E::CALL, &code, message), E::CALL, format!("{code}: {message}"))
}

/// The fault of listing a stack's events or resources. `Rejected` where AWS denies the list or its response cannot be parsed: a retry
/// does not help, and the stack's own reason is used. A control character in an event's reason makes the XML of the whole page invalid, for
/// as long as the event is on it (cloudformation-coverage-roadmap#1601).
pub fn list_fault<E>(error: &SdkError<E, Response>) -> Fault
where
    E: OfCall + std::error::Error + ProvideErrorMetadata + 'static,
{
    let is_success = error.raw_response().is_some_and(|response| response.status().is_success());
    match error.as_service_error() {
        // HTTP 2xx without an error code: the SDK could not parse the response.
        Some(service) if is_success && service.code().is_none() => {
            let why = service.source().map_or_else(|| service.to_string(), ToString::to_string);
            Fault::new(Kind::Rejected, E::CALL, format!("the answer cannot be parsed: {why}"))
        }
        _ if is_refused(&code(error)) => Fault { kind: Kind::Rejected, ..fault(error) },
        _ => fault(error),
    }
}

/// Whether the same query will be refused again.
fn is_refused(code: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "ValidationError" | "ValidationException")
}

/// The error's code; S3 answers a HEAD without a body, so there the HTTP status has to do.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> String {
    let status = error.raw_response().map_or(0, |r| r.status().as_u16());
    let named = error.as_service_error().and_then(ProvideErrorMetadata::code);
    named.map_or_else(|| status.to_string(), str::to_owned)
}

fn kind(call: Call, code: &str, message: &str) -> Kind {
    let is_stack_call = matches!(call, Call::CreateStack | Call::DeleteStack);
    match code {
        // Somebody else wrote first, or is writing now.
        "PreconditionFailed" | "ConditionalRequestConflict" | "412" | "409" => Kind::Conflict,
        // Our own earlier attempt, another pass's, or a stranger's stack: the next look shows which.
        "AlreadyExistsException" => Kind::Conflict,
        "TokenAlreadyExistsException" => Kind::TokenUsed,
        // What an installation or an upgrade has just made is not there for everybody at once.
        // A stack that is to be deleted was made under that role, so there it has gone for good.
        "ValidationError" if call == Call::CreateStack && is_not_there_yet(message) => Kind::Retry,
        // An operation is under way; its end brings an event.
        "ValidationError" if is_stack_call && message.contains("_IN_PROGRESS") => Kind::Retry,
        "ValidationError" | "LimitExceededException" | "InsufficientCapabilitiesException" | "AccessDenied" | "AccessDeniedException"
            if is_stack_call =>
        {
            Kind::Rejected
        }
        // Throttling, 5xx, and a permission that an administrator may mend: the event comes again, and is parked in the end.
        _ => Kind::Retry,
    }
}

/// A role, or the right to read the template, that was made a moment ago; the template of an upgrade, published a moment later.
/// CloudFormation wraps whatever S3 says of the template, so those words come first. If it does not pass, the failure queue's
/// alarm reports it.
fn is_not_there_yet(message: &str) -> bool {
    let is_of_role = message.to_ascii_lowercase().split("role").next().is_some_and(|before| matches!(before.trim(), "" | "the"));
    let is_unseen = ["cannot be assumed", "cannot be found", "could not be found", "not found", "does not exist"];
    message.starts_with("S3 error") || (is_of_role && is_unseen.iter().any(|words| message.contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_refused_is_refused_again_and_one_that_is_throttled_is_not() {
        for (code, refused) in [
            ("AccessDenied", true),
            ("AccessDeniedException", true),
            ("ValidationError", true),
            ("Throttling", false),
            ("InternalFailure", false),
            ("ServiceUnavailable", false),
            ("ExpiredToken", false),
            ("503", false),
        ] {
            assert_eq!(is_refused(code), refused, "{code}");
        }
    }

    #[test]
    fn codes_are_sorted_by_what_is_to_be_done() {
        for (call, code, message, expected) in [
            (Call::PutObject, "PreconditionFailed", "", Kind::Conflict),
            (Call::PutObject, "ConditionalRequestConflict", "", Kind::Conflict),
            (Call::HeadObject, "412", "", Kind::Conflict),
            (Call::PutObject, "409", "", Kind::Conflict),
            (Call::CreateStack, "LimitExceededException", "", Kind::Rejected),
            (Call::CreateStack, "InsufficientCapabilitiesException", "", Kind::Rejected),
            (Call::PutObject, "SlowDown", "", Kind::Retry),
            (Call::GetObject, "AccessDenied", "", Kind::Retry),
            (Call::PutObject, "InvalidRequest", "", Kind::Retry),
            (Call::CreateStack, "AccessDenied", "", Kind::Rejected),
            (Call::CreateStack, "Throttling", "Rate exceeded", Kind::Retry),
            (Call::CreateStack, "ValidationError", "Parameters: [X] must have values", Kind::Rejected),
            (Call::CreateStack, "ValidationError", "S3 error: The specified key does not exist.", Kind::Retry),
            (Call::CreateStack, "ValidationError", "Template format error: YAML not well-formed.", Kind::Rejected),
            (Call::CreateStack, "AlreadyExistsException", "", Kind::Conflict),
            (Call::CreateStack, "TokenAlreadyExistsException", "", Kind::TokenUsed),
            (Call::DeleteStack, "ValidationError", "Stack is in UPDATE_IN_PROGRESS state", Kind::Retry),
            (Call::DescribeStacks, "ValidationError", "", Kind::Retry),
        ] {
            assert_eq!(kind(call, code, message), expected, "{call} {code}");
        }
    }

    /// A role, a policy and an object that were made a moment ago are not yet there for everybody.
    #[test]
    fn what_an_installation_has_just_made_is_waited_for() {
        let young = [
            // As users of CloudFormation report it (serverless#6191, aws-cdk#4053).
            "Role arn:aws:iam::123456789012:role/clusterdrop-service is invalid or cannot be assumed",
            "Role arn:aws-us-gov:iam::123456789012:role/drop-service is invalid or cannot be assumed",
            "The role arn:aws:iam::123456789012:role/clusterdrop-service cannot be found.",
            "Role with arn arn:aws:iam::123456789012:role/clusterdrop-service does not exist",
            "S3 error: Access Denied\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
            "S3 error: The specified key does not exist.\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
            "S3 error: The specified bucket does not exist",
            "S3 error: Please reduce your request rate.",
        ];
        for message in young {
            assert_eq!(kind(Call::CreateStack, "ValidationError", message), Kind::Retry, "{message}");
        }
        let wrong = [
            "Parameters: [ComputeRole] do not exist in the template",
            "Parameter 'AccessUsername' must match pattern role/does not exist",
            "Template error: resource RoleX does not exist",
            "Value (role cannot be assumed) for parameter MailRoute is invalid",
        ];
        for message in wrong {
            assert_eq!(kind(Call::CreateStack, "ValidationError", message), Kind::Rejected, "{message}");
        }
        // What is to be removed was made under that role, so it is not young: it has gone.
        assert_eq!(kind(Call::DeleteStack, "ValidationError", young[0]), Kind::Rejected);
    }
}
