//! Starting a stack.

use super::super::builder::Builder;
use super::end;
use crate::effect::{Effect, NewStack};
use crate::ledger::{Accepted, Entry, Phase};
use crate::message::StateText;
use crate::stack::tags;
use crate::status::State;

/// Accepts a create and starts its stack.
pub fn start(b: &mut Builder<'_>) {
    let Some(upload) = b.create else { return };
    let entry = Entry {
        open: std::mem::take(&mut b.entry.open),
        answered: std::mem::take(&mut b.entry.answered),
        left_over: std::mem::take(&mut b.entry.left_over),
        mails: std::mem::take(&mut b.entry.mails),
        last_create: b.entry.last_create,
        last_delete: b.entry.last_delete,
        last_create_seen: b.entry.last_create_seen.take(),
        last_delete_seen: b.entry.last_delete_seen.take(),
        phase: Phase::Creating { since: b.snapshot.now },
        accepted: Some(Accepted {
            request: upload.request.clone(),
            key: upload.key.clone(),
            at: b.snapshot.now,
            parameters: b.choices.clone(),
            defaults: b.snapshot.settings.region.defaults_beside(&b.choices),
        }),
        ..Entry::default()
    };
    b.entry = entry;
    b.join(upload);
    b.write_ledger();
    b.remove_answers(&upload.key, &[]);
    create_stack(b);
    b.status(State::Creating, StateText::Starting, None);
}

/// After this long without a stack, `.cf-status` says so: by then Lambda's own attempts are over.
const REPORT_DELAY_SECONDS: i64 = 600;

/// Starts the stack of an accepted create again.
pub fn resume(b: &mut Builder<'_>) {
    let Some(accepted) = b.entry.accepted.clone() else {
        // Recovered from a stack that is not to be found any more, not even by its id: CloudFormation forgets after 90 days.
        return end::close_failed(b);
    };
    // Every attempt has its own line in the ledger: how long a lost one may still be on its way is counted from it.
    b.entry.phase = Phase::Creating { since: b.snapshot.now };
    b.write_ledger();
    // Before the call: where it fails again, nothing is written after it.
    if b.snapshot.now.as_second() - accepted.at.as_second() >= REPORT_DELAY_SECONDS {
        b.status(State::Creating, StateText::NotTaken { since: accepted.at }, None);
    }
    create_stack(b);
    b.status(State::Creating, StateText::Starting, None);
}

fn create_stack(b: &mut Builder<'_>) {
    let (settings, cluster) = (b.snapshot.settings, &b.snapshot.cluster);
    let Some(accepted) = &b.entry.accepted else { return };
    let mut parameters = accepted.defaults.clone();
    parameters.extend(accepted.parameters.clone());
    // The system's values last: nothing that a user wrote can stand in their place.
    let choices = parameters.clone();
    for (name, value) in &settings.template.metadata.system_parameters {
        parameters.insert(name.clone(), settings.system_value(*value, &accepted.key, &accepted.request, &choices));
    }
    b.effects.push(Effect::CreateStack(Box::new(NewStack {
        name: settings.stack_name(cluster),
        token: accepted.request.token("create"),
        parameters,
        tags: tags(cluster, &accepted.request, &settings.deployment),
        template: settings.template.key(),
    })));
}
