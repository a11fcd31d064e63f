//! The login node's part of the world: its coordinator starts, ends, is asked and decides.

use super::*;

impl World {
    pub(super) fn coordinator_starts(&mut self) -> Result<(), String> {
        if self.coordinator.is_some() {
            return Ok(());
        }
        let state: Coordinator = match &self.disk {
            Some(disk) => serde_json::from_str(disk).map_err(|error| error.to_string())?,
            None => Coordinator::new("epoch".to_owned(), GRACE_MS),
        };
        self.coordinator_started_ms = self.now_ms - state.clock_ms().min(self.now_ms);
        self.coordinator = Some(state.with_rules(rules(self.bug)));
        self.decide(&coordinator::Event::Plan(self.plan.clone()))?;
        self.decide(&coordinator::Event::Expected(self.expected.clone()))?;
        Ok(())
    }

    pub(super) fn coordinator_crashes(&mut self) {
        if self.coordinator.take().is_some() {
            self.crashes += 1;
            let comes_back = self.dice.below(15_000);
            self.after(comes_back, What::CoordinatorStarts);
        }
    }

    pub(super) fn asked(&mut self, node: NodeName, poll: Poll) -> Result<(), String> {
        if let Some(answer) = self.decide(&coordinator::Event::Poll(Box::new(poll)))? {
            self.send(&What::Answers(node, answer));
        }
        Ok(())
    }

    /// One event for the coordinator, with its crash points.
    pub(super) fn decide(&mut self, event: &coordinator::Event) -> Result<Option<Answer>, String> {
        let clock = self.now_ms - self.coordinator_started_ms;
        let Some(coordinator) = self.coordinator.as_mut() else { return Ok(None) };
        let before = coordinator.deadline_ms();
        let decision = coordinator.handle(event.clone(), clock);
        self.oracle.after_event(coordinator, event, clock, decision.save)?;
        let deadline = coordinator.deadline_ms();
        let state = decision.save.then(|| serde_json::to_string(coordinator).expect("a state is JSON"));
        if deadline != before
            && let Some(deadline) = deadline
        {
            // On the very millisecond, and on both sides of it.
            for at in [deadline - 1, deadline, deadline + 1] {
                self.at(at + self.coordinator_started_ms, What::Tick);
            }
        }
        if self.crash_now() {
            self.coordinator_crashes();
            self.oracle.forgotten();
            return Ok(None);
        }
        if let Some(state) = state {
            self.oracle.written();
            self.disk = Some(state);
        }
        if self.crash_now() {
            self.coordinator_crashes();
            return Ok(None);
        }
        Ok(decision.answer)
    }
}
