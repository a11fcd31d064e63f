//! A function as Lambda runs it: its own binary, the credentials of its own role, the settings of template.yaml, and
//! Lambda's Runtime API, from which it takes its events. LocalEmu runs functions in Docker only, hence this.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cf_core::settings;
use cf_local::deploy::PREFIX;
use cf_local::emulator::REGION;
use cf_local::{children, end_of_log, localemu, root};
use cf_runtime_api::{Mark, RuntimeApi};
use serde_json::Value;

use crate::live::{Keys, Live};

/// A running function.
#[derive(Debug)]
pub struct Function {
    child: Child,
    log: PathBuf,
    api: RuntimeApi,
}

/// Longer than any of the functions may take.
const INVOCATION: Duration = Duration::from_mins(2);

impl Function {
    /// Starts a function with the keys of its role.
    pub async fn start(live: &Live, function: settings::Function, keys: &Keys) -> Result<Self> {
        let api = RuntimeApi::start(INVOCATION).await?;
        let log = localemu::folder(live.port).join(format!("{}-{}.log", function.name(), api.port));
        let child = children::spawn(&mut command(live, function, keys, &api, &log)?)?;
        Ok(Self { child, log, api })
    }

    /// Hands it an event, and waits for the end of that invocation.
    pub async fn invoke(&mut self, event: &Value) -> Result<Value> {
        self.api.send(event.to_string()).await?;
        loop {
            match self.api.mark(INVOCATION).await.with_context(|| end_of_log(&self.log))? {
                Mark::Ended(_, Ok(response)) => return Ok(serde_json::from_str(&response)?),
                Mark::Ended(_, Err(error)) => bail!("the function failed: {error}\n{}", end_of_log(&self.log)),
                Mark::Asked(_) | Mark::Sent(_) => {}
            }
        }
    }

    /// Where a custom resource's answer is to be sent.
    pub fn answer_url(&self) -> String {
        self.api.answer_url()
    }

    /// The answer that it has sent for a custom resource.
    pub fn answer(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.api.answer()?)?)
    }

    /// What it has logged.
    pub fn logged(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

/// The binary that `sam build` made, with nothing in its environment but what Lambda and template.yaml put there.
fn command(live: &Live, function: settings::Function, keys: &Keys, api: &RuntimeApi, log: &Path) -> Result<Command> {
    let binary = root().join("target").join("local-sam").join(function.resource()).join("bootstrap");
    let out = File::create(log)?;
    let mut command = Command::new(&binary);
    command
        .env_clear()
        .envs(&live.settings)
        .envs(api.environment(&format!("{PREFIX}-{}", function.name()), REGION))
        .env("AWS_ACCESS_KEY_ID", &keys.id)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
        .env("AWS_SESSION_TOKEN", keys.token.as_deref().context("a function has the keys of a session")?)
        .env("AWS_ENDPOINT_URL", live.url())
        .env("SSL_CERT_FILE", localemu::certificate(live.port))
        .stdout(out.try_clone()?)
        .stderr(out);
    Ok(command)
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::forget(self.child.id());
    }
}
