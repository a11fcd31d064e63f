//! What one round observes of one cluster. A decision is made from this alone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::body::Body;
use crate::causes::Causes;
use crate::fault::{Fault, Kind};
use crate::key::{Answer, AnswerKey, StatusKey, UploadKey};
use crate::ledger::{Entry, FirstSeen, Ledger, RequestTime};
use crate::names::Cluster;
use crate::node_report::TEXT_CHARS_MAX;
use crate::node_reports::ObservedReports;
use crate::plain::plain;
use crate::profile::Profile;
use crate::request::{ETag, RequestId};
use crate::settings::Settings;
use crate::stack::Stack;
use crate::status::{Progress, Status};

/// The output with the command to log in. The founding template had it under this name, and portals read it.
pub const ACCESS_COMMAND: &str = "AccessCommand";

/// The output with the user's account on the nodes.
pub const USERNAME: &str = "Username";

/// All that one round observes of one cluster.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// When it was taken.
    pub now: Timestamp,
    /// The deployment.
    pub settings: &'a Settings,
    /// Which cluster.
    pub cluster: Cluster,
    /// Its user's ledger.
    pub ledger: Ledger,
    /// The ledger's version; `None` where the user has none yet.
    pub ledger_etag: Option<ETag>,
    /// The uploads that are there.
    pub uploads: Vec<Upload>,
    /// The answers that are in the folders concerned, and their versions.
    pub answers: BTreeMap<AnswerKey, ETag>,
    /// The status files there, and their versions.
    pub statuses: BTreeMap<StatusKey, ETag>,
    /// What the status file beside the accepted create says.
    pub status_file: Option<Status>,
    /// The stack.
    pub stack: ObservedStack,
    /// The user's profile; without a script in it there is no cluster.
    pub profile: Profile,
    /// Whether the service role and the boundary are an earlier deployment's and not known to be up to date; asked where a create has
    /// to meet the rules.
    pub is_foundation_old: bool,
    /// Why the stack failed and what is left of it; read only if the action reports it.
    pub causes: Causes,
    /// Resources finished; read only while a stack is being made, and missing where the list could not be read.
    pub progress: Option<Progress>,
    /// What its nodes report; read only where it may be shown.
    pub reports: ObservedReports,
    /// An effect of this pass's last plan that will never succeed.
    pub refusal: Option<Refusal>,
}

/// An upload that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where.
    pub key: UploadKey,
    /// Its version, for the conditional removal.
    pub etag: ETag,
    /// Which request it is.
    pub request: RequestId,
    /// S3's time, in whole seconds.
    pub modified: Timestamp,
    /// Its content, where its verb has any.
    pub body: Body,
    /// Whether S3 does not give it out; it may not let it be removed either, for a conditional removal reads it.
    pub is_withheld: bool,
}

/// The stack as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedStack {
    /// None of this name or id.
    Absent,
    /// One that bears our name and not our tags.
    Foreign,
    /// This cluster's.
    Ours(Box<Stack>),
}

/// A call that was refused for good: the next decision takes it into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `CloudFormation` would not start the stack.
    Create(Fault),
    /// `CloudFormation` would not delete the stack.
    Delete(Fault),
}

impl Refusal {
    /// Whether the token of a creation was used before.
    pub const fn is_token_used(&self) -> bool {
        matches!(self, Self::Create(Fault { kind: Kind::TokenUsed, .. }))
    }
}

impl Snapshot<'_> {
    /// What is written of this cluster.
    pub fn entry(&self) -> Entry {
        self.ledger.entry(&self.cluster.name)
    }

    /// The stack, if it is this cluster's.
    pub fn stack(&self) -> Option<&Stack> {
        match &self.stack {
            ObservedStack::Ours(stack) => Some(stack),
            ObservedStack::Absent | ObservedStack::Foreign => None,
        }
    }

    /// The revision in which this look's pass notes what it sees for the first time.
    pub const fn revision(&self) -> u64 {
        self.ledger.revision + 1
    }

    /// When the request of an upload was made, as far as that is known.
    pub fn request_time(&self, entry: &Entry, upload: &Upload) -> RequestTime {
        let known = entry.open.iter().find(|o| o.request == upload.request);
        let seen = known.map_or(self.revision(), |open| open.seen);
        RequestTime { at: upload.modified, sighting: Some(FirstSeen { folder: upload.key.folder.clone(), seen }) }
    }

    /// Whether an upload has its answer, and S3 may not let it be removed.
    pub fn is_left_over(&self, upload: &Upload) -> bool {
        let answered = self.ledger.clusters.get(&self.cluster.name).is_some_and(|entry| entry.has_answered(&upload.request));
        upload.is_withheld && answered
    }

    /// The uploads that are left over.
    pub fn left_over(&self) -> impl Iterator<Item = &Upload> {
        self.uploads.iter().filter(|upload| self.is_left_over(upload))
    }

    /// The login address among the stack's outputs.
    pub fn login(&self) -> Option<&str> {
        let output = self.stack()?.outputs.get(&self.settings.template.metadata.login_output)?;
        Some(output.trim()).filter(|address| !address.is_empty())
    }

    /// How to log in at this address, by the stack's outputs: a command that names it, or else one of the account's name. A template of
    /// the site's own may have neither.
    pub fn login_command(&self, login: &str) -> Option<String> {
        let output = |name: &str| Some(plain(self.stack()?.outputs.get(name)?, TEXT_CHARS_MAX)).filter(|text| !text.is_empty());
        let at = format!("@{login}");
        let command = output(ACCESS_COMMAND).filter(|command| command.split(' ').any(|word| word.ends_with(&at)));
        command.or_else(|| output(USERNAME).map(|account| format!("ssh {account}{at}")))
    }

    /// The ETag of an answer beside an upload, where there is one.
    pub fn answer_etag(&self, key: &UploadKey, answer: Answer) -> Option<&ETag> {
        self.answers.get(&key.answer(answer))
    }
}
