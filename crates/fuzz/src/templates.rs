//! Templates: any text is a card or a reason why not, and a card's constraints judge any value.
//!
//! Template text is read in one place only, at build time (`crates/core/card.rs`); a running function reads the card that the
//! build made of it. Both are given here what an administrator's own template could hold.

use arbitrary::Unstructured;
use cf_core::message::Problem;
use cf_core::template::{DEFAULT_TEXT, Parameter, Template};
use serde_json::{Map, Value, json};

use crate::card;
use crate::drive::{pick, target, text, upto};

target!(
    /// Any text as a template.
    any_text,
    one in 1,
    reached ["no YAML", "no card"],
    |bytes: &[u8]| law(&String::from_utf8_lossy(bytes))
);

target!(
    /// Our own template, with lines taken away, doubled, moved and changed.
    spoiled_text,
    one in 20,
    reached ["no YAML", "no card", "a card"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut lines: Vec<String> = DEFAULT_TEXT.lines().filter(|line| !line.trim_start().starts_with("- c")).map(str::to_owned).collect();
        for _ in 0..=upto(u, 5) {
            let at = upto(u, lines.len() - 1);
            match upto(u, 6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines.truncate(at + 1),
                3 => lines[at].insert_str(0, pick(u, &["  ", "\t", "- ", "? ", "&a ", "*a", "<<: *a\n", "%YAML 9.9\n", "---\n", "!!binary "])),
                4 => lines[at].push_str(pick(u, &[":", " |", " >-", " {", " [", " \"", " #", " !Ref x", " 1e999", " .nan", " 0o17", "\u{0}", " ~"])),
                5 => lines[at] = format!("  {}: {}", text(u), text(u)),
                _ => lines.swap(at, 0),
            }
        }
        law(&lines.join("\n"))
    }
);

target!(
    /// Constraints that nobody would write, and values for them.
    constraints,
    one in 20,
    reached ["some pass", "none passes"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let Ok(parameter) = serde_json::from_value::<Parameter>(parameter(u)) else { return "unreadable" };
            let mut passed = 0;
            for _ in 0..4 {
                let value = if upto(u, 1) == 0 { pick(u, &VALUES).to_owned() } else { text(u) };
                passed += usize::from(judged(&parameter, &value));
            }
            for value in parameter.allowed_values.iter().chain(&parameter.default) {
                judged(&parameter, value);
            }
            if passed == 0 { "none passes" } else { "some pass" }
    }
);

fn law(text: &str) -> &'static str {
    let Ok(card) = card::read(text) else { return "no YAML" };
    assert!(card["Digest"].as_str().is_some_and(|digest| digest.len() == 16));
    // What the build would write, the function can read, or says why not.
    let written = card.to_string();
    assert_eq!(serde_json::from_str::<Value>(&written).ok().as_ref(), Some(&card));
    let Ok(template) = serde_json::from_str::<Template>(&written) else { return "no card" };
    for (name, parameter) in &template.parameters {
        assert!(template.is_users(name) != template.is_protected(name), "{name}");
        ["", "16", "{{x", "é"].into_iter().chain(parameter.default.as_deref()).for_each(|value| {
            judged(parameter, value);
        });
    }
    assert!(template.key().starts_with("templates/cluster-"));
    "a card"
}

/// A verdict is total, gives its reasons, and keeps to what the constraints say in so many words.
fn judged(parameter: &Parameter, value: &str) -> bool {
    let Some(problem) = parameter.check("P", value) else {
        let value = &parameter.canonical(value);
        assert!(parameter.allowed_values.is_empty() || parameter.allowed_values.contains(value), "{value:?}");
        assert!(value.len() <= 4096);
        if parameter.is_number() {
            let number: f64 = value.parse().expect("a number");
            let least = parameter.range.least.as_ref().map(|least| least.to_string().parse::<f64>().expect("a bound is a number"));
            assert!(number.is_finite() && least.is_none_or(|least| number >= least), "{value}");
        }
        return true;
    };
    let parts = Problem::Parameter(Box::new(problem.clone())).parts();
    assert!(!parts.asked.is_empty() && !parts.stands.is_empty() && !parts.next.is_empty(), "{parts:?}");
    assert_eq!(parameter.check("P", value), Some(problem));
    false
}

fn parameter(u: &mut Unstructured<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("Type".into(), json!(pick(u, &["String", "Number", "CommaDelimitedList", "AWS::EC2::VPC::Id", ""])));
    for name in ["Default", "MinLength", "MaxLength", "MinValue", "MaxValue"] {
        if upto(u, 2) == 0 {
            fields.insert(name.into(), scalar(u));
        }
    }
    if upto(u, 2) == 0 {
        fields.insert("AllowedValues".into(), (0..upto(u, 12)).map(|_| scalar(u)).collect());
    }
    if upto(u, 1) == 0 {
        let pattern = if upto(u, 1) == 0 { pick(u, &PATTERNS).to_owned() } else { (0..upto(u, 5)).map(|_| pick(u, &PATTERNS)).collect() };
        fields.insert("AllowedPattern".into(), json!(pattern));
    }
    Value::Object(fields)
}

fn scalar(u: &mut Unstructured<'_>) -> Value {
    match upto(u, 4) {
        0 => json!(upto(u, 100)),
        1 => json!(u.arbitrary::<f64>().unwrap_or(0.0)),
        2 => json!(u.arbitrary::<bool>().unwrap_or(false)),
        3 => json!(pick(u, &VALUES)),
        _ => json!(text(u)),
    }
}

const VALUES: [&str; 20] = [
    "",
    "0",
    "-0",
    "1",
    "16",
    "1.5",
    "-1",
    "1e3",
    "inf",
    "NaN",
    "+1",
    "00",
    "99999999999999999999999",
    "true",
    "c5.large",
    "c5.lrage",
    "a,b",
    "\n",
    "é",
    "{{resolve:ssm:x}}",
];

/// Patterns that explode elsewhere, that this engine cannot read, and that are none.
const PATTERNS: [&str; 16] = [
    "[a-z]+",
    ".*",
    "(a+)+$",
    "(a|a)*b",
    "(?=x)",
    "\\1",
    "(",
    "[",
    "a{1000}",
    "(a{100}){100}",
    "((a{50}){50}){50}",
    "\\p{L}",
    "^$",
    "|",
    ")|(",
    "\\d{1,3}",
];
