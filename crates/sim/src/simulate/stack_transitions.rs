//! How stacks go on in their own time, and who hears of it.

use cf_core::reconcile::Wake;
use cf_core::stack::StackStatus;

use super::context::Function;
use super::delivery::Queue;
use super::dice::{named, under};
use super::event_queue::ScheduledEvent;
use super::nodes;
use super::run::Run;
use crate::cloudformation::StackBehaviour;

impl Run<'_, '_> {
    pub(super) fn emit_stack_event(&mut self, nth: usize) {
        let (id, status, turns) = {
            let state = self.context.world.state();
            let stack = &state.stacks.all()[nth];
            (stack.stack.id.clone(), stack.stack.status, stack.history.len())
        };
        self.context.log(|| format!("{} is {status}", id.name().unwrap_or_default()));
        let key = under(under(0x5A, named(&id.0)), turns as u64);
        self.emit(Wake::Stack(id.clone()), Function::Watch, Queue::Lambda, key);
        if status == StackStatus::CreateInProgress {
            self.report.lives += 1;
            self.emit(Wake::Stack(id), Function::Watch, Queue::Progress, under(key, 9));
            nodes::schedule(self, nth, under(key, 10));
        }
        self.schedule_transition(nth);
    }

    /// Lets a stack go on in its own time.
    pub(super) fn schedule_transition(&mut self, nth: usize) {
        let (status, hangs, is_in_motion, key) = {
            let state = self.context.world.state();
            let stack = &state.stacks.all()[nth];
            let hangs = stack.behaviour == StackBehaviour::Hangs && stack.stack.status == StackStatus::CreateInProgress;
            (stack.stack.status, hangs, state.stacks.is_in_motion(nth), under(named(&stack.stack.id.0), stack.history.len() as u64))
        };
        let wait = match status {
            _ if hangs => 600_000 + self.below(key, 3_000_000),
            StackStatus::CreateInProgress => 15_000 + self.below(key, 400_000),
            _ => 5_000 + self.below(key, 150_000),
        };
        if is_in_motion || hangs {
            self.moving += 1;
            self.at(self.now() + wait, ScheduledEvent::StackTransition(nth, status));
        }
    }

    pub(super) fn move_stack(&mut self, nth: usize, from: StackStatus) {
        self.moving -= 1;
        let login = self.context.world.settings.template.metadata.login_output.clone();
        let mut state = self.context.world.state();
        let now = state.now;
        let stack = &state.stacks.all()[nth];
        if stack.stack.status != from {
            return;
        }
        if stack.behaviour == StackBehaviour::Hangs && from == StackStatus::CreateInProgress {
            // Its creation policy's time is over.
            state.stacks.set_behaviour(nth, StackBehaviour::Fails);
        }
        state.stacks.advance(nth, &login, now);
    }
}
