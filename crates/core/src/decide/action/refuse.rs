//! Uploads that change nothing: each gets its answer and goes.

use super::super::builder::Builder;
use super::super::compose;
use super::super::state::differences;
use super::super::table::Action;
use crate::body::Body;
use crate::effect::Effect;
use crate::key::Verb;
use crate::message::{Message, News, Problem};
use crate::snapshot::Upload;

/// Removes uploads whose requests have their answers already.
pub fn remove_settled(b: &mut Builder<'_>, uploads: &[&Upload]) -> Action {
    for upload in uploads {
        b.effects.push(Effect::RemoveUpload { key: (&upload.key).into(), etag: upload.etag.clone() });
    }
    b.look_again = b.snapshot.uploads.len() > 1;
    Action::RemoveSettled
}

/// Answers an upload of a verb that changes nothing.
pub fn answer_aside(b: &mut Builder<'_>, upload: &Upload, message: &Message) -> Action {
    refuse(b, upload, message);
    Action::AnswerAside
}

/// Answers a create that breaks the rules.
pub fn refuse_invalid(b: &mut Builder<'_>, create: &Upload, problems: &[Problem]) -> Action {
    refuse_create(b, create, problems.to_vec());
    Action::RefuseInvalid
}

/// Answers an upload that is one too many.
pub fn refuse_too_many(b: &mut Builder<'_>, upload: &Upload) -> Action {
    let problem = Problem::Crowded { key: upload.key.clone() };
    if upload.key.verb.spec().reads_body {
        refuse_create(b, upload, vec![problem]);
    } else {
        refuse(b, upload, &Message::NotRemoved { cluster: compose::name(b.snapshot), problem });
    }
    Action::RefuseTooMany
}

/// A create that S3 does not give out is reported to the administrator too: the cause may be the bucket's policy, or its key's.
fn refuse_create(b: &mut Builder<'_>, create: &Upload, problems: Vec<Problem>) {
    let message = Message::Refused { cluster: compose::name(b.snapshot), problems };
    let claimed = matches!(create.body, Body::Unreadable(_)) && b.claim_unreadable(create);
    b.write_ledger();
    b.answer(&create.key, &message);
    if claimed {
        b.mail(News::Unreadable { file: create.key.clone(), answer: message });
    }
    b.settle(&create.request);
    b.close();
}

fn refuse(b: &mut Builder<'_>, upload: &Upload, message: &Message) {
    b.write_ledger();
    b.answer_and_settle(upload, message);
    b.close();
}

/// Answers a create that a delete supersedes. Where both are of one second, that stays until the next create is accepted: the
/// receipt of the delete alone would say nothing of the create.
pub fn answer_superseded_create(b: &mut Builder<'_>, create: &Upload, delete: Option<&Upload>) -> Action {
    let tied = b.tie(create, delete);
    let message = compose::withdrawn(b.snapshot, tied.as_ref());
    b.entry.tied = tied;
    refuse(b, create, &message);
    Action::AnswerSupersededCreate
}

/// Answers a delete that a later create supersedes. Others may wait for their end.
pub fn answer_superseded_delete(b: &mut Builder<'_>, delete: &Upload) -> Action {
    refuse(b, delete, &Message::Overtaken { cluster: compose::name(b.snapshot) });
    Action::AnswerSupersededDelete
}

/// Answers the create at hand, which the delete at hand supersedes.
pub fn answer_superseded_create_at_hand(b: &mut Builder<'_>) {
    if let Some(create) = b.create {
        answer_superseded_create(b, create, b.delete);
    }
}

/// Answers the delete at hand, which the create at hand supersedes.
pub fn answer_superseded_delete_at_hand(b: &mut Builder<'_>) {
    if let Some(delete) = b.delete {
        answer_superseded_delete(b, delete);
    }
}

pub fn refuse_differing(b: &mut Builder<'_>) {
    let Some(create) = b.create else { return };
    let differences = differences(b.snapshot, &b.entry, &b.choices);
    refuse(b, create, &compose::differs(b.snapshot, differences));
}

/// The name is held by what could not be deleted: none of the creates can come true.
pub fn refuse_leftover(b: &mut Builder<'_>) {
    let message = compose::leftover(b.snapshot);
    refuse_all(b, &message);
}

/// The name is held by a change set that nobody has executed.
pub fn refuse_planned(b: &mut Builder<'_>) {
    let message = Message::Planned { cluster: compose::name(b.snapshot) };
    refuse_all(b, &message);
}

fn refuse_all(b: &mut Builder<'_>, message: &Message) {
    let owed = b.owed(Verb::Create, b.create);
    b.write_ledger();
    for open in &owed {
        b.answer(&open.key, message);
        b.settle(&open.request);
    }
    b.close();
}

/// A stack that is not ours has the name. Nothing was accepted, so no state changes.
pub fn refuse_occupied(b: &mut Builder<'_>) {
    let message = Message::Occupied { cluster: compose::name(b.snapshot) };
    let owed = b.owed(Verb::Create, b.create);
    let claimed = b.claim_occupied(&owed);
    b.write_ledger();
    for open in &owed {
        b.answer(&open.key, &message);
    }
    if claimed {
        b.mail(News::Occupied);
    }
    for open in &owed {
        b.settle(&open.request);
    }
    b.close();
}
