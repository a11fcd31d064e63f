//! The real adapters and the emulator as a stage.

use anyhow::Result;
use cf_aws::Aws;
use cf_core::effect::Effect;
use cf_core::effect::Execute;
use cf_core::fault::Fault;
use cf_core::observe::{Query, RunQuery};
use cf_core::request::ETag;
use cf_core::settings::{Function, Settings};
use serde_json::json;
use tokio::sync::Mutex;

use crate::bare::{self, Account, Way};
use crate::contract_world::{ContractWorld, Place, StackOutcome};

/// An account of its own, and the adapters in it.
pub struct Emulated {
    account: Account,
    aws: Aws,
    to_protect: Mutex<Option<String>>,
}

impl<Q: Query> RunQuery<Q> for Emulated
where
    Aws: RunQuery<Q>,
{
    async fn run_query(&self, query: Q) -> Result<Q::Output, Fault> {
        self.aws.run_query(query).await
    }
}

impl Execute for Emulated {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        self.aws.execute(effect).await
    }
}

impl ContractWorld for Emulated {
    async fn fresh(is_versioned: bool) -> Result<Self> {
        let account = Account::new(bare::emulator(0)?, Way::plain(), is_versioned).await?;
        let [aws] = account.aws([Function::Watch], &account.way).await;
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

    async fn set_outcome(&self, name: &str, destiny: StackOutcome) -> Result<()> {
        match destiny {
            StackOutcome::Completes => {}
            StackOutcome::Fails => {
                let order = json!({"kind": "resource", "stack": name, "resource": "LoginNode", "reason": "no capacity"});
                ureq::post(format!("{}/_clusterdrop/faults", self.account.url)).send_json(order)?;
            }
            StackOutcome::IsProtected => *self.to_protect.lock().await = Some(name.to_owned()),
        }
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        self.account.settled().await?;
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
