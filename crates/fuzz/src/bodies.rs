//! Bodies: any bytes are either a request within the template's constraints, or refused with reasons.

use arbitrary::Unstructured;
use cf_core::body::{self, Body, Choices};
use cf_core::characters::is_unprintable;
use cf_core::message::{ChoiceProblem, Problem, Wrong};
use cf_core::number::Number;
use cf_core::requested_parameters;
use cf_core::settings::Settings;
use cf_core::template::default_template;
use cf_core::testing;

use crate::drive::{mostly, pick, target, text, upto};

target!(
    /// Any bytes at all.
    any_bytes,
    one in 1,
    reached ["no values"],
    law
);

target!(
    /// Something like JSON, put together from what JSON readers stumble over.
    pieces,
    one in 1,
    reached ["an empty request", "values, and no request", "no values"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let begin = mostly(u, "", &["\u{feff}", " \n", "\u{feff}\u{feff}", "// x\n", "---\n", "\u{a0}", "\u{200b}"]);
        let end = mostly(u, "", &["\n", "}", ",", "\0", "{}"]);
        law(format!("{begin}{}{end}", object(u)).as_bytes())
    }
);

target!(
    /// Requests that are near to being right: known names, with values on the edge of what they take.
    requests,
    one in 2,
    reached ["a request", "values, and no request", "no values"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let pairs: Vec<(String, String)> = (0..upto(u, 4)).map(|_| parameter_line(u)).collect();
        let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
        let names: std::collections::BTreeSet<&String> = pairs.iter().map(|(name, _)| name).collect();
        let what = law(format!("{{{}}}", lines.join(", ")).as_bytes());
        assert!(names.len() == pairs.len() || what == "no values", "a name that is given twice is refused, whichever would win");
        what
    }
);

fn object(u: &mut Unstructured<'_>) -> String {
    let pairs: Vec<String> = (0..upto(u, 4))
        .map(|_| format!("{}{}{}", name(u), mostly(u, ":", &[": ", " :", "", "=", "：", " => ", ":\u{a0}"]), value(u)))
        .collect();
    let between = mostly(u, ",", &[", ", " ", ",,", "\n", ";", "，", ", # x\n", ", /* x */ "]);
    format!("{}{}{}", mostly(u, "{", &["[", "{{", ""]), pairs.join(between), mostly(u, "}", &["]", ",}", ""]))
}

fn name(u: &mut Unstructured<'_>) -> String {
    match upto(u, 9) {
        0..=4 => format!("{:?}", pick(u, &default_template().metadata.user_parameters)),
        5 => format!(
            "\"{}\"",
            pick(u, &["AccessUsername", "FlightProfiles", "SubnetId", "ClusterUser", "Template", "__proto__", "computemaxnodes"])
        ),
        6 => pick(
            u,
            &[
                "\"\\u0000\"",
                "\"\\ud800\"",
                "\"\\ud83d\\ude00\"",
                "\"a\nb\"",
                "'a'",
                "a",
                "1",
                "null",
                "\"\\x\"",
                "\"",
                "\"\u{202e}\"",
                "“a”",
                "\"a”",
                "`a`",
                "'a\"b'",
                "a\u{2011}b",
                "＝",
                "＃",
                "；",
            ],
        )
        .to_owned(),
        _ => serde_json::to_string(&text(u)).unwrap_or_default(),
    }
}

fn value(u: &mut Unstructured<'_>) -> String {
    match upto(u, 7) {
        0 => pick(u, &NUMBERS).to_owned(),
        1 => pick(u, &["true", "false", "null", "NaN", "undefined", "\"\"", "True"]).to_owned(),
        2 => pick(
            u,
            &[
                "\"{{resolve:ssm:/x}}\"",
                "\"{{\"",
                "\"\\u007b\\u007bresolve:x\"",
                "\"\\ud800\"",
                "\"\\udc00\\ud800\"",
                "\"\\u000a\"",
                "\"\u{85}\"",
            ],
        )
        .to_owned(),
        3 if upto(u, 3) == 0 => {
            let depth = upto(u, 400);
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
        4 if upto(u, 3) == 0 => "{\"a\":".repeat(upto(u, 200)),
        5 => object(&mut Unstructured::new(u.bytes(8).unwrap_or_default())),
        _ => serde_json::to_string(&text(u)).unwrap_or_default(),
    }
}

const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "8",
    "00",
    "1.0",
    "1e3",
    "1E400",
    "-1e400",
    "0.03",
    "1e-400",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "+1",
    ".5",
    "5.",
    "0x10",
    "1_000",
    "١٢",
    "Infinity",
];

/// A name, now and then one that is the system's, and a value as it stands in JSON.
fn parameter_line(u: &mut Unstructured<'_>) -> (String, String) {
    let card = default_template();
    let name = match upto(u, 7) {
        0 => pick(u, &card.parameters.keys().cloned().collect::<Vec<_>>()),
        _ => pick(u, &card.metadata.user_parameters),
    };
    let parameter = &card.parameters[&name];
    let value = match upto(u, 6) {
        0 | 1 if !parameter.allowed_values.is_empty() => pick(u, &parameter.allowed_values),
        2 => parameter.default.clone().unwrap_or_default(),
        3 => parameter.range.most.as_ref().map(ToString::to_string).unwrap_or_default(),
        4 => text(u),
        5 => spelling(u),
        _ => upto(u, 40).to_string(),
    };
    let quoted = serde_json::to_string(&value).unwrap_or_default();
    // Whole numbers may be written without quotes.
    let bare = upto(u, 2) == 0 && value.parse::<u32>().is_ok_and(|n| n.to_string() == value);
    (name, if bare { value } else { quoted })
}

/// A number as somebody may write it.
fn spelling(u: &mut Unstructured<'_>) -> String {
    let digits = [upto(u, 40).to_string(), upto(u, 2000).to_string(), pick(u, &NUMBERS).to_owned(), format!("0.{:05}", upto(u, 99_999))];
    let around = ["", "", "", " ", "+", "-", "0", "00", "\u{a0}", "\u{2212}", "$", "０", "２"];
    let behind = ["", "", "", " ", ".0", ".50", ".", "e0", "e1", "x", " GB", ",000", "_000", "\u{200b}", "\u{a0}", "２"];
    format!("{}{}{}", pick(u, &around), pick(u, &digits), pick(u, &behind))
}

fn settings() -> &'static Settings {
    static SITE: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    SITE.get_or_init(testing::settings)
}

fn read(bytes: &[u8]) -> Result<Choices, Vec<Problem>> {
    requested_parameters::read(&Body::Read(bytes.to_vec()), settings())
}

fn law(bytes: &[u8]) -> &'static str {
    let plain = body::read(&Body::Read(bytes.to_vec()));
    let read = read(bytes);
    match &plain {
        Ok(choices) => again(choices, |text| body::read(&Body::Read(text.to_vec()))),
        Err(problems) => {
            refused(problems);
            assert_eq!(read.as_ref(), Err(problems), "what is no object of values is no request");
        }
    }
    match &read {
        Ok(choices) => {
            let card = default_template();
            let one =
                |(name, value): (&String, &String)| (name.clone(), card.parameters.get(name).map_or(value.clone(), |p| p.canonical(value)));
            let written: Option<Choices> = plain.as_ref().ok().map(|plain| plain.iter().map(one).collect());
            assert_eq!(written.as_ref(), Some(choices), "a request is what was written, its numbers in their one form");
            accepted(choices);
            again(choices, self::read);
        }
        Err(problems) => {
            refused(problems);
            match &plain {
                Ok(choices) => followed(choices, problems),
                Err(_) => corrected(bytes, problems),
            }
        }
    }
    match (&plain, &read) {
        (_, Ok(choices)) if choices.is_empty() => "an empty request",
        (_, Ok(_)) => "a request",
        (Ok(_), Err(_)) => "values, and no request",
        (Err(_), Err(_)) => "no values",
    }
}

/// Whoever does what a refusal says is not refused for it again.
fn followed(choices: &Choices, problems: &[Problem]) {
    let mut again = choices.clone();
    let mut done: Vec<String> = Vec::new();
    for problem in problems {
        if let Some(line) = problem.corrected() {
            let line: Choices = serde_json::from_str(&format!("{{{line}}}")).expect("a line that can be copied");
            done.extend(line.keys().cloned());
            again.extend(line);
        } else if let Some((name, value)) = proposed(problem) {
            done.push(name.to_owned());
            again.insert(name.to_owned(), value);
        }
    }
    let json = serde_json::to_vec(&again).expect("texts have a JSON form");
    if let (Err(problems), true) = (read(&json), json.len() <= body::BODY_BYTES_MAX) {
        for problem in problems {
            let is_again = matches!(&problem, Problem::Parameter(parameter) if done.contains(&parameter.name));
            assert!(!is_again, "{choices:?} became {again:?}, and {problem}");
        }
    }
}

/// A parameter that a user can set, and a value that a refusal proposes for it.
fn proposed(problem: &Problem) -> Option<(&str, String)> {
    let Problem::Parameter(parameter) = problem else { return None };
    let value = match &parameter.wrong {
        Wrong::Choice(ChoiceProblem::All(values) | ChoiceProblem::Some { examples: values, .. }) => values.first().cloned(),
        Wrong::Choice(ChoiceProblem::Meant { meant, .. }) => Some(meant.clone()),
        Wrong::Number { meant: None, example, .. } => Some(example.to_string()),
        _ => None,
    };
    Some((parameter.name.as_str(), value?)).filter(|(name, _)| default_template().is_users(name))
}

/// A line that is shown as corrected is JSON, where it is the whole file.
fn corrected(bytes: &[u8], problems: &[Problem]) {
    let is_one_line = !bytes.contains(&b'\n');
    for line in problems.iter().filter_map(Problem::corrected).filter(|line| is_one_line && !line.contains('…')) {
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&line).is_ok(), "{line}");
    }
}

/// Written down as JSON, in whatever form, and read once more.
fn again(choices: &Choices, read: impl Fn(&[u8]) -> Result<Choices, Vec<Problem>>) {
    let mut forms =
        [serde_json::to_vec(choices), serde_json::to_vec_pretty(choices)].map(|json| json.expect("texts have a JSON form")).to_vec();
    forms.push([b"\xEF\xBB\xBF", forms[0].as_slice(), b"\n"].concat());
    for form in forms.iter().filter(|form| form.len() <= body::BODY_BYTES_MAX) {
        assert_eq!(read(form).as_ref(), Ok(choices));
    }
}

/// By the template's own words, and not by what our own check says of them.
fn accepted(choices: &Choices) {
    let card = default_template();
    for (name, value) in choices {
        assert!(card.metadata.user_parameters.contains(name) && !card.metadata.system_parameters.contains_key(name), "{name}");
        assert!(!value.contains("{{") && !value.chars().any(char::is_control) && value.len() <= 4096, "{name} = {value:?}");
        let parameter = &card.parameters[name];
        assert!(parameter.allowed_values.is_empty() || parameter.allowed_values.contains(value), "{name} = {value:?}");
        if parameter.is_number() {
            let number: f64 = value.parse().expect("a number");
            assert_eq!(number.to_string(), *value, "{name} goes on in its one form");
            let bound = |bound: &Option<Number>| bound.as_ref().map(|b| b.to_string().parse::<f64>().expect("a bound is a number"));
            assert!(bound(&parameter.range.least).is_none_or(|least| number >= least), "{name} = {value}");
            assert!(bound(&parameter.range.most).is_none_or(|most| number <= most), "{name} = {value}");
        }
    }
    let nodes = |name: &str| card.effective(choices, name).and_then(|n| n.parse::<u64>().ok()).expect("a whole number");
    assert!(nodes("ComputeInitialNodes") <= nodes("ComputeMaxNodes") && nodes("ComputeMaxNodes") <= u64::from(settings().nodes_max));
}

/// A refusal is for people: in each part something, nothing that a terminal would act on, and never a wall of text.
fn refused(problems: &[Problem]) {
    assert!(!problems.is_empty() && problems.is_sorted_by_key(Problem::parts));
    for problem in problems.iter().map(Problem::parts) {
        for part in [&problem.asked, &problem.stands, &problem.next].into_iter().chain(&problem.corrected) {
            assert!(!part.trim().is_empty(), "{problem:?}");
            assert!(!part.contains(is_unprintable), "{problem:?}");
            assert!(part.len() < 2000, "{} bytes: {part:.200}", part.len());
        }
    }
}
