//! The types of nodes as people see them, in a Region that has the founding ones. What other Regions have is judged in the
//! strict world (`crates/sim/tests/acceptance/regions.rs`): the emulator knows no types.

use anyhow::{Context, Result};
use cf_core::message::Message;
use cf_e2e::messages;

use super::common::{EXAMPLE, stage};

#[tokio::test]
async fn the_types_that_were_taken_stand_in_the_status_and_in_the_receipt() -> Result<()> {
    let s = stage("types").await?;
    let size = r#"{"MasterInstanceType": "small-t2.large", "ComputeInstanceType": "memory-4C-30.5GB.small-r4.xlarge"}"#;
    for (name, text, compute, login) in
        [("plain", "{}", "c4.large", "c4.large"), ("founding", EXAMPLE, "r4.large", "r4.large"), ("size", size, "r4.xlarge", "t2.large")]
    {
        s.drop(&format!("{name}.cf-create"), text).await?;
        s.answer(&format!("{name}.cf-created")).await?;
        let status = s.deployment.status(&s.key(&format!("{name}.cf-status"))).await?.context("a status file")?;
        assert_eq!((status.types["compute"].as_str(), status.types["login"].as_str()), (compute, login), "{name}");
        s.drop(&format!("{name}.cf-delete"), "").await?;
        let receipt = s.answer(&format!("{name}.cf-deleted")).await?;
        let (cluster, stack) = (messages::name(name), messages::stack_name("types", name));
        let deleted = |at| Message::Deleted { cluster: cluster.clone(), at, stack: stack.clone(), types: status.types.clone() };
        assert!(messages::is_at_some_time(&receipt, deleted), "{receipt}");
    }
    s.rest().await
}
