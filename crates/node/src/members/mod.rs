//! The members of a cluster: who is in it, as each node learns it by gossip.
//!
//! - [`identity`]: a member as the gossip knows it, so that a node that comes back wins over its old self;
//! - [`seal`]: what makes a datagram the cluster's own: key, sessions, replay windows (pure);
//! - [`wire`]: reads a gossip message before foca gets it (pure);
//! - [`gossip`]: the driver around foca and the seal: datagrams and timers in, datagrams, timers and changes out (pure);
//! - [`protocol`]: the constants of SWIM;
//! - [`hosts`]: the members' block of `/etc/hosts`; [`files`]: the file of a member that scripts get; [`store`]: whole-file writes;
//! - [`state`]: `members.json`, which `cf-node members` prints;
//! - [`agent`]: the task with the socket, the clock and the files; [`backlog`]: what the scripts have yet to hear (pure); [`command`]: the subcommands.
//!
//! The protocol is SWIM, by the crate foca. Ours are the authentication and the glue.

pub mod agent;
pub mod backlog;
pub mod command;
mod effects;
pub mod files;
pub mod gossip;
pub mod hosts;
pub mod identity;
pub mod protocol;
pub mod seal;
#[cfg(test)]
mod simulation;
pub mod state;
pub mod store;
mod window;
pub mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::node::{NodeName, Role};

/// The UDP port of the gossip. serf's and memberlist's default, so that administrators know what they see in a packet capture;
/// it is below the range of ephemeral ports, and nothing else on a node listens there.
pub const PORT: u16 = 7946;

/// The most bytes of an encoded identity. The largest header (an indirect probe) names three of them, and one more must fit
/// beside it as an update, or news of a member with many tags would never spread: 4 × 320 < 1,342 bytes of payload.
pub const IDENTITY_BYTES_MAX: usize = 320;

/// The highest rank of a member: memory and `/etc/hosts` stay bounded whatever a node claims. An order of magnitude above the
/// 200 nodes that the system is made for.
pub const RANK_MAX: u32 = 4_095;

/// The most tags of a member.
pub const TAGS_MAX: usize = 16;

/// A member of the cluster. Its role follows from its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Member {
    name: NodeName,
    address: SocketAddr,
    tags: BTreeMap<String, String>,
}

/// A member as it is read, before its limits are checked.
#[derive(Deserialize)]
struct Unchecked {
    name: NodeName,
    address: SocketAddr,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Why something is no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The rank.
    #[error("{0} has a rank above {RANK_MAX}, the highest of a member; use lower node numbers")]
    Rank(NodeName),
    /// The address.
    #[error("{0} cannot be a member's address: others must be able to send to it; give an IP address of this node and a port")]
    Address(SocketAddr),
    /// A tag's key.
    #[error("{0:?} cannot be the key of a tag: 1 to 64 letters, digits, '_', '.', ':' or '-'")]
    Key(String),
    /// A tag's value.
    #[error("the value {value:?} of tag {key:?} holds a comma or a control character; scripts read tags separated by commas")]
    Value {
        /// The tag's key.
        key: String,
        /// The value.
        value: String,
    },
    /// The tags together.
    #[error(
        "the tags of {name} take {bytes} bytes of at most {IDENTITY_BYTES_MAX} ({count} of at most {TAGS_MAX}); use fewer or shorter ones"
    )]
    Size {
        /// The member.
        name: NodeName,
        /// The size.
        bytes: usize,
        /// The number of tags.
        count: usize,
    },
}

impl Member {
    /// A member, if it is within the limits.
    pub fn new(name: NodeName, address: SocketAddr, tags: BTreeMap<String, String>) -> Result<Self, MemberError> {
        if name.rank() > RANK_MAX {
            return Err(MemberError::Rank(name));
        }
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(MemberError::Address(address));
        }
        // What postcard adds: a length before each text, at most 60 bytes for name, address, numbers.
        let bytes = 60 + tags.iter().map(|(key, value)| key.len() + value.len() + 4).sum::<usize>();
        if bytes > IDENTITY_BYTES_MAX || tags.len() > TAGS_MAX {
            return Err(MemberError::Size { name, bytes, count: tags.len() });
        }
        for (key, value) in &tags {
            let legal = |c: u8| c.is_ascii_alphanumeric() || b"_.:-".contains(&c);
            if key.is_empty() || key.len() > 64 || !key.bytes().all(legal) {
                return Err(MemberError::Key(key.clone()));
            }
            if value.chars().any(|c| c == ',' || c.is_control()) {
                return Err(MemberError::Value { key: key.clone(), value: value.clone() });
            }
        }
        Ok(Self { name, address, tags })
    }

    /// Its name.
    pub fn name(&self) -> NodeName {
        self.name
    }

    /// The address that it receives gossip at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its IP address.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Its role.
    pub fn role(&self) -> Role {
        Role::of(self.name)
    }

    /// Its tags, for example `aws_instanceid` (facts B.8).
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}

impl TryFrom<Unchecked> for Member {
    type Error = MemberError;

    fn try_from(unchecked: Unchecked) -> Result<Self, Self::Error> {
        Self::new(unchecked.name, unchecked.address, unchecked.tags)
    }
}

/// A change of the membership. For one name, joins and leaves alternate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The node is a member now.
    Joined(Member),
    /// The node is no member any more: it left, was lost, or another boot of it took its place (a join follows then).
    Left(Member),
}

impl Change {
    /// The member.
    pub fn member(&self) -> &Member {
        let (Self::Joined(member) | Self::Left(member)) = self;
        member
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn member(rank: u32, address: &str) -> Member {
        let name = NodeName::compute(rank).unwrap_or(NodeName::LOGIN);
        Member::new(name, address.parse().unwrap(), BTreeMap::new()).unwrap()
    }

    fn tagged(key: &str, value: &str) -> Result<Member, MemberError> {
        let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Member::new(NodeName::LOGIN, "10.0.0.1:7946".parse().unwrap(), tags)
    }

    #[test]
    fn a_member_is_within_its_limits_or_none() {
        assert!(tagged("aws_instanceid", "i-0123456789abcdef0").is_ok());
        assert!(tagged("note", "$(reboot) 'a' \"b\" é").is_ok(), "a hostile value is quoted, not refused");
        assert!(matches!(tagged("a b", "x"), Err(MemberError::Key(_))));
        assert!(matches!(tagged("", "x"), Err(MemberError::Key(_))));
        assert!(matches!(tagged("a", "x,role=master"), Err(MemberError::Value { .. })));
        assert!(matches!(tagged("a", "x\ny"), Err(MemberError::Value { .. })));
        let room = IDENTITY_BYTES_MAX - 60 - 5;
        assert!(tagged("a", &"x".repeat(room)).is_ok());
        assert!(matches!(tagged("a", &"x".repeat(room + 1)), Err(MemberError::Size { .. })));
        let many = (0..=TAGS_MAX).map(|n| (n.to_string(), String::new())).collect();
        assert!(Member::new(NodeName::LOGIN, "10.0.0.1:1".parse().unwrap(), many).is_err());
        for address in ["0.0.0.0:7946", "10.0.0.1:0", "224.0.0.1:7946", "[::]:7946"] {
            assert!(Member::new(NodeName::LOGIN, address.parse().unwrap(), BTreeMap::new()).is_err(), "{address}");
        }
        let at = "10.0.0.1:7946".parse().unwrap();
        assert!(Member::new(NodeName::compute(RANK_MAX).unwrap(), at, BTreeMap::new()).is_ok());
        assert!(Member::new(NodeName::compute(RANK_MAX + 1).unwrap(), at, BTreeMap::new()).is_err());
    }

    #[test]
    fn what_is_read_is_checked_as_what_is_made() {
        let json = r#"{"name":"compute-3","address":"10.0.0.7:7946","tags":{"a":"b"}}"#;
        let member: Member = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&member).unwrap(), json);
        assert!(serde_json::from_str::<Member>(&json.replace("\"b\"", "\"b,c\"")).is_err());
    }
}
