//! The mails to the administrator. Plain text; nothing of a user's is in them but checked names, what nodes report (in quotes), and what AWS says of a failure,
//! which may hold the output of a user's scripts: on one line, without control characters, bounded.

use std::fmt;

use jiff::Timestamp;

use super::Message;
use super::failure::encoded;
use crate::key::UploadKey;
use crate::ledger::MailKind;
use crate::names::{Cluster, StackName};
use crate::plain::{SENT_MAX, SHOWN_MAX, plain};

/// A mail: one piece of news of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Which cluster.
    pub cluster: Cluster,
    /// Its stack.
    pub stack: StackName,
    /// The deployment.
    pub deployment: String,
    /// What is new.
    pub news: News,
}

/// What a mail reports.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum News {
    /// A cluster is ready.
    Ready {
        /// Its address.
        login: String,
        /// The file that asked for it.
        asked_by: UploadKey,
        /// When that was accepted.
        accepted: Timestamp,
    },
    /// A cluster's stack is complete and has no address.
    NoLogin {
        /// The file that asked for it.
        asked_by: UploadKey,
    },
    /// A cluster could not be made.
    Failed {
        /// The file that asked for it.
        asked_by: UploadKey,
        /// What was answered to its user.
        answer: Message,
        /// What that leaves out.
        full: Full,
    },
    /// S3 does not give a file out.
    Unreadable {
        /// Which.
        file: UploadKey,
        /// What was answered to its user.
        answer: Message,
    },
    /// A cluster is gone, as its user asked.
    Gone,
    /// A cluster is gone, and its user did not ask for that.
    Removed,
    /// A cluster could not be removed.
    Stuck {
        /// What was answered to its user.
        answer: Message,
        /// What that leaves out.
        full: Full,
    },
    /// A stack that is not ours has a name that a cluster needs.
    Occupied,
}

/// What a user's answer leaves out: AWS's words where they are long, how to decode what AWS has encoded, and which lists could not
/// be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Full {
    /// What failed, and AWS's words.
    pub reasons: Vec<(String, String)>,
    /// Lists that could not be read, and why.
    pub unread: Vec<String>,
}

/// So many of AWS's reasons are sent in full.
const REASONS_MAX: usize = 8;

/// What `aws sts decode-authorization-message` takes (STS API reference).
const ENCODED_MAX: usize = 10_240;

impl Mail {
    /// Which news it is.
    pub const fn kind(&self) -> MailKind {
        match self.news {
            News::Ready { .. } => MailKind::Ready,
            News::NoLogin { .. } | News::Failed { .. } => MailKind::Failed,
            News::Unreadable { .. } => MailKind::Unreadable,
            News::Gone | News::Removed => MailKind::Gone,
            News::Stuck { .. } => MailKind::Stuck,
            News::Occupied => MailKind::Occupied,
        }
    }

    /// Its name in logs and counts.
    pub fn name(&self) -> &'static str {
        (&self.news).into()
    }

    /// One line.
    pub fn subject(&self) -> String {
        let news = match &self.news {
            News::Ready { .. } => "is ready",
            News::NoLogin { .. } => "has no login address",
            News::Failed { .. } => "has failed",
            News::Unreadable { .. } => "cannot be read",
            News::Gone | News::Removed => "is gone",
            News::Stuck { .. } => "could not be deleted",
            News::Occupied => "cannot be started: its stack's name is taken",
        };
        format!("clusterdrop: {} {news}", self.cluster)
    }

    /// The text.
    pub fn body(&self) -> String {
        let Self { cluster: Cluster { user, name }, stack, deployment, news } = self;
        format!("{news}\n\nUser: {user}\nCluster: {name}\nStack: {stack}\nDeployment: {deployment}\n")
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { login, asked_by, accepted } => {
                write!(f, "The cluster is ready; its login address is {login}.\nAsked for by {asked_by} and accepted at {accepted}.")
            }
            Self::NoLogin { asked_by } => {
                write!(f, "The stack is complete and has no login address. It runs, and costs money.\nAsked for by {asked_by}.")
            }
            Self::Failed { asked_by, answer, full } => {
                write!(f, "The cluster could not be made. Asked for by {asked_by}.\nThe user was told:\n\n{answer}{full}")
            }
            Self::Unreadable { file, answer } => write!(
                f,
                "S3 does not give out the file {file}. If it is not its user's doing, look at the bucket's policy and at its KMS key.\n\
                 No other mail tells of such a file of this user within a day.\n\
                 The user was told:\n\n{answer}"
            ),
            Self::Gone => f.write_str("The cluster was removed, as its user asked."),
            Self::Removed => {
                f.write_str("The cluster's stack is gone, and its user did not ask for that: somebody removed it by other means.")
            }
            Self::Stuck { answer, full } => {
                write!(f, "The cluster could not be deleted. What is left may still cost money.\nThe user was told:\n\n{answer}{full}")
            }
            Self::Occupied => f.write_str(
                "A stack that is not a cluster of this deployment bears the name that this cluster needs. It was not touched.\n\
                 Look at its tags: either somebody made it by hand, or another deployment uses the same prefix.",
            ),
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, reason) in self.reasons.iter().take(REASONS_MAX) {
            let (shown, sent) = (plain(reason, SHOWN_MAX), plain(reason, SENT_MAX));
            let encoded = encoded(reason).filter(|blob| blob.len() <= ENCODED_MAX);
            if shown != sent || encoded.is_some() {
                write!(f, "\n{}, in full:\n{sent}\n", plain(what, SHOWN_MAX))?;
            }
            if let Some(blob) = encoded {
                write!(f, "\nTo decode it:\naws sts decode-authorization-message --encoded-message {blob}\n")?;
            }
        }
        self.unread.iter().take(REASONS_MAX).try_for_each(|why| write!(f, "\nNot read: {}\n", plain(why, SHOWN_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_has_encoded_comes_whole_with_the_command_that_decodes_it() {
        let blob = "aLkVu5EePoZy9IiTs3CbMmXw7GfQq1A_KjUu5EdOnYy9IhSr2CbMlWv6GfQp0z-".repeat(40);
        let reason = format!("You are not authorized. Encoded authorization failure message: {blob}");
        let text = Full { reasons: vec![("LoginNode".into(), reason)], unread: vec![] }.to_string();
        assert!(text.contains(&format!("\naws sts decode-authorization-message --encoded-message {blob}\n")), "{text}");
    }
}
