//! The strict world in memory as a stage.

use anyhow::Result;
use cf_core::settings::Settings;
use cf_core::stack::{Stack, StackId, StackStatus};
use cf_core::testing;
use cf_sim::{Bucket, StackBehaviour, World};

use crate::contract_world::{ContractWorld, Place, StackOutcome};

impl ContractWorld for World {
    async fn fresh(is_versioned: bool) -> Result<Self> {
        let world = Self::new(testing::settings());
        world.state().store.versioned = is_versioned;
        Ok(world)
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn put(&self, place: Place, key: &str, bytes: &[u8]) -> Result<()> {
        let bucket = match place {
            Place::User => Bucket::User,
            Place::Customizer => Bucket::Customizer,
            Place::System => Bucket::System,
        };
        let now = self.now();
        self.state().store.put(bucket, key, bytes, now);
        Ok(())
    }

    async fn take_away(&self, key: &str) -> Result<()> {
        self.state().store.delete(Bucket::User, key);
        Ok(())
    }

    async fn set_outcome(&self, _name: &str, outcome: StackOutcome) -> Result<()> {
        self.state().stacks.next_behaviour = match outcome {
            StackOutcome::Completes => StackBehaviour::Succeeds,
            StackOutcome::Fails => StackBehaviour::Fails,
            StackOutcome::IsProtected => StackBehaviour::Protected,
        };
        Ok(())
    }

    async fn settle(&self) -> Result<()> {
        let login = self.settings.template.metadata.login_output.clone();
        loop {
            self.wait(30);
            let now = self.now();
            if self.state().stacks.step(&login, now).is_empty() {
                return Ok(());
            }
        }
    }

    async fn plant(&self, count: usize) -> Result<()> {
        let now = self.now();
        for nth in 0..count {
            let id = StackId(format!("arn:aws:cloudformation:eu-west-2:123456789012:stack/other-{nth}/planted"));
            let (tags, parameters, outputs) = ([].into(), [].into(), [].into());
            let stack = Stack { id, status: StackStatus::CreateComplete, reason: None, tags, parameters, outputs, parent: None };
            self.state().stacks.plant(stack, StackBehaviour::Succeeds, "", now);
        }
        Ok(())
    }

    async fn mails(&self) -> Result<Vec<(String, String)>> {
        Ok(self.state().mails.iter().map(|mail| (mail.subject(), mail.body())).collect())
    }
}
