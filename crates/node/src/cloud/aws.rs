//! AWS beside S3, by the SDK: instance metadata, the cluster's secret, the signal.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_config::imds;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudformation::types::ResourceSignalStatus;
use aws_sdk_secretsmanager::error::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cf_core::plain::plain;
use tokio::time::sleep;

use super::{Cloud, CloudError, Identity, Signal, SignalError};
use crate::aws::Wire;
use crate::proxy::Network;

/// Characters of AWS's words.
const WORDS_MAX: usize = 300;

/// The most characters of a signal's id (CloudFormation API reference, SignalResource).
const SIGNAL_ID_CHARS_MAX: usize = 64;

/// How long each call is tried again: a role that was just made is refused for some seconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two attempts.
    pub pause: Duration,
    /// How long instance metadata are asked for.
    pub identity: Duration,
    /// How long the secret is asked for.
    pub secret: Duration,
    /// How often a signal is sent: without it the stack fails by its own time limit, and without the reason.
    pub signals: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { pause: Duration::from_secs(5), identity: Duration::from_secs(30), secret: Duration::from_mins(2), signals: 36 }
    }
}

/// AWS, as a node uses it.
#[derive(Debug, Clone)]
pub struct Aws {
    imds: imds::Client,
    secrets: aws_sdk_secretsmanager::Client,
    stacks: aws_sdk_cloudformation::Client,
    patience: Patience,
}

impl Aws {
    /// Clients on a configuration ([`crate::aws::configuration`]). Where a node has no other way out, Secrets Manager and
    /// CloudFormation are reached through a proxy.
    pub fn new(config: &SdkConfig, proxy: Option<Wire>, patience: Patience) -> Self {
        let mut config = config.to_builder();
        if let Some(wire) = proxy {
            config = config.http_client(wire);
        }
        let config = config.build();
        // Each attempt of a signal is this file's own: only so it is known whether an earlier one may have arrived.
        let stacks = aws_sdk_cloudformation::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        Self {
            imds: metadata_client(None),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            stacks: aws_sdk_cloudformation::Client::from_conf(stacks.build()),
            patience,
        }
    }

    async fn metadata(&self, name: &str) -> Result<String, CloudError> {
        let path = format!("/latest/meta-data/{name}");
        let text = self.imds.get(path).await.map_err(|error| CloudError::Unreachable(shown(&error)))?;
        Ok(text.as_ref().trim().to_owned())
    }

    async fn ask_identity(&self) -> Result<Identity, CloudError> {
        let instance = self.metadata("instance-id").await?;
        let is_id = (3..=64).contains(&instance.len()) && instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_id {
            return Err(CloudError::Unreachable(format!("instance metadata give no instance id: {}", plain(&instance, 40))));
        }
        let text = self.metadata("local-ipv4").await?;
        let address: IpAddr =
            text.parse().map_err(|_| CloudError::Unreachable(format!("instance metadata give no address: {}", plain(&text, 40))))?;
        Ok(Identity { instance, address })
    }

    /// Those of the first interface's VPC (EC2 User Guide, "Instance metadata categories"): its primary block and those added to it.
    async fn ask_networks(&self) -> Result<Vec<Network>, CloudError> {
        let none = |text: &str| CloudError::Unreachable(format!("instance metadata give no networks: {}", plain(text, 40)));
        let mac = self.metadata("mac").await?;
        if !mac.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
            return Err(none(&mac));
        }
        let text = self.metadata(&format!("network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks")).await?;
        text.split_whitespace().map(str::parse).collect::<Result<Vec<Network>, _>>().map_err(|_| none(&text))
    }

    /// `spot/instance-action`, which is there from two minutes before on (EC2 user guide, "Spot Instance interruption notices"):
    /// `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`. Whatever the action, the node is gone for the cluster.
    async fn ask_interruption(&self) -> Result<Option<String>, CloudError> {
        match self.imds.get("/latest/meta-data/spot/instance-action").await {
            Ok(text) => Ok(Some(plain(text.as_ref(), WORDS_MAX))),
            Err(ImdsError::ErrorResponse(error)) if error.response().status().as_u16() == 404 => Ok(None),
            Err(error) => Err(CloudError::Unreachable(shown(&error))),
        }
    }

    async fn ask_secret(&self, arn: &str) -> Result<String, CloudError> {
        let got = self.secrets.get_secret_value().secret_id(arn).send().await.map_err(|error| problem(&error).0)?;
        got.secret_string.ok_or_else(|| CloudError::Missing(format!("{arn} has no text")))
    }

    async fn send_signal(&self, stack: &str, resource: &str, id: &str, status: ResourceSignalStatus) -> Result<(), (CloudError, Sent)> {
        let signal = self.stacks.signal_resource().stack_name(stack).logical_resource_id(resource).unique_id(id).status(status);
        signal.send().await.map(|_| ()).map_err(|error| problem(&error))
    }

    /// Asks again while AWS refuses or cannot be reached, until `limit` is over.
    async fn patiently<T, F>(&self, limit: Duration, ask: impl Fn() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let first = Instant::now();
        loop {
            match ask().await {
                Err(CloudError::Denied(_) | CloudError::Unreachable(_)) if first.elapsed() + self.patience.pause <= limit => {
                    sleep(self.patience.pause).await;
                }
                result => return result,
            }
        }
    }
}

/// Asks for instance metadata, never through a proxy. `endpoint` is for tests of this file.
fn metadata_client(endpoint: Option<&str>) -> imds::Client {
    let provider = ProviderConfig::without_region().with_http_client(Wire::direct());
    let provider = provider.with_behavior_version(Some(BehaviorVersion::latest()));
    let client = imds::Client::builder().configure(&provider);
    match endpoint.map(|endpoint| imds::Client::builder().configure(&provider).endpoint(endpoint)) {
        Some(Ok(elsewhere)) => elsewhere.build(),
        _ => client.build(),
    }
}

impl Cloud for Aws {
    async fn identity(&self) -> Result<Identity, CloudError> {
        self.patiently(self.patience.identity, || self.ask_identity()).await
    }

    async fn networks(&self) -> Result<Vec<Network>, CloudError> {
        // Once: the metadata have answered before, with the identity.
        self.ask_networks().await
    }

    async fn interruption(&self) -> Result<Option<String>, CloudError> {
        self.ask_interruption().await
    }

    async fn secret(&self, arn: &str) -> Result<String, CloudError> {
        self.patiently(self.patience.secret, || self.ask_secret(arn)).await
    }

    async fn signal(&self, stack: &str, resource: &str, signal: &Signal<'_>) -> Result<(), SignalError> {
        let status = if signal.ready { ResourceSignalStatus::Success } else { ResourceSignalStatus::Failure };
        let id: String = signal.id.chars().take(SIGNAL_ID_CHARS_MAX).collect();
        let mut may_have_arrived = signal.may_have_arrived;
        let mut attempt = 1;
        loop {
            let Err((error, sent)) = self.send_signal(stack, resource, &id, status.clone()).await else { return Ok(()) };
            match sent {
                Sent::Known => return Ok(()),
                // The stack has gone on by the signal whose answer was lost. If it has not, no other attempt is of use either.
                Sent::Late if may_have_arrived => return Ok(()),
                Sent::Late | Sent::Never => return Err(SignalError { error, may_have_arrived }),
                Sent::Refused => {}
                Sent::Perhaps => may_have_arrived = true,
            }
            if attempt >= self.patience.signals {
                return Err(SignalError { error, may_have_arrived });
            }
            attempt += 1;
            sleep(self.patience.pause).await;
        }
    }
}

/// Whether a call that failed was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// No: it was refused, and may be taken later.
    Refused,
    /// No, and it never will be.
    Never,
    /// Its answer was lost.
    Perhaps,
    /// An earlier one was: AWS knows a signal with this id.
    Known,
    /// The stack does not wait for signals, or not any more.
    Late,
}

/// What an error of the SDK means here.
pub(crate) fn problem<E>(error: &SdkError<E, Response>) -> (CloudError, Sent)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let Some(service) = error.as_service_error() else {
        // Without credentials, or without a connection, nothing was sent; of the latter only the connector knows, so it counts as sent.
        let sent = if matches!(error, SdkError::ConstructionFailure(_)) { Sent::Refused } else { Sent::Perhaps };
        return (CloudError::Unreachable(shown(error)), sent);
    };
    let code = service.code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let message = service.message().unwrap_or_default();
    let words = plain(&format!("{code}: {message}"), WORDS_MAX);
    let is_throttled = code.contains("Throttl") || code.contains("RequestLimit");
    match code.as_str() {
        "ResourceNotFoundException" => (CloudError::Missing(words), Sent::Never),
        "ValidationError" if message.contains("already exists") => (CloudError::Denied(words), Sent::Known),
        "ValidationError" if message.contains("cannot be signaled") || message.contains("_COMPLETE") || message.contains("_FAILED") => {
            (CloudError::Denied(words), Sent::Late)
        }
        "ValidationError" if message.contains("does not exist") => (CloudError::Missing(words), Sent::Never),
        "ValidationError" => (CloudError::Denied(words), Sent::Never),
        _ if is_throttled => (CloudError::Unreachable(words), Sent::Refused),
        _ if (400..500).contains(&status) => (CloudError::Denied(words), Sent::Refused),
        _ => (CloudError::Unreachable(words), Sent::Perhaps),
    }
}

/// An error with all that it comes from, on one line.
fn shown(error: &(impl Error + 'static)) -> String {
    plain(&DisplayErrorContext(error).to_string(), WORDS_MAX)
}

#[cfg(test)]
#[path = "aws_tests.rs"]
mod tests;
