//! The local AWS asked by plain HTTP: as much of S3 as the demo needs, and what the emulator tells of itself. It judges no
//! signature, so none is made.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::emulator::REGION;

/// The emulator at an address.
#[derive(Debug, Clone)]
pub struct EmulatorClient {
    url: String,
}

impl EmulatorClient {
    /// At this address.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// Puts an object.
    pub fn put(&self, bucket: &str, key: &str, text: &str) -> Result<()> {
        let request = ureq::put(format!("{}/{bucket}/{key}", self.url)).header("Authorization", authorization());
        request.send(text).with_context(|| format!("s3://{bucket}/{key} could not be put"))?;
        Ok(())
    }

    /// The text of an object; `None` where there is none.
    pub fn text(&self, bucket: &str, key: &str) -> Result<Option<String>> {
        match ureq::get(format!("{}/{bucket}/{key}", self.url)).header("Authorization", authorization()).call() {
            Ok(mut got) => Ok(Some(got.body_mut().read_to_string()?)),
            Err(ureq::Error::StatusCode(404)) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("s3://{bucket}/{key} could not be read")),
        }
    }

    /// What the emulator tells at a path of its own.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        Ok(ureq::get(format!("{}{path}", self.url)).call()?.body_mut().read_json()?)
    }

    /// Orders something of the emulator at a path of its own.
    pub fn post_json(&self, path: &str, order: &Value) -> Result<()> {
        ureq::post(format!("{}{path}", self.url)).send_json(order)?;
        Ok(())
    }
}

/// By the header's form the emulator knows account, Region and service.
fn authorization() -> String {
    format!("AWS4-HMAC-SHA256 Credential=test/20261121/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0")
}
