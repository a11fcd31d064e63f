//! What people read of scaling: the reasons in `sinfo -R`, and the sentences of the status. They are values with `Display`.

use std::fmt;
use std::time::Duration;

use cf_core::node_name::NodeName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::activity::Trouble;
use crate::group::Group;
use crate::host_list;

/// What each of our reasons begins with, so that a name that somebody else has set down is left alone.
pub const OURS: &str = "clusterdrop: ";

/// Characters of AWS's own words in one of ours.
const WORDS_CHARS_MAX: usize = 160;

/// A failure, with AWS's own words where it is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// Of which group.
    pub group: Group,
    /// What kind.
    pub trouble: Trouble,
    /// AWS's own words, in one line of printable characters; empty where there are none.
    #[serde(default)]
    pub words: String,
}

impl Failure {
    /// A failure; of the words what fits is kept.
    pub fn new(group: Group, trouble: Trouble, words: &str) -> Self {
        let words = words.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(WORDS_CHARS_MAX).collect();
        Self { group, trouble, words }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = self.group;
        match self.trouble {
            Trouble::NoCapacity => write!(f, "{group} had no capacity"),
            Trouble::Quota => write!(f, "the account's quota for {group} was reached"),
            Trouble::PriceTooLow => f.write_str("the spot price was above the limit"),
            Trouble::NotInZone => write!(f, "the type was not to be had in this zone ({group})"),
            Trouble::Refused if self.words.is_empty() => write!(f, "AWS refused to launch ({group})"),
            Trouble::Refused => write!(f, "AWS refused to launch ({group}): {}", self.words),
            Trouble::NotLaunched => write!(f, "no machine was launched in time ({group})"),
            Trouble::NeverAsked => write!(f, "the machine started and never reported to the login node ({group})"),
            Trouble::NeverRegistered => write!(f, "the node did not register with Slurm in time ({group})"),
        }
    }
}

/// Why a node is closed to jobs by this agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// It could not be had.
    Failed(Failure),
    /// Another of its group could not be had a moment ago.
    Resting(Failure),
    /// There is no room.
    Full {
        /// The cluster's maximum.
        maximum: u32,
    },
    /// EC2 takes its machine back in two minutes.
    Interrupted,
    /// Its machine is gone, and so are the jobs that ran on it.
    Lost,
    /// The size is frozen.
    Frozen,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "{failure}"),
            Self::Resting(failure) => write!(f, "not tried for a while, because {failure}"),
            Self::Full { maximum } => write!(f, "the cluster has its maximum of {}", nodes(*maximum)),
            Self::Lost => f.write_str("its machine is gone"),
            Self::Interrupted => f.write_str("EC2 takes this spot machine back within two minutes"),
            Self::Frozen => f.write_str("autoscaling is disabled; `cf-node autoscaling enable` on the login node enables it"),
        }
    }
}

/// What is reported to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Nodes that could not be had.
    Failed {
        /// Which.
        nodes: Vec<NodeName>,
        /// Why.
        failure: Failure,
    },
    /// A group is not tried for a while.
    Resting {
        /// Why.
        failure: Failure,
        /// How many failures of this kind came in a row.
        in_a_row: u32,
        /// For how long.
        rest: Duration,
        /// Until when.
        until: Timestamp,
    },
    /// Nodes on demand stand in for spot ones.
    Fallback {
        /// How many.
        nodes: u32,
        /// Why.
        failure: Failure,
    },
    /// A machine came and no node was wanted of it any more.
    Late {
        /// Its id.
        machine: String,
    },
    /// A machine is gone that a node was.
    Lost {
        /// The node.
        node: NodeName,
    },
    /// EC2 takes the node's machine back.
    Interrupted {
        /// The node.
        node: NodeName,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { nodes, failure } => write!(f, "{}: {failure}", host_list::of_nodes(nodes.iter().copied())),
            Self::Resting { failure, in_a_row, rest, until } => {
                let minutes = rest.as_secs().div_ceil(60);
                write!(f, "{} is not tried for {minutes} minutes, until {until:.0}: {failure} {in_a_row} times in a row", failure.group)
            }
            Self::Fallback { nodes: count, failure } => write!(f, "{} on demand, because {failure}", nodes(*count)),
            Self::Late { machine } => write!(f, "{machine} started too late to be a node, and is ended"),
            Self::Lost { node } => write!(f, "{node} lost its machine; its group replaces it if Slurm still wants the node"),
            Self::Interrupted { node } => write!(f, "{node}: EC2 takes this spot machine back; its jobs start again elsewhere"),
        }
    }
}

fn nodes(count: u32) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_read_as_they_were_promised() {
        let failure = Failure::new(Group::Spot, Trouble::NoCapacity, "There is no Spot capacity");
        let print = |note: Note| note.to_string();
        assert_eq!(print(Note::Fallback { nodes: 2, failure: failure.clone() }), "2 nodes on demand, because spot had no capacity");
        assert_eq!(
            print(Note::Failed { nodes: vec![NodeName::of_rank(2), NodeName::of_rank(1)], failure: failure.clone() }),
            "compute-[1-2]: spot had no capacity"
        );
        let until = "2026-11-28T12:15:00Z".parse().unwrap();
        let resting = Note::Resting { failure: failure.clone(), in_a_row: 3, rest: Duration::from_mins(15), until };
        assert_eq!(print(resting), "spot is not tried for 15 minutes, until 2026-11-28T12:15:00Z: spot had no capacity 3 times in a row");
        assert_eq!(Closed::Resting(failure).to_string(), "not tried for a while, because spot had no capacity");
        assert_eq!(Closed::Full { maximum: 1 }.to_string(), "the cluster has its maximum of 1 node");
    }

    #[test]
    fn awss_words_are_one_short_line() {
        let failure = Failure::new(Group::OnDemand, Trouble::Refused, &format!("a\nb\u{1b}[31m\u{e9}{}", "x".repeat(500)));
        assert!(failure.words.starts_with("a b [31m x"), "{}", failure.words);
        assert_eq!(failure.words.len(), WORDS_CHARS_MAX);
    }
}
