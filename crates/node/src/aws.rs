//! The SDK on a node: its configuration and its HTTP client. What is asked of AWS is in [`crate::store::s3`] and [`crate::cloud::aws`].

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// A connection inside a Region takes milliseconds; a node that boots may wait for its network's first answers.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// One attempt of a call, up to the first byte of its answer's body. A write has more, by its size ([`crate::store::s3`]).
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(8);

/// A call with all its attempts. A boot without network waits so long for S3, once.
const CALL_TIME_MAX: Duration = Duration::from_secs(20);

/// The most attempts of a call.
pub const ATTEMPTS_MAX: u32 = 3;

/// An address that is none of a proxy.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is not the address of a proxy, such as http://10.0.0.5:3128: {reason}")]
pub struct ProxyError {
    address: String,
    reason: String,
}

/// Connections by rustls with ring, believing the platform's roots. One for all clients that go the same way.
#[derive(Debug, Clone)]
pub struct Wire(SharedHttpConnector);

impl Wire {
    /// Straight to AWS.
    pub fn direct() -> Self {
        Self::by(ProxyConfig::disabled())
    }

    /// HTTPS through this proxy, `http://host:port`, by CONNECT: the proxy sees the endpoint's name and nothing else. Plain HTTP
    /// still goes straight: instance metadata answer on the node only.
    pub fn through(address: &str) -> Result<Self, ProxyError> {
        let proxy = ProxyConfig::https(address.to_owned());
        proxy.map(Self::by).map_err(|error| ProxyError { address: address.to_owned(), reason: error.to_string() })
    }

    fn by(proxy: ProxyConfig) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIME_MAX).build();
        let builder = Connector::builder().connector_settings(settings).proxy_config(proxy);
        Self(SharedHttpConnector::new(builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()))
    }
}

impl HttpClient for Wire {
    /// The connector's own timeouts hold for all clients.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}

/// The configuration of all clients: credentials of the node's role (or those of the environment, in tests), a Region, time limits.
/// `AWS_ENDPOINT_URL` and `AWS_EC2_METADATA_SERVICE_ENDPOINT` lead to an emulator.
pub async fn configuration(region: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIME_MAX).operation_timeout(CALL_TIME_MAX);
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(Wire::direct())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .load()
        .await
}
