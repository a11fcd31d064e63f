//! From an SDK error to what is to be done about it.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_core::fault::{Fault, Kind};

/// An SDK error as a fault that may pass, unless its code says otherwise.
pub fn fault<E>(call: &'static str, error: &SdkError<E, Response>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let Some(service) = error.as_service_error() else {
        return Fault::new(Kind::Retry, call, DisplayErrorContext(error).to_string());
    };
    let code = code(error);
    let message = service.message().unwrap_or_default();
    Fault::new(kind(call, &code, message), call, format!("{code}: {message}"))
}

/// A fault of a list that tells more of a stack: where AWS will not give it out, or what it gave cannot be parsed, it never will,
/// and the stack's own reason has to do. A control character in an event's reason makes the XML of the whole page invalid, for
/// as long as the event is on it (cloudformation-coverage-roadmap#1601).
pub fn list_fault<E>(call: &'static str, error: &SdkError<E, Response>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let is_success = error.raw_response().is_some_and(|response| response.status().is_success());
    match error.as_service_error() {
        // An answer that says "done", and no code of an error in it: the parser's own.
        Some(service) if is_success && service.code().is_none() => {
            let why = service.source().map_or_else(|| service.to_string(), ToString::to_string);
            Fault::new(Kind::Rejected, call, format!("the answer cannot be parsed: {why}"))
        }
        _ if is_refused(&code(error)) => Fault { kind: Kind::Rejected, ..fault(call, error) },
        _ => fault(call, error),
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

fn kind(call: &str, code: &str, message: &str) -> Kind {
    let is_stack_call = call.starts_with("cloudformation:CreateStack") || call.starts_with("cloudformation:DeleteStack");
    match code {
        // Somebody else wrote first, or is writing now.
        "PreconditionFailed" | "ConditionalRequestConflict" | "412" | "409" => Kind::Conflict,
        // Our own earlier attempt, another pass's, or a stranger's stack: the next look tells.
        "AlreadyExistsException" => Kind::Conflict,
        "TokenAlreadyExistsException" => Kind::TokenUsed,
        // What an installation or an upgrade has just made is not there for everybody at once.
        // A stack that is to be deleted was made under that role, so there it has gone for good.
        "ValidationError" if call.starts_with("cloudformation:CreateStack") && is_not_there_yet(message) => Kind::Retry,
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
/// alarm tells the administrator.
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
            ("s3:PutObject", "PreconditionFailed", "", Kind::Conflict),
            ("s3:PutObject", "ConditionalRequestConflict", "", Kind::Conflict),
            ("s3:HeadObject", "412", "", Kind::Conflict),
            ("s3:PutObject", "409", "", Kind::Conflict),
            ("cloudformation:CreateStack", "LimitExceededException", "", Kind::Rejected),
            ("cloudformation:CreateStack", "InsufficientCapabilitiesException", "", Kind::Rejected),
            ("s3:PutObject", "SlowDown", "", Kind::Retry),
            ("s3:GetObject", "AccessDenied", "", Kind::Retry),
            ("s3:PutObject", "InvalidRequest", "", Kind::Retry),
            ("cloudformation:CreateStack", "AccessDenied", "", Kind::Rejected),
            ("cloudformation:CreateStack", "Throttling", "Rate exceeded", Kind::Retry),
            ("cloudformation:CreateStack", "ValidationError", "Parameters: [X] must have values", Kind::Rejected),
            ("cloudformation:CreateStack", "ValidationError", "S3 error: The specified key does not exist.", Kind::Retry),
            ("cloudformation:CreateStack", "ValidationError", "Template format error: YAML not well-formed.", Kind::Rejected),
            ("cloudformation:CreateStack", "AlreadyExistsException", "", Kind::Conflict),
            ("cloudformation:CreateStack", "TokenAlreadyExistsException", "", Kind::TokenUsed),
            ("cloudformation:DeleteStack", "ValidationError", "Stack is in UPDATE_IN_PROGRESS state", Kind::Retry),
            ("cloudformation:DescribeStacks", "ValidationError", "", Kind::Retry),
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
            assert_eq!(kind("cloudformation:CreateStack", "ValidationError", message), Kind::Retry, "{message}");
        }
        let wrong = [
            "Parameters: [ComputeRole] do not exist in the template",
            "Parameter 'AccessUsername' must match pattern role/does not exist",
            "Template error: resource RoleX does not exist",
            "Value (role cannot be assumed) for parameter MailRoute is invalid",
        ];
        for message in wrong {
            assert_eq!(kind("cloudformation:CreateStack", "ValidationError", message), Kind::Rejected, "{message}");
        }
        // What is to be removed was made under that role, so it is not young: it has gone.
        assert_eq!(kind("cloudformation:DeleteStack", "ValidationError", young[0]), Kind::Rejected);
    }
}
