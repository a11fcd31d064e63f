//! From an SDK error to a sentence for the administrator: what was asked, what stands in the way, what to do.

use anyhow::{Error, anyhow};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The error's code, or the HTTP status where there is none.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> String {
    let named = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let status = || error.raw_response().map_or(0, |r| r.status().as_u16()).to_string();
    named.map_or_else(status, str::to_owned)
}

/// What AWS said.
pub fn message<E: ProvideErrorMetadata>(error: &SdkError<E, Response>) -> String {
    error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default().trim_end_matches('.').to_owned()
}

/// An error with its causes, in words only. The SDK's own display ends in a dump of its structures.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Many layers repeat the one below them.
        if !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.join(": ")
}

/// The sentence for a call that failed. `right` is the call as policies name it; `what` is what it was for.
pub fn call_error<E>(right: &str, what: &str, error: &SdkError<E, Response>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    if error.as_service_error().is_none() {
        return anyhow!("cannot {what}: AWS did not answer ({}). Are you connected, and is the Region right?", chain(error));
    }
    let (code, message) = (code(error), message(error));
    sentence(right, what, &code, &message)
}

fn sentence(right: &str, what: &str, code: &str, message: &str) -> Error {
    match code {
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "403" if right.starts_with("s3:") => anyhow!(
            "cannot {what}: access denied. Either your credentials lack {right}, or the bucket belongs to another account than the deployment ({message})"
        ),
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "403" => {
            anyhow!("cannot {what}: access denied. Your credentials lack {right} ({message})")
        }
        // Somebody else's bucket, asked for its policy.
        "MethodNotAllowed" => anyhow!("cannot {what}: the bucket belongs to another account than the deployment"),
        "NoSuchBucket" => anyhow!("cannot {what}: there is no such bucket. Make it, or correct the deployment's parameters"),
        "PermanentRedirect" | "301" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            anyhow!("cannot {what}: the bucket is in another Region than the deployment, and has to be in the same")
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            anyhow!("cannot {what}: your AWS credentials have expired. Sign in again, then try again")
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            anyhow!("cannot {what}: AWS does not know your credentials. Check the profile, or the AWS_ variables of your environment")
        }
        _ => anyhow!("cannot {what}: {right} failed with {code}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_says_what_to_do() {
        for (right, code, expected) in [
            ("s3:GetBucketPolicy", "AccessDenied", "another account"),
            ("sqs:SendMessage", "AccessDenied", "lack sqs:SendMessage"),
            ("s3:GetBucketPolicy", "PermanentRedirect", "another Region"),
            ("s3:GetBucketPolicy", "NoSuchBucket", "Make it"),
            ("sqs:SendMessage", "ExpiredToken", "Sign in again"),
            ("sqs:SendMessage", "Odd", "failed with Odd: why"),
        ] {
            let said = sentence(right, "do it", code, "why").to_string();
            assert!(said.starts_with("cannot do it: ") && said.contains(expected), "{said}");
        }
    }
}
