//! What the nodes of a cluster ask each other over the [`link`](crate::link). The login node answers.
//!
//! Each question has an answer of its own type; the JSON of a question is `{"<kind>": …}`, that of an answer is the answer alone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cf_slurm::group::Group;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exchange::wire::Poll;
use crate::node::NodeName;

/// The most characters of an instance id. EC2's have 19.
pub const INSTANCE_CHARS_MAX: usize = 64;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A compute node asks which node it is: [`Configuration`].
    Configuration(Asks),
    /// A command on another node asks for a profile to be applied: [`Answer`](crate::customize::remote::Answer).
    Customize(crate::customize::remote::Request),
    /// A participant of the exchange asks what to run: [`Answer`](crate::exchange::wire::Answer).
    Exchange(Box<Poll>),
    /// A spot machine says that EC2 takes it back: [`Noted`].
    Interrupted(Interrupted),
}

/// A machine that EC2 takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interrupted {
    /// The machine's EC2 id.
    pub instance: String,
}

/// The answer to [`Request::Interrupted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Whether it is on the login node's disk.
    pub written: bool,
}

/// Who asks for a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asks {
    /// The machine's EC2 id.
    pub instance: String,
    /// Its private address.
    pub address: IpAddr,
    /// Its group, where the cluster has a scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// The answer to [`Request::Configuration`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Configuration {
    /// The machine is this node.
    Given(Given),
    /// It is none now. It may ask again.
    Refused(Refusal),
}

/// What a compute node needs to be one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Its name, and with it its number.
    pub name: NodeName,
    /// The profiles of compute nodes beside the site's and the user's own (`cf-node customize slave`), in order.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Values of inputs of the exchange's steps, the same on all nodes.
    #[serde(default)]
    pub inputs: BTreeMap<String, Value>,
}

/// Why a machine is no node now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Every number is held by a node that is there, or was a moment ago.
    #[error("the cluster has at most {nodes_max} compute nodes, and each number is held by a machine that was there a moment ago")]
    Full {
        /// The highest number.
        nodes_max: u32,
    },
    /// Slurm wants no node of the machine's group that has no machine, or no more.
    #[error("no node is wanted of this machine any more; it came too late, and is ended")]
    TooLate,
    /// The cluster's machines are of groups.
    #[error("the machine does not say of which group it is; its settings (/etc/clusterdrop/node.json) have no group")]
    NoGroup,
    /// The login node's disk does not take the assignment, and nothing is answered that could be forgotten.
    #[error("the login node cannot write down which machine is which node; is its disk full?")]
    Unsaved,
    /// A compute node was asked.
    #[error("this is no login node")]
    NoLoginNode,
    /// It is no instance id.
    #[error("an instance id has 1 to {INSTANCE_CHARS_MAX} letters, digits and hyphens")]
    NoInstance,
}

impl Refusal {
    /// Whether the login node says by it that the machine is none of its nodes. The others do not say which node the machine is.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::NoInstance | Self::TooLate | Self::NoGroup)
    }
}

/// Whether it can be an instance id.
pub fn is_instance(text: &str) -> bool {
    (1..=INSTANCE_CHARS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_kind_and_an_unknown_one_is_refused() {
        let asks = Asks { instance: "i-1".to_owned(), address: "10.0.0.7".parse().unwrap(), group: None };
        let json = serde_json::to_string(&Request::Configuration(asks.clone())).unwrap();
        assert_eq!(json, r#"{"configuration":{"instance":"i-1","address":"10.0.0.7"}}"#);
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), Request::Configuration(asks));
        assert!(serde_json::from_str::<Request>(r#"{"reboot":{}}"#).is_err());
        assert!(serde_json::from_str::<Request>(&json.replace("i-1", "i-1\",\"role\":\"master")).is_err());
    }

    #[test]
    fn an_instance_id_has_its_bounds() {
        for (text, is) in [("i-0123456789abcdef0", true), ("", false), ("i 1", false), ("i-1\n", false), ("../x", false)] {
            assert_eq!(is_instance(text), is, "{text:?}");
        }
        assert!(is_instance(&"a".repeat(INSTANCE_CHARS_MAX)) && !is_instance(&"a".repeat(INSTANCE_CHARS_MAX + 1)));
    }
}
