//! The two Auto Scaling groups of a cluster, and which compute nodes are whose. A node belongs to one group for good: Slurm chooses
//! between spot and on demand by choosing between nodes.

use cf_core::node_name::NodeName;
use serde::{Deserialize, Serialize};

/// A group of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::VariantArray, derive_more::Display)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Spot machines, up to a price.
    #[display("spot")]
    Spot,
    /// Machines on demand.
    #[display("on demand")]
    OnDemand,
}

impl Group {
    /// Both, in the order in which Slurm prefers their nodes.
    pub const ALL: [Self; 2] = [Self::Spot, Self::OnDemand];

    /// The word behind the stack's name in the group's, and the feature that a job may ask for: `--constraint=ondemand`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "ondemand",
        }
    }
}

/// How many nodes there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Of both groups together (`ComputeMaxNodes`). Only the agent keeps it; against root the groups' own maxima hold.
    pub maximum: u32,
    /// The spot group's maximum, 0 where everything is on demand.
    pub spot: u32,
    /// The on-demand group's maximum.
    pub on_demand: u32,
}

impl Sizes {
    /// The maximum of one group.
    pub fn of(self, group: Group) -> u32 {
        match group {
            Group::Spot => self.spot,
            Group::OnDemand => self.on_demand,
        }
    }

    /// The nodes of a group: spot's are `compute-1` and so on, those on demand follow.
    pub fn nodes(self, group: Group) -> impl Iterator<Item = NodeName> + Clone {
        let (first, last) = match group {
            Group::Spot => (1, self.spot),
            Group::OnDemand => (self.spot.saturating_add(1), self.spot.saturating_add(self.on_demand)),
        };
        (first..=last).map(NodeName::of_rank)
    }

    /// All compute nodes.
    pub fn all_nodes(self) -> impl Iterator<Item = NodeName> + Clone {
        Group::ALL.into_iter().flat_map(move |group| self.nodes(group))
    }

    /// Whose node it is; `None` where no group has one of this name.
    pub fn group_of(self, node: NodeName) -> Option<Group> {
        match node.rank() {
            0 => None,
            number if number <= self.spot => Some(Group::Spot),
            number => (number <= self.spot.saturating_add(self.on_demand)).then_some(Group::OnDemand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_of_the_group_that_lists_it() {
        let sizes = Sizes { maximum: 3, spot: 3, on_demand: 2 };
        let numbers = |group| sizes.nodes(group).map(NodeName::rank).collect::<Vec<_>>();
        assert_eq!((numbers(Group::Spot), numbers(Group::OnDemand)), (vec![1, 2, 3], vec![4, 5]));
        for group in Group::ALL {
            assert!(sizes.nodes(group).all(|node| sizes.group_of(node) == Some(group)));
        }
        assert_eq!((sizes.group_of(NodeName::of_rank(0)), sizes.group_of(NodeName::of_rank(6))), (None, None));
    }

    #[test]
    fn a_cluster_on_demand_alone_begins_its_names_with_one() {
        let sizes = Sizes { maximum: 2, spot: 0, on_demand: 2 };
        assert_eq!(sizes.all_nodes().map(|node| sizes.group_of(node)).collect::<Vec<_>>(), [Some(Group::OnDemand); 2]);
        assert_eq!(sizes.nodes(Group::Spot).count(), 0);
    }
}
