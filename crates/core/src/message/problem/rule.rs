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
    /// Another zone than the network's.
    OtherZone {
        /// The network's, where it is known.
        zone: Option<String>,
    },
    /// A volume, and nobody knows the network's zone.
    NoZone,
    /// A size that a kind of volume does not have.
    VolumeSize {
        /// The kind, as the parameter names it.
        kind: String,
        /// From so many GB.
        least: u32,
        /// To so many.
        most: u32,
        /// Whether the size is the default.
        is_default: bool,
    },
    /// A kept home, and no volume for the home.
    KeptHomeNeedsItsLayout,
    /// A volume for the home, which lies on the site's file system.
    HomeIsTheSites,
    /// `VolumeEncryptionPolicy=unencrypted`.
    Unencrypted,
    /// A scheduler that older templates had.
    OtherScheduler,
    /// Software that older templates brought along.
    NoSoftware,
}

/// Schedulers of older templates.
const SCHEDULERS: [&str; 5] = ["gridscheduler", "openlava", "pbspro", "torque", "-none-"];

/// Software of older templates.
const SOFTWARE: [&str; 5] = ["benchmark", "bioinformatics", "cfd", "chemistry", "development"];

impl Rule {
    /// The rule that one value breaks by itself: users know it from older templates, and cannot have it here.
    pub(crate) fn of_value(name: &str, value: &str) -> Option<Self> {
        match (name, value) {
            ("VolumeEncryptionPolicy", "unencrypted") => Some(Self::Unencrypted),
            ("SchedulerType", value) if SCHEDULERS.contains(&value) => Some(Self::OtherScheduler),
            ("PreloadSoftware", value) if SOFTWARE.contains(&value) => Some(Self::NoSoftware),
            _ => None,
        }
    }

    /// What stands in the way, and what to do.
    pub(super) fn stands_and_next(&self) -> (String, String) {
        let pair = |stands: &str, next: &str| (stands.to_owned(), next.to_owned());
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
            Self::OtherZone { zone: Some(zone) } => {
                (format!("the network of the clusters is in {zone}"), format!("leave it out, or set it to {zone}"))
            }
            Self::OtherZone { zone: None } => {
                pair("the zone of the clusters' network is the administrator's to choose", "leave it out, or ask the administrator")
            }
            Self::NoZone => pair(
                "a volume needs a zone, and the site has not named its network's",
                "leave it out, or ask the administrator to set AvailabilityZone at the deployment",
            ),
            Self::VolumeSize { kind, least, most, is_default } => {
                let default = if *is_default { " (the size is the default)" } else { "" };
                (
                    format!("a volume of {kind} has from {least} to {most} GB{default}"),
                    format!("give a whole number from {least} to {most}"),
                )
            }
            Self::KeptHomeNeedsItsLayout => pair(
                "VolumeLayout gives /home no volume",
                "set VolumeLayout to discrete.home or discrete.home-discrete.apps, or leave this line out",
            ),
            Self::HomeIsTheSites => {
                pair("homes lie on a file system of the site's, which all clusters share", "leave it out, or set it to discrete.apps")
            }
            Self::Unencrypted => pair("all volumes are encrypted here, which costs nothing", "leave it out, or set it to encrypted"),
            Self::OtherScheduler => pair(
                "Slurm is the only scheduler here",
                "leave it out, or set it to slurm: its commands are sbatch, srun, squeue and sinfo",
            ),
            Self::NoSoftware => pair(
                "no software comes with the cluster",
                "leave it out, or set it to -none-, and install what you need by a profile, apt, conda or pip",
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
