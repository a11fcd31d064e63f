//! What can go wrong, how often it does in one run, and how often it did.

use std::collections::BTreeSet;

use super::dice::{Dice, under};

macro_rules! fault_kinds {
    ($($variant:ident = $word:literal, $often:literal),* $(,)?) => {
        /// A kind of fault. Each may strike at many places of a run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each has its sentence, which is printed")]
        pub enum FaultKind { $($variant),* }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// What happens.
            pub const fn word(self) -> &'static str { match self { $(Self::$variant => $word),* } }
            /// How often it strikes at a place where it can, out of ten thousand, in the middle of all fault plans.
            const fn base_rate(self) -> u64 { match self { $(Self::$variant => $often),* } }
        }
    };
}

fault_kinds! {
    EventLate = "an event comes late, by seconds or by an hour", 800,
    EventDoubled = "an event comes twice", 600,
    EventLost = "a stack's event is lost", 800,
    SweepMissed = "a sweep does not come", 1000,
    EventThrottled = "Lambda delays an event: no concurrency is free", 400,
    DiedBefore = "a function dies before a call", 100,
    DiedAfter = "a function dies after a call", 100,
    CallLost = "a call is lost on its way", 150,
    AnswerLost = "a call is done, and its answer lost", 150,
    Throttled = "a call is throttled", 150,
    ServerError = "a call is answered with 500", 100,
    Slow = "a call takes seconds", 150,
    CallTimedOut = "a call is given up, and done all the same, up to half a minute later", 100,
    Conflict = "a conditional write meets another in progress (409)", 100,
    StackNotVisible = "DescribeStacks does not see a stack yet", 300,
    StackStatusStale = "DescribeStacks shows what was seconds ago", 400,
    LimitReached = "CreateStack meets the account's limit", 200,
    MailRefused = "SES takes no mail", 400,
    StackFails = "a stack fails, and is rolled back", 1500,
    StackHangs = "a stack hangs for an hour", 300,
    NoLogin = "a stack has no login address", 300,
    DeleteFails = "deleting a stack fails (DELETE_FAILED)", 700,
    GetObjectRefused = "S3 refuses to return an upload", 400,
    ListingTruncated = "a folder holds more than a page of a listing", 300,
    ListUnreadable = "a stack's lists cannot be parsed", 500,
    RollbackFails = "creating a stack fails, and so does its rollback (ROLLBACK_FAILED)", 300,
}

/// How many kinds there are.
pub const KINDS: usize = FaultKind::ALL.len();

/// How many times out of ten thousand each kind strikes in one run. Some kinds are absent, some frequent: runs that have a
/// little of everything are all alike.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    dice: Dice,
    rates: [u64; KINDS],
    /// Kinds and places that were taken out of this run.
    skipped_faults: BTreeSet<(FaultKind, u64)>,
    /// What was injected, and where.
    pub injected: Vec<(FaultKind, u64)>,
}

impl FaultPlan {
    /// The fault plan of a seed. `fixed`: kinds that strike so many times out of ten thousand, whatever the seed says.
    pub fn new(seed: u64, skipped_faults: BTreeSet<(FaultKind, u64)>, fixed: &[(FaultKind, u64)]) -> Self {
        let dice = Dice::new(seed);
        let mut rates = [0; KINDS];
        for (nth, (rate, kind)) in rates.iter_mut().zip(FaultKind::ALL).enumerate() {
            *rate = match dice.below(under(1, nth as u64), 8) {
                0 => 0,
                1 => kind.base_rate() / 4,
                2..=5 => kind.base_rate(),
                _ => kind.base_rate() * 3,
            };
        }
        for (kind, rate) in fixed {
            rates[*kind as usize] = *rate;
        }
        Self { dice, rates, skipped_faults, injected: Vec::new() }
    }

    /// Whether this kind strikes at this place.
    pub fn injects(&mut self, kind: FaultKind, place: u64) -> bool {
        let rate = self.rates[kind as usize];
        let hits =
            rate > 0 && self.dice.below(under(place, 100 + kind as u64), 10_000) < rate && !self.skipped_faults.contains(&(kind, place));
        if hits {
            self.injected.push((kind, place));
        }
        hits
    }
}
