//! The final answers in users' folders: what was asked, what stands in the way, what to do next.

mod parts;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use parts::{again, failed, leftover, no_login, no_such, not_removed, overtaken, planned, unprotect, withdrawn};

use super::failure::{Cause, Remains, Rest, StackReason, shown};
use super::problem::{KeyProblem, Parts, Problem};
use super::{Advice, time};
use crate::key::Answer;
use crate::names::{ClusterName, StackName};

/// A final answer: the whole content of the file that stands beside an upload.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Message {
    /// The cluster is ready: exactly the login address and a newline (check A2).
    Created {
        /// The address.
        login: String,
    },
    /// A create breaks rules.
    Refused {
        /// Of which cluster.
        cluster: ClusterName,
        /// All of them, sorted.
        problems: Vec<Problem>,
    },
    /// A delete is one too many.
    NotRemoved {
        /// Of which cluster.
        cluster: ClusterName,
        /// Why.
        problem: Problem,
    },
    /// A key means to be a request, and cannot be one.
    WrongKey(KeyProblem),
    /// A file's name only looks like a request's. The text follows from the name alone, so it is the same each time.
    LookAlike(KeyProblem),
    /// The stack is complete and has no login address.
    NoLogin {
        /// Which cluster.
        cluster: ClusterName,
        /// Its stack.
        stack: StackName,
        /// The output that is missing.
        output: String,
    },
    /// The stack was removed while it was being made.
    RemovedWhileMade {
        /// Which cluster.
        cluster: ClusterName,
    },
    /// The cluster lives, and is not what a create asks for.
    Differs {
        /// Which cluster.
        cluster: ClusterName,
        /// In what.
        differences: Vec<Difference>,
    },
    /// A stack that is not ours has the name.
    Occupied {
        /// Which cluster.
        cluster: ClusterName,
    },
    /// A delete supersedes a create.
    Withdrawn {
        /// Which cluster.
        cluster: ClusterName,
        /// The second in which both came, where it is unknown which was the later.
        tied: Option<Timestamp>,
    },
    /// A later create supersedes a delete.
    Overtaken {
        /// Which cluster.
        cluster: ClusterName,
    },
    /// A delete names nothing.
    NoSuchCluster {
        /// Which cluster.
        cluster: ClusterName,
        /// What its user has.
        others: Vec<ClusterName>,
        /// The second in which its create came, where it is unknown which was the later.
        tied: Option<Timestamp>,
    },
    /// The receipt.
    Deleted {
        /// Which cluster.
        cluster: ClusterName,
        /// When it was found gone.
        at: Timestamp,
        /// Its stack.
        stack: StackName,
        /// The EC2 type of each kind of node.
        types: BTreeMap<String, String>,
    },
    /// The same, where its user did not ask for that.
    Removed {
        /// Which cluster.
        cluster: ClusterName,
        /// When it was found gone.
        at: Timestamp,
        /// Its stack.
        stack: StackName,
        /// The EC2 type of each kind of node.
        types: BTreeMap<String, String>,
    },
    /// The receipt of a cluster that could not be made.
    ClearedAway {
        /// Which cluster.
        cluster: ClusterName,
        /// When.
        at: Timestamp,
    },
    /// The creation failed.
    Failed {
        /// Which cluster.
        cluster: ClusterName,
        /// Why, as far as AWS's lists show.
        causes: Vec<Cause>,
        /// The stack's own reason, where they do not show all.
        stack: Option<StackReason>,
        /// What becomes of its parts.
        rest: Rest,
    },
    /// The removal failed.
    Stuck {
        /// Which cluster.
        cluster: ClusterName,
        /// Whether it was ever made. If not, this takes the place of the answer that said why.
        was_made: bool,
        /// Why it was not.
        causes: Vec<Cause>,
        /// What is left.
        remains: Remains,
    },
    /// What is left of an earlier cluster holds the name. Said again, for this takes the place of the answer that said so.
    Leftover {
        /// Which cluster.
        cluster: ClusterName,
        /// What is left.
        remains: Remains,
    },
    /// A change set that nobody has executed holds the name.
    Planned {
        /// Which cluster.
        cluster: ClusterName,
    },
    /// CloudFormation refused to start the stack.
    Declined {
        /// Which cluster.
        cluster: ClusterName,
        /// Its words.
        why: String,
        /// What to do about it.
        advice: Advice,
    },
    /// CloudFormation refused to remove the stack.
    Undeletable {
        /// Which cluster.
        cluster: ClusterName,
        /// Its stack.
        stack: StackName,
        /// CloudFormation's words.
        why: String,
        /// Whether an administrator protects it.
        is_protected: bool,
        /// How its creation failed, if it did: this takes the place of the answer that said so.
        creation: Option<FailedCreation>,
        /// What is known to be left.
        left: Vec<Cause>,
    },
}

/// A creation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCreation {
    /// Why, as far as AWS's lists show.
    pub causes: Vec<Cause>,
    /// The stack's own reason, where they do not show all.
    pub stack: Option<StackReason>,
    /// Whether the rollback has removed all parts, so that only the empty stack is left.
    pub is_cleared: bool,
}

/// A parameter in which a living cluster is not what a create asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub parameter: String,
    /// The value that the cluster has.
    pub has: String,
    /// The value that is asked for.
    pub asked: String,
}

/// At most so many problems are listed; a file with more has one problem, whatever its lines say.
const PROBLEMS_MAX: usize = 25;

impl Message {
    /// The file that it is written to.
    pub const fn answer(&self) -> Answer {
        match self {
            Self::Created { .. } => Answer::Created,
            Self::Deleted { .. } | Self::Removed { .. } | Self::ClearedAway { .. } => Answer::Deleted,
            Self::Refused { .. }
            | Self::NotRemoved { .. }
            | Self::WrongKey(_)
            | Self::LookAlike(_)
            | Self::NoLogin { .. }
            | Self::RemovedWhileMade { .. }
            | Self::Differs { .. }
            | Self::Occupied { .. }
            | Self::Withdrawn { .. }
            | Self::Overtaken { .. }
            | Self::NoSuchCluster { .. }
            | Self::Failed { .. }
            | Self::Stuck { .. }
            | Self::Leftover { .. }
            | Self::Planned { .. }
            | Self::Declined { .. }
            | Self::Undeletable { .. } => Answer::Failed,
        }
    }

    /// Its name in logs and counts.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { login } => writeln!(f, "{login}"),
            Self::Deleted { cluster, at, stack, types } => {
                writeln!(f, "The cluster {cluster} is gone since {}.\nStack: {stack}", time(*at))?;
                nodes(f, types)
            }
            Self::Removed { cluster, at, stack, types } => {
                writeln!(f, "The cluster {cluster} is gone; it was found removed on {}.", time(*at))?;
                writeln!(f, "It was not removed by a .cf-delete file of yours: ask the administrator.\nStack: {stack}")?;
                nodes(f, types)
            }
            Self::ClearedAway { cluster, at } => {
                writeln!(f, "The cluster {cluster} is gone: it could not be made, and was cleared away by {}.", time(*at))
            }
            failed => {
                let (headline, problems) = failed.failure();
                list(f, &headline, &problems)
            }
        }
    }
}

/// The line of a receipt that names the types of the nodes; nothing where they are not known.
fn nodes(f: &mut fmt::Formatter<'_>, types: &BTreeMap<String, String>) -> fmt::Result {
    let of: Vec<String> = types.iter().map(|(node, kind)| format!("{node} {kind}")).collect();
    if of.is_empty() { Ok(()) } else { writeln!(f, "Nodes: {}", of.join(", ")) }
}

fn list(f: &mut fmt::Formatter<'_>, headline: &str, problems: &[Parts]) -> fmt::Result {
    writeln!(f, "{headline}")?;
    for problem in problems.iter().take(PROBLEMS_MAX) {
        write!(f, "\n- {problem}\n")?;
    }
    match problems.len().saturating_sub(PROBLEMS_MAX) {
        0 => Ok(()),
        more => write!(f, "\n… and {more} more.\n"),
    }
}

impl Message {
    /// The headline and the problems of an answer that is a failure; those of a success have none.
    fn failure(&self) -> (String, Vec<Parts>) {
        match self {
            Self::Created { .. } | Self::Deleted { .. } | Self::Removed { .. } | Self::ClearedAway { .. } => Default::default(),
            Self::Refused { cluster, problems } => {
                let count = if problems.len() == 1 { "one problem".to_owned() } else { format!("{} problems", problems.len()) };
                let headline = format!("The cluster {cluster} was not started: {count}. Nothing was made.");
                (headline, problems.iter().map(Problem::parts).collect())
            }
            Self::NotRemoved { cluster, problem } => (not_removed(cluster), vec![problem.parts()]),
            Self::WrongKey(problem) => ("This file cannot be a request. Nothing was done.".into(), vec![problem.parts()]),
            Self::LookAlike(problem) => (
                "This file was not read, because its name is not a request's. Nothing was done, and the file stays.".into(),
                vec![problem.parts()],
            ),
            Self::Overtaken { cluster } => (not_removed(cluster), vec![overtaken(cluster)]),
            Self::NoSuchCluster { cluster, others, tied } => ("Nothing was removed.".into(), no_such(cluster, others, *tied)),
            Self::Withdrawn { cluster, tied } => (format!("The cluster {cluster} was given up."), vec![withdrawn(cluster, *tied)]),
            Self::Stuck { .. } | Self::Undeletable { .. } => self.failed_removal(),
            Self::NoLogin { .. }
            | Self::RemovedWhileMade { .. }
            | Self::Differs { .. }
            | Self::Occupied { .. }
            | Self::Failed { .. }
            | Self::Leftover { .. }
            | Self::Planned { .. }
            | Self::Declined { .. } => self.failed_creation(),
        }
    }

    fn failed_creation(&self) -> (String, Vec<Parts>) {
        let cannot_start = |cluster: &ClusterName| format!("The cluster {cluster} cannot be started.");
        match self {
            Self::NoLogin { cluster, stack, output } => {
                (format!("The cluster {cluster} was made, but there is no way to log in."), vec![no_login(cluster, stack, output)])
            }
            Self::RemovedWhileMade { cluster } => (
                format!(
                    "The cluster {cluster} is not there: its stack was removed while it was being made, and not by a .cf-delete file of yours."
                ),
                vec![Parts::new(
                    "the cluster's stack",
                    "somebody removed it, probably the administrator",
                    "ask the administrator, then upload the file again",
                )],
            ),
            Self::Differs { cluster, differences } => (
                format!("The cluster {cluster} exists already, and is not what this file asks for. It was left as it is."),
                differences.iter().map(|difference| difference.parts(cluster)).collect(),
            ),
            Self::Occupied { cluster } => (
                cannot_start(cluster),
                vec![Parts::new(
                    "the name of its stack",
                    "it is taken by something that is not a cluster of yours",
                    "choose another name; the administrator has been told",
                )],
            ),
            Self::Failed { cluster, causes, stack, rest } => failed(cluster, causes, stack.as_ref(), rest),
            Self::Leftover { cluster, remains } => leftover(cluster, remains),
            Self::Planned { cluster } => (cannot_start(cluster), vec![planned(cluster)]),
            Self::Declined { cluster, why, advice } => (
                format!("The cluster {cluster} was not started. Nothing was made."),
                vec![Parts::new("the start of the stack", format!("CloudFormation refused it: {}", shown(why)), advice.to_string())],
            ),
            _ => Default::default(),
        }
    }

    fn failed_removal(&self) -> (String, Vec<Parts>) {
        match self {
            Self::Stuck { cluster, was_made, causes, remains } => {
                let mut problems: Vec<Parts> = causes.iter().map(Cause::of_creation).collect();
                problems.extend(remains.parts(&again(cluster)));
                let what = if *was_made {
                    "could not be removed wholly"
                } else {
                    "could not be made, and what was made of it could not be removed wholly"
                };
                (format!("The cluster {cluster} {what}. What is left may still cost money."), problems)
            }
            Self::Undeletable { cluster, stack, why, is_protected, creation, left } => {
                let next = if *is_protected { unprotect(cluster, stack) } else { Advice::AdministratorKnows.to_string() };
                let refused = Parts::new("the removal of its stack", format!("CloudFormation refused it: {}", shown(why)), next);
                let of_creation = creation.iter().flat_map(FailedCreation::parts);
                let problems = of_creation.chain([refused]).chain(left.iter().map(|cause| cause.of_removal(&again(cluster)))).collect();
                let headline = match creation {
                    None => not_removed(cluster),
                    Some(FailedCreation { is_cleared: true, .. }) => format!(
                        "The cluster {cluster} could not be made. What was made of it has been removed, but its stack could not be, and \
                         holds the name."
                    ),
                    Some(_) => format!(
                        "The cluster {cluster} could not be made, and what was made of it could not be removed. What is left may still cost \
                         money."
                    ),
                };
                (headline, problems)
            }
            _ => Default::default(),
        }
    }
}
