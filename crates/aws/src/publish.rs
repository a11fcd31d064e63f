//! The custom resource: at deployment, the cluster template that this function carries is put into the system bucket; at
//! the deployment's removal, living clusters stand in its way.

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use cf_core::fault::{Call, Fault, Kind};
use cf_core::observe::{self, LivingStack};
use cf_core::template::DEFAULT_TEXT;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::Aws;
use crate::fault::fault;

/// The type of the one resource that is cf-watch's.
const OWN_TYPE: &str = "Custom::ClusterTemplate";

/// So many clusters are named in a refusal: CloudFormation cuts long reasons.
const NAMED_MAX: usize = 10;

impl Aws {
    /// Answers CloudFormation's request, also when it cannot be fulfilled: a request without an answer holds the deployment
    /// up for an hour.
    pub(crate) async fn publish(&self, request: &Value, now: Timestamp) -> Result<(), Fault> {
        let done = match request["RequestType"].as_str() {
            // From a failure queue: the function that it was for has failed three times, and CloudFormation still waits.
            kind if request["ResourceType"].as_str().is_some_and(|own| own != OWN_TYPE) => failed_elsewhere(request, kind),
            // A look that failed is no answer: Lambda tries twice more, within the time that CloudFormation gives.
            Some("Delete") => match observe::living(self, &self.settings).await {
                Ok(living) => refuse_while_clusters_live(&living),
                Err(fault) if fault.kind == Kind::Retry => return Err(fault),
                Err(fault) => Err(fault.to_string()),
            },
            _ => match self.publish_template(&request["ResourceProperties"]).await {
                Ok(()) => match self.open_first_hour(request, now).await {
                    Err(fault) if fault.kind != Kind::Rejected => return Err(fault),
                    done => done.map_err(|fault| fault.to_string()),
                },
                refused => refused,
            },
        };
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let id = request["PhysicalResourceId"].as_str().map_or_else(|| format!("{}-template", self.settings.prefix), str::to_owned);
        let answer = json!({
            "Status": if done.is_ok() { "SUCCESS" } else { "FAILED" },
            "Reason": done.err().unwrap_or_default(),
            "PhysicalResourceId": id,
            "StackId": text("StackId"),
            "RequestId": text("RequestId"),
            "LogicalResourceId": text("LogicalResourceId"),
            "Data": {"Key": self.settings.template.key()},
        });
        respond(text("ResponseURL"), &answer).await
    }

    async fn publish_template(&self, properties: &Value) -> Result<(), String> {
        let digest = properties["Digest"].as_str().unwrap_or_default();
        if digest != self.settings.template.digest {
            return Err(format!(
                "template.yaml names the template {digest}, and the function carries {}: build anew, then deploy",
                self.settings.template.digest
            ));
        }
        // Our own stack's events would reach cf-watch, and its name the rights over clusters.
        if self.settings.deployment.starts_with(&format!("{}-", self.settings.prefix)) {
            return Err(format!(
                "the deployment's stack may not be called {}: names that begin with {}- are for clusters",
                self.settings.deployment, self.settings.prefix
            ));
        }
        let request = self.s3.put_object().bucket(&self.settings.system_bucket).key(self.settings.template.key());
        let request = request.content_type("application/yaml").expected_bucket_owner(&self.account);
        request.body(ByteStream::from_static(DEFAULT_TEXT.as_bytes())).send().await.map(drop).map_err(|e| fault(&e).to_string())
    }
}

/// The answer in place of a function that could not give one. None of them removes anything, so a removal is done.
fn failed_elsewhere(request: &Value, kind: Option<&str>) -> Result<(), String> {
    let name = request["LogicalResourceId"].as_str().unwrap_or_default();
    if kind == Some("Delete") { Ok(()) } else { Err(format!("the function behind {name} failed three times; its log shows why")) }
}

/// The deployment may go only when nobody needs it any more. (The published templates stay in any case.)
fn refuse_while_clusters_live(living: &[LivingStack]) -> Result<(), String> {
    if living.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = living.iter().map(|one| one.cluster.to_string()).take(NAMED_MAX).collect();
    let more = if living.len() > named.len() { ", …" } else { "" };
    let (count, named) = (living.len(), named.join(", "));
    Err(format!(
        "clusters that live: {count} ({named}{more}). Delete them first, by .cf-delete or their stacks by hand; then delete the deployment again"
    ))
}

/// CloudFormation's bucket answers in a fraction of this.
const RESPOND_SECONDS_MAX: u64 = 10;

/// PUT to the address that CloudFormation signed for us; its content type must be empty.
async fn respond(url: &str, answer: &Value) -> Result<(), Fault> {
    let lost = |why: String| Fault::new(Kind::Retry, Call::Respond, why);
    let mut request = HttpRequest::new(SdkBody::from(answer.to_string()));
    request.set_method("PUT").map_err(|e| lost(e.to_string()))?;
    request.set_uri(url.to_owned()).map_err(|e| lost(e.to_string()))?;
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let call = Connector::builder().tls_provider(provider).build().call(request);
    let answered = tokio::time::timeout(std::time::Duration::from_secs(RESPOND_SECONDS_MAX), call).await;
    let response = answered.map_err(|_| lost("no answer in time".into()))?.map_err(|e| lost(e.to_string()))?;
    if response.status().is_success() { Ok(()) } else { Err(lost(format!("HTTP {}", response.status().as_u16()))) }
}
