//! The seam for planted bugs: a test may stand between the functions and their world, and spoil what they see or do as a
//! faulty program would. The product itself is never touched, and nothing here plants anything.

use std::any::Any;

use cf_core::effect::Effect;
use cf_core::fault::Fault;
use jiff::Timestamp;

use crate::world::State;

/// A fault in the program, as far as it shows in what it sees and does.
pub trait Bug: Sync {
    /// What the faulty program makes of an answer: `query` is one of the queries, `answer` is of its type.
    fn sees(&self, _query: &dyn Any, _answer: &mut dyn Any, _now: Timestamp) {}

    /// Whether the faulty program ends its pass at this fault, and lets the event come again.
    fn gives_back(&self, _query: &dyn Any, _fault: &Fault) -> bool {
        false
    }

    /// What the faulty program does where the sound one does `effect`. `held` is the pass's own memory.
    fn does(&self, effect: &Effect, _world: &State, _held: &mut Vec<Effect>) -> Vec<Effect> {
        vec![effect.clone()]
    }

    /// Whether the sweep is deployed at all.
    fn sweeps(&self) -> bool {
        true
    }
}
