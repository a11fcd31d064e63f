//! Everything that clusterdrop may do to the world. This enum is the whole list.

use std::collections::BTreeMap;
use std::fmt;

use crate::fault::Fault;
use crate::first_hour::{FirstHour, PROBE};
use crate::key::{AnswerKey, RequestFileKey, StatusKey};
use crate::ledger::Ledger;
use crate::ledger_cache::LedgerCache;
use crate::message::{Mail, Message, StateText};
use crate::names::{StackName, User};
use crate::request::ETag;
use crate::settings::Right;
use crate::stack::StackId;
use crate::status::Status;

/// One thing to do. Each may run twice, or run and lose its answer, without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Change what is owed to a user. Every plan that gives an answer, or creates or deletes a stack, begins with this.
    WriteLedger {
        /// Whose.
        user: User,
        /// The new content.
        ledger: Ledger,
        /// What must be there for the write to happen.
        expect: Expect,
    },
    /// Start a stack. The token makes a second call for the same request harmless.
    CreateStack(Box<NewStack>),
    /// Start the removal of a stack, by id.
    DeleteStack {
        /// Which.
        id: StackId,
    },
    /// Write the status file.
    WriteStatus {
        /// The key of the status file.
        key: StatusKey,
        /// Its content.
        status: Status<StateText>,
        /// What must be there for the write to happen.
        expect: Expect,
    },
    /// Give a final answer.
    WriteAnswer {
        /// The key of the answer.
        key: AnswerKey,
        /// What it says.
        message: Message,
        /// What must be there for the write to happen.
        expect: Expect,
    },
    /// Remove an answer that is out of date.
    RemoveAnswer {
        /// The key of the answer.
        key: AnswerKey,
        /// Only this one.
        etag: ETag,
    },
    /// Remove an upload that has its answer. By `ETag`, never by version id: that would uncover an older version.
    RemoveUpload {
        /// The key of the upload.
        key: RequestFileKey,
        /// Only this one.
        etag: ETag,
    },
    /// Write to the administrator. Its failure stops nothing, and is counted.
    SendMail(Mail),
    /// Write the cache of ledgers for the next sweep. No plan does this; a sweep does. Its failure stops nothing.
    WriteLedgerCache(LedgerCache),
    /// Write how far the first hour of a trigger is. No plan does this; a deployment and a sweep do.
    WriteFirstHour {
        /// The new record.
        record: FirstHour,
        /// What must be there for the write to happen.
        expect: Expect,
    },
    /// Put the probe whose event shows that S3 reports uploads. No plan does this; a deployment and a sweep do.
    WriteProbe,
}

impl Effect {
    /// The key of the file in the user bucket that it writes or removes, if it does.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::WriteStatus { key, .. } => Some(key),
            Self::WriteAnswer { key, .. } | Self::RemoveAnswer { key, .. } => Some(key),
            Self::RemoveUpload { key, .. } => Some(key),
            Self::WriteProbe => Some(PROBE),
            Self::WriteLedger { .. }
            | Self::CreateStack(_)
            | Self::DeleteStack { .. }
            | Self::SendMail(_)
            | Self::WriteLedgerCache(_)
            | Self::WriteFirstHour { .. } => None,
        }
    }

    /// The right that only some functions have, without which it is not carried out.
    pub const fn right(&self) -> Option<Right> {
        match self {
            Self::CreateStack(_) => Some(Right::CreateStack),
            Self::DeleteStack { .. } => Some(Right::DeleteStack),
            Self::WriteLedger { .. }
            | Self::WriteStatus { .. }
            | Self::WriteAnswer { .. }
            | Self::RemoveAnswer { .. }
            | Self::RemoveUpload { .. }
            | Self::SendMail(_)
            | Self::WriteLedgerCache(_)
            | Self::WriteFirstHour { .. }
            | Self::WriteProbe => None,
        }
    }
}

/// What must be at a key for a write to happen. Where something else is there, that is a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// This version.
    Is(ETag),
    /// What an earlier effect of the same plan wrote there.
    OwnWrite,
}

impl Expect {
    /// What was seen is what must still be there.
    pub fn seen(etag: Option<&ETag>) -> Self {
        etag.map_or(Self::Absent, |etag| Self::Is(etag.clone()))
    }
}

/// A stack to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStack {
    /// Its name.
    pub name: StackName,
    /// The operation's token.
    pub token: String,
    /// Every parameter that does not keep its default.
    pub parameters: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The template's key in the system bucket.
    pub template: String,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteLedger { user, ledger, expect } => write!(f, "write the ledger of {user}, revision {} {expect}", ledger.revision),
            Self::CreateStack(stack) => write!(f, "create the stack {} ({})", stack.name, stack.token),
            Self::DeleteStack { id } => write!(f, "delete the stack {}", id.name().unwrap_or(&id.0)),
            Self::WriteStatus { key, status, expect } => {
                write!(f, "write the status {:?} ({}) in {key}", status.state, <&str>::from(&status.message))?;
                if let Some(p) = status.progress {
                    write!(f, " ({}/{})", p.done, p.total)?;
                }
                write!(f, " {expect}")
            }
            Self::WriteAnswer { key, message, expect } => write!(f, "answer {} in {key} {expect}", message.name()),
            Self::RemoveAnswer { key, .. } => write!(f, "remove the old answer {key}"),
            Self::RemoveUpload { key, .. } => write!(f, "remove the upload {key}"),
            Self::SendMail(mail) => write!(f, "mail {} of {}", mail.name(), mail.cluster),
            Self::WriteLedgerCache(seen) => write!(f, "write the cache of {} ledgers", seen.len()),
            Self::WriteFirstHour { expect, .. } => write!(f, "write the record of the first hour {expect}"),
            Self::WriteProbe => f.write_str("put the probe"),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("(if absent)"),
            Self::Is(_) => f.write_str("(if unchanged)"),
            Self::OwnWrite => f.write_str("(after this plan's write)"),
        }
    }
}

/// What carries effects out: AWS, or a world in memory.
pub trait Execute: Sync {
    /// Carries one effect out; returns the new version where something was written.
    fn execute(&self, effect: &Effect) -> impl Future<Output = Result<Option<ETag>, Fault>> + Send;
}

impl<W: Execute> Execute for &W {
    async fn execute(&self, effect: &Effect) -> Result<Option<ETag>, Fault> {
        (**self).execute(effect).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::*;

    struct Counts(AtomicUsize);

    impl Execute for Counts {
        async fn execute(&self, _: &Effect) -> Result<Option<ETag>, Fault> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Some(ETag("\"e\"".into())))
        }
    }

    #[test]
    fn an_effect_through_a_reference_is_carried_out() {
        let world = Counts(AtomicUsize::new(0));
        let done = Execute::execute(&&world, &Effect::WriteProbe).now_or_never();
        assert_eq!(done.and_then(Result::ok).flatten(), Some(ETag("\"e\"".into())));
        assert_eq!(world.0.load(Ordering::Relaxed), 1);
    }
}
