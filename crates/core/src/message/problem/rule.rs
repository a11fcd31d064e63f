//! What no template can say of a parameter's value: how it goes together with other values, and with the deployment.

use crate::instance_type::Architecture;
use crate::number::Number;

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Rule {
    /// More nodes on demand than there may be nodes.
    OnDemandWithinMax {
        /// `ComputeMaxNodes`.
        most: Number,
    },
    /// A price of 0 leaves nothing but nodes on demand, and fewer of them than there are to be.
    OnDemandIsAllWithoutSpot {
        /// `ComputeMaxNodes`.
        most: Number,
    },
    /// A type whose processors the nodes' program is not published for.
    NoAgent {
        /// The EC2 type.
        kind: String,
        /// Its processors.
        architecture: Architecture,
    },
}

impl Rule {
    /// What stands in the way, and what to do.
    pub(super) fn stands_and_next(&self) -> (String, String) {
        match self {
            Self::OnDemandWithinMax { most } => (
                format!("it is more than ComputeMaxNodes, which is {most}"),
                format!("ask for at most {most}, or leave it out: then all may be on demand"),
            ),
            Self::OnDemandIsAllWithoutSpot { most } => (
                format!("ComputeSpotPrice is 0, so all nodes are on demand, and ComputeMaxNodes is {most}"),
                "leave it out, or set ComputeSpotPrice to the most that you would pay for a spot node".to_owned(),
            ),
            Self::NoAgent { kind, architecture } => (
                format!("{kind} is of {architecture}, for which the nodes' program was not built here"),
                format!("ask for a type of {}, or ask the administrator", other(*architecture)),
            ),
        }
    }
}

const fn other(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "arm64, such as c7g",
        Architecture::Arm => "x86_64, such as c6i",
    }
}
