//! A user of the deployment that `cargo xtask test` has started: files dropped, answers read, and what the stacks have left.

use std::time::Duration;

use anyhow::{Context, Result};
use cf_local::deploy::{CUSTOMIZER_BUCKET, USER_BUCKET, aws};
use cf_local::emulator_client::EmulatorClient;
use cf_local::{EMULATOR_URLS, wait};
use serde_json::{Value, json};

/// Longer than any answer takes, also beside other tests.
const ANSWER_MAX: Duration = Duration::from_secs(150);

/// A user, by the name of the folder below `home/`, which is the account's on the nodes too.
pub struct User {
    pub name: String,
    pub url: String,
    aws: EmulatorClient,
}

impl User {
    /// A user whose login nodes nobody signals for but their agents.
    pub fn new(name: &str) -> Result<Self> {
        let urls =
            std::env::var(EMULATOR_URLS).context("these tests need the emulator: run them with `cargo xtask test cluster --deep`")?;
        let url = urls.split_whitespace().next().context("the address of the emulator")?.to_owned();
        let user = Self { name: name.to_owned(), aws: EmulatorClient::at(&url), url };
        user.fault(&json!({"kind": "node", "stack": format!("clusterdrop-{name}-"), "signal": "never"}))?;
        Ok(user)
    }

    /// Orders a fault of the emulator's.
    pub fn fault(&self, order: &Value) -> Result<()> {
        self.aws.post_json("/_clusterdrop/faults", order)
    }

    /// Gives the user a file in the own profile.
    pub fn give(&self, path: &str, text: &str) -> Result<()> {
        self.aws.put(CUSTOMIZER_BUCKET, &format!("customizer/{}/{path}", self.name), text)
    }

    pub fn drop_file(&self, name: &str, text: &str) -> Result<()> {
        self.aws.put(USER_BUCKET, &self.key(name), text)
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.aws.text(USER_BUCKET, &self.key(name))
    }

    /// Waits for an answer. A refusal in its place is an error.
    pub fn answer(&self, name: &str) -> Result<String> {
        wait::until(name, ANSWER_MAX, || {
            let failed = name.rsplit_once('.').map(|(cluster, _)| format!("{cluster}.cf-failed")).context("the name of an answer")?;
            if let Some(failed) = self.text(&failed)? {
                anyhow::bail!("in place of {name}: {failed}");
            }
            self.text(name)
        })
    }

    /// The status file of a cluster; null where there is none.
    pub fn status(&self, cluster: &str) -> Result<Value> {
        let text = self.text(&format!("{cluster}.cf-status"))?;
        text.map_or(Ok(Value::Null), |text| serde_json::from_str(&text).with_context(|| format!("no JSON: {text}")))
    }

    /// The files of the user's folder.
    pub fn files(&self) -> Result<Vec<String>> {
        let prefix = self.key("");
        let listed = self.asked(&["s3api", "list-objects-v2", "--bucket", USER_BUCKET, "--prefix", &prefix])?;
        let keys = listed["Contents"].as_array().into_iter().flatten().filter_map(|object| object["Key"].as_str()?.strip_prefix(&prefix));
        Ok(keys.map(str::to_owned).collect())
    }

    /// What the AWS CLI answers.
    pub fn asked(&self, words: &[&str]) -> Result<Value> {
        let told = aws(&self.url, &[words, &["--output", "json"]].concat())?;
        if told.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&told)?) }
    }

    fn key(&self, name: &str) -> String {
        format!("home/{}/{name}", self.name)
    }
}
