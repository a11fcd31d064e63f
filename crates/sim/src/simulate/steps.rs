//! What people do, done.

use cf_core::key::Verb;
use cf_core::names::User;
use cf_core::stack::{Stack, StackId, StackState, StackStatus};
use cf_core::testing;

use super::dice::under;
use super::fault_plan::FaultKind;
use super::run::Run;
use super::script::Step;
use crate::cloudformation::StackBehaviour;
use crate::s3::Bucket;
use crate::world::State;

/// Carries out one line of the script; `key` tells its dice apart.
pub fn carry_out(run: &mut Run<'_, '_>, step: &Step, key: u64) {
    let context = run.context;
    match step {
        Step::Drop { key: at, body } => {
            context.log(|| format!("somebody drops {at} ({body:?})"));
            {
                let mut world = context.world.state();
                let now = world.now;
                world.store.put(Bucket::User, at, &body.bytes(), now);
                let is_withheld = context.injects(FaultKind::GetObjectRefused, key);
                if is_withheld {
                    world.store.withhold(Bucket::User, at);
                }
                context.inner().oracle.put(at, Some(*body), &world);
            }
            if Verb::ALL.iter().any(|verb| at.ends_with(verb.suffix())) {
                run.emit_upload_event(at.clone(), key);
            }
        }
        Step::Remove { key: at } => {
            context.log(|| format!("somebody removes {at}"));
            context.world.state().store.delete(Bucket::User, at);
            context.inner().oracle.withdrawn(at);
        }
        Step::ToggleProfile { user } => toggle_profile(run, user),
        Step::TakeName { user, cluster } => take_name(run, user, cluster),
        Step::RemoveStack | Step::ChangeStack | Step::ProtectStack | Step::UnprotectStack | Step::MendStack => by_hand(run, step, key),
    }
}

fn toggle_profile(run: &Run<'_, '_>, user: &str) {
    let mut state = run.context.world.state();
    let (at, now) = (format!("customizer/{user}/configure.d/user.sh"), state.now);
    if state.store.get(Bucket::Customizer, &at).is_some() {
        state.store.delete(Bucket::Customizer, &at);
        run.context.inner().oracle.without_profile.extend(User::parse(user));
    } else {
        state.store.put(Bucket::Customizer, &at, b"#!/bin/sh\n", now);
    }
}

/// Somebody's stack of the name that a cluster needs: it bears no tag of ours.
fn take_name(run: &Run<'_, '_>, user: &str, cluster: &str) {
    let name = run.context.world.settings.stack_name(&testing::cluster(user, cluster));
    let mut state = run.context.world.state();
    if state.stacks.living(name.as_str()).is_some() {
        return;
    }
    let (now, nth) = (state.now, state.stacks.all().len());
    let id = StackId(format!("arn:aws:cloudformation:eu-west-2:123456789012:stack/{}/foreign-{nth}", name.as_str()));
    let stack = Stack {
        id,
        status: StackStatus::CreateComplete,
        reason: None,
        tags: [].into(),
        parameters: [].into(),
        outputs: [].into(),
        parent: None,
    };
    run.context.log(|| format!("somebody makes a stack {}", name.as_str()));
    state.stacks.plant(stack, StackBehaviour::Succeeds, "by-hand", now);
}

/// The stacks that the administrator would look at for this.
fn candidates(state: &State, step: &Step) -> Vec<usize> {
    let fits = |nth: &usize| {
        let stack = &state.stacks.all()[*nth];
        match step {
            Step::ChangeStack | Step::ProtectStack => stack.stack.status.state() == StackState::Available,
            Step::UnprotectStack => stack.behaviour == StackBehaviour::Protected,
            Step::MendStack => matches!(stack.behaviour, StackBehaviour::DeleteFails | StackBehaviour::RollbackFails),
            _ => !matches!(stack.stack.status.state(), StackState::Deleted | StackState::Deleting),
        }
    };
    (0..state.stacks.all().len()).filter(fits).collect()
}

fn by_hand(run: &Run<'_, '_>, step: &Step, key: u64) {
    const CHANGES: [StackStatus; 4] =
        [StackStatus::UpdateInProgress, StackStatus::UpdateRollbackInProgress, StackStatus::ImportInProgress, StackStatus::Unknown];
    let (context, dice) = (run.context, run.context.dice);
    let mut world = context.world.state();
    let candidates = candidates(&world, step);
    if candidates.is_empty() {
        return;
    }
    let pick = |part: u64, most: usize| usize::try_from(dice.below(under(key, part), most as u64)).unwrap_or(0);
    let nth = candidates[pick(1, candidates.len())];
    let (id, now) = (world.stacks.all()[nth].stack.id.clone(), world.now);
    context.log(|| format!("the administrator: {step:?}, {}", id.name().unwrap_or_default()));
    match step {
        Step::ChangeStack => world.stacks.set_status(&id, CHANGES[pick(2, CHANGES.len())], now),
        Step::ProtectStack => world.stacks.set_behaviour(nth, StackBehaviour::Protected),
        Step::UnprotectStack | Step::MendStack => world.stacks.set_behaviour(nth, StackBehaviour::Succeeds),
        _ => {
            if world.stacks.delete(&id, now).is_ok() {
                context.inner().oracle.by_hand.insert(id);
            }
        }
    }
}
