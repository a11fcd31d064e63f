//! What is wrong with a parameter's value.

use std::fmt;

use super::{Parts, Rule, quoted};
use crate::characters::Lookalike;
use crate::number::{Number, OutOfRange, Range};

/// A parameter whose value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterProblem {
    /// The name as it is given.
    pub name: String,
    /// The value as it is given.
    pub value: String,
    /// Why.
    pub wrong: Wrong,
    /// Characters of the value that are not what they look like.
    pub odd: Option<Odd>,
}

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The parameter is the system's alone.
    SystemOnly,
    /// No parameter has this name.
    Unknown {
        /// The nearest name that there is.
        nearest: Option<String>,
        /// All that a user can set.
        names: Vec<String>,
    },
    /// The name would be right, but for its characters.
    OddName {
        /// Which.
        odd: Odd,
        /// The name that is meant.
        name: String,
    },
    /// The value would be right, but for its characters.
    OddValue {
        /// Which.
        odd: Odd,
        /// The value that is meant.
        value: String,
    },
    /// More bytes than any value may have.
    TooManyBytes {
        /// So many.
        has: usize,
        /// At most.
        most: usize,
    },
    /// Fewer characters than it must have.
    TooShort {
        /// So many.
        has: usize,
        /// At least.
        least: usize,
    },
    /// More characters than it may have.
    TooLong {
        /// So many.
        has: usize,
        /// At most.
        most: usize,
    },
    /// None of the values that are allowed.
    Choice(ChoiceProblem),
    /// No number that is taken.
    Number {
        /// Why not.
        why: NumberError,
        /// The numbers that are taken here.
        range: Range,
        /// The number that is probably meant, moved into the range.
        meant: Option<Number>,
        /// A number that is taken.
        example: Number,
    },
    /// Another form than it must have.
    Pattern {
        /// The template's words for the form.
        meaning: Option<String>,
        /// The form itself.
        pattern: String,
    },
    /// More initial nodes than the cluster may have.
    InitialNodes {
        /// The most that the cluster may have, as it is asked for.
        most: Number,
        /// The most that any cluster may have here.
        limit: Number,
        /// What is possible.
        here: Number,
    },
    /// More nodes than a cluster may have here.
    MaxNodes {
        /// The most that any cluster may have here.
        limit: Number,
        /// Whether the number is the default.
        is_default: bool,
    },
    /// The Region does not have the type.
    NotInRegion {
        /// The type.
        kind: String,
        /// The Region.
        region: String,
        /// What to take instead.
        advice: RegionAdvice,
    },
    /// It does not go together with other values, or with the deployment.
    Rule(Rule),
}

/// Why a value is no number that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// There is nothing.
    Empty,
    /// It is no number in plain digits.
    Unreadable,
    /// It is none of those that are taken.
    OutOfRange(OutOfRange),
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no number",
            Self::Unreadable => "it is not a number in plain digits",
            Self::OutOfRange(OutOfRange::NotWhole) => "it is not a whole number",
            Self::OutOfRange(OutOfRange::TooManyDecimals) => "it has too many decimals",
            Self::OutOfRange(OutOfRange::TooSmall) => "it is too small",
            Self::OutOfRange(OutOfRange::TooLarge) => "it is too large",
            Self::OutOfRange(OutOfRange::TooManyDigits) => "it has too many digits",
        })
    }
}

/// `a whole number from 1 to 32`.
fn numbers(range: &Range) -> String {
    let what = if range.is_whole { "a whole number" } else { "a number" };
    match (&range.least, &range.most) {
        (Some(least), Some(most)) if least == most => format!("the number {least}"),
        (Some(least), Some(most)) => format!("{what} from {least} to {most}"),
        (Some(least), None) => format!("{what}, {least} or more"),
        (None, Some(most)) => format!("{what}, {most} or less"),
        (None, None) => what.to_owned(),
    }
}

/// Which of the allowed values may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChoiceProblem {
    /// There are few: these.
    All(Vec<String>),
    /// One is probably meant.
    Meant {
        /// This one.
        meant: String,
        /// Others that are near.
        others: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// None is near; some of them.
    Some {
        /// These.
        examples: Vec<String>,
        /// How many there are.
        count: usize,
    },
}

/// What to take instead of a type that the Region does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegionAdvice {
    /// No type with GPUs is here.
    NoGpus {
        /// The default.
        default: String,
    },
    /// The default.
    Default(String),
    /// The nearest, which another parameter names.
    ByName {
        /// The parameter for a size.
        size: &'static str,
        /// The parameter for a name.
        other: &'static str,
        /// The nearest.
        near: Vec<String>,
    },
    /// The nearest, or the default.
    Nearest {
        /// The nearest.
        near: Vec<String>,
        /// The default.
        default: String,
    },
}

/// At most so many characters are named of one value.
const NAMED_MAX: usize = 4;

/// Characters that are not what they look like, each with its place from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd(pub Vec<(usize, Lookalike)>);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().take(NAMED_MAX).map(|(nth, c)| format!("{} as character {nth}", c.described())).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl Odd {
    fn advice(&self) -> String {
        let mut advice: Vec<String> = Vec::new();
        for (_, c) in self.0.iter().take(NAMED_MAX) {
            let next = c.advice();
            if !advice.contains(&next) {
                advice.push(next);
            }
        }
        advice.join(", ")
    }
}

impl fmt::Display for ParameterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl ParameterProblem {
    pub(in crate::message) fn parts(&self) -> Parts {
        let (stands, next) = match &self.wrong {
            Wrong::InitialNodes { most, limit, here } => initial_nodes(&self.value, most, limit, here),
            wrong => wrong.stands_and_next(),
        };
        let stands = match &self.odd {
            Some(odd) => format!("{stands}; it has {odd}"),
            None => stands,
        };
        Parts::new(self.asked(), stands, next).corrected(self.corrected())
    }

    fn asked(&self) -> String {
        let name = quoted(&self.name);
        let name = name.trim_matches('"');
        match &self.wrong {
            Wrong::MaxNodes { is_default, .. } => format!("{name} = \"{}\"{}", self.value, if *is_default { " (its default)" } else { "" }),
            _ => format!("{name} = {}", quoted(&self.value)),
        }
    }

    fn corrected(&self) -> Option<String> {
        let line = |value: &dyn fmt::Display| Some(format!("\"{}\": \"{value}\"", self.name));
        match &self.wrong {
            Wrong::OddValue { value, .. } => line(value),
            Wrong::Number { meant: Some(meant), .. } => line(meant),
            Wrong::InitialNodes { here, .. } => line(here),
            Wrong::MaxNodes { limit, .. } => line(limit),
            _ => None,
        }
    }
}

impl Wrong {
    /// What stands in the way, and what to do.
    fn stands_and_next(&self) -> (String, String) {
        let pair = |stands: &str, next: String| (stands.to_owned(), next);
        match self {
            Self::SystemOnly => pair("only the system sets this one", "leave the line out".into()),
            Self::Unknown { nearest: Some(meant), .. } => pair("there is no such parameter", format!("did you mean {meant}?")),
            Self::Unknown { nearest: None, names } => {
                pair("there is no such parameter", format!("leave the line out; you can set {}", names.join(", ")))
            }
            Self::OddName { odd, name } => (format!("its name has {odd}"), format!("{}: the name is {name}", odd.advice())),
            Self::OddValue { odd, .. } => (format!("it has {odd}"), odd.advice()),
            Self::TooManyBytes { has, most } => (format!("it has {has} bytes"), format!("use at most {most}")),
            Self::TooShort { has, least } => (format!("it has {has} characters"), format!("use at least {least}")),
            Self::TooLong { has, most } => (format!("it has {has} characters"), format!("use at most {most}")),
            Self::Choice(choice) => pair("it is not one of the allowed values", choice.next()),
            Self::Number { why, range, meant, example } => {
                let such_as = if meant.is_some() { String::new() } else { format!(", such as {example}") };
                (why.to_string(), format!("give {}{such_as}", numbers(range)))
            }
            Self::Pattern { meaning, pattern } => {
                let meaning = meaning.clone().unwrap_or_else(|| format!("it must match {pattern}"));
                pair("it has another form than it must have", meaning)
            }
            Self::InitialNodes { most, limit, here } => initial_nodes("", most, limit, here),
            Self::MaxNodes { limit, .. } => (
                format!("a cluster may have at most {limit} compute nodes here"),
                format!("ask for at most {limit}, or ask the administrator for more"),
            ),
            Self::NotInRegion { kind, region, advice } => (format!("EC2 has no {kind} in the Region {region}"), advice.to_string()),
            Self::Rule(rule) => rule.stands_and_next(),
        }
    }
}

fn initial_nodes(initial: &str, most: &Number, limit: &Number, here: &Number) -> (String, String) {
    let over = format!("it is more than ComputeMaxNodes, which is {most}");
    if most > limit {
        let stands = format!("a cluster may have at most {limit} compute nodes here");
        (stands, format!("ask for at most {here}, or ask the administrator for more"))
    } else if Number::read(initial).is_some_and(|initial| initial <= *limit) {
        (over, format!("ask for at most {here} initial nodes, or raise ComputeMaxNodes (here to at most {limit})"))
    } else {
        (over, format!("ask for at most {here} initial nodes"))
    }
}

impl ChoiceProblem {
    fn next(&self) -> String {
        match self {
            Self::All(values) => format!("choose one of {}", values.join(", ")),
            Self::Meant { meant, others, count } => {
                format!("did you mean {meant}? Near to it are {} ({count} are allowed)", others.join(", "))
            }
            Self::Some { examples, count } => format!("choose one of the {count} allowed values, for example {}", examples.join(", ")),
        }
    }
}

impl fmt::Display for RegionAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGpus { default } => write!(
                f,
                "none of the types with GPUs that are offered exists here; leave it out to take {default}, or ask the administrator"
            ),
            Self::Default(default) => write!(f, "leave it out to take {default}"),
            Self::ByName { size, other, near } => {
                write!(f, "set {size} to \"other\" and {other} to the nearest that exists here: {}", near.join(", "))
            }
            Self::Nearest { near, default } => {
                write!(f, "ask for the nearest that exist here: {}; or leave it out to take {default}", near.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_shown_by_the_bounds_that_it_has() {
        let range = |least: Option<u32>, most: Option<u32>, is_whole| Range {
            least: least.map(Number::from),
            most: most.map(Number::from),
            is_whole,
        };
        for (range, shown) in [
            (range(Some(1), Some(32), true), "a whole number from 1 to 32"),
            (range(Some(0), Some(100), false), "a number from 0 to 100"),
            (range(Some(4), Some(4), true), "the number 4"),
            (range(Some(16), None, true), "a whole number, 16 or more"),
            (range(None, Some(9), false), "a number, 9 or less"),
            (range(None, None, false), "a number"),
        ] {
            assert_eq!(numbers(&range), shown);
        }
    }
}
