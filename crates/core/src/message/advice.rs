//! What people can do about an error of AWS.

use std::fmt;

/// What the reader is to do. Zones and numbers are AWS's own, taken from its words.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Advice {
    /// Scripts of the user's own failed.
    CheckScripts,
    /// No machine is free now.
    TryLater {
        /// Zones where AWS has it, if it names any.
        zones: Vec<String>,
    },
    /// The zone never has the type.
    AnotherType {
        /// Zones where AWS has it, if it names any.
        zones: Vec<String>,
    },
    /// No type has this name.
    UnknownType,
    /// A disk that the user sets must be larger.
    LargerDisk {
        /// The parameter that sets it.
        parameter: &'static str,
        /// In gigabytes.
        least: String,
    },
    /// A disk that only the administrator sets must be larger.
    LargerDiskOfSite {
        /// In gigabytes.
        least: String,
    },
    /// The subnet is full.
    NoAddresses,
    /// The quota of spot machines is used up.
    SpotQuota {
        /// Whether the user may ask for on-demand nodes instead.
        may_ask_on_demand: bool,
    },
    /// The price offered is too low.
    HigherPrice {
        /// What AWS asks for, where it says so and the user may set that.
        least: Option<String>,
    },
    /// The account may have no machine of this kind.
    NoMachinesOfKind,
    /// The account may have no more machines.
    FewerNodes,
    /// A service-linked role is missing.
    ServiceRole,
    /// The image is missing.
    Image,
    /// A hook of the organisation forbids it.
    Hook,
    /// The disks' key cannot be used.
    Key,
    /// A right is missing.
    Right,
    /// The role is too new.
    RoleTooNew,
    /// AWS verifies the account.
    Verification,
    /// Another quota is used up.
    Quota,
    /// Too many calls at once.
    Throttled,
    /// A fault of AWS's own.
    Internal,
    /// The name is taken.
    Exists,
    /// Nothing is known about it.
    TellAdministrator,
    /// The same; the administrator has a mail about it already.
    AdministratorKnows,
}

impl Advice {
    /// Whether it is to try again: said of what can pass by itself, and of nothing else.
    pub const fn is_to_wait(&self) -> bool {
        matches!(self, Self::TryLater { .. } | Self::RoleTooNew | Self::Verification | Self::Throttled | Self::Internal)
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TryLater { zones } => {
                f.write_str("AWS has no such machine free now: try again later, or choose another instance type")?;
                return elsewhere(f, zones, "AWS has it in");
            }
            Self::AnotherType { zones } => {
                f.write_str("choose another instance type: AWS never has this one in this zone")?;
                return elsewhere(f, zones, "it is in");
            }
            Self::LargerDisk { parameter, least } => {
                return write!(f, "set {parameter} to {least} or more, and upload the file again: the machine image needs that");
            }
            Self::LargerDiskOfSite { least } => {
                return write!(f, "tell the administrator: this disk must have {least} GB or more, because the machine image needs that");
            }
            Self::SpotQuota { may_ask_on_demand } => {
                let instead = if *may_ask_on_demand { "ask for on-demand nodes (ComputeSpotPrice 0), or " } else { "" };
                return write!(f, "{instead}ask the administrator: the account's quota of spot machines is used up");
            }
            Self::HigherPrice { least: Some(least) } => {
                return write!(f, "offer {least} or more (ComputeSpotPrice), or ask for on-demand nodes (ComputeSpotPrice 0)");
            }
            Self::HigherPrice { least: None } => "offer a higher price (ComputeSpotPrice), or ask for on-demand nodes (ComputeSpotPrice 0)",
            Self::CheckScripts => {
                "look at your configure.d scripts: one of them failed or took too long; mend it, and upload the file again"
            }
            Self::UnknownType => "choose another instance type: AWS has none of this name here",
            Self::NoAddresses => {
                "remove a cluster that you do not need, or ask the administrator for a larger subnet: this one has no addresses left"
            }
            Self::NoMachinesOfKind => {
                "choose another instance type: this account may have no machines of this kind, unless the administrator has the quota raised"
            }
            Self::FewerNodes => {
                "choose fewer or smaller nodes, remove a cluster that you do not need, or ask the administrator to have the quota raised"
            }
            Self::ServiceRole => {
                "tell the administrator: the account lacks a service-linked role; for spot machines it is made by \
                 `aws iam create-service-linked-role --aws-service-name spot.amazonaws.com`"
            }
            Self::Image => "tell the administrator: the machine image is not there, or not for this account",
            Self::Hook => "tell the administrator: a rule of the organisation forbids it",
            Self::Key => "tell the administrator: the key that encrypts the disks cannot be used",
            Self::Right => "tell the administrator: AWS refuses a right that is needed for it",
            Self::RoleTooNew => {
                "try again in a few minutes: AWS did not know the role yet, which is new; tell the administrator if it fails again"
            }
            Self::Verification => "try again in some hours: AWS is still verifying the account",
            Self::Quota => "remove a cluster that you do not need, or ask the administrator to have the account's quota raised",
            Self::Throttled => "try again in a few minutes: AWS was asked for too much at once",
            Self::Internal => "try again: it was a fault of AWS's own; tell the administrator if it fails again",
            Self::Exists => "tell the administrator: something of this name is there already",
            Self::TellAdministrator => "tell the administrator",
            Self::AdministratorKnows => "tell the administrator, who has been sent this too",
        };
        f.write_str(text)
    }
}

/// The zones that AWS names as the ones to take instead.
fn elsewhere(f: &mut fmt::Formatter<'_>, zones: &[String], has_it: &str) -> fmt::Result {
    if zones.is_empty() { Ok(()) } else { write!(f, "; {has_it} {}, which the administrator can choose", zones.join(", ")) }
}
