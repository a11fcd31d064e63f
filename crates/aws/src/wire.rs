//! The wire to AWS: TLS by ring, whose certificates to believe, and connections that stand before the first event comes.

use std::env;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use futures_util::future::join_all;
use rustls::CertificateError::UnknownIssuer;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Amazon Trust Services' five roots (amazontrust.com/repository), which the certificates of AWS's endpoints come from. They
/// spare a cold start the reading of the platform's 144.
const AMAZON_ROOTS: &[u8] = include_bytes!("../roots/amazon.pem");

/// Longer than this nobody waits for a connection: many times what one takes inside a Region. What does not stand by then at
/// the start of a function is given up, and made by the first call that needs it.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// One connector for all clients. The SDK's own client would build one more for each of them, only to look whether it can.
#[derive(Debug, Clone)]
pub struct Wire(Arc<Trust>);

#[derive(Debug)]
struct Trust {
    /// Trusts only Amazon's roots; `None` if `AWS_CA_BUNDLE` or `SSL_CERT_FILE` is set.
    amazon: Option<SharedHttpConnector>,
    /// Trusts the platform's roots, or those of the two variables. Built when it is first needed.
    platform: OnceLock<SharedHttpConnector>,
    /// Whether an endpoint's certificate had another issuer than Amazon: from then on the platform's roots decide.
    use_platform_roots: AtomicBool,
}

impl Wire {
    /// Where `AWS_CA_BUNDLE` or `SSL_CERT_FILE` is set, only its roots are trusted, as in every SDK.
    /// `SSL_CERT_DIR` alone adds a folder to look in where Amazon's do not do.
    pub fn from_environment() -> Self {
        let has_configured_roots = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"].iter().any(|name| env_var(name).is_some());
        let amazon = (!has_configured_roots).then(|| connector(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)));
        Self(Arc::new(Trust { amazon, platform: OnceLock::new(), use_platform_roots: AtomicBool::new(false) }))
    }

    fn connector(&self) -> (&SharedHttpConnector, bool) {
        match &self.0.amazon {
            Some(amazon) if !self.0.use_platform_roots.load(Ordering::Relaxed) => (amazon, true),
            _ => (self.0.platform.get_or_init(|| connector(platform())), false),
        }
    }

    /// Opens a connection to each of these origins, all at once, so that the first event's calls find them. A start seems to
    /// have a whole processor also at 128 MB (maxday/lambda-perf sees Python start in 84 ms there), an event a fourteenth of
    /// one, and a handshake is mostly computing. Nothing here may fail or hold up the start: what goes wrong, goes wrong again
    /// where it is reported.
    pub async fn open(&self, origins: Vec<String>) {
        // Without TLS a connection costs nothing worth having beforehand.
        let calls = origins.into_iter().filter(|origin| origin.starts_with("https:")).filter_map(|origin| {
            // Unsigned, so it is nobody's call: it is refused, and leaves the connection.
            let mut request = HttpRequest::new(SdkBody::empty());
            request.set_method("HEAD").and(request.set_uri(format!("{}/", origin.trim_end_matches('/')))).ok()?;
            Some(self.call(request))
        });
        let all = join_all(calls);
        if tokio::time::timeout(CONNECT_TIME_MAX, all).await.is_err() {
            tracing::info!("AWS could not be reached at the start; the first call tries again");
        }
    }
}

impl HttpClient for Wire {
    /// What a client says of timeouts is not asked for: for all of them stands the one above.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (connector, is_amazon) = self.connector();
        let again = if is_amazon { request.try_clone() } else { None };
        let call = connector.call(request);
        let Some(again) = again else { return call };
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let result = call.await;
            // Roots change. Should AWS take others, or a proxy stand in between, the platform is asked. A handshake that failed
            // has sent nothing of the request, so it goes out now for the first time: that is no attempt of the SDK's, which
            // for a mail makes only one.
            match &result {
                Err(error) if is_unknown_issuer(error) => {
                    if !wire.0.use_platform_roots.swap(true, Ordering::Relaxed) {
                        tracing::warn!("a certificate is not from Amazon's roots; the platform's roots decide from now on");
                    }
                    wire.connector().0.call(again).await
                }
                _ => result,
            }
        })
    }
}

fn env_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn platform() -> TrustStore {
    // `SSL_CERT_FILE` and `SSL_CERT_DIR` are read where the platform's roots are. A bundle that cannot be read, or is broken,
    // believes nobody, and each call says so; the connector would panic on it.
    match env_var("AWS_CA_BUNDLE").map(|path| fs::read(path).ok().filter(|bundle| is_sound(bundle))) {
        Some(Some(bundle)) => TrustStore::empty().with_pem_certificate(bundle),
        Some(None) => {
            tracing::error!("AWS_CA_BUNDLE names no file of certificates that can be read: nobody is believed");
            TrustStore::empty()
        }
        None => TrustStore::default(),
    }
}

/// Whether these are certificates, each of which can stand as a root.
fn is_sound(bundle: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(bundle).all(|der| der.is_ok_and(|der| RootCertStore::empty().add(der).is_ok()))
}

fn connector(trust: TrustStore) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIME_MAX).build();
    let builder = Connector::builder().connector_settings(settings).tls_provider(Provider::Rustls(CryptoMode::Ring));
    // `build` of the context cannot fail for a trust store; without a context the platform's roots are meant.
    let builder = match TlsContext::builder().with_trust_store(trust).build() {
        Ok(context) => builder.tls_context(context),
        Err(_) => builder,
    };
    SharedHttpConnector::new(builder.build())
}

/// Whether a handshake ended because no known root stands behind the certificate. An `io::Error` hides what it carries from
/// `source`, so it is looked into.
fn is_unknown_issuer(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(outside) => outside.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    })
    .any(|error| matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(UnknownIssuer))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// The fingerprints that amazontrust.com/repository gives.
    const PUBLISHED: [&str; 5] = [
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    #[test]
    fn the_roots_are_those_that_amazon_publishes() {
        let roots: Vec<_> = CertificateDer::pem_slice_iter(AMAZON_ROOTS).map(Result::unwrap).collect();
        let prints: Vec<String> = roots.iter().map(|der| Sha256::digest(der).iter().map(|b| format!("{b:02x}")).collect()).collect();
        assert_eq!(prints, PUBLISHED);
    }

    #[test]
    fn a_broken_bundle_is_known_before_anything_is_built_of_it() {
        assert!(is_sound(AMAZON_ROOTS) && is_sound(b""));
        let broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        assert!(!is_sound(broken) && !is_sound(&[AMAZON_ROOTS, broken].concat()));
    }

    #[test]
    fn a_refused_certificate_is_known_however_deep_it_lies() {
        let refused = rustls::Error::InvalidCertificate(UnknownIssuer);
        let deep = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused));
        assert!(is_unknown_issuer(&deep));
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(!is_unknown_issuer(&io::Error::other(expired)));
        assert!(!is_unknown_issuer(&io::Error::from(io::ErrorKind::ConnectionRefused)));
    }
}
