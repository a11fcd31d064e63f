//! A member as the gossip knows it: the member, and its claim to its name.
//!
//! A name belongs to the highest claim. A claim is, in this order: the generation (milliseconds since 1970 at the agent's start, but
//! always above the last one that the node remembers), a random number of the boot that parts equal ones, and how often this boot
//! had to take its name back after others declared it dead. So a node that comes back wins over its old self at once. Where its
//! clock runs behind, it does not: then it learns of the higher claim (see `gossip`), and takes the name once that one is dead.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Member;
use crate::node::NodeName;

/// A member and its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    #[serde(with = "shared")]
    member: Arc<Member>,
    generation: u64,
    boot: u64,
    renewal: u32,
}

impl Identity {
    /// The identity of a member that starts.
    pub fn new(member: Member, generation: u64, boot: u64) -> Self {
        // 0 and 0 mean "anyone" below.
        Self { member: Arc::new(member), generation: generation.max(1), boot: boot.max(1), renewal: 0 }
    }

    /// Addresses whoever listens there, under whatever name: how a node asks to join before it knows a member.
    pub fn anyone_at(address: SocketAddr) -> Self {
        let member = Member { name: NodeName::LOGIN, address, tags: std::collections::BTreeMap::new() };
        Self { member: Arc::new(member), generation: 0, boot: 0, renewal: 0 }
    }

    /// Whether it is [`Self::anyone_at`].
    pub fn is_anyone(&self) -> bool {
        (self.generation, self.boot) == (0, 0)
    }

    /// The member.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Its name.
    pub fn name(&self) -> NodeName {
        self.member.name
    }

    /// The generation of its claim.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether both are the same boot of a node, whatever happened to it since.
    pub fn is_same_boot(&self, other: &Self) -> bool {
        self.name() == other.name() && self.boot == other.boot
    }

    /// Whether this claim to a name is the higher one.
    pub fn beats(&self, other: &Self) -> bool {
        #[cfg(test)]
        if super::simulation::planted::is(super::simulation::planted::Bug::GenerationIgnored) {
            return false;
        }
        (self.generation, self.boot, self.renewal) > (other.generation, other.boot, other.renewal)
    }

    /// The same boot, with a claim above a dead one.
    #[must_use]
    pub fn above(&self, dead: &Self) -> Self {
        Self { generation: dead.generation.saturating_add(1), renewal: 0, ..self.clone() }
    }

    /// The same boot again, above its last claim.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self { renewal: self.renewal.saturating_add(1), ..self.clone() }
    }
}

impl foca::Identity for Identity {
    type Addr = NodeName;

    fn renew(&self) -> Option<Self> {
        Some(self.renewed())
    }

    fn addr(&self) -> NodeName {
        self.name()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        // The known one stays where neither is higher, so that two texts for one claim cannot alternate.
        !adversary.beats(self)
    }
}

/// An `Arc` on the wire is what it holds.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::members::Member;

    pub(super) fn serialize<S: Serializer>(member: &Arc<Member>, to: S) -> Result<S::Ok, S::Error> {
        member.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Member>, D::Error> {
        Member::deserialize(from).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use foca::{Codec, Identity as _, PostcardCodec};

    use super::super::tests::member;
    use super::super::{IDENTITY_BYTES_MAX, RANK_MAX};
    use super::*;

    #[test]
    fn a_node_that_comes_back_wins_over_its_old_self_also_at_another_address() {
        let old = Identity::new(member(1, "10.0.0.1:7946"), 1_000, 77);
        let new = Identity::new(member(1, "10.0.0.9:7946"), 1_001, 3);
        assert!(new.win_addr_conflict(&old) && !old.win_addr_conflict(&new));
        assert!(new.win_addr_conflict(&old.renewed().renewed()), "no number of renewals beats a later boot");
        assert!(old.renewed().win_addr_conflict(&old) && !old.win_addr_conflict(&old.renewed()));
        assert!(old.above(&new).win_addr_conflict(&new));
        assert!(old.is_same_boot(&old.above(&new)) && !old.is_same_boot(&new));
        assert!(!Identity::new(member(1, "10.0.0.1:7946"), 0, 0).is_anyone());
    }

    #[test]
    fn the_largest_identity_is_within_its_limit_on_the_wire() {
        let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let tags = std::collections::BTreeMap::from([("k".repeat(40), "v".repeat(IDENTITY_BYTES_MAX - 60 - 44))]);
        let largest = Member::new(NodeName::compute(RANK_MAX).unwrap(), address, tags).unwrap();
        let largest = Identity { renewal: u32::MAX, ..Identity::new(largest, u64::MAX, u64::MAX) };
        let mut bytes = Vec::new();
        PostcardCodec.encode_member(&foca::Member::new(largest.clone(), u16::MAX, foca::State::Down), &mut bytes).unwrap();
        assert!(bytes.len() <= IDENTITY_BYTES_MAX + 4, "{}", bytes.len());
        let read: foca::Member<Identity> = PostcardCodec.decode_member(bytes.as_slice()).unwrap();
        assert_eq!(*read.id(), largest);
    }
}
