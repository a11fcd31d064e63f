//! Instances as the emulator lists them (`tools/emulator/machines.py`).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use cf_local::emulator_client::EmulatorClient;
use serde::Deserialize;

/// An instance of EC2.
#[derive(Debug, Clone, Deserialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// EC2's word: `running`, `shutting-down`, `terminated`, `stopped` and others.
    pub state: String,
    /// How often RebootInstances was called for it.
    pub reboots: u64,
    /// Its address in its subnet.
    pub private_address: Ipv4Addr,
    /// Empty where it has none.
    pub public_address: String,
    /// As text.
    pub user_data: String,
    /// Also those that AWS gives it.
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// All of a user's that the emulator knows, also those that have ended.
    pub fn all_of(user: &str, aws: &EmulatorClient) -> Result<Vec<Self>> {
        let told = aws.get_json(&format!("/_clusterdrop/machines?user={user}")).context("the emulator does not list its instances")?;
        serde_json::from_value(told["machines"].clone()).context("the emulator lists its instances in another form")
    }

    /// Whether it is on.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }

    /// Whether it will never run again.
    pub fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "shutting-down" | "terminated")
    }

    /// What tells one life of a cluster from all others: the end of its stack's id, as its user data have it.
    pub fn stack(&self) -> Option<&str> {
        self.user_data.split_once("stack='")?.1.split_once('\'')?.0.rsplit('/').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_cluster_is_known_by_its_stacks_id() {
        let text = r#"{"id": "i-1", "state": "shutting-down", "reboots": 0, "private_address": "10.75.0.4", "public_address": "",
            "user_data": "", "tags": {"USER": "alice"}}"#;
        let mut instance: Instance = serde_json::from_str(text).expect("an instance");
        assert!(instance.stack().is_none() && !instance.runs() && instance.is_gone());
        instance.user_data = "#!/bin/bash\nsuffix='amazonaws.com' stack='arn:aws:cloudformation:r:1:stack/s/2c-1'\n".to_owned();
        assert_eq!(instance.stack(), Some("2c-1"));
    }
}
