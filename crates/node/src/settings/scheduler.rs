//! What the template says of Slurm and of the groups of machines.

use cf_slurm::group::{Group, Sizes};
use cf_slurm::instance_type::InstanceType;
use serde::Deserialize;

/// The part `scheduler` of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerSettings {
    /// The EC2 types that a spot machine may have, with commas between them, the first preferred.
    pub spot_types: String,
    /// The same of machines on demand.
    pub on_demand_types: String,
    /// The spot group's maximum, 0 where everything is on demand.
    pub spot_max: u32,
    /// The on-demand group's maximum.
    pub on_demand_max: u32,
    /// How many nodes start with the cluster.
    pub initial_nodes: u32,
    /// `AutoscalingPolicy=disabled`: all nodes run for good.
    pub fixed: bool,
    /// The group that this machine is of; `None` on the login node.
    #[serde(default)]
    pub group: Option<Group>,
    /// How compute nodes reach the Internet.
    pub outbound: Outbound,
}

/// How compute nodes reach the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outbound {
    /// By HTTP and HTTPS through the login node's proxy.
    Proxy,
    /// The deployment's network has a way out.
    Direct,
}

impl SchedulerSettings {
    /// The sizes of the groups; `nodes_max` is that of both together.
    pub fn sizes(&self, nodes_max: u32) -> Sizes {
        Sizes { maximum: nodes_max, spot: self.spot_max, on_demand: self.on_demand_max }
    }

    /// The types of a group, the first preferred.
    ///
    /// # Errors
    /// The name that is no type of the table.
    pub fn types(&self, group: Group) -> Result<Vec<InstanceType>, String> {
        let names = match group {
            Group::Spot => &self.spot_types,
            Group::OnDemand => &self.on_demand_types,
        };
        names
            .split(',')
            .map(|name| InstanceType::find(name).ok_or_else(|| format!("{name:?} is no EC2 type of the agent's table")))
            .collect()
    }

    /// Refuses what cannot be a cluster.
    pub(super) fn check(&self, nodes_max: u32) -> Result<(), String> {
        for group in Group::ALL {
            self.types(group)?;
        }
        let sizes = self.sizes(nodes_max);
        match Group::ALL.iter().map(|group| sizes.of(*group)).try_fold(0_u32, u32::checked_add) {
            Some(sum) if sum >= nodes_max => Ok(()),
            _ => Err(format!("the groups hold {} and {} nodes, and {nodes_max} are to be had", self.spot_max, self.on_demand_max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SchedulerSettings {
        let text = r#"{"spot_types": "c6i.large,c5.large", "on_demand_types": "c6i.large", "spot_max": 8, "on_demand_max": 4,
            "initial_nodes": 1, "fixed": false, "group": "on-demand", "outbound": "proxy"}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_type_is_the_preferred_one() {
        let types = settings().types(Group::Spot).unwrap();
        assert_eq!(types.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["c6i.large", "c5.large"]);
        assert_eq!((settings().group, settings().check(8)), (Some(Group::OnDemand), Ok(())));
    }

    #[test]
    fn unknown_types_and_too_small_groups_are_refused() {
        let unknown = SchedulerSettings { on_demand_types: "c6i.large,".to_owned(), ..settings() };
        assert_eq!(unknown.check(8).unwrap_err(), "\"\" is no EC2 type of the agent's table");
        assert_eq!(settings().check(12), Ok(()));
        assert!(settings().check(13).unwrap_err().contains("hold 8 and 4 nodes, and 13"));
    }
}
