//! What AWS may say of a resource that fails, and the advice that fits it: the reference for causes and advice.

use cf_core::message::Advice;

/// One sentence.
pub struct Reason {
    /// AWS's words.
    pub words: &'static str,
    /// The advice that fits.
    pub advice: fn() -> Advice,
}

/// Some that once led to no answer or to wrong advice.
pub const REASONS: [Reason; 7] = [
    Reason { words: crate::cloudformation::NO_CAPACITY, advice: || Advice::TryLater { zones: Vec::new() } },
    Reason { words: "Licence server: checkout was cancelled by the vendor daemon (code 7)", advice: || Advice::TellAdministrator },
    Reason { words: "The tenant despot-lab gave no signal: quota of seats, maximum number of users", advice: || Advice::TellAdministrator },
    Reason {
        words: "Your requested instance type (r4.large) is not supported in your requested Availability Zone (eu-west-2c). Please retry \
                your request by not specifying an Availability Zone or choosing eu-west-2a, eu-west-2b.",
        advice: || Advice::AnotherType { zones: vec!["eu-west-2a".into(), "eu-west-2b".into()] },
    },
    Reason {
        words: "Max spot instance count exceeded (Service: AmazonEC2; Status Code: 400; Error Code: MaxSpotInstanceCountExceeded)",
        advice: || Advice::SpotQuota { may_ask_on_demand: true },
    },
    Reason {
        words: "WaitCondition received failed message: '\u{1b}[31mRate exceeded\u{1b}[0m\r\nby a script' for uniqueId: i-0a1b2c",
        advice: || Advice::CheckScripts,
    },
    Reason { words: SIGNALLED, advice: || Advice::CheckScripts },
];

/// A login node's signal that it has given up, with the code of a script that failed.
pub const SIGNALLED: &str = "Received FAILURE signal with UniqueId script-failed";

/// The `Reason` with this text; the first one if there is none.
pub fn reason_of(words: &str) -> &'static Reason {
    REASONS.iter().find(|said| said.words == words).unwrap_or(&REASONS[0])
}
