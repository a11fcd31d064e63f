//! The parameters that a `.cf-create` requests, checked against the template, and the rules that no template can express.

use std::collections::BTreeSet;

use crate::body::{self, Body, Choices};
use crate::characters::{self, lookalike};
use crate::message::{self, Odd, ParameterProblem, Problem, Rule, Wrong};
use crate::number::{Number, Range};
use crate::settings::Settings;
use crate::template::SystemValue;

mod rules;

/// The parameters that take no decimals: there is no half a node. A template cannot say so.
const WHOLE: [&str; 7] = [INITIAL, MOST, "MasterSystemVolumeSize", "HomeVolumeSize", "AppsVolumeSize", "SwapSize", "SwapSizeMax"];

const INITIAL: &str = "ComputeInitialNodes";

/// The parameter that bounds how many compute nodes a cluster may have.
pub const MOST: &str = "ComputeMaxNodes";

/// Parses and validates the parameters of a `.cf-create`. Numbers come out in their canonical form. Returns all problems at once, sorted.
pub fn read(body: &Body, settings: &Settings) -> Result<Choices, Vec<Problem>> {
    let given = body::read(body)?;
    let requested = RequestedParameters::of(&given, settings);
    let mut problems: Vec<Problem> = given.iter().filter_map(|(name, value)| requested.check_parameter(name, value)).collect();
    problems.extend(settings.region.absent(&requested.choices, settings.template));
    problems.extend(rules::broken(&requested));
    message::sort(&mut problems);
    if problems.is_empty() { Ok(requested.choices) } else { Err(problems) }
}

/// The requested parameters, as far as each is valid by itself: rules check no others.
struct RequestedParameters<'a> {
    settings: &'a Settings,
    given: &'a Choices,
    choices: Choices,
    wrong: BTreeSet<&'a str>,
}

impl<'a> RequestedParameters<'a> {
    fn of(given: &'a Choices, settings: &'a Settings) -> Self {
        let mut requested = Self { settings, given, choices: Choices::new(), wrong: BTreeSet::new() };
        for (name, value) in given {
            let parameter = settings.template.parameters.get(name).filter(|_| settings.template.is_users(name));
            let is_right = parameter.is_some_and(|p| p.check_within(name, value, &requested.range(name), &Range::default()).is_none());
            match parameter.filter(|_| is_right) {
                Some(parameter) => drop(requested.choices.insert(name.clone(), parameter.canonical(value))),
                None => drop(requested.wrong.insert(name)),
            }
        }
        requested
    }

    /// The numbers that a parameter takes by itself.
    fn range(&self, name: &str) -> Range {
        let of_template = self.settings.template.parameters.get(name).map(|parameter| parameter.range.clone()).unwrap_or_default();
        Range { is_whole: WHOLE.contains(&name), ..of_template }
    }

    /// The numbers that it takes here: within the deployment's limit, and together with the other values.
    fn range_here(&self, name: &str) -> Range {
        let alone = self.range(name);
        let limit = Number::from(self.settings.nodes_max);
        let at_most = |range: Range, most: Number| Range { most: Some(range.most.map_or(most.clone(), |m| m.min(most))), ..range };
        match name {
            MOST => {
                let range = at_most(alone, limit);
                let initial = self.number(INITIAL).map(|initial| range.nearest(&initial));
                Range { least: initial.or(range.least.clone()), ..range }
            }
            INITIAL => {
                // Where that is wrong, what its own answer puts in its place.
                let default = || self.settings.template.parameters.get(MOST).and_then(|p| Number::read(p.default.as_deref()?));
                let meant = || self.given.get(MOST).and_then(|given| Number::meant(given)).or_else(default);
                let most = self.number(MOST).or_else(|| Some(self.range_here(MOST).nearest(&meant()?)));
                at_most(at_most(alone, limit.clone()), most.unwrap_or(limit))
            }
            _ => alone,
        }
    }

    /// A requested number, or its default; `None` where the given value is not valid.
    fn number(&self, name: &str) -> Option<Number> {
        Number::read(self.effective(name)?)
    }

    /// The value of a parameter as it is taken, or its default; `None` where the given value is not valid.
    fn effective(&self, name: &str) -> Option<&str> {
        (!self.wrong.contains(name)).then(|| self.settings.effective(&self.choices, name))?
    }

    /// A value of the deployment's; `None` where it has none.
    fn fixed(&self, value: SystemValue) -> Option<&str> {
        self.settings.fixed.get(&value).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A problem with a number, which is named in its one form.
    fn problem(name: &str, value: &Number, wrong: Wrong) -> Problem {
        Problem::Parameter(Box::new(ParameterProblem { name: name.to_owned(), value: value.to_string(), wrong, odd: None }))
    }

    fn check_parameter(&self, name: &str, value: &str) -> Option<Problem> {
        let template = self.settings.template;
        let problem = |wrong| {
            Some(Problem::Parameter(Box::new(ParameterProblem { name: name.to_owned(), value: value.to_owned(), wrong, odd: None })))
        };
        if template.is_protected(name) {
            return problem(Wrong::SystemOnly);
        }
        if let Some(rule) = Rule::of_value(name, value) {
            return problem(Wrong::Rule(rule));
        }
        if let Some(parameter) = template.parameters.get(name) {
            let here = self.range_here(name);
            let problem = parameter.check_within(name, value, &self.range(name), &here)?;
            let passes = |value: &str| parameter.check_within(name, value, &here, &here).is_none().then(|| parameter.canonical(value));
            return Some(Problem::Parameter(Box::new(with_characters(problem, passes))));
        }
        let users = template.metadata.user_parameters.iter().map(String::as_str);
        let plain = characters::plain(name);
        if let Some(meant) = users.clone().find(|users| *users == plain.trim()).filter(|meant| plain != name && name.trim() != *meant) {
            return problem(Wrong::OddName { odd: odd_characters(name)?, name: meant.to_owned() });
        }
        let nearest = nearest(name, users.clone()).map(str::to_owned);
        problem(Wrong::Unknown { nearest, names: users.map(str::to_owned).collect() })
    }
}

/// Names the characters of a refused value that are not what they look like, and shows the value without them where that passes.
fn with_characters(problem: ParameterProblem, passes: impl Fn(&str) -> Option<String>) -> ParameterProblem {
    let Some(odd) = odd_characters(&problem.value) else { return problem };
    match passes(characters::plain(&problem.value).trim()) {
        Some(value) => ParameterProblem { wrong: Wrong::OddValue { odd, value }, ..problem },
        None => ParameterProblem { odd: Some(odd), ..problem },
    }
}

/// The look-alikes in a text, by place.
fn odd_characters(text: &str) -> Option<Odd> {
    let odd: Vec<_> = text.chars().enumerate().filter_map(|(nth, c)| Some((nth + 1, lookalike(c)?))).collect();
    (!odd.is_empty()).then_some(Odd(odd))
}

/// The candidate that was probably meant, if one is near enough.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&given, &c.to_ascii_lowercase()), c))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::NumberError;
    use crate::number::OutOfRange;
    use crate::testing::settings;

    fn problems(text: &str) -> Vec<Problem> {
        read(&Body::Read(text.into()), &settings()).unwrap_err()
    }

    /// The problem of a request that has only one, about a parameter.
    fn only_problem(text: &str) -> ParameterProblem {
        match &problems(text)[..] {
            [Problem::Parameter(problem)] => *problem.clone(),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn odd<const N: usize>(characters: [(usize, char); N]) -> Odd {
        Odd(characters.map(|(nth, c)| (nth, lookalike(c).expect("a look-alike"))).to_vec())
    }

    fn over_limit(limit: u32, is_default: bool) -> Wrong {
        Wrong::MaxNodes { limit: limit.into(), is_default }
    }

    #[test]
    fn the_founding_example_is_accepted() {
        let text = include_bytes!("../../../templates/example.cf-create");
        let choices = read(&Body::Read(text.to_vec()), &settings()).unwrap();
        assert_eq!(choices.len(), 9);
        assert_eq!(choices["ComputeInstanceTypeOther"], "r4.large-2C-15.25GB");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_name() {
        let names = settings().template.metadata.user_parameters.clone();
        let got = only_problem(r#"{"ComputeSpotPrize": "0.03"}"#);
        assert_eq!(got.wrong, Wrong::Unknown { nearest: Some("ComputeSpotPrice".into()), names });
    }

    #[test]
    fn a_protected_parameter_is_refused_and_never_corrected_in_silence() {
        for name in ["AccessUsername", "FlightProfiles", "AccessNetwork", "ProfileBucket", "SubnetId", "NodePermissionsBoundary"] {
            let got = only_problem(&format!(r#"{{"{name}": "bob"}}"#));
            assert_eq!((got.name.as_str(), got.value.as_str(), &got.wrong), (name, "bob", &Wrong::SystemOnly));
        }
    }

    #[test]
    fn three_mistakes_are_reported_in_one_answer() {
        let got = problems(r#"{"MasterSystemVolumeSize": "15", "ComputeSpotPrize": 1, "AutoscalingPolicy": "on"}"#);
        assert_eq!(got.len(), 3, "{got:?}");
    }

    #[test]
    fn a_number_that_is_not_whole_does_not_get_past_the_limits() {
        for odd in ["33.5", "999.5", "3.0001"] {
            let got = only_problem(&format!(r#"{{"ComputeMaxNodes": "{odd}"}}"#));
            assert!(matches!(got.wrong, Wrong::Number { why: NumberError::OutOfRange(OutOfRange::NotWhole), .. }), "{got:?}");
        }
        for over in ["33.0", "1000.0", " +33", "0033"] {
            assert_eq!(only_problem(&format!(r#"{{"ComputeMaxNodes": "{over}"}}"#)).wrong, over_limit(32, false), "{over}");
        }
    }

    fn taken(name: &str, json: &str) -> Result<String, Vec<Problem>> {
        read(&Body::Read(format!(r#"{{"{name}": {json}}}"#).into()), &settings()).map(|mut choices| choices.remove(name).unwrap())
    }

    #[test]
    fn a_number_is_taken_in_its_one_form_however_it_was_written() {
        for json in ["2", "2.0", r#"" 2""#, r#""2 ""#, r#""+2""#, r#""02""#, r#""2.0""#] {
            assert_eq!(taken("ComputeMaxNodes", json).unwrap(), "2", "{json}");
        }
        for json in ["0", "-0", "0.0", r#""-0""#, r#""0.0000""#, r#""00""#] {
            assert_eq!(taken("ComputeInitialNodes", json).unwrap(), "0", "{json}");
            assert_eq!(taken("ComputeSpotPrice", json).unwrap(), "0", "{json}");
        }
        for json in ["0.03", r#""0.0300""#, r#"" 00.03""#] {
            assert_eq!(taken("ComputeSpotPrice", json).unwrap(), "0.03", "{json}");
        }
    }

    #[test]
    fn what_is_no_plain_number_is_refused_with_the_range_that_holds_here_and_the_form_that_works() {
        for (json, corrected) in [
            (r#""0x2""#, "2"),
            (r#""1e0""#, "1"),
            ("1e0", "1"),
            (r#""1_000""#, "32"),
            (r#""1,000""#, "32"),
            (r#""２""#, "2"),
            (r#""٢""#, "2"),
            (r#""2 nodes""#, "2"),
            (r#""2\u00a0""#, "2"),
            ("1001", "32"),
            ("-1", "1"),
            ("1.5", "1"),
        ] {
            let problems = taken("ComputeMaxNodes", json).unwrap_err();
            assert_eq!(
                problems[0].corrected().as_deref(),
                Some(format!(r#""ComputeMaxNodes": "{corrected}""#).as_str()),
                "{json}: {problems:?}"
            );
            assert!(matches!(&problems[..], [Problem::Parameter(problem)] if problem.name == "ComputeMaxNodes"), "{problems:?}");
        }
        for (json, why) in [(r#""""#, NumberError::Empty), (r#""many""#, NumberError::Unreadable), (r#""1-4""#, NumberError::Unreadable)] {
            let range = Range { least: Some(1.into()), most: Some(32.into()), is_whole: true };
            let wrong = Wrong::Number { why, range, meant: None, example: 4.into() };
            assert_eq!(only_problem(&format!(r#"{{"ComputeMaxNodes": {json}}}"#)).wrong, wrong);
        }
        let price = taken("ComputeSpotPrice", "1.23456").unwrap_err();
        assert_eq!(price[0].corrected().as_deref(), Some(r#""ComputeSpotPrice": "1.2345""#));
    }

    #[test]
    fn an_invisible_or_look_alike_character_is_named_where_its_value_or_name_is_refused() {
        for (text, characters, value) in [
            ("{\"AutoscalingPolicy\": \"enabled\u{200b}\"}", odd([(8, '\u{200b}')]), "enabled"),
            ("{\"AutoscalingPolicy\": \"\u{a0}enabled\"}", odd([(1, '\u{a0}')]), "enabled"),
            ("{\"MasterInstanceTypeOther\": \"r4.large\u{2011}2C-15.25GB\"}", odd([(9, '\u{2011}')]), "r4.large-2C-15.25GB"),
            ("{\"AutoscalingPolicy\": \"en\u{430}bled\"}", odd([(3, '\u{430}')]), "enabled"),
            ("{\"ComputeMaxNodes\": \"２\"}", odd([(1, '２')]), "2"),
        ] {
            let problem = only_problem(text);
            assert_eq!((problem.wrong, problem.odd), (Wrong::OddValue { odd: characters, value: value.into() }, None), "{text}");
        }
        let quoted = only_problem("{\"AutoscalingPolicy\": \"“enabled”\"}");
        assert!(matches!(quoted.wrong, Wrong::Choice(_)), "it does not pass without them either: {quoted:?}");
        assert_eq!(quoted.odd, Some(odd([(1, '“'), (9, '”')])));
        let name = only_problem("{\"Compute\u{200b}MaxNodes\": \"2\"}");
        assert_eq!(name.wrong, Wrong::OddName { odd: odd([(8, '\u{200b}')]), name: "ComputeMaxNodes".into() });
        let name = only_problem("{\"Соmрutе\u{a0}MaxNodes\": \"2\"}");
        assert!(matches!(&name.wrong, Wrong::Unknown { nearest: Some(nearest), .. } if nearest == "ComputeMaxNodes"), "{name:?}");
    }

    #[test]
    fn values_that_are_wrong_together_are_answered_so_that_both_answers_work_together() {
        for text in [
            r#"{"ComputeInitialNodes": "40", "ComputeMaxNodes": "33"}"#,
            r#"{"ComputeInitialNodes": "33", "ComputeMaxNodes": "33"}"#,
            r#"{"ComputeInitialNodes": "9", "ComputeMaxNodes": "0x2"}"#,
            r#"{"ComputeInitialNodes": "9x", "ComputeMaxNodes": "2"}"#,
            r#"{"ComputeInitialNodes": "1_000", "ComputeMaxNodes": "1_000"}"#,
            r#"{"ComputeInitialNodes": "9"}"#,
            r#"{"ComputeInitialNodes": "33"}"#,
        ] {
            let mut lines: Choices = serde_json::from_str(text).unwrap();
            for problem in read(&Body::Read(text.into()), &settings()).unwrap_err() {
                let line = problem.corrected().unwrap_or_else(|| panic!("{problem}"));
                lines.extend(serde_json::from_str::<Choices>(&format!("{{{line}}}")).unwrap());
            }
            let again = serde_json::to_vec(&lines).unwrap();
            assert!(read(&Body::Read(again.clone()), &settings()).is_ok(), "{text} became {}", String::from_utf8_lossy(&again));
        }
    }

    #[test]
    fn a_default_that_is_over_the_limit_is_reported_with_what_works() {
        let mut small = settings();
        small.nodes_max = 2;
        let problem = read(&Body::Read(b"{}".to_vec()), &small).unwrap_err().remove(0);
        assert_eq!(problem, RequestedParameters::problem(MOST, &4.into(), over_limit(2, true)));
        let line = format!("{{{}}}", problem.corrected().unwrap());
        assert!(read(&Body::Read(line.into()), &small).is_ok());
    }

    #[test]
    fn what_the_template_cannot_say_is_a_rule() {
        let over = |most: u32| Wrong::InitialNodes { most: most.into(), limit: 32.into(), here: most.into() };
        assert_eq!(only_problem(r#"{"ComputeInitialNodes": "9", "ComputeMaxNodes": "8"}"#).wrong, over(8));
        assert_eq!(only_problem(r#"{"ComputeMaxNodes": 33}"#).wrong, over_limit(32, false));
        // The default of the other one counts too.
        assert_eq!(only_problem(r#"{"ComputeInitialNodes": "9"}"#).wrong, over(4));
    }
}
