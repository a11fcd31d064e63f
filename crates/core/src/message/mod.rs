//! Every sentence that people read: final answers, the line in `.cf-status`, mails to the administrator. Each is a value, a variant
//! with what it speaks of, and its text is its `Display`. Who decides, logs, counts or judges goes by the variant; words are
//! written here and nowhere else. `tests/snapshots/messages__messages.snap` shows every one with an example.

mod advice;
mod answer;
mod failure;
mod mail;
mod node;
mod problem;
mod scheduler;
mod state;

pub use advice::Advice;
pub use answer::{Difference, FailedCreation, Message};
pub use failure::{Cause, Remains, Rest, StackReason};
pub use mail::{Full, Mail, News};
pub use node::{NodeFailure, node_failure};
pub use problem::{
    ChoiceProblem, FileProblem, Format, JsonType, KeyProblem, NumberError, Odd, OtherFiles, ParameterProblem, Parts, Problem, RegionAdvice,
    Rule, TextProblem, ValueProblem, Wrong, WrongKey, quoted, sort,
};
pub use state::{NodesMissing, StateText};

use jiff::Timestamp;

/// A time as people read it.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
