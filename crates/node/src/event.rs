//! The events of a node's life, and the arguments that the scripts of each get (seeds/alces-customiser, "Customisation script
//! parameters"; facts B.5, H).

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::node::Role;

/// An event. Its scripts lie in the profile's folder `<event>.d/`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Event {
    /// The node boots.
    Initialize,
    /// The node has its configuration.
    Configure,
    /// The scripts of `configure` have ended.
    Start,
    /// The scripts of `start` have ended: the node is ready.
    NodeStarted,
    /// No configuration came within 300 s.
    Fail,
    /// A node joined the cluster, also this one.
    MemberJoin,
    /// A node left the cluster, or was lost.
    MemberLeave,
}

impl Event {
    /// Its word, as scripts and logs name it.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// The folder of its scripts in a profile.
    pub fn folder(self) -> String {
        format!("{self}.d")
    }
}

/// What scripts are called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// A boot: the first one of this node, or a later one.
    Initialize {
        /// Whether the node was never configured.
        first_boot: bool,
    },
    /// `configure`, `start`, `node-started` or `fail`.
    Stage(Event),
    /// A member joined or left.
    Member {
        /// [`Event::MemberJoin`] or [`Event::MemberLeave`].
        event: Event,
        /// A readable file that describes the member.
        file: &'a Path,
        /// Its host name.
        name: &'a str,
        /// Its IP address.
        ip: &'a str,
    },
}

impl Occasion<'_> {
    /// The event.
    pub fn event(&self) -> Event {
        match self {
            Self::Initialize { .. } => Event::Initialize,
            Self::Stage(event) | Self::Member { event, .. } => *event,
        }
    }

    /// The arguments after the script's path. `initialize` gets `once` on the first boot and nothing later (decision 20): the
    /// document counts, where the old code passed the event's name first.
    pub fn arguments(&self, role: Role, cluster: &str) -> Vec<String> {
        match self {
            Self::Initialize { first_boot } => first_boot.then(|| "once".to_owned()).into_iter().collect(),
            Self::Stage(event) => vec![event.to_string(), role.to_string(), cluster.to_owned()],
            Self::Member { event, file, name, ip } => {
                let file = file.display().to_string();
                vec![event.to_string(), role.to_string(), cluster.to_owned(), file, (*name).to_owned(), (*ip).to_owned()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_the_founding_documents() {
        let at = |occasion: Occasion| occasion.arguments(Role::Slave, "demo");
        assert_eq!(at(Occasion::Initialize { first_boot: true }), ["once"]);
        assert_eq!(at(Occasion::Initialize { first_boot: false }), [""; 0]);
        assert_eq!(at(Occasion::Stage(Event::NodeStarted)), ["node-started", "slave", "demo"]);
        let file = Path::new("/var/lib/clusterdrop/members/compute-1");
        let join = Occasion::Member { event: Event::MemberJoin, file, name: "compute-1", ip: "10.0.0.7" };
        assert_eq!(at(join), ["member-join", "slave", "demo", "/var/lib/clusterdrop/members/compute-1", "compute-1", "10.0.0.7"]);
        assert_eq!(Event::MemberLeave.folder(), "member-leave.d");
    }
}
