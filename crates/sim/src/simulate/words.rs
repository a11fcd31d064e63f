//! What AWS may say of a resource that fails, and what an answer about it must say and may not: the reference for causes and advice.

/// One sentence.
pub struct Said {
    /// AWS's words.
    pub words: &'static str,
    /// What of them an answer must tell.
    pub tells: &'static str,
    /// What to do must hold this.
    pub advises: &'static str,
    /// And may not hold these.
    pub never: &'static [&'static str],
}

const CANNOT_PASS: &[&str] = &["try again", "offer", "configure.d"];

/// Some that once led to no answer or to wrong advice.
pub const SAID: [Said; 6] = [
    Said {
        words: crate::cloudformation::NO_CAPACITY,
        tells: "sufficient capacity",
        advises: "try again later, or choose another instance type",
        never: &["offer", "configure.d"],
    },
    Said {
        words: "Licence server: checkout was cancelled by the vendor daemon (code 7)",
        tells: "vendor daemon",
        advises: "tell the administrator",
        never: CANNOT_PASS,
    },
    Said {
        words: "The tenant despot-lab gave no signal: quota of seats, maximum number of users",
        tells: "despot-lab",
        advises: "tell the administrator",
        never: CANNOT_PASS,
    },
    Said {
        words: "Your requested instance type (r4.large) is not supported in your requested Availability Zone (eu-west-2c). Please retry \
                your request by not specifying an Availability Zone or choosing eu-west-2a, eu-west-2b.",
        tells: "r4.large",
        advises: "eu-west-2a, eu-west-2b",
        never: CANNOT_PASS,
    },
    Said {
        words: "Max spot instance count exceeded (Service: AmazonEC2; Status Code: 400; Error Code: MaxSpotInstanceCountExceeded)",
        tells: "Max spot instance count exceeded",
        advises: "on-demand nodes",
        never: CANNOT_PASS,
    },
    Said {
        words: "WaitCondition received failed message: '\u{1b}[31mRate exceeded\u{1b}[0m\r\nby a script' for uniqueId: i-0a1b2c",
        tells: "'Rate exceeded by a script'",
        advises: "configure.d",
        never: &["try again", "offer", "\u{1b}"],
    },
];

/// The sentence that these are the words of.
pub fn said(words: &str) -> &'static Said {
    SAID.iter().find(|said| said.words == words).unwrap_or(&SAID[0])
}
