//! A parameter of a template: its constraints, read once, and what is wrong with a value.

use std::sync::OnceLock;

use serde::{Deserialize, Deserializer};

use crate::message::{ChoiceProblem, NumberError, ParameterProblem, Wrong};
use crate::number::{Number, Range};
use crate::requested_parameters::nearest;

/// A parameter, with its constraints as CloudFormation has them (UserGuide, parameters-section-structure), read once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct Parameter {
    /// What it takes.
    pub kind: ParameterKind,
    /// The meaning of the parameter, for people.
    pub description: String,
    /// The value where none is given.
    pub default: Option<String>,
    /// The values it takes; empty where it takes any.
    pub allowed_values: Vec<String>,
    /// The pattern that the whole value must match.
    pub pattern: Option<Pattern>,
    /// What the pattern means, in words.
    pub constraint_description: Option<String>,
    /// How many characters a value has.
    pub length: Length,
    /// The numbers that the template lets it take.
    pub range: Range,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ParameterKind {
    /// `Number`.
    Number,
    /// `String`, a list, or an AWS type: CloudFormation takes text.
    #[default]
    Text,
}

/// How many characters a value may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// The fewest.
    pub least: Option<usize>,
    /// The most.
    pub most: Option<usize>,
}

/// A regular expression that a whole value must match.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    /// Compiled at the first use: most passes need none. `None` where our engine cannot read it.
    whole: OnceLock<Option<regex_lite::Regex>>,
}

impl Pattern {
    /// As it is in the template.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a whole value matches. A pattern that this engine cannot read (Java has look-around) is left to CloudFormation, which
    /// checks it again.
    fn takes(&self, value: &str) -> bool {
        let whole = self.whole.get_or_init(|| regex_lite::Regex::new(&format!("^(?:{})$", self.text)).ok());
        whole.as_ref().is_none_or(|whole| whole.is_match(value))
    }
}

/// A parameter as it is written in a template: bounds may be numbers or text.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Written {
    r#type: String,
    #[serde(default)]
    description: String,
    #[serde(default, deserialize_with = "scalar")]
    default: Option<String>,
    #[serde(default, deserialize_with = "scalars")]
    allowed_values: Vec<String>,
    #[serde(default)]
    allowed_pattern: Option<String>,
    #[serde(default)]
    constraint_description: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    min_length: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    max_length: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    min_value: Option<String>,
    #[serde(default, deserialize_with = "scalar")]
    max_value: Option<String>,
}

impl TryFrom<Written> for Parameter {
    type Error = String;

    /// A bound that cannot be read would be no bound, so it is an error.
    fn try_from(written: Written) -> Result<Self, String> {
        let length = |name: &str, text: Option<String>| {
            text.map(|text| text.parse::<usize>().map_err(|_| format!("{name} {text:?} is no length"))).transpose()
        };
        // YAML may have them with an exponent.
        let read = |text: &str| Number::read(text).or_else(|| Number::read(&text.parse::<f64>().ok()?.to_string()));
        let number = |name: &str, text: Option<String>| {
            text.map(|text| read(&text).ok_or_else(|| format!("{name} {text:?} is no number"))).transpose()
        };
        Ok(Self {
            kind: if written.r#type == "Number" { ParameterKind::Number } else { ParameterKind::Text },
            description: written.description,
            default: written.default,
            allowed_values: written.allowed_values,
            pattern: written.allowed_pattern.map(|text| Pattern { text, whole: OnceLock::new() }),
            constraint_description: written.constraint_description,
            length: Length { least: length("MinLength", written.min_length)?, most: length("MaxLength", written.max_length)? },
            range: Range { least: number("MinValue", written.min_value)?, most: number("MaxValue", written.max_value)?, is_whole: false },
        })
    }
}

/// The most characters of a parameter's value (CloudFormation's quota, in bytes).
const VALUE_BYTES_MAX: usize = 4096;

/// Up to this many allowed values are listed; of more, the nearest ones.
const LISTED_VALUES_MAX: usize = 8;

/// Where one value is probably meant, so many others are named beside it.
const OTHER_VALUES_MAX: usize = 3;

impl Parameter {
    /// What is wrong with `value` for the parameter `name`, if anything (checks C2, C5).
    pub fn check(&self, name: &str, value: &str) -> Option<ParameterProblem> {
        self.check_within(name, value, &self.range, &self.range)
    }

    /// With a narrower range than the template's; `shown` is the range given in the error message.
    pub fn check_within(&self, name: &str, value: &str, range: &Range, shown: &Range) -> Option<ParameterProblem> {
        let one = self.canonical(value);
        let wrong = self
            .wrong_length(value)
            .or_else(|| self.wrong_choice(&one))
            .or_else(|| self.wrong_number(value, range, shown))
            .or_else(|| self.wrong_pattern(&one))?;
        Some(ParameterProblem { name: name.to_owned(), value: value.to_owned(), wrong, odd: None })
    }

    /// The one form in which a value goes on. Only numbers have several (the rule is [`Number`]'s).
    pub fn canonical(&self, value: &str) -> String {
        let number = if self.is_number() { Number::read(value) } else { None };
        let Some(number) = number else { return value.to_owned() };
        // An allowed value has to be met letter by letter.
        let is_it = |allowed: &&String| Number::read(allowed).as_ref() == Some(&number);
        self.allowed_values.iter().find(is_it).cloned().unwrap_or_else(|| number.to_string())
    }

    /// Whether it takes a number.
    pub fn is_number(&self) -> bool {
        self.kind == ParameterKind::Number
    }

    fn wrong_length(&self, value: &str) -> Option<Wrong> {
        let has = value.chars().count();
        if value.len() > VALUE_BYTES_MAX {
            return Some(Wrong::TooManyBytes { has: value.len(), most: VALUE_BYTES_MAX });
        }
        match (self.length.least, self.length.most) {
            (Some(least), _) if has < least => Some(Wrong::TooShort { has, least }),
            (_, Some(most)) if has > most => Some(Wrong::TooLong { has, most }),
            _ => None,
        }
    }

    fn wrong_choice(&self, value: &str) -> Option<Wrong> {
        if self.allowed_values.is_empty() || self.allowed_values.iter().any(|v| v == value) {
            return None;
        }
        let count = self.allowed_values.len();
        if count <= LISTED_VALUES_MAX {
            return Some(Wrong::Choice(ChoiceProblem::All(self.allowed_values.clone())));
        }
        let mut ranked: Vec<&String> = self.allowed_values.iter().collect();
        ranked.sort_by(|a, b| strsim::jaro_winkler(value, b).total_cmp(&strsim::jaro_winkler(value, a)));
        let first = |most: usize, but: &str| ranked.iter().filter(|v| **v != but).take(most).map(|v| (*v).clone()).collect();
        let choice = match nearest(value, self.allowed_values.iter().map(String::as_str)) {
            Some(meant) => ChoiceProblem::Meant { meant: meant.to_owned(), others: first(OTHER_VALUES_MAX, meant), count },
            None => ChoiceProblem::Some { examples: first(LISTED_VALUES_MAX, ""), count },
        };
        Some(Wrong::Choice(choice))
    }

    fn wrong_number(&self, value: &str, range: &Range, shown: &Range) -> Option<Wrong> {
        if !self.is_number() {
            return None;
        }
        let number = Number::read(value);
        let why = match &number {
            Some(number) => NumberError::OutOfRange(range.why_not(number)?),
            None if value.trim().is_empty() => NumberError::Empty,
            None => NumberError::Unreadable,
        };
        let meant = number.or_else(|| Number::meant(value)).map(|meant| shown.nearest(&meant));
        Some(Wrong::Number { why, range: shown.clone(), meant, example: self.example(shown) })
    }

    /// A number that it takes: the default, where that is in the range.
    fn example(&self, range: &Range) -> Number {
        range.nearest(&self.default.as_deref().and_then(Number::read).unwrap_or_else(|| Number::from(16)))
    }

    fn wrong_pattern(&self, value: &str) -> Option<Wrong> {
        let pattern = self.pattern.as_ref().filter(|pattern| !pattern.takes(value))?;
        Some(Wrong::Pattern { meaning: self.constraint_description.clone(), pattern: pattern.text.clone() })
    }
}

/// A default or a bound stands in YAML as a string, a number or a boolean; to CloudFormation all are text.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn scalar<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Some(text(&serde_json::Value::deserialize(from)?)))
}

fn scalars<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<serde_json::Value>::deserialize(from)?.iter().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::default_template;

    fn parameter(json: &str) -> Parameter {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_are_those_of_cloudformation() {
        let size = parameter(r#"{"Type": "Number", "MinValue": 16, "MaxValue": "16384"}"#);
        for bad in ["15", "16385", "", "x", "1e2", "inf", "0x20", "-20", "20.12345"] {
            assert!(size.check("MasterSystemVolumeSize", bad).is_some(), "{bad}");
        }
        for good in ["16", "16384", "20.5", " 20", "+20", "020"] {
            assert!(size.check("MasterSystemVolumeSize", good).is_none(), "{good}");
        }
    }

    /// It would be none, and nobody would know.
    #[test]
    fn a_bound_that_cannot_be_read_is_an_error() {
        for bound in ["MinValue", "MaxValue", "MinLength", "MaxLength"] {
            let read = |text: &str| serde_json::from_str::<Parameter>(&format!(r#"{{"Type": "Number", "{bound}": {text}}}"#));
            for bad in ["\"1O\"", "\"\"", "true", "\"x\"", "\" \""] {
                assert!(read(bad).unwrap_err().to_string().starts_with(bound), "{bound} {bad}");
            }
            assert!(read("8").is_ok() && read("\"8\"").is_ok(), "{bound}");
        }
    }

    #[test]
    fn a_number_goes_on_in_one_form_and_an_allowed_value_letter_by_letter() {
        let size = parameter(r#"{"Type": "Number"}"#);
        assert_eq!(size.canonical(" +02.50"), "2.5");
        let sizes = parameter(r#"{"Type": "Number", "AllowedValues": ["1.0", "2.0"]}"#);
        assert_eq!(sizes.canonical("02"), "2.0");
        assert!(sizes.check("P", "02").is_none() && sizes.check("P", "3").is_some());
        assert_eq!(parameter(r#"{"Type": "String"}"#).canonical(" 02"), " 02");
    }

    #[test]
    fn a_misspelt_value_is_answered_with_the_one_that_was_meant() {
        let kind = &default_template().parameters["MasterInstanceTypeOther"];
        let problem = kind.check("MasterInstanceTypeOther", "r4.lage-2C-15.25GB").unwrap();
        assert!(
            matches!(&problem.wrong, Wrong::Choice(ChoiceProblem::Meant { meant, .. }) if meant == "r4.large-2C-15.25GB"),
            "{problem:?}"
        );
    }

    #[test]
    fn a_pattern_must_match_the_whole_value() {
        let p = parameter(r#"{"Type": "String", "AllowedPattern": "[a-z]+"}"#);
        assert!(p.check("P", "abc").is_none());
        assert!(p.check("P", "abc;reboot").is_some());
        assert!(p.check("P", "abc\nreboot").is_some());
    }

    #[test]
    fn a_value_has_as_many_characters_as_the_template_says_and_as_many_bytes_as_cloudformation_takes() {
        let name = parameter(r#"{"Type": "String", "MinLength": 2, "MaxLength": "4"}"#);
        let wrong = |value: &str| name.check("P", value).map(|problem| problem.wrong);
        assert_eq!(wrong("a"), Some(Wrong::TooShort { has: 1, least: 2 }));
        assert_eq!((wrong("ab"), wrong("éééé")), (None, None), "characters, not bytes");
        assert_eq!(wrong("abcde"), Some(Wrong::TooLong { has: 5, most: 4 }));
        let free = parameter(r#"{"Type": "String"}"#);
        assert!(free.check("P", &"a".repeat(VALUE_BYTES_MAX)).is_none() && free.check("P", "").is_none());
        let has = VALUE_BYTES_MAX + 1;
        let problem = free.check("P", &"a".repeat(has)).expect("one byte too many");
        assert_eq!(problem.wrong, Wrong::TooManyBytes { has, most: VALUE_BYTES_MAX });
    }

    #[test]
    fn a_pattern_is_shown_as_the_template_has_it() {
        let p = parameter(r#"{"Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"}"#);
        assert_eq!(p.pattern.as_ref().map(Pattern::as_str), Some("[a-z]+"));
        let wrong = Wrong::Pattern { meaning: Some("small letters".into()), pattern: "[a-z]+".into() };
        assert_eq!(p.check("P", "A").map(|problem| problem.wrong), Some(wrong));
    }
}
