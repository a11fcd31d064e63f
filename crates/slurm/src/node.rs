//! A node of a cluster by its number.

use std::fmt;

use cf_core::node_report;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A node: 0 is the login node. It is read and printed as its name, `login1` or `compute-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(pub u32);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("login1") } else { write!(f, "compute-{}", self.0) }
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        node_report::rank(&name).map(Self).ok_or_else(|| de::Error::custom("no node has this name"))
    }
}
