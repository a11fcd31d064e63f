//! The real adapters and the emulator as a stage.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cf_aws::Aws;
use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::observe::{Answers, Query};
use cf_core::request::ETag;
use cf_core::settings::{Rights, Settings};
use serde_json::json;
use tokio::sync::Mutex;

use crate::bare::{self, Account, Way};
use crate::stage::{Destiny, Place, Stage};

/// An account of its own, and the adapters in it.
pub struct Emulated {
    account: Account,
    aws: Aws,
    to_protect: Mutex<Option<String>>,
}

impl<Q: Query> Answers<Q> for Emulated
where
    Aws: Answers<Q>,
{
    async fn ask(&self, query: Q) -> Result<Q::Answer, Fault> {
        self.aws.ask(query).await
    }
}

impl Execute for Emulated {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        self.aws.execute(effect).await
    }
}

const SETTLE_SECONDS_MAX: u64 = 60;

impl Stage for Emulated {
    async fn fresh(is_versioned: bool) -> Result<Self> {
        let account = Account::new(bare::emulator(0)?, Way::plain(), is_versioned).await?;
        let [aws] = account.aws([Rights::WATCH], &account.way).await;
        Ok(Self { account, aws, to_protect: Mutex::new(None) })
    }

    fn settings(&self) -> &Settings {
        &self.account.settings
    }

    async fn put(&self, place: Place, key: &str, bytes: &[u8]) -> Result<()> {
        let bucket = match place {
            Place::User => &self.settings().user_bucket,
            Place::Customizer => &self.settings().customizer_bucket,
            Place::System => &self.settings().system_bucket,
        };
        self.account.put(bucket, key, bytes).await
    }

    async fn take_away(&self, key: &str) -> Result<()> {
        self.account.s3.delete_object().bucket(&self.settings().user_bucket).key(key).send().await?;
        Ok(())
    }

    async fn destine(&self, name: &str, destiny: Destiny) -> Result<()> {
        match destiny {
            Destiny::Completes => {}
            Destiny::Fails => {
                let order = json!({"kind": "resource", "stack": name, "resource": "LoginNode", "reason": "no capacity"});
                ureq::post(format!("{}/_clusterdrop/faults", self.account.url)).send_json(order)?;
            }
            Destiny::IsProtected => *self.to_protect.lock().await = Some(name.to_owned()),
        }
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(SETTLE_SECONDS_MAX);
        while self.account.stacks().await?.iter().any(|(_, status)| status.ends_with("_IN_PROGRESS")) {
            ensure!(Instant::now() < until, "a stack was still in motion after {SETTLE_SECONDS_MAX} s");
            // Waiting for a state, with a bound.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if let Some(name) = self.to_protect.lock().await.take() {
            let protect = self.account.cloudformation.update_termination_protection().stack_name(name);
            protect.enable_termination_protection(true).send().await?;
        }
        Ok(())
    }

    async fn plant(&self, count: usize) -> Result<()> {
        let template = r#"{"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}"#;
        for nth in 0..count {
            self.account.cloudformation.create_stack().stack_name(format!("other-{nth}")).template_body(template).send().await?;
        }
        Ok(())
    }

    async fn mails(&self) -> Result<Vec<(String, String)>> {
        self.account.mails()
    }
}
