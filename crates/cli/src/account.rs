//! AWS as the administrator reaches it from their own machine: the ordinary chain of credentials, and one client per service.

use std::time::Duration;

use anyhow::{Error, Result, anyhow, bail};
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::call_error::chain;

/// A signed-in administrator.
#[derive(Debug, Clone)]
pub struct Account {
    /// The Region that was asked for.
    pub region: String,
    /// For the deployment's stack.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// For buckets.
    pub s3: aws_sdk_s3::Client,
    /// For queues.
    pub sqs: aws_sdk_sqs::Client,
}

/// Whoever waits at a terminal would rather be told.
const CALL_SECONDS_MAX: u64 = 60;

impl Account {
    /// Finds Region and credentials as the AWS CLI does: profiles, single sign-on, environment, or the machine's own role.
    pub async fn sign_in(region: Option<&str>, profile: Option<&str>) -> Result<Self> {
        // The same TLS as in the functions: one of the two stacks is enough.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_timeout(Duration::from_secs(CALL_SECONDS_MAX))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).timeout_config(timeouts);
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let mut config = loader.load().await;
        if let Some(profile) = profile {
            config = config.to_builder().credentials_provider(of_profile(profile, config.region(), http)).build();
        }
        let Some(region) = config.region().map(ToString::to_string) else {
            bail!("no Region is set: give --region, or set AWS_REGION");
        };
        // Asked here and not at the first call, because there it would look like a fault of the network.
        let Some(provider) = config.credentials_provider() else { bail!("there are no AWS credentials") };
        if let Err(error) = provider.provide_credentials().await {
            return Err(signed_out(profile, &chain(&error)));
        }
        // Endpoints of one's own (an emulator, a VPC endpoint without DNS) have no host name a bucket.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
        Ok(Self {
            region,
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(&config),
        })
    }
}

fn signed_out(profile: Option<&str>, why: &str) -> Error {
    match profile {
        Some(profile) => anyhow!(
            "the profile {profile:?} gives no AWS credentials: sign in (aws sso login --profile {profile}), or correct it in ~/.aws/config ({why})"
        ),
        None => anyhow!(
            "there are no AWS credentials to act with: sign in (aws sso login), name a profile with --profile, or set AWS_PROFILE ({why})"
        ),
    }
}

/// The credentials of a profile, and of nothing else: the SDK's own chain would take those of the environment first, and whoever
/// names a profile would act in another account than they think.
fn of_profile(profile: &str, region: Option<&Region>, http: SharedHttpClient) -> SharedCredentialsProvider {
    // A profile that takes a role asks STS in this Region.
    let config = ProviderConfig::without_region().with_http_client(http).with_region(region.cloned());
    SharedCredentialsProvider::new(ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build())
}
