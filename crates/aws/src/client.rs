//! The SDK's clients, made once at the start of a function.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::config::endpoint as stacks;
use aws_sdk_cloudformation::config::endpoint::ResolveEndpoint as _;
use aws_sdk_s3::config::endpoint as objects;
use aws_sdk_s3::config::endpoint::ResolveEndpoint as _;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use cf_core::settings::{Function, Settings};

use crate::wire::Wire;

/// AWS, as one deployment uses it.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) cloudformation: aws_sdk_cloudformation::Client,
    pub(crate) ses: aws_sdk_ses::Client,
    pub(crate) settings: Settings,
    /// Every bucket must belong to it: names of buckets can be claimed by others.
    pub(crate) account: String,
    pub(crate) region: String,
}

/// One call with all its attempts: half the age at which a snapshot is too old for an effect to begin (`cf_core::reconcile`, 20 s).
const CALL_SECONDS_MAX: u64 = 10;

/// One attempt that hangs leaves time for another.
const ATTEMPT_SECONDS_MAX: u64 = 4;

/// CreateStack reads and checks a whole template before it answers. If we time out, CloudFormation may still create the stack; the
/// retry then fails because the token was used.
pub(crate) const CREATE_ATTEMPT_SECONDS_MAX: u64 = 8;

/// Two attempts, and the pause between them. The age of the snapshot is checked before the call begins, not while it runs.
pub(crate) const CREATE_SECONDS_MAX: u64 = 17;

/// How long one attempt of a call may take, and the call with all its attempts.
pub(crate) fn patience(attempt: u64, whole: u64) -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(attempt));
    timeouts.operation_timeout(Duration::from_secs(whole)).build()
}

impl Aws {
    /// Clients with the credentials that Lambda puts into the environment, and their connections. The SDK's default chain
    /// would look for credentials in six more places first, and set up TLS for STS to do so.
    pub async fn from_environment(settings: Settings, account: String, region: String) -> Self {
        let wire = Wire::from_environment();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new())
            .http_client(wire.clone())
            .timeout_config(patience(ATTEMPT_SECONDS_MAX, CALL_SECONDS_MAX))
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .load()
            .await;
        let aws = Self::new(&config, settings, account, region);
        wire.open(aws.origins(config.endpoint_url()).await).await;
        aws
    }

    /// Where the first calls of a pass go: the SDK asks each bucket at a host of its own, or all of them at `endpoint`.
    async fn origins(&self, endpoint: Option<&str>) -> Vec<String> {
        let settings = &self.settings;
        let mut buckets = vec![&settings.system_bucket, &settings.user_bucket];
        // Only who takes uploads of .cf-create asks for profiles at each of them.
        if settings.function == Function::Create {
            buckets.push(&settings.customizer_bucket);
        }
        let mut found = Vec::new();
        for bucket in buckets {
            let asked = objects::Params::builder().region(&self.region).bucket(bucket).set_endpoint(endpoint.map(str::to_owned));
            if let Ok(asked) = asked.force_path_style(endpoint.is_some()).build() {
                found.extend(objects::DefaultResolver::new().resolve_endpoint(&asked).await);
            }
        }
        let asked = stacks::Params::builder().region(&self.region).set_endpoint(endpoint.map(str::to_owned));
        if let Ok(asked) = asked.build() {
            found.extend(stacks::DefaultResolver::new().resolve_endpoint(&asked).await);
        }
        found.iter().map(|endpoint| endpoint.url().to_owned()).collect()
    }

    /// Clients on a configuration made elsewhere.
    pub fn new(config: &aws_config::SdkConfig, settings: Settings, account: String, region: String) -> Self {
        // Endpoints of one's own (an emulator, a VPC endpoint without DNS) have no host name a bucket.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            ses: aws_sdk_ses::Client::from_conf(aws_sdk_ses::config::Builder::from(config).retry_classifier(OnlyRefused).build()),
            settings,
            account,
            region,
        }
    }

    /// The HTTPS address of an object in the system bucket, in the form that the policy of cf-create allows.
    pub(crate) fn template_url(&self, key: &str) -> String {
        address(&self.region, &self.settings.url_suffix, &self.settings.system_bucket, key)
    }
}

fn address(region: &str, suffix: &str, bucket: &str, key: &str) -> String {
    format!("https://s3.{region}.{suffix}/{bucket}/{key}")
}

/// SendEmail knows no token: sent again after an answer that was lost, a mail comes twice. So only a mail that SES has
/// refused, as one too many, is tried again.
#[derive(Debug)]
struct OnlyRefused;

impl ClassifyRetry for OnlyRefused {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let is_refused = context.response().is_some_and(|response| response.status().is_client_error());
        if is_refused { RetryAction::NoActionIndicated } else { RetryAction::RetryForbidden }
    }

    fn name(&self) -> &'static str {
        "only what was refused"
    }

    /// The last word: those before it ask for another try.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_fetched_from_a_host_of_the_own_partition() {
        for (region, suffix, host) in [
            ("eu-west-2", "amazonaws.com", "s3.eu-west-2.amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com", "s3.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn", "s3.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu", "s3.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(address(region, suffix, "system", "templates/x.yaml"), format!("https://{host}/system/templates/x.yaml"));
        }
    }
}
