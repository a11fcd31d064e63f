//! The mails to the administrator, by situation. Plain text; nothing of a user's stands in them but checked names, and what AWS
//! says of a failure, which may hold the output of a user's scripts: on one line, without control characters, bounded.

use std::fmt::Write as _;

use super::failures;
use crate::effect::Mail;
use crate::facts::{Facts, Setback, Upload};
use crate::ledger::{Accepted, MailKind};
use crate::plain::{SENT_MAX, SHOWN_MAX, plain};

/// So many of AWS's reasons are sent in full.
const REASONS_MAX: usize = 8;

/// What `aws sts decode-authorization-message` takes (STS API reference).
const ENCODED_MAX: usize = 10_240;

fn mail(facts: &Facts<'_>, kind: MailKind, news: &str, body: &str) -> Mail {
    let stack = facts.site.stack_name(&facts.cluster);
    let details =
        format!("User: {}\nCluster: {}\nStack: {stack}\nDeployment: {}\n", facts.cluster.user, facts.cluster.name, facts.site.deployment);
    Mail { kind, subject: format!("clusterdrop: {} {news}", facts.cluster), body: format!("{body}\n\n{details}") }
}

pub fn ready(facts: &Facts<'_>, accepted: &Accepted) -> Mail {
    let login = facts.login().unwrap_or_default();
    let body =
        format!("The cluster is ready; its login address is {login}.\nAsked for by {} and accepted at {}.", accepted.key, accepted.at);
    mail(facts, MailKind::Ready, "is ready", &body)
}

pub fn no_login(facts: &Facts<'_>, accepted: &Accepted) -> Mail {
    let body = format!("The stack is complete and has no login address. It runs, and costs money.\nAsked for by {}.", accepted.key);
    mail(facts, MailKind::Failed, "has no login address", &body)
}

pub fn failed(facts: &Facts<'_>, accepted: &Accepted, told: &str) -> Mail {
    let whole = whole(facts);
    let body = format!("The cluster could not be made. Asked for by {}.\nThe user was told:\n\n{told}{whole}", accepted.key);
    mail(facts, MailKind::Failed, "has failed", &body)
}

pub fn unreadable(facts: &Facts<'_>, upload: &Upload, told: &str) -> Mail {
    let body = format!(
        "S3 does not give out the file {}. If it is not its user's doing, look at the bucket's policy and at its KMS key.\n\
         No other mail tells of such a file of this user within a day.\n\
         The user was told:\n\n{told}",
        upload.key
    );
    mail(facts, MailKind::Unreadable, "cannot be read", &body)
}

/// What the user's answer leaves out: AWS's words where they are long, how to decode what AWS has encoded, and which lists could
/// not be read.
fn whole(facts: &Facts<'_>) -> String {
    let refused = match &facts.setback {
        Some(Setback::Create(fault) | Setback::Delete(fault)) => Some(("The stack", fault.why.as_str())),
        None => None,
    };
    let reasons = facts.causes.found.iter().map(|cause| (cause.logical.as_str(), cause.reason.as_str())).chain(refused);
    let mut text = String::new();
    for (what, reason) in reasons.take(REASONS_MAX) {
        let (shown, sent) = (plain(reason, SHOWN_MAX), plain(reason, SENT_MAX));
        let encoded = failures::encoded(reason).filter(|blob| blob.len() <= ENCODED_MAX);
        if shown != sent || encoded.is_some() {
            let _ = write!(text, "\n{}, in full:\n{sent}\n", plain(what, SHOWN_MAX));
        }
        if let Some(blob) = encoded {
            let command = "aws sts decode-authorization-message --encoded-message";
            let _ = write!(text, "\nTo decode it:\n{command} {blob}\n");
        }
    }
    for fault in facts.causes.unread.iter().take(REASONS_MAX) {
        let _ = write!(text, "\nNot read: {}\n", plain(&fault.to_string(), SHOWN_MAX));
    }
    text
}

pub fn gone(facts: &Facts<'_>) -> Mail {
    mail(facts, MailKind::Gone, "is gone", "The cluster was removed, as its user asked.")
}

pub fn removed(facts: &Facts<'_>) -> Mail {
    mail(
        facts,
        MailKind::Gone,
        "is gone",
        "The cluster's stack is gone, and its user did not ask for that: somebody removed it by other means.",
    )
}

pub fn stuck(facts: &Facts<'_>, told: &str) -> Mail {
    let body =
        format!("The cluster could not be deleted. What is left may still cost money.\nThe user was told:\n\n{told}{}", whole(facts));
    mail(facts, MailKind::Stuck, "could not be deleted", &body)
}

pub fn occupied(facts: &Facts<'_>) -> Mail {
    let body = "A stack that is not a cluster of this deployment bears the name that this cluster needs. It was not touched.\n\
                Look at its tags: either somebody made it by hand, or another deployment uses the same prefix.";
    mail(facts, MailKind::Occupied, "cannot be started: its stack's name is taken", body)
}
