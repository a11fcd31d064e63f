//! A user, and what can be seen of her files and her cluster.

use anyhow::{Context, Result, bail};
use cf_local::deploy::{self, USER_BUCKET};
use cf_local::emulator_client::EmulatorClient;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::until;
use crate::chore::{headline, show};

const HOME: &str = "home/alice";

/// Alice, who has one cluster: mycluster.
pub struct Alice {
    pub aws: EmulatorClient,
    pub url: String,
}

impl Alice {
    /// A user of the local AWS at this address.
    pub fn at(url: &str) -> Self {
        Self { aws: EmulatorClient::at(url), url: url.to_owned() }
    }

    /// Lets the parts of her cluster take their time, and its login node signal by itself: no pretence.
    pub fn expects_a_real_node(&self, seconds_each: f64) -> Result<()> {
        let stack = "-alice-mycluster-";
        self.aws.post_json("/_clusterdrop/faults", &json!({"kind": "pace", "stack": stack, "each": seconds_each}))?;
        self.aws.post_json("/_clusterdrop/faults", &json!({"kind": "node", "stack": stack, "signal": "never"}))
    }

    /// A progress bar out of the status file: what a user sees who can see nothing else. `beside` looks after what happens beside it.
    pub fn follow(&self, mut beside: impl FnMut() -> Result<()>) -> Result<()> {
        let bar = ProgressBar::new(1);
        bar.set_style(ProgressStyle::with_template("    {bar:30.cyan/dim} {pos:>2}/{len} {msg}")?);
        let mut last = String::new();
        until("the cluster", || {
            beside()?;
            let Some(status) = self.status()? else { return Ok(None) };
            let state = text(&status["state"]);
            if let (Some(done), Some(total)) = (status["progress"]["done"].as_u64(), status["progress"]["total"].as_u64()) {
                bar.set_length(total);
                bar.set_position(done);
            }
            if state == "ready" {
                bar.set_position(bar.length().unwrap_or(1));
            }
            let message = text(&status["message"]);
            if message != last {
                message.clone_into(&mut last);
                bar.set_message(last.clone());
                if bar.is_hidden() {
                    println!("    {message}");
                }
            }
            bar.tick();
            if state == "failed" {
                bail!("the cluster failed: {}", self.text("mycluster.cf-failed")?.unwrap_or_else(|| message.to_owned()));
            }
            Ok((state == "ready").then_some(()))
        })?;
        bar.finish();
        Ok(())
    }

    /// Drops the file that ends her cluster, and shows what comes of it. `meanwhile` is what the deletion does beside it.
    pub fn deletes(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        headline("Alice drops another file: mycluster.cf-delete (its content is never read)");
        self.drops("mycluster.cf-delete", "")?;
        meanwhile()?;
        let receipt = self.answer("mycluster.cf-deleted")?;
        println!("  Her receipt, mycluster.cf-deleted, once it is gone and not before:");
        show(&receipt);
        until("the end of the work", || Ok(self.text("mycluster.cf-delete")?.is_none().then_some(())))?;
        headline("What is left in her folder, and in the account");
        let listed = self.asked(&["s3api", "list-objects-v2", "--bucket", USER_BUCKET, "--prefix", &format!("{HOME}/mycluster")])?;
        for object in listed["Contents"].as_array().into_iter().flatten() {
            show(text(&object["Key"]));
        }
        let left = self.stacks()?.len();
        show(&format!("stacks of alice's mycluster: {left}"));
        if left > 0 {
            bail!("her receipt is there, and so is her stack");
        }
        Ok(())
    }

    pub fn drops(&self, name: &str, content: &str) -> Result<()> {
        self.aws.put(USER_BUCKET, &format!("{HOME}/{name}"), content)
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.aws.text(USER_BUCKET, &format!("{HOME}/{name}"))
    }

    pub fn answer(&self, name: &str) -> Result<String> {
        until(name, || self.text(name))
    }

    /// Her status file, read.
    pub fn status(&self) -> Result<Option<Value>> {
        let Some(status) = self.text("mycluster.cf-status")? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&status).with_context(|| format!("mycluster.cf-status is no JSON: {status}"))?))
    }

    /// What the AWS CLI answers.
    pub fn asked(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&deploy::aws(&self.url, &[args, &["--output", "json"]].concat())?)?)
    }

    /// The living stacks of her cluster.
    pub fn stacks(&self) -> Result<Vec<Value>> {
        let all = self.asked(&["cloudformation", "describe-stacks"])?;
        let is_hers = |stack: &&Value| {
            let has =
                |key: &str, value: &str| stack["Tags"].as_array().is_some_and(|tags| tags.contains(&json!({"Key": key, "Value": value})));
            has("USER", "alice") && has("clusterdrop:cluster", "mycluster") && stack["StackStatus"] != "DELETE_COMPLETE"
        };
        Ok(all["Stacks"].as_array().into_iter().flatten().filter(is_hers).cloned().collect())
    }

    /// The id of what her stack made for a resource; `None` where it is not there yet.
    pub fn resource(&self, logical: &str) -> Result<Option<String>> {
        let stacks = self.stacks()?;
        let Some(stack) = stacks.first() else { return Ok(None) };
        let resources = self.asked(&["cloudformation", "describe-stack-resources", "--stack-name", text(&stack["StackId"])])?;
        let mut resources = resources["StackResources"].as_array().into_iter().flatten();
        let found = resources.find(|resource| text(&resource["LogicalResourceId"]) == logical);
        Ok(found.map(|resource| text(&resource["PhysicalResourceId"]).to_owned()).filter(|id| !id.is_empty()))
    }

    /// The mail about her cluster.
    pub fn mail(&self) -> Result<Option<Value>> {
        let all = self.aws.get_json("/_ministack/ses/messages")?;
        let mut mails =
            all["messages"].as_object().into_iter().flat_map(|accounts| accounts.values()).filter_map(Value::as_array).flatten();
        Ok(mails.find(|mail| text(&mail["Subject"]).contains("alice/mycluster ")).cloned())
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
