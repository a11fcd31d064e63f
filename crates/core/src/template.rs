//! A cluster template as the functions need it: which parameters there are, who may set them, what values they take,
//! which output is the login. The template's resources are CloudFormation's business.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

mod condition;
mod parameter;

pub use condition::{Condition, Conditions, Operand};
pub use parameter::{Length, Parameter, ParameterKind, Pattern};

/// The default template, word for word, as it is published to the system bucket.
pub const DEFAULT_TEXT: &str = include_str!("../../../templates/cluster.yaml");

/// What the build read out of it.
const DEFAULT_CARD: &str = include_str!(concat!(env!("OUT_DIR"), "/card.json"));

/// The default template's card.
pub fn default_template() -> &'static Template {
    static CARD: OnceLock<Template> = OnceLock::new();
    // The card is written by build.rs from a file of this project, and every test of this crate reads it.
    CARD.get_or_init(|| serde_json::from_str(DEFAULT_CARD).expect("build.rs writes a readable card"))
}

/// A template's card.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    /// The first 16 hexadecimal digits of the text's SHA-256; its key in the system bucket is made of it.
    pub digest: String,
    /// Its resources: the condition of each that has one.
    pub resources: Vec<Option<String>>,
    /// Its conditions by name.
    #[serde(default)]
    pub conditions: Conditions,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// What the template says of itself under `Metadata: Clusterdrop`.
    pub metadata: Metadata,
}

/// `Metadata: Clusterdrop`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// The parameters that a user may set.
    pub user_parameters: Vec<String>,
    /// The parameters that the system sets, and with what.
    pub system_parameters: BTreeMap<String, SystemValue>,
    /// Names that are no parameters here, but would reach for somebody else's rights.
    #[serde(default)]
    pub protected_names: Vec<String>,
    /// The output that is the login address.
    pub login_output: String,
}

/// What the system can put into a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is named after the setting that it carries")]
pub enum SystemValue {
    Cluster,
    User,
    LoginName,
    CustomizerBucket,
    AccessNetwork,
    Vpc,
    Subnet,
    ComputeSubnet,
    NodeBoundary,
    Deployment,
    Request,
    SystemBucket,
    UserBucket,
    SiteProfiles,
    NodeLogs,
    #[serde(rename = "agent-x86-64")]
    AgentX86,
    #[serde(rename = "agent-arm64")]
    AgentArm,
    LoginImage,
    ComputeImage,
    LoginOwnImage,
    ComputeOwnImage,
    ComputePlacement,
    ComputeOutbound,
    Zone,
    HomeEfs,
    HomeNfs,
    UserNumber,
}

impl Template {
    /// Its key in the system bucket. The digest is in it, so a function always starts the very text that it checked against.
    pub fn key(&self) -> String {
        format!("templates/cluster-{}.yaml", self.digest)
    }

    /// Whether a user may set this parameter.
    pub fn is_users(&self, name: &str) -> bool {
        self.metadata.user_parameters.iter().any(|n| n == name)
    }

    /// Whether this name is the system's alone.
    pub fn is_protected(&self, name: &str) -> bool {
        !self.is_users(name) && (self.parameters.contains_key(name) || self.metadata.protected_names.iter().any(|n| n == name))
    }

    /// How many resources a stack with these values of parameters has: the total of its progress bar. One that is left out has the
    /// template's default; a resource whose condition cannot be computed here counts.
    pub fn resources_with(&self, values: &BTreeMap<String, String>) -> usize {
        let value = |name: &str| self.effective(values, name);
        let is_there = |condition: &&Option<String>| {
            condition.as_ref().is_none_or(|name| condition::holds(&self.conditions, name, &value) != Some(false))
        };
        self.resources.iter().filter(is_there).count()
    }

    /// A user parameter's value: the one given, or the template's default.
    pub fn effective<'a>(&'a self, given: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
        given.get(name).or_else(|| self.parameters.get(name)?.default.as_ref()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stacks of a deployment before this one name the older text's key.
    #[test]
    fn a_templates_key_is_made_of_its_text() {
        use sha2::{Digest, Sha256};
        let digest: String = Sha256::digest(DEFAULT_TEXT).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = default_template().key();
        let named = key.strip_prefix("templates/cluster-").and_then(|rest| rest.strip_suffix(".yaml"));
        assert!(named.is_some_and(|named| !named.is_empty() && digest.starts_with(named)), "{key} of {digest}");
    }

    #[test]
    fn the_default_template_names_only_parameters_that_it_has() {
        let card = default_template();
        for name in card.metadata.user_parameters.iter().chain(card.metadata.system_parameters.keys()) {
            assert!(card.parameters.contains_key(name), "{name}");
        }
        assert_eq!(card.metadata.user_parameters.len(), 27);
        assert!(card.is_protected("AccessUsername") && card.is_protected("FlightProfiles") && !card.is_protected("Nonsense"));
    }

    /// The progress bar's total: a resource that is not made would keep it from its end.
    #[test]
    fn resources_are_counted_by_their_conditions() {
        let card = default_template();
        let count = |values: &[(&str, &str)]| {
            card.resources_with(&values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let conditional = card.resources.iter().flatten().count();
        assert!(count(&[]) > card.resources.len() - conditional);
        // A launch template and a group of each kind.
        assert_eq!(count(&[("ComputeSpotPrice", "0")]) + 2, count(&[]));
        assert_eq!(count(&[("ComputeOnDemandMaxNodes", "0")]) + 2, count(&[]));
        assert_eq!(count(&[("ComputeOnDemandMaxNodes", "3")]), count(&[]));
        // The volumes that are asked for, the door to the site's homes, the placement group.
        let both = ("VolumeLayout", "discrete.home-discrete.apps");
        for (values, more) in [
            (&[both][..], 2),
            (&[both, ("HomeVolumeRetention", "retain")], 2),
            (&[both, ("HomeVolumeId", "vol-0a1b2c3d")], 1),
            (&[("VolumeLayout", "discrete.home")], 1),
            (&[("HomeFileSystem", "fs-0a1b2c3d")], 1),
            (&[("HomeNfs", "fs.site.example:/homes")], 0),
            (&[("ComputePlacement", "cluster")], 1),
        ] {
            assert_eq!(count(values), count(&[]) + more, "{values:?}");
        }
    }

    #[test]
    fn every_condition_of_a_resource_can_be_computed() {
        let card = default_template();
        let empty = String::new();
        let value = |name: &str| card.parameters.get(name).map(|parameter| parameter.default.as_ref().unwrap_or(&empty).as_str());
        for name in card.resources.iter().flatten() {
            assert!(condition::holds(&card.conditions, name, &value).is_some(), "{name}");
        }
    }

    #[test]
    fn every_default_passes_its_own_constraints() {
        for (name, parameter) in &default_template().parameters {
            if let Some(default) = &parameter.default {
                assert_eq!(parameter.check(name, default), None);
            }
        }
    }

    #[test]
    fn every_pattern_of_the_default_template_can_be_read() {
        for (name, parameter) in &default_template().parameters {
            if let Some(pattern) = &parameter.pattern {
                assert!(regex_lite::Regex::new(pattern.as_str()).is_ok(), "{name}: {pattern:?}");
            }
        }
    }
}
