//! What a run did, effect by effect and without words, so that two builds can be compared: from one seed they must do the same.

use cf_core::effect::{Effect, Expect};
use cf_core::fault::Fault;
use cf_core::status::Status;

/// One effect that reached AWS: when, what, and how that ended. The texts of answers, mails and states are left out, for words may
/// change where the behaviour does not.
pub fn line<T>(at: i64, effect: &Effect, done: &Result<T, Fault>) -> String {
    let ended = done.as_ref().map_or_else(|fault| format!("{:?}", fault.kind), |_| "done".to_owned());
    format!("{} {at} -> {ended}", without_words(effect))
}

fn without_words(effect: &Effect) -> String {
    let version = |expect: &Expect| match expect {
        Expect::Absent => "absent".to_owned(),
        Expect::OwnWrite => "mine".to_owned(),
        // The version of a text is a hash of its words.
        Expect::Is(_) => "seen".to_owned(),
    };
    match effect {
        Effect::WriteLedger { user, ledger, expect } => {
            format!("ledger {user} {} {}", serde_json::to_string(ledger).unwrap_or_default(), version(expect))
        }
        Effect::CreateStack(new) => {
            format!("create {} {} {:?} {:?} {}", new.name.as_str(), new.token, new.parameters, new.tags, new.template)
        }
        Effect::DeleteStack { id } => format!("delete {id}"),
        Effect::WriteStatus { key, status, expect } => {
            let Status { cluster, state, message: _, progress, login, login_command, types, reported, stack, request, since, updated } =
                status;
            let what = (cluster, state, progress, login, login_command, types, reported, stack, request, since, updated);
            format!("status {key} {what:?} {}", version(expect))
        }
        Effect::WriteAnswer { key, expect, .. } => format!("answer {key} {}", version(expect)),
        Effect::RemoveAnswer { key, .. } => format!("forget {key}"),
        Effect::RemoveUpload { key, etag } => format!("upload {key} {etag:?}"),
        Effect::SendMail(mail) => format!("mail {:?}", mail.kind()),
        Effect::WriteLedgerCache(seen) => format!("seen {}", seen.len()),
        Effect::WriteFirstHour { expect, .. } => format!("hour {}", version(expect)),
        Effect::WriteProbe => "probe".to_owned(),
    }
}
