//! What people do, done.

use cf_core::key::Verb;
use cf_core::names::User;
use cf_core::stack::{Stack, StackId, StackState, StackStatus};
use cf_core::testing;

use super::dice::under;
use super::fault_plan::FaultKind;
use super::run::Run;
use super::script::Step;
use crate::cloudformation::Fate;
use crate::s3::Bucket;
use crate::world::State;

/// Carries out one line of the script; `key` tells its dice apart.
pub fn carry_out(run: &mut Run<'_, '_>, step: &Step, key: u64) {
    let stage = run.stage;
    match step {
        Step::Drop { key: at, body } => {
            stage.tell(|| format!("somebody drops {at} ({body:?})"));
            {
                let mut world = stage.world.state();
                let now = world.now;
                world.store.put(Bucket::User, at, &body.bytes(), now);
                let is_withheld = stage.strikes(FaultKind::Withheld, key);
                if is_withheld {
                    world.store.withhold(Bucket::User, at);
                }
                stage.inner().oracle.put(at, Some(*body), &world);
            }
            if Verb::ALL.iter().any(|verb| at.ends_with(verb.suffix())) {
                run.tell_of_upload(at.clone(), key);
            }
        }
        Step::Remove { key: at } => {
            stage.tell(|| format!("somebody removes {at}"));
            stage.world.state().store.delete(Bucket::User, at);
            stage.inner().oracle.withdrawn(at);
        }
        Step::ToggleProfile { user } => toggle_profile(run, user),
        Step::TakeName { user, cluster } => take_name(run, user, cluster),
        Step::RemoveStack | Step::ChangeStack | Step::ProtectStack | Step::UnprotectStack | Step::MendStack => by_hand(run, step, key),
    }
}

fn toggle_profile(run: &Run<'_, '_>, user: &str) {
    let mut state = run.stage.world.state();
    let (at, now) = (format!("customizer/{user}/configure.d/user.sh"), state.now);
    if state.store.get(Bucket::Customizer, &at).is_some() {
        state.store.delete(Bucket::Customizer, &at);
        run.stage.inner().oracle.without_profile.extend(User::parse(user));
    } else {
        state.store.put(Bucket::Customizer, &at, b"#!/bin/sh\n", now);
    }
}

/// Somebody's stack of the name that a cluster needs: it bears no tag of ours.
fn take_name(run: &Run<'_, '_>, user: &str, cluster: &str) {
    let name = run.stage.world.settings.stack_name(&testing::cluster(user, cluster));
    let mut state = run.stage.world.state();
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
    run.stage.tell(|| format!("somebody makes a stack {}", name.as_str()));
    state.stacks.plant(stack, Fate::Succeeds, "by-hand", now);
}

/// The stacks that the administrator would look at for this.
fn candidates(state: &State, step: &Step) -> Vec<usize> {
    let fits = |nth: &usize| {
        let stack = &state.stacks.all()[*nth];
        match step {
            Step::ChangeStack | Step::ProtectStack => stack.stack.status.state() == StackState::Standing,
            Step::UnprotectStack => stack.fate == Fate::Protected,
            Step::MendStack => matches!(stack.fate, Fate::DeleteFails | Fate::RollbackFails),
            _ => !matches!(stack.stack.status.state(), StackState::Gone | StackState::Leaving),
        }
    };
    (0..state.stacks.all().len()).filter(fits).collect()
}

fn by_hand(run: &Run<'_, '_>, step: &Step, key: u64) {
    const CHANGES: [StackStatus; 4] =
        [StackStatus::UpdateInProgress, StackStatus::UpdateRollbackInProgress, StackStatus::ImportInProgress, StackStatus::Unknown];
    let (stage, dice) = (run.stage, run.stage.dice);
    let mut world = stage.world.state();
    let candidates = candidates(&world, step);
    if candidates.is_empty() {
        return;
    }
    let pick = |part: u64, most: usize| usize::try_from(dice.below(under(key, part), most as u64)).unwrap_or(0);
    let nth = candidates[pick(1, candidates.len())];
    let (id, now) = (world.stacks.all()[nth].stack.id.clone(), world.now);
    stage.tell(|| format!("the administrator: {step:?}, {}", id.name().unwrap_or_default()));
    match step {
        Step::ChangeStack => world.stacks.set_status(&id, CHANGES[pick(2, CHANGES.len())], now),
        Step::ProtectStack => world.stacks.doom(nth, Fate::Protected),
        Step::UnprotectStack | Step::MendStack => world.stacks.doom(nth, Fate::Succeeds),
        _ => {
            if world.stacks.delete(&id, now).is_ok() {
                stage.inner().oracle.by_hand.insert(id);
            }
        }
    }
}
