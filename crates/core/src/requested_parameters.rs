//! The parameters that a `.cf-create` requests, checked against the template, and the rules that no template can express.

use std::collections::BTreeSet;

use crate::body::{self, Body, Choices};
use crate::characters::{self, lookalike};
use crate::instance_type::{Architecture, NODES, Node};
use crate::message::{self, Odd, ParameterProblem, Problem, Rule, Wrong};
use crate::number::{Number, Range};
use crate::settings::Settings;

/// The parameters that take no decimals: there is no half a node. A template cannot say so.
const WHOLE: [&str; 3] = [INITIAL, MOST, "MasterSystemVolumeSize"];

const INITIAL: &str = "ComputeInitialNodes";

/// The parameter that bounds how many compute nodes a cluster may have.
pub const MOST: &str = "ComputeMaxNodes";

/// The parameter that bounds how many of them may be on demand; empty: all.
const ON_DEMAND: &str = "ComputeOnDemandMaxNodes";

/// The price of spot nodes; 0: all nodes are on demand.
const PRICE: &str = "ComputeSpotPrice";

/// Parses and validates the parameters of a `.cf-create`. Numbers come out in their canonical form. Returns all problems at once, sorted.
pub fn read(body: &Body, settings: &Settings) -> Result<Choices, Vec<Problem>> {
    let given = body::read(body)?;
    let requested = RequestedParameters::of(&given, settings);
    let mut problems: Vec<Problem> = given.iter().filter_map(|(name, value)| requested.check_parameter(name, value)).collect();
    problems.extend(settings.region.absent(&requested.choices, settings.template));
    problems.extend(NODES.into_iter().filter_map(|node| requested.without_agent(node)));
    problems.extend(RULES.iter().filter_map(|rule| rule(&requested)));
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
        let given = (!self.wrong.contains(name)).then(|| self.settings.effective(&self.choices, name))?;
        Number::read(given?)
    }

    /// A problem with a number, which is named in its one form.
    fn problem(name: &str, value: &Number, wrong: Wrong) -> Problem {
        Problem::Parameter(Box::new(ParameterProblem { name: name.to_owned(), value: value.to_string(), wrong, odd: None }))
    }

    /// A type that is named and for which there is no agent of the nodes. Without the one for x86_64 is only a local AWS on another
    /// machine, where every node is that machine (`AgentArchitectures` in template.yaml).
    fn without_agent(&self, node: Node) -> Option<Problem> {
        let (parameter, kind) = node.named(|name| self.settings.template.effective(&self.choices, name))?;
        let (value, architecture) = (self.choices.get(parameter)?, Architecture::of(kind));
        let is_missing = architecture == Architecture::Arm && !self.settings.has_agent_for(architecture);
        let wrong = Wrong::Rule(Rule::NoAgent { kind: kind.to_owned(), architecture });
        is_missing
            .then(|| Problem::Parameter(Box::new(ParameterProblem { name: parameter.into(), value: value.clone(), wrong, odd: None })))
    }

    fn check_parameter(&self, name: &str, value: &str) -> Option<Problem> {
        let template = self.settings.template;
        let problem = |wrong| {
            Some(Problem::Parameter(Box::new(ParameterProblem { name: name.to_owned(), value: value.to_owned(), wrong, odd: None })))
        };
        if template.is_protected(name) {
            return problem(Wrong::SystemOnly);
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

/// What the template cannot express. A rule is one function and one line here.
const RULES: &[fn(&RequestedParameters<'_>) -> Option<Problem>] =
    &[initial_nodes_within_max, max_nodes_within_limit, on_demand_nodes_within_max, on_demand_nodes_are_all_without_spot];

fn initial_nodes_within_max(requested: &RequestedParameters<'_>) -> Option<Problem> {
    let (initial, most) = (requested.number(INITIAL)?, requested.number(MOST)?);
    let limit = Number::from(requested.settings.nodes_max);
    let here = requested.range_here(INITIAL).nearest(&initial);
    (initial > here).then(|| RequestedParameters::problem(INITIAL, &initial, Wrong::InitialNodes { most, limit, here }))
}

fn max_nodes_within_limit(requested: &RequestedParameters<'_>) -> Option<Problem> {
    let most = requested.number(MOST)?;
    let limit = Number::from(requested.settings.nodes_max);
    let is_default = !requested.given.contains_key(MOST);
    (most > limit).then(|| RequestedParameters::problem(MOST, &most, Wrong::MaxNodes { limit, is_default }))
}

fn on_demand_nodes_within_max(requested: &RequestedParameters<'_>) -> Option<Problem> {
    let (on_demand, most) = (requested.number(ON_DEMAND)?, requested.number(MOST)?);
    (on_demand > most).then(|| RequestedParameters::problem(ON_DEMAND, &on_demand, Wrong::Rule(Rule::OnDemandWithinMax { most })))
}

fn on_demand_nodes_are_all_without_spot(requested: &RequestedParameters<'_>) -> Option<Problem> {
    let (on_demand, most) = (requested.number(ON_DEMAND)?, requested.number(MOST)?);
    let is_too_few = requested.number(PRICE)? == Number::from(0) && on_demand < most;
    is_too_few.then(|| RequestedParameters::problem(ON_DEMAND, &on_demand, Wrong::Rule(Rule::OnDemandIsAllWithoutSpot { most })))
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

    #[test]
    fn nodes_on_demand_are_at_most_as_many_as_nodes_and_all_where_there_is_no_spot() {
        let rule = |text: &str| match only_problem(text).wrong {
            Wrong::Rule(rule) => rule,
            other => panic!("{text}: {other:?}"),
        };
        let accepted = |text: &str| read(&Body::Read(text.into()), &settings()).is_ok();
        assert!(accepted(r#"{"ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 8}"#) && accepted(r#"{"ComputeOnDemandMaxNodes": ""}"#));
        assert_eq!(rule(r#"{"ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 9}"#), Rule::OnDemandWithinMax { most: 8.into() });
        assert!(accepted(r#"{"ComputeSpotPrice": 0, "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 8}"#));
        assert!(accepted(r#"{"ComputeSpotPrice": "0.01", "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": "0"}"#));
        for price in ["0", "0.00"] {
            let text = format!(r#"{{"ComputeSpotPrice": "{price}", "ComputeMaxNodes": 8, "ComputeOnDemandMaxNodes": 7}}"#);
            assert_eq!(rule(&text), Rule::OnDemandIsAllWithoutSpot { most: 8.into() }, "{price}");
        }
        for wrong in ["2.5", "two", "-1", "1001"] {
            let problem = only_problem(&format!(r#"{{"ComputeOnDemandMaxNodes": "{wrong}"}}"#));
            assert!(matches!(problem.wrong, Wrong::Pattern { .. }), "{wrong}: {problem:?}");
        }
    }

    #[test]
    fn an_arm_type_is_refused_where_the_nodes_program_is_not_built_for_it() {
        let text = r#"{"ComputeInstanceType": "other", "ComputeInstanceTypeOther": "c7g.large"}"#;
        let body = Body::Read(text.into());
        assert!(read(&body, &settings()).is_ok());
        let mut without = settings();
        without.fixed.remove(&crate::template::SystemValue::AgentArm);
        let wrong = Wrong::Rule(Rule::NoAgent { kind: "c7g.large".into(), architecture: Architecture::Arm });
        let problem = ParameterProblem { name: "ComputeInstanceTypeOther".into(), value: "c7g.large".into(), wrong, odd: None };
        assert_eq!(read(&body, &without).unwrap_err(), [Problem::Parameter(Box::new(problem))]);
        assert!(read(&Body::Read(br#"{"ComputeInstanceTypeOther": "c6i.large"}"#.to_vec()), &without).is_ok());
        assert!(read(&Body::Read(b"{}".to_vec()), &without).is_ok());
    }
}
